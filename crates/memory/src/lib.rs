//! Log, state store, identity graph, gate and clock in memory.
//!
//! The simulator steers their faults: unsynced records lost in a crash, unknown outcomes, a store
//! rolled back or emptied, a full disk. Nothing here draws randomness of its own: it comes in as a
//! closure, so that the same seed gives the same faults. [`MemoryGate`] is also the gate of the
//! one-process product.

mod aside;
mod clock;
mod fault;
mod gate;
mod graph;
mod log;
mod snapshot;
mod store;

pub use aside::HeldBack;
pub use clock::ManualClock;
pub use fault::{Chance, FaultCounts, LogFaults, Random, StoreFaults, UnknownOutcome};
pub use gate::MemoryGate;
pub use log::{MemoryLog, SyncMode};
pub use store::MemoryStore;
