//! What the tests share: options for topics of their own, values, reading everything.

use bytes::Bytes;
use sojourn_kafka::{KafkaLog, KafkaOptions, topics};
use sojourn_memory::ManualClock;
use sojourn_model::Timestamp;
use sojourn_ports::contract::layout;
use sojourn_ports::{Append, Bounds, Entry, Log, ReadLimit, Topic};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub(crate) const ANY: ReadLimit =
    ReadLimit { records: 10_000, bytes: 8 << 20, durable_only: false };

/// Some tests kill the broker: each has it alone.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static BROKER: Mutex<()> = Mutex::new(());
    BROKER.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Brokers of this run.
pub(crate) fn brokers() -> String {
    std::env::var("KAFKA_BOOTSTRAP").expect("KAFKA_BOOTSTRAP names the brokers; see tests/brokers")
}

/// Options with a prefix that nobody has used.
pub(crate) fn fresh() -> KafkaOptions {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after the epoch").as_nanos();
    let nth = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut options = KafkaOptions::new(brokers(), layout());
    options.prefix = format!("t{now}-{nth}.");
    (options.replicas, options.min_insync) = (1, 1);
    options
}

/// Options whose topics are there.
pub(crate) fn made() -> KafkaOptions {
    let options = fresh();
    let made = topics::create(&options).expect("topics are made");
    assert_eq!(made.len(), Topic::ALL.len());
    options
}

pub(crate) fn open(options: &KafkaOptions) -> Arc<KafkaLog> {
    open_at(options, Arc::new(ManualClock::new(Timestamp(1_000_000))))
}

pub(crate) fn open_at(options: &KafkaOptions, clock: Arc<ManualClock>) -> Arc<KafkaLog> {
    // A topic that was made a moment ago may not be known to every broker yet.
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match KafkaLog::open(options.clone(), Arc::clone(&clock) as _) {
            Ok(log) => return Arc::new(log),
            Err(error) if Instant::now() >= deadline => panic!("{error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

pub(crate) fn one(topic: Topic, partition: u16, values: &[&str]) -> Append {
    let bytes = |text: &&str| Bytes::copy_from_slice(text.as_bytes());
    Append { topic, partition, values: values.iter().map(bytes).collect() }
}

pub(crate) fn read_all(log: &dyn Log, topic: Topic, partition: u16) -> Vec<Entry> {
    let Bounds { first, next, .. } = log.bounds(topic, partition).expect("bounds");
    let mut out: Vec<Entry> = Vec::new();
    let mut at = first;
    while at < next {
        let before = out.len();
        log.read(topic, partition, at, ANY, &mut out).expect("read");
        assert!(out.len() > before, "there is something at {at} of {first}..{next}");
        at = out.last().expect("not empty").offset + 1;
    }
    out
}

pub(crate) fn text(entry: &Entry) -> &str {
    std::str::from_utf8(&entry.value).expect("text")
}

/// Runs `brokers.sh COMMAND NAME` on the folder of this run.
pub(crate) fn broker(command: &str, name: &str) {
    let dir = std::env::var("BROKERS_DIR").expect("BROKERS_DIR is the folder of the brokers");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/brokers/brokers.sh");
    let status = Command::new(script).args([command, &dir, name]).status().expect("started");
    assert!(status.success(), "{command} {name}");
}
