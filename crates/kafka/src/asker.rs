//! Questions about partitions: ends, and the first record at or after an instant.
//!
//! **Invariant:** its connections carry no fetch and no produce. A broker answers the requests of
//! one connection in order, so a question behind a fetch that waits at the end of a partition would
//! wait along.

use crate::context::Teller;
use crate::options::KafkaOptions;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use sojourn_ports::LogError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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

    /// Asks for the ends: what was acknowledged to anybody before the call is below the second.
    pub(crate) fn ask(&self, index: usize) -> Result<(u64, u64), LogError> {
        let (name, partition) = &self.places[index];
        let asked = self.client.client().fetch_watermarks(name, *partition, self.timeout);
        let (low, high) = asked.map_err(|error| self.unavailable(index, &error))?;
        let at_least_zero = |offset: i64| u64::try_from(offset).unwrap_or(0);
        self.saw_first(index, at_least_zero(low));
        self.saw_next(index, at_least_zero(high));
        Ok((self.first(index), self.next(index)))
    }

    /// The first offset whose stamp is at least `stamp`.
    pub(crate) fn first_at(&self, index: usize, stamp: i64) -> Result<Option<u64>, LogError> {
        let (name, partition) = &self.places[index];
        let mut wanted = TopicPartitionList::with_capacity(1);
        // An instant before the epoch is every instant; negative numbers have other meanings here.
        let instant = Offset::Offset(stamp.max(0));
        let ask = || {
            wanted.add_partition_offset(name, *partition, instant)?;
            let found = self.client.offsets_for_times(wanted, self.timeout)?;
            let found = found.find_partition(name, *partition);
            let found = found.ok_or(KafkaError::Canceled)?;
            found.error()?;
            Ok(found.offset())
        };
        match ask().map_err(|error: KafkaError| self.unavailable(index, &error))? {
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
