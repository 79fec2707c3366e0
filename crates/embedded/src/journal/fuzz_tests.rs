//! Properties of the journal's bytes: round trips, and what damage does to a reader.
//!
//! Whatever happens to the files, the journal never panics and never gives a wrong record: it gives
//! the right one, or says that it is gone or damaged.

use super::frame::{Draft, check_body, parse_head, take};
use super::{Journal, JournalOptions, frame};
use bytes::Bytes;
use proptest::prelude::*;
use sojourn_memory::ManualClock;
use sojourn_model::{DurationMs, Timestamp};
use sojourn_ports::{Append, Bounds, Entry, Layout, Log, LogError, ReadLimit, Topic};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn layout() -> Layout {
    Layout::new(2, 3)
}

fn any_append() -> impl Strategy<Value = Append> {
    let partition = (0..layout().total()).prop_map(|nth| layout().all().nth(nth).unwrap());
    let value = prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from);
    (partition, prop::collection::vec(value, 0..6))
        .prop_map(|((topic, partition), values)| Append { topic, partition, values })
}

proptest! {
    #[test]
    fn a_group_reads_back_what_was_appended(
        appends in prop::collection::vec(any_append(), 0..8),
        bases in prop::collection::vec((any::<u32>(), any::<i64>()), 8),
        (seq, durable) in (0..=frame::OFFSET_MAX, any::<u64>()),
        skip in 0..6u64,
    ) {
        let mut draft = Draft::records(&appends);
        for (nth, _) in appends.iter().enumerate() {
            draft.place(nth, u64::from(bases[nth].0), Timestamp(bases[nth].1));
        }
        let group = draft.seal(seq, durable);
        let head = parse_head(&layout(), &group).unwrap();
        prop_assert_eq!(check_body(&head, &group), Ok(()));
        prop_assert_eq!((head.seq, head.durable, head.bytes), (seq, durable, group.len()));
        prop_assert_eq!(head.frames.len(), appends.len());
        for (nth, (frame, append)) in head.frames.iter().zip(&appends).enumerate() {
            prop_assert_eq!(Some(frame.index), layout().index(append.topic, append.partition));
            let mut out: Vec<Entry> = Vec::new();
            let mut wish = frame::Wish { records: 99, bytes: 9_999, end: u64::MAX, some: false };
            let from = frame.base + skip;
            take(&group, frame, from, &mut wish, &mut out).unwrap();
            let expected: Vec<&Bytes> = append.values.iter().skip(skip as usize).collect();
            prop_assert_eq!(out.iter().map(|entry| &entry.value).collect::<Vec<_>>(), expected);
            prop_assert!(out.iter().all(|entry| entry.log_time.0 == bases[nth].1));
        }
    }

    #[test]
    fn a_flipped_bit_of_a_group_is_noticed(
        appends in prop::collection::vec(any_append(), 1..4),
        at in any::<prop::sample::Index>(),
        bit in 0..8u8,
    ) {
        let mut bytes = Draft::records(&appends).seal(9, 9).to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let noticed = match parse_head(&layout(), &bytes) {
            Err(_) => true,
            Ok(head) => check_body(&head, &bytes).is_err(),
        };
        prop_assert!(noticed);
    }

    #[test]
    fn any_bytes_are_read_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_head(&layout(), &bytes);
        if bytes.len() >= 4 {
            bytes[..4].copy_from_slice(&frame::MAGIC.to_le_bytes());
            let _ = parse_head(&layout(), &bytes);
        }
    }
}

#[test]
fn numbers_beyond_any_log_are_damage_and_no_overflow() {
    let values = vec![Bytes::from("a"), Bytes::from("b")];
    let append = Append { topic: Topic::Profiles, partition: 0, values };
    let sealed = |base: u64, seq: u64| {
        let mut draft = Draft::records(std::slice::from_ref(&append));
        draft.place(0, base, Timestamp(1));
        draft.seal(seq, 0)
    };
    assert!(parse_head(&layout(), &sealed(frame::OFFSET_MAX - 2, 7)).is_ok());
    for (base, seq) in [(u64::MAX, 7), (u64::MAX - 1, 7), (frame::OFFSET_MAX - 1, 7), (0, u64::MAX)]
    {
        let head = parse_head(&layout(), &sealed(base, seq));
        assert!(matches!(head, Err(frame::Bad::Broken(_))), "{base} {seq}: {head:?}");
        // As the second group of a segment whose checksums are right.
        let dir = crate::test_folder();
        let mut bytes = small_journal(dir.path(), 2);
        bytes.extend_from_slice(&sealed(base, seq));
        only(dir.path(), &bytes);
        if let Ok(journal) = open(dir.path()) {
            assert_eq!(read_right(&journal).0, 2, "{base} {seq}");
        }
    }
}

fn options() -> JournalOptions {
    let mut options = JournalOptions::new(Layout::new(1, 2));
    options.segment_bytes = 64 << 10;
    options.tail_bytes = 0;
    options.sync_interval = Duration::from_micros(1);
    options.retention = DurationMs::days(1);
    options.reserve_bytes = Some(0);
    options
}

fn open(dir: &Path) -> Result<Journal, LogError> {
    Journal::open(dir, options(), Arc::new(ManualClock::new(Timestamp(1))))
}

/// Text of the `nth` record over both partitions; even ones are in partition 0.
fn text(nth: u64) -> String {
    format!("record {nth} {}", "y".repeat((nth % 40) as usize))
}

fn append(journal: &Journal, nth: u64) {
    let values = vec![Bytes::from(text(nth))];
    let partition = (nth % 2) as u16;
    journal.append(vec![Append { topic: Topic::Profiles, partition, values }], None).unwrap();
    journal.sync().unwrap();
}

/// Reads what can be read; panics on a wrong record. Returns how many were right and whether
/// everything between the bounds was.
fn read_right(journal: &Journal) -> (u64, bool) {
    let (mut right, mut whole) = (0, true);
    for partition in [0, 1] {
        let Bounds { first, next, .. } = journal.bounds(Topic::Profiles, partition).unwrap();
        let mut at = first;
        while at < next {
            let mut out = Vec::new();
            let limit = ReadLimit { records: 3, bytes: 1 << 20, durable_only: true };
            match journal.read(Topic::Profiles, partition, at, limit, &mut out) {
                Ok(()) => {
                    assert!(!out.is_empty());
                    for entry in &out {
                        let nth = 2 * entry.offset + u64::from(partition);
                        assert_eq!(entry.value, text(nth), "a wrong record was given");
                    }
                    right += out.len() as u64;
                    at = out.last().unwrap().offset + 1;
                }
                Err(LogError::Damaged { place, .. }) => {
                    assert!(place.contains(".seg byte "), "{place}");
                    whole = false;
                    at += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    (right, whole)
}

/// The one segment of a journal that was killed, without what follows its last group.
fn small_journal(dir: &Path, records: u64) -> Vec<u8> {
    let journal = open(dir).unwrap();
    for nth in 0..records {
        append(&journal, nth);
    }
    let end = journal.durable_at().1 as usize;
    let mut bytes = fs::read(dir.join("0000000001.seg")).unwrap();
    bytes.truncate(end);
    bytes
}

/// Makes these bytes the only segment.
fn only(dir: &Path, bytes: &[u8]) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if !path.ends_with("LAYOUT") {
            fs::remove_file(path).unwrap();
        }
    }
    fs::write(dir.join(super::segment_name(1)), bytes).unwrap();
}

#[test]
fn cut_off_at_every_byte_a_prefix_is_kept() {
    let dir = crate::test_folder();
    let bytes = small_journal(dir.path(), 12);
    let mut before = 0;
    // What is behind the cut: nothing, zeroes as in a preallocated file, or dirt.
    let fills = [None, Some(0), Some(0xa5)];
    for cut in 0..=bytes.len() {
        let mut left = bytes[..cut].to_vec();
        let fill = if cut == bytes.len() { None } else { fills[cut % 3] };
        left.resize(fill.map_or(cut, |_| bytes.len() + 100), fill.unwrap_or(0));
        only(dir.path(), &left);
        let journal = open(dir.path()).unwrap();
        let (right, whole) = read_right(&journal);
        assert!(whole, "what is between the bounds is there");
        assert!(right == before || right == before + 1, "a prefix: {right} after {before}");
        before = right;
        append(&journal, right);
        assert_eq!(read_right(&journal), (right + 1, true), "it goes on");
    }
    assert_eq!(before, 12);
}

#[test]
fn a_flipped_bit_gives_no_wrong_record() {
    let dir = crate::test_folder();
    let bytes = small_journal(dir.path(), 12);
    let mut refused = 0;
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 1 << (at % 8);
        only(dir.path(), &bad);
        match open(dir.path()) {
            Ok(journal) => {
                let (right, _) = read_right(&journal);
                let nothing = Append { topic: Topic::Profiles, partition: 0, values: vec![] };
                let refuses = journal.append(vec![nothing], None).is_err();
                // All but the last group are known to have been on disk: that is no torn tail.
                assert!(refuses || right == 11, "byte {at}: lost without a word");
                assert!(right >= 10, "byte {at}: only what is in the damaged group is lost");
                refused += u64::from(refuses);
            }
            Err(LogError::Damaged { .. }) => refused += 1,
            Err(error) => panic!("byte {at}: {error}"),
        }
    }
    assert!(refused > bytes.len() as u64 / 2);
}

#[test]
fn a_flipped_bit_after_an_orderly_close_is_never_taken_for_a_torn_tail() {
    let dir = crate::test_folder();
    let end = small_journal(dir.path(), 4).len();
    let good = fs::read(dir.path().join("0000000001.seg")).unwrap();
    for at in 0..end {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        only(dir.path(), &bad);
        match open(dir.path()) {
            Ok(journal) => {
                let nothing = Append { topic: Topic::Profiles, partition: 0, values: vec![] };
                let error = journal.append(vec![nothing], None).unwrap_err();
                assert!(matches!(error, LogError::Damaged { .. }), "byte {at}: {error}");
                assert_eq!(journal.damage().len(), 1);
                read_right(&journal);
            }
            Err(error) => assert!(matches!(error, LogError::Damaged { .. }), "{error}"),
        }
    }
}

#[test]
fn damage_of_a_sealed_segment_leaves_the_rest_readable() {
    let dir = crate::test_folder();
    let journal = open(dir.path()).unwrap();
    // The keeper makes a segment at least a mebibyte large on a small device; here it is 64 KiB.
    for nth in 0..2_000 {
        append(&journal, nth);
    }
    assert!(journal.stats().segments >= 3);
    drop(journal);
    for with_index in [true, false] {
        let path = dir.path().join("0000000002.seg");
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        fs::write(&path, &bad).unwrap();
        if !with_index {
            fs::remove_file(dir.path().join("0000000002.idx")).unwrap();
        }
        let journal = open(dir.path()).unwrap();
        let (right, whole) = read_right(&journal);
        assert!(!whole && (1_990..2_000).contains(&right), "{right}");
        assert_eq!(journal.damage().len(), usize::from(!with_index), "without an index it is read");
        let nothing = Append { topic: Topic::Profiles, partition: 0, values: vec![] };
        journal.append(vec![nothing], None).unwrap();
        drop(journal);
        fs::write(&path, &good).unwrap();
    }
    fs::remove_file(dir.path().join("0000000002.seg")).unwrap();
    let journal = open(dir.path()).unwrap();
    let (right, whole) = read_right(&journal);
    assert!(!whole && right > 500 && right < 2_000, "a segment that was moved away is a hole");
    assert_eq!(journal.bounds(Topic::Profiles, 0).unwrap().next, 1_000);
}

#[test]
fn files_copied_while_writers_write_hold_a_prefix() {
    let dir = crate::test_folder();
    let journal = open(dir.path()).unwrap();
    for round in 0..8u64 {
        let copy = crate::test_folder();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for nth in round * 300..(round + 1) * 300 {
                    append(&journal, nth);
                }
            });
            std::thread::sleep(Duration::from_millis(3 * round));
            let durable: Vec<u64> = [0, 1]
                .map(|partition| journal.bounds(Topic::Profiles, partition).unwrap().durable)
                .to_vec();
            let mut names: Vec<_> =
                fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            for name in names.iter().filter(|name| !name.to_string_lossy().ends_with(".draft")) {
                fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
            }
            let left = open(copy.path()).unwrap();
            let (_, whole) = read_right(&left);
            assert!(whole);
            for partition in [0, 1u16] {
                let bounds = left.bounds(Topic::Profiles, partition).unwrap();
                assert!(bounds.next >= durable[usize::from(partition)], "LOG-1");
            }
            let next = |partition| left.bounds(Topic::Profiles, partition).unwrap().next;
            assert!(next(0) == next(1) || next(0) == next(1) + 1, "a prefix over partitions");
        });
    }
}
