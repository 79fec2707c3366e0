//! The embedded backend of a workspace: one folder with journal, state and identity graph.

use anyhow::{Context, Result, bail};
use sojourn_embedded::{
    DirLock, FjallStore, JOURNAL_DIR, Journal, JournalOptions, STATE_DIR, SnapshotError,
    SnapshotInfo, StoreOptions,
};
use sojourn_model::Timestamp;
use sojourn_ports::{Clock, IdentityGraph, Layout, Log, StateStore};
use sojourn_rules::Storage;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Partitions of `profiles` in the embedded log: a small multiple of the cores of a small machine.
/// Fixed when the log is created.
pub const PARTITIONS: u16 = 4;

/// Everything that a data folder holds, open.
pub struct Embedded {
    /// The folder.
    pub data: PathBuf,
    /// The log.
    pub journal: Arc<Journal>,
    /// State and graph.
    pub store: Arc<FjallStore>,
    _lock: DirLock,
}

/// The data folder of a workspace in `dir`.
pub fn data_dir(dir: &Path, storage: &Storage) -> PathBuf {
    dir.join(&*storage.path)
}

impl Embedded {
    /// Opens or creates the folder. One process at a time.
    pub fn open(dir: &Path, storage: &Storage, clock: Arc<dyn Clock>) -> Result<Self> {
        if &*storage.kind != "embedded" {
            bail!("storage.kind is `{}`: this needs embedded storage", storage.kind);
        }
        let data = data_dir(dir, storage);
        std::fs::create_dir_all(&data)
            .with_context(|| format!("cannot make {}", data.display()))?;
        let lock = DirLock::take(&data, "sojourn")?;
        let mut options = JournalOptions::new(Layout::new(1, PARTITIONS));
        options.retention = storage.retention;
        let journal = Arc::new(Journal::open(&data.join(JOURNAL_DIR), options, clock)?);
        for damage in journal.damage() {
            tracing::error!(?damage, "a sealed segment is damaged; what it held cannot be read");
        }
        let store = Arc::new(FjallStore::open(&data.join(STATE_DIR), StoreOptions::default())?);
        Ok(Self { data, journal, store, _lock: lock })
    }

    /// Writes a snapshot to the file `to` while everything goes on.
    pub fn snapshot(&self, to: &Path, now: Timestamp) -> Result<SnapshotInfo, SnapshotError> {
        sojourn_embedded::snapshot(&self.journal, &self.store, &self.data, to, now, None)
    }

    /// As ports.
    pub fn ports(&self) -> (Arc<dyn Log>, Arc<dyn StateStore>, Arc<dyn IdentityGraph>) {
        (self.journal.clone(), self.store.clone(), self.store.clone())
    }
}
