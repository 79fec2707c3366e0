//! The log in memory: one journal of append calls over all partitions, with an explicit durable
//! frontier and faults.

use crate::fault::{Dice, FaultCounts, LogFaults, Random, UnknownOutcome};
use parking_lot::{Condvar, Mutex, MutexGuard};
use sojourn_model::{DurationMs, Timestamp};
use sojourn_ports::log::limits;
use sojourn_ports::{Append, Bounds, Clock, Done, Entry, Layout, Log, LogError, ReadLimit, Topic};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// When appended records become durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncMode {
    /// With the append itself; `done` is called before `append` returns.
    Auto,
    /// When somebody calls [`Log::sync`] or [`MemoryLog::sync_some`].
    Manual,
}

/// A log in memory.
///
/// A crash happens in place ([`MemoryLog::crash`]): the same object is then the reopened log, and
/// whatever was built on it before must be dropped.
pub struct MemoryLog {
    layout: Layout,
    clock: Arc<dyn Clock>,
    journal: Mutex<Journal>,
    moved: Condvar,
}

struct Journal {
    partitions: Vec<Partition>,
    /// Append calls that are not durable, oldest first.
    unsynced: VecDeque<Call>,
    mode: SyncMode,
    /// Promises per partition only (see [`MemoryLog::set_distributed`]).
    distributed: bool,
    stopped: Option<String>,
    full: bool,
    capacity_bytes: Option<u64>,
    used_bytes: u64,
    retention: DurationMs,
    faults: LogFaults,
    forced: VecDeque<UnknownOutcome>,
    dice: Dice,
    counts: FaultCounts,
}

#[derive(Default)]
struct Partition {
    entries: VecDeque<Entry>,
    first: u64,
    durable: u64,
    /// Log time of the last record that was ever trimmed.
    trimmed_time: Option<Timestamp>,
    /// Records below may go.
    floor: u64,
}

impl Partition {
    fn next(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    fn last_time(&self) -> Option<Timestamp> {
        self.entries.back().map(|entry| entry.log_time).or(self.trimmed_time)
    }
}

/// One append call: where its records stand.
struct Call {
    spans: Vec<(usize, u64, u64)>,
    done: Option<Done>,
}

type Finished = Vec<(Done, Vec<u64>)>;

impl MemoryLog {
    /// An empty log that syncs with every append and has no faults.
    pub fn new(layout: Layout, clock: Arc<dyn Clock>) -> Self {
        let journal = Journal {
            partitions: (0..layout.total()).map(|_| Partition::default()).collect(),
            unsynced: VecDeque::new(),
            mode: SyncMode::Auto,
            distributed: false,
            stopped: None,
            full: false,
            capacity_bytes: None,
            used_bytes: 0,
            retention: DurationMs(0),
            faults: LogFaults::default(),
            forced: VecDeque::new(),
            dice: Dice::default(),
            counts: FaultCounts::default(),
        };
        Self { layout, clock, journal: Mutex::new(journal), moved: Condvar::new() }
    }

    /// Source of choices for faults and crashes. Without one, a crash loses all that is unsynced.
    pub fn set_random(&self, random: Random) {
        self.journal.lock().dice = Dice::new(random);
    }

    /// When records become durable from here on.
    pub fn set_sync_mode(&self, mode: SyncMode) {
        self.journal.lock().mode = mode;
    }

    /// Whether it promises what a distributed log promises: every record is durable when it is
    /// shown, and a crash takes nothing back; but an append whose outcome is unknown may have
    /// reached some of its partitions only, of one with a first part, or twice.
    pub fn set_distributed(&self, distributed: bool) {
        let mut journal = self.journal.lock();
        journal.distributed = distributed;
        if distributed {
            journal.mode = SyncMode::Auto;
        }
    }

    /// Faults by chance from here on.
    pub fn set_faults(&self, faults: LogFaults) {
        self.journal.lock().faults = faults;
    }

    /// The next append (after those already told) answers `Unknown`.
    pub fn next_append_unknown(&self, outcome: UnknownOutcome) {
        self.journal.lock().forced.push_back(outcome);
    }

    /// Every later append fails `Stopped`, until [`MemoryLog::crash`].
    pub fn stop(&self, reason: &str) {
        self.journal.lock().stopped = Some(reason.to_owned());
        self.moved.notify_all();
    }

    /// The disk is full, or is not any more.
    pub fn set_full(&self, full: bool) {
        self.journal.lock().full = full;
    }

    /// Room for this many bytes of values; `None`: any.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.journal.lock().capacity_bytes = bytes;
    }

    /// How long records stay after [`Log::trim`] has allowed them to go (default: not at all).
    pub fn set_retention(&self, retention: DurationMs) {
        self.journal.lock().retention = retention;
    }

    /// Append calls that are not durable yet.
    pub fn unsynced(&self) -> usize {
        self.journal.lock().unsynced.len()
    }

    /// Makes the oldest `calls` unsynced append calls durable and calls their `done`.
    pub fn sync_some(&self, calls: usize) {
        let mut journal = self.journal.lock();
        let calls = calls.min(journal.unsynced.len());
        let finished = journal.make_durable(calls);
        drop(journal);
        self.announce(finished);
    }

    /// The process dies and the log is opened anew: of the unsynced append calls a suffix is lost,
    /// the rest is durable now; no pending `done` is called; a stopped log goes on. Returns how
    /// many append calls were lost.
    ///
    /// Where the suffix begins is drawn, so that a call may also be torn in the middle: its
    /// checksum fails and repair drops the whole call (atomicity).
    pub fn crash(&self) -> usize {
        let mut journal = self.journal.lock();
        let unsynced = journal.unsynced.len() as u64;
        let keep = usize::try_from(journal.dice.up_to(unsynced)).expect("was a length");
        let lost = journal.unsynced.split_off(keep);
        let torn = !lost.is_empty() && journal.dice.up_to(1) == 1;
        for call in lost.iter().rev() {
            for &(index, base, _) in call.spans.iter().rev() {
                journal.cut(index, base);
            }
        }
        // Nobody is left to be told: the callbacks died with the process.
        for call in &mut journal.unsynced {
            call.done = None;
        }
        let kept = journal.unsynced.len();
        journal.make_durable(kept);
        journal.stopped = None;
        journal.counts.crashes += 1;
        journal.counts.lost_appends += lost.len() as u64;
        journal.counts.torn_appends += u64::from(torn);
        lost.len()
    }

    /// How often each fault has happened.
    pub fn fault_counts(&self) -> FaultCounts {
        self.journal.lock().counts
    }

    fn index(&self, topic: Topic, partition: u16) -> Result<usize, LogError> {
        let limit = usize::from(self.layout.partitions(topic)) - 1;
        let what = "the partition's number";
        self.layout.index(topic, partition).ok_or(LogError::Limit { what, limit })
    }

    fn announce(&self, finished: Finished) {
        self.moved.notify_all();
        for (done, firsts) in finished {
            done(Ok(firsts));
        }
    }

    /// Whether any of `at` has something to read.
    fn ready(&self, journal: &Journal, at: &[(Topic, u16, u64)], durable_only: bool) -> bool {
        journal.stopped.is_some()
            || at.iter().any(|&(topic, partition, offset)| {
                self.layout.index(topic, partition).is_none_or(|index| {
                    let partition = &journal.partitions[index];
                    offset < if durable_only { partition.durable } else { partition.next() }
                })
            })
    }
}

impl Journal {
    fn room(&self, bytes: u64) -> bool {
        !self.full && self.capacity_bytes.is_none_or(|capacity| self.used_bytes + bytes <= capacity)
    }

    /// Stamps and stores the records of one call.
    fn store(&mut self, layout: &Layout, now: Timestamp, appends: Vec<Append>) -> Call {
        let mut spans = Vec::with_capacity(appends.len());
        for append in appends {
            let index = layout.index(append.topic, append.partition).expect("checked");
            let partition = &mut self.partitions[index];
            let base = partition.next();
            let log_time = partition.last_time().map_or(now, |last| last.max(now));
            spans.push((index, base, append.values.len() as u64));
            for value in append.values {
                self.used_bytes += value.len() as u64;
                let offset = partition.next();
                partition.entries.push_back(Entry { offset, log_time, value });
            }
        }
        Call { spans, done: None }
    }

    /// What arrives of a call over a distributed log whose answer was lost: of each partition's
    /// values nothing, a first part, all of them, or all of them twice.
    fn arriving(&mut self, appends: Vec<Append>) -> Vec<Append> {
        let (mut missing, mut twice) = (false, false);
        let mut arriving = Vec::with_capacity(appends.len());
        for mut append in appends {
            match self.dice.up_to(3) {
                0 => {
                    missing = true;
                    continue;
                }
                1 => {
                    let most = append.values.len() as u64;
                    let keep = usize::try_from(self.dice.up_to(most)).expect("was a length");
                    missing |= keep < append.values.len();
                    append.values.truncate(keep);
                }
                2 => {}
                _ => {
                    twice = true;
                    append.values.extend_from_within(..);
                }
            }
            if !append.values.is_empty() {
                arriving.push(append);
            }
        }
        self.counts.partial_appends += u64::from(missing && !arriving.is_empty());
        self.counts.repeated_appends += u64::from(twice);
        arriving
    }

    fn make_durable(&mut self, calls: usize) -> Finished {
        let mut finished = Vec::new();
        for call in self.unsynced.drain(..calls) {
            for &(index, base, count) in &call.spans {
                let partition = &mut self.partitions[index];
                assert!(partition.durable <= base, "LOG-1: durability moves forward in order");
                partition.durable = base + count;
            }
            if let Some(done) = call.done {
                finished.push((done, call.spans.iter().map(|&(_, base, _)| base).collect()));
            }
        }
        finished
    }

    /// Takes back everything of a partition from `base` on.
    fn cut(&mut self, index: usize, base: u64) {
        let partition = &mut self.partitions[index];
        assert!(base >= partition.durable, "LOG-1: a crash takes back nothing durable");
        let keep = usize::try_from(base - partition.first).expect("fits memory");
        for entry in partition.entries.drain(keep..) {
            self.used_bytes -= entry.value.len() as u64;
        }
    }

    /// Deletes what may go: below the floor, durable, older than the retention.
    fn trim(&mut self, index: usize, now: Timestamp) {
        let partition = &mut self.partitions[index];
        let floor = partition.floor.min(partition.durable);
        while let Some(entry) = partition.entries.front() {
            if entry.offset >= floor || now.since(entry.log_time) < self.retention {
                break;
            }
            self.used_bytes -= entry.value.len() as u64;
            partition.trimmed_time = Some(entry.log_time);
            partition.entries.pop_front();
            partition.first += 1;
        }
    }

    /// Where a read begins and how many records it gives at most, faults considered.
    fn plan_read(&mut self, first: u64, offset: u64, limit: ReadLimit) -> (u64, usize) {
        let (mut from, mut records) = (offset, limit.records.max(1));
        if self.dice.hits(self.faults.short_read) {
            records = 1 + self.dice.up_to((records as u64 / 2).min(LogFaults::SHORT_MAX)) as usize;
            self.counts.short_reads += 1;
        }
        if offset > first && self.dice.hits(self.faults.rewind_read) {
            let most = LogFaults::REWIND_MAX.min(offset - first);
            let back = 1 + self.dice.up_to(most - 1);
            from -= back;
            records += back as usize;
            self.counts.rewound_reads += 1;
        }
        (from, records)
    }
}

impl Log for MemoryLog {
    fn partitions(&self, topic: Topic) -> u16 {
        self.layout.partitions(topic)
    }

    fn append(&self, appends: Vec<Append>, done: Option<Done>) -> Result<(), LogError> {
        limits::check(&self.layout, &appends)?;
        let now = self.clock.now();
        let mut journal = self.journal.lock();
        if let Some(reason) = &journal.stopped {
            return Err(LogError::Stopped { reason: reason.clone() });
        }
        let bytes = appends.iter().flat_map(|append| &append.values).map(|v| v.len() as u64).sum();
        if !journal.room(bytes) {
            journal.counts.full += 1;
            let capacity = journal.capacity_bytes.filter(|_| !journal.full).unwrap_or(0);
            let free_bytes = capacity.saturating_sub(journal.used_bytes);
            return Err(LogError::Full { free_bytes });
        }
        let unknown = match journal.forced.pop_front() {
            Some(outcome) => Some(outcome),
            None => {
                let chance = journal.faults.append_unknown;
                journal.dice.hits(chance).then(|| journal.dice.outcome())
            }
        };
        let finished = match unknown {
            Some(UnknownOutcome::Lost) => Vec::new(),
            _ => {
                let appends = match unknown {
                    Some(_) if journal.distributed => journal.arriving(appends),
                    _ => appends,
                };
                let mut call = journal.store(&self.layout, now, appends);
                call.done = done.filter(|_| unknown.is_none());
                journal.unsynced.push_back(call);
                let calls = journal.unsynced.len();
                if journal.mode == SyncMode::Auto { journal.make_durable(calls) } else { vec![] }
            }
        };
        match unknown {
            Some(UnknownOutcome::Applied) => journal.counts.unknown_applied += 1,
            Some(UnknownOutcome::Lost) => journal.counts.unknown_lost += 1,
            None => {}
        }
        drop(journal);
        self.announce(finished);
        match unknown {
            Some(_) => Err(LogError::Unknown { reason: "no answer in time".to_owned() }),
            None => Ok(()),
        }
    }

    fn sync(&self) -> Result<(), LogError> {
        let mut journal = self.journal.lock();
        if let Some(reason) = &journal.stopped {
            return Err(LogError::Stopped { reason: reason.clone() });
        }
        let calls = journal.unsynced.len();
        let finished = journal.make_durable(calls);
        drop(journal);
        self.announce(finished);
        Ok(())
    }

    fn read(
        &self,
        topic: Topic,
        partition: u16,
        offset: u64,
        limit: ReadLimit,
        out: &mut Vec<Entry>,
    ) -> Result<(), LogError> {
        let index = self.index(topic, partition)?;
        let mut journal = self.journal.lock();
        let (first, next) = (journal.partitions[index].first, journal.partitions[index].next());
        if offset < first || offset > next {
            let topic = topic.as_str();
            return Err(LogError::OutOfRange { topic, partition, wanted: offset, first, next });
        }
        let (from, records) = journal.plan_read(first, offset, limit);
        let entries = &journal.partitions[index];
        let end = if limit.durable_only { entries.durable } else { next };
        let mut bytes = 0;
        let skip = usize::try_from(from - first).expect("fits memory");
        for entry in entries.entries.iter().skip(skip).take(records) {
            bytes += entry.value.len();
            if entry.offset >= end || (entry.offset > offset && bytes > limit.bytes) {
                break;
            }
            out.push(entry.clone());
        }
        Ok(())
    }

    fn bounds(&self, topic: Topic, partition: u16) -> Result<Bounds, LogError> {
        let index = self.index(topic, partition)?;
        let journal = self.journal.lock();
        let partition = &journal.partitions[index];
        let (first, next) = (partition.first, partition.next());
        Ok(Bounds { first, next, durable: partition.durable })
    }

    #[expect(clippy::disallowed_methods, reason = "a timeout is wall time")]
    fn wait(&self, at: &[(Topic, u16, u64)], durable_only: bool, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        let mut journal: MutexGuard<'_, Journal> = self.journal.lock();
        while !self.ready(&journal, at, durable_only) {
            if self.moved.wait_until(&mut journal, deadline).timed_out() {
                return;
            }
        }
    }

    fn trim(&self, below: &[(Topic, u16, u64)]) -> Result<(), LogError> {
        let now = self.clock.now();
        let mut journal = self.journal.lock();
        for &(topic, partition, offset) in below {
            let index = self.index(topic, partition)?;
            let floor = &mut journal.partitions[index].floor;
            *floor = offset.max(*floor);
            journal.trim(index, now);
        }
        Ok(())
    }
}
