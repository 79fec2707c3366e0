//! A checkpoint on its way to the store, while its owner goes on with the next records.
//!
//! **Why that is safe.** What the checkpoint says was taken from memory at one position, after
//! everything of the records below it was published (publish before checkpoint). What the owner
//! publishes meanwhile comes of later records, which a replay from either position brings about
//! anew and readers skip (LOG-2). There is one at a time, and until it is known to be stored
//! nobody whom it holds leaves memory: whatever is read from the store meanwhile is the same at
//! both positions. The epoch fences it like any other: after a claim it writes nothing.

use crate::error::OwnerError;
use crate::hold::Held;
use sojourn_model::Timestamp;
use sojourn_ports::{Checkpoint, Errand, Log, StateStore};
use std::sync::Arc;

/// What a checkpoint needs beside its owner.
pub(crate) struct Job {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) store: Arc<dyn StateStore>,
    pub(crate) name: String,
    pub(crate) partition: u16,
    pub(crate) epoch: u64,
    /// Where the store must stand.
    pub(crate) held: Held,
    pub(crate) checkpoint: Checkpoint,
    /// Whether to wait until what was published is durable, and whether to look where the store
    /// stands: always, but for planted bugs.
    pub(crate) durable: bool,
    pub(crate) verified: bool,
}

impl Job {
    fn run(self) -> Result<(), OwnerError> {
        let Self { log, store, name, partition, epoch, held, checkpoint, .. } = self;
        // What was published must be durable before the state says so.
        if self.durable {
            log.sync().map_err(|source| OwnerError::Log { partition, source })?;
        }
        // A store that came back older lacks what was written before and is not dirty any more.
        if self.verified {
            held.verify(&*store, partition, None)?;
        }
        store
            .checkpoint(&name, epoch, checkpoint)
            .map_err(|source| OwnerError::State { partition, source })
    }
}

/// A checkpoint that is being written.
pub(crate) struct Saving {
    pub(crate) errand: Arc<Errand<Result<(), OwnerError>>>,
    /// What the store says once it is written.
    pub(crate) held: Held,
    pub(crate) began: Timestamp,
}

impl Saving {
    pub(crate) fn new(job: Job, held: Held, began: Timestamp) -> Self {
        Self { errand: Errand::new(move || job.run()), held, began }
    }
}

/// Called once what was asked for is stored; dropped uncalled when the owner loses its memory.
pub(crate) type Done = Box<dyn FnOnce() + Send>;

/// Requests for a checkpoint of all that is applied, each with the position it asks for.
#[derive(Default)]
pub(crate) struct Asked(Vec<(u64, Done)>);

impl Asked {
    pub(crate) fn push(&mut self, position: u64, done: Done) {
        self.0.push((position, done));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether somebody waits for more than what is stored.
    pub(crate) fn beyond(&self, committed: u64) -> bool {
        self.0.iter().any(|(position, _)| *position > committed)
    }

    /// Tells those whose position is stored.
    pub(crate) fn tell(&mut self, committed: u64) {
        for (_, done) in self.0.extract_if(.., |(position, _)| *position <= committed) {
            done();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
