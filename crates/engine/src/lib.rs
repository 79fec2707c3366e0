//! The engine: a pure step from a record to its effects.
//!
//! [`Partition::apply`] takes one record of the `profiles` log with its log time, fires the timers
//! due before it, changes the state of the person it concerns and pushes [`Effect`]s: decision
//! records, actions, cancellations, records for other partitions. The owner (crate `worker`) loads
//! the profiles that [`Partition::missing`] names, applies, publishes the effects and checkpoints.
//!
//! **Invariant:** no I/O, no clock, no randomness, no iteration over a hash map: the same records and
//! definitions give the same state and effects, byte for byte (DET-1).

mod effect;
pub mod limits;
mod partition;

pub use effect::{Effect, Effects, OwnedRecord, OwnedTouchpoint};
pub use limits::Limits;
pub use partition::{Checkpoint, DecodeError, Partition, Wake};
