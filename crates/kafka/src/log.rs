//! The log: appender, reader and asker behind the port.

use crate::appender::Appender;
use crate::asker::Asker;
use crate::bell::Bell;
use crate::book::Load;
use crate::context::Teller;
use crate::options::KafkaOptions;
use crate::reader::{Read, Reader};
use crate::topics::{self, Difference};
use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::error::KafkaError;
use sojourn_model::Timestamp;
use sojourn_ports::log::limits;
use sojourn_ports::{Append, Bounds, Clock, Done, Entry, Log, LogError, ReadLimit, Topic};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the clients' own events are taken.
const EVENTS_POLL: Duration = Duration::from_millis(100);

/// Why a log over Kafka could not be opened, or its topics not be made or checked.
#[derive(Debug, thiserror::Error)]
pub enum KafkaFault {
    /// The settings cannot work.
    #[error("storage over Kafka cannot be opened: {reason}")]
    Settings {
        /// Which, and the remedy.
        reason: String,
    },
    /// No broker answers.
    #[error("no answer from Kafka at {brokers}: {reason}")]
    Unreachable {
        /// As configured.
        brokers: String,
        /// What the client library says.
        reason: String,
    },
    /// The brokers refused.
    #[error("Kafka refused: {reason}; check the rights of our user")]
    Refused {
        /// What.
        reason: String,
    },
    /// The topics are not as the log needs them.
    #[error("{}", list(differences))]
    Topics {
        /// Each of them.
        differences: Vec<Difference>,
    },
}

fn list(differences: &[Difference]) -> String {
    let lines: Vec<String> = differences.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// The log port over Kafka. What it promises stands at the crate.
pub struct KafkaLog {
    options: KafkaOptions,
    clock: Arc<dyn Clock>,
    asker: Arc<Asker>,
    bell: Arc<Bell>,
    appender: Appender,
    reader: Arc<Reader>,
    admin: AdminClient<Teller>,
    closed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[expect(clippy::disallowed_methods, reason = "an edge: waits for brokers end by real time")]
fn after(timeout: Duration) -> Instant {
    Instant::now() + timeout
}

impl KafkaLog {
    /// Opens the log. Refuses when the topics are missing or not as they must be: make them with
    /// [`topics::create`]. `clock` says what is older than the retention.
    pub fn open(options: KafkaOptions, clock: Arc<dyn Clock>) -> Result<Self, KafkaFault> {
        let differences = topics::check(&options)?;
        if !differences.is_empty() {
            return Err(KafkaFault::Topics { differences });
        }
        let failed = |error: KafkaError| KafkaFault::Settings { reason: error.to_string() };
        let asker = Arc::new(Asker::new(&options).map_err(failed)?);
        let bell = Arc::new(Bell::default());
        let appender = Appender::new(&options, Arc::clone(&asker), Arc::clone(&bell));
        let appender = appender.map_err(failed)?;
        let reader = Arc::new(Reader::new(&options, Arc::clone(&asker), Arc::clone(&bell)));
        let admin = options.asker().create_with_context(asker.teller.clone()).map_err(failed)?;
        let closed = Arc::new(AtomicBool::new(false));
        let thread = {
            let (asker, reader, closed) =
                (Arc::clone(&asker), Arc::clone(&reader), Arc::clone(&closed));
            let run = move || {
                while !closed.load(Ordering::SeqCst) {
                    // Its answers come by themselves; here are log lines and errors.
                    if let Some(Err(error)) = asker.client.poll(EVENTS_POLL) {
                        tracing::debug!(%error, "kafka");
                    }
                    reader.keep_house();
                }
            };
            let named = std::thread::Builder::new().name("kafka-events".to_owned());
            let spawned = named.spawn(run);
            spawned.map_err(|error| KafkaFault::Settings { reason: error.to_string() })?
        };
        let thread = Some(thread);
        Ok(Self { options, clock, asker, bell, appender, reader, admin, closed, thread })
    }

    fn index(&self, topic: Topic, partition: u16) -> Result<usize, LogError> {
        let layout = &self.options.layout;
        layout.index(topic, partition).ok_or_else(|| LogError::Limit {
            what: "the partition's number",
            limit: usize::from(layout.partitions(topic)) - 1,
        })
    }

    fn out_of_range(topic: Topic, partition: u16, wanted: u64, ends: (u64, u64)) -> LogError {
        let (first, next) = ends;
        LogError::OutOfRange { topic: topic.as_str(), partition, wanted, first, next }
    }

    /// Where a partition may be cut so that everything below is older than the retention and below
    /// `below`, and log time stays the same for what is left (see `stamps`). `None`: nowhere.
    fn cut(
        &self,
        (topic, partition, below): (Topic, u16, u64),
        oldest: Timestamp,
    ) -> Result<Option<u64>, LogError> {
        let index = self.index(topic, partition)?;
        if topics::compacted(topic) || below <= self.asker.first(index) {
            return Ok(None);
        }
        let (first, next) = self.asker.ask(index)?;
        let last = below.min(next.saturating_sub(1));
        if last <= first {
            return Ok(None);
        }
        let young = self.asker.first_at(index, oldest.0)?;
        let cut = match young {
            Some(young) if young <= last => young,
            _ => {
                // The record whose stamp is the log time of `last`.
                let mut found = Vec::with_capacity(1);
                let limit = ReadLimit { records: 1, bytes: 1, durable_only: true };
                self.read(topic, partition, last, limit, &mut found)?;
                let Some(entry) = found.first() else { return Ok(None) };
                self.asker.first_at(index, entry.log_time.0)?.map_or(first, |cut| cut.min(last))
            }
        };
        Ok((cut > first).then_some(cut))
    }
}

impl Log for KafkaLog {
    fn partitions(&self, topic: Topic) -> u16 {
        self.options.layout.partitions(topic)
    }

    fn append(&self, appends: Vec<Append>, done: Option<Done>) -> Result<(), LogError> {
        limits::check(&self.options.layout, &appends)?;
        if let Some(error) = self.appender.book.refusal() {
            return Err(error);
        }
        let mut loads = Vec::with_capacity(appends.len());
        let mut known = Vec::with_capacity(appends.len());
        for append in &appends {
            let index = self.index(append.topic, append.partition)?;
            let records = append.values.len();
            let bytes = append.values.iter().map(|value| value.len()).sum();
            // An append without records has the place that the next one would get.
            let empty = records == 0 && done.is_some();
            known.push(if empty { self.bounds(append.topic, append.partition)?.next } else { 0 });
            loads.push(Load { index, records, bytes });
        }
        if loads.iter().all(|load| load.records == 0) {
            if let Some(done) = done {
                done(Ok(known));
            }
            return Ok(());
        }
        let deadline = after(self.options.request_timeout);
        self.appender.append(&appends, &loads, known, done, deadline)
    }

    fn sync(&self) -> Result<(), LogError> {
        self.appender.sync(after(self.options.sync_timeout))
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
        self.asker.ask_first(index)?;
        if offset < self.asker.first(index) {
            let ends = self.asker.ask(index)?;
            return Err(Self::out_of_range(topic, partition, offset, ends));
        }
        if offset > self.asker.next(index) {
            let (first, next) = self.asker.ask(index)?;
            if offset > next {
                return Err(Self::out_of_range(topic, partition, offset, (first, next)));
            }
        }
        let deadline = after(self.options.request_timeout);
        loop {
            match self.reader.read(index, offset, limit, out)? {
                Read::Some | Read::Nothing => return Ok(()),
                Read::Lost => {
                    let (first, next) = self.asker.ask(index)?;
                    if offset < first || offset > next {
                        return Err(Self::out_of_range(topic, partition, offset, (first, next)));
                    }
                    // A leader that has just changed may not know the end yet.
                    if after(Duration::ZERO) >= deadline {
                        let (name, number) = &self.asker.places[index];
                        let reason = format!("{name}/{number}: offset {offset} cannot be read");
                        return Err(LogError::Unavailable { reason });
                    }
                }
            }
        }
    }

    fn bounds(&self, topic: Topic, partition: u16) -> Result<Bounds, LogError> {
        let index = self.index(topic, partition)?;
        self.appender.settle(index, after(self.options.request_timeout))?;
        let (first, next) = self.asker.ask(index)?;
        Ok(Bounds { first, next, durable: next })
    }

    fn wait(&self, at: &[(Topic, u16, u64)], _durable_only: bool, timeout: Duration) {
        let deadline = after(timeout);
        let places: Vec<(usize, u64)> = at
            .iter()
            .filter_map(|&(topic, partition, offset)| {
                Some((self.options.layout.index(topic, partition)?, offset))
            })
            .collect();
        let ready = || places.iter().any(|&(index, offset)| self.reader.has(index, offset));
        if ready() {
            return;
        }
        for &(index, offset) in &places {
            // A place beyond the end cannot be watched before the end has come to it.
            if offset <= self.asker.next(index) {
                self.reader.watch(index, offset);
            }
        }
        self.bell.listen(deadline, ready);
    }

    fn trim(&self, below: &[(Topic, u16, u64)]) -> Result<(), LogError> {
        let oldest = Timestamp(self.clock.now().0.saturating_sub(self.options.retention.0));
        let mut cuts = TopicPartitionList::with_capacity(below.len());
        let mut indices = Vec::new();
        for &named in below {
            let Some(cut) = self.cut(named, oldest)? else { continue };
            let index = self.index(named.0, named.1)?;
            let (name, partition) = &self.asker.places[index];
            let offset = Offset::Offset(i64::try_from(cut).unwrap_or(i64::MAX));
            let added = cuts.add_partition_offset(name, *partition, offset);
            added.map_err(|error| self.asker.unavailable(index, &error))?;
            indices.push((index, cut));
        }
        let Some(&(any, _)) = indices.first() else { return Ok(()) };
        let patience = AdminOptions::new()
            .request_timeout(Some(self.options.request_timeout))
            .operation_timeout(Some(self.options.request_timeout));
        let deleted = futures::executor::block_on(self.admin.delete_records(&cuts, &patience));
        let deleted = deleted.map_err(|error| self.asker.unavailable(any, &error))?;
        for (index, cut) in indices {
            let (name, partition) = &self.asker.places[index];
            match deleted.find_partition(name, *partition).map(|element| element.error()) {
                Some(Ok(())) => self.asker.saw_first(index, cut),
                Some(Err(error)) => return Err(self.asker.unavailable(index, &error)),
                None => {}
            }
        }
        Ok(())
    }
}

impl Drop for KafkaLog {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that takes Kafka's events has panicked");
        }
    }
}
