//! Reads: a few cursors per partition, so that each reader in the process has one that stands where
//! it goes on, and none of them seeks.
//!
//! A cursor needs a client of its own per partition, since a client of the library reads a partition
//! at one place. So there are [`LANES_MAX`] clients, made when they are needed; lane *n* holds every
//! partition's *n*-th cursor. A reader beyond that takes over the cursor that was moved to its place
//! for the fewest reads: look-ups at random take each other's, never that of an owner who reads on.

use crate::asker::Asker;
use crate::bell::Bell;
use crate::context::Teller;
use crate::cursor::{Cursor, Pulled};
use crate::options::KafkaOptions;
use crate::stamps;
use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use sojourn_ports::{Entry, LogError, ReadLimit};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Readers of one partition in one process that need not share: owner, index, look-ups (LIM-1).
const LANES_MAX: usize = 3;
/// A cursor that nobody has used for so long is given back.
const UNUSED_MAX: Duration = Duration::from_secs(30);

/// See the module.
pub(crate) struct Reader {
    asker: Arc<Asker>,
    bell: Arc<Bell>,
    config: ClientConfig,
    lanes: Mutex<Vec<Arc<BaseConsumer<Teller>>>>,
    partitions: Vec<Mutex<Cursors>>,
    timeout: Duration,
}

type Cursors = [Option<Cursor>; LANES_MAX];

#[expect(clippy::disallowed_methods, reason = "an edge: waits for brokers end by real time")]
fn now() -> Instant {
    Instant::now()
}

impl Reader {
    pub(crate) fn new(options: &KafkaOptions, asker: Arc<Asker>, bell: Arc<Bell>) -> Self {
        let partitions = (0..options.layout.total()).map(|_| Mutex::default()).collect();
        Self {
            asker,
            bell,
            config: options.consumer(),
            lanes: Mutex::new(Vec::new()),
            partitions,
            timeout: options.request_timeout,
        }
    }

    /// Reads from `offset`, which lies between the ends. A record that is known to be there is
    /// waited for.
    pub(crate) fn read(
        &self,
        index: usize,
        offset: u64,
        limit: ReadLimit,
        out: &mut Vec<Entry>,
    ) -> Result<Read, LogError> {
        let mut cursors = self.partitions[index].lock();
        let place = self.cursor_at(index, &mut cursors, offset)?;
        let Some(cursor) = &mut cursors[place] else { return Ok(Read::Nothing) };
        cursor.used = now();
        cursor.reads += 1;
        let deadline = now() + self.timeout;
        loop {
            if cursor.give(offset, limit, out) > 0 {
                cursor.forget(offset);
                return Ok(Read::Some);
            }
            let known = offset < self.asker.next(index);
            let left = deadline.saturating_duration_since(now());
            let wait = if known { left } else { Duration::ZERO };
            match self.pull(index, cursor, wait)? {
                Pulled::Some => {}
                Pulled::Nothing if !known => return Ok(Read::Nothing),
                Pulled::Nothing => {
                    let (name, partition) = &self.asker.places[index];
                    let what = format!("{name}/{partition}: offset {offset} did not come in time");
                    let reason = self.asker.teller.complaint.beside(&what);
                    return Err(LogError::Unavailable { reason });
                }
                Pulled::Lost => return Ok(Read::Lost),
            }
        }
    }

    /// The largest stamp before `offset` when it is above `stamp` (see [`stamps`]).
    fn max_before(&self, index: usize, offset: u64, stamp: i64) -> Result<i64, LogError> {
        if offset == 0 {
            return Ok(stamp);
        }
        stamps::max_before(offset, stamp, |at| self.asker.first_at(index, at))
    }

    /// A cursor that stands at `offset` or holds it: one that does, a new one, or one that is moved.
    fn cursor_at(
        &self,
        index: usize,
        cursors: &mut Cursors,
        offset: u64,
    ) -> Result<usize, LogError> {
        let stands = |cursor: &Option<Cursor>| cursor.as_ref().is_some_and(|c| c.covers(offset));
        if let Some(place) = cursors.iter().position(stands) {
            return Ok(place);
        }
        let failed = |error: KafkaError| self.asker.unavailable(index, &error);
        let lost = |cursor: &Option<Cursor>| cursor.as_ref().is_some_and(|cursor| cursor.lost);
        let lost = cursors.iter().position(lost);
        if lost.is_none()
            && let Some(place) = cursors.iter().position(Option::is_none)
        {
            let consumer = self.lane(place).map_err(failed)?;
            let bell = Arc::clone(&self.bell);
            let ring = move || bell.ring();
            let cursor = Cursor::new(&consumer, &self.asker.places[index], offset, ring, now());
            cursors[place] = Some(cursor.map_err(failed)?);
            return Ok(place);
        }
        let fewest = |(_, cursor): &(usize, &Option<Cursor>)| {
            cursor.as_ref().map(|cursor| (cursor.reads, cursor.used))
        };
        let fewest = || cursors.iter().enumerate().min_by_key(fewest).map(|(place, _)| place);
        let place = lost.or_else(fewest).unwrap_or(0);
        if let Some(cursor) = &mut cursors[place] {
            cursor.move_to(offset, self.timeout).map_err(failed)?;
        }
        Ok(place)
    }

    fn lane(&self, number: usize) -> Result<Arc<BaseConsumer<Teller>>, KafkaError> {
        let mut lanes = self.lanes.lock();
        while lanes.len() <= number {
            let consumer = self.config.create_with_context(self.asker.teller.clone())?;
            lanes.push(Arc::new(consumer));
        }
        Ok(Arc::clone(&lanes[number]))
    }

    /// Sees to it that news at or above `offset` ring the bell.
    pub(crate) fn watch(&self, index: usize, offset: u64) {
        let mut cursors = self.partitions[index].lock();
        match self.cursor_at(index, &mut cursors, offset) {
            Ok(place) => {
                if let Some(cursor) = &mut cursors[place] {
                    cursor.used = now();
                }
            }
            // The caller's next read tells it.
            Err(error) => tracing::debug!(%error, "a partition cannot be watched"),
        }
    }

    /// Whether there is something to say at or above `offset`: a record, or an error.
    pub(crate) fn has(&self, index: usize, offset: u64) -> bool {
        if offset < self.asker.next(index) {
            return true;
        }
        let mut cursors = self.partitions[index].lock();
        let stands = |cursor: &&mut Cursor| cursor.covers(offset);
        let Some(cursor) = cursors.iter_mut().flatten().find(stands) else { return false };
        if !cursor.has(offset) {
            return false;
        }
        // The library also rings for events of its own: only a look tells.
        match self.pull(index, cursor, Duration::ZERO) {
            Ok(Pulled::Nothing) => offset < cursor.next,
            Ok(Pulled::Some | Pulled::Lost) | Err(_) => true,
        }
    }

    fn pull(&self, index: usize, cursor: &mut Cursor, wait: Duration) -> Result<Pulled, LogError> {
        let before = |offset: u64, stamp: i64| self.max_before(index, offset, stamp);
        let failed = |error: &KafkaError| self.asker.unavailable(index, error);
        let pulled = cursor.pull(wait, before, failed)?;
        if pulled == Pulled::Some {
            self.asker.saw_next(index, cursor.next);
        }
        Ok(pulled)
    }

    /// Takes the clients' own events, and gives back cursors that nobody uses.
    pub(crate) fn keep_house(&self) {
        let lanes: Vec<_> = self.lanes.lock().clone();
        for lane in lanes {
            while let Some(event) = lane.poll(Duration::ZERO) {
                if let Err(error) = event {
                    tracing::debug!(%error, "kafka");
                }
            }
        }
        for partition in &self.partitions {
            // A partition that is being read is in use.
            let Some(mut cursors) = partition.try_lock() else { continue };
            for cursor in cursors.iter_mut() {
                if cursor.as_ref().is_some_and(|cursor| cursor.used.elapsed() > UNUSED_MAX) {
                    *cursor = None;
                }
            }
        }
    }
}

/// How a read ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// Records were given.
    Some,
    /// There is nothing at the offset yet.
    Nothing,
    /// The broker does not have the offset (any more).
    Lost,
}
