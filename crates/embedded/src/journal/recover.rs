//! Opening: reads what is there, repairs a torn tail, names damage.
//!
//! The last segment is read whole. Sealed segments were on disk before the next one began: they
//! are believed by their index file, or read whole where that is missing. A bad group at the end
//! of the last segment is a torn tail and is cut off, unless a later group proves that it was on
//! disk once: then it is damage, the journal can be read around it, and appends are refused.

use super::frame::{self, Bad, Draft, Head, Kind};
use super::partition::Partition;
use super::segment::{Cursor, Found, Mark, Segment, SparseIndex, Step, parse_name, sync_dir};
use super::{Counters, JournalOptions, Order, Shared, keeper, pressure};
use parking_lot::{Condvar, Mutex, RwLock};
use sojourn_model::Timestamp;
use sojourn_ports::{Clock, Layout, LogError, Topic};
use std::collections::VecDeque;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// A place that does not match its checksum, outside the torn tail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// File and byte.
    pub place: String,
    /// What is wrong.
    pub reason: String,
}

impl Damage {
    fn error(&self) -> LogError {
        LogError::Damaged { place: self.place.clone(), reason: self.reason.clone() }
    }
}

/// An I/O failure at opening.
pub(crate) fn failed(what: &str, error: &io::Error) -> LogError {
    LogError::Stopped { reason: format!("{what}: {error}") }
}

/// Opens or creates the journal in `dir`.
pub(crate) fn open(
    dir: &Path,
    options: JournalOptions,
    clock: Arc<dyn Clock>,
) -> Result<Shared, LogError> {
    fs::create_dir_all(dir).map_err(|error| failed(&dir.display().to_string(), &error))?;
    check_layout(dir, &options.layout)?;
    let found = load(dir, &options)?;
    let last = Arc::clone(found.segments.back().expect("there is at least one segment"));
    let partitions = (found.segments[0].start.iter().zip(&found.marks))
        .map(|(begin, end)| {
            let (first, next) = (begin.next, end.next);
            Mutex::new(Partition::new(first, next))
        })
        .collect();
    let order = Order {
        seq: found.seq,
        durable_seq: found.seq,
        at: found.end,
        durable_at: (last.number, found.end),
        segment: last,
        spare: None,
        spare_need: 0,
        no_room: false,
        marks: found.marks,
        pending: Vec::new(),
        pending_bytes: 0,
        writer_idle: false,
        stopped: found.stopped,
        closing: false,
        closed: false,
    };
    for damage in &found.damage {
        tracing::error!(place = damage.place, reason = damage.reason, "the journal is damaged");
    }
    let shared = Shared {
        dir: dir.to_owned(),
        options,
        clock,
        order: Mutex::new(order),
        work: Condvar::new(),
        room: Condvar::new(),
        synced: Condvar::new(),
        chores: Condvar::new(),
        partitions,
        segments: RwLock::new(found.segments),
        pinned: RwLock::new(()),
        pressure: AtomicU8::new(pressure::NONE),
        free_bytes: AtomicU64::new(u64::MAX),
        counters: Counters::default(),
        damage: found.damage,
    };
    keeper::look(&shared);
    Ok(shared)
}

/// File with the journal's format and layout.
pub(crate) const LAYOUT_FILE: &str = "LAYOUT";

/// What stands in [`LAYOUT_FILE`].
pub(crate) fn layout_text(layout: &Layout) -> String {
    let mut text = String::from("sojourn journal 1\n");
    for topic in Topic::ALL {
        text += &format!("{} {}\n", topic.as_str(), layout.partitions(topic));
    }
    text
}

/// The layout is fixed at creation: a record's partition depends on it.
fn check_layout(dir: &Path, layout: &Layout) -> Result<(), LogError> {
    let path = dir.join(LAYOUT_FILE);
    let text = layout_text(layout);
    match fs::read_to_string(&path) {
        Ok(stored) if stored == text => Ok(()),
        Ok(stored) => {
            let reason = format!("was created with {stored:?}, opened with {text:?}");
            Err(LogError::Damaged { place: path.display().to_string(), reason })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            write_whole(dir, LAYOUT_FILE, text.as_bytes())
                .map_err(|error| failed(&path.display().to_string(), &error))
        }
        Err(error) => Err(failed(&path.display().to_string(), &error)),
    }
}

/// Writes a file so that it is there whole or not at all.
pub(crate) fn write_whole(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let draft = dir.join(format!("{name}.draft"));
    let mut file = fs::File::create(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, dir.join(name))?;
    sync_dir(dir)
}

/// What opening found.
struct Loaded {
    segments: VecDeque<Arc<Segment>>,
    marks: Vec<Mark>,
    seq: u64,
    end: u64,
    stopped: Option<LogError>,
    damage: Vec<Damage>,
}

fn numbers(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir)? {
        numbers.extend(entry?.file_name().to_str().and_then(parse_name));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn load(dir: &Path, options: &JournalOptions) -> Result<Loaded, LogError> {
    let io = |error: io::Error| failed(&dir.display().to_string(), &error);
    let layout = &options.layout;
    let mut numbers = numbers(dir).map_err(io)?;
    while let Some(&number) = numbers.last() {
        let segment = Segment::open(dir, number, layout).map_err(io)?;
        // A spare, or one whose very first group is torn; its predecessor has everything durable.
        if !is_spare(&segment, layout).map_err(io)? || (numbers.len() == 1 && number > 1) {
            break;
        }
        fs::remove_file(&segment.path).map_err(io)?;
        numbers.pop();
    }
    if numbers.is_empty() {
        return create(dir, options).map_err(io);
    }
    let mut loader = Loader { dir, layout, state: None, damage: Vec::new() };
    let mut segments = VecDeque::with_capacity(numbers.len());
    let (&last, sealed) = numbers.split_last().expect("not empty");
    for (nth, &number) in sealed.iter().enumerate() {
        let segment = loader.sealed(number, numbers[nth + 1])?;
        segments.push_back(Arc::new(segment));
    }
    let (segment, end, stopped) = loader.last(last)?;
    segments.push_back(Arc::new(segment));
    let (marks, seq) = loader.state.expect("a segment was read");
    Ok(Loaded { segments, marks, seq, end, stopped, damage: loader.damage })
}

/// Whether nothing in the segment was ever known to be durable.
fn is_spare(segment: &Segment, layout: &Layout) -> io::Result<bool> {
    let mut cursor = Cursor::new(segment, layout)?;
    if let Step::Group(found) = cursor.head(0)?
        && cursor.body(&found)?.is_ok()
    {
        return Ok(false);
    }
    let mut from = 0;
    while let Some(found) = cursor.resync(from, 0)? {
        if found.head.durable > 0 {
            return Ok(false);
        }
        from = found.at + found.head.bytes as u64;
    }
    Ok(true)
}

fn create(dir: &Path, options: &JournalOptions) -> io::Result<Loaded> {
    let layout = &options.layout;
    let mut start = Draft::start(layout);
    let marks = vec![Mark { next: 0, log_time: Timestamp::MIN }; layout.total()];
    for (nth, mark) in marks.iter().enumerate() {
        start.place(nth, mark.next, mark.log_time);
    }
    let room = options.room(dir)?;
    let bytes = options.next_segment_bytes(room, start.len() as u64);
    let mut segment = Segment::create(dir, 1, bytes, layout)?;
    let group = start.seal(1, 0);
    segment.file.write_all_at(&group, 0)?;
    segment.file.sync_all()?;
    segment.start = marks.clone();
    let end = group.len() as u64;
    let segments = VecDeque::from([Arc::new(segment)]);
    Ok(Loaded { segments, marks, seq: 2, end, stopped: None, damage: Vec::new() })
}

/// Reads segments in order.
struct Loader<'a> {
    dir: &'a Path,
    layout: &'a Layout,
    /// Where the partitions and the sequence stand after what was read; `None` before the first
    /// segment.
    state: Option<(Vec<Mark>, u64)>,
    damage: Vec<Damage>,
}

/// What a whole reading of a segment found.
struct Scan {
    index: SparseIndex,
    start: Option<Vec<Mark>>,
    marks: Vec<Mark>,
    /// Sequence number after the last group.
    seq: u64,
    end: u64,
    newest: i64,
    /// Byte up to which later groups prove that the segment was on disk.
    durable: u64,
    holes: Vec<(u64, &'static str)>,
    closed: bool,
    tail: Bad,
}

impl Loader<'_> {
    fn io(&self, segment: &Segment, error: &io::Error) -> LogError {
        failed(&segment.path.display().to_string(), error)
    }

    fn open(&self, number: u64) -> Result<Segment, LogError> {
        Segment::open(self.dir, number, self.layout)
            .map_err(|error| failed(&format!("segment {number}"), &error))
    }

    fn note(&mut self, segment: &Segment, at: u64, reason: &str) -> Damage {
        let damage = Damage { place: segment.place(at), reason: reason.to_owned() };
        self.damage.push(damage.clone());
        damage
    }

    /// A segment that is not the last.
    fn sealed(&mut self, number: u64, next: u64) -> Result<Segment, LogError> {
        let mut segment = self.open(number)?;
        let io = |error: io::Error| failed(&segment.path.display().to_string(), &error);
        let begin = read_start(&segment, self.layout).map_err(io)?;
        let indexed = read_index(self.dir, &segment, self.layout);
        if let (Some((start, _)), Some(index)) = (begin, indexed) {
            segment.start = start;
            segment.end.store(index.end, Ordering::Release);
            segment.newest.store(index.newest, Ordering::Release);
            *segment.index.write() = index.index;
            // The next segment's first group says where the partitions stand.
            self.state = None;
        } else {
            let scan = self.scan(&segment).map_err(io)?;
            for &(at, reason) in &scan.holes {
                self.note(&segment, at, reason);
            }
            if scan.tail != Bad::Empty {
                self.note(&segment, scan.end, "the rest of the segment is damaged");
            }
            segment.end.store(scan.end, Ordering::Release);
            self.adopt(&mut segment, scan)?;
        }
        if next != number + 1 {
            self.note(&segment, 0, "the segment after this one is missing");
            self.state = None;
        }
        Ok(segment)
    }

    /// Takes over what a scan found.
    fn adopt(&mut self, segment: &mut Segment, scan: Scan) -> Result<(), LogError> {
        let before = self.state.take().map(|(marks, _)| marks);
        segment.start = match (scan.start, before) {
            (Some(start), _) => start,
            (None, Some(marks)) => marks,
            (None, None) => {
                return Err(self.note(segment, 0, "its first group is damaged").error());
            }
        };
        segment.newest.store(scan.newest, Ordering::Release);
        *segment.index.write() = scan.index;
        self.state = Some((scan.marks, scan.seq));
        Ok(())
    }

    /// The last segment: cuts a torn tail. Returns the end of its groups and why appends are
    /// refused, if they are.
    fn last(&mut self, number: u64) -> Result<(Segment, u64, Option<LogError>), LogError> {
        let mut segment = self.open(number)?;
        let scan = self.scan(&segment).map_err(|error| self.io(&segment, &error))?;
        let torn_at = scan.holes.iter().map(|&(at, _)| at).find(|&at| at >= scan.durable);
        let mut stopped = None;
        for &(at, reason) in scan.holes.iter().filter(|&&(at, _)| at < scan.durable) {
            let damage = self.note(&segment, at, reason);
            stopped.get_or_insert(damage.error());
        }
        let end = torn_at.unwrap_or(scan.end);
        let clean = scan.closed && torn_at.is_none() && scan.tail == Bad::Empty;
        if !clean {
            self.cut(&mut segment, end)?;
        }
        let scan = match torn_at {
            Some(_) => self.scan(&segment).map_err(|error| self.io(&segment, &error))?,
            None => scan,
        };
        self.adopt(&mut segment, scan)?;
        Ok((segment, end, stopped))
    }

    fn cut(&self, segment: &mut Segment, end: u64) -> Result<(), LogError> {
        tracing::info!(segment = segment.number, end, "the journal's tail was repaired");
        let capacity = segment.capacity;
        let mut result = segment.cut(end, capacity);
        if result.is_err() {
            // No room to take anew: the segment ends here, the keeper makes the next one.
            result = segment.cut(end, end);
        }
        result.map_err(|error| self.io(segment, &error))
    }

    /// Reads a segment whole, around damage.
    fn scan(&self, segment: &Segment) -> io::Result<Scan> {
        let mut cursor = Cursor::new(segment, self.layout)?;
        let (marks, seq) = match &self.state {
            Some((marks, seq)) => (marks.clone(), Some(*seq)),
            None => (vec![Mark { next: 0, log_time: Timestamp::MIN }; self.layout.total()], None),
        };
        let mut scan = Scan {
            index: SparseIndex::new(self.layout.total()),
            start: None,
            marks,
            seq: seq.unwrap_or(0),
            end: 0,
            newest: i64::MIN,
            durable: 0,
            holes: Vec::new(),
            closed: false,
            tail: Bad::Empty,
        };
        let mut known = seq.is_some();
        loop {
            let step = match cursor.head(scan.end)? {
                Step::Group(found) => match cursor.body(&found)? {
                    Ok(_) => scan.check(&found, known),
                    Err(bad) => Err(bad),
                }
                .map(|()| found),
                Step::Bad(bad) => Err(bad),
            };
            let found = match step {
                Ok(found) => found,
                Err(bad) => match cursor.resync(scan.end + 1, scan.seq.saturating_sub(1))? {
                    Some(found) => {
                        scan.holes.push((scan.end, reason(&bad)));
                        found
                    }
                    None => {
                        scan.tail = bad;
                        return Ok(scan);
                    }
                },
            };
            known = true;
            scan.take(&found);
        }
    }
}

fn reason(bad: &Bad) -> &'static str {
    match bad {
        Bad::Empty => "zeroes stand where a group was written",
        Bad::Short(_) => "the group is cut off",
        Bad::Broken(reason) => reason,
    }
}

fn start_marks(head: &Head) -> Vec<Mark> {
    let mark = |f: &frame::Frame| Mark { next: f.base, log_time: f.log_time };
    head.frames.iter().map(mark).collect()
}

impl Scan {
    /// Refuses a group that does not follow what was read before it.
    fn check(&self, found: &Found, known: bool) -> Result<(), Bad> {
        if known && found.head.seq != self.seq {
            return Err(Bad::Broken("the group does not follow the one before it"));
        }
        if (found.head.kind == Kind::Start) != (found.at == 0) {
            return Err(Bad::Broken("a segment's first group stands elsewhere"));
        }
        Ok(())
    }

    fn take(&mut self, found: &Found) {
        let Found { at, head } = found;
        if head.kind == Kind::Start {
            let marks = start_marks(head);
            if marks.len() == self.marks.len() {
                self.marks.clone_from(&marks);
                self.start = Some(marks);
            }
        }
        for frame in head.frames.iter().filter(|frame| frame.count > 0) {
            let mark = &mut self.marks[frame.index];
            mark.next = mark.next.max(frame.base + u64::from(frame.count));
            mark.log_time = mark.log_time.max(frame.log_time);
            self.newest = self.newest.max(frame.log_time.0);
        }
        self.index.note(&head.frames, *at);
        self.closed = head.kind == Kind::Close;
        self.durable = self.durable.max(head.durable);
        self.seq = head.seq + 1;
        self.end = at + head.bytes as u64;
    }
}

/// The marks in a segment's first group, and its sequence number.
fn read_start(segment: &Segment, layout: &Layout) -> io::Result<Option<(Vec<Mark>, u64)>> {
    let mut cursor = Cursor::new(segment, layout)?;
    Ok(match cursor.head(0)? {
        Step::Group(found)
            if found.head.kind == Kind::Start && found.head.frames.len() == layout.total() =>
        {
            Some((start_marks(&found.head), found.head.seq))
        }
        _ => None,
    })
}

/// What an index file says.
struct Indexed {
    end: u64,
    newest: i64,
    index: SparseIndex,
}

const INDEX_MAGIC: &[u8; 4] = b"SJX1";

fn index_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(index_name(number))
}

fn index_name(number: u64) -> String {
    format!("{number:010}.idx")
}

/// Writes a sealed segment's index: magic, CRC of the rest, number, end, newest log time, and per
/// partition a count and its (offset, byte) entries; all little-endian u64 (time i64).
pub(crate) fn write_index(dir: &Path, segment: &Segment) -> io::Result<()> {
    let mut body: Vec<u8> = Vec::new();
    let mut put = |value: u64| body.extend_from_slice(&value.to_le_bytes());
    put(segment.number);
    put(segment.end.load(Ordering::Acquire));
    put(segment.newest.load(Ordering::Acquire).cast_unsigned());
    for entries in &segment.index.read().partitions {
        put(entries.len() as u64);
        for &(offset, at) in entries {
            put(offset);
            put(at);
        }
    }
    let mut bytes = INDEX_MAGIC.to_vec();
    bytes.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
    write_whole(dir, &index_name(segment.number), &bytes)
}

/// A sealed segment's index, if it is there, whole and of this segment.
fn read_index(dir: &Path, segment: &Segment, layout: &Layout) -> Option<Indexed> {
    let bytes = fs::read(index_path(dir, segment.number)).ok()?;
    let (head, body) = bytes.split_at_checked(8)?;
    if &head[..4] != INDEX_MAGIC || crc32fast::hash(body).to_le_bytes() != head[4..] {
        return None;
    }
    let mut values = body.chunks_exact(8).map(|v| u64::from_le_bytes(v.try_into().expect("eight")));
    let number = values.next()?;
    let end = values.next()?;
    let newest = values.next()?.cast_signed();
    if number != segment.number || end > segment.capacity {
        return None;
    }
    let mut index = SparseIndex::new(layout.total());
    for entries in &mut index.partitions {
        for _ in 0..values.next()? {
            entries.push((values.next()?, values.next()?));
        }
    }
    values.next().is_none().then_some(Indexed { end, newest, index })
}

/// Deletes a segment and its index.
pub(crate) fn remove(dir: &Path, segment: &Segment) {
    for path in [&segment.path, &index_path(dir, segment.number)] {
        if let Err(error) = fs::remove_file(path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %path.display(), "a trimmed file could not be deleted");
        }
    }
}
