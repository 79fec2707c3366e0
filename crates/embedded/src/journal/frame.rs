//! The bytes of the journal: groups of frames.
//!
//! A group is what one `append` call wrote, whole or not at all. Little-endian:
//!
//! ```text
//! group  magic u32 · bytes u32 · crc_head u32 · crc_body u32 · seq u64 · durable u64 · frames u32 · kind u32
//!        then one head per frame, then the bodies in the same order
//! frame  topic u8 · 0 u8 · partition u16 · records u32 · bytes u32 · 0 u32 · base offset u64 · log time i64
//! body   one u32 length per record, then the values
//! ```
//!
//! `crc_head` covers everything from `crc_body` to the end of the frame heads, `crc_body` the
//! bodies. `seq` counts groups over all segments. `durable` is how far (bytes of this segment) the
//! journal was known to be on disk when the group was written: it tells a torn tail from damage.

use bytes::{Bytes, BytesMut};
use sojourn_model::Timestamp;
use sojourn_ports::log::limits;
use sojourn_ports::{Append, Entry, Layout, Topic};

pub(crate) const MAGIC: u32 = u32::from_le_bytes(*b"SJG1");
pub(crate) const GROUP_HEAD: usize = 40;
pub(crate) const FRAME_HEAD: usize = 32;
/// Frames of one group: those of one append, or the marks of all partitions.
const FRAMES_MAX: usize = 1 << 16;
/// Bytes of one group: an append at every limit.
pub(crate) const GROUP_BYTES_MAX: usize = limits::APPEND_BYTES_MAX
    + 4 * limits::APPEND_RECORDS_MAX
    + GROUP_HEAD
    + FRAME_HEAD * FRAMES_MAX;
/// Offsets and sequence numbers are below this, so that the next one never overflows; no log comes
/// near it.
pub(crate) const OFFSET_MAX: u64 = i64::MAX.cast_unsigned();

/// What a group is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Records of one append call.
    Records = 0,
    /// First of a segment: a frame without records per partition, its base the next offset, its log
    /// time the last one.
    Start = 1,
    /// Last of a journal that was closed in order: no frames.
    Close = 2,
}

/// Head of a frame as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Dense index of the partition ([`Layout::index`]).
    pub(crate) index: usize,
    pub(crate) base: u64,
    pub(crate) count: u32,
    pub(crate) log_time: Timestamp,
    /// Where the body begins in the group.
    pub(crate) body: usize,
    /// Bytes of the body.
    pub(crate) bytes: usize,
}

/// Head of a group as read; its head's checksum has been verified, the body's has not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) bytes: usize,
    pub(crate) crc_body: u32,
    pub(crate) seq: u64,
    pub(crate) durable: u64,
    pub(crate) kind: Kind,
    pub(crate) frames: Vec<Frame>,
}

/// Why bytes are not a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bad {
    /// Zeroes: nothing was ever written here.
    Empty,
    /// This many bytes from the group's begin are needed to tell.
    Short(usize),
    /// Not a group.
    Broken(&'static str),
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// A group being built: bodies and counts are there, places and times are not.
pub(crate) struct Draft {
    bytes: BytesMut,
    frames: usize,
}

impl Draft {
    /// Encodes an append call; the costly part, done without a lock.
    pub(crate) fn records(appends: &[Append]) -> Self {
        let head = GROUP_HEAD + FRAME_HEAD * appends.len();
        let body: usize =
            appends.iter().flat_map(|append| &append.values).map(|value| 4 + value.len()).sum();
        let mut bytes = BytesMut::with_capacity(head + body);
        bytes.resize(head, 0);
        for (nth, append) in appends.iter().enumerate() {
            let begin = bytes.len();
            for value in &append.values {
                bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
            }
            for value in &append.values {
                bytes.extend_from_slice(value);
            }
            let at = GROUP_HEAD + FRAME_HEAD * nth;
            let length = (bytes.len() - begin) as u32;
            put_frame(&mut bytes, at, append.topic, append.partition);
            put(&mut bytes, at + 4, &(append.values.len() as u32).to_le_bytes());
            put(&mut bytes, at + 8, &length.to_le_bytes());
        }
        Self::finish(bytes, appends.len(), Kind::Records)
    }

    /// The first group of a segment.
    pub(crate) fn start(layout: &Layout) -> Self {
        let frames = layout.total();
        let mut bytes = BytesMut::zeroed(GROUP_HEAD + FRAME_HEAD * frames);
        for (nth, (topic, partition)) in layout.all().enumerate() {
            put_frame(&mut bytes, GROUP_HEAD + FRAME_HEAD * nth, topic, partition);
        }
        Self::finish(bytes, frames, Kind::Start)
    }

    /// The last group of a journal closed in order.
    pub(crate) fn close() -> Self {
        Self::finish(BytesMut::zeroed(GROUP_HEAD), 0, Kind::Close)
    }

    fn finish(mut bytes: BytesMut, frames: usize, kind: Kind) -> Self {
        let length = bytes.len() as u32;
        let crc_body = crc32fast::hash(&bytes[GROUP_HEAD + FRAME_HEAD * frames..]);
        put(&mut bytes, 0, &MAGIC.to_le_bytes());
        put(&mut bytes, 4, &length.to_le_bytes());
        put(&mut bytes, 12, &crc_body.to_le_bytes());
        put(&mut bytes, 32, &(frames as u32).to_le_bytes());
        put(&mut bytes, 36, &(kind as u32).to_le_bytes());
        Self { bytes, frames }
    }

    /// Bytes of the whole group.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Gives frame `nth` its place and time.
    pub(crate) fn place(&mut self, nth: usize, base: u64, log_time: Timestamp) {
        assert!(nth < self.frames, "a frame of this group");
        let at = GROUP_HEAD + FRAME_HEAD * nth;
        put(&mut self.bytes, at + 16, &base.to_le_bytes());
        put(&mut self.bytes, at + 24, &log_time.0.to_le_bytes());
    }

    /// Seals the group: it is now what stands on disk.
    pub(crate) fn seal(mut self, seq: u64, durable: u64) -> Bytes {
        put(&mut self.bytes, 16, &seq.to_le_bytes());
        put(&mut self.bytes, 24, &durable.to_le_bytes());
        let crc = crc32fast::hash(&self.bytes[12..GROUP_HEAD + FRAME_HEAD * self.frames]);
        put(&mut self.bytes, 8, &crc.to_le_bytes());
        self.bytes.freeze()
    }
}

fn put_frame(bytes: &mut [u8], at: usize, topic: Topic, partition: u16) {
    bytes[at] = topic as u8;
    put(bytes, at + 2, &partition.to_le_bytes());
}

/// Reads a group's head from bytes that begin with it.
pub(crate) fn parse_head(layout: &Layout, bytes: &[u8]) -> Result<Head, Bad> {
    if bytes.len() < GROUP_HEAD {
        return Err(Bad::Short(GROUP_HEAD));
    }
    if bytes[..GROUP_HEAD].iter().all(|&byte| byte == 0) {
        return Err(Bad::Empty);
    }
    if u32_at(bytes, 0) != MAGIC {
        return Err(Bad::Broken("no group begins here"));
    }
    let length = u32_at(bytes, 4) as usize;
    let count = u32_at(bytes, 32) as usize;
    let head = GROUP_HEAD + FRAME_HEAD * count.min(FRAMES_MAX);
    if count > FRAMES_MAX || length > GROUP_BYTES_MAX || length < head {
        return Err(Bad::Broken("the group's head is damaged"));
    }
    if bytes.len() < head {
        return Err(Bad::Short(head));
    }
    if crc32fast::hash(&bytes[12..head]) != u32_at(bytes, 8) {
        return Err(Bad::Broken("the checksum of the group's head does not match"));
    }
    let kind = match u32_at(bytes, 36) {
        0 => Kind::Records,
        1 => Kind::Start,
        2 => Kind::Close,
        _ => return Err(Bad::Broken("the group is of a kind that this version does not know")),
    };
    let frames = parse_frames(layout, &bytes[..head], count, length)?;
    let (crc_body, seq, durable) = (u32_at(bytes, 12), u64_at(bytes, 16), u64_at(bytes, 24));
    if seq > OFFSET_MAX {
        return Err(Bad::Broken("the group's number is beyond any log"));
    }
    Ok(Head { bytes: length, crc_body, seq, durable, kind, frames })
}

fn parse_frames(
    layout: &Layout,
    head: &[u8],
    count: usize,
    length: usize,
) -> Result<Vec<Frame>, Bad> {
    let mut frames = Vec::with_capacity(count);
    let mut body = head.len();
    for nth in 0..count {
        let at = GROUP_HEAD + FRAME_HEAD * nth;
        let partition = u16::from_le_bytes([head[at + 2], head[at + 3]]);
        let index = Topic::ALL
            .get(usize::from(head[at]))
            .and_then(|&topic| layout.index(topic, partition))
            .ok_or(Bad::Broken("a frame is of a partition that the layout does not have"))?;
        let count = u32_at(head, at + 4);
        let bytes = u32_at(head, at + 8) as usize;
        if bytes < 4 * count as usize || body + bytes > length {
            return Err(Bad::Broken("a frame is longer than its group"));
        }
        let (base, time) = (u64_at(head, at + 16), u64_at(head, at + 24).cast_signed());
        if base > OFFSET_MAX - u64::from(count) {
            return Err(Bad::Broken("a frame's offsets are beyond any log"));
        }
        frames.push(Frame { index, base, count, log_time: Timestamp(time), body, bytes });
        body += bytes;
    }
    if body == length { Ok(frames) } else { Err(Bad::Broken("frames do not fill their group")) }
}

/// Verifies the bodies of a whole group.
pub(crate) fn check_body(head: &Head, group: &[u8]) -> Result<(), Bad> {
    if group.len() < head.bytes {
        return Err(Bad::Short(head.bytes));
    }
    let begin = GROUP_HEAD + FRAME_HEAD * head.frames.len();
    if crc32fast::hash(&group[begin..head.bytes]) == head.crc_body {
        Ok(())
    } else {
        Err(Bad::Broken("the checksum of the group's records does not match"))
    }
}

/// How much more a reader wants.
pub(crate) struct Wish {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
    /// Nothing at or above this offset.
    pub(crate) end: u64,
    /// Whether something was given already: the first record is given whatever its size.
    pub(crate) some: bool,
}

impl Wish {
    fn takes(&self, bytes: usize) -> bool {
        self.records > 0 && (!self.some || bytes <= self.bytes)
    }
}

/// Gives a frame's records from offset `from` on, sharing the group's memory; true when the wish
/// is fulfilled.
///
/// The lengths were covered by the checksum; a group that lies about them all the same gives
/// `Broken`.
pub(crate) fn take(
    group: &Bytes,
    frame: &Frame,
    from: u64,
    wish: &mut Wish,
    out: &mut Vec<Entry>,
) -> Result<bool, Bad> {
    const LIE: Bad = Bad::Broken("lengths of records do not fit their frame");
    let count = frame.count as usize;
    let table = &group[frame.body..frame.body + 4 * count];
    let length = |nth: usize| u32_at(table, 4 * nth) as usize;
    let skip = usize::try_from(from.saturating_sub(frame.base)).unwrap_or(count).min(count);
    let limit = frame.body + frame.bytes;
    let mut at = frame.body + 4 * count + (0..skip).map(length).sum::<usize>();
    for nth in skip..count {
        let offset = frame.base + nth as u64;
        let size = length(nth);
        if offset >= wish.end || !wish.takes(size) {
            return Ok(true);
        }
        if at + size > limit {
            return Err(LIE);
        }
        let value = group.slice(at..at + size);
        out.push(Entry { offset, log_time: frame.log_time, value });
        at += size;
        wish.records -= 1;
        wish.bytes = wish.bytes.saturating_sub(size);
        wish.some = true;
    }
    Ok(wish.records == 0)
}
