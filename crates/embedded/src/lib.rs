//! Log, state store and identity graph on one machine: own segment files and fjall.

#[cfg(test)]
mod contract;
mod journal;
mod lock;
mod snapshot;
mod store;

pub use journal::{Damage, Journal, JournalOptions, JournalStats, Probes};
pub use lock::{DirLock, LockError};
pub use snapshot::{
    JOURNAL_DIR, STATE_DIR, SnapshotError, SnapshotInfo, restore, snapshot, verify,
};
pub use store::{FjallStore, StoreError, StoreOptions};
