//! Planted bugs: deliberate faults that the simulator's checkers must catch.
//!
//! Only with the cargo feature `planted-bugs`; without it [`mutated`] is a constant `false` and costs
//! nothing. The simulator sets one mutation for the thread that drives a run.

/// A fault that can be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// CON-1: consent is not asked on `push`.
    SkipConsentForPush,
    /// CON-3: of two statements at a merge, the absorbed profile's wins whatever its time.
    LastWriterConsent,
    /// CON-3: a grant follows its endpoint to another person.
    GrantInherited,
    /// CON-1: an endpoint-less deny does not cover endpoints that come later.
    DenyForgetsLaterEndpoints,
    /// CAP-1: an unknown outcome releases its reservation.
    CapReleasedOnUnknown,
    /// CAP-1: an approval counts only when its receipt comes.
    CapWithoutReservation,
    /// TIM-1: `restart_on` loses the timer.
    TimerLostOnRestart,
    /// TIM-1: a wait fires twice.
    TimerFiresTwice,
    /// TIM-1: a wait is armed one minute early.
    TimerEarly,
    /// QUI-1: quiet hours are reckoned in UTC.
    QuietHoursInUtc,
    /// EXP-1: a refusal leaves no decision record.
    RefusalWithoutRecord,
    /// CON-1, CAP-1: on waking a deferred message goes out unchecked.
    NoCheckOnWaking,
    /// LIM-1: a limit drops without a note.
    LimitDropsSilently,
    /// DET-1: the order of new entries depends on an address in memory.
    EntriesByAddress,
    /// W9: exits are looked at only when a wait ends.
    ExitAtEndOfWait,
    /// IDN-1: the absorbed profile's sends are lost in a merge.
    MergeLosesSends,
}

impl Mutation {
    /// Every mutation.
    pub const ALL: [Self; 16] = [
        Self::SkipConsentForPush,
        Self::LastWriterConsent,
        Self::GrantInherited,
        Self::DenyForgetsLaterEndpoints,
        Self::CapReleasedOnUnknown,
        Self::CapWithoutReservation,
        Self::TimerLostOnRestart,
        Self::TimerFiresTwice,
        Self::TimerEarly,
        Self::QuietHoursInUtc,
        Self::RefusalWithoutRecord,
        Self::NoCheckOnWaking,
        Self::LimitDropsSilently,
        Self::EntriesByAddress,
        Self::ExitAtEndOfWait,
        Self::MergeLosesSends,
    ];
}

#[cfg(feature = "planted-bugs")]
mod planted {
    use super::Mutation;
    use std::cell::Cell;

    thread_local! {
        static PLANTED: Cell<Option<Mutation>> = const { Cell::new(None) };
    }

    /// Plants `mutation` for this thread; `None` takes it out.
    pub fn plant(mutation: Option<Mutation>) {
        PLANTED.with(|planted| planted.set(mutation));
    }

    pub(crate) fn mutated(mutation: Mutation) -> bool {
        PLANTED.with(|planted| planted.get() == Some(mutation))
    }
}

#[cfg(feature = "planted-bugs")]
pub(crate) use planted::mutated;
#[cfg(feature = "planted-bugs")]
pub use planted::plant;

/// Whether `mutation` is planted: never, in a build without the feature.
#[cfg(not(feature = "planted-bugs"))]
#[inline(always)]
pub(crate) const fn mutated(_mutation: Mutation) -> bool {
    false
}
