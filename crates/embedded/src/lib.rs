//! Log, state store and identity graph on one machine: own segment files and fjall.

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the cases wait for threads")]
mod contract;
mod journal;
mod lock;
mod snapshot;
mod store;

pub use journal::{Damage, Journal, JournalOptions, JournalStats, Probes};
pub use lock::{DirLock, LockError};
pub use snapshot::{
    JOURNAL_DIR, LINK_KEY_FILE, STATE_DIR, SnapshotError, SnapshotInfo, restore, snapshot, verify,
};
pub use store::{FjallStore, StoreError, StoreOptions};

/// A folder in memory where there is one: tests sync a lot and check no device.
#[cfg(test)]
fn test_folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}
