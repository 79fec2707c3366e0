//! Where the roles stand: told by the roles of this process, or read from the store that the roles of
//! all processes write.

use crate::index;
use crate::roles::{Shared, nap};
use parking_lot::Mutex;
use sojourn_ports::{IdentityGraph, StateStore, Topic};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Pause between two looks at the store, while somebody wants to know.
const LOOK: Duration = Duration::from_millis(50);
/// Pause after a look that failed.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Where the roles stand; of a number 0: not known yet, else offset + 1.
///
/// Of another process only its last checkpoint is known. That is less than what it has applied, and
/// what is asked here is always whether something has been passed.
pub(crate) struct Positions {
    identity: AtomicU64,
    identity_committed: AtomicU64,
    owners: Vec<AtomicU64>,
    owners_committed: Vec<AtomicU64>,
    index: Mutex<Vec<(Topic, u16, u64)>>,
    /// Where the dispatchers read `actions`; `None`: not all of them are known.
    actions: Mutex<Option<Vec<(Topic, u16, u64)>>>,
    /// The store tells, not the roles of this process.
    shared: bool,
    asked: AtomicBool,
    /// Somebody waits for the index.
    index_wanted: AtomicBool,
}

fn set(slot: &AtomicU64, position: Option<u64>) {
    slot.store(position.map_or(0, |offset| offset + 1), Ordering::Release);
}

fn get(slot: &AtomicU64) -> Option<u64> {
    slot.load(Ordering::Acquire).checked_sub(1)
}

impl Positions {
    /// Nothing is known yet. `shared`: roles of other processes count, [`watch`] reads where they are.
    pub(crate) fn new(partitions: u16, shared: bool) -> Self {
        let zeros = || (0..partitions).map(|_| AtomicU64::new(0)).collect();
        Self {
            identity: AtomicU64::new(0),
            identity_committed: AtomicU64::new(0),
            owners: zeros(),
            owners_committed: zeros(),
            index: Mutex::default(),
            actions: Mutex::default(),
            shared,
            asked: AtomicBool::new(false),
            index_wanted: AtomicBool::new(false),
        }
    }

    /// Identity of this process has applied and committed so far.
    pub(crate) fn note_identity(&self, applied: Option<u64>, committed: Option<u64>) {
        if !self.shared {
            set(&self.identity, applied);
            set(&self.identity_committed, committed);
        }
    }

    /// An owner of this process has applied and committed so far.
    pub(crate) fn note_owner(&self, partition: u16, applied: Option<u64>, committed: Option<u64>) {
        if !self.shared {
            set(&self.owners[usize::from(partition)], applied);
            set(&self.owners_committed[usize::from(partition)], committed);
        }
    }

    /// The index of this process has taken up so far.
    pub(crate) fn note_index(&self, cursors: Vec<(Topic, u16, u64)>) {
        if !self.shared {
            *self.index.lock() = cursors;
        }
    }

    /// The dispatcher of this process has read so far.
    pub(crate) fn note_actions(&self, cursors: Vec<(Topic, u16, u64)>) {
        if !self.shared {
            *self.actions.lock() = Some(cursors).filter(|all| !all.is_empty());
        }
    }

    pub(crate) fn identity(&self) -> Option<u64> {
        get(&self.identity)
    }

    pub(crate) fn identity_committed(&self) -> Option<u64> {
        get(&self.identity_committed)
    }

    pub(crate) fn owner(&self, partition: u16) -> Option<u64> {
        get(&self.owners[usize::from(partition)])
    }

    pub(crate) fn owner_committed(&self, partition: u16) -> Option<u64> {
        get(&self.owners_committed[usize::from(partition)])
    }

    pub(crate) fn index(&self) -> Vec<(Topic, u16, u64)> {
        self.index.lock().clone()
    }

    pub(crate) fn actions(&self) -> Vec<(Topic, u16, u64)> {
        self.actions.lock().clone().unwrap_or_default()
    }

    /// Whether somebody of this process waits for the index.
    pub(crate) fn index_wanted(&self) -> bool {
        self.index_wanted.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn identity_reached(&self, end: u64) -> bool {
        self.asked.store(true, Ordering::Release);
        self.identity().is_some_and(|at| at >= end)
    }

    pub(crate) fn owners_reached(&self, ends: &[u64]) -> bool {
        self.asked.store(true, Ordering::Release);
        self.owners.iter().zip(ends).all(|(at, end)| get(at).is_some_and(|at| at >= *end))
    }

    pub(crate) fn index_reached(&self, wanted: &[(Topic, u16, u64)]) -> bool {
        self.asked.store(true, Ordering::Release);
        self.index_wanted.store(true, Ordering::Release);
        let index = self.index.lock();
        wanted.iter().all(|(topic, partition, end)| {
            index.iter().any(|(t, p, at)| t == topic && p == partition && at >= end)
        })
    }

    /// Whether the dispatchers have read `actions` so far.
    pub(crate) fn actions_reached(&self, ends: &[u64]) -> bool {
        self.asked.store(true, Ordering::Release);
        let actions = self.actions.lock();
        actions
            .as_ref()
            .is_some_and(|all| all.iter().all(|(_, p, at)| *at >= ends[usize::from(*p)]))
    }

    /// Takes over what the store says.
    pub(crate) fn read(
        &self,
        store: &dyn StateStore,
        graph: &dyn IdentityGraph,
    ) -> Result<(), String> {
        let identity = sojourn_identity::committed(graph, 0).map_err(|error| error.to_string())?;
        set(&self.identity, identity);
        set(&self.identity_committed, identity);
        let (mut indexed, mut dispatched) = (Vec::new(), Vec::new());
        for (owner, position) in store.owners().map_err(|error| error.to_string())? {
            let Some((role, place)) = owner.rsplit_once('/') else { continue };
            let Ok(partition) = place.parse::<u16>() else { continue };
            match role {
                "engine" if usize::from(partition) < self.owners.len() => {
                    set(&self.owners[usize::from(partition)], Some(position));
                    set(&self.owners_committed[usize::from(partition)], Some(position));
                }
                "dispatcher" => dispatched.push((Topic::Actions, partition, position)),
                _ => {
                    if let Some(topic) = index::topic_of(role) {
                        indexed.push((topic, partition, position));
                    }
                }
            }
        }
        *self.index.lock() = indexed;
        // What nobody has checkpointed yet has not been read.
        *self.actions.lock() = (dispatched.len() == self.owners.len()).then_some(dispatched);
        Ok(())
    }
}

/// Reads where the roles of all processes stand, as long as somebody asks.
pub(crate) fn watch(shared: &Shared, store: &dyn StateStore, graph: &dyn IdentityGraph) {
    while !shared.stopping() {
        nap(LOOK);
        if !shared.positions.asked.swap(false, Ordering::AcqRel) {
            continue;
        }
        if let Err(error) = shared.positions.read(store, graph) {
            tracing::warn!(error, "the store does not say where the roles stand");
            nap(LOOK_AGAIN);
        }
    }
}
