//! Measures.
use bytes::Bytes;
use sojourn_identity::*;
use sojourn_memory::*;
use sojourn_model::*;
use sojourn_ports::*;
use std::sync::Arc;
fn main() {
    let clock = Arc::new(ManualClock::new(Timestamp(0)));
    let log = Arc::new(MemoryLog::new(Layout::new(1, 4), clock.clone()));
    let store = Arc::new(MemoryStore::new());
    let mut options = ShardOptions::new(0, IdentityRules::default());
    options.commit_records = 200_000;
    let mut shard = IdentityShard::new(log.clone(), store, clock.clone(), options).unwrap();
    let people = 50_000;
    for round in 0..12 {
        for chunk in 0..people / 5_000 {
            let mut values = Vec::new();
            for n in 0..5_000u64 {
                let person = (chunk * 5_000 + n).wrapping_mul(7919) % people;
                let (message, u, a) = (
                    format!("message-{round}-{person}"),
                    format!("u{person}"),
                    format!("a{person}"),
                );
                let t = Touchpoint {
                    message_id: &message,
                    source: "site",
                    channel: "web",
                    event: "Product Viewed",
                    identifiers: vec![
                        Identifier::new(IdentifierKind::CustomerId, &u),
                        Identifier::new(IdentifierKind::AnonymousId, &a),
                    ],
                    occurred_at: None,
                    received_at: Timestamp(0),
                    properties: r#"{"product_id":"p-1234","price":19.99,"category":"shoes"}"#,
                    traits: "",
                    context: r#"{"timezone":"Europe/London"}"#,
                    imported: false,
                    profile: None,
                };
                let mut bytes = Vec::new();
                sojourn_proto::encode_touchpoint_record(&t, &mut bytes);
                values.push(Bytes::from(bytes));
            }
            log.append(vec![Append { topic: Topic::Touchpoints, partition: 0, values }], None)
                .unwrap();
        }
        let begun = std::time::Instant::now();
        while shard.turn().unwrap() != Progress::Idle {}
        let turns = begun.elapsed();
        shard.finish().unwrap();
        println!(
            "round {round}: {:.0}/s without commit, {:.0}/s with",
            people as f64 / turns.as_secs_f64(),
            people as f64 / begun.elapsed().as_secs_f64()
        );
    }
}
