//! What a partition's last checkpoint tells those who do not own it.

use crate::marks::Marks;
use crate::owner::{META_MARKS, META_WRITTEN, owner_name};
use bytes::Bytes;
use sojourn_model::Timestamp;
use sojourn_ports::{GateMark, Space, StateError, StateStore};

/// When a partition's last checkpoint was written, by the clock of its owner; `None`: there is none, or
/// it is of a version that did not say. For `doctor`.
pub fn checkpointed(
    store: &dyn StateStore,
    partition: u16,
) -> Result<Option<Timestamp>, StateError> {
    let key = Bytes::from_static(META_WRITTEN);
    let found = store.get(&owner_name(partition), Space::Meta, &[key])?;
    let Some(row) = found.into_iter().next().flatten() else { return Ok(None) };
    let at = postcard::from_bytes(&row).map_err(|error| StateError::Failed(error.to_string()))?;
    Ok(Some(Timestamp(at)))
}

/// The last orders about kill switches in a partition's last checkpoint: for a gate that has lost its
/// marks.
pub fn orders(store: &dyn StateStore, partition: u16) -> Result<Vec<GateMark>, StateError> {
    let key = Bytes::from_static(META_MARKS);
    let found = store.get(&owner_name(partition), Space::Meta, &[key])?;
    let Some(row) = found.into_iter().next().flatten() else { return Ok(Vec::new()) };
    let marks = Marks::decode(&row).map_err(|error| StateError::Failed(error.to_string()))?;
    Ok(marks.orders().collect())
}
