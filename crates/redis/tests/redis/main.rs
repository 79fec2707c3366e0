//! The ports' contract suites and faults against a real Redis and a real Redis Cluster.

mod faults;
mod leases;
mod server;

use server::{Cluster, Proxy, Server};
use sojourn_memory::ManualClock;
use sojourn_model::Timestamp;
use sojourn_ports::contract::{
    GraphCapabilities, GraphFactory, SnapshotHouse, StateCapabilities, StateFactory, check_gate,
    check_graph, check_snapshots, check_state,
};
use sojourn_ports::{Checkpoint, Clock, Gate, GraphCommit, IdentityGraph, StateStore};
use sojourn_redis::{Redis, RedisOptions};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn clock() -> Arc<dyn Clock> {
    Arc::new(ManualClock::new(Timestamp(1_000_000)))
}

/// A connection under a prefix that nobody else uses: an empty store.
fn fresh(url: &str) -> Redis {
    static NTH: AtomicU64 = AtomicU64::new(0);
    let mut options = RedisOptions::new(url);
    options.prefix = format!("test{}", NTH.fetch_add(1, Ordering::Relaxed));
    Redis::open(&options).unwrap()
}

/// One server behind a network that can lose calls.
struct Single {
    server: Arc<parking_lot::Mutex<Server>>,
    proxy: Proxy,
    redis: Redis,
}

impl Single {
    fn make(server: &Arc<parking_lot::Mutex<Server>>) -> Box<Self> {
        let server = server.clone();
        let proxy = Proxy::start(server.lock().port);
        let redis = fresh(&format!("redis://127.0.0.1:{}", proxy.port));
        // The scripts are loaded: what the proxy loses is their run.
        let warm = redis.store();
        let epoch = warm.claim("warm").unwrap().epoch;
        warm.checkpoint("warm", epoch, Checkpoint::default()).unwrap();
        let graph = redis.graph();
        let (epoch, _) = graph.claim(9).unwrap();
        graph.commit(9, epoch, GraphCommit::default()).unwrap();
        // Gone again, under another prefix.
        let redis = fresh(&format!("redis://127.0.0.1:{}", proxy.port));
        Box::new(Self { server, proxy, redis })
    }

    fn restart(&self) {
        let mut server = self.server.lock();
        server.kill();
        server.again();
    }
}

impl StateFactory for Single {
    fn create(&mut self) -> Arc<dyn StateStore> {
        Arc::new(self.redis.store())
    }
    fn crash(&mut self, store: Arc<dyn StateStore>) -> Arc<dyn StateStore> {
        drop(store);
        self.restart();
        Arc::new(self.redis.store())
    }
    fn next_unknown(&mut self, applied: bool) {
        self.proxy.lose(applied);
    }
    fn roll_back(&mut self, _: usize) {
        unreachable!("not among the capabilities; see the case in `faults`")
    }
    fn empty(&mut self) {
        assert_eq!(self.server.lock().cli(&["flushall"]).trim(), "OK");
    }
}

impl GraphFactory for Single {
    fn create(&mut self) -> Arc<dyn IdentityGraph> {
        Arc::new(self.redis.graph())
    }
    fn crash(&mut self, graph: Arc<dyn IdentityGraph>) -> Arc<dyn IdentityGraph> {
        drop(graph);
        self.restart();
        Arc::new(self.redis.graph())
    }
    fn next_unknown(&mut self, applied: bool) {
        self.proxy.lose(applied);
    }
    fn roll_back(&mut self, _: usize) {
        unreachable!("not among the capabilities; see the case in `faults`")
    }
}

fn one() -> Arc<parking_lot::Mutex<Server>> {
    Arc::new(parking_lot::Mutex::new(Server::start(&[])))
}

#[test]
fn the_store_keeps_its_contract() {
    let server = one();
    let can = StateCapabilities { unknown: true, roll_back: false, empty: true };
    let report = check_state(&can, &mut || Single::make(&server));
    assert_eq!((report.ran.len(), report.skipped.len()), (14, 1), "{report:?}");
}

#[test]
fn the_graph_keeps_its_contract() {
    let server = one();
    let can = GraphCapabilities { unknown: true, roll_back: false };
    let report = check_graph(&can, &mut || Single::make(&server));
    assert_eq!((report.ran.len(), report.skipped.len()), (10, 1), "{report:?}");
}

#[test]
fn the_gate_keeps_its_contract() {
    let server = Server::start(&[]);
    let report =
        check_gate(&mut || Arc::new(fresh(&server.url()).gate(clock()).unwrap()) as Arc<dyn Gate>);
    assert!(report.skipped.is_empty(), "{report:?}");
}

fn house(url: &str) -> SnapshotHouse {
    let redis = fresh(url);
    SnapshotHouse {
        store: Arc::new(redis.store()),
        graph: Arc::new(redis.graph()),
        snapshots: Arc::new(redis.snapshots()),
    }
}

#[test]
fn snapshots_keep_their_contract() {
    let server = Server::start(&[]);
    let report = check_snapshots(&mut || house(&server.url()));
    assert!(report.skipped.is_empty() && report.ran.len() > 10, "{report:?}");
    let left = server.cli(&["--scan", "--pattern", "*before*"]);
    assert!(left.trim().is_empty(), "{left}");
}

/// A cluster; its client alone crashes.
struct Clustered(Redis);

impl StateFactory for Clustered {
    fn create(&mut self) -> Arc<dyn StateStore> {
        Arc::new(self.0.store())
    }
    fn crash(&mut self, _: Arc<dyn StateStore>) -> Arc<dyn StateStore> {
        Arc::new(self.0.store())
    }
    fn next_unknown(&mut self, _: bool) {
        unreachable!("not among the capabilities")
    }
    fn roll_back(&mut self, _: usize) {
        unreachable!("not among the capabilities")
    }
    fn empty(&mut self) {
        unreachable!("not among the capabilities")
    }
}

impl GraphFactory for Clustered {
    fn create(&mut self) -> Arc<dyn IdentityGraph> {
        Arc::new(self.0.graph())
    }
    fn crash(&mut self, _: Arc<dyn IdentityGraph>) -> Arc<dyn IdentityGraph> {
        Arc::new(self.0.graph())
    }
    fn next_unknown(&mut self, _: bool) {
        unreachable!("not among the capabilities")
    }
    fn roll_back(&mut self, _: usize) {
        unreachable!("not among the capabilities")
    }
}

#[test]
fn a_cluster_keeps_the_contracts() {
    let cluster = Cluster::start();
    let url = cluster.url();
    let can = StateCapabilities { unknown: false, roll_back: false, empty: false };
    let report = check_state(&can, &mut || Box::new(Clustered(fresh(&url))));
    assert_eq!(report.ran.len(), 12, "{report:?}");
    let can = GraphCapabilities { unknown: false, roll_back: false };
    let report = check_graph(&can, &mut || Box::new(Clustered(fresh(&url))));
    assert_eq!(report.ran.len(), 9, "{report:?}");
    let report = check_snapshots(&mut || house(&url));
    assert!(report.skipped.is_empty(), "{report:?}");
    let report = check_gate(&mut || Arc::new(fresh(&url).gate(clock()).unwrap()) as Arc<dyn Gate>);
    assert!(report.skipped.is_empty(), "{report:?}");
}
