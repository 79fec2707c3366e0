//! The embedded log: one journal of segment files for all topics and partitions.
//!
//! - **LOG-1:** `done`, `sync` and `durable_only` wait for fdatasync; one fsync serves every
//!   partition (group commit).
//! - **Prefix:** groups stand in the files in the order of their sequence numbers, and a segment is
//!   on disk before the next one is begun: a crash loses a suffix.
//! - **Room:** an append is taken only when its place in a segment that already has its room on the
//!   device is known: a full disk refuses appends, it never tears them.
//! - After a failed write or fsync nothing more is taken; opening anew repairs the tail.
//!
//! Locks, in this order: `order` (one append at a time gets its place), `segments`, a partition.

mod export;
mod frame;
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a copy is taken while a thread writes")]
mod fuzz_tests;
mod keeper;
mod options;
mod partition;
mod read;
mod recover;
mod segment;
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests wait for threads")]
mod tests;
mod writer;

pub(crate) use export::write_layout;
pub use options::{JournalOptions, Probes};
pub use recover::Damage;
pub(crate) use segment::file_name as segment_name;

use bytes::Bytes;
use frame::Draft;
use parking_lot::{Condvar, Mutex, RwLock};
use partition::{Partition, Waiter};
use segment::{Mark, Segment};
use sojourn_model::Timestamp;
use sojourn_ports::log::limits;
use sojourn_ports::{Append, Bounds, Clock, Done, Entry, Log, LogError, ReadLimit, Topic};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bytes of groups that wait for the writer; beyond it `append` waits (LIM-1).
const PENDING_BYTES_MAX: usize = 64 << 20;

/// The embedded log. See the module.
pub struct Journal {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What appenders, readers and the two threads share.
pub(crate) struct Shared {
    pub(crate) dir: PathBuf,
    pub(crate) options: JournalOptions,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) order: Mutex<Order>,
    /// Rung when the writer has work.
    pub(crate) work: Condvar,
    /// Rung when the writer has taken what was pending, or a spare segment has come, or not.
    pub(crate) room: Condvar,
    /// Rung after each sync.
    pub(crate) synced: Condvar,
    /// Rung when the keeper has work.
    pub(crate) chores: Condvar,
    pub(crate) partitions: Vec<Mutex<Partition>>,
    pub(crate) segments: RwLock<VecDeque<Arc<Segment>>>,
    /// Held by snapshots: no segment is deleted meanwhile.
    pub(crate) pinned: RwLock<()>,
    pub(crate) pressure: AtomicU8,
    pub(crate) free_bytes: AtomicU64,
    pub(crate) counters: Counters,
    pub(crate) damage: Vec<Damage>,
}

/// How near the device is to full.
pub(crate) mod pressure {
    /// Room for everything.
    pub(crate) const NONE: u8 = 0;
    /// Below the reserve: touchpoints are refused, what is in the house goes on.
    pub(crate) const INGEST: u8 = 1;
    /// Below half the reserve: nothing is taken.
    pub(crate) const ALL: u8 = 2;
}

/// The state behind the one lock that orders appends.
pub(crate) struct Order {
    /// Sequence number of the next group.
    pub(crate) seq: u64,
    /// Groups below are durable.
    pub(crate) durable_seq: u64,
    pub(crate) segment: Arc<Segment>,
    /// Where the next group goes.
    pub(crate) at: u64,
    /// Segment and byte up to which the files are known to be on disk.
    pub(crate) durable_at: (u64, u64),
    pub(crate) spare: Option<Segment>,
    /// Bytes that a spare segment must have; above zero while somebody waits for one.
    pub(crate) spare_need: u64,
    /// The device has no room for a spare segment.
    pub(crate) no_room: bool,
    /// Per partition: next offset and last log time.
    pub(crate) marks: Vec<Mark>,
    pub(crate) pending: Vec<Pending>,
    pub(crate) pending_bytes: usize,
    pub(crate) writer_idle: bool,
    pub(crate) stopped: Option<LogError>,
    pub(crate) closing: bool,
    pub(crate) closed: bool,
}

/// A group on its way to its file.
pub(crate) struct Pending {
    pub(crate) group: Bytes,
    pub(crate) segment: Arc<Segment>,
    pub(crate) at: u64,
    /// Partition, base and end of each frame.
    pub(crate) spans: Vec<(usize, u64, u64)>,
    pub(crate) done: Option<Done>,
}

/// What the journal has done since it was opened.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) groups: AtomicU64,
    pub(crate) records: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) syncs: AtomicU64,
}

/// Figures for metrics and `doctor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalStats {
    /// Append calls written.
    pub groups: u64,
    /// Records written.
    pub records: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Fsyncs.
    pub syncs: u64,
    /// Segment files.
    pub segments: usize,
    /// Bytes free on the device when last asked.
    pub free_bytes: u64,
}

impl Journal {
    /// Opens the journal in `dir` or creates it; repairs a torn tail. Two opened journals in one
    /// folder destroy it: hold a [`crate::DirLock`].
    pub fn open(
        dir: &Path,
        options: JournalOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LogError> {
        let shared = Arc::new(recover::open(dir, options, clock)?);
        let start = |name: &str, run: fn(&Shared)| {
            let guard = StopOnPanic(Arc::clone(&shared));
            let thread = std::thread::Builder::new().name(name.to_owned());
            thread.spawn(move || run(&guard.0)).map_err(|error| recover::failed("thread", &error))
        };
        let threads =
            vec![start("journal-writer", writer::run)?, start("journal-keeper", keeper::run)?];
        Ok(Self { shared, threads: Mutex::new(threads) })
    }

    /// Writes and syncs what is pending, marks the journal as closed in order, ends its threads.
    /// Later appends fail `Stopped`. Dropping does the same.
    pub fn close(&self) {
        self.shared.order.lock().closing = true;
        self.shared.work.notify_all();
        self.shared.chores.notify_all();
        self.shared.room.notify_all();
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the journal has panicked");
            }
        }
    }

    /// Places in sealed segments that do not match their checksums, found at opening.
    pub fn damage(&self) -> &[Damage] {
        &self.shared.damage
    }

    /// Figures.
    pub fn stats(&self) -> JournalStats {
        let Counters { groups, records, bytes, syncs } = &self.shared.counters;
        JournalStats {
            groups: groups.load(Ordering::Relaxed),
            records: records.load(Ordering::Relaxed),
            bytes: bytes.load(Ordering::Relaxed),
            syncs: syncs.load(Ordering::Relaxed),
            segments: self.shared.segments.read().len(),
            free_bytes: self.shared.free_bytes.load(Ordering::Relaxed),
        }
    }

    /// Segment and byte up to which the files are known to be on disk.
    #[cfg(test)]
    pub(crate) fn durable_at(&self) -> (u64, u64) {
        self.shared.order.lock().durable_at
    }
}

/// Stops the journal when one of its threads panics (also in a `done`): nobody waits for it then.
struct StopOnPanic(Arc<Shared>);

impl Drop for StopOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            writer::stop(&self.0, Vec::new(), &std::io::Error::other("a thread has panicked"));
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

impl Order {
    /// Why nothing is taken any more.
    fn refusal(&self) -> Option<LogError> {
        let closed = || LogError::Stopped { reason: "the log was closed".to_owned() };
        self.stopped.clone().or_else(|| self.closing.then(closed))
    }

    /// How far the current segment is known to be on disk.
    fn durable_here(&self) -> u64 {
        if self.durable_at.0 == self.segment.number { self.durable_at.1 } else { 0 }
    }

    /// Puts a sealed group at its place in the current segment.
    fn enqueue(&mut self, draft: Draft, spans: Vec<(usize, u64, u64)>) -> Bytes {
        let group = draft.seal(self.seq, self.durable_here());
        let (segment, at) = (Arc::clone(&self.segment), self.at);
        self.seq += 1;
        self.at += group.len() as u64;
        assert!(self.at <= segment.capacity, "the group's room was checked");
        self.pending_bytes += group.len();
        self.pending.push(Pending { group: group.clone(), segment, at, spans, done: None });
        group
    }
}

impl Shared {
    /// Index of a partition.
    pub(crate) fn index(&self, topic: Topic, partition: u16) -> Result<usize, LogError> {
        let limit = usize::from(self.options.layout.partitions(topic)) - 1;
        let what = "the partition's number";
        self.options.layout.index(topic, partition).ok_or(LogError::Limit { what, limit })
    }

    fn full(&self) -> LogError {
        LogError::Full { free_bytes: self.free_bytes.load(Ordering::Relaxed) }
    }

    /// Refuses an append while the device is nearly full; ingest first.
    fn check_pressure(&self, appends: &[Append]) -> Result<(), LogError> {
        let ingest = || appends.iter().any(|append| append.topic == Topic::Touchpoints);
        match self.pressure.load(Ordering::Relaxed) {
            pressure::NONE => Ok(()),
            pressure::INGEST if !ingest() => Ok(()),
            _ => Err(self.full()),
        }
    }

    /// Waits until a group of `bytes` has room in the current segment, moving to the next one if
    /// need be.
    fn make_room(
        &self,
        order: &mut parking_lot::MutexGuard<'_, Order>,
        bytes: usize,
    ) -> Result<(), LogError> {
        loop {
            if let Some(refusal) = order.refusal() {
                return Err(refusal);
            }
            if order.pending_bytes > PENDING_BYTES_MAX {
                self.room.wait(order);
                continue;
            }
            if order.at + bytes as u64 <= order.segment.capacity {
                return Ok(());
            }
            let start = Draft::start(&self.options.layout);
            let need = (start.len() + bytes) as u64;
            if let Some(spare) = order.spare.take_if(|spare| spare.capacity >= need) {
                self.begin_segment(order, spare, start);
                continue;
            }
            if std::mem::take(&mut order.no_room) {
                return Err(self.full());
            }
            order.spare_need = order.spare_need.max(need);
            self.chores.notify_one();
            self.room.wait(order);
        }
    }

    /// Makes a spare segment the current one.
    fn begin_segment(&self, order: &mut Order, mut spare: Segment, mut start: Draft) {
        for (nth, mark) in order.marks.iter().enumerate() {
            start.place(nth, mark.next, mark.log_time);
        }
        spare.start = order.marks.clone();
        let spare = Arc::new(spare);
        order.segment.end.store(order.at, Ordering::Release);
        self.segments.write().push_back(Arc::clone(&spare));
        order.segment = spare;
        order.at = 0;
        order.spare_need = 0;
        order.enqueue(start, Vec::new());
        self.chores.notify_one();
    }

    /// Gives the group its place in the order and shows it to readers.
    fn place(&self, order: &mut Order, mut draft: Draft, appends: &[Append], done: Option<Done>) {
        let now = self.clock.now();
        let mut spans = Vec::with_capacity(appends.len());
        for (nth, append) in appends.iter().enumerate() {
            let index = self.index(append.topic, append.partition).expect("checked");
            let mark = &mut order.marks[index];
            mark.log_time = mark.log_time.max(now);
            draft.place(nth, mark.next, mark.log_time);
            let end = mark.next + append.values.len() as u64;
            spans.push((index, mark.next, end));
            order.segment.note_time(mark.log_time);
            mark.next = end;
        }
        let at = order.at;
        let group = order.enqueue(draft, spans);
        order.pending.last_mut().expect("just put there").done = done;
        let head = frame::parse_head(&self.options.layout, &group).expect("just built");
        order.segment.index.write().note(&head.frames, at);
        let mut wake = Vec::new();
        for frame in head.frames {
            self.partitions[frame.index].lock().push(frame, group.clone(), &mut wake);
        }
        for waiter in wake {
            waiter.call();
        }
    }

    /// What a clock says of a log time that must not run back.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl Log for Journal {
    fn partitions(&self, topic: Topic) -> u16 {
        self.shared.options.layout.partitions(topic)
    }

    fn append(&self, appends: Vec<Append>, done: Option<Done>) -> Result<(), LogError> {
        let shared = &*self.shared;
        limits::check(&shared.options.layout, &appends)?;
        shared.check_pressure(&appends)?;
        let draft = Draft::records(&appends);
        let mut order = shared.order.lock();
        shared.make_room(&mut order, draft.len())?;
        shared.place(&mut order, draft, &appends, done);
        let ring = std::mem::take(&mut order.writer_idle);
        drop(order);
        if ring {
            shared.work.notify_one();
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), LogError> {
        let mut order = self.shared.order.lock();
        let wanted = order.seq;
        while order.durable_seq < wanted {
            if let Some(stopped) = &order.stopped {
                return Err(stopped.clone());
            }
            if order.closed {
                return Err(order.refusal().expect("closed while closing"));
            }
            self.shared.synced.wait(&mut order);
        }
        match &order.stopped {
            Some(stopped) => Err(stopped.clone()),
            None => Ok(()),
        }
    }

    fn read(
        &self,
        topic: Topic,
        partition: u16,
        offset: u64,
        limit: ReadLimit,
        out: &mut Vec<Entry>,
    ) -> Result<(), LogError> {
        read::read(&self.shared, topic, partition, offset, limit, out)
    }

    fn bounds(&self, topic: Topic, partition: u16) -> Result<Bounds, LogError> {
        let index = self.shared.index(topic, partition)?;
        Ok(self.shared.partitions[index].lock().bounds())
    }

    #[expect(clippy::disallowed_methods, reason = "a timeout is wall time")]
    fn wait(&self, at: &[(Topic, u16, u64)], durable_only: bool, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        if self.shared.order.lock().refusal().is_some() {
            return;
        }
        let waiter = Arc::new(Waiter::default());
        let mut joined = Vec::with_capacity(at.len());
        let mut ready = false;
        for &(topic, partition, offset) in at {
            let Ok(index) = self.shared.index(topic, partition) else {
                ready = true;
                break;
            };
            if self.shared.partitions[index].lock().join(&waiter, offset, durable_only) {
                ready = true;
                break;
            }
            joined.push(index);
        }
        if !ready {
            waiter.wait_until(deadline);
        }
        for index in joined {
            self.shared.partitions[index].lock().leave(&waiter);
        }
    }

    fn trim(&self, below: &[(Topic, u16, u64)]) -> Result<(), LogError> {
        for &(topic, partition, offset) in below {
            let index = self.shared.index(topic, partition)?;
            let floor = &mut self.shared.partitions[index].lock().floor;
            *floor = Some(floor.map_or(offset, |old| old.max(offset)));
        }
        keeper::delete_old(&self.shared);
        Ok(())
    }
}
