//! Leases: shared out evenly, given back, taken over when a member is silent.

use crate::fresh;
use crate::server::Server;
use sojourn_redis::{LeaseTurn, LeaseView, RedisLeases};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const LEASE: Duration = Duration::from_millis(400);

fn turn(leases: &RedisLeases, member: &str, release: &[u16]) -> LeaseView {
    let note = "a note";
    let turn = LeaseTurn { role: "engine", member, lease: LEASE, places: 5, note, release };
    leases.turn(&turn).unwrap()
}

fn places(view: &LeaseView) -> Vec<u16> {
    view.mine.iter().map(|(place, _)| *place).collect()
}

#[test]
fn places_are_shared_out_and_never_held_twice() {
    let server = Server::start(&[]);
    let leases = fresh(&format!("redis://127.0.0.1:{}", server.port)).leases();
    let alone = turn(&leases, "a", &[]);
    assert_eq!((alone.share, places(&alone)), (5, vec![0, 1, 2, 3, 4]));
    let second = turn(&leases, "b", &[]);
    assert_eq!((second.share, places(&second)), (3, vec![]), "nothing is free yet");
    let names: Vec<_> = second.members.iter().map(|(name, _, note)| (&**name, &**note)).collect();
    assert_eq!(BTreeSet::from_iter(names), BTreeSet::from([("a", "a note"), ("b", "a note")]));
    // The first gives its surplus back, and does not take it again at once.
    let first = turn(&leases, "a", &[3, 4]);
    assert_eq!((first.share, places(&first)), (3, vec![0, 1, 2]));
    let second = turn(&leases, "b", &[]);
    assert_eq!(places(&second), [3, 4]);
    assert!(second.mine[0].1 > alone.mine[3].1, "another grant");
    let holders: Vec<_> = second.places.iter().map(|held| &*held.member).collect();
    assert_eq!(holders, ["a", "a", "a", "b", "b"]);
    let mut seen = leases.look("engine").unwrap();
    seen.places.sort_by_key(|held| held.place);
    assert_eq!(seen.places.len(), 5);
    assert_eq!(seen.members.iter().map(|(name, ..)| &**name).collect::<Vec<_>>(), ["a", "b"]);
    // A turn that is taken twice changes nothing.
    assert_eq!(turn(&leases, "b", &[]).mine, second.mine);
    leases.leave("engine", "b").unwrap();
    let first = turn(&leases, "a", &[]);
    assert_eq!((first.share, places(&first)), (5, vec![0, 1, 2, 3, 4]));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a lease ends by the server's clock")]
fn a_silent_member_loses_its_places_after_its_lease_and_not_before() {
    let server = Server::start(&[]);
    let leases = fresh(&format!("redis://127.0.0.1:{}", server.port)).leases();
    let asked = Instant::now();
    let first = turn(&leases, "a", &[]);
    let taken = loop {
        let before = Instant::now();
        let view = turn(&leases, "b", &[]);
        if !view.mine.is_empty() {
            assert!(before.elapsed() + before.duration_since(asked) >= LEASE, "taken too early");
            break view;
        }
        assert!(asked.elapsed() < Duration::from_secs(10), "never taken over");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!((taken.share, places(&taken)), (5, vec![0, 1, 2, 3, 4]));
    assert!(taken.mine.iter().zip(&first.mine).all(|(new, old)| new.1 > old.1), "new grants");
    // The silent one wakes up: what it had is not its own any more.
    assert_eq!(places(&turn(&leases, "a", &[])), Vec::<u16>::new());
    // A lease that has run out and that nobody took is still its holder's, under the same grant.
    leases.leave("engine", "a").unwrap();
    let held = turn(&leases, "b", &[]);
    std::thread::sleep(LEASE * 2);
    assert_eq!(turn(&leases, "b", &[]).mine, held.mine);
}
