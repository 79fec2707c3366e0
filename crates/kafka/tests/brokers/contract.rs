//! The port's contract suite.

use crate::house::{alone, made, open_at};
use sojourn_kafka::KafkaOptions;
use sojourn_memory::ManualClock;
use sojourn_model::Timestamp;
use sojourn_ports::Log;
use sojourn_ports::contract::{LogCapabilities, LogFactory, check_log};
use std::sync::Arc;

struct Logs {
    clock: Arc<ManualClock>,
    options: KafkaOptions,
}

impl Logs {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp(1_000_000)));
        Self { clock, options: made() }
    }

    fn open(&self) -> Arc<dyn Log> {
        open_at(&self.options, Arc::clone(&self.clock))
    }
}

impl LogFactory for Logs {
    fn create(&mut self) -> Arc<dyn Log> {
        self.open()
    }

    fn reopen(&mut self, log: Arc<dyn Log>) -> Arc<dyn Log> {
        drop(log);
        self.open()
    }

    fn crash(&mut self, _log: Arc<dyn Log>) -> Arc<dyn Log> {
        unreachable!("see `faults`: there brokers are killed")
    }

    fn set_time(&mut self, now: Timestamp) {
        self.clock.set(now);
    }

    fn hold_sync(&mut self, _hold: bool) {
        unreachable!("readers see only what is durable")
    }

    fn set_full(&mut self, _full: bool) {
        unreachable!("the disk is the brokers'")
    }

    fn fail_syncs(&mut self) {
        unreachable!("see `faults`")
    }

    fn next_append_unknown(&mut self, _applied: bool) {
        unreachable!("see `faults`")
    }
}

#[test]
fn the_log_keeps_its_contract() {
    let _alone = alone();
    let can = LogCapabilities {
        hold_sync: false,
        full: false,
        stop: false,
        unknown: false,
        stamps: false,
    };
    let report = check_log(&can, &mut || Box::new(Logs::new()));
    let skipped = [
        "log time never runs back",
        "durable_only shows nothing that a crash could take",
        "a crash loses a suffix of everything, nothing durable",
        "an append over partitions survives whole or not at all",
        "a log goes on after a crash",
        "a full disk refuses and loses nothing",
        "a failed sync stops the log for good",
        "an unknown append was applied or not, whole",
    ];
    assert_eq!(report.skipped, skipped);
    assert_eq!(report.ran.len(), 12);
}
