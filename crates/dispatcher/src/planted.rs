//! Planted bugs of this crate: deliberate faults that the simulator's checkers must catch. See
//! [`sojourn_model::planted_bugs`].

sojourn_model::planted_bugs! {
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
