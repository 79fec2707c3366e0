//! Questions about partitions: ends, and the first record at or after an instant.
//!
//! **Invariant:** its connections carry no fetch and no produce. A broker answers the requests of
//! one connection in order, so a question behind a fetch that waits at the end of a partition would
//! wait along.

use crate::context::Teller;
use crate::options::KafkaOptions;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use sojourn_ports::LogError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The client that asks.
pub(crate) struct Asker {
    pub(crate) client: BaseConsumer<Teller>,
    pub(crate) teller: Teller,
    timeout: Duration,
    /// Place of each partition: name and number.
    pub(crate) places: Vec<(String, i32)>,
    ends: Vec<Ends>,
}

/// What is known of a partition's ends without asking. Both only grow.
#[derive(Default)]
struct Ends {
    first: AtomicU64,
    next: AtomicU64,
    asked: AtomicBool,
}

/// Pause before a question is asked again of a partition whose leader is changing.
const LEADER_PAUSE: Duration = Duration::from_millis(20);

/// Whether an error says only that leadership is moving, or that the broker has just started: the
/// same question has an answer as soon as it and the client know the leader of now.
fn passes(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::FencedLeaderEpoch
            | Code::UnknownLeaderEpoch
            | Code::OffsetNotAvailable
            | Code::ReplicaNotAvailable
            | Code::RequestTimedOut
    )
}

impl Asker {
    pub(crate) fn new(options: &KafkaOptions) -> Result<Self, KafkaError> {
        let teller = Teller::default();
        let client = options.asker().create_with_context(teller.clone())?;
        let layout = &options.layout;
        let place = |(topic, partition)| (options.topic_name(topic), i32::from(partition));
        Ok(Self {
            client,
            teller,
            timeout: options.request_timeout,
            places: layout.all().map(place).collect(),
            ends: (0..layout.total()).map(|_| Ends::default()).collect(),
        })
    }

    /// The oldest offset that is known to be kept.
    pub(crate) fn first(&self, index: usize) -> u64 {
        self.ends[index].first.load(Ordering::SeqCst)
    }

    /// Every offset below is known to be in the partition, or was.
    pub(crate) fn next(&self, index: usize) -> u64 {
        self.ends[index].next.load(Ordering::SeqCst)
    }

    pub(crate) fn saw_next(&self, index: usize, next: u64) {
        self.ends[index].next.fetch_max(next, Ordering::SeqCst);
    }

    pub(crate) fn saw_first(&self, index: usize, first: u64) {
        self.ends[index].first.fetch_max(first, Ordering::SeqCst);
    }

    /// Asks once in a log's life: before that, nothing is known of a partition.
    pub(crate) fn ask_first(&self, index: usize) -> Result<(), LogError> {
        if !self.ends[index].asked.load(Ordering::SeqCst) {
            self.ask(index)?;
        }
        Ok(())
    }

    /// Asks, again while the partition has no leader that knows itself one.
    #[expect(clippy::disallowed_methods, reason = "an edge: it waits for the brokers")]
    fn patiently<T>(
        &self,
        index: usize,
        mut ask: impl FnMut(Duration) -> Result<T, KafkaError>,
    ) -> Result<T, LogError> {
        let deadline = Instant::now() + self.timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let error = match ask(left) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if !error.rdkafka_error_code().is_some_and(passes)
                || Instant::now() + LEADER_PAUSE >= deadline
            {
                return Err(self.unavailable(index, &error));
            }
            std::thread::sleep(LEADER_PAUSE);
        }
    }

    /// Asks for the ends: what was acknowledged to anybody before the call is below the second.
    pub(crate) fn ask(&self, index: usize) -> Result<(u64, u64), LogError> {
        let (name, partition) = &self.places[index];
        let ask = |left| self.client.client().fetch_watermarks(name, *partition, left);
        let (low, high) = self.patiently(index, ask)?;
        let at_least_zero = |offset: i64| u64::try_from(offset).unwrap_or(0);
        self.saw_first(index, at_least_zero(low));
        self.saw_next(index, at_least_zero(high));
        self.ends[index].asked.store(true, Ordering::SeqCst);
        Ok((self.first(index), self.next(index)))
    }

    /// The first offset whose stamp is at least `stamp`.
    pub(crate) fn first_at(&self, index: usize, stamp: i64) -> Result<Option<u64>, LogError> {
        let (name, partition) = &self.places[index];
        // An instant before the epoch is every instant; negative numbers have other meanings here.
        let instant = Offset::Offset(stamp.max(0));
        let ask = |left| {
            let mut wanted = TopicPartitionList::with_capacity(1);
            wanted.add_partition_offset(name, *partition, instant)?;
            let found = self.client.offsets_for_times(wanted, left)?;
            let found = found.find_partition(name, *partition);
            let found = found.ok_or(KafkaError::Canceled)?;
            found.error()?;
            Ok(found.offset())
        };
        match self.patiently(index, ask)? {
            Offset::Offset(offset) => Ok(u64::try_from(offset).ok()),
            _ => Ok(None),
        }
    }

    pub(crate) fn unavailable(&self, index: usize, error: &KafkaError) -> LogError {
        let (name, partition) = &self.places[index];
        let what = format!("{name}/{partition}: {error}");
        LogError::Unavailable { reason: self.teller.complaint.beside(&what) }
    }
}
