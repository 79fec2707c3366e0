//! What the journal keeps in memory of one partition: its bounds, its recent records, who waits.

use super::frame::{self, Frame, Wish};
use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use sojourn_ports::{Bounds, Entry};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// Bounds, tail and waiters of a partition. Behind a mutex, held for moments.
#[derive(Default)]
pub(crate) struct Partition {
    pub(crate) first: u64,
    pub(crate) next: u64,
    pub(crate) durable: u64,
    /// Records below may go; `None`: nobody ever said so.
    pub(crate) floor: Option<u64>,
    tail: VecDeque<(Frame, Bytes)>,
    waiters: Vec<(Arc<Waiter>, u64, bool)>,
}

/// Somebody who waits for records of some partitions.
#[derive(Default)]
pub(crate) struct Waiter {
    called: Mutex<bool>,
    bell: Condvar,
}

impl Waiter {
    pub(crate) fn call(&self) {
        *self.called.lock() = true;
        self.bell.notify_one();
    }

    /// Returns when called or at the deadline.
    pub(crate) fn wait_until(&self, deadline: Instant) {
        let mut called = self.called.lock();
        while !*called {
            if self.bell.wait_until(&mut called, deadline).timed_out() {
                return;
            }
        }
    }
}

/// What a read found in memory.
pub(crate) enum FromTail {
    /// The groups that hold the wanted records, oldest first.
    Groups(Vec<(Frame, Bytes)>),
    /// The records are in segment files, up to this offset.
    OnDisk(u64),
}

impl Partition {
    /// As found at opening: everything is in files and durable.
    pub(crate) fn new(first: u64, next: u64) -> Self {
        Self { first, next, durable: next, ..Self::default() }
    }

    pub(crate) fn bounds(&self) -> Bounds {
        Bounds { first: self.first, next: self.next, durable: self.durable }
    }

    /// Adds a frame; collects who is to be called.
    pub(crate) fn push(&mut self, frame: Frame, group: Bytes, wake: &mut Vec<Arc<Waiter>>) {
        assert_eq!(self.next, frame.base, "offsets have no holes");
        self.next += u64::from(frame.count);
        self.tail.push_back((frame, group));
        self.collect(wake);
    }

    /// Everything below `offset` is durable; collects who is to be called.
    pub(crate) fn set_durable(&mut self, offset: u64, wake: &mut Vec<Arc<Waiter>>) {
        self.durable = self.durable.max(offset);
        assert!(self.durable <= self.next, "LOG-1: nothing is durable before it is appended");
        self.collect(wake);
    }

    fn collect(&mut self, wake: &mut Vec<Arc<Waiter>>) {
        let (next, durable) = (self.next, self.durable);
        self.waiters.retain(|(waiter, offset, durable_only)| {
            let ready = *offset < if *durable_only { durable } else { next };
            if ready {
                wake.push(Arc::clone(waiter));
            }
            !ready
        });
    }

    /// Everybody who waits, whatever for.
    pub(crate) fn collect_all(&mut self, wake: &mut Vec<Arc<Waiter>>) {
        wake.extend(self.waiters.drain(..).map(|(waiter, ..)| waiter));
    }

    /// Registers a waiter; true when there is something already.
    pub(crate) fn join(&mut self, waiter: &Arc<Waiter>, offset: u64, durable_only: bool) -> bool {
        if offset < if durable_only { self.durable } else { self.next } {
            return true;
        }
        self.waiters.push((Arc::clone(waiter), offset, durable_only));
        false
    }

    /// Takes a waiter out.
    pub(crate) fn leave(&mut self, waiter: &Arc<Waiter>) {
        self.waiters.retain(|(other, ..)| !Arc::ptr_eq(other, waiter));
    }

    /// Forgets the oldest frame of the tail: it is in its file.
    pub(crate) fn evict(&mut self, base: u64) {
        if let Some((frame, _)) = self.tail.front()
            && frame.base <= base
        {
            self.tail.pop_front();
        }
    }

    /// Looks for records from `offset` on, enough for `wish`.
    pub(crate) fn look(&self, offset: u64, wish: &Wish) -> FromTail {
        let begin = self.tail.front().map_or(self.next, |(frame, _)| frame.base);
        if offset < begin {
            return FromTail::OnDisk(begin);
        }
        let end_of = |frame: &Frame| frame.base + u64::from(frame.count);
        let from = self.tail.partition_point(|(frame, _)| end_of(frame) <= offset);
        let (mut records, mut bytes) = (0, 0);
        let mut groups = Vec::new();
        for (frame, group) in self.tail.range(from..) {
            if frame.base >= wish.end || records >= wish.records || bytes >= wish.bytes.max(1) {
                break;
            }
            // Of the first frame some records may be below the offset: they do not count.
            let skipped = offset.saturating_sub(frame.base) as usize;
            let count = frame.count as usize;
            records += count - skipped.min(count);
            bytes += frame.bytes * (count - skipped.min(count)) / count.max(1);
            groups.push((*frame, group.clone()));
        }
        FromTail::Groups(groups)
    }
}

/// Gives the records of groups found in the tail.
pub(crate) fn deliver(
    groups: &[(Frame, Bytes)],
    offset: u64,
    wish: &mut Wish,
    out: &mut Vec<Entry>,
) {
    for (frame, group) in groups {
        let full = frame::take(group, frame, offset, wish, out);
        if full.expect("the journal wrote this group itself") {
            return;
        }
    }
}
