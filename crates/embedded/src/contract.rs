//! The ports' contract suites against the embedded implementations.

use crate::journal::{Journal, JournalOptions};
use crate::store::{FjallStore, StoreOptions};
use parking_lot::{Condvar, Mutex};
use sojourn_memory::ManualClock;
use sojourn_model::{DurationMs, Timestamp};
use sojourn_ports::contract::{
    GraphCapabilities, GraphFactory, LogCapabilities, LogFactory, SnapshotHouse, StateCapabilities,
    StateFactory, check_graph, check_log, check_snapshots, check_state, layout,
};
use sojourn_ports::{
    Append, IdentityGraph, Log, LogError, Over, Part, Row, Snapshots, Space, StateStore, Topic,
};
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What the suite does to the system below a journal.
#[derive(Default)]
struct System {
    state: Mutex<SystemState>,
    changed: Condvar,
}

#[derive(Default)]
struct SystemState {
    held: bool,
    failing: bool,
    full: bool,
}

impl System {
    fn set(&self, change: impl FnOnce(&mut SystemState)) {
        change(&mut self.state.lock());
        self.changed.notify_all();
    }

    fn before_sync(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        while state.held && !state.failing {
            self.changed.wait(&mut state);
        }
        if state.failing { Err(io::Error::other("the device is gone")) } else { Ok(()) }
    }
}

struct Logs {
    clock: Arc<ManualClock>,
    system: Arc<System>,
    dir: TempDir,
    journal: Option<Arc<Journal>>,
    seed: u64,
    /// Crashes that took something, and crashes that left a wrong byte.
    harm: Arc<(AtomicU64, AtomicU64)>,
}

impl Logs {
    fn new(seed: u64, harm: Arc<(AtomicU64, AtomicU64)>) -> Self {
        Self {
            clock: Arc::new(ManualClock::new(Timestamp(1_000_000))),
            system: Arc::default(),
            dir: crate::test_folder(),
            journal: None,
            seed,
            harm,
        }
    }

    fn open(&mut self) -> Arc<dyn Log> {
        let mut options = JournalOptions::new(layout());
        options.segment_bytes = 1 << 20;
        options.tail_bytes = 64 << 10;
        options.sync_interval = Duration::from_micros(20);
        options.retention = DurationMs::days(1);
        options.reserve_bytes = Some(1 << 20);
        let system = Arc::clone(&self.system);
        options.probes.before_sync = Some(Arc::new(move || system.before_sync()));
        let system = Arc::clone(&self.system);
        let free = move || if system.state.lock().full { 0 } else { 1 << 40 };
        options.probes.free_bytes = Some(Arc::new(free));
        let journal = Journal::open(self.dir.path(), options, Arc::clone(&self.clock) as _);
        let journal = Arc::new(journal.unwrap());
        self.journal = Some(Arc::clone(&journal));
        journal
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.seed >> 33) % below.max(1)
    }

    /// What the device would hold after the power went: of the bytes that were not synced some
    /// are zero, and some of the others are wrong.
    fn lose_power(&mut self, to: &Path) {
        let journal = self.journal.as_ref().expect("open");
        let durable = journal.durable_at();
        copy(self.dir.path(), to);
        let path = to.join(format!("{:010}.seg", durable.0));
        let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let mut bytes = vec![0; 4096];
        let read = file.read_at(&mut bytes, durable.1).unwrap();
        bytes.truncate(read);
        let written = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        let keep = self.draw(written as u64 + 1) as usize;
        bytes[keep..].fill(0);
        self.harm.0.fetch_add(u64::from(keep < written), Ordering::Relaxed);
        if keep > 0 && self.draw(2) == 0 {
            let flipped = self.draw(keep as u64) as usize;
            bytes[flipped] ^= 0x10;
            self.harm.1.fetch_add(1, Ordering::Relaxed);
        }
        file.write_all_at(&bytes, durable.1).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

impl LogFactory for Logs {
    fn create(&mut self) -> Arc<dyn Log> {
        self.open()
    }

    fn reopen(&mut self, log: Arc<dyn Log>) -> Arc<dyn Log> {
        drop(log);
        self.journal = None;
        self.open()
    }

    fn crash(&mut self, log: Arc<dyn Log>) -> Arc<dyn Log> {
        let left = crate::test_folder();
        // The writer has put what it took into the file and waits for the sync.
        std::thread::sleep(Duration::from_millis(5));
        self.lose_power(left.path());
        self.system.set(|state| state.failing = true);
        drop(log);
        self.journal = None;
        self.system = Arc::default();
        self.dir = left;
        self.open()
    }

    fn set_time(&mut self, now: Timestamp) {
        self.clock.set(now);
    }

    fn hold_sync(&mut self, hold: bool) {
        self.system.set(|state| state.held = hold);
    }

    fn set_full(&mut self, full: bool) {
        self.system.set(|state| state.full = full);
        let journal = self.journal.as_ref().expect("open");
        let deadline = Instant::now() + Duration::from_secs(10);
        let nothing = || {
            let values = Vec::new();
            let append = Append { topic: Topic::Touchpoints, partition: 0, values };
            matches!(journal.append(vec![append], None), Err(LogError::Full { .. }))
        };
        while nothing() != full {
            assert!(Instant::now() < deadline, "the journal looks all the time");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn fail_syncs(&mut self) {
        self.system.set(|state| state.failing = true);
    }

    fn next_append_unknown(&mut self, _applied: bool) {
        unreachable!("an append of the journal has its place or has not")
    }
}

#[test]
fn the_journal_keeps_its_contract() {
    let can =
        LogCapabilities { hold_sync: true, full: true, stop: true, unknown: false, stamps: true };
    let mut seed = 0;
    let harm = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
    let report = check_log(&can, &mut || {
        seed += 1;
        Box::new(Logs::new(seed, Arc::clone(&harm)))
    });
    assert_eq!(report.skipped, ["an unknown append was applied or not, whole"]);
    let (cut, flipped) = (harm.0.load(Ordering::Relaxed), harm.1.load(Ordering::Relaxed));
    assert!(cut > 10 && flipped > 5, "crashes that take nothing prove nothing: {cut}, {flipped}");
}

#[derive(Default)]
struct Stores(Vec<TempDir>);

impl Stores {
    fn open(&mut self, dir: TempDir) -> Arc<FjallStore> {
        let store = FjallStore::open(dir.path(), StoreOptions::default()).unwrap();
        self.0.push(dir);
        Arc::new(store)
    }

    /// Opens what a killed process leaves.
    fn killed(&mut self) -> Arc<FjallStore> {
        let left = crate::test_folder();
        copy(self.0.last().expect("opened before").path(), left.path());
        self.open(left)
    }
}

impl StateFactory for Stores {
    fn create(&mut self) -> Arc<dyn StateStore> {
        self.open(crate::test_folder())
    }
    fn crash(&mut self, store: Arc<dyn StateStore>) -> Arc<dyn StateStore> {
        let left = self.killed();
        drop(store);
        left
    }
    fn next_unknown(&mut self, _applied: bool) {
        unreachable!("a commit in the same process is known")
    }
    fn roll_back(&mut self, _steps: usize) {
        unreachable!("only a restore goes back; see the tests of snapshots")
    }
    fn empty(&mut self) {
        unreachable!("see the tests of snapshots")
    }
}

impl GraphFactory for Stores {
    fn create(&mut self) -> Arc<dyn IdentityGraph> {
        self.open(crate::test_folder())
    }
    fn crash(&mut self, graph: Arc<dyn IdentityGraph>) -> Arc<dyn IdentityGraph> {
        let left = self.killed();
        drop(graph);
        left
    }
    fn next_unknown(&mut self, _applied: bool) {
        unreachable!("a commit in the same process is known")
    }
    fn roll_back(&mut self, _steps: usize) {
        unreachable!("only a restore goes back; see the tests of snapshots")
    }
}

#[test]
fn the_store_keeps_its_contract() {
    let can = StateCapabilities { unknown: false, roll_back: false, empty: false };
    let report = check_state(&can, &mut || Box::new(Stores::default()));
    let skipped = [
        "an unknown checkpoint was applied or not, whole",
        "a store that is rolled back has an older state and position together",
        "an emptied store has no position, and epochs still grow",
    ];
    assert_eq!(report.skipped, skipped);
}

#[test]
fn the_graph_keeps_its_contract() {
    let can = GraphCapabilities { unknown: false, roll_back: false };
    let report = check_graph(&can, &mut || Box::new(Stores::default()));
    let skipped = [
        "an unknown commit was applied or not, whole",
        "a graph that is rolled back has older nodes and position together",
    ];
    assert_eq!(report.skipped, skipped);
}

#[test]
fn snapshots_of_one_owner_keep_their_contract() {
    let mut stores = Stores::default();
    let report = check_snapshots(&mut || {
        let store = stores.open(crate::test_folder());
        SnapshotHouse { store: store.clone(), graph: store.clone(), snapshots: store }
    });
    assert!(report.skipped.is_empty() && report.ran.len() > 10, "{report:?}");
}

#[test]
fn a_restore_that_was_cut_off_is_known_after_a_restart() {
    let mut stores = Stores::default();
    let store = stores.open(crate::test_folder());
    let part = Part::Owner("engine/0".to_owned());
    let (mut given, key) = (0u32, bytes::Bytes::from_static(b"k"));
    let mut rows = || {
        given += 1;
        let key = bytes::Bytes::from(given.to_string());
        if given > 9_000 { Err("gone".to_owned()) } else { Ok(Some(row(key))) }
    };
    assert!(store.import(&part, 5, Over::Older, &mut rows).is_err());
    let left = stores.killed();
    drop(store);
    let refused = StateStore::claim(&*left, "engine/0").unwrap_err().to_string();
    assert!(refused.contains("sojourn restore"), "{refused}");
    let mut once = Some(row(key));
    left.import(&part, 5, Over::Older, &mut || Ok(once.take())).unwrap();
    assert_eq!(StateStore::claim(&*left, "engine/0").unwrap().position, Some(5));
}

fn row(key: bytes::Bytes) -> Row {
    Row { space: Space::Profile, value: key.clone(), key }
}
