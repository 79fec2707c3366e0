//! The ports: what the house needs of a log, a state store, an identity graph, a gate, a clock.
//!
//! A port is a contract plus a suite: the doc comments say order, durability, atomicity and what an
//! error means, and [`contract`] runs the same cases against every implementation.
//!
//! **Invariant:** synchronous, no runtime, no library of an implementation. Owners of partitions
//! call ports from their own threads, per batch.

mod aside;
mod clock;
pub mod contract;
mod gate;
mod graph;
mod link;
pub mod log;
mod recover;
pub mod snapshot;
pub mod state;

pub use aside::{Aside, AtOnce, Errand, Task};
pub use clock::Clock;
pub use gate::{Gate, GateMark, GateQuery, GateVerdict, MarkKeeper, Permit};
pub use graph::{GraphCommit, GraphError, GraphWrite, IdentityGraph, NodeKey};
pub use link::LinkTrouble;
pub use log::{Append, Bounds, Done, Entry, Layout, Log, LogError, ReadLimit, Topic};
pub use recover::{Standing, Unrecoverable, check_recoverable};
pub use snapshot::{Over, Part, Row, Snapshots};
pub use state::{Checkpoint, Claim, OwnersCheckpoint, Space, StateError, StateStore, Write};
