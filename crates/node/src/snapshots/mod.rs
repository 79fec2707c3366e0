//! Snapshots of a workspace on Kafka and Redis: each owner's state with its position, and back.
//!
//! A snapshot is a set of files: one per owner of the state store and one of the identity graph, each
//! as of one checkpoint, and `manifest.json`, which is written last: without it there is no snapshot.
//! The owners need not be of the same moment: each replays the log from its own position, and readers
//! skip what they have had (LOG-2). The log itself is not in it; Kafka has its own copies.

mod part;
mod shelf;

pub use shelf::{Draft, FolderShelf, Shelf};

use crate::backend::filled;
use crate::distributed::Distributed;
use crate::index;
use anyhow::{Context, Result, anyhow, bail, ensure};
use part::{Reader, Writer};
use serde::{Deserialize, Serialize};
use sojourn_model::Timestamp;
use sojourn_ports::snapshot::SnapshotError;
use sojourn_ports::{Bounds, Clock, Log, Over, Part, Snapshots, StateStore, Topic};
use sojourn_redis::LeaseView;
use sojourn_rules::Storage;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Name of the list of a snapshot's parts.
const MANIFEST: &str = "manifest.json";
/// Version of the files, in the manifest.
const VERSION: u32 = 1;
/// Bytes of a manifest (LIM-1): some 5,000 owners of 1,024 partitions.
const MANIFEST_BYTES_MAX: u64 = 8 << 20;
/// Attempts at a part that changed too much while it was read.
const ATTEMPTS: u32 = 3;
/// The graph among the parts.
const GRAPH: &str = "identity/0";

/// What a snapshot holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// What this is.
    format: String,
    /// Version of the files.
    version: u32,
    /// When it was begun, in milliseconds.
    pub created_ms: i64,
    /// Partitions of `profiles`.
    pub partitions: u16,
    /// The parts, by name.
    pub parts: Vec<PartFile>,
}

/// One part of a snapshot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PartFile {
    /// `engine/3`, or `identity/0` for the graph.
    pub part: String,
    /// Its file.
    pub file: String,
    /// Where the log goes on for it.
    pub position: u64,
    /// Rows.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// What became of one part at a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restored {
    /// It is back; the owner replays so many records from there.
    Back {
        /// Records of the log above the position.
        behind: u64,
    },
    /// The store has it already, at this position: it was left alone.
    There {
        /// Where the store stands.
        found: u64,
    },
    /// It was left alone for a reason that the operator should know.
    Refused(String),
}

/// A workspace on Kafka and Redis, for those who save and restore it.
pub struct Vault {
    distributed: Distributed,
    snapshots: Arc<dyn Snapshots>,
    clock: Arc<dyn Clock>,
}

fn part_of(name: &str) -> Part {
    if name == GRAPH { Part::Graph } else { Part::Owner(name.to_owned()) }
}

/// The topic and partition that an owner of that name reads.
fn source(name: &str) -> Option<(Topic, u16)> {
    let (role, place) = name.rsplit_once('/')?;
    let partition = place.parse().ok()?;
    let topic = match role {
        "identity" => Topic::Touchpoints,
        "engine" => Topic::Profiles,
        "dispatcher" => Topic::Actions,
        role => index::topic_of(role)?,
    };
    Some((topic, partition))
}

/// The role whose lease says who works on an owner of that name.
fn role(name: &str) -> &str {
    name.split('/').next().unwrap_or(name)
}

impl Vault {
    /// Connects to what `storage` of the workspace in `dir` names.
    pub fn open(dir: &Path, storage: &Storage, clock: Arc<dyn Clock>) -> Result<Self> {
        ensure!(&*storage.kind == "kafka+redis", "storage.kind is `{}`", storage.kind);
        let distributed = Distributed::open(dir, &filled(storage)?, clock.clone())?;
        let snapshots = Arc::new(distributed.redis.snapshots());
        Ok(Self { distributed, snapshots, clock })
    }

    /// Writes a snapshot of `only` these partitions (empty: of everything) while all goes on.
    pub fn save(
        &self,
        shelf: &dyn Shelf,
        only: &[u16],
        tell: &mut dyn FnMut(&PartFile),
    ) -> Result<Manifest> {
        if shelf.open(MANIFEST)?.is_some() {
            bail!("{} holds a snapshot already: name another place", shelf.place());
        }
        let created = self.clock.now();
        let mut names: Vec<String> =
            self.distributed.redis.store().owners()?.into_iter().map(|(name, _)| name).collect();
        names.push(GRAPH.to_owned());
        let mut parts = Vec::new();
        for name in names.into_iter().filter(|name| wanted(name, only)) {
            if let Some(file) = self.save_part(shelf, &name)? {
                tell(&file);
                parts.push(file);
            }
        }
        ensure!(!parts.is_empty(), "the store is empty: there is nothing to save");
        let manifest = Manifest {
            format: "sojourn snapshot".to_owned(),
            version: VERSION,
            created_ms: created.0,
            partitions: self.distributed.log.partitions(Topic::Profiles),
            parts,
        };
        let mut draft = shelf.create(MANIFEST)?;
        draft.write_all(&serde_json::to_vec_pretty(&manifest)?).with_context(|| shelf.place())?;
        draft.finish()?;
        Ok(manifest)
    }

    fn save_part(&self, shelf: &dyn Shelf, name: &str) -> Result<Option<PartFile>> {
        let file = format!("{}.part", name.replace('/', "."));
        for attempt in 1.. {
            let mut draft = shelf.create(&file)?;
            let mut writer = Writer::new(&mut *draft, name).with_context(|| shelf.place())?;
            let mut put = |row| writer.row(&row).map_err(|error| error.to_string());
            match self.snapshots.export(&part_of(name), &mut put) {
                // Claimed, and nothing was ever checkpointed.
                Ok(None) => return Ok(None),
                Ok(Some(position)) => {
                    let (rows, bytes) = writer.finish(position).with_context(|| shelf.place())?;
                    draft.finish()?;
                    let part = name.to_owned();
                    return Ok(Some(PartFile { part, file, position, rows, bytes }));
                }
                Err(error @ SnapshotError::Busy { .. }) if attempt < ATTEMPTS => {
                    tracing::warn!(%error, "the part is read again");
                }
                Err(error) => return Err(anyhow!(error).context(shelf.place())),
            }
        }
        unreachable!("the last attempt returns")
    }

    /// What the snapshot at `shelf` holds.
    pub fn manifest(&self, shelf: &dyn Shelf) -> Result<Manifest> {
        let Some(file) = shelf.open(MANIFEST)? else {
            bail!("{} holds no snapshot (no {MANIFEST})", shelf.place());
        };
        let mut text = Vec::new();
        file.take(MANIFEST_BYTES_MAX).read_to_end(&mut text).with_context(|| shelf.place())?;
        let at = || format!("{} in {}", MANIFEST, shelf.place());
        let manifest: Manifest = serde_json::from_slice(&text).with_context(at)?;
        ensure!(
            manifest.version == VERSION,
            "{} is of version {}, this program reads {VERSION}",
            at(),
            manifest.version
        );
        let partitions = self.distributed.log.partitions(Topic::Profiles);
        ensure!(
            manifest.partitions == partitions,
            "{} is of {} partitions, the topics have {partitions}: people would live elsewhere",
            at(),
            manifest.partitions
        );
        Ok(manifest)
    }

    /// Brings the parts of `only` these partitions back (empty: all). What somebody works on, and what
    /// the log no longer fits, is left alone; so is what stands further, unless `over` says otherwise.
    /// Every file is read through before anything is written.
    pub fn restore(
        &self,
        shelf: &dyn Shelf,
        only: &[u16],
        over: Over,
        tell: &mut dyn FnMut(&PartFile, &Restored),
    ) -> Result<Manifest> {
        let mut manifest = self.manifest(shelf)?;
        manifest.parts.retain(|file| wanted(&file.part, only));
        ensure!(!manifest.parts.is_empty(), "{} has no such partition", shelf.place());
        for file in &manifest.parts {
            self.verify(shelf, file)?;
        }
        let mut views = BTreeMap::new();
        for file in &manifest.parts {
            let role = role(&file.part).to_owned();
            if source(&file.part).is_some() && !views.contains_key(&role) {
                let view = self.distributed.redis.leases().look(&role).map_err(|e| anyhow!(e))?;
                views.insert(role, view);
            }
        }
        for file in &manifest.parts {
            let view = views.get(role(&file.part));
            let outcome = self.restore_part(shelf, file, view, over)?;
            tell(file, &outcome);
        }
        Ok(manifest)
    }

    fn verify(&self, shelf: &dyn Shelf, file: &PartFile) -> Result<()> {
        let mut bytes = opened(shelf, file)?;
        let mut reader = Reader::new(&mut *bytes, &file.file, &file.part)?;
        while reader.row()?.is_some() {}
        let end = reader.end().context("a part that was read has an end")?;
        ensure!(
            (end.rows, end.position) == (file.rows, file.position),
            "{} is not the file that {MANIFEST} names: {} rows at {}, not {} at {}",
            file.file,
            end.rows,
            end.position,
            file.rows,
            file.position
        );
        Ok(())
    }

    fn restore_part(
        &self,
        shelf: &dyn Shelf,
        file: &PartFile,
        view: Option<&LeaseView>,
        over: Over,
    ) -> Result<Restored> {
        let part = part_of(&file.part);
        let found = self.snapshots.position(&part)?;
        // An index that has lost its past goes on from where the log begins: it is made anew from the
        // snapshot's position on, which the log still has.
        let over = if role(&file.part) == "index" { Over::Anything } else { over };
        let mut behind = 0;
        if let Some((topic, partition)) = source(&file.part) {
            let bounds = self.distributed.log.bounds(topic, partition)?;
            if let Some(reason) = unfit(file, topic, bounds) {
                return Ok(Restored::Refused(reason));
            }
            let runs = found.is_some_and(|at| (bounds.first..=bounds.next).contains(&at));
            let holder = view.and_then(|view| view.places.iter().find(|p| p.place == partition));
            if let Some(holder) = holder.filter(|_| runs) {
                return Ok(Restored::Refused(format!(
                    "{} works on it: stop that process first",
                    holder.member
                )));
            }
            behind = bounds.next - file.position;
        }
        if let Some(found) = found.filter(|&at| over == Over::Older && at >= file.position) {
            return Ok(Restored::There { found });
        }
        let mut bytes = opened(shelf, file)?;
        let mut reader = Reader::new(&mut *bytes, &file.file, &file.part)?;
        let mut rows = || reader.row().map_err(|error| format!("{error:#}"));
        match self.snapshots.import(&part, file.position, over, &mut rows) {
            Ok(()) => Ok(Restored::Back { behind }),
            Err(SnapshotError::Newer { found, .. }) => Ok(Restored::There { found }),
            Err(error) => Err(error.into()),
        }
    }
}

fn opened<'a>(shelf: &'a dyn Shelf, file: &PartFile) -> Result<Box<dyn Read + 'a>> {
    shelf.open(&file.file)?.with_context(|| format!("{} lacks {}", shelf.place(), file.file))
}

/// Why the log does not fit a part.
fn unfit(file: &PartFile, topic: Topic, bounds: Bounds) -> Option<String> {
    let (position, name) = (file.position, topic.as_str());
    let Bounds { first, next, .. } = bounds;
    if position < first {
        return Some(format!(
            "the snapshot stands at {position} and {name} begins at {first}: what came between is \
             gone; a later snapshot is needed"
        ));
    }
    (position > next).then(|| {
        format!("the snapshot stands at {position} and {name} ends at {next}: it is of another log")
    })
}

fn wanted(name: &str, only: &[u16]) -> bool {
    if only.is_empty() {
        return true;
    }
    let of = source(name).filter(|_| name != GRAPH);
    of.is_some_and(|(_, partition)| only.contains(&partition))
}

impl Manifest {
    /// When it was begun.
    pub fn created(&self) -> Timestamp {
        Timestamp(self.created_ms)
    }
}
