//! Planted bugs of this crate: deliberate faults that the simulator's checkers must catch. See
//! [`sojourn_model::planted_bugs`].

sojourn_model::planted_bugs! {
    /// LOG-2: a record that was published twice is applied twice.
    AppliedTwice,
    /// LOG-2: a checkpoint does not wait until what was published is durable.
    CheckpointBeforeDurable,
    /// LOG-2: an owner believes what it reads from the store, though a successor may have moved it
    /// on or a stale replica taken it back.
    LoadBelieved,
    /// CON-2: an owner tells the gate of a kill switch with the time at which it comes to the order.
    OrdersByArrival,
    /// LOG-2: the state says that something was published before it is.
    PublishAfterCheckpoint,
}
