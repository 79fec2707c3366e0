//! A place from which a partition is read on: a queue of the client library, and what was taken out
//! of it last.
//!
//! Records are copied once, from the library's memory into a block that all records of one pull
//! share. What was read stays for a while, so that a second reader just behind needs no cursor of
//! its own.

use crate::context::Teller;
use bytes::{Bytes, BytesMut};
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use sojourn_model::Timestamp;
use sojourn_ports::{Entry, LogError, ReadLimit};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Records taken at once (LIM-1).
const PULL_RECORDS_MAX: usize = 1_024;
/// Bytes taken at once; one record may be larger (LIM-1).
const PULL_BYTES_MAX: usize = 512 << 10;
/// Bytes that stay after they were read (LIM-1).
const KEPT_BYTES_MAX: usize = 1 << 20;
/// What one entry costs beside its value.
const ENTRY_BYTES: usize = 64;
/// Pause before a move is tried again: a partition that was assigned a moment ago cannot move yet.
const MOVE_PAUSE: Duration = Duration::from_millis(2);

/// See the module.
pub(crate) struct Cursor {
    consumer: Arc<BaseConsumer<Teller>>,
    name: String,
    partition: i32,
    queue: PartitionQueue<Teller>,
    /// There may be something in the queue.
    arrived: Arc<AtomicBool>,
    /// The kept records are all of `start..next`.
    start: u64,
    pub(crate) next: u64,
    kept: VecDeque<Entry>,
    kept_bytes: usize,
    /// The largest stamp before `next`; not known before the first pull after a move.
    latest: Option<i64>,
    /// The partition's position is lost: move before the next pull.
    pub(crate) lost: bool,
    /// Reads since the last move.
    pub(crate) reads: u64,
    pub(crate) used: Instant,
}

/// How a pull ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pulled {
    /// There is more to read.
    Some,
    /// Nothing came in time.
    Nothing,
    /// The broker does not have the wanted offset.
    Lost,
}

/// A record of a pull, before its block is shared.
struct Raw {
    offset: u64,
    stamp: i64,
    end: usize,
}

impl Cursor {
    /// Begins at `offset`. `ring` is called when something has come.
    pub(crate) fn new(
        consumer: &Arc<BaseConsumer<Teller>>,
        (name, partition): &(String, i32),
        offset: u64,
        ring: impl Fn() + Send + Sync + 'static,
        now: Instant,
    ) -> Result<Self, KafkaError> {
        // Before the partition is assigned: otherwise its first records go to the common queue.
        let queue = consumer.split_partition_queue(name, *partition);
        let mut queue = queue.ok_or(KafkaError::Canceled)?;
        let arrived = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&arrived);
        queue.set_nonempty_callback(move || {
            flag.store(true, Ordering::SeqCst);
            ring();
        });
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(name, *partition, raw_offset(offset))?;
        consumer.incremental_assign(&list)?;
        Ok(Self {
            consumer: Arc::clone(consumer),
            name: name.clone(),
            partition: *partition,
            queue,
            arrived,
            start: offset,
            next: offset,
            kept: VecDeque::new(),
            kept_bytes: 0,
            latest: None,
            lost: false,
            reads: 0,
            used: now,
        })
    }

    /// Whether reading from `offset` needs no move.
    pub(crate) fn covers(&self, offset: u64) -> bool {
        (self.start..=self.next).contains(&offset) && !(self.lost && offset == self.next)
    }

    /// Whether something at or above `offset`, which it covers, may be there.
    pub(crate) fn has(&self, offset: u64) -> bool {
        offset < self.next || self.arrived.load(Ordering::SeqCst)
    }

    /// Goes to `offset`.
    #[expect(clippy::disallowed_methods, reason = "an edge: it waits for the client library")]
    pub(crate) fn move_to(&mut self, offset: u64, timeout: Duration) -> Result<(), KafkaError> {
        let deadline = Instant::now() + timeout;
        loop {
            let sought =
                self.consumer.seek(&self.name, self.partition, raw_offset(offset), timeout);
            match sought {
                Ok(()) => break,
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) => std::thread::sleep(MOVE_PAUSE),
            }
        }
        self.kept.clear();
        self.kept_bytes = 0;
        (self.start, self.next) = (offset, offset);
        (self.latest, self.lost, self.reads) = (None, false, 0);
        Ok(())
    }

    /// Copies kept records from `offset` on; says how many.
    pub(crate) fn give(&mut self, offset: u64, limit: ReadLimit, out: &mut Vec<Entry>) -> usize {
        let begin = self.kept.partition_point(|entry| entry.offset < offset);
        let (mut records, mut bytes) = (0, 0);
        for entry in self.kept.range(begin..) {
            bytes += entry.value.len();
            if records > 0 && (records >= limit.records || bytes > limit.bytes) {
                break;
            }
            out.push(entry.clone());
            records += 1;
        }
        records
    }

    /// Takes what the library has, waiting for the first record for at most `wait`. `before` tells
    /// the largest stamp before an offset when it is above a given one.
    pub(crate) fn pull(
        &mut self,
        wait: Duration,
        before: impl FnOnce(u64, i64) -> Result<i64, LogError>,
        failed: impl FnOnce(&KafkaError) -> LogError,
    ) -> Result<Pulled, LogError> {
        // Cleared first: what comes from here on is taken below, or sets it again.
        self.arrived.store(false, Ordering::SeqCst);
        let mut block = BytesMut::new();
        let mut raw: Vec<Raw> = Vec::new();
        let mut wait = wait;
        loop {
            if raw.len() >= PULL_RECORDS_MAX || block.len() >= PULL_BYTES_MAX {
                self.arrived.store(true, Ordering::SeqCst);
                break;
            }
            match self.queue.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    let offset = u64::try_from(message.offset()).unwrap_or(0);
                    let expected = raw.last().map_or(self.next, |last| last.offset + 1);
                    if offset < expected {
                        continue; // from before a move
                    }
                    block.extend_from_slice(message.payload().unwrap_or(&[]));
                    let stamp = message.timestamp().to_millis().unwrap_or(0);
                    raw.push(Raw { offset, stamp, end: block.len() });
                }
                Some(Err(error)) => {
                    use RDKafkaErrorCode::{AutoOffsetReset, OffsetOutOfRange};
                    let code = error.rdkafka_error_code();
                    if matches!(code, Some(AutoOffsetReset | OffsetOutOfRange)) {
                        self.lost = true;
                    } else if raw.is_empty() {
                        return Err(failed(&error));
                    } else {
                        // What is taken out of the queue is kept: nobody would bring it again. An
                        // error that lasts is said again.
                        tracing::debug!(%error, "kafka: between records");
                    }
                    break;
                }
            }
            wait = Duration::ZERO;
        }
        let Some(first) = raw.first() else {
            return Ok(if self.lost { Pulled::Lost } else { Pulled::Nothing });
        };
        let mut latest = match self.latest {
            Some(latest) => latest,
            None => match before(self.next, first.stamp) {
                Ok(latest) => latest,
                Err(error) => {
                    // The records are out of the queue: come back for them.
                    self.lost = true;
                    return Err(error);
                }
            },
        };
        self.keep(&block.freeze(), &raw, &mut latest);
        self.latest = Some(latest);
        Ok(Pulled::Some)
    }

    fn keep(&mut self, block: &Bytes, raw: &[Raw], latest: &mut i64) {
        let mut begin = 0;
        for &Raw { offset, stamp, end } in raw {
            *latest = stamp.max(*latest);
            let value = block.slice(begin..end);
            self.kept_bytes += value.len() + ENTRY_BYTES;
            self.kept.push_back(Entry { offset, log_time: Timestamp(*latest), value });
            self.next = offset + 1;
            begin = end;
        }
    }

    /// Lets go of the oldest of what was read below `read`, down to the limit.
    pub(crate) fn forget(&mut self, read: u64) {
        while self.kept_bytes > KEPT_BYTES_MAX {
            match self.kept.front() {
                Some(oldest) if oldest.offset < read => {
                    self.kept_bytes -= oldest.value.len() + ENTRY_BYTES;
                    self.start = oldest.offset + 1;
                    self.kept.pop_front();
                }
                _ => break,
            }
        }
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(&self.name, self.partition);
        if let Err(error) = self.consumer.incremental_unassign(&list) {
            tracing::debug!(%error, "a partition could not be given back");
        }
    }
}

fn raw_offset(offset: u64) -> Offset {
    Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX))
}
