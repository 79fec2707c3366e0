//! `doctor`: the state of every role and partition, and what to do about what is not well.

use crate::node::Inner;
use crate::roles::Positions;
use serde_json::{Value, json};
use sojourn_ports::Topic;

/// The report (shape in admin.proto).
pub(crate) fn report(inner: &Inner) -> anyhow::Result<Value> {
    let log = &inner.shared.log;
    let positions = &inner.shared.positions;
    let mut partitions = Vec::new();
    let mut row =
        |role: &str, topic: Topic, partition: u16, at: Option<u64>| -> anyhow::Result<()> {
            let end = log.bounds(topic, partition)?.next;
            partitions.push(json!({
                "role": role,
                "partition": partition,
                "position": at,
                "end": end,
                "lag": at.map(|at| end.saturating_sub(at)),
            }));
            Ok(())
        };
    row("identity", Topic::Touchpoints, 0, Positions::get(&positions.identity))?;
    for (partition, at) in positions.owners.iter().enumerate() {
        row("engine", Topic::Profiles, u16::try_from(partition)?, Positions::get(at))?;
    }
    for (topic, partition, at) in positions.index.lock().iter() {
        if *topic == Topic::Decisions {
            row("index", *topic, *partition, Some(*at))?;
        }
    }
    let reasons = inner.shared.health.reasons();
    let mut checks: Vec<Value> = reasons
        .iter()
        .map(|reason| json!({"name": "ready", "ok": false, "detail": reason, "remedy": "see the log lines of the role"}))
        .collect();
    if checks.is_empty() {
        checks.push(
            json!({"name": "ready", "ok": true, "detail": "every role serves", "remedy": ""}),
        );
    }
    let version = inner.definitions.current()?;
    checks.push(json!({
        "name": "definitions",
        "ok": version.is_some(),
        "detail": version.map_or_else(|| "nothing is published".to_owned(), |v| format!("version {v} holds")),
        "remedy": "sojourn publish",
    }));
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_ms": inner.began.elapsed().as_millis() as u64,
        "checks": checks,
        "partitions": partitions,
    }))
}
