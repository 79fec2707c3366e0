//! The client library alone: it reads the records that an owner reads and writes those that an owner
//! wrote, with the same durability, and decides nothing. No engine over this library can be faster.

use crate::cpu;
use anyhow::{Context, Result, bail};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use std::time::{Duration, Instant};

/// What to read and write. Offsets are per partition.
pub(crate) struct Run<'a> {
    /// Addresses.
    pub(crate) brokers: &'a str,
    /// Topic that an owner reads.
    pub(crate) source: &'a str,
    /// Topics that it wrote.
    pub(crate) results: &'a [String; 2],
    /// Where the copy of the results goes.
    pub(crate) copy_to: &'a str,
    /// Of the source.
    pub(crate) from: Vec<u64>,
    /// Of the source.
    pub(crate) to: Vec<u64>,
    /// Of the results.
    pub(crate) results_from: [Vec<u64>; 2],
    /// Of the results.
    pub(crate) results_to: [Vec<u64>; 2],
}

/// What it took.
pub(crate) struct Raw {
    /// Records read.
    pub(crate) read: usize,
    /// Records written.
    pub(crate) written: usize,
    /// CPU time of all threads.
    pub(crate) cpu: Duration,
    /// Wall time.
    pub(crate) wall: Duration,
}

/// How long the brokers may take for a record, or for the rest of what was written.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads and writes.
pub(crate) fn run(run: &Run<'_>) -> Result<Raw> {
    // What is written is in memory before the clock runs.
    let mut results = Vec::new();
    for ((topic, from), to) in run.results.iter().zip(&run.results_from).zip(&run.results_to) {
        read(run.brokers, topic, from, to, |payload, partition| {
            results.push((payload.to_vec(), partition));
            Ok(())
        })?;
    }
    let records: u64 = run.from.iter().zip(&run.to).map(|(from, to)| to - from).sum();
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", run.brokers)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "2")
        .set("compression.type", "lz4")
        .set("queue.buffering.max.messages", "0")
        .create()?;
    let (began, cpu_began) = (Instant::now(), cpu::process());
    let mut next = results.iter();
    let (mut seen, mut written) = (0u64, 0u64);
    read(run.brokers, run.source, &run.from, &run.to, |payload, _| {
        std::hint::black_box(payload.len());
        seen += 1;
        // Spread over the input as an owner's are.
        while written * records < seen * results.len() as u64 {
            let Some((payload, partition)) = next.next() else { break };
            send(&producer, run.copy_to, *partition, payload)?;
            written += 1;
        }
        Ok(())
    })?;
    producer.flush(PATIENCE)?;
    Ok(Raw {
        read: usize::try_from(seen)?,
        written: usize::try_from(written)?,
        cpu: cpu::process() - cpu_began,
        wall: began.elapsed(),
    })
}

fn send(producer: &BaseProducer, topic: &str, partition: i32, payload: &[u8]) -> Result<()> {
    loop {
        let record = BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(payload);
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                producer.poll(Duration::from_millis(1));
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}

/// Gives every record of a topic between offsets to `each`.
fn read(
    brokers: &str,
    topic: &str,
    from: &[u64],
    to: &[u64],
    mut each: impl FnMut(&[u8], i32) -> Result<()>,
) -> Result<()> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "raw")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("queued.min.messages", "100000")
        .create()?;
    let mut list = TopicPartitionList::new();
    let mut left = 0;
    for (partition, (from, to)) in from.iter().zip(to).enumerate() {
        if to > from {
            let offset = Offset::Offset(i64::try_from(*from)?);
            list.add_partition_offset(topic, i32::try_from(partition)?, offset)?;
            left += to - from;
        }
    }
    if left == 0 {
        return Ok(());
    }
    consumer.assign(&list)?;
    while left > 0 {
        let Some(message) = consumer.poll(PATIENCE) else {
            bail!("{topic}: nothing came within {PATIENCE:?}, {left} records are missing");
        };
        let message = message?;
        let partition = usize::try_from(message.partition())?;
        if u64::try_from(message.offset())? < *to.get(partition).context("a partition of ours")? {
            each(message.payload().unwrap_or_default(), message.partition())?;
            left -= 1;
        }
    }
    Ok(())
}
