//! What happens to real brokers, and to readers.

use crate::house::{ANY, alone, broker, made, one, open, open_at, read_all, text};
use sojourn_memory::ManualClock;
use sojourn_model::Timestamp;
use sojourn_ports::{Log, LogError, ReadLimit, Topic};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Tells a thread to end when it is dropped.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn what_was_acknowledged_survives_a_killed_broker() {
    let _alone = alone();
    let options = made();
    let log = open(&options);
    let stop = AtomicBool::new(false);
    let acknowledged: Arc<Mutex<BTreeMap<(u16, u64), u64>>> = Arc::default();
    let sent = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                let nth = sent.fetch_add(1, Ordering::SeqCst);
                let partition = (nth % 3) as u16;
                let acknowledged = Arc::clone(&acknowledged);
                let done = Box::new(move |result: Result<Vec<u64>, LogError>| {
                    let offset = result.expect("the broker comes back")[0];
                    acknowledged.lock().unwrap().insert((partition, offset), nth);
                });
                let append = one(Topic::Profiles, partition, &[&nth.to_string()]);
                log.append(vec![append], Some(done)).expect("taken");
                std::thread::sleep(Duration::from_micros(300));
            }
        });
        // Also when something below fails: the thread above would go on for ever.
        let _ended = Ended(&stop);
        let count = || acknowledged.lock().unwrap().len();
        let more_than = |wanted: usize| {
            let deadline = Instant::now() + Duration::from_secs(60);
            while count() <= wanted {
                assert!(Instant::now() < deadline, "only {} of {wanted}", count());
                std::thread::sleep(Duration::from_millis(10));
            }
        };
        more_than(500);
        broker("kill", "kafka-1");
        std::thread::sleep(Duration::from_millis(300));
        let before = count();
        broker("again", "kafka-1");
        more_than(before + 500);
    });
    log.sync().expect("the broker is back");
    let sent = sent.load(Ordering::SeqCst);
    // The last `done` may still be running when `sync` has returned.
    let deadline = Instant::now() + Duration::from_secs(10);
    while (acknowledged.lock().unwrap().len() as u64) < sent && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    let acknowledged = acknowledged.lock().unwrap();
    assert_eq!(acknowledged.len() as u64, sent, "every append was answered");
    let mut found = 0;
    for partition in 0..3 {
        let entries = read_all(&*log, Topic::Profiles, partition);
        assert!(entries.is_sorted_by_key(|entry| entry.log_time));
        let numbers: Vec<u64> = entries.iter().map(|entry| text(entry).parse().unwrap()).collect();
        let wrong: Vec<_> = numbers.windows(2).filter(|pair| pair[0] >= pair[1]).take(5).collect();
        assert!(wrong.is_empty(), "in order, once each: {wrong:?} of {}", numbers.len());
        for entry in &entries {
            let nth = text(entry).parse().unwrap();
            assert_eq!(acknowledged.get(&(partition, entry.offset)), Some(&nth));
        }
        found += entries.len() as u64;
    }
    assert_eq!(found, sent);
}

#[test]
fn a_log_whose_records_time_out_stops_and_tells_everybody() {
    let _alone = alone();
    let mut options = made();
    options.delivery_timeout = Some(Duration::from_secs(2));
    options.request_timeout = Duration::from_millis(500);
    let log = open(&options);
    log.append(vec![one(Topic::Profiles, 0, &["kept"])], None).unwrap();
    log.sync().unwrap();
    broker("kill", "kafka-1");
    let (tell, told) = std::sync::mpsc::channel();
    let done = Box::new(move |result| tell.send(result).unwrap());
    let appends = vec![one(Topic::Profiles, 0, &["a"]), one(Topic::Profiles, 1, &["b"])];
    log.append(appends, Some(done)).unwrap();
    let bounds = log.bounds(Topic::Profiles, 0).unwrap_err();
    assert!(matches!(bounds, LogError::Unavailable { .. }), "{bounds}");
    let result = told.recv_timeout(Duration::from_secs(30)).unwrap();
    assert!(matches!(result, Err(LogError::Unknown { .. })), "{result:?}");
    let error = log.sync().unwrap_err();
    assert!(matches!(error, LogError::Stopped { .. }), "{error}");
    let again = log.append(vec![one(Topic::Profiles, 2, &["c"])], None).unwrap_err();
    assert_eq!(again, error, "every later append fails the same way");
    broker("again", "kafka-1");
    drop(log);
    options.request_timeout = Duration::from_secs(20);
    let log = open(&options);
    let left: Vec<String> =
        read_all(&*log, Topic::Profiles, 0).iter().map(|entry| text(entry).to_owned()).collect();
    assert!(left == ["kept"] || left == ["kept", "a"], "{left:?}");
    log.append(vec![one(Topic::Profiles, 0, &["next"])], None).unwrap();
    log.sync().unwrap();
}

#[test]
fn below_the_oldest_and_beyond_the_end_is_out_of_range() {
    let _alone = alone();
    let options = made();
    let clock = Arc::new(ManualClock::new(Timestamp(i64::MAX / 2)));
    let log = open_at(&options, Arc::clone(&clock));
    let other = open_at(&options, clock);
    for round in 0..20 {
        log.append(vec![one(Topic::Actions, 1, &[&round.to_string()])], None).unwrap();
        log.sync().unwrap();
    }
    // The other one knows nothing of the trim: the broker tells it.
    assert_eq!(read_all(&*other, Topic::Actions, 1).len(), 20);
    log.trim(&[(Topic::Actions, 1, 12)]).unwrap();
    let bounds = log.bounds(Topic::Actions, 1).unwrap();
    assert!((1..=12).contains(&bounds.first) && bounds.next == 20, "{bounds:?}");
    let fresh = open(&options);
    for reader in [&log, &fresh] {
        let below = reader.read(Topic::Actions, 1, 0, ANY, &mut Vec::new()).unwrap_err();
        let LogError::OutOfRange { wanted: 0, first, next: 20, .. } = below else {
            panic!("{below}")
        };
        assert_eq!(first, bounds.first);
    }
    let beyond = fresh.read(Topic::Actions, 1, 21, ANY, &mut Vec::new()).unwrap_err();
    assert!(matches!(beyond, LogError::OutOfRange { wanted: 21, .. }), "{beyond}");
    let rest = read_all(&*fresh, Topic::Actions, 1);
    assert_eq!(rest.first().unwrap().offset, bounds.first);
    assert_eq!(text(rest.last().unwrap()), "19");
    let whole = read_all(&*log, Topic::Actions, 1);
    let times = |entries: &[sojourn_ports::Entry]| -> Vec<_> {
        entries.iter().map(|entry| (entry.offset, entry.log_time)).collect()
    };
    assert_eq!(times(&rest), times(&whole), "log time does not depend on where a reader begins");
}

#[test]
fn two_appenders_and_readers_in_several_places() {
    let _alone = alone();
    let options = made();
    let (a, b) = (open(&options), open(&options));
    let rounds = 2_000u64;
    std::thread::scope(|scope| {
        for (name, log) in [("a", &a), ("b", &b)] {
            scope.spawn(move || {
                for round in 0..rounds {
                    let texts =
                        [format!("{name} {}", 2 * round), format!("{name} {}", 2 * round + 1)];
                    let append = one(Topic::Profiles, 2, &[&texts[0], &texts[1]]);
                    log.append(vec![append], None).unwrap();
                }
                log.sync().unwrap();
            });
        }
        // A reader that follows while they write.
        scope.spawn(|| {
            let mut at = 0;
            let deadline = Instant::now() + Duration::from_secs(60);
            while at < 4 * rounds {
                assert!(Instant::now() < deadline, "stuck at {at}");
                let mut out = Vec::new();
                b.read(Topic::Profiles, 2, at, ANY, &mut out).unwrap();
                match out.last() {
                    Some(last) => at = last.offset + 1,
                    None => b.wait(&[(Topic::Profiles, 2, at)], true, Duration::from_secs(5)),
                }
            }
        });
    });
    let whole = read_all(&*a, Topic::Profiles, 2);
    assert_eq!(whole.len() as u64, 4 * rounds);
    for name in ["a ", "b "] {
        let own: Vec<u64> =
            whole.iter().filter_map(|entry| text(entry).strip_prefix(name)?.parse().ok()).collect();
        assert_eq!(own, (0..2 * rounds).collect::<Vec<_>>());
    }
    // Look-ups all over the place, by four readers in turn.
    let limit = ReadLimit { records: 3, ..ANY };
    for nth in 0..40u64 {
        let at = (nth * 1_237) % (4 * rounds - 3);
        let mut out = Vec::new();
        b.read(Topic::Profiles, 2, at, limit, &mut out).unwrap();
        for (found, expected) in out.iter().zip(&whole[at as usize..]) {
            assert_eq!((found.offset, &found.value), (expected.offset, &expected.value));
            assert_eq!(found.log_time, expected.log_time);
        }
        assert_eq!(out.first().map(|entry| entry.offset), Some(at));
    }
}

#[test]
fn definitions_are_keyed_by_their_content() {
    let _alone = alone();
    let options = made();
    let log = open(&options);
    for text in ["one", "two", "one"] {
        log.append(vec![one(Topic::Definitions, 0, &[text])], None).unwrap();
    }
    log.sync().expect("a compacted topic refuses records without a key");
    let found = read_all(&*log, Topic::Definitions, 0);
    assert_eq!(found.iter().map(text).collect::<Vec<_>>(), ["one", "two", "one"]);
}
