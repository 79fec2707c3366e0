//! Planted bugs: deliberate faults that the simulator's checkers must catch. Only with the cargo
//! feature `planted-bugs`; without it [`planted`] is a constant `false`.

/// A fault that can be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// LOG-2: a record that was published twice is applied twice.
    AppliedTwice,
    /// LOG-2: a checkpoint does not wait until what was published is durable.
    CheckpointBeforeDurable,
}

impl Mutation {
    /// Every mutation.
    pub const ALL: [Self; 2] = [Self::AppliedTwice, Self::CheckpointBeforeDurable];
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
