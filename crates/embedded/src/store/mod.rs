//! State and identity graph in one fjall database.
//!
//! - **LOG-2:** a checkpoint is one fjall batch with the owner's position, committed with fdatasync.
//! - Commits of all owners share the database's journal: whoever comes first commits for everybody
//!   who waits (group commit), so that many owners cost one fsync.
//! - The database belongs to one process ([`crate::DirLock`]): epochs are checked in memory.
//! - fjall keeps deleted keys until compaction, and a scan from the begin of a deleted range walks
//!   over all of them (seconds for a million): callers that eat a space from its front remember
//!   where they are and scan from there.

mod cache;
mod commit;
mod graph;
mod owners;
mod snapshot;

use bytes::Bytes;
use cache::NodeCache;
use commit::Queue;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, Readable};
use owners::Owners;
use parking_lot::{Condvar, Mutex};
use sojourn_ports::state::limits;
use sojourn_ports::{Checkpoint, Claim, OwnersCheckpoint, Space, StateError, StateStore};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Settings of the store.
#[derive(Debug, Clone, Copy)]
pub struct StoreOptions {
    /// Bytes of fjall's block cache.
    pub cache_bytes: u64,
    /// Bytes of a keyspace's memtable before it is flushed.
    pub memtable_bytes: u64,
    /// Bytes of identity-graph nodes kept decoded.
    pub node_cache_bytes: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { cache_bytes: 256 << 20, memtable_bytes: 32 << 20, node_cache_bytes: 64 << 20 }
    }
}

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// fjall says no.
    #[error(
        "the state in {path} cannot be opened: {source}; restore from a snapshot if it is damaged"
    )]
    Open {
        /// The folder.
        path: String,
        /// What fjall said.
        source: fjall::Error,
    },
    /// A record of the store's own makes no sense.
    #[error("the state in {path} is damaged: {what}; restore from a snapshot")]
    Damaged {
        /// The folder.
        path: String,
        /// What is wrong.
        what: String,
    },
}

/// The embedded store: [`StateStore`] and [`sojourn_ports::IdentityGraph`].
pub struct FjallStore {
    db: Database,
    /// One keyspace per [`Space`], by its ordinal; keys begin with the owner and a NUL.
    spaces: Vec<Keyspace>,
    /// Nodes: version (8 bytes, big-endian), then the value.
    nodes: Keyspace,
    /// Epochs and positions.
    records: Keyspace,
    owners: Mutex<Owners>,
    queue: Mutex<Queue>,
    /// Rung when a group of commits is done.
    committed: Condvar,
    cache: Mutex<NodeCache>,
    commits: AtomicU64,
}

/// Names of the keyspaces of [`Space::ALL`], in its order; stable on disk.
const SPACE_NAMES: [&str; 8] =
    ["profile", "wake", "meta", "merge", "graph", "seen", "content", "index"];
const NODES: &str = "nodes";
const RECORDS: &str = "owners";

impl FjallStore {
    /// Opens the store in `dir` or creates it.
    pub fn open(dir: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let open = |source| StoreError::Open { path: dir.display().to_string(), source };
        let db = Database::builder(dir)
            .cache_size(options.cache_bytes)
            .worker_threads(2)
            .open()
            .map_err(open)?;
        let settings =
            || KeyspaceCreateOptions::default().max_memtable_size(options.memtable_bytes);
        let keyspace = |name: &str| db.keyspace(name, settings).map_err(open);
        let spaces = SPACE_NAMES.iter().map(|name| keyspace(name)).collect::<Result<_, _>>()?;
        let (nodes, records) = (keyspace(NODES)?, keyspace(RECORDS)?);
        let owners = Owners::load(&records)
            .map_err(|what| StoreError::Damaged { path: dir.display().to_string(), what })?;
        Ok(Self {
            db,
            spaces,
            nodes,
            records,
            owners: Mutex::new(owners),
            queue: Mutex::default(),
            committed: Condvar::new(),
            cache: Mutex::new(NodeCache::new(options.node_cache_bytes)),
            commits: AtomicU64::new(0),
        })
    }

    /// Commits of the database so far; several checkpoints may share one.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Every keyspace with its name, for snapshots.
    pub(crate) fn keyspaces(&self) -> impl Iterator<Item = (&'static str, &Keyspace)> {
        let spaces = SPACE_NAMES.into_iter().zip(&self.spaces);
        spaces.chain([(NODES, &self.nodes), (RECORDS, &self.records)])
    }

    /// Whether this version knows a keyspace of that name.
    pub(crate) fn has_keyspace(name: &str) -> bool {
        SPACE_NAMES.contains(&name) || [NODES, RECORDS].contains(&name)
    }

    /// The keyspace of that name, for restoring.
    pub(crate) fn keyspace(&self, name: &str) -> Option<&Keyspace> {
        self.keyspaces().find(|(known, _)| *known == name).map(|(_, keyspace)| keyspace)
    }

    pub(crate) fn db(&self) -> &Database {
        &self.db
    }
}

fn failed(error: &fjall::Error) -> StateError {
    StateError::Failed(error.to_string())
}

/// Begin of an owner's keys.
fn prefix(owner: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(owner.len() + 1 + limits::KEY_BYTES_MAX);
    key.extend_from_slice(owner.as_bytes());
    key.push(0);
    key
}

impl StateStore for FjallStore {
    fn claim(&self, owner: &str) -> Result<Claim, StateError> {
        limits::check_owner(owner)?;
        if let Some(reason) = self.unclaimable(owner) {
            return Err(StateError::Failed(reason));
        }
        self.claim_record(owner).map_err(|error| failed(&error))
    }

    fn get(
        &self,
        owner: &str,
        space: Space,
        keys: &[Bytes],
    ) -> Result<Vec<Option<Bytes>>, StateError> {
        // A snapshot: a plain get could see half of a checkpoint of another thread.
        let snapshot = self.db.snapshot();
        let keyspace = &self.spaces[space as usize];
        let mut key = prefix(owner);
        let begin = key.len();
        let mut values = Vec::with_capacity(keys.len());
        for wanted in keys {
            key.truncate(begin);
            key.extend_from_slice(wanted);
            let found = snapshot.get(keyspace, &key).map_err(|error| failed(&error))?;
            values.push(found.map(|value| Bytes::copy_from_slice(&value)));
        }
        Ok(values)
    }

    fn scan(
        &self,
        owner: &str,
        space: Space,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StateError> {
        let (mut begin, mut end) = (prefix(owner), prefix(owner));
        let skip = begin.len();
        begin.extend_from_slice(from);
        match to {
            Some(to) => end.extend_from_slice(to),
            // The owner's name ends in NUL: one above it is above all its keys.
            None => *end.last_mut().expect("the NUL") = 1,
        }
        if begin >= end {
            return Ok(());
        }
        let snapshot = self.db.snapshot();
        for guard in snapshot.range(&self.spaces[space as usize], begin..end) {
            let (key, value) = guard.into_inner().map_err(|error| failed(&error))?;
            if !visit(&key[skip..], &value) {
                break;
            }
        }
        Ok(())
    }

    fn checkpoint(
        &self,
        owner: &str,
        epoch: u64,
        checkpoint: Checkpoint,
    ) -> Result<(), StateError> {
        limits::check_owner(owner)?;
        limits::check(&checkpoint)?;
        self.submit_checkpoint(owner, epoch, checkpoint)
    }

    fn checkpoint_each(&self, checkpoints: Vec<OwnersCheckpoint>) -> Vec<Result<(), StateError>> {
        let checked: Vec<_> = checkpoints
            .iter()
            .map(|one| limits::check_owner(&one.owner).and(limits::check(&one.checkpoint)))
            .collect();
        if checked.iter().all(Result::is_ok) {
            return self.submit_checkpoints(checkpoints);
        }
        // Rare: each by itself, so that one over a limit keeps none of the others back.
        let one = |one: OwnersCheckpoint| self.checkpoint(&one.owner, one.epoch, one.checkpoint);
        checkpoints.into_iter().map(one).collect()
    }

    fn owners(&self) -> Result<Vec<(String, u64)>, StateError> {
        Ok(self.owners.lock().positions())
    }
}
