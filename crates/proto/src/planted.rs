//! Planted bugs of this crate: deliberate faults that the simulator's checkers must catch. See
//! [`sojourn_model::planted_bugs`].

sojourn_model::planted_bugs! {
    /// LOG-2: a reader takes what an owner publishes after its epoch.
    EndedEpochTaken,
    /// LOG-2: a reader takes a record that was published again.
    NoHighWaterMark,
}
