//! The bytes of a snapshot: a magic, then blocks, then an end.
//!
//! ```text
//! file   "SJSNAP01" block* end
//! block  kind u8 · bytes u32 · crc u32 (of kind, bytes and payload) · payload
//! end    a block of kind 9: how many blocks came before, u64
//! ```

use super::SnapshotError;
use sojourn_model::Timestamp;
use sojourn_ports::{Layout, Topic};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"SJSNAP01";
const HEAD: u8 = 1;
const CELLS: u8 = 2;
const SEGMENT: u8 = 3;
const FILE: u8 = 4;
const END: u8 = 9;
/// Bytes of one block: a value at its limit, and room (LIM-1).
const BLOCK_BYTES_MAX: usize = 64 << 20;

/// A block of a snapshot.
#[derive(Debug, PartialEq)]
pub(super) enum Block {
    Head { created: Timestamp, layout: Layout },
    Cells { keyspace: String, cells: Vec<(Vec<u8>, Vec<u8>)> },
    Segment { number: u64, at: u64, bytes: Vec<u8> },
    File { name: String, bytes: Vec<u8> },
}

/// Writes blocks.
pub(super) struct Writer {
    file: BufWriter<File>,
    blocks: u64,
    bytes: u64,
}

impl Writer {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        // It holds what the house knows of people, and the key of its links.
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = BufWriter::with_capacity(1 << 20, options.open(path)?);
        file.write_all(MAGIC)?;
        Ok(Self { file, blocks: 0, bytes: MAGIC.len() as u64 })
    }

    pub(super) fn put(&mut self, block: &Block) -> io::Result<()> {
        let (kind, payload) = encode(block);
        self.put_raw(kind, &payload)?;
        self.blocks += 1;
        Ok(())
    }

    fn put_raw(&mut self, kind: u8, payload: &[u8]) -> io::Result<()> {
        let length = (payload.len() as u32).to_le_bytes();
        self.file.write_all(&[kind])?;
        self.file.write_all(&length)?;
        self.file.write_all(&checksum(kind, payload).to_le_bytes())?;
        self.file.write_all(payload)?;
        self.bytes += 9 + payload.len() as u64;
        Ok(())
    }

    /// Writes the end and syncs. Returns the size of the file.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        self.put_raw(END, &self.blocks.to_le_bytes())?;
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        Ok(self.bytes)
    }
}

fn checksum(kind: u8, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(&(payload.len() as u32).to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

fn encode(block: &Block) -> (u8, Vec<u8>) {
    let mut out = Vec::new();
    match block {
        Block::Head { created, layout } => {
            out.extend_from_slice(&created.0.to_le_bytes());
            for topic in Topic::ALL {
                out.extend_from_slice(&layout.partitions(topic).to_le_bytes());
            }
            (HEAD, out)
        }
        Block::Cells { keyspace, cells } => {
            let mut put = |bytes: &[u8]| {
                out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
                out.extend_from_slice(bytes);
            };
            put(keyspace.as_bytes());
            for (key, value) in cells {
                put(key);
                put(value);
            }
            (CELLS, out)
        }
        Block::Segment { number, at, bytes } => {
            out.extend_from_slice(&number.to_le_bytes());
            out.extend_from_slice(&at.to_le_bytes());
            out.extend_from_slice(bytes);
            (SEGMENT, out)
        }
        Block::File { name, bytes } => {
            out.extend_from_slice(&(name.len() as u32).to_le_bytes());
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(bytes);
            (FILE, out)
        }
    }
}

/// Takes bytes from the front of a payload.
struct Taker<'a>(&'a [u8]);

impl<'a> Taker<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn prefixed(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_le_bytes(self.array()?) as usize;
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }
}

fn decode(kind: u8, payload: &[u8]) -> Option<Block> {
    let mut taker = Taker(payload);
    match kind {
        HEAD => {
            let created = Timestamp(i64::from_le_bytes(taker.array()?));
            let mut counts = [0; Topic::ALL.len()];
            for count in &mut counts {
                *count = u16::from_le_bytes(taker.array()?);
            }
            let layout = Layout::from_counts(counts)?;
            taker.0.is_empty().then_some(Block::Head { created, layout })
        }
        CELLS => {
            let keyspace = String::from_utf8(taker.prefixed()?.to_vec()).ok()?;
            let mut cells = Vec::new();
            while !taker.0.is_empty() {
                cells.push((taker.prefixed()?.to_vec(), taker.prefixed()?.to_vec()));
            }
            Some(Block::Cells { keyspace, cells })
        }
        SEGMENT => {
            let number = u64::from_le_bytes(taker.array()?);
            let at = u64::from_le_bytes(taker.array()?);
            Some(Block::Segment { number, at, bytes: taker.0.to_vec() })
        }
        FILE => {
            let name = String::from_utf8(taker.prefixed()?.to_vec()).ok()?;
            Some(Block::File { name, bytes: taker.0.to_vec() })
        }
        _ => None,
    }
}

/// Reads blocks, verifying each.
pub(super) struct Reader {
    path: PathBuf,
    file: BufReader<File>,
    at: u64,
    len: u64,
    blocks: u64,
    begun: bool,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self, SnapshotError> {
        let io = super::io_at(path);
        let file = File::open(path).map_err(&io)?;
        let len = file.metadata().map_err(&io)?.len();
        let file = BufReader::with_capacity(1 << 20, file);
        Ok(Self { path: path.to_owned(), file, at: 0, len, blocks: 0, begun: false })
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn damaged(&self, at: u64, reason: &str) -> SnapshotError {
        let (path, reason) = (self.path.clone(), reason.to_owned());
        SnapshotError::Damaged { path, at, reason }
    }

    fn take(&mut self, bytes: usize) -> Result<Vec<u8>, SnapshotError> {
        if self.len - self.at < bytes as u64 {
            return Err(self.damaged(self.at, "the file is cut off"));
        }
        let mut buffer = vec![0; bytes];
        self.file.read_exact(&mut buffer).map_err(super::io_at(&self.path))?;
        self.at += bytes as u64;
        Ok(buffer)
    }

    /// The next block and where it begins; `None` at the end, which must be there and be right.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Block)>, SnapshotError> {
        if !self.begun {
            if self.take(MAGIC.len())? != MAGIC {
                return Err(self.damaged(0, "this is no snapshot, or one of another version"));
            }
            self.begun = true;
        }
        let begin = self.at;
        let head = self.take(9)?;
        let kind = head[0];
        let length = u32::from_le_bytes(head[1..5].try_into().expect("four")) as usize;
        let crc = u32::from_le_bytes(head[5..9].try_into().expect("four"));
        if length > BLOCK_BYTES_MAX {
            return Err(self.damaged(begin, "a block is longer than any"));
        }
        let payload = self.take(length)?;
        if checksum(kind, &payload) != crc {
            return Err(self.damaged(begin, "the block does not match its checksum"));
        }
        if kind == END {
            let right = payload == self.blocks.to_le_bytes() && self.at == self.len;
            return if right { Ok(None) } else { Err(self.damaged(begin, "blocks are missing")) };
        }
        self.blocks += 1;
        match decode(kind, &payload) {
            Some(block) => Ok(Some((begin, block))),
            None => Err(self.damaged(begin, "a block that this version does not understand")),
        }
    }
}
