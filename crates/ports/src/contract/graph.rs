//! The contract of [`IdentityGraph`] as cases.

use super::{Case, Report, run};
use crate::{GraphCommit, GraphError, GraphWrite, IdentityGraph};
use bytes::Bytes;
use std::sync::Arc;

/// What the suite can bring the graph into.
#[derive(Debug, Clone, Copy)]
pub struct GraphCapabilities {
    /// [`GraphFactory::next_unknown`].
    pub unknown: bool,
    /// [`GraphFactory::roll_back`].
    pub roll_back: bool,
}

/// Opens a graph and does to it what the world does.
pub trait GraphFactory {
    /// An empty graph.
    fn create(&mut self) -> Arc<dyn IdentityGraph>;
    /// The process dies at once; opens what is left.
    fn crash(&mut self, graph: Arc<dyn IdentityGraph>) -> Arc<dyn IdentityGraph>;
    /// The next commit answers `Unknown`.
    fn next_unknown(&mut self, applied: bool);
    /// Takes the last commits back.
    fn roll_back(&mut self, steps: usize);
}

type Factory = Box<dyn GraphFactory>;

/// Runs every case.
pub fn check_graph(
    capabilities: &GraphCapabilities,
    make: &mut dyn FnMut() -> Box<dyn GraphFactory>,
) -> Report {
    run(CASES, capabilities, make)
}

const CASES: &[Case<Factory, GraphCapabilities>] = &[
    ("an absent node has version 0", |_| true, absent),
    ("a commit is read back, versions grow", |_| true, read_back),
    ("a changed guard writes nothing", |_| true, guards),
    ("a node that was deleted and made anew is another one", |_| true, reborn),
    ("an older epoch writes nothing", |_| true, fencing),
    ("a commit that goes back is refused", |_| true, backwards),
    ("scans are by prefix, in order, and stop when told", |_| true, scan),
    ("a commit survives a crash, whole", |_| true, crash),
    ("shards that change one node at once lose nothing", |_| true, concurrent),
    ("an unknown commit was applied or not, whole", |c| c.unknown, unknown),
    ("a graph that is rolled back has older nodes and position together", |c| c.roll_back, older),
];

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn node(graph: &dyn IdentityGraph, key: &str) -> (u64, Option<String>) {
    let (version, value) = graph.read(&[bytes(key)]).unwrap().remove(0);
    (version, value.map(|value| String::from_utf8(value.to_vec()).unwrap()))
}

/// A commit that guards what it writes at the versions given.
fn commit(position: u64, writes: &[(&str, u64, Option<&str>)]) -> GraphCommit {
    let guards = writes.iter().map(|&(key, version, _)| (bytes(key), version)).collect();
    let write = |&(key, _, value): &(&str, u64, Option<&str>)| GraphWrite {
        key: bytes(key),
        value: value.map(bytes),
    };
    GraphCommit { guards, writes: writes.iter().map(write).collect(), position }
}

fn absent(factory: &mut Factory) {
    let graph = factory.create();
    assert_eq!(graph.claim(0).unwrap().1, None);
    assert_eq!(node(&*graph, "i:email\0a"), (0, None));
    assert!(graph.read(&[]).unwrap().is_empty());
}

fn read_back(factory: &mut Factory) {
    let graph = factory.create();
    let (epoch, _) = graph.claim(1).unwrap();
    graph.commit(1, epoch, commit(3, &[("a", 0, Some("1")), ("b", 0, Some(""))])).unwrap();
    let (first, value) = node(&*graph, "a");
    assert!(first > 0 && value.as_deref() == Some("1"));
    assert_eq!(node(&*graph, "b").1.as_deref(), Some(""));
    graph.commit(1, epoch, commit(4, &[("a", first, Some("2"))])).unwrap();
    let (second, value) = node(&*graph, "a");
    assert!(second > first && value.as_deref() == Some("2"));
    let both = graph.read(&[bytes("none"), bytes("a")]).unwrap();
    assert_eq!(both, [(0, None), (second, Some(bytes("2")))]);
    let (newer, position) = graph.claim(1).unwrap();
    assert!(newer > epoch);
    assert_eq!(position, Some(4));
    assert_eq!(graph.claim(0).unwrap().1, None, "another shard");
}

fn guards(factory: &mut Factory) {
    let graph = factory.create();
    let (epoch, _) = graph.claim(0).unwrap();
    graph.commit(0, epoch, commit(1, &[("a", 0, Some("1"))])).unwrap();
    let (version, _) = node(&*graph, "a");
    let check = |writes: &[(&str, u64, Option<&str>)]| {
        let result = graph.commit(0, epoch, commit(2, writes));
        assert_eq!(result, Err(GraphError::Conflict));
    };
    check(&[("b", 0, Some("1")), ("a", 0, Some("2"))]);
    check(&[("b", 0, Some("1")), ("a", version + 1, Some("2"))]);
    check(&[("b", version, Some("1"))]);
    assert_eq!(node(&*graph, "b"), (0, None));
    // A guard on a node that is not written.
    let mut guarded = commit(2, &[("b", 0, Some("1"))]);
    guarded.guards.push((bytes("a"), version));
    graph.commit(0, epoch, guarded).unwrap();
    assert_eq!(node(&*graph, "a").0, version);
}

fn reborn(factory: &mut Factory) {
    let graph = factory.create();
    let (epoch, _) = graph.claim(0).unwrap();
    graph.commit(0, epoch, commit(1, &[("a", 0, Some("1"))])).unwrap();
    let (version, _) = node(&*graph, "a");
    graph.commit(0, epoch, commit(2, &[("a", version, None)])).unwrap();
    assert_eq!(node(&*graph, "a"), (0, None));
    graph.commit(0, epoch, commit(3, &[("a", 0, Some("1"))])).unwrap();
    assert!(node(&*graph, "a").0 > version);
    let result = graph.commit(0, epoch, commit(4, &[("a", version, Some("2"))]));
    assert_eq!(result, Err(GraphError::Conflict));
}

fn fencing(factory: &mut Factory) {
    let graph = factory.create();
    let (old, _) = graph.claim(0).unwrap();
    graph.commit(0, old, commit(1, &[("a", 0, Some("1"))])).unwrap();
    let (new, _) = graph.claim(0).unwrap();
    let result = graph.commit(0, old, commit(2, &[("b", 0, Some("1"))]));
    assert_eq!(result, Err(GraphError::Fenced { shard: 0, mine: old }));
    assert_eq!(node(&*graph, "b"), (0, None));
    graph.commit(0, new, commit(2, &[("b", 0, Some("1"))])).unwrap();
}

fn backwards(factory: &mut Factory) {
    let graph = factory.create();
    let (epoch, _) = graph.claim(0).unwrap();
    graph.commit(0, epoch, commit(5, &[])).unwrap();
    let result = graph.commit(0, epoch, commit(4, &[("a", 0, Some("1"))]));
    assert!(matches!(result, Err(GraphError::Failed(_))));
    assert_eq!(node(&*graph, "a"), (0, None));
}

fn scan(factory: &mut Factory) {
    let graph = factory.create();
    let (epoch, _) = graph.claim(0).unwrap();
    let writes = ["p:2", "i:b", "i:a", "i:c", "j:"].map(|key| (key, 0, Some(key)));
    graph.commit(0, epoch, commit(1, &writes)).unwrap();
    let find = |prefix: &str, most: usize| {
        let mut found = Vec::new();
        let mut visit = |key: &[u8], value: &[u8]| {
            assert_eq!(key, value);
            found.push(String::from_utf8(key.to_vec()).unwrap());
            found.len() < most
        };
        graph.scan(prefix.as_bytes(), &mut visit).unwrap();
        found
    };
    assert_eq!(find("i:", 9), ["i:a", "i:b", "i:c"]);
    assert_eq!(find("i:", 2), ["i:a", "i:b"]);
    assert_eq!(find("", 9), ["i:a", "i:b", "i:c", "j:", "p:2"]);
    assert!(find("x", 9).is_empty());
}

fn crash(factory: &mut Factory) {
    let mut graph = factory.create();
    let mut last = 0;
    for round in 0..5u64 {
        let (epoch, position) = graph.claim(0).unwrap();
        assert_eq!(position, round.checked_sub(1));
        let (version, _) = node(&*graph, "a");
        assert!(round == 0 || version == last, "versions survive");
        let value = round.to_string();
        let other = format!("b{round}");
        let writes = [("a", version, Some(&*value)), (&*other, 0, Some("x"))];
        graph.commit(0, epoch, commit(round, &writes)).unwrap();
        last = node(&*graph, "a").0;
        assert!(last > version);
        graph = factory.crash(graph);
        assert_eq!(node(&*graph, "a"), (last, Some(value)));
        assert_eq!(node(&*graph, &other).1.as_deref(), Some("x"));
    }
}

fn concurrent(factory: &mut Factory) {
    let graph = factory.create();
    let (shards, rounds) = (4u16, 40u64);
    std::thread::scope(|scope| {
        for shard in 0..shards {
            let graph = &graph;
            scope.spawn(move || {
                let (epoch, _) = graph.claim(shard).unwrap();
                for round in 1..=rounds {
                    loop {
                        let (version, value) = node(&**graph, "sum");
                        let sum: u64 = value.map_or(0, |value| value.parse().unwrap());
                        let sum = (sum + 1).to_string();
                        let change = commit(round, &[("sum", version, Some(&sum))]);
                        match graph.commit(shard, epoch, change) {
                            Ok(()) => break,
                            Err(error) => assert_eq!(error, GraphError::Conflict),
                        }
                    }
                }
            });
        }
    });
    let sum = (u64::from(shards) * rounds).to_string();
    assert_eq!(node(&*graph, "sum").1, Some(sum.clone()));
    assert_eq!(node(&*factory.crash(graph), "sum").1, Some(sum));
}

fn unknown(factory: &mut Factory) {
    let graph = factory.create();
    let mut done = 0;
    for applied in [true, false, true] {
        let (epoch, _) = graph.claim(0).unwrap();
        let (version, _) = node(&*graph, "a");
        factory.next_unknown(applied);
        let value = (done + 1).to_string();
        let result = graph.commit(0, epoch, commit(done + 1, &[("a", version, Some(&value))]));
        assert!(matches!(result, Err(GraphError::Unknown(_))));
        done += u64::from(applied);
        assert_eq!(graph.claim(0).unwrap().1, Some(done));
        assert_eq!(node(&*graph, "a").1, Some(done.to_string()));
    }
}

fn older(factory: &mut Factory) {
    let graph = factory.create();
    let (epoch, _) = graph.claim(0).unwrap();
    for position in 1..=5u64 {
        let (version, _) = node(&*graph, "a");
        let value = position.to_string();
        graph.commit(0, epoch, commit(position, &[("a", version, Some(&value))])).unwrap();
    }
    let newest = node(&*graph, "a").0;
    factory.roll_back(2);
    assert_eq!(graph.claim(0).unwrap().1, Some(3));
    let (version, value) = node(&*graph, "a");
    assert_eq!(value.as_deref(), Some("3"));
    let (epoch, _) = graph.claim(0).unwrap();
    graph.commit(0, epoch, commit(4, &[("a", version, Some("again"))])).unwrap();
    assert!(node(&*graph, "a").0 > newest, "a version is never given twice");
}
