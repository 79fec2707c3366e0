//! Reading: recent records from memory, older ones from segment files.

use super::Shared;
use super::frame::{self, Bad, Wish};
use super::partition::{FromTail, deliver};
use super::segment::{Cursor, INDEX_STRIDE, Segment, Step};
use sojourn_ports::{Entry, LogError, ReadLimit, Topic};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Which records of which partition are wanted.
struct Query {
    topic: Topic,
    partition: u16,
    index: usize,
    offset: u64,
}

/// See [`sojourn_ports::Log::read`].
pub(crate) fn read(
    shared: &Shared,
    topic: Topic,
    partition: u16,
    offset: u64,
    limit: ReadLimit,
    out: &mut Vec<Entry>,
) -> Result<(), LogError> {
    let index = shared.index(topic, partition)?;
    let query = Query { topic, partition, index, offset };
    let (found, mut wish) = {
        let held = shared.partitions[index].lock();
        let bounds = held.bounds();
        if offset < bounds.first || offset > bounds.next {
            return Err(out_of_range(&query, bounds.first, bounds.next));
        }
        let end = if limit.durable_only { bounds.durable } else { bounds.next };
        let records = limit.records.max(1);
        let wish = Wish { records, bytes: limit.bytes, end, some: false };
        if offset >= end {
            return Ok(());
        }
        (held.look(offset, &wish), wish)
    };
    match found {
        FromTail::Groups(groups) => {
            deliver(&groups, offset, &mut wish, out);
            Ok(())
        }
        FromTail::OnDisk(until) => {
            wish.end = wish.end.min(until);
            read_files(shared, &query, wish, out)
        }
    }
}

fn out_of_range(query: &Query, first: u64, next: u64) -> LogError {
    let (topic, partition) = (query.topic.as_str(), query.partition);
    LogError::OutOfRange { topic, partition, wanted: query.offset, first, next }
}

/// The segment that holds the wanted record.
fn find_segment(shared: &Shared, query: &Query) -> Result<Arc<Segment>, LogError> {
    let segments = shared.segments.read();
    let after = segments.partition_point(|s| s.start[query.index].next <= query.offset);
    match after.checked_sub(1) {
        Some(nth) => Ok(Arc::clone(&segments[nth])),
        None => {
            // Deleted between the look at the bounds and here.
            drop(segments);
            let bounds = shared.partitions[query.index].lock().bounds();
            Err(out_of_range(query, bounds.first, bounds.next))
        }
    }
}

fn read_files(
    shared: &Shared,
    query: &Query,
    mut wish: Wish,
    out: &mut Vec<Entry>,
) -> Result<(), LogError> {
    let segment = find_segment(shared, query)?;
    let walk = Walk { shared, segment: &segment, query };
    match walk.run(&mut wish, out) {
        Ok(()) => Ok(()),
        // What stands before the damage is given; the next read meets the damage first.
        Err(_) if wish.some => Ok(()),
        Err(error) => Err(error),
    }
}

/// One walk through a segment's groups.
struct Walk<'a> {
    shared: &'a Shared,
    segment: &'a Segment,
    query: &'a Query,
}

impl Walk<'_> {
    fn failed(&self, at: u64, error: &io::Error) -> LogError {
        LogError::Damaged { place: self.segment.place(at), reason: error.to_string() }
    }

    /// Gives records of this segment until the wish is fulfilled or the segment ends.
    fn run(&self, wish: &mut Wish, out: &mut Vec<Entry>) -> Result<(), LogError> {
        let layout = &self.shared.options.layout;
        let mut cursor =
            Cursor::new(self.segment, layout).map_err(|error| self.failed(0, &error))?;
        let mut expected = self.query.offset;
        let (begin, mut next) = self.segment.find(self.query.index, expected).unwrap_or((0, None));
        let (mut at, mut entry) = (begin, begin);
        // The first damage met on the way: to blame when the wanted record does not come.
        let mut damage: Option<(u64, &'static str)> = None;
        while expected < wish.end {
            // All frames of this partition begin within a stride of an index entry: what lies
            // between that and the next entry is skipped.
            if let Some(entry_after) = next
                && (at >= entry_after || at >= entry + INDEX_STRIDE)
            {
                at = at.max(entry_after);
                entry = entry_after;
                let later = |&(_, after): &(u64, Option<u64>)| after > Some(entry);
                next =
                    self.segment.find(self.query.index, expected).filter(later).and_then(|f| f.1);
            }
            let here = at;
            let io = |error: io::Error| self.failed(here, &error);
            let found = match cursor.head(at).map_err(io)? {
                Step::Group(found) => found,
                Step::Bad(bad) => {
                    damage.get_or_insert((at, reason(&bad)));
                    match cursor.resync(at + 1, 0).map_err(io)? {
                        Some(found) => found,
                        None => break,
                    }
                }
            };
            at = found.at;
            let wanted = |frame: &&frame::Frame| {
                frame.index == self.query.index
                    && frame.count > 0
                    && frame.base + u64::from(frame.count) > expected
            };
            let frames: Vec<frame::Frame> =
                found.head.frames.iter().filter(wanted).copied().collect();
            if !frames.is_empty() {
                let group = match cursor.body(&found).map_err(io)? {
                    Ok(group) => group,
                    Err(bad) => return Err(self.damaged(at, reason(&bad))),
                };
                for frame in frames {
                    if frame.base > expected {
                        let (at, reason) = damage.unwrap_or((begin, "a group is missing"));
                        return Err(self.damaged(at, reason));
                    }
                    let full = frame::take(&group, &frame, expected, wish, out)
                        .map_err(|bad| self.damaged(at, reason(&bad)))?;
                    expected = frame.base + u64::from(frame.count);
                    if full {
                        return Ok(());
                    }
                }
            }
            at += found.head.bytes as u64;
        }
        self.check_end(expected, wish, damage)
    }

    /// At the segment's end: did every record come that should stand here?
    fn check_end(
        &self,
        expected: u64,
        wish: &Wish,
        damage: Option<(u64, &'static str)>,
    ) -> Result<(), LogError> {
        let sealed = self.segment.end.load(Ordering::Acquire) != u64::MAX;
        let next_start = if sealed {
            let segments = self.shared.segments.read();
            let next = segments.iter().find(|other| other.number > self.segment.number);
            next.map_or(wish.end, |next| next.start[self.query.index].next)
        } else {
            wish.end
        };
        if expected >= next_start.min(wish.end) {
            return Ok(());
        }
        let (at, reason) = damage.unwrap_or((0, "records are missing"));
        Err(self.damaged(at, reason))
    }

    fn damaged(&self, at: u64, reason: &'static str) -> LogError {
        LogError::Damaged { place: self.segment.place(at), reason: reason.to_owned() }
    }
}

fn reason(bad: &Bad) -> &'static str {
    match bad {
        Bad::Empty => "nothing was written here",
        Bad::Short(_) => "the group is cut off",
        Bad::Broken(reason) => reason,
    }
}
