//! Planted bugs of this crate: deliberate faults that the simulator's checkers must catch. See
//! [`sojourn_model::planted_bugs`].

sojourn_model::planted_bugs! {
    /// LOG-2: a message that comes again counts again.
    DuplicateCounts,
    /// IDN-1: only the strongest identifier of a touchpoint is looked at.
    UnionForgotten,
    /// IDN-1: a shard believes its nodes, though a successor may have moved the graph on.
    NodesBelieved,
}
