//! Planted bugs: deliberate faults that the simulator's checkers must catch. Only with the cargo
//! feature `planted-bugs`; without it [`planted`] is a constant `false`.

/// A fault that can be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// CON-2: the gate is not asked before the call; the decision is believed.
    GateAtDecisionOnly,
    /// ACT-1: a retry gets an id of its own.
    NewIdOnRetry,
    /// ACT-1: an unknown outcome of a marketing message is sent again.
    ResendUnknown,
    /// QUI-1: the quiet window is not looked at.
    IgnoreQuietWindow,
    /// ACT-1: the intent is written after the call.
    IntentAfterCall,
}

impl Mutation {
    /// Every mutation.
    pub const ALL: [Self; 5] = [
        Self::GateAtDecisionOnly,
        Self::NewIdOnRetry,
        Self::ResendUnknown,
        Self::IgnoreQuietWindow,
        Self::IntentAfterCall,
    ];
}

#[cfg(feature = "planted-bugs")]
mod switch {
    use super::Mutation;
    use std::cell::Cell;

    thread_local! {
        static PLANTED: Cell<Option<Mutation>> = const { Cell::new(None) };
    }

    /// Plants a fault in this thread, or takes it out.
    pub fn plant(mutation: Option<Mutation>) {
        PLANTED.set(mutation);
    }

    pub(crate) fn planted(mutation: Mutation) -> bool {
        PLANTED.get() == Some(mutation)
    }
}

#[cfg(feature = "planted-bugs")]
pub use switch::plant;
#[cfg(feature = "planted-bugs")]
pub(crate) use switch::planted;

#[cfg(not(feature = "planted-bugs"))]
pub(crate) const fn planted(_mutation: Mutation) -> bool {
    false
}
