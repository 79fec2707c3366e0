//! The thread that writes and syncs: group commit for all partitions (LOG-1).
//!
//! While one batch is being synced the next one gathers. Under load at least `sync_interval` lies
//! between two syncs; after a pause the first append is synced at once.

use super::{Order, Pending, Shared};
use crate::journal::frame::Draft;
use crate::journal::segment::Segment;
use bytes::Bytes;
use rustix::io::pwritev;
use sojourn_ports::LogError;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Buffers in one system call.
const SLICES_MAX: usize = 512;

/// Runs until the journal is closed.
#[expect(clippy::disallowed_methods, reason = "the pace of syncs is wall time")]
pub(crate) fn run(shared: &Shared) {
    let mut tail = Tail::default();
    let mut last_sync: Option<Instant> = None;
    let mut current = Arc::clone(&shared.order.lock().segment);
    while let Some(batch) = next_batch(shared, last_sync) {
        last_sync = Some(Instant::now());
        match write(shared, &batch, &mut current) {
            Ok(()) => commit(shared, batch, &mut tail),
            Err(error) => return stop(shared, batch, &error),
        }
    }
    close(shared);
}

/// Waits for work; `None` when the journal is closing and nothing is left.
#[expect(clippy::disallowed_methods, reason = "the writer's own thread gathers a batch")]
fn next_batch(shared: &Shared, last_sync: Option<Instant>) -> Option<Vec<Pending>> {
    let mut order = shared.order.lock();
    while order.pending.is_empty() {
        if order.closing {
            return None;
        }
        order.writer_idle = true;
        shared.work.wait(&mut order);
        order.writer_idle = false;
    }
    if let Some(last) = last_sync
        && !order.closing
    {
        let rest = shared.options.sync_interval.saturating_sub(last.elapsed());
        if !rest.is_zero() {
            drop(order);
            std::thread::sleep(rest);
            order = shared.order.lock();
        }
    }
    let batch = std::mem::take(&mut order.pending);
    order.pending_bytes = 0;
    drop(order);
    shared.room.notify_all();
    Some(batch)
}

/// Writes a batch and syncs. A segment is on disk before a byte of the next one is written.
fn write(shared: &Shared, batch: &[Pending], current: &mut Arc<Segment>) -> io::Result<()> {
    for run in batch.chunk_by(|a, b| a.segment.number == b.segment.number) {
        let segment = &run[0].segment;
        if segment.number != current.number {
            sync(shared, current)?;
            let end = current.end.load(Ordering::Acquire);
            assert!(end < u64::MAX, "a segment is sealed when the next one begins");
            current.file.set_len(end)?;
            *current = Arc::clone(segment);
        }
        let mut at = run[0].at;
        for some in run.chunks(SLICES_MAX) {
            let groups: Vec<&Bytes> = some.iter().map(|pending| &pending.group).collect();
            assert_eq!(at, some[0].at, "groups stand one after the other");
            at = write_all(segment, &groups, at)?;
        }
    }
    sync(shared, current)
}

fn write_all(segment: &Segment, groups: &[&Bytes], mut at: u64) -> io::Result<u64> {
    let mut slices: Vec<IoSlice<'_>> = groups.iter().map(|group| IoSlice::new(group)).collect();
    let mut rest = &mut slices[..];
    while !rest.is_empty() {
        match pwritev(&segment.file, rest, at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                at += written as u64;
                IoSlice::advance_slices(&mut rest, written);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(at)
}

fn sync(shared: &Shared, segment: &Segment) -> io::Result<()> {
    if let Some(probe) = &shared.options.probes.before_sync {
        probe()?;
    }
    shared.counters.syncs.fetch_add(1, Ordering::Relaxed);
    segment.file.sync_data()
}

/// The batch is on disk: tells the waiters, keeps it in the tail.
fn commit(shared: &Shared, batch: Vec<Pending>, tail: &mut Tail) {
    let last = batch.last().expect("a batch is not empty");
    let durable_at = (last.segment.number, last.at + last.group.len() as u64);
    let mut wake = Vec::new();
    // Counted before anybody is told: who has synced finds its own records in the figures.
    let counters = &shared.counters;
    counters.groups.fetch_add(batch.len() as u64, Ordering::Relaxed);
    for pending in &batch {
        let records: u64 = pending.spans.iter().map(|&(_, base, end)| end - base).sum();
        counters.records.fetch_add(records, Ordering::Relaxed);
        counters.bytes.fetch_add(pending.group.len() as u64, Ordering::Relaxed);
        for &(index, _, end) in &pending.spans {
            shared.partitions[index].lock().set_durable(end, &mut wake);
        }
    }
    {
        let mut order = shared.order.lock();
        order.durable_seq += batch.len() as u64;
        order.durable_at = durable_at;
    }
    shared.synced.notify_all();
    wake.into_iter().for_each(|waiter| waiter.call());
    for pending in batch {
        tail.keep(pending.group.len(), &pending.spans);
        if let Some(done) = pending.done {
            done(Ok(pending.spans.iter().map(|&(_, base, _)| base).collect()));
        }
    }
    tail.shrink(shared);
}

/// A write or fsync failed: nobody knows what is on disk, so nothing more is taken.
pub(crate) fn stop(shared: &Shared, batch: Vec<Pending>, error: &io::Error) {
    tracing::error!(%error, dir = %shared.dir.display(), "the journal has stopped");
    let stopped = LogError::Stopped { reason: error.to_string() };
    let rest = {
        let mut order = shared.order.lock();
        order.stopped = Some(stopped.clone());
        order.closed = true;
        std::mem::take(&mut order.pending)
    };
    shared.room.notify_all();
    shared.synced.notify_all();
    shared.chores.notify_all();
    wake_everybody(shared);
    for done in batch.into_iter().chain(rest).filter_map(|pending| pending.done) {
        done(Err(stopped.clone()));
    }
}

/// Marks the end, so that damage of the last groups cannot pass for a torn tail.
fn close(shared: &Shared) {
    let mut order = shared.order.lock();
    let result = write_close(&mut order);
    if let Err(error) = result {
        tracing::warn!(%error, "the journal could not be marked as closed");
    }
    order.closed = true;
    drop(order);
    shared.synced.notify_all();
    wake_everybody(shared);
}

fn write_close(order: &mut Order) -> io::Result<()> {
    let draft = Draft::close();
    if order.stopped.is_some() || order.at + draft.len() as u64 > order.segment.capacity {
        return Ok(());
    }
    let group = draft.seal(order.seq, order.at);
    order.segment.file.write_all_at(&group, order.at)?;
    order.segment.file.sync_data()
}

fn wake_everybody(shared: &Shared) {
    let mut wake = Vec::new();
    for partition in &shared.partitions {
        partition.lock().collect_all(&mut wake);
    }
    wake.into_iter().for_each(|waiter| waiter.call());
}

/// Which groups the partitions' tails hold, oldest first: bounds their memory (LIM-1).
#[derive(Default)]
struct Tail {
    groups: VecDeque<(usize, Vec<(usize, u64)>)>,
    bytes: usize,
}

impl Tail {
    fn keep(&mut self, bytes: usize, spans: &[(usize, u64, u64)]) {
        self.bytes += bytes;
        self.groups
            .push_back((bytes, spans.iter().map(|&(index, base, _)| (index, base)).collect()));
    }

    fn shrink(&mut self, shared: &Shared) {
        while self.bytes > shared.options.tail_bytes {
            let Some((bytes, frames)) = self.groups.pop_front() else { return };
            self.bytes -= bytes;
            for (index, base) in frames {
                shared.partitions[index].lock().evict(base);
            }
        }
    }
}
