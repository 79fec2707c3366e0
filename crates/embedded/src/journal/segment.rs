//! One file of the journal, its sparse index, and reading groups from it.

use super::frame::{self, Bad, Frame, GROUP_BYTES_MAX, Head};
use bytes::{Bytes, BytesMut};
use parking_lot::RwLock;
use rustix::fs::FallocateFlags;
use sojourn_model::Timestamp;
use sojourn_ports::Layout;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Bytes of a segment between two index entries of one partition.
pub(crate) const INDEX_STRIDE: u64 = 64 << 10;
/// Bytes read from a file at once.
const CHUNK_BYTES: usize = 256 << 10;

/// Where a partition stood when a segment began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Offset of the first record that may stand in this segment.
    pub(crate) next: u64,
    /// Log time of the record before it; [`Timestamp::MIN`] when there is none.
    pub(crate) log_time: Timestamp,
}

/// A segment file.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    /// Bytes that fit.
    pub(crate) capacity: u64,
    /// Where each partition stood at its begin, in the layout's order. Empty for a spare segment.
    pub(crate) start: Vec<Mark>,
    /// End of its groups once it is sealed; `u64::MAX` while it grows.
    pub(crate) end: AtomicU64,
    /// Newest log time in it.
    pub(crate) newest: AtomicI64,
    pub(crate) index: RwLock<SparseIndex>,
}

/// Per partition: offsets and where the groups that hold them begin, at least
/// [`INDEX_STRIDE`] bytes apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SparseIndex {
    pub(crate) partitions: Vec<Vec<(u64, u64)>>,
}

impl SparseIndex {
    pub(crate) fn new(partitions: usize) -> Self {
        Self { partitions: vec![Vec::new(); partitions] }
    }

    /// Notes the frames of the group at `at`.
    pub(crate) fn note(&mut self, frames: &[Frame], at: u64) {
        for frame in frames.iter().filter(|frame| frame.count > 0) {
            let entries = &mut self.partitions[frame.index];
            if entries.last().is_none_or(|&(_, last)| at >= last + INDEX_STRIDE) {
                entries.push((frame.base, at));
            }
        }
    }

    /// Where to begin looking for `offset`, and from where on the next entry takes over.
    fn find(&self, partition: usize, offset: u64) -> Option<(u64, Option<u64>)> {
        let entries = &self.partitions[partition];
        let after = entries.partition_point(|&(base, _)| base <= offset);
        let at = entries.get(after.checked_sub(1)?)?.1;
        Some((at, entries.get(after).map(|&(_, at)| at)))
    }
}

/// Name of the file with a segment's number.
pub(crate) fn file_name(number: u64) -> String {
    format!("{number:010}.seg")
}

/// The number in a segment's file name.
pub(crate) fn parse_name(name: &str) -> Option<u64> {
    name.strip_suffix(".seg").filter(|digits| digits.len() == 10)?.parse().ok()
}

impl Segment {
    /// Creates a spare segment of `capacity` bytes, its room taken on the device.
    pub(crate) fn create(
        dir: &Path,
        number: u64,
        capacity: u64,
        layout: &Layout,
    ) -> io::Result<Self> {
        let path = dir.join(file_name(number));
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
        if let Err(error) = allocate(&file, capacity) {
            drop(file);
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        file.sync_all()?;
        sync_dir(dir)?;
        Ok(Self::from_file(number, path, file, capacity, layout))
    }

    /// Opens an existing file; neither its begin nor its index has been read.
    pub(crate) fn open(dir: &Path, number: u64, layout: &Layout) -> io::Result<Self> {
        let path = dir.join(file_name(number));
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let capacity = file.metadata()?.len();
        Ok(Self::from_file(number, path, file, capacity, layout))
    }

    fn from_file(number: u64, path: PathBuf, file: File, capacity: u64, layout: &Layout) -> Self {
        Self {
            number,
            path,
            file,
            capacity,
            start: Vec::new(),
            end: AtomicU64::new(u64::MAX),
            newest: AtomicI64::new(i64::MIN),
            index: RwLock::new(SparseIndex::new(layout.total())),
        }
    }

    /// Cuts the file at `end` and takes the room behind it anew: everything there is zero again, so
    /// that no frame of an earlier life can come back.
    pub(crate) fn cut(&mut self, end: u64, capacity: u64) -> io::Result<()> {
        self.file.set_len(end)?;
        allocate(&self.file, capacity.max(end))?;
        self.capacity = capacity.max(end);
        self.file.sync_all()
    }

    /// Place in an error message.
    pub(crate) fn place(&self, at: u64) -> String {
        format!("{} byte {at}", self.path.display())
    }

    /// Where to begin looking for `offset` of a partition.
    pub(crate) fn find(&self, partition: usize, offset: u64) -> Option<(u64, Option<u64>)> {
        self.index.read().find(partition, offset)
    }

    /// Raises the newest log time.
    pub(crate) fn note_time(&self, time: Timestamp) {
        self.newest.fetch_max(time.0, Ordering::Relaxed);
    }
}

/// Takes room on the device; where that is not supported, only sets the length.
fn allocate(file: &File, capacity: u64) -> io::Result<()> {
    use rustix::io::Errno;
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, capacity) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => file.set_len(capacity),
        Err(error) => Err(error.into()),
    }
}

/// Makes names in a folder durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Reads groups of a segment one after the other.
pub(crate) struct Cursor<'a> {
    segment: &'a Segment,
    layout: &'a Layout,
    /// Nothing is read at or behind this byte.
    end: u64,
    chunk: Bytes,
    chunk_at: u64,
}

/// A group as found.
pub(crate) struct Found {
    pub(crate) at: u64,
    pub(crate) head: Head,
}

/// What stands at a place of a segment.
pub(crate) enum Step {
    Group(Found),
    /// No group, and why.
    Bad(Bad),
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(segment: &'a Segment, layout: &'a Layout) -> io::Result<Self> {
        let end = segment.file.metadata()?.len().min(segment.end.load(Ordering::Acquire));
        Ok(Self { segment, layout, end, chunk: Bytes::new(), chunk_at: 0 })
    }

    /// At least `wanted` bytes from `at` on, fewer at the segment's end.
    fn window(&mut self, at: u64, wanted: usize) -> io::Result<Bytes> {
        let inside = at >= self.chunk_at && at - self.chunk_at <= self.chunk.len() as u64;
        if inside {
            let skip = (at - self.chunk_at) as usize;
            let left = self.chunk.len() - skip;
            if left >= wanted || at + left as u64 >= self.end {
                return Ok(self.chunk.slice(skip..));
            }
        }
        let room = self.end.saturating_sub(at);
        let size = usize::try_from(room).unwrap_or(usize::MAX).min(wanted.max(CHUNK_BYTES));
        let mut chunk = BytesMut::zeroed(size);
        let mut read = 0;
        while read < size {
            match self.segment.file.read_at(&mut chunk[read..], at + read as u64) {
                Ok(0) => break,
                Ok(some) => read += some,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        chunk.truncate(read);
        self.chunk = chunk.freeze();
        self.chunk_at = at;
        Ok(self.chunk.clone())
    }

    /// The head of the group at `at`.
    pub(crate) fn head(&mut self, at: u64) -> io::Result<Step> {
        let mut wanted = frame::GROUP_HEAD;
        loop {
            let window = self.window(at, wanted)?;
            if window.is_empty() {
                return Ok(Step::Bad(Bad::Empty));
            }
            match frame::parse_head(self.layout, &window) {
                Ok(head) => return Ok(Step::Group(Found { at, head })),
                Err(Bad::Short(more)) if window.len() >= wanted && more > wanted => wanted = more,
                Err(Bad::Short(_)) if window.iter().all(|&byte| byte == 0) => {
                    return Ok(Step::Bad(Bad::Empty));
                }
                Err(Bad::Short(_)) => return Ok(Step::Bad(Bad::Broken("the group is cut off"))),
                Err(bad) => return Ok(Step::Bad(bad)),
            }
        }
    }

    /// The whole group, its bodies verified.
    pub(crate) fn body(&mut self, found: &Found) -> io::Result<Result<Bytes, Bad>> {
        let window = self.window(found.at, found.head.bytes)?;
        Ok(match frame::check_body(&found.head, &window) {
            Ok(()) => Ok(window.slice(..found.head.bytes)),
            Err(Bad::Short(_)) => Err(Bad::Broken("the group is cut off")),
            Err(bad) => Err(bad),
        })
    }

    /// The first whole group at or behind `from` whose sequence number is above `seq`.
    pub(crate) fn resync(&mut self, from: u64, seq: u64) -> io::Result<Option<Found>> {
        const ZEROES: [u8; 4096] = [0; 4096];
        let magic = frame::MAGIC.to_le_bytes();
        let mut at = from;
        while at < self.end {
            let window = self.window(at, frame::GROUP_HEAD)?;
            if window.len() < frame::GROUP_HEAD {
                return Ok(None);
            }
            if window.get(..ZEROES.len()) == Some(&ZEROES[..]) {
                at += ZEROES.len() as u64 - 3;
                continue;
            }
            let Some(skip) = window.windows(4).position(|four| four == magic) else {
                at += window.len() as u64 - 3;
                continue;
            };
            at += skip as u64;
            if let Step::Group(found) = self.head(at)?
                && found.head.seq > seq
                && found.head.bytes <= GROUP_BYTES_MAX
                && self.body(&found)?.is_ok()
            {
                return Ok(Some(found));
            }
            at += 1;
        }
        Ok(None)
    }
}
