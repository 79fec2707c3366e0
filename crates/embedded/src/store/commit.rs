//! Group commit: one database batch and one fsync for everybody who waits.

use super::owners::{Owner, Owners, shard_name, version_key};
use super::{FjallStore, prefix};
use bytes::Bytes;
use fjall::{OwnedWriteBatch, PersistMode};
use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;
use sojourn_ports::{Checkpoint, GraphCommit, GraphError, OwnersCheckpoint, Space, StateError};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Who waits for the next group, and whether somebody leads it.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: Vec<(Job, Arc<Slot>)>,
    led: bool,
}

enum Job {
    State { owner: String, epoch: u64, checkpoint: Checkpoint },
    Graph { shard: u16, epoch: u64, commit: GraphCommit },
}

/// Where a job's outcome is put.
#[derive(Default)]
struct Slot(Mutex<Option<Result<(), Refusal>>>);

/// Why a job was not done.
#[derive(Debug, Clone)]
enum Refusal {
    Fenced { current: u64 },
    Conflict,
    Backwards { at: u64, to: u64 },
    Unknown(String),
    Failed(String),
}

impl Refusal {
    fn of_state(self, owner: &str, epoch: u64) -> StateError {
        match self {
            Self::Fenced { current } => {
                StateError::Fenced { owner: owner.to_owned(), mine: epoch, current }
            }
            Self::Conflict => unreachable!("a checkpoint has no guards"),
            Self::Backwards { at, to } => {
                StateError::Failed(format!("{owner} would go back from {at} to {to}"))
            }
            Self::Unknown(reason) => StateError::Unknown(reason),
            Self::Failed(reason) => StateError::Failed(reason),
        }
    }
}

/// A group being put together.
struct Group {
    batch: OwnedWriteBatch,
    /// Owners as they will be.
    owners: HashMap<String, Owner, foldhash::fast::FixedState>,
    /// Nodes as they will be.
    nodes: HashMap<Bytes, (u64, Option<Bytes>), foldhash::fast::FixedState>,
    version: u64,
}

impl FjallStore {
    pub(crate) fn submit_checkpoint(
        &self,
        owner: &str,
        epoch: u64,
        checkpoint: Checkpoint,
    ) -> Result<(), StateError> {
        let job = Job::State { owner: owner.to_owned(), epoch, checkpoint };
        let outcome = self.submit(vec![job]).pop().expect("one each");
        outcome.map_err(|refusal| refusal.of_state(owner, epoch))
    }

    /// Several checkpoints in one group.
    pub(crate) fn submit_checkpoints(
        &self,
        checkpoints: Vec<OwnersCheckpoint>,
    ) -> Vec<Result<(), StateError>> {
        let names: Vec<_> = checkpoints.iter().map(|one| (one.owner.clone(), one.epoch)).collect();
        let jobs = checkpoints.into_iter().map(|one| {
            let OwnersCheckpoint { owner, epoch, checkpoint } = one;
            Job::State { owner, epoch, checkpoint }
        });
        let outcomes = self.submit(jobs.collect()).into_iter().zip(names);
        outcomes
            .map(|(outcome, (owner, epoch))| outcome.map_err(|why| why.of_state(&owner, epoch)))
            .collect()
    }

    pub(crate) fn submit_commit(
        &self,
        shard: u16,
        epoch: u64,
        commit: GraphCommit,
    ) -> Result<(), GraphError> {
        let outcome =
            self.submit(vec![Job::Graph { shard, epoch, commit }]).pop().expect("one each");
        outcome.map_err(|refusal| match refusal {
            Refusal::Fenced { .. } => GraphError::Fenced { shard, mine: epoch },
            Refusal::Conflict => GraphError::Conflict,
            Refusal::Backwards { at, to } => {
                GraphError::Failed(format!("shard {shard} would go back from {at} to {to}"))
            }
            Refusal::Unknown(reason) => GraphError::Unknown(reason),
            Refusal::Failed(reason) => GraphError::Failed(reason),
        })
    }

    /// Waits until the jobs are done, leading a group when nobody else does. They come into one.
    fn submit(&self, jobs: Vec<Job>) -> Vec<Result<(), Refusal>> {
        let slots: Vec<_> = jobs.iter().map(|_| Arc::new(Slot::default())).collect();
        let mut queue = self.queue.lock();
        queue.waiting.extend(jobs.into_iter().zip(slots.iter().cloned()));
        loop {
            // A group is done as a whole.
            if slots.iter().all(|slot| slot.0.lock().is_some()) {
                return slots.iter().filter_map(|slot| slot.0.lock().take()).collect();
            }
            if queue.led {
                self.committed.wait(&mut queue);
                continue;
            }
            queue.led = true;
            let jobs = std::mem::take(&mut queue.waiting);
            drop(queue);
            self.lead(jobs);
            queue = self.queue.lock();
            queue.led = false;
            self.committed.notify_all();
        }
    }

    /// Checks and commits a group.
    fn lead(&self, jobs: Vec<(Job, Arc<Slot>)>) {
        let mut owners = self.owners.lock();
        let batch = self.db.batch().durability(Some(PersistMode::SyncData));
        let version = owners.version;
        let mut group =
            Group { batch, owners: HashMap::default(), nodes: HashMap::default(), version };
        let mut accepted = Vec::with_capacity(jobs.len());
        for (job, slot) in jobs {
            match self.accept(&owners, &mut group, job) {
                Ok(()) => accepted.push(slot),
                Err(refusal) => *slot.0.lock() = Some(Err(refusal)),
            }
        }
        let result = if accepted.is_empty() { Ok(()) } else { self.write(&mut owners, group) };
        for slot in accepted {
            *slot.0.lock() = Some(result.clone());
        }
    }

    fn accept(&self, owners: &Owners, group: &mut Group, job: Job) -> Result<(), Refusal> {
        match job {
            Job::State { owner, epoch, checkpoint } => {
                let to = checkpoint.position;
                let record = group.step(owners, owner.clone(), epoch, to)?;
                group.owners.insert(owner.clone(), record);
                self.put_writes(group, &owner, checkpoint);
                Ok(())
            }
            Job::Graph { shard, epoch, commit } => {
                let name = shard_name(shard);
                let record = group.step(owners, name.clone(), epoch, commit.position)?;
                for (key, seen) in &commit.guards {
                    let version = match group.nodes.get(key) {
                        Some(&(version, ref value)) => value.as_ref().map_or(0, |_| version),
                        None => {
                            self.node(key).map_err(|error| Refusal::Failed(error.to_string()))?.0
                        }
                    };
                    if version != *seen {
                        return Err(Refusal::Conflict);
                    }
                }
                group.owners.insert(name, record);
                group.version += 1;
                let version = group.version;
                for write in commit.writes {
                    group.nodes.insert(write.key, (version, write.value));
                }
                Ok(())
            }
        }
    }

    /// Puts a checkpoint's writes in the batch. fjall does not promise which of two writes of one
    /// key in a batch wins: only the last one is put.
    fn put_writes(&self, group: &mut Group, owner: &str, checkpoint: Checkpoint) {
        let mut seen: HashSet<(Space, Bytes), foldhash::fast::FixedState> = HashSet::default();
        let begin = prefix(owner);
        for write in checkpoint.writes.into_iter().rev() {
            let mut key = begin.clone();
            key.extend_from_slice(&write.key);
            if !seen.insert((write.space, write.key)) {
                continue;
            }
            let keyspace = &self.spaces[write.space as usize];
            match write.value {
                Some(value) => group.batch.insert(keyspace, key, &value[..]),
                None => group.batch.remove(keyspace, key),
            }
        }
    }

    /// Commits the group; what memory holds changes only when that has worked.
    fn write(&self, owners: &mut Owners, group: Group) -> Result<(), Refusal> {
        let Group { mut batch, owners: changed, nodes, version } = group;
        for (name, owner) in &changed {
            batch.insert(&self.records, name.as_str(), owner.encode());
        }
        if version != owners.version {
            batch.insert(&self.records, version_key(), version.to_be_bytes());
        }
        for (key, (version, value)) in &nodes {
            match value {
                Some(value) => {
                    let mut bytes = Vec::with_capacity(8 + value.len());
                    bytes.extend_from_slice(&version.to_be_bytes());
                    bytes.extend_from_slice(value);
                    batch.insert(&self.nodes, &key[..], bytes);
                }
                None => batch.remove(&self.nodes, &key[..]),
            }
        }
        // fjall refuses everything after a failed commit, until it is opened anew.
        batch.commit().map_err(|error| Refusal::Unknown(error.to_string()))?;
        self.commits.fetch_add(1, Ordering::Relaxed);
        owners.version = version;
        owners.all.extend(changed);
        let mut cache = self.cache.lock();
        for (key, (version, value)) in nodes {
            cache.written(key, value.map_or((0, None), |value| (version, Some(value))));
        }
        Ok(())
    }
}

impl Group {
    /// The owner's record after a step to `to`, if it may take it.
    fn step(&self, owners: &Owners, name: String, epoch: u64, to: u64) -> Result<Owner, Refusal> {
        let known = self.owners.get(&name).or_else(|| owners.all.get(&name));
        let mut owner = known.copied().unwrap_or_default();
        if owner.epoch != epoch {
            return Err(Refusal::Fenced { current: owner.epoch });
        }
        if let Some(at) = owner.position.filter(|&at| to < at) {
            return Err(Refusal::Backwards { at, to });
        }
        owner.position = Some(to);
        Ok(owner)
    }
}
