//! State, identity graph and gate over the Redis protocol: Redis 7, Valkey, Redis Cluster, Sentinel.
//!
//! **Redis holds no truth that the log lacks.** It may lose its last second, come back as a stale
//! replica or be emptied; what it may not do is be half of something. Hence:
//!
//! - Everything of one owner lies under one hash tag, so that one script sees all of it; a script is
//!   atomic to every reader, is one transaction in the append-only file and in the stream to the
//!   replicas, and so is whole also after a crash or a fail-over (LOG-2).
//! - A script first compares the epoch and the *expected position*, then writes, the position last. A
//!   store that was rolled back stands at another position: the write is refused as
//!   [`sojourn_ports::StateError::Unknown`], the owner claims anew and replays.
//! - With `appendfsync always` an acknowledged write survives a crash. With `everysec` the last two
//!   seconds may be gone, state and position together; marks of the gate have no such partner, so a
//!   gate wants `always`.
//! - The same check makes a script that was sent twice (a retry after a lost answer) harmless.
//! - Epochs and versions are at least the server's time in microseconds: they grow over a store that
//!   was emptied or rolled back, as long as the server's clock does not fall behind what it has
//!   already given out.
//! - Nothing is sent per event: loads and checkpoints are batches. The gate alone asks per message.
//!
//! Layout, under `PREFIX:{OWNER}`: the header (epoch, position), one hash per space, and a sorted set
//! of keys beside it for spaces that are read by range. Profiles and wakes are read whole, so their
//! order is made by the reader and costs no memory in the store.

mod address;
mod client;
mod gate;
mod graph;
mod health;
mod lease;
mod limits;
mod script;
mod sentinel;
mod snapshot;
mod state;
mod trouble;

pub use address::{Login, RedisOptions, RedisTls};
pub use client::OpenError;
pub use gate::RedisGate;
pub use graph::RedisGraph;
pub use health::Finding;
pub use lease::{Held, LeaseTurn, LeaseView, RedisLeases};
pub use snapshot::RedisSnapshots;
pub use state::RedisStore;
pub use trouble::trouble;

use client::Client;
use std::sync::Arc;

/// A connection to one Redis or Redis Cluster, shared by the ports.
#[derive(Clone)]
pub struct Redis(Arc<Client>);

impl Redis {
    /// Connects and looks at the server's settings: what would lose data is an error, what weakens
    /// durability is logged by name.
    pub fn open(options: &RedisOptions) -> Result<Self, OpenError> {
        let client = Client::open(options)?;
        for finding in health::look(&client)? {
            if finding.refused {
                return Err(OpenError::Unfit(finding.to_string()));
            }
            tracing::warn!(setting = finding.setting, "{finding}");
        }
        Ok(Self(Arc::new(client)))
    }

    /// What the server's settings mean for durability, worst first. For `doctor`.
    pub fn findings(&self) -> Result<Vec<Finding>, OpenError> {
        health::look(&self.0)
    }

    /// The state port.
    pub fn store(&self) -> RedisStore {
        RedisStore::new(self.0.clone())
    }

    /// The identity-graph port.
    pub fn graph(&self) -> RedisGraph {
        RedisGraph::new(self.0.clone())
    }

    /// The snapshot port.
    pub fn snapshots(&self) -> RedisSnapshots {
        RedisSnapshots::new(self.0.clone())
    }

    /// Who does what among several processes.
    pub fn leases(&self) -> RedisLeases {
        RedisLeases::new(self.0.clone())
    }

    /// The gate, shared by every process that opens it on the same store and prefix.
    pub fn gate(&self, clock: Arc<dyn sojourn_ports::Clock>) -> Result<RedisGate, String> {
        RedisGate::open(self.0.clone(), clock)
    }
}
