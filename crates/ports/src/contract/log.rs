//! The contract of [`Log`] as cases.

use super::{Case, Report, run};
use crate::log::limits;
use crate::{Append, Bounds, Entry, Layout, Log, LogError, ReadLimit, Topic};
use bytes::Bytes;
use sojourn_model::Timestamp;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// What the suite can bring the log into.
#[derive(Debug, Clone, Copy)]
pub struct LogCapabilities {
    /// [`LogFactory::hold_sync`].
    pub hold_sync: bool,
    /// [`LogFactory::set_full`].
    pub full: bool,
    /// [`LogFactory::fail_syncs`].
    pub stop: bool,
    /// [`LogFactory::next_append_unknown`].
    pub unknown: bool,
    /// [`LogFactory::set_time`] decides the stamps of records.
    pub stamps: bool,
}

/// Opens a log and does to it what the world does.
pub trait LogFactory {
    /// An empty log with [`layout`] and a clock at 1,000,000.
    fn create(&mut self) -> Arc<dyn Log>;
    /// Closes it in order and opens it again.
    fn reopen(&mut self, log: Arc<dyn Log>) -> Arc<dyn Log>;
    /// The machine dies: what is not durable is lost, or part of it. Opens what is left.
    fn crash(&mut self, log: Arc<dyn Log>) -> Arc<dyn Log>;
    /// Sets the log's clock.
    fn set_time(&mut self, now: Timestamp);
    /// Nothing becomes durable by itself from here on, or does again.
    fn hold_sync(&mut self, hold: bool);
    /// The device is full, or is not any more. Returns when the log knows.
    fn set_full(&mut self, full: bool);
    /// Every write or fsync fails from here on, until the next crash or opening.
    fn fail_syncs(&mut self);
    /// The next append answers `Unknown`.
    fn next_append_unknown(&mut self, applied: bool);
}

/// Partitions of the logs under test.
pub fn layout() -> Layout {
    Layout::new(2, 3)
}

type Factory = Box<dyn LogFactory>;

/// Runs every case.
pub fn check_log(
    capabilities: &LogCapabilities,
    make: &mut dyn FnMut() -> Box<dyn LogFactory>,
) -> Report {
    run(CASES, capabilities, make)
}

const CASES: &[Case<Factory, LogCapabilities>] = &[
    ("an empty log has nothing to read", |_| true, empty),
    ("offsets have no holes and order is kept", |_| true, order),
    ("log time never runs back", |c| c.stamps, time),
    ("reads keep to their limits and give at least one record", |_| true, read_limits),
    ("done tells the first offsets when they are durable", |_| true, done),
    ("sync makes everything durable", |_| true, sync),
    ("durable_only shows nothing that a crash could take", |c| c.hold_sync, durable_only),
    ("what is over a limit is refused whole", |_| true, over_limits),
    ("the largest record comes back", |_| true, largest),
    ("an append without records is done", |_| true, nothing),
    ("a log that was closed has everything when it is opened", |_| true, reopen),
    ("a crash loses a suffix of everything, nothing durable", |c| c.hold_sync, crash_prefix),
    ("an append over partitions survives whole or not at all", |c| c.hold_sync, crash_atomic),
    ("a log goes on after a crash", |c| c.hold_sync, after_crash),
    ("a full disk refuses and loses nothing", |c| c.full, full),
    ("a failed sync stops the log for good", |c| c.stop, stopped),
    ("an unknown append was applied or not, whole", |c| c.unknown, unknown),
    ("trim keeps what is not named and what is above", |_| true, trim),
    ("wait returns when there is something", |_| true, wait),
    ("many appenders at once keep their own order", |_| true, concurrent),
];

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn one(topic: Topic, partition: u16, values: &[&str]) -> Append {
    Append { topic, partition, values: values.iter().map(|text| bytes(text)).collect() }
}

const ANY: ReadLimit = ReadLimit { records: 100_000, bytes: 64 << 20, durable_only: false };

/// Everything of a partition, by repeated reads.
fn read_all(log: &dyn Log, topic: Topic, partition: u16, limit: ReadLimit) -> Vec<Entry> {
    let Bounds { first, next, durable } = log.bounds(topic, partition).unwrap();
    let end = if limit.durable_only { durable } else { next };
    let mut out: Vec<Entry> = Vec::new();
    let mut at = first;
    while at < end {
        let before = out.len();
        log.read(topic, partition, at, limit, &mut out).unwrap();
        assert!(out.len() > before, "at least one record is given when there is one");
        at = out.last().expect("not empty").offset + 1;
    }
    for (nth, entry) in out.iter().enumerate() {
        assert_eq!(entry.offset, first + nth as u64, "offsets have no holes");
    }
    assert!(out.is_sorted_by_key(|entry| entry.log_time), "log time is monotonic");
    out
}

fn texts(log: &dyn Log, topic: Topic, partition: u16) -> Vec<String> {
    let entries = read_all(log, topic, partition, ANY);
    entries.iter().map(|entry| String::from_utf8(entry.value.to_vec()).unwrap()).collect()
}

fn empty(factory: &mut Factory) {
    let log = factory.create();
    for topic in Topic::ALL {
        assert_eq!(log.partitions(topic), layout().partitions(topic));
        for partition in 0..log.partitions(topic) {
            let bounds = log.bounds(topic, partition).unwrap();
            assert_eq!(bounds, Bounds { first: 0, next: 0, durable: 0 });
        }
    }
    let mut out = Vec::new();
    log.read(Topic::Profiles, 0, 0, ANY, &mut out).unwrap();
    assert!(out.is_empty());
    let error = log.read(Topic::Profiles, 0, 1, ANY, &mut out).unwrap_err();
    let expected = LogError::OutOfRange {
        topic: Topic::Profiles.as_str(),
        partition: 0,
        wanted: 1,
        first: 0,
        next: 0,
    };
    assert_eq!(error, expected);
    assert!(log.bounds(Topic::Profiles, 3).is_err());
}

fn order(factory: &mut Factory) {
    let log = factory.create();
    for round in 0..50 {
        let text = |part: &str| format!("{part}{round}");
        let (a, b, c) = (text("a"), text("b"), text("c"));
        log.append(
            vec![
                one(Topic::Profiles, 0, &[&a, &b]),
                one(Topic::Actions, 2, &[&c]),
                // One partition twice in one call: in the order given.
                one(Topic::Profiles, 0, &[&c]),
            ],
            None,
        )
        .unwrap();
    }
    let expected: Vec<String> =
        (0..50).flat_map(|n| [format!("a{n}"), format!("b{n}"), format!("c{n}")]).collect();
    assert_eq!(texts(&*log, Topic::Profiles, 0), expected);
    let expected: Vec<String> = (0..50).map(|n| format!("c{n}")).collect();
    assert_eq!(texts(&*log, Topic::Actions, 2), expected);
    assert!(texts(&*log, Topic::Profiles, 1).is_empty());
}

fn time(factory: &mut Factory) {
    let log = factory.create();
    let mut stamp = |now: i64, log: &Arc<dyn Log>| {
        factory.set_time(Timestamp(now));
        log.append(vec![one(Topic::Profiles, 1, &["x"])], None).unwrap();
        read_all(&**log, Topic::Profiles, 1, ANY).last().unwrap().log_time.0
    };
    assert_eq!(stamp(2_000_000, &log), 2_000_000);
    assert_eq!(stamp(1_500_000, &log), 2_000_000, "a clock that steps back moves nothing");
    assert_eq!(stamp(2_000_001, &log), 2_000_001);
    log.sync().unwrap();
    let log = factory.reopen(log);
    factory.set_time(Timestamp(5));
    log.append(vec![one(Topic::Profiles, 1, &["x"])], None).unwrap();
    let last = read_all(&*log, Topic::Profiles, 1, ANY).last().unwrap().log_time;
    assert_eq!(last, Timestamp(2_000_001), "also not over a restart");
}

fn read_limits(factory: &mut Factory) {
    let log = factory.create();
    let values: Vec<String> = (0..20).map(|n| format!("{n:0100}")).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    log.append(vec![one(Topic::Profiles, 0, &values[..15])], None).unwrap();
    log.append(vec![one(Topic::Profiles, 0, &values[15..])], None).unwrap();
    log.sync().unwrap();
    let count = |at: u64, records: usize, bytes: usize| {
        let mut out = Vec::new();
        let limit = ReadLimit { records, bytes, durable_only: false };
        log.read(Topic::Profiles, 0, at, limit, &mut out).unwrap();
        assert!(out.first().is_none_or(|entry| entry.offset == at));
        out.len()
    };
    assert!((1..=3).contains(&count(0, 3, 1 << 20)));
    assert!((1..=4).contains(&count(7, 100, 450)));
    assert_eq!(count(19, 100, 1), 1, "the first record is given whatever its size");
    assert_eq!(count(20, 100, 1 << 20), 0);
    let limit = ReadLimit { records: 2, bytes: 1 << 20, durable_only: false };
    assert_eq!(read_all(&*log, Topic::Profiles, 0, limit).len(), 20);
}

fn done(factory: &mut Factory) {
    let log = factory.create();
    let (tell, told) = mpsc::channel();
    for round in 0..10u64 {
        let tell = tell.clone();
        let appends = vec![one(Topic::Profiles, 0, &["a", "b"]), one(Topic::Decisions, 1, &["c"])];
        let done = Box::new(move |result| tell.send((round, result)).unwrap());
        log.append(appends, Some(done)).unwrap();
    }
    log.sync().unwrap();
    for round in 0..10u64 {
        let (said, result) = told.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(said, round, "in the order appended");
        assert_eq!(result, Ok(vec![2 * round, round]));
    }
    assert!(told.recv_timeout(Duration::from_millis(5)).is_err(), "once each");
    assert_eq!(log.bounds(Topic::Profiles, 0).unwrap().durable, 20, "LOG-1");
}

fn sync(factory: &mut Factory) {
    let log = factory.create();
    log.sync().unwrap();
    for partition in 0..3 {
        log.append(vec![one(Topic::Profiles, partition, &["a", "b"])], None).unwrap();
    }
    log.sync().unwrap();
    for partition in 0..3 {
        let bounds = log.bounds(Topic::Profiles, partition).unwrap();
        assert_eq!(bounds, Bounds { first: 0, next: 2, durable: 2 });
    }
}

fn durable_only(factory: &mut Factory) {
    let log = factory.create();
    log.append(vec![one(Topic::Profiles, 0, &["a"])], None).unwrap();
    log.sync().unwrap();
    factory.hold_sync(true);
    log.append(vec![one(Topic::Profiles, 0, &["b", "c"])], None).unwrap();
    let durable = ReadLimit { durable_only: true, ..ANY };
    assert_eq!(read_all(&*log, Topic::Profiles, 0, durable).len(), 1);
    assert_eq!(texts(&*log, Topic::Profiles, 0), ["a", "b", "c"]);
    let begun = Instant::now();
    log.wait(&[(Topic::Profiles, 0, 1)], true, Duration::from_millis(20));
    assert!(begun.elapsed() >= Duration::from_millis(15), "nothing durable came");
    let mut out = Vec::new();
    log.read(Topic::Profiles, 0, 3, durable, &mut out).unwrap();
    assert!(out.is_empty(), "an offset that is not durable yet is an empty read");
    factory.hold_sync(false);
    log.sync().unwrap();
    assert_eq!(read_all(&*log, Topic::Profiles, 0, durable).len(), 3);
}

fn over_limits(factory: &mut Factory) {
    let log = factory.create();
    let zeroes = |size: usize| Bytes::from(vec![0; size]);
    let try_values = |values: Vec<Bytes>| {
        let bad = Append { topic: Topic::Profiles, partition: 1, values };
        log.append(vec![one(Topic::Profiles, 0, &["a"]), bad], None)
    };
    let is_limit = |result: Result<(), LogError>, expected: usize| {
        assert!(matches!(result, Err(LogError::Limit { limit, .. }) if limit == expected));
    };
    is_limit(try_values(vec![zeroes(limits::RECORD_BYTES_MAX + 1)]), limits::RECORD_BYTES_MAX);
    is_limit(
        try_values(vec![Bytes::new(); limits::APPEND_RECORDS_MAX]),
        limits::APPEND_RECORDS_MAX,
    );
    let big = zeroes(limits::RECORD_BYTES_MAX);
    let count = limits::APPEND_BYTES_MAX / limits::RECORD_BYTES_MAX + 1;
    is_limit(try_values(vec![big; count]), limits::APPEND_BYTES_MAX);
    is_limit(log.append(vec![one(Topic::Profiles, 3, &["a"])], None), 2);
    assert_eq!(log.bounds(Topic::Profiles, 0).unwrap().next, 0, "nothing was appended");
}

fn largest(factory: &mut Factory) {
    let log = factory.create();
    let big = Bytes::from(vec![7; limits::RECORD_BYTES_MAX]);
    let append = Append { topic: Topic::Profiles, partition: 0, values: vec![big.clone(); 2] };
    log.append(vec![append], None).unwrap();
    log.append(vec![one(Topic::Profiles, 0, &["small"])], None).unwrap();
    log.sync().unwrap();
    let log = factory.reopen(log);
    let small = ReadLimit { records: 10, bytes: 10, durable_only: true };
    let entries = read_all(&*log, Topic::Profiles, 0, small);
    assert_eq!(entries.len(), 3);
    assert!(entries[0].value == big && entries[1].value == big);
}

fn nothing(factory: &mut Factory) {
    let log = factory.create();
    let (tell, told) = mpsc::channel();
    log.append(vec![one(Topic::Profiles, 0, &["a"])], None).unwrap();
    let done = Box::new(move |result| tell.send(result).unwrap());
    log.append(vec![one(Topic::Profiles, 0, &[])], Some(done)).unwrap();
    log.sync().unwrap();
    assert_eq!(told.recv_timeout(Duration::from_secs(10)).unwrap(), Ok(vec![1]));
    assert_eq!(texts(&*log, Topic::Profiles, 0), ["a"]);
}

fn reopen(factory: &mut Factory) {
    let mut log = factory.create();
    for round in 0..5 {
        let text = round.to_string();
        log.append(vec![one(Topic::Touchpoints, 1, &[&text])], None).unwrap();
        log = factory.reopen(log);
        let bounds = log.bounds(Topic::Touchpoints, 1).unwrap();
        assert_eq!(bounds, Bounds { first: 0, next: round + 1, durable: round + 1 });
    }
    assert_eq!(texts(&*log, Topic::Touchpoints, 1), ["0", "1", "2", "3", "4"]);
}

/// How often the cases of crashes are tried: where a crash cuts differs from time to time.
const CRASHES: u64 = 12;

fn crash_prefix(factory: &mut Factory) {
    let mut log = factory.create();
    let mut kept = 0;
    for _ in 0..CRASHES {
        let partition_of = |nth: u64| (nth % 3) as u16;
        for nth in kept..kept + 6 {
            let text = nth.to_string();
            log.append(vec![one(Topic::Profiles, partition_of(nth), &[&text])], None).unwrap();
        }
        log.sync().unwrap();
        let durable = kept + 6;
        factory.hold_sync(true);
        for nth in durable..durable + 10 {
            let text = nth.to_string();
            log.append(vec![one(Topic::Profiles, partition_of(nth), &[&text])], None).unwrap();
        }
        log = factory.crash(log);
        factory.hold_sync(false);
        let mut all: Vec<u64> = (0..3)
            .flat_map(|partition| texts(&*log, Topic::Profiles, partition))
            .map(|text| text.parse().unwrap())
            .collect();
        all.sort_unstable();
        kept = all.len() as u64;
        assert_eq!(all, (0..kept).collect::<Vec<_>>(), "a prefix over all partitions");
        assert!(kept >= durable, "LOG-1: what was durable is there");
        let first = log.bounds(Topic::Profiles, 0).unwrap();
        assert_eq!(first.durable, first.next, "what survived is durable");
    }
}

fn crash_atomic(factory: &mut Factory) {
    let mut log = factory.create();
    for _ in 0..CRASHES {
        factory.hold_sync(true);
        for _ in 0..4 {
            let all: Vec<Append> =
                (0..3).map(|partition| one(Topic::Actions, partition, &["a", "b"])).collect();
            log.append(all, None).unwrap();
        }
        log = factory.crash(log);
        factory.hold_sync(false);
        let count = |partition| texts(&*log, Topic::Actions, partition).len();
        assert_eq!(count(0) % 2, 0);
        assert!(count(0) == count(1) && count(1) == count(2), "whole or not at all");
    }
}

fn after_crash(factory: &mut Factory) {
    let mut log = factory.create();
    let mut expected: Vec<String> = Vec::new();
    for round in 0..CRASHES {
        factory.hold_sync(true);
        let lost = format!("lost {round}");
        log.append(vec![one(Topic::Profiles, 0, &[&lost])], None).unwrap();
        log = factory.crash(log);
        factory.hold_sync(false);
        let found = texts(&*log, Topic::Profiles, 0);
        if found.len() > expected.len() {
            expected.push(lost);
        }
        // The same length as what may have been torn: no byte of the old frame may come back.
        let kept = format!("kept {round}");
        log.append(vec![one(Topic::Profiles, 0, &[&kept])], None).unwrap();
        expected.push(kept);
        log.sync().unwrap();
        assert_eq!(texts(&*log, Topic::Profiles, 0), expected);
    }
    let log = factory.reopen(log);
    assert_eq!(texts(&*log, Topic::Profiles, 0), expected);
}

fn full(factory: &mut Factory) {
    let log = factory.create();
    log.append(vec![one(Topic::Touchpoints, 0, &["a"])], None).unwrap();
    factory.set_full(true);
    let error = log.append(vec![one(Topic::Touchpoints, 0, &["b"])], None).unwrap_err();
    assert!(matches!(error, LogError::Full { .. }), "{error}");
    log.sync().unwrap();
    factory.set_full(false);
    log.append(vec![one(Topic::Touchpoints, 0, &["c"])], None).unwrap();
    assert_eq!(texts(&*log, Topic::Touchpoints, 0), ["a", "c"]);
}

fn stopped(factory: &mut Factory) {
    let log = factory.create();
    log.append(vec![one(Topic::Profiles, 0, &["a"])], None).unwrap();
    log.sync().unwrap();
    factory.fail_syncs();
    let deadline = Instant::now() + Duration::from_secs(10);
    let error = loop {
        match log.append(vec![one(Topic::Profiles, 0, &["b"])], None) {
            Ok(()) => assert!(Instant::now() < deadline, "the log never noticed"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, LogError::Stopped { .. }), "{error}");
    let again = log.append(vec![one(Topic::Profiles, 0, &["b"])], None).unwrap_err();
    assert_eq!(again, error, "every later append fails the same way");
    assert_eq!(log.sync().unwrap_err(), error);
    let log = factory.crash(log);
    assert_eq!(texts(&*log, Topic::Profiles, 0)[0], "a");
    log.append(vec![one(Topic::Profiles, 0, &["c"])], None).unwrap();
    log.sync().unwrap();
}

fn unknown(factory: &mut Factory) {
    let log = factory.create();
    for applied in [true, false, true] {
        let before = log.bounds(Topic::Profiles, 0).unwrap().next;
        factory.next_append_unknown(applied);
        let appends = vec![one(Topic::Profiles, 0, &["a"]), one(Topic::Profiles, 1, &["b"])];
        let error = log.append(appends, None).unwrap_err();
        assert!(matches!(error, LogError::Unknown { .. }), "{error}");
        log.sync().unwrap();
        for partition in [0, 1] {
            let after = log.bounds(Topic::Profiles, partition).unwrap().next;
            assert_eq!(after, before + u64::from(applied));
        }
    }
}

fn trim(factory: &mut Factory) {
    let log = factory.create();
    let big = "x".repeat(1_000);
    for _ in 0..2_000 {
        log.append(vec![one(Topic::Profiles, 0, &[&big, &big])], None).unwrap();
    }
    log.append(vec![one(Topic::Profiles, 1, &["kept"])], None).unwrap();
    log.sync().unwrap();
    factory.set_time(Timestamp(i64::MAX / 2));
    log.trim(&[(Topic::Profiles, 0, 3_000)]).unwrap();
    let check = |log: &dyn Log| {
        let bounds = log.bounds(Topic::Profiles, 0).unwrap();
        assert!(bounds.first <= 3_000 && bounds.next == 4_000);
        assert_eq!(read_all(log, Topic::Profiles, 0, ANY).len() as u64, 4_000 - bounds.first);
        assert_eq!(texts(log, Topic::Profiles, 1), ["kept"], "it was never named");
        if bounds.first > 0 {
            let below = log.read(Topic::Profiles, 0, bounds.first - 1, ANY, &mut Vec::new());
            assert!(matches!(below, Err(LogError::OutOfRange { .. })));
        }
    };
    check(&*log);
    let log = factory.reopen(log);
    check(&*log);
    // Everything may go: the offsets still go on.
    log.trim(&[(Topic::Profiles, 0, 4_000), (Topic::Profiles, 1, 1)]).unwrap();
    let log = factory.reopen(log);
    log.append(vec![one(Topic::Profiles, 0, &["next"])], None).unwrap();
    let last = read_all(&*log, Topic::Profiles, 0, ANY).pop().unwrap();
    assert_eq!((last.offset, &last.value[..]), (4_000, &b"next"[..]));
}

fn wait(factory: &mut Factory) {
    let log = factory.create();
    let begun = Instant::now();
    log.wait(&[(Topic::Profiles, 0, 0), (Topic::Actions, 0, 0)], false, Duration::from_millis(20));
    assert!(begun.elapsed() >= Duration::from_millis(15), "there is nothing");
    let long = Duration::from_secs(20);
    for durable_only in [false, true] {
        let next = log.bounds(Topic::Profiles, 2).unwrap().next;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(10));
                log.append(vec![one(Topic::Profiles, 2, &["a"])], None).unwrap();
                log.sync().unwrap();
            });
            let at = [(Topic::Actions, 0, 0), (Topic::Profiles, 2, next)];
            let begun = Instant::now();
            let readable = || {
                let bounds = log.bounds(Topic::Profiles, 2).unwrap();
                next < if durable_only { bounds.durable } else { bounds.next }
            };
            while !readable() {
                log.wait(&at, durable_only, long);
                assert!(begun.elapsed() < long, "nobody called");
            }
        });
    }
    let begun = Instant::now();
    log.wait(&[(Topic::Profiles, 2, 0)], true, long);
    assert!(begun.elapsed() < long, "it was there already");
}

fn concurrent(factory: &mut Factory) {
    let log = factory.create();
    let threads = 4u64;
    let rounds = 200u64;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let log = &log;
            scope.spawn(move || {
                for round in 0..rounds {
                    let text = format!("{thread} {round}");
                    let partition = (round % 3) as u16;
                    log.append(vec![one(Topic::Touchpoints, 0, &[&text])], None).unwrap();
                    log.append(vec![one(Topic::Profiles, partition, &[&text])], None).unwrap();
                    if round % 50 == 0 {
                        log.sync().unwrap();
                    }
                }
            });
        }
    });
    let all = texts(&*log, Topic::Touchpoints, 0);
    assert_eq!(all.len() as u64, threads * rounds);
    for thread in 0..threads {
        let own = all.iter().filter_map(|text| text.strip_prefix(&format!("{thread} ")));
        let own: Vec<u64> = own.map(|round| round.parse().unwrap()).collect();
        assert_eq!(own, (0..rounds).collect::<Vec<_>>());
    }
}
