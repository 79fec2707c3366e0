//! How fast the journal takes and gives records: `cargo run --release -p sojourn-embedded --example
//! journal_speed [FOLDER]`.
//!
//! One engine thread appends batches of 500 records of 150 bytes over two partitions of topics;
//! then eight threads append single records and wait for each to be durable; then everything is
//! read again, from files.

#![expect(clippy::disallowed_methods, reason = "it measures")]

use bytes::Bytes;
use sojourn_embedded::{Journal, JournalOptions};
use sojourn_model::Timestamp;
use sojourn_ports::{Append, Clock, Layout, Log, ReadLimit, Topic};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp(1)
    }
    fn wall(&self, _span_ms: i64) -> Duration {
        Duration::ZERO
    }
}

const RECORDS: usize = 6_000_000;
const BATCH: usize = 500;
const RECORD_BYTES: usize = 150;

fn main() {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "/tmp".to_owned());
    let dir = tempfile::tempdir_in(folder).expect("a folder to write in");
    let open = || {
        let options = JournalOptions::new(Layout::new(2, 4));
        Journal::open(dir.path(), options, Arc::new(Standing)).expect("opened")
    };
    let journal = open();
    batches(&journal);
    singles(&journal);
    drop(journal);
    let begun = Instant::now();
    let journal = open();
    println!("open: {:?}", begun.elapsed());
    read(&journal);
}

fn batches(journal: &Journal) {
    let value = Bytes::from(vec![7; RECORD_BYTES]);
    let begun = Instant::now();
    for nth in 0..RECORDS / BATCH {
        let partition = (nth % 4) as u16;
        let values = vec![value.clone(); BATCH / 2];
        let actions = Append { topic: Topic::Actions, partition, values: values.clone() };
        let decisions = Append { topic: Topic::Decisions, partition, values };
        journal.append(vec![actions, decisions], None).expect("appended");
    }
    let appended = begun.elapsed();
    journal.sync().expect("synced");
    let all = begun.elapsed();
    let rate = |time: Duration| RECORDS as f64 / time.as_secs_f64() / 1e6;
    println!("batches: {:.2} M records/s, durable {:.2} M/s", rate(appended), rate(all));
    println!("{:?}", journal.stats());
}

fn singles(journal: &Journal) {
    const THREADS: u32 = 8;
    const EACH: u32 = 5_000;
    let before = journal.stats().syncs;
    let begun = Instant::now();
    let mut waits: Vec<Duration> = std::thread::scope(|scope| {
        let one = |thread: u32| {
            let value = Bytes::from(vec![9; RECORD_BYTES]);
            let mut waits = Vec::new();
            for _ in 0..EACH {
                let (tell, told) = mpsc::channel();
                let begun = Instant::now();
                let partition = (thread % 2) as u16;
                let values = vec![value.clone()];
                let append = Append { topic: Topic::Touchpoints, partition, values };
                let done = Box::new(move |result| tell.send(result).expect("waiting"));
                journal.append(vec![append], Some(done)).expect("appended");
                told.recv().expect("told").expect("durable");
                waits.push(begun.elapsed());
            }
            waits
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || one(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("ended")).collect()
    });
    let rate = f64::from(THREADS * EACH) / begun.elapsed().as_secs_f64();
    waits.sort_unstable();
    let (p50, p99) = (waits[waits.len() / 2], waits[waits.len() * 99 / 100]);
    let syncs = journal.stats().syncs - before;
    println!("singles, durable each: {rate:.0}/s, p50 {p50:?}, p99 {p99:?}, {syncs} syncs");
}

fn read(journal: &Journal) {
    let limit = ReadLimit { records: BATCH, bytes: 1 << 20, durable_only: true };
    let mut out = Vec::with_capacity(BATCH);
    let (mut records, mut reads) = (0, 0);
    let begun = Instant::now();
    for partition in 0..4 {
        let mut at = 0;
        loop {
            out.clear();
            journal.read(Topic::Actions, partition, at, limit, &mut out).expect("read");
            let Some(last) = out.last() else { break };
            at = last.offset + 1;
            records += out.len();
            reads += 1;
        }
    }
    let rate = records as f64 / begun.elapsed().as_secs_f64() / 1e6;
    println!("reads of one topic from files: {rate:.2} M records/s in {reads} reads");
}
