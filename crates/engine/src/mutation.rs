//! Planted bugs of this crate: deliberate faults that the simulator's checkers must catch. See
//! [`sojourn_model::planted_bugs`].

sojourn_model::planted_bugs! {
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
    /// IDN-1: what reaches an absorbed profile is not passed on (planted together with a mapping that is
    /// out of date).
    TombstoneKeeps,
    /// TIM-1: a run that a publish moves to another version is lost.
    MigrationLosesRun,
    /// ACT-1: a run that a publish moves to another version forgets what it has sent.
    MigrationForgetsSends,
    /// Semantics 6: an arm is drawn anew when the shares have changed.
    SplitByShares,
    /// TIM-1: nothing looks at a segment again when an event leaves its window.
    SegmentWithoutTimer,
    /// Semantics 6: candidates that waited for each other go in the order in which they arose.
    ArbitrationByArrival,
}

pub(crate) use planted as mutated;
