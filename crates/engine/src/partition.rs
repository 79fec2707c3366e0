//! One partition: the state of its people and the one place that changes it.

use crate::{Effects, Limits};
use serde::{Deserialize, Serialize};
use sojourn_model::{LogPosition, ProfileId, Record, Timestamp, VersionId};
use sojourn_rules::Definitions;
use std::sync::Arc;

/// A stored profile, partition state or inheritance that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError(pub String);

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot decode state: {}", self.0)
    }
}
impl std::error::Error for DecodeError {}

/// When a profile next needs the engine: at `wait` or, by a time-out, just after `timeout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Wake {
    /// Fires before a record of this instant.
    pub wait: Option<Timestamp>,
    /// Fires when log time is later than this instant.
    pub timeout: Option<Timestamp>,
}

/// What changed since the last checkpoint: to be written in one atomic batch with the log position.
#[derive(Debug, Default, Clone)]
pub struct Checkpoint {
    /// Encoded profiles, in no particular order but the same on every replay.
    pub profiles: Vec<(ProfileId, Vec<u8>)>,
    /// Wake of each of these profiles; `None`: remove it.
    pub wakes: Vec<(ProfileId, Option<Wake>)>,
    /// State of the partition itself.
    pub meta: Vec<u8>,
}

/// Everything one partition knows, and the pure step over it.
#[derive(Debug)]
pub struct Partition {
    id: u16,
    partitions: u16,
    limits: Limits,
}

impl Partition {
    /// An empty partition `id` of `partitions`.
    pub fn new(id: u16, partitions: u16, limits: Limits) -> Self {
        assert!(id < partitions, "partitions are numbered from 0");
        Self { id, partitions, limits }
    }

    /// Number of this partition.
    pub fn id(&self) -> u16 {
        self.id
    }

    /// Makes the content of a version known, before a `Publish` record names it. The owner installs
    /// every version that was ever published and whose runs may still live ([`Self::versions`]).
    pub fn install(&mut self, _definitions: Arc<Definitions>) {}

    /// Version that new entries use, and every version with live runs.
    pub fn versions(&self) -> Vec<VersionId> {
        Vec::new()
    }

    /// Log time of the last record.
    pub fn now(&self) -> Timestamp {
        Timestamp::MIN
    }

    /// Appends to `ids` the profiles that must be loaded before `record` at `log_time` is applied:
    /// the record's own and those whose timers are due. A command to all may need many.
    pub fn missing(&self, _log_time: Timestamp, _record: &Record<'_>, _ids: &mut Vec<ProfileId>) {}

    /// Takes a profile from the store into memory; `None`: the store has none.
    pub fn load(&mut self, _id: ProfileId, _bytes: Option<&[u8]>) -> Result<(), DecodeError> {
        Ok(())
    }

    /// Applies one record: due timers first, then the record. Total and deterministic (DET-1).
    pub fn apply(
        &mut self,
        _position: LogPosition,
        _log_time: Timestamp,
        _record: &Record<'_>,
        _effects: &mut Effects,
    ) {
    }

    /// Fires what is due by `to`, as a `Tick` at that time does.
    pub fn advance(&mut self, position: LogPosition, to: Timestamp, effects: &mut Effects) {
        self.apply(position, to, &Record::Tick, effects);
    }

    /// Earliest instant for which a timer is armed. The owner appends a `Tick` once log time would
    /// be later than it.
    pub fn next_wake(&self) -> Option<Timestamp> {
        None
    }

    /// How many profiles changed since the last checkpoint.
    pub fn dirty(&self) -> usize {
        0
    }

    /// Everything that changed since the last call, and the partition's own state.
    pub fn take_checkpoint(&mut self) -> Checkpoint {
        let _ = self.limits;
        let _ = self.partitions;
        Checkpoint::default()
    }

    /// Takes back the partition's own state as a checkpoint wrote it.
    pub fn restore_meta(&mut self, _bytes: &[u8]) -> Result<(), DecodeError> {
        Ok(())
    }

    /// Takes back one profile's wake as a checkpoint wrote it.
    pub fn restore_wake(&mut self, _id: ProfileId, _wake: Wake) {}

    /// Profiles in memory.
    pub fn resident(&self) -> usize {
        0
    }

    /// Drops profiles that are clean and were not used lately, until at most `keep` are in memory
    /// (or all that remain are dirty). Gives the number dropped.
    pub fn evict(&mut self, _keep: usize) -> usize {
        0
    }
}
