//! The ports' contract suites against the implementations in memory.

use sojourn_memory::{ManualClock, MemoryGate, MemoryLog, MemoryStore, SyncMode, UnknownOutcome};
use sojourn_model::Timestamp;
use sojourn_ports::contract::{
    GraphCapabilities, GraphFactory, LogCapabilities, LogFactory, SnapshotHouse, StateCapabilities,
    StateFactory, check_gate, check_graph, check_log, check_snapshots, check_state, layout,
};
use sojourn_ports::{IdentityGraph, Log, StateStore};
use std::sync::Arc;

struct Logs {
    clock: Arc<ManualClock>,
    log: Option<Arc<MemoryLog>>,
}

impl Logs {
    fn log(&self) -> &MemoryLog {
        self.log.as_ref().expect("created first")
    }
}

/// A small generator: the same numbers every time.
fn numbers(mut seed: u64) -> impl FnMut() -> u64 + Send {
    move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
    }
}

impl LogFactory for Logs {
    fn create(&mut self) -> Arc<dyn Log> {
        let log = Arc::new(MemoryLog::new(layout(), Arc::clone(&self.clock) as _));
        log.set_random(Box::new(numbers(7)));
        self.log = Some(Arc::clone(&log));
        log
    }
    fn reopen(&mut self, log: Arc<dyn Log>) -> Arc<dyn Log> {
        log.sync().unwrap();
        log
    }
    fn crash(&mut self, log: Arc<dyn Log>) -> Arc<dyn Log> {
        self.log().crash();
        log
    }
    fn set_time(&mut self, now: Timestamp) {
        self.clock.set(now);
    }
    fn hold_sync(&mut self, hold: bool) {
        self.log().set_sync_mode(if hold { SyncMode::Manual } else { SyncMode::Auto });
    }
    fn set_full(&mut self, full: bool) {
        self.log().set_full(full);
    }
    fn fail_syncs(&mut self) {
        self.log().stop("the device is gone");
    }
    fn next_append_unknown(&mut self, applied: bool) {
        self.log().next_append_unknown(outcome(applied));
    }
}

fn outcome(applied: bool) -> UnknownOutcome {
    if applied { UnknownOutcome::Applied } else { UnknownOutcome::Lost }
}

#[derive(Default)]
struct Stores(Arc<MemoryStore>);

impl StateFactory for Stores {
    fn create(&mut self) -> Arc<dyn StateStore> {
        Arc::clone(&self.0) as _
    }
    fn crash(&mut self, store: Arc<dyn StateStore>) -> Arc<dyn StateStore> {
        store
    }
    fn next_unknown(&mut self, applied: bool) {
        self.0.next_write_unknown(outcome(applied));
    }
    fn roll_back(&mut self, steps: usize) {
        self.0.roll_back(steps);
    }
    fn empty(&mut self) {
        self.0.empty();
    }
}

impl GraphFactory for Stores {
    fn create(&mut self) -> Arc<dyn IdentityGraph> {
        Arc::clone(&self.0) as _
    }
    fn crash(&mut self, graph: Arc<dyn IdentityGraph>) -> Arc<dyn IdentityGraph> {
        graph
    }
    fn next_unknown(&mut self, applied: bool) {
        self.0.next_write_unknown(outcome(applied));
    }
    fn roll_back(&mut self, steps: usize) {
        self.0.roll_back(steps);
    }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp(1_000_000)))
}

#[test]
fn the_log_keeps_its_contract() {
    let all =
        LogCapabilities { hold_sync: true, full: true, stop: true, unknown: true, stamps: true };
    let report = check_log(&all, &mut || Box::new(Logs { clock: clock(), log: None }));
    assert!(report.skipped.is_empty() && report.ran.len() > 15, "{report:?}");
}

#[test]
fn the_store_keeps_its_contract() {
    let all = StateCapabilities { unknown: true, roll_back: true, empty: true };
    let report = check_state(&all, &mut || Box::new(Stores::default()));
    assert!(report.skipped.is_empty(), "{report:?}");
}

#[test]
fn the_graph_keeps_its_contract() {
    let all = GraphCapabilities { unknown: true, roll_back: true };
    let report = check_graph(&all, &mut || Box::new(Stores::default()));
    assert!(report.skipped.is_empty(), "{report:?}");
}

#[test]
fn the_gate_keeps_its_contract() {
    let report = check_gate(&mut || Arc::new(MemoryGate::new(clock())));
    assert!(report.skipped.is_empty(), "{report:?}");
}

#[test]
fn snapshots_keep_their_contract() {
    let report = check_snapshots(&mut || {
        let store = Arc::new(MemoryStore::new());
        SnapshotHouse { store: store.clone(), graph: store.clone(), snapshots: store }
    });
    assert!(report.skipped.is_empty() && report.ran.len() > 10, "{report:?}");
}
