//! Where a workspace lives: one folder, or Kafka and Redis. The roles see ports.

use crate::distributed::Distributed;
use crate::storage::{Embedded, data_dir};
use anyhow::{Context, Result, bail};
use sojourn_embedded::SnapshotInfo;
use sojourn_memory::MemoryGate;
use sojourn_model::Timestamp;
use sojourn_ports::{Clock, IdentityGraph, Log, MarkKeeper, StateStore};
use sojourn_rules::{Storage, Workspace};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The ports of a workspace, open.
pub struct Backend {
    /// Folder for what belongs to this process: addresses, keys; on embedded storage all the data.
    pub data: PathBuf,
    /// The log.
    pub log: Arc<dyn Log>,
    /// The state.
    pub store: Arc<dyn StateStore>,
    /// The identity graph.
    pub graph: Arc<dyn IdentityGraph>,
    /// The gate, with what its keeper needs.
    pub gate: Arc<dyn MarkKeeper>,
    kind: Kind,
}

enum Kind {
    Embedded(Embedded),
    Distributed(Distributed),
}

/// Pause of the keeper between two looks, where a look costs nothing, and where each is a question to
/// the brokers per partition.
const KEEP: Duration = Duration::from_millis(10);
const KEEP_REMOTE: Duration = Duration::from_millis(200);

impl Backend {
    /// Opens what `storage` of the workspace in `dir` names.
    pub fn open(dir: &Path, storage: &Storage, clock: Arc<dyn Clock>) -> Result<Self> {
        let storage = filled(storage)?;
        match &*storage.kind {
            "embedded" => {
                let embedded = Embedded::open(dir, &storage, clock.clone())?;
                let (log, store, graph) = embedded.ports();
                let gate = Arc::new(MemoryGate::new(clock));
                let data = embedded.data.clone();
                Ok(Self { data, log, store, graph, gate, kind: Kind::Embedded(embedded) })
            }
            "kafka+redis" => {
                let data = data_dir(dir, &storage);
                std::fs::create_dir_all(&data)
                    .with_context(|| format!("cannot make {}", data.display()))?;
                let distributed = Distributed::open(dir, &storage, clock.clone())?;
                let gate = Arc::new(distributed.gate(clock)?);
                Ok(Self {
                    data,
                    log: distributed.log.clone(),
                    store: Arc::new(distributed.redis.store()),
                    graph: Arc::new(distributed.redis.graph()),
                    gate,
                    kind: Kind::Distributed(distributed),
                })
            }
            other => bail!("storage.kind `{other}` is for tests; write embedded or kafka+redis"),
        }
    }

    /// The storage that several processes share; `None`: it belongs to this one.
    pub fn shared(&self) -> Option<&Distributed> {
        match &self.kind {
            Kind::Embedded(_) => None,
            Kind::Distributed(distributed) => Some(distributed),
        }
    }

    /// Writes a snapshot to the file `to` while everything goes on; embedded storage only.
    pub(crate) fn snapshot(&self, to: &Path, now: Timestamp) -> Result<SnapshotInfo> {
        match &self.kind {
            Kind::Embedded(embedded) => Ok(embedded.snapshot(to, now)?),
            Kind::Distributed(_) => bail!("snapshots are for embedded storage"),
        }
    }

    /// Pause of the keeper between two looks.
    pub(crate) fn keep_every(&self) -> Duration {
        if self.shared().is_some() { KEEP_REMOTE } else { KEEP }
    }

    /// The last thing that is done: what was appended becomes durable, files are closed.
    pub fn close(&self) {
        match &self.kind {
            Kind::Embedded(embedded) => embedded.journal.close(),
            Kind::Distributed(distributed) => {
                if let Err(error) = distributed.log.sync() {
                    tracing::warn!(%error, "the end of the log may be missing");
                }
            }
        }
    }
}

/// The storage with `${NAME}` replaced. The other settings of the workspace need no values for that.
pub(crate) fn filled(storage: &Storage) -> Result<Storage> {
    let alone = Workspace { storage: storage.clone(), ..Workspace::default() };
    let filled = sojourn_rules::resolve(&alone, &crate::workspace::secret);
    filled.map(|workspace| workspace.storage).map_err(|findings| {
        let lines: Vec<_> = findings.iter().map(crate::definitions::describe).collect();
        anyhow::anyhow!(lines.join("\n"))
    })
}
