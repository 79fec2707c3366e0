//! The hot path: people that are known resolve from memory, without a read of the graph
//! but one per commit.

use bytes::Bytes;
use sojourn_identity::{IdentityRules, IdentityShard, Progress, ShardOptions};
use sojourn_memory::{ManualClock, MemoryLog, MemoryStore};
use sojourn_model::{Identifier, IdentifierKind, Timestamp, Touchpoint};
use sojourn_ports::{Append, GraphCommit, GraphError, IdentityGraph, Layout, Log, NodeKey, Topic};
use sojourn_proto::encode_touchpoint_record;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts reads.
struct Counting(MemoryStore, AtomicU64);

impl IdentityGraph for Counting {
    fn claim(&self, shard: u16) -> Result<(u64, Option<u64>), GraphError> {
        self.0.claim(shard)
    }
    fn read(&self, keys: &[NodeKey]) -> Result<Vec<(u64, Option<Bytes>)>, GraphError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.read(keys)
    }
    fn commit(&self, shard: u16, epoch: u64, commit: GraphCommit) -> Result<(), GraphError> {
        self.0.commit(shard, epoch, commit)
    }
    fn scan(
        &self,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), GraphError> {
        self.0.scan(prefix, visit)
    }
}

fn everybody_does_something(log: &MemoryLog, round: u32) {
    let mut values = Vec::new();
    for person in 0..1_000 {
        let message = format!("message-{round}-{person}");
        let touchpoint = Touchpoint {
            message_id: &message,
            source: "site",
            channel: "web",
            event: "Product Viewed",
            identifiers: vec![
                Identifier::new(IdentifierKind::CustomerId, &format!("u{person}")),
                Identifier::new(IdentifierKind::AnonymousId, &format!("a{person}")),
            ],
            occurred_at: None,
            received_at: Timestamp(0),
            properties: r#"{"product_id":"p-1234","price":19.99}"#,
            traits: "",
            context: "",
            imported: false,
            profile: None,
        };
        let mut bytes = Vec::new();
        encode_touchpoint_record(&touchpoint, &mut bytes);
        values.push(Bytes::from(bytes));
    }
    let append = Append { topic: Topic::Touchpoints, partition: 0, values };
    log.append(vec![append], None).expect("appends");
}

#[test]
fn known_people_need_no_reads() {
    let clock = Arc::new(ManualClock::new(Timestamp(0)));
    let log = Arc::new(MemoryLog::new(Layout::new(1, 4), clock.clone()));
    let graph = Arc::new(Counting(MemoryStore::new(), AtomicU64::new(0)));
    let options = ShardOptions::new(0, IdentityRules::default());
    let mut shard =
        IdentityShard::new(log.clone(), graph.clone(), clock, options).expect("one shard");
    let mut reads = [0; 3];
    for (round, reads) in (0..).zip(&mut reads) {
        let before = graph.1.load(Ordering::Relaxed);
        everybody_does_something(&log, round);
        while shard.turn().expect("works") != Progress::Idle {}
        shard.finish().expect("commits");
        *reads = graph.1.load(Ordering::Relaxed) - before;
    }
    assert!(reads[0] <= 6, "people who are met for the first time come in few reads: {reads:?}");
    assert_eq!(
        reads[1..],
        [1, 1],
        "known people: only whether the graph is still ours, per commit"
    );
}
