//! The faults that the simulator plants: they happen, the same way for the same seed, and within
//! what the ports allow.

use bytes::Bytes;
use sojourn_memory::{
    LogFaults, ManualClock, MemoryGate, MemoryLog, MemoryStore, StoreFaults, SyncMode,
};
use sojourn_model::{ActionId, CandidateId, DurationMs, ProfileId, Timestamp, name};
use sojourn_ports::{
    Append, Checkpoint, Gate, GateMark, GateQuery, GateVerdict, Layout, Log, LogError, ReadLimit,
    StateStore, Topic,
};
use std::sync::Arc;

fn numbers(mut seed: u64) -> impl FnMut() -> u64 + Send {
    move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
    }
}

fn log() -> (Arc<ManualClock>, MemoryLog) {
    let clock = Arc::new(ManualClock::new(Timestamp(1_000)));
    let log = MemoryLog::new(Layout::new(1, 2), Arc::clone(&clock) as _);
    (clock, log)
}

fn one(text: &str) -> Vec<Append> {
    let values = vec![Bytes::copy_from_slice(text.as_bytes())];
    vec![Append { topic: Topic::Profiles, partition: 0, values }]
}

const ANY: ReadLimit = ReadLimit { records: 100, bytes: 1 << 20, durable_only: false };

/// What a log does in a thousand turns with every fault.
fn story(seed: u64) -> (Vec<String>, MemoryLog) {
    let (_, log) = log();
    log.set_random(Box::new(numbers(seed)));
    log.set_sync_mode(SyncMode::Manual);
    log.set_faults(LogFaults { append_unknown: 100, short_read: 200, rewind_read: 200 });
    let mut story = Vec::new();
    for turn in 0..1_000u64 {
        story.push(format!("{:?}", log.append(one(&turn.to_string()), None)));
        if turn % 7 == 0 {
            log.sync_some(2);
        }
        if turn % 50 == 49 {
            story.push(format!("lost {}", log.crash()));
        }
        let next = log.bounds(Topic::Profiles, 0).unwrap().next;
        let mut out = Vec::new();
        log.read(Topic::Profiles, 0, next / 2, ANY, &mut out).unwrap();
        story.push(format!("{:?}", out.iter().map(|entry| entry.offset).collect::<Vec<_>>()));
    }
    (story, log)
}

#[test]
fn the_same_seed_tells_the_same_story_with_every_fault_in_it() {
    let (first, log) = story(5);
    let (second, _) = story(5);
    assert_eq!(first, second, "DET-1");
    assert_ne!(first, story(6).0);
    let counts = log.fault_counts();
    let seen = [
        counts.crashes,
        counts.lost_appends,
        counts.torn_appends,
        counts.unknown_applied,
        counts.unknown_lost,
        counts.short_reads,
        counts.rewound_reads,
    ];
    assert!(seen.iter().all(|&count| count > 0), "{counts:?}");
}

#[test]
fn a_rewound_read_reaches_what_was_asked_for() {
    let (_, log) = log();
    log.set_random(Box::new(numbers(1)));
    for nth in 0..50u64 {
        log.append(one(&nth.to_string()), None).unwrap();
    }
    log.set_faults(LogFaults { rewind_read: 1_000, ..LogFaults::default() });
    for offset in 1..50 {
        let mut out = Vec::new();
        let limit = ReadLimit { records: 1, bytes: 0, durable_only: true };
        log.read(Topic::Profiles, 0, offset, limit, &mut out).unwrap();
        assert!(out[0].offset < offset, "it begins before");
        assert_eq!(out.last().unwrap().offset, offset, "and comes as far as asked");
    }
}

#[test]
fn a_log_has_room_for_its_capacity_and_trim_gives_room_back() {
    let (clock, log) = log();
    log.set_capacity(Some(10));
    log.set_retention(DurationMs(100));
    log.append(one("12345678"), None).unwrap();
    assert_eq!(log.append(one("123"), None), Err(LogError::Full { free_bytes: 2 }));
    log.trim(&[(Topic::Profiles, 0, 1)]).unwrap();
    assert!(log.append(one("123"), None).is_err(), "younger than the retention");
    clock.advance(DurationMs(100));
    log.trim(&[(Topic::Profiles, 0, 1)]).unwrap();
    log.append(one("123"), None).unwrap();
    assert_eq!(log.bounds(Topic::Profiles, 0).unwrap().first, 1);
}

#[test]
fn one_owner_is_rolled_back_alone() {
    let store = MemoryStore::new();
    for owner in ["a", "b"] {
        let epoch = StateStore::claim(&store, owner).unwrap().epoch;
        for position in 1..=4 {
            let step = Checkpoint { position, writes: vec![] };
            store.checkpoint(owner, epoch, step).unwrap();
        }
    }
    assert_eq!(store.roll_back_owner("a", 3), 3);
    assert_eq!(store.owners().unwrap(), [("a".to_owned(), 1), ("b".to_owned(), 4)]);
    assert_eq!(store.history(), 5);
}

#[test]
fn a_store_fails_by_chance_or_as_a_whole() {
    let store = MemoryStore::new();
    store.set_random(Box::new(numbers(2)));
    store.set_faults(StoreFaults { unknown: 0, failed: 500 });
    let failed = (0..100).filter(|_| StateStore::claim(&store, "a").is_err()).count();
    assert!((20..80).contains(&failed));
    store.set_faults(StoreFaults::default());
    store.set_unreachable(true);
    assert!(StateStore::claim(&store, "a").is_err() && store.owners().is_err());
}

fn query(approved_at: i64) -> GateQuery {
    let action = ActionId(CandidateId { profile: ProfileId(1), run: 1, step: 0, visit: 0 });
    GateQuery {
        action,
        profile: ProfileId(1),
        endpoint: name("a@x"),
        identifiers: vec![],
        channel: name("email"),
        purpose: name("marketing"),
        journey: name("j"),
        approved_at: Timestamp(approved_at),
    }
}

#[test]
fn a_gate_forgets_what_can_concern_nobody_and_keeps_the_rest() {
    let clock = Arc::new(ManualClock::new(Timestamp(100)));
    let gate = MemoryGate::new(Arc::clone(&clock) as _);
    let revoked = |at| GateMark::Revoked {
        endpoint: name("a@x"),
        channel: None,
        purpose: None,
        at: Timestamp(at),
    };
    let (target, at) = (sojourn_model::KillTarget::All, Timestamp(50));
    let kill = GateMark::Killed { target, on: true, at };
    gate.mark(&[revoked(100), GateMark::Cancelled(query(0).action), kill]).unwrap();
    gate.mark(&[GateMark::Erased(ProfileId(9))]).unwrap();
    assert_eq!(gate.len(), 4);
    gate.forget_before(Timestamp(100));
    assert_eq!(gate.len(), 4, "what came at the horizon stays");
    clock.set(Timestamp(200));
    gate.mark(&[GateMark::Erased(ProfileId(8))]).unwrap();
    gate.forget_before(Timestamp(101));
    assert_eq!(gate.len(), 2, "the kill switch and the new erasure");
}

#[test]
fn a_turn_marks_without_waiting() {
    let gate = MemoryGate::new(Arc::new(ManualClock::new(Timestamp(0))));
    let GateVerdict::Open(permit) = gate.ask(&query(0)) else { panic!("open") };
    let marks = [GateMark::Erased(ProfileId(1))];
    assert!(!gate.try_mark(&marks), "a permit is out");
    assert!(matches!(gate.ask(&query(0)), GateVerdict::Closed("erased")), "the mark holds already");
    drop(permit);
    assert!(gate.try_mark(&marks));
    gate.set_unreachable(true);
    assert!(matches!(gate.ask(&query(0)), GateVerdict::Unreachable(_)), "CON-2: no call");
}
