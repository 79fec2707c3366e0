//! What a store does to its owners: stale, emptied, slow, gone; and the gate between processes.

use crate::server::{Server, pause};
use crate::{clock, fresh};
use bytes::Bytes;
use sojourn_model::{ActionId, CandidateId, ProfileId, Timestamp, name};
use sojourn_ports::{
    Checkpoint, Gate, GateMark, GateQuery, GateVerdict, Space, StateError, StateStore, Write,
};
use sojourn_redis::{OpenError, Redis, RedisOptions};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

fn step(position: u64, value: &str) -> Checkpoint {
    let put = |space, key: &str| Write {
        space,
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
    };
    Checkpoint { position, writes: vec![put(Space::Meta, "a"), put(Space::Profile, "a")] }
}

fn value(store: &dyn StateStore, space: Space) -> String {
    let found = store.get("o", space, &[Bytes::from_static(b"a")]).unwrap().remove(0);
    String::from_utf8(found.unwrap().to_vec()).unwrap()
}

#[test]
fn a_stale_store_is_noticed_and_is_older_as_a_whole() {
    let mut server = Server::start(&[]);
    let redis = fresh(&server.url());
    let store = redis.store();
    let first = store.claim("o").unwrap().epoch;
    store.checkpoint("o", first, step(3, "3")).unwrap();
    server.kill();
    let stale = server.copy_data();
    server.again();
    let epoch = store.claim("o").unwrap().epoch;
    store.checkpoint("o", epoch, step(5, "5")).unwrap();
    server.kill();
    server.put_data(&stale);
    server.again();
    // The first call finds the dead connection, the next one the older epoch: neither writes.
    for _ in 0..2 {
        let result = store.checkpoint("o", epoch, step(6, "6"));
        assert!(matches!(result, Err(StateError::Unknown(_))), "{result:?}");
    }
    let claim = store.claim("o").unwrap();
    assert!(claim.epoch > epoch);
    assert_eq!(claim.position, Some(3), "LOG-2");
    assert_eq!(
        (value(&store, Space::Meta), value(&store, Space::Profile)),
        ("3".into(), "3".into())
    );
    store.checkpoint("o", claim.epoch, step(6, "6")).unwrap();
}

#[test]
fn a_position_that_moved_behind_an_owners_back_stops_it() {
    let server = Server::start(&[]);
    let mut options = RedisOptions::new(server.url());
    options.prefix = "moved".to_owned();
    let store = Redis::open(&options).unwrap().store();
    let epoch = store.claim("o").unwrap().epoch;
    store.checkpoint("o", epoch, step(5, "5")).unwrap();
    server.cli(&["hset", "moved:{o}:head", "position", "4"]);
    let result = store.checkpoint("o", epoch, step(6, "6"));
    assert!(matches!(result, Err(StateError::Unknown(_))), "{result:?}");
    assert_eq!(value(&store, Space::Meta), "5");
}

#[test]
fn a_zombie_is_fenced_by_another_process() {
    let server = Server::start(&[]);
    let mut options = RedisOptions::new(server.url());
    options.prefix = "zombie".to_owned();
    let (old, new) =
        (Redis::open(&options).unwrap().store(), Redis::open(&options).unwrap().store());
    let mine = old.claim("o").unwrap().epoch;
    let current = new.claim("o").unwrap().epoch;
    new.checkpoint("o", current, step(1, "new")).unwrap();
    let fenced = StateError::Fenced { owner: "o".to_owned(), mine, current };
    assert_eq!(old.checkpoint("o", mine, step(1, "old")), Err(fenced));
    assert_eq!(value(&new, Space::Meta), "new");
}

#[test]
fn a_slow_answer_is_unknown() {
    let server = Server::start(&[]);
    let mut options = RedisOptions::new(server.url());
    options.response_timeout = Duration::from_millis(700);
    let store = Redis::open(&options).unwrap().store();
    let epoch = store.claim("o").unwrap().epoch;
    store.checkpoint("o", epoch, step(1, "1")).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| server.cli(&["debug", "sleep", "3"]));
        pause(Duration::from_millis(500));
        let result = store.checkpoint("o", epoch, step(2, "2"));
        assert!(matches!(result, Err(StateError::Unknown(_))), "{result:?}");
    });
    let position = store.claim("o").unwrap().position;
    assert_eq!(value(&store, Space::Meta), position.unwrap().to_string(), "LOG-2");
}

#[test]
fn a_staged_checkpoint_is_never_seen_in_part() {
    let server = Server::start(&[]);
    let store = fresh(&server.url()).store();
    let epoch = store.claim("o").unwrap().epoch;
    let key = |nth: u32| Bytes::copy_from_slice(&nth.to_be_bytes());
    let count = 40_000;
    let large = |position: u64| Checkpoint {
        position,
        writes: (0..count)
            .map(|nth| Write {
                space: Space::Profile,
                key: key(nth),
                value: Some(Bytes::copy_from_slice(&position.to_be_bytes())),
            })
            .collect(),
    };
    store.checkpoint("o", epoch, large(1)).unwrap();
    let ends = [key(0), key(count / 2), key(count - 1)];
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut looks = 0;
            while !over.load(Ordering::Relaxed) {
                let found = store.get("o", Space::Profile, &ends).unwrap();
                assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "half a checkpoint");
                looks += 1;
            }
            looks
        });
        for position in 2..6 {
            store.checkpoint("o", epoch, large(position)).unwrap();
        }
        over.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
    });
    let mut seen = 0;
    let mut visit = |_: &[u8], value: &[u8]| {
        assert_eq!(value, 5u64.to_be_bytes());
        seen += 1;
        true
    };
    store.scan("o", Space::Profile, &[], None, &mut visit).unwrap();
    assert_eq!(seen, count);
}

#[test]
fn unfit_servers_are_refused_by_name() {
    let server = Server::start(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]);
    let refused = Redis::open(&RedisOptions::new(server.url()));
    assert!(matches!(&refused, Err(OpenError::Unfit(text)) if text.contains("maxmemory-policy")));
    let master = Server::start(&[]);
    let port = master.port.to_string();
    let replica = Server::start(&["--replicaof", &format!("127.0.0.1 {port}")]);
    let refused = Redis::open(&RedisOptions::new(replica.url()));
    assert!(matches!(&refused, Err(OpenError::Unfit(text)) if text.contains("role")));
    assert!(Redis::open(&RedisOptions::new("kafka://x")).is_err());
}

fn query() -> GateQuery {
    let candidate = CandidateId { profile: ProfileId(1), run: 1, step: 0, visit: 0 };
    GateQuery {
        action: ActionId(candidate),
        profile: ProfileId(1),
        endpoint: name("a@x"),
        identifiers: vec![name("a@x")],
        channel: name("email"),
        purpose: name("marketing"),
        journey: name("welcome"),
        approved_at: Timestamp(100),
    }
}

fn revoked(at: Timestamp) -> GateMark {
    GateMark::Revoked { endpoint: name("a@x"), channel: None, purpose: None, at }
}

fn is_open(gate: &dyn Gate) -> bool {
    match gate.ask(&query()) {
        GateVerdict::Open(_) => true,
        GateVerdict::Closed(_) => false,
        GateVerdict::Unreachable(why) => panic!("{why}"),
    }
}

#[test]
fn a_mark_of_one_process_waits_for_a_permit_of_another() {
    let server = Server::start(&[]);
    let options = RedisOptions::new(server.url());
    let asks = Redis::open(&options).unwrap().gate(clock()).unwrap();
    let marks = Redis::open(&options).unwrap().gate(clock()).unwrap();
    let GateVerdict::Open(permit) = asks.ask(&query()) else { panic!("open at first") };
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            marks.mark(&[revoked(Timestamp(200))]).unwrap();
            tell.send(()).unwrap();
        });
        assert!(told.recv_timeout(Duration::from_millis(300)).is_err(), "CON-2");
        assert!(!is_open(&asks), "nothing new passes meanwhile");
        drop(permit);
        told.recv_timeout(Duration::from_secs(10)).unwrap();
    });
}

#[test]
fn a_gate_that_lost_its_marks_stays_shut_until_it_is_reopened() {
    let mut server = Server::start(&[]);
    let gate = Redis::open(&RedisOptions::new(server.url())).unwrap().gate(clock()).unwrap();
    gate.mark(&[revoked(Timestamp(200))]).unwrap();
    server.kill();
    assert!(matches!(gate.ask(&query()), GateVerdict::Unreachable(_)));
    assert!(gate.mark(&[revoked(Timestamp(200))]).is_err());
    server.again();
    assert!(!is_open(&gate), "the mark came back with the file");
    server.cli(&["flushall"]);
    assert!(matches!(gate.ask(&query()), GateVerdict::Unreachable(_)), "CON-2");
    gate.mark(&[revoked(Timestamp(200))]).unwrap();
    assert!(matches!(gate.ask(&query()), GateVerdict::Unreachable(_)), "one mark is not all");
    gate.reopen().unwrap();
    assert!(!is_open(&gate));
}

#[test]
fn a_ticket_from_before_the_marks_were_lost_takes_none_back_that_came_after() {
    let server = Server::start(&[]);
    let gate = Redis::open(&RedisOptions::new(server.url())).unwrap().gate(clock()).unwrap();
    gate.mark(&[revoked(Timestamp::MAX)]).unwrap();
    gate.mark(&[revoked(Timestamp::MAX)]).unwrap();
    let before = gate.ticket().unwrap();
    server.cli(&["flushall"]);
    gate.mark(&[revoked(Timestamp::MAX)]).unwrap();
    gate.reopen().unwrap();
    gate.settle(before).unwrap();
    assert!(!is_open(&gate), "CON-2");
    gate.settle(gate.ticket().unwrap()).unwrap();
    assert!(is_open(&gate));
}

#[test]
fn marks_are_settled_and_forgotten() {
    let server = Server::start(&[]);
    let gate = Redis::open(&RedisOptions::new(server.url())).unwrap().gate(clock()).unwrap();
    let before = gate.ticket().unwrap();
    gate.mark(&[revoked(Timestamp::MAX)]).unwrap();
    gate.settle(before).unwrap();
    assert!(!is_open(&gate), "it was set after that ticket");
    gate.settle(gate.ticket().unwrap()).unwrap();
    assert!(is_open(&gate));
    gate.mark(&[revoked(Timestamp(500)), GateMark::Cancelled(query().action)]).unwrap();
    gate.forget_before(Timestamp(400)).unwrap();
    assert_eq!(gate.marks().unwrap(), 2);
    gate.forget_before(Timestamp(1_000_001)).unwrap();
    assert_eq!(gate.marks().unwrap(), 0);
    assert!(is_open(&gate));
}
