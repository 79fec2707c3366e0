//! Planted bugs of this crate: deliberate faults that the simulator's checkers must catch. See
//! [`sojourn_model::planted_bugs`].

sojourn_model::planted_bugs! {
    /// LOG-2: a message that comes again counts again.
    DuplicateCounts,
    /// IDN-1: a mapping that is out of date: records of a survivor are addressed to the profile that it
    /// absorbed last. Harmless as long as the engine passes them on.
    StaleMapping,
    /// IDN-1: only the strongest identifier of a touchpoint is looked at.
    UnionForgotten,
}
