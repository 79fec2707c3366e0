//! Snapshots: one file with the store as it was at one moment and the journal from there on.
//!
//! The store is read first, then the journal is synced and copied: every position in the snapshot
//! is within its journal, so a restored house goes on by replay (LOG-2). Every block has a CRC and
//! the last one counts the others: a damaged or cut-off file is refused with its place, before
//! anything is written.

mod file;

use crate::journal::{Journal, write_layout};
use crate::store::{FjallStore, StoreError, StoreOptions};
use file::{Block, Reader, Writer};
use fjall::{PersistMode, Readable};
use sojourn_model::Timestamp;
use sojourn_ports::{Layout, Topic};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Folder of the journal in a data folder.
pub const JOURNAL_DIR: &str = "journal";
/// Folder of the store in a data folder.
pub const STATE_DIR: &str = "state";
/// The key that signs links in messages, in a data folder: with another one, the links of every
/// message that is out (also those to unsubscribe) would be dead after a restore.
pub const LINK_KEY_FILE: &str = "link.key";
/// Where a restore gathers what it reads, before it takes its place.
const DRAFT_DIR: &str = "restore.draft";
/// Bytes of keys and values in one block.
const CELLS_BYTES: usize = 1 << 20;

/// What a snapshot holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// When it was made.
    pub created: Timestamp,
    /// Partitions of the journal.
    pub layout: Layout,
    /// Keys of the store.
    pub keys: u64,
    /// Segments of the journal.
    pub segments: u64,
    /// Size of the file.
    pub bytes: u64,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file is not what was written.
    #[error("the snapshot {path} is damaged at byte {at}: {reason}; nothing was restored")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        at: u64,
        /// What is wrong.
        reason: String,
    },
    /// There is something already.
    #[error("{path} holds data already: restore into an empty folder, or move it away first")]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The system says no.
    #[error("{path}: {source}")]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The store says no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// fjall says no.
    #[error("the state cannot be read or written: {0}")]
    State(#[from] fjall::Error),
}

fn io_at(path: &Path) -> impl Fn(io::Error) -> SnapshotError + '_ {
    |source| SnapshotError::Io { path: path.to_owned(), source }
}

/// Writes a snapshot of a running house to the file `to`, which is there whole or not at all.
///
/// `data_dir`: where the key of the links lies. /// `from`: offsets from which on the journal is needed (the lowest position of each owner);
/// `None`: all of it, with the decisions of the past.
pub fn snapshot(
    journal: &Journal,
    store: &FjallStore,
    data_dir: &Path,
    to: &Path,
    created: Timestamp,
    from: Option<&[(Topic, u16, u64)]>,
) -> Result<SnapshotInfo, SnapshotError> {
    let draft = to.with_extension("draft");
    let io = io_at(&draft);
    let mut writer = Writer::create(&draft).map_err(&io)?;
    writer.put(&Block::Head { created, layout: *journal.layout() }).map_err(&io)?;
    match fs::read(data_dir.join(LINK_KEY_FILE)) {
        Ok(bytes) => {
            writer.put(&Block::File { name: LINK_KEY_FILE.to_owned(), bytes }).map_err(&io)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(io_at(&data_dir.join(LINK_KEY_FILE))(error)),
    }
    let keys = put_store(store, &mut writer, &draft)?;
    let segments = journal
        .export(from, &mut |number, at, bytes| {
            writer.put(&Block::Segment { number, at, bytes: bytes.to_vec() })
        })
        .map_err(&io)?;
    let bytes = writer.finish().map_err(&io)?;
    fs::rename(&draft, to).map_err(io_at(to))?;
    let dir = to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_at(dir))?;
    Ok(SnapshotInfo { created, layout: *journal.layout(), keys, segments, bytes })
}

/// The store as it is at one moment.
fn put_store(store: &FjallStore, writer: &mut Writer, draft: &Path) -> Result<u64, SnapshotError> {
    let moment = store.db().snapshot();
    let mut keys = 0;
    for (name, keyspace) in store.keyspaces() {
        let mut cells = Vec::new();
        let mut size = 0;
        let mut flush = |cells: &mut Vec<(Vec<u8>, Vec<u8>)>| {
            let cells = std::mem::take(cells);
            writer.put(&Block::Cells { keyspace: name.to_owned(), cells }).map_err(io_at(draft))
        };
        for guard in moment.iter(keyspace) {
            let (key, value) = guard.into_inner()?;
            size += key.len() + value.len();
            cells.push((key.to_vec(), value.to_vec()));
            keys += 1;
            if size > CELLS_BYTES {
                flush(&mut cells)?;
                size = 0;
            }
        }
        if !cells.is_empty() {
            flush(&mut cells)?;
        }
    }
    Ok(keys)
}

/// Reads a snapshot whole and says what it holds.
pub fn verify(path: &Path) -> Result<SnapshotInfo, SnapshotError> {
    let mut reader = Reader::open(path)?;
    let mut info: Option<SnapshotInfo> = None;
    let mut ends: BTreeMap<u64, u64> = BTreeMap::new();
    while let Some((at, block)) = reader.next()? {
        let damaged = |reason: &str| reader.damaged(at, reason);
        match (block, &mut info) {
            (Block::Head { created, layout }, None) => {
                info = Some(SnapshotInfo { created, layout, keys: 0, segments: 0, bytes: 0 });
            }
            (_, None) | (Block::Head { .. }, Some(_)) => {
                return Err(damaged("the head is not the first block"));
            }
            (Block::Cells { keyspace, cells }, Some(info)) => {
                if !FjallStore::has_keyspace(&keyspace) {
                    return Err(damaged("a keyspace that this version does not know"));
                }
                info.keys += cells.len() as u64;
            }
            (Block::Segment { number, at: place, bytes }, Some(_)) => {
                let end = ends.entry(number).or_default();
                if place != *end {
                    return Err(damaged("a segment has a hole"));
                }
                *end += bytes.len() as u64;
            }
            (Block::File { name, .. }, Some(_)) => {
                if name != LINK_KEY_FILE {
                    return Err(damaged("a file that this version does not know"));
                }
            }
        }
    }
    let Some(mut info) = info else { return Err(reader.damaged(0, "there is no head")) };
    info.segments = ends.len() as u64;
    info.bytes = reader.len();
    Ok(info)
}

/// Restores a snapshot into `data_dir`, which must hold neither journal nor state. The file is
/// verified first. Afterwards the folder is as after a crash at the moment of the snapshot.
pub fn restore(path: &Path, data_dir: &Path) -> Result<SnapshotInfo, SnapshotError> {
    let info = verify(path)?;
    for name in [JOURNAL_DIR, STATE_DIR] {
        let dir = data_dir.join(name);
        if dir.exists() {
            return Err(SnapshotError::NotEmpty { path: dir });
        }
    }
    let draft = data_dir.join(DRAFT_DIR);
    if draft.exists() {
        fs::remove_dir_all(&draft).map_err(io_at(&draft))?;
    }
    let journal = draft.join(JOURNAL_DIR);
    fs::create_dir_all(&journal).map_err(io_at(&journal))?;
    write_layout(&journal, &info.layout).map_err(io_at(&journal))?;
    write_blocks(path, &journal, &draft.join(STATE_DIR), &draft.join(LINK_KEY_FILE))?;
    let key = draft.join(LINK_KEY_FILE);
    if key.exists() {
        let to = data_dir.join(LINK_KEY_FILE);
        fs::rename(&key, &to).map_err(io_at(&to))?;
    }
    for name in [JOURNAL_DIR, STATE_DIR] {
        let to = data_dir.join(name);
        fs::rename(draft.join(name), &to).map_err(io_at(&to))?;
    }
    fs::remove_dir(&draft).map_err(io_at(&draft))?;
    File::open(data_dir).and_then(|dir| dir.sync_all()).map_err(io_at(data_dir))?;
    Ok(info)
}

fn write_blocks(
    path: &Path,
    journal: &Path,
    state: &Path,
    link_key: &Path,
) -> Result<(), SnapshotError> {
    let store = FjallStore::open(state, StoreOptions::default())?;
    let mut files: BTreeMap<u64, File> = BTreeMap::new();
    let mut reader = Reader::open(path)?;
    while let Some((_, block)) = reader.next()? {
        match block {
            Block::Head { .. } => {}
            Block::Cells { keyspace, cells } => {
                let keyspace = store.keyspace(&keyspace).expect("verified");
                let mut batch = store.db().batch();
                for (key, value) in cells {
                    batch.insert(keyspace, key, value);
                }
                batch.commit()?;
            }
            Block::Segment { number, at, bytes } => {
                let name = journal.join(crate::journal::segment_name(number));
                let io = io_at(&name);
                let file = match files.entry(number) {
                    std::collections::btree_map::Entry::Occupied(file) => file.into_mut(),
                    std::collections::btree_map::Entry::Vacant(free) => {
                        free.insert(File::create(&name).map_err(&io)?)
                    }
                };
                file.write_all_at(&bytes, at).map_err(&io)?;
            }
            Block::File { bytes, .. } => {
                let io = io_at(link_key);
                let mut options = File::options();
                options.write(true).create_new(true);
                #[cfg(unix)]
                std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
                let mut file = options.open(link_key).map_err(&io)?;
                file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(&io)?;
            }
        }
    }
    store.db().persist(PersistMode::SyncAll)?;
    for file in files.values() {
        file.sync_all().map_err(io_at(journal))?;
    }
    File::open(journal).and_then(|dir| dir.sync_all()).map_err(io_at(journal))
}

#[cfg(test)]
mod tests;
