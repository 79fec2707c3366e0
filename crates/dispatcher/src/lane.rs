//! One partition of `actions`: how far it has been read, and its checkpoint.

use crate::pending::Pending;
use crate::{DispatchError, limits, memory, metrics};
use bytes::Bytes;
use sojourn_model::{ActionId, Name, Timestamp};
use sojourn_ports::{Checkpoint, Space, StateError, StateStore, Write};
use sojourn_proto::{Admission, Origin, Sources};
use std::collections::{BTreeMap, BTreeSet};

/// A partition that this dispatcher reads.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) partition: u16,
    /// Partition of `dispatch` that it writes to.
    pub(crate) dispatch: u16,
    pub(crate) owner: String,
    epoch: u64,
    /// Next offset to read.
    pub(crate) next: u64,
    /// How far cancels have been looked for ahead of `next`.
    pub(crate) scanned: u64,
    /// What has been seen of each owner that publishes here (LOG-2).
    pub(crate) sources: Sources,
    /// Rows that differ from what is saved.
    pub(crate) dirty: BTreeSet<ActionId>,
    changes: usize,
    saved_at: Timestamp,
    /// The end of `dispatch` at the last checkpoint.
    pub(crate) saved_dispatch: u64,
    claim_again: bool,
}

impl Lane {
    /// The store's owner name of a partition.
    pub(crate) fn owner_of(partition: u16) -> String {
        format!("dispatcher/{partition}")
    }

    /// A lane as claimed.
    pub(crate) fn new(partition: u16, dispatch: u16, epoch: u64, next: u64) -> Self {
        Self {
            partition,
            dispatch,
            owner: Self::owner_of(partition),
            epoch,
            next,
            scanned: next,
            sources: Sources::default(),
            dirty: BTreeSet::new(),
            changes: 0,
            saved_at: Timestamp::MIN,
            saved_dispatch: 0,
            claim_again: false,
        }
    }

    /// Whether a record is new, and if so remembers it (LOG-2).
    pub(crate) fn take(&mut self, origin: Origin) -> bool {
        self.sources.admit(true, origin) == Admission::New
    }

    /// Something of this lane changed.
    pub(crate) fn touch(&mut self, id: Option<ActionId>) {
        self.changes += 1;
        self.dirty.extend(id);
    }

    /// Whether a checkpoint is due.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.changes >= limits::CHECKPOINT_CHANGES
            || (self.changes > 0 && now.since(self.saved_at).0 >= limits::CHECKPOINT_EVERY.0)
    }

    pub(crate) fn has_changes(&self) -> bool {
        self.changes > 0
    }

    /// Saves position, high-water marks and every row that changed, in one atomic write. The caller
    /// has made everything durable that the rows tell of.
    ///
    /// An unknown outcome is claimed anew and written again: rows name the whole state of an action,
    /// so writing them twice does not matter.
    pub(crate) fn checkpoint(
        &mut self,
        store: &dyn StateStore,
        pending: &BTreeMap<ActionId, Pending>,
        early: &BTreeMap<ActionId, (Name, u16)>,
        dispatch_next: u64,
        now: Timestamp,
    ) -> Result<bool, DispatchError> {
        if self.claim_again {
            match store.claim(&self.owner) {
                Ok(claim) => {
                    self.epoch = claim.epoch;
                    self.claim_again = false;
                }
                Err(StateError::Unknown(_) | StateError::Failed(_)) => return Ok(self.failed()),
                Err(error) => return Err(error.into()),
            }
        }
        let lane = memory::SavedLane {
            dispatch_next,
            sources: self.sources.clone(),
            early: early
                .iter()
                .filter(|(_, (_, partition))| *partition == self.partition)
                .map(|(id, (reason, _))| (*id, reason.clone()))
                .collect(),
        };
        let row = serde_json::to_vec(&lane).expect("plain data");
        let mut writes = vec![write(Bytes::from_static(memory::LANE_KEY), Some(row.into()))];
        for id in &self.dirty {
            let row = pending.get(id).map(memory::encode_pending);
            writes.push(write(memory::pending_key(*id), row));
        }
        match store.checkpoint(&self.owner, self.epoch, Checkpoint { position: self.next, writes })
        {
            Ok(()) => {
                self.dirty.clear();
                self.changes = 0;
                self.saved_at = now;
                self.saved_dispatch = dispatch_next;
                Ok(true)
            }
            Err(StateError::Unknown(_)) => {
                self.claim_again = true;
                Ok(self.failed())
            }
            Err(StateError::Failed(_)) => Ok(self.failed()),
            Err(error) => Err(error.into()),
        }
    }

    fn failed(&self) -> bool {
        metrics::checkpoint_failed();
        false
    }
}

fn write(key: Bytes, value: Option<Bytes>) -> Write {
    Write { space: Space::Meta, key, value }
}
