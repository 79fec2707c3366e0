//! Writing to the log: intents, outcomes and receipts of a turn in one append.

use crate::dispatcher::Dispatcher;
use crate::{DispatchError, limits};
use bytes::Bytes;
use sojourn_ports::{Append, Entry, LogError, ReadLimit, Topic};
use std::collections::BTreeSet;

/// A record on its way into the log.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) topic: Topic,
    pub(crate) partition: u16,
    pub(crate) value: Bytes,
    /// An intent: worth nothing when its call does not follow.
    pub(crate) intent: bool,
}

/// What became of a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Everything is in the log.
    All,
    /// Nothing is, or nobody knows yet: no call may follow.
    Not,
}

impl Dispatcher {
    /// Appends the outbox. An action's outcome and its receipt are in the same append, so that both
    /// survive a crash or neither; where a log does not promise that, recovery writes the receipt
    /// of every outcome that it replays once more.
    pub(crate) fn flush(&mut self) -> Result<Flushed, DispatchError> {
        if self.unsure.is_some() {
            return Ok(Flushed::Not);
        }
        while !self.outbox.is_empty() {
            // An outcome and its receipt stand next to each other: a chunk ends before an outcome.
            let mut end = self.outbox.len().min(limits::FLUSH_RECORDS_MAX);
            while end < self.outbox.len() && self.outbox[end].topic == Topic::Touchpoints {
                end -= 1;
            }
            let chunk: Vec<Record> = self.outbox.drain(..end).collect();
            match self.ports.log.append(group(&chunk), None) {
                Ok(()) => self.count(&chunk),
                Err(LogError::Full { .. }) => {
                    crate::metrics::at_limit("log");
                    self.outbox.splice(0..0, chunk);
                    return Ok(Flushed::Not);
                }
                Err(LogError::Unknown { .. }) => {
                    self.unsure = Some(chunk);
                    return Ok(Flushed::Not);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Flushed::All)
    }

    fn count(&mut self, chunk: &[Record]) {
        for record in chunk.iter().filter(|record| record.topic == Topic::Dispatch) {
            *self.dispatch_next.entry(record.partition).or_default() += 1;
        }
    }

    /// After an unknown append: looks which of its records are in `dispatch`, partition by partition
    /// (of a distributed log some may be and others not), and puts the rest back. Intents are not
    /// put back: their calls were not made. Receipts and dead letters are: a receipt counts once
    /// however often it is written.
    pub(crate) fn resolve_unsure(&mut self) -> Result<(), DispatchError> {
        let Some(chunk) = self.unsure.take() else { return Ok(()) };
        let mut partitions: Vec<u16> =
            chunk.iter().filter(|r| r.topic == Topic::Dispatch).map(|r| r.partition).collect();
        partitions.sort_unstable();
        partitions.dedup();
        let mut landed: BTreeSet<(u16, Bytes)> = BTreeSet::new();
        for partition in partitions {
            match self.since_last_append(partition) {
                Ok(values) => landed.extend(values.into_iter().map(|value| (partition, value))),
                Err(error) => {
                    self.unsure = Some(chunk);
                    return Err(error);
                }
            }
        }
        let missing = |record: &Record| {
            let there = || landed.contains(&(record.partition, record.value.clone()));
            record.topic != Topic::Dispatch || (!record.intent && !there())
        };
        self.outbox.splice(0..0, chunk.into_iter().filter(missing));
        Ok(())
    }

    /// What `dispatch` has above the place that this dispatcher knows; then it knows that too.
    fn since_last_append(&mut self, partition: u16) -> Result<Vec<Bytes>, DispatchError> {
        let log = &self.ports.log;
        let mut from = self.dispatch_next.get(&partition).copied().unwrap_or(0);
        let end = log.bounds(Topic::Dispatch, partition)?.next;
        let limit = ReadLimit {
            records: limits::READ_RECORDS_MAX,
            bytes: limits::READ_BYTES_MAX,
            durable_only: false,
        };
        let mut values = Vec::new();
        let mut entries: Vec<Entry> = Vec::new();
        while from < end {
            entries.clear();
            log.read(Topic::Dispatch, partition, from, limit, &mut entries)?;
            // Nothing at all is a hole at the end; only what was read before is a reader that went
            // back, and more follows.
            let Some(last) = entries.last().map(|last| last.offset) else { break };
            let new = entries.drain(..).filter(|entry| entry.offset >= from);
            values.extend(new.map(|entry| entry.value));
            from = from.max(last + 1);
        }
        self.dispatch_next.insert(partition, from);
        Ok(values)
    }

    /// Saves the lanes that are due, when everything they tell of is in the log and durable.
    pub(crate) fn checkpoint(&mut self, force: bool) -> Result<(), DispatchError> {
        if !self.outbox.is_empty() || self.unsure.is_some() {
            return Ok(());
        }
        let now = self.ports.clock.now();
        let due = |lane: &crate::lane::Lane| lane.has_changes() && (force || lane.is_due(now));
        if !self.lanes.iter().any(due) {
            return Ok(());
        }
        self.ports.log.sync()?;
        // What recovery learned of actions that have not been read yet stands in memory only: until
        // they have been, whoever recovers next must learn it again (ACT-1).
        let read = |lane: &crate::lane::Lane| {
            self.targets.get(&lane.partition).is_some_and(|target| lane.next >= *target)
        };
        let settled = self.lanes.iter().all(read);
        for lane in &mut self.lanes {
            if !due(lane) {
                continue;
            }
            let known = self.dispatch_next.get(&lane.dispatch).copied().unwrap_or(0);
            let dispatch = if settled { known } else { lane.saved_dispatch };
            let store = &*self.ports.store;
            if lane.checkpoint(store, &self.pending, &self.early, dispatch, now)? {
                let actions = (Topic::Actions, lane.partition, lane.next);
                // Lanes that share a partition of `dispatch` need it from the oldest of them on;
                // the layout gives each its own.
                self.ports.log.trim(&[actions, (Topic::Dispatch, lane.dispatch, dispatch)])?;
            }
        }
        Ok(())
    }
}

/// Records by topic and partition, their order kept.
fn group(records: &[Record]) -> Vec<Append> {
    let mut appends: Vec<Append> = Vec::new();
    for record in records {
        let place = (record.topic, record.partition);
        match appends.iter_mut().find(|append| (append.topic, append.partition) == place) {
            Some(append) => append.values.push(record.value.clone()),
            None => appends.push(Append {
                topic: record.topic,
                partition: record.partition,
                values: vec![record.value.clone()],
            }),
        }
    }
    appends
}
