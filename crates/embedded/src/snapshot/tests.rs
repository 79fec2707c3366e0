//! Tests of snapshots.

use super::*;
use crate::journal::JournalOptions;
use bytes::Bytes;
use sojourn_memory::ManualClock;
use sojourn_ports::{
    Append, Checkpoint, GraphCommit, GraphWrite, IdentityGraph, Log, ReadLimit, Space, Standing,
    StateStore, Unrecoverable, Write, check_recoverable,
};
use std::sync::Arc;

const TIME: Timestamp = Timestamp(5_000);

fn options() -> JournalOptions {
    let mut options = JournalOptions::new(Layout::new(1, 2));
    options.segment_bytes = 1 << 20;
    options.reserve_bytes = Some(0);
    options.retention = sojourn_model::DurationMs(0);
    options
}

struct House {
    journal: Journal,
    store: FjallStore,
}

fn open(dir: &Path) -> House {
    let clock = Arc::new(ManualClock::new(TIME));
    let journal = Journal::open(&dir.join(JOURNAL_DIR), options(), clock).unwrap();
    let store = FjallStore::open(&dir.join(STATE_DIR), StoreOptions::default()).unwrap();
    House { journal, store }
}

impl House {
    fn append(&self, from: u64, to: u64) {
        for nth in from..to {
            let value = Bytes::from(format!("{nth:01000}"));
            let append = Append { topic: Topic::Profiles, partition: 1, values: vec![value] };
            self.journal.append(vec![append], None).unwrap();
        }
    }

    fn checkpoint(&self, position: u64) {
        self.journal.sync().unwrap();
        let value = Some(Bytes::from(position.to_string()));
        let epoch = StateStore::claim(&self.store, "engine/1").unwrap().epoch;
        let writes = (0..100u64)
            .map(|nth| Write {
                space: Space::Profile,
                key: Bytes::copy_from_slice(&nth.to_be_bytes()),
                value: value.clone(),
            })
            .collect();
        self.store.checkpoint("engine/1", epoch, Checkpoint { position, writes }).unwrap();
        let (epoch, _) = IdentityGraph::claim(&self.store, 0).unwrap();
        let writes = vec![GraphWrite { key: Bytes::from_static(b"i:a"), value }];
        let commit = GraphCommit { guards: vec![], writes, position };
        self.store.commit(0, epoch, commit).unwrap();
    }

    fn check(&self, position: u64, next: u64) {
        assert_eq!(self.store.owners().unwrap(), [("engine/1".to_owned(), position)]);
        assert_eq!(self.store.shards(), [(0, position)]);
        let expected = Some(Bytes::from(position.to_string()));
        let key = Bytes::copy_from_slice(&7u64.to_be_bytes());
        let stored = self.store.get("engine/1", Space::Profile, &[key]).unwrap().remove(0);
        assert_eq!(stored, expected);
        assert_eq!(self.store.read(&[Bytes::from_static(b"i:a")]).unwrap()[0].1, expected);
        assert_eq!(self.journal.bounds(Topic::Profiles, 1).unwrap().next, next);
        let mut at = position;
        while at < next {
            let limit = ReadLimit { records: 100, bytes: 1 << 20, durable_only: true };
            let mut out = Vec::new();
            self.journal.read(Topic::Profiles, 1, at, limit, &mut out).unwrap();
            for entry in &out {
                assert_eq!(entry.value, format!("{:01000}", entry.offset));
            }
            at = out.last().unwrap().offset + 1;
        }
    }
}

#[test]
fn a_restored_house_goes_on_where_the_snapshot_was_made() {
    let dir = crate::test_folder();
    let house = open(dir.path());
    house.append(0, 2_500);
    house.checkpoint(2_400);
    let path = dir.path().join("one.snapshot");
    let made = snapshot(&house.journal, &house.store, dir.path(), &path, TIME, None).unwrap();
    assert!(made.segments >= 3 && made.keys >= 100, "{made:?}");
    house.append(2_500, 2_600);
    house.checkpoint(2_600);
    let to = crate::test_folder();
    assert_eq!(restore(&path, to.path()).unwrap(), made);
    assert!(matches!(restore(&path, to.path()), Err(SnapshotError::NotEmpty { .. })));
    let restored = open(to.path());
    restored.check(2_400, 2_500);
    // It goes on: other records at the offsets that the lost ones had.
    restored.append(2_500, 2_550);
    restored.checkpoint(2_550);
    restored.check(2_550, 2_550);
}

#[test]
fn a_snapshot_leaves_out_what_nobody_needs() {
    let dir = crate::test_folder();
    let house = open(dir.path());
    house.append(0, 2_500);
    house.checkpoint(2_400);
    let path = dir.path().join("small.snapshot");
    let from = [(Topic::Profiles, 1, 2_400)];
    let made =
        snapshot(&house.journal, &house.store, dir.path(), &path, TIME, Some(&from)).unwrap();
    assert_eq!(made.segments, 1);
    let to = crate::test_folder();
    restore(&path, to.path()).unwrap();
    let restored = open(to.path());
    restored.check(2_400, 2_500);
    assert!(restored.journal.bounds(Topic::Profiles, 1).unwrap().first > 0);
}

#[test]
fn a_damaged_snapshot_is_refused_with_its_place() {
    let dir = crate::test_folder();
    let house = open(dir.path());
    house.append(0, 20);
    house.checkpoint(20);
    let path = dir.path().join("one.snapshot");
    snapshot(&house.journal, &house.store, dir.path(), &path, TIME, None).unwrap();
    let good = fs::read(&path).unwrap();
    let mut seed = 3u64;
    let bad = dir.path().join("bad.snapshot");
    let refused = |bytes: &[u8]| {
        fs::write(&bad, bytes).unwrap();
        let error = verify(&bad).unwrap_err();
        let SnapshotError::Damaged { at, .. } = error else { panic!("{error}") };
        assert!(at <= bytes.len() as u64);
    };
    for _ in 0..400 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let at = (seed >> 33) as usize % good.len();
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (seed % 8);
        refused(&bytes);
        refused(&good[..at]);
    }
    let mut longer = good.clone();
    longer.push(0);
    refused(&longer);
    let to = crate::test_folder();
    assert!(restore(&bad, to.path()).is_err());
    assert_eq!(fs::read_dir(to.path()).unwrap().count(), 0, "nothing was restored");
    fs::write(&bad, good).unwrap();
    restore(&bad, to.path()).unwrap();
}

#[test]
fn an_empty_store_over_a_trimmed_log_is_not_taken_for_a_new_one() {
    let dir = crate::test_folder();
    let house = open(dir.path());
    let standing =
        |position| Standing { owner: "engine/1", topic: Topic::Profiles, partition: 1, position };
    check_recoverable(&house.journal, &[standing(None)]).unwrap();
    house.append(0, 2_500);
    house.journal.sync().unwrap();
    check_recoverable(&house.journal, &[standing(None), standing(Some(2_500))]).unwrap();
    house.journal.trim(&[(Topic::Profiles, 1, 2_500)]).unwrap();
    let first = house.journal.bounds(Topic::Profiles, 1).unwrap().first;
    assert!(first > 0);
    let error = check_recoverable(&house.journal, &[standing(None)]).unwrap_err();
    assert!(matches!(error, Unrecoverable::LogTrimmed { position: 0, .. }), "{error}");
    let error = check_recoverable(&house.journal, &[standing(Some(first - 1))]).unwrap_err();
    assert!(matches!(error, Unrecoverable::LogTrimmed { .. }), "{error}");
    check_recoverable(&house.journal, &[standing(Some(first))]).unwrap();
    let error = check_recoverable(&house.journal, &[standing(Some(2_501))]).unwrap_err();
    assert!(matches!(error, Unrecoverable::LogLost { .. }), "{error}");
}
