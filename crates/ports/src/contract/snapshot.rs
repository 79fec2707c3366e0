//! The contract of [`Snapshots`] as cases.

use super::{Case, Report, run};
use crate::snapshot::{Over, Part, Row, SnapshotError, Snapshots};
use crate::{
    Checkpoint, GraphCommit, GraphError, GraphWrite, IdentityGraph, Space, StateError, StateStore,
    Write,
};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The three ports of one empty store.
#[derive(Clone)]
pub struct SnapshotHouse {
    /// State.
    pub store: Arc<dyn StateStore>,
    /// Graph.
    pub graph: Arc<dyn IdentityGraph>,
    /// Snapshots of both.
    pub snapshots: Arc<dyn Snapshots>,
}

/// Two stores: what one gives out is brought into the other.
type Pair = (SnapshotHouse, SnapshotHouse);

/// Runs every case on stores that are empty at first.
pub fn check_snapshots(make: &mut dyn FnMut() -> SnapshotHouse) -> Report {
    run(CASES, &(), &mut || (make(), make()))
}

const CASES: &[Case<Pair, ()>] = &[
    ("what nobody has written has no position and no rows", |()| true, nothing),
    ("state comes back whole, at its position", |()| true, round_trip),
    ("many rows come back", |()| true, many),
    ("what was there before an import is gone", |()| true, replaced),
    ("an export is of one checkpoint while its owner goes on", |()| true, one_moment),
    ("an import fences whoever had the owner", |()| true, fenced),
    ("an import never goes back", |()| true, newer),
    ("an import that breaks off leaves no half", |()| true, broken),
    ("an export that breaks off disturbs nobody", |()| true, unread),
    ("the graph comes back whole, and commits go on", |()| true, graph),
    ("an export of the graph is of one commit", |()| true, graph_moment),
    ("an import of the graph never goes back", |()| true, graph_newer),
];

fn key(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn put(space: Space, name: &str, value: &str) -> Write {
    Write { space, key: key(name), value: Some(key(value)) }
}

fn owner() -> Part {
    Part::Owner("engine/3".to_owned())
}

fn at(store: &dyn StateStore, position: u64, writes: Vec<Write>) -> u64 {
    let epoch = store.claim("engine/3").unwrap().epoch;
    store.checkpoint("engine/3", epoch, Checkpoint { position, writes }).unwrap();
    epoch
}

type Content = BTreeMap<(Space, Bytes), Bytes>;

/// Every row; the same key twice must have the same value.
fn export(house: &SnapshotHouse, part: &Part) -> (Option<u64>, Content) {
    let mut rows = Content::new();
    let position = house.snapshots.export(part, &mut |row| {
        if let Some(before) = rows.insert((row.space, row.key.clone()), row.value.clone()) {
            assert_eq!(before, row.value, "{:?} twice", row.key);
        }
        Ok(())
    });
    (position.unwrap(), rows)
}

fn import(house: &SnapshotHouse, part: &Part, position: u64, rows: &Content) {
    try_import(house, part, position, rows).unwrap();
}

fn try_import(
    house: &SnapshotHouse,
    part: &Part,
    position: u64,
    rows: &Content,
) -> Result<(), SnapshotError> {
    let mut rows = rows.iter().map(|((space, key), value)| Row {
        space: *space,
        key: key.clone(),
        value: value.clone(),
    });
    house.snapshots.import(part, position, Over::Older, &mut || Ok(rows.next()))
}

fn nothing((house, _): &mut Pair) {
    assert_eq!(export(house, &owner()), (None, Content::new()));
    assert_eq!(export(house, &Part::Graph), (None, Content::new()));
    assert_eq!(house.snapshots.position(&owner()).unwrap(), None);
}

fn round_trip((from, to): &mut Pair) {
    let spaces = Space::ALL.map(|space| put(space, "k", &format!("{space:?}")));
    at(&*from.store, 7, [&spaces[..], &[put(Space::Meta, "l", "")]].concat());
    from.store.claim("engine/30").unwrap();
    let (position, rows) = export(from, &owner());
    assert_eq!((position, rows.len()), (Some(7), spaces.len() + 1));
    import(to, &owner(), 7, &rows);
    assert_eq!(to.snapshots.position(&owner()).unwrap(), Some(7));
    assert_eq!(to.store.claim("engine/3").unwrap().position, Some(7));
    for space in Space::ALL {
        let found = to.store.get("engine/3", space, &[key("k")]).unwrap();
        assert_eq!(found, [Some(key(&format!("{space:?}")))]);
    }
    assert_eq!(to.store.owners().unwrap(), [("engine/3".to_owned(), 7)]);
    assert_eq!(export(to, &owner()), (Some(7), rows));
}

fn many((from, to): &mut Pair) {
    let name = |nth: usize| format!("{nth:06}");
    for step in 0..6u64 {
        let range = step as usize * 2_000..(step as usize + 1) * 2_000;
        let rows = |space| range.clone().map(move |n| put(space, &name(n), &"v".repeat(n % 90)));
        at(&*from.store, step, rows(Space::Profile).chain(rows(Space::Index)).collect());
    }
    let (position, rows) = export(from, &owner());
    assert_eq!((position, rows.len()), (Some(5), 24_000));
    import(to, &owner(), 5, &rows);
    let mut seen = Vec::new();
    to.store
        .scan("engine/3", Space::Index, b"", None, &mut |key, _| {
            seen.push(key.to_vec());
            true
        })
        .unwrap();
    assert!(seen.len() == 12_000 && seen.is_sorted(), "{} in order", seen.len());
    assert_eq!(export(to, &owner()), (Some(5), rows));
}

fn replaced((from, to): &mut Pair) {
    at(&*from.store, 9, vec![put(Space::Index, "new", "1")]);
    at(&*to.store, 4, vec![put(Space::Index, "old", "1"), put(Space::Profile, "old", "1")]);
    let (_, rows) = export(from, &owner());
    import(to, &owner(), 9, &rows);
    assert_eq!(export(to, &owner()), (Some(9), rows));
    let mut seen = 0;
    let mut count = |_: &[u8], _: &[u8]| {
        seen += 1;
        true
    };
    to.store.scan("engine/3", Space::Index, b"", None, &mut count).unwrap();
    assert_eq!(seen, 1);
    // And it goes on from there.
    at(&*to.store, 10, vec![put(Space::Index, "next", "1")]);
    assert_eq!(export(to, &owner()).1.len(), 2);
}

/// Every checkpoint writes one value everywhere, adds a key and takes one away.
fn one_moment((house, _): &mut Pair) {
    let names: Vec<String> = (0..400).map(|nth| format!("{nth:03}")).collect();
    let writes = |round: u64| -> Vec<Write> {
        let value = round.to_string();
        let mut writes: Vec<_> =
            names.iter().map(|name| put(Space::Profile, name, &value)).collect();
        writes.extend(names.iter().map(|name| put(Space::Index, name, &value)));
        writes.push(put(Space::Meta, &format!("added {round}"), &value));
        if let Some(before) = round.checked_sub(1) {
            let key = key(&format!("added {before}"));
            writes.push(Write { space: Space::Meta, key, value: None });
        }
        writes
    };
    let epoch = at(&*house.store, 0, writes(0));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let checkpoint = Checkpoint { position: round, writes: writes(round) };
                house.store.checkpoint("engine/3", epoch, checkpoint).unwrap();
            }
        });
        let mut positions = Vec::new();
        for _ in 0..10 {
            let (position, rows) = export(house, &owner());
            let position = position.expect("there is state");
            assert_eq!(rows.len(), 2 * names.len() + 1, "at {position}");
            let value = key(&position.to_string());
            assert!(rows.values().all(|found| *found == value), "of one checkpoint: {position}");
            assert!(rows.contains_key(&(Space::Meta, key(&format!("added {position}")))));
            positions.push(position);
        }
        over.store(true, Ordering::Relaxed);
        assert!(positions.is_sorted() && positions.last() > Some(&0), "{positions:?}");
    });
}

fn fenced((house, _): &mut Pair) {
    let epoch = at(&*house.store, 4, vec![put(Space::Meta, "a", "old")]);
    let rows = Content::from([((Space::Meta, key("a")), key("restored"))]);
    import(house, &owner(), 6, &rows);
    let late = Checkpoint { position: 8, writes: vec![put(Space::Meta, "a", "late")] };
    let refused = house.store.checkpoint("engine/3", epoch, late).unwrap_err();
    assert!(matches!(refused, StateError::Fenced { .. } | StateError::Unknown(_)), "{refused}");
    assert_eq!(export(house, &owner()), (Some(6), rows));
    assert!(house.store.claim("engine/3").unwrap().epoch > epoch);
}

fn newer((house, _): &mut Pair) {
    let epoch = at(&*house.store, 4, vec![put(Space::Meta, "a", "kept")]);
    for position in [3, 4] {
        let refused = try_import(house, &owner(), position, &Content::new()).unwrap_err();
        assert_eq!(refused, SnapshotError::Newer { part: owner(), found: 4, position });
    }
    let next = Checkpoint { position: 5, writes: vec![put(Space::Meta, "b", "kept")] };
    house.store.checkpoint("engine/3", epoch, next).unwrap();
    assert_eq!(export(house, &owner()).1.len(), 2, "nothing was touched");
    house.snapshots.import(&owner(), 3, Over::Anything, &mut || Ok(None)).unwrap();
    assert_eq!(export(house, &owner()), (Some(3), Content::new()), "whatever was there");
    assert_eq!(house.store.claim("engine/3").unwrap().position, Some(3));
}

fn broken((house, _): &mut Pair) {
    at(&*house.store, 4, vec![put(Space::Index, "old", "1")]);
    let before = export(house, &owner());
    let mut given = 0;
    let mut rows = || {
        given += 1;
        let name = format!("{given:06}");
        if given > 10_000 {
            return Err("the file ends here".to_owned());
        }
        Ok(Some(Row { space: Space::Profile, key: key(&name), value: key("v") }))
    };
    let refused = house.snapshots.import(&owner(), 9, Over::Older, &mut rows).unwrap_err();
    assert_eq!(refused, SnapshotError::Rows("the file ends here".to_owned()));
    match house.store.claim("engine/3") {
        Ok(claim) => {
            assert_eq!(claim.position, Some(4));
            assert_eq!(export(house, &owner()), before, "what was there");
        }
        Err(error) => assert!(error.to_string().contains("restore"), "{error}"),
    }
    // Again, and now to the end.
    let rows = Content::from([((Space::Index, key("new")), key("1"))]);
    import(house, &owner(), 9, &rows);
    assert_eq!(export(house, &owner()), (Some(9), rows));
    assert_eq!(house.store.claim("engine/3").unwrap().position, Some(9));
}

fn unread((house, _): &mut Pair) {
    let epoch = at(&*house.store, 1, vec![put(Space::Meta, "a", "1"), put(Space::Meta, "b", "1")]);
    let refused = house.snapshots.export(&owner(), &mut |_| Err("no room".to_owned()));
    assert_eq!(refused.unwrap_err(), SnapshotError::Rows("no room".to_owned()));
    let next = Checkpoint { position: 2, writes: vec![put(Space::Meta, "a", "2")] };
    house.store.checkpoint("engine/3", epoch, next).unwrap();
    let (position, rows) = export(house, &owner());
    assert_eq!((position, &rows[&(Space::Meta, key("a"))]), (Some(2), &key("2")));
}

fn commit(graph: &dyn IdentityGraph, epoch: u64, position: u64, nodes: &[(String, String)]) {
    let write = |(name, value): &(String, String)| GraphWrite {
        key: key(name),
        value: (!value.is_empty()).then(|| key(value)),
    };
    let writes = nodes.iter().map(write).collect();
    graph.commit(0, epoch, GraphCommit { guards: vec![], writes, position }).unwrap();
}

fn node(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn graph((from, to): &mut Pair) {
    let (epoch, _) = from.graph.claim(0).unwrap();
    let nodes: Vec<_> = (0..5_000).map(|nth| node(&format!("i:{nth:05}"), "v")).collect();
    commit(&*from.graph, epoch, 8, &nodes);
    let (position, rows) = export(from, &Part::Graph);
    assert_eq!((position, rows.len()), (Some(8), 5_000));
    let (old, _) = to.graph.claim(0).unwrap();
    commit(&*to.graph, old, 2, &[node("i:gone", "v")]);
    // A node that somebody has read before, also one that is absent.
    to.graph.read(&[key("i:gone"), key("i:00001")]).unwrap();
    import(to, &Part::Graph, 8, &rows);
    assert_eq!(export(to, &Part::Graph), (Some(8), rows));
    let late = GraphCommit { guards: vec![], writes: vec![], position: 9 };
    let refused = to.graph.commit(0, old, late).unwrap_err();
    assert!(matches!(refused, GraphError::Fenced { .. } | GraphError::Unknown(_)), "{refused}");
    let (epoch, position) = to.graph.claim(0).unwrap();
    assert!(epoch > old && position == Some(8));
    let read = to.graph.read(&[key("i:gone"), key("i:00001")]).unwrap();
    assert_eq!(read[0], (0, None));
    assert_eq!(read[1].1, Some(key("v")));
    let guards = vec![(key("i:00001"), read[1].0)];
    let writes = vec![GraphWrite { key: key("i:00001"), value: Some(key("w")) }];
    to.graph.commit(0, epoch, GraphCommit { guards: guards.clone(), writes, position: 9 }).unwrap();
    let stale = GraphCommit { guards, writes: vec![], position: 10 };
    assert_eq!(to.graph.commit(0, epoch, stale).unwrap_err(), GraphError::Conflict);
}

fn graph_moment((house, _): &mut Pair) {
    let (epoch, _) = house.graph.claim(0).unwrap();
    let nodes = |round: u64| -> Vec<_> {
        let value = format!("r{round}");
        let mut nodes: Vec<_> = (0..500).map(|nth| node(&format!("i:{nth:03}"), &value)).collect();
        nodes.push(node(&format!("p:{round}"), &value));
        if let Some(before) = round.checked_sub(1) {
            nodes.push(node(&format!("p:{before}"), ""));
        }
        nodes
    };
    commit(&*house.graph, epoch, 0, &nodes(0));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                commit(&*house.graph, epoch, round, &nodes(round));
            }
        });
        for _ in 0..10 {
            let (position, rows) = export(house, &Part::Graph);
            let position = position.expect("there are nodes");
            let value = key(&format!("r{position}"));
            assert!(rows.len() == 501 && rows.values().all(|found| *found == value));
        }
        over.store(true, Ordering::Relaxed);
    });
}

fn graph_newer((house, _): &mut Pair) {
    let (epoch, _) = house.graph.claim(0).unwrap();
    commit(&*house.graph, epoch, 5, &[node("i:a", "v")]);
    let refused = try_import(house, &Part::Graph, 5, &Content::new()).unwrap_err();
    assert_eq!(refused, SnapshotError::Newer { part: Part::Graph, found: 5, position: 5 });
    commit(&*house.graph, epoch, 6, &[]);
    assert_eq!(export(house, &Part::Graph).1.len(), 1);
}
