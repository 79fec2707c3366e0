//! Tests of the journal as a whole.

use super::*;
use sojourn_memory::ManualClock;
use sojourn_model::DurationMs;
use sojourn_ports::Layout;
use std::fs;
use std::sync::atomic::AtomicBool;

fn options() -> JournalOptions {
    let mut options = JournalOptions::new(Layout::new(2, 3));
    options.segment_bytes = 1 << 20;
    options.sync_interval = Duration::from_micros(50);
    options.retention = DurationMs(0);
    options.reserve_bytes = Some(0);
    options
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp(1_000)))
}

fn open(dir: &Path, options: JournalOptions) -> Journal {
    Journal::open(dir, options, clock()).unwrap()
}

fn value(seed: u64, bytes: usize) -> Bytes {
    let mut text = format!("{seed:08}").into_bytes();
    text.resize(bytes.max(8), b'x');
    Bytes::from(text)
}

fn append(journal: &Journal, topic: Topic, partition: u16, values: Vec<Bytes>) {
    journal.append(vec![Append { topic, partition, values }], None).unwrap();
}

const ALL: ReadLimit = ReadLimit { records: 1_000, bytes: 1 << 20, durable_only: false };

/// Reads a whole partition by many small reads.
fn read_all(journal: &Journal, topic: Topic, partition: u16) -> Result<Vec<Entry>, LogError> {
    let bounds = journal.bounds(topic, partition)?;
    let mut out = Vec::new();
    let mut at = bounds.first;
    while at < bounds.next {
        let before = out.len();
        journal.read(topic, partition, at, ReadLimit { records: 7, ..ALL }, &mut out)?;
        assert!(out.len() > before, "a read gives at least one record");
        at = out.last().unwrap().offset + 1;
    }
    Ok(out)
}

fn check_all(entries: &[Entry], first: u64, values: impl Fn(u64) -> Bytes) {
    for (nth, entry) in entries.iter().enumerate() {
        assert_eq!(entry.offset, first + nth as u64);
        assert_eq!(entry.value, values(entry.offset));
    }
}

/// Copies the files as they are now: what a killed process leaves.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn reads_from_memory_and_from_files_are_the_same() {
    let dir = crate::test_folder();
    let mut options = options();
    options.tail_bytes = 100_000;
    let journal = open(dir.path(), options.clone());
    for nth in 0..4_000u64 {
        append(&journal, Topic::Profiles, 0, vec![value(nth, 1_000)]);
        if nth % 50 == 0 {
            append(&journal, Topic::Actions, 2, vec![value(nth / 50, 10)]);
        }
    }
    journal.sync().unwrap();
    assert!(journal.stats().segments >= 4, "{:?}", journal.stats());
    let check = |journal: &Journal| {
        let profiles = read_all(journal, Topic::Profiles, 0).unwrap();
        assert_eq!(profiles.len(), 4_000);
        check_all(&profiles, 0, |nth| value(nth, 1_000));
        let actions = read_all(journal, Topic::Actions, 2).unwrap();
        assert_eq!(actions.len(), 80);
        check_all(&actions, 0, |nth| value(nth, 10));
    };
    check(&journal);
    let seen = copy_of(&journal, dir.path());
    drop(journal);
    let journal = open(dir.path(), options.clone());
    check(&journal);
    drop(journal);
    // Without index files the segments are read whole.
    for entry in fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "idx") {
            fs::remove_file(path).unwrap();
        }
    }
    check(&open(dir.path(), options.clone()));
    check(&open(seen.path(), options));
}

fn copy_of(journal: &Journal, dir: &Path) -> tempfile::TempDir {
    journal.sync().unwrap();
    let to = crate::test_folder();
    copy(dir, to.path());
    to
}

#[test]
fn a_failed_sync_stops_the_log_and_tells_everybody() {
    let dir = crate::test_folder();
    let failing = Arc::new(AtomicBool::new(false));
    let mut options = options();
    let probe = Arc::clone(&failing);
    options.probes.before_sync = Some(Arc::new(move || {
        if probe.load(Ordering::SeqCst) {
            return Err(std::io::Error::other("the device is gone"));
        }
        Ok(())
    }));
    let journal = open(dir.path(), options);
    append(&journal, Topic::Profiles, 0, vec![value(0, 10)]);
    journal.sync().unwrap();
    failing.store(true, Ordering::SeqCst);
    let (tell, told) = std::sync::mpsc::channel();
    let one = Append { topic: Topic::Profiles, partition: 0, values: vec![value(1, 10)] };
    journal
        .append(vec![one.clone()], Some(Box::new(move |result| tell.send(result).unwrap())))
        .unwrap();
    let stopped = LogError::Stopped { reason: "the device is gone".to_owned() };
    assert_eq!(told.recv().unwrap(), Err(stopped.clone()));
    assert_eq!(journal.append(vec![one], None), Err(stopped.clone()));
    assert_eq!(journal.sync(), Err(stopped));
    assert_eq!(journal.bounds(Topic::Profiles, 0).unwrap().durable, 1, "LOG-1");
}

#[test]
fn a_nearly_full_disk_refuses_ingest_first_and_loses_nothing() {
    let dir = crate::test_folder();
    let free = Arc::new(AtomicU64::new(1 << 30));
    let mut options = options();
    options.reserve_bytes = Some(100 << 20);
    let probe = Arc::clone(&free);
    options.probes.free_bytes = Some(Arc::new(move || probe.load(Ordering::SeqCst)));
    let journal = open(dir.path(), options);
    let try_append = |topic| {
        let values = vec![value(0, 100)];
        journal.append(vec![Append { topic, partition: 0, values }], None)
    };
    let within = |bytes: u64, check: &dyn Fn() -> bool| {
        free.store(bytes, Ordering::SeqCst);
        let deadline = Instant::now() + Duration::from_secs(10);
        while !check() {
            assert!(Instant::now() < deadline, "the free bytes are looked at all the time");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    try_append(Topic::Touchpoints).unwrap();
    let full = LogError::Full { free_bytes: 90 << 20 };
    within(90 << 20, &|| try_append(Topic::Touchpoints) == Err(full.clone()));
    try_append(Topic::Profiles).unwrap();
    within(40 << 20, &|| try_append(Topic::Profiles).is_err());
    within(1 << 30, &|| try_append(Topic::Touchpoints).is_ok());
    journal.sync().unwrap();
    let bounds = journal.bounds(Topic::Touchpoints, 0).unwrap();
    assert_eq!(read_all(&journal, Topic::Touchpoints, 0).unwrap().len() as u64, bounds.next);
}

#[test]
fn without_room_for_a_segment_appends_are_refused_before_anything_is_torn() {
    let dir = crate::test_folder();
    let mut options = options();
    options.reserve_bytes = Some(8 << 20);
    options.probes.free_bytes = Some(Arc::new(|| (8 << 20) + 1_000));
    let journal = open(dir.path(), options.clone());
    let mut taken = 0;
    let error = loop {
        let values = vec![value(taken, 1_000)];
        match journal.append(vec![Append { topic: Topic::Profiles, partition: 1, values }], None) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 10_000, "one segment has a limit");
    };
    assert!(matches!(error, LogError::Full { .. }), "{error}");
    journal.sync().unwrap();
    drop(journal);
    let entries = read_all(&open(dir.path(), options), Topic::Profiles, 1).unwrap();
    assert_eq!(entries.len() as u64, taken);
    check_all(&entries, 0, |nth| value(nth, 1_000));
}

#[test]
fn segments_go_when_all_their_readers_have_passed_and_they_are_old() {
    let dir = crate::test_folder();
    let clock = clock();
    let mut options = options();
    options.retention = DurationMs(500);
    let journal = Journal::open(dir.path(), options.clone(), Arc::clone(&clock) as _).unwrap();
    for nth in 0..3_000u64 {
        append(&journal, Topic::Profiles, 0, vec![value(nth, 1_000)]);
    }
    append(&journal, Topic::Decisions, 0, vec![value(0, 10)]);
    journal.sync().unwrap();
    let segments = journal.stats().segments;
    assert!(segments >= 3);
    journal.trim(&[(Topic::Profiles, 0, 2_500)]).unwrap();
    assert_eq!(journal.stats().segments, segments, "not old enough");
    clock.advance(DurationMs(501));
    journal.trim(&[(Topic::Profiles, 0, 2_500)]).unwrap();
    let first = journal.bounds(Topic::Profiles, 0).unwrap().first;
    assert!(first > 0 && first <= 2_500);
    let mut out = Vec::new();
    let error = journal.read(Topic::Profiles, 0, first - 1, ALL, &mut out).unwrap_err();
    assert!(matches!(error, LogError::OutOfRange { wanted, .. } if wanted == first - 1));
    check_all(&read_all(&journal, Topic::Profiles, 0).unwrap(), first, |nth| value(nth, 1_000));
    // Everything that was sealed may go, and still the offsets go on.
    journal.trim(&[(Topic::Profiles, 0, 3_000)]).unwrap();
    drop(journal);
    let journal = Journal::open(dir.path(), options, clock).unwrap();
    assert_eq!(journal.bounds(Topic::Profiles, 0).unwrap().next, 3_000);
    assert!(journal.bounds(Topic::Profiles, 0).unwrap().first >= first);
}

#[test]
fn a_panic_in_done_stops_the_log_instead_of_hanging_it() {
    let dir = crate::test_folder();
    let journal = open(dir.path(), options());
    let one = Append { topic: Topic::Profiles, partition: 0, values: vec![value(0, 10)] };
    journal.append(vec![one.clone()], Some(Box::new(|_| panic!("planted")))).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while journal.append(vec![one.clone()], None).is_ok() {
        assert!(Instant::now() < deadline);
    }
    assert!(matches!(journal.sync(), Err(LogError::Stopped { .. })));
}

#[test]
fn appends_of_many_threads_share_syncs() {
    let dir = crate::test_folder();
    let mut options = options();
    options.sync_interval = Duration::from_millis(2);
    let journal = open(dir.path(), options);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for nth in 0..500 {
                    append(&journal, Topic::Touchpoints, 1, vec![value(nth, 50)]);
                }
            });
        }
    });
    journal.sync().unwrap();
    let stats = journal.stats();
    assert_eq!(stats.records, 4_000);
    assert!(stats.syncs < 400, "group commit: {} syncs for 4000 appends", stats.syncs);
}
