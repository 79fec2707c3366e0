//! How an owner knows that the store still stands where it left it.
//!
//! With every checkpoint the owner writes its epoch and position beside the state. State at a
//! position is a function of the log alone, so what is read from the store is right exactly while
//! the store stands at this owner's own position: after a successor's checkpoint it is newer than
//! the record being applied, and after a roll-back it is older.

use crate::error::OwnerError;
use crate::owner::owner_name;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sojourn_ports::{Space, StateError, StateStore, Write};

/// Key of [`Held`] in [`Space::Meta`].
const META_HELD: &[u8] = b"held";

/// Who wrote the last checkpoint, and where the store stands since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// Epoch of publication (see `sojourn_proto::Origin`).
    pub(crate) epoch: u64,
    pub(crate) position: u64,
}

impl Held {
    /// The row that tells it.
    pub(crate) fn write(self) -> Write {
        let value = postcard::to_stdvec(&self).expect("two numbers encode");
        let key = Bytes::from_static(META_HELD);
        Write { space: Space::Meta, key, value: Some(value.into()) }
    }

    /// Fails unless the store still stands here, or already at the checkpoint that is on its way.
    /// To be called after reading from the store and before anything that depends on what was read
    /// leaves the owner.
    pub(crate) fn verify(
        self,
        store: &dyn StateStore,
        partition: u16,
        on_its_way: Option<Self>,
    ) -> Result<(), OwnerError> {
        let owner = owner_name(partition);
        let found = store
            .get(&owner, Space::Meta, &[Bytes::from_static(META_HELD)])
            .map_err(|source| OwnerError::State { partition, source })?;
        let row = found.into_iter().next().flatten();
        match row.and_then(|row| postcard::from_bytes::<Self>(&row).ok()) {
            Some(held) if held == self || Some(held) == on_its_way => Ok(()),
            // Only another owner moves the store on.
            Some(Self { epoch: current, position })
                if current > self.epoch || position > self.position =>
            {
                let source = StateError::Fenced { owner, mine: self.epoch, current };
                Err(OwnerError::State { partition, source })
            }
            older => Err(OwnerError::Older {
                partition,
                position: self.position,
                found: older.map(|held| held.position),
            }),
        }
    }
}
