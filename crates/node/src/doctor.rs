//! `doctor`: the state of every role and partition, and what to do about what is not well.

use crate::distributed::Distributed;
use crate::node::Inner;
use crate::roles::note;
use serde_json::{Value, json};
use sojourn_ports::{Bounds, LogError, ReadLimit, Topic};
use sojourn_redis::LeaseView;

/// The report (shape in admin.proto).
pub(crate) fn report(inner: &Inner) -> anyhow::Result<Value> {
    let positions = &inner.shared.positions;
    if inner.backend.shared().is_some() {
        let read = positions.read(&*inner.backend.store, &*inner.backend.graph);
        read.map_err(anyhow::Error::msg)?;
    }
    let partitions = inner.shared.log.partitions(Topic::Profiles);
    let mut rows = vec![row(inner, "identity", Topic::Touchpoints, 0, positions.identity())?];
    for partition in 0..partitions {
        rows.push(row(inner, "engine", Topic::Profiles, partition, positions.owner(partition))?);
    }
    for (topic, partition, at) in positions.index() {
        if topic == Topic::Decisions {
            rows.push(row(inner, "index", topic, partition, Some(at))?);
        }
    }
    let mut checks = ready(inner);
    checks.extend(rows.iter().filter_map(refused));
    if let Some(shared) = inner.backend.shared() {
        for (topic, partition, at) in positions.actions() {
            rows.push(row(inner, "dispatcher", topic, partition, Some(at))?);
        }
        for (role, places) in [
            ("identity", 1),
            ("engine", partitions),
            ("index", partitions),
            ("dispatcher", partitions),
        ] {
            let view = shared.redis.leases().look(role).map_err(anyhow::Error::msg)?;
            checks.push(of_role(role, places, &view));
            checks.extend(troubles(role, &view));
            owners(shared, role, &view, &mut rows)?;
        }
        for finding in shared.redis.findings()? {
            checks.push(json!({
                "name": "redis", "ok": !finding.refused, "detail": finding.to_string(), "remedy": "",
            }));
        }
    }
    let held = inner.gate.held().map_err(anyhow::Error::msg)?;
    checks.push(json!({
        "name": "gate", "ok": true, "detail": format!("{held} marks hold"), "remedy": "",
    }));
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
        "partitions": rows,
    }))
}

fn row(
    inner: &Inner,
    role: &str,
    topic: Topic,
    partition: u16,
    at: Option<u64>,
) -> anyhow::Result<Value> {
    let bounds = inner.shared.log.bounds(topic, partition)?;
    let lag = at.map(|at| bounds.next.saturating_sub(at));
    // How long the oldest record waits that is not in a checkpoint yet.
    let waits = match at {
        Some(at) if lag > Some(0) => waiting(inner, topic, partition, at)?,
        _ => 0,
    };
    let written = match role {
        "engine" => sojourn_worker::checkpointed(&*inner.backend.store, partition)?,
        _ => None,
    };
    let age = written.map(|at| inner.shared.clock.now().since(at).0.max(0));
    Ok(json!({
        "role": role,
        "partition": partition,
        "position": at,
        "first": bounds.first,
        "end": bounds.next,
        "lag": lag,
        "waits_ms": waits,
        "checkpoint_age_ms": age,
        "refused": refusal(role, partition, at, bounds),
    }))
}

/// Why a partition cannot be worked on, as its owner says it at its claim; `None`: it can.
fn refusal(role: &str, partition: u16, at: Option<u64>, bounds: Bounds) -> Option<String> {
    if role == "index" {
        return None; // it goes on where the log begins
    }
    let Bounds { first, next, .. } = bounds;
    let stands = match at {
        None if first > 0 => "there is no state".to_owned(),
        Some(at) if at < first || at > next => format!("the state stands at {at}"),
        _ => return None,
    };
    Some(format!(
        "{stands} and the log holds {first} to {next}: restore a snapshot of {role}/{partition} \
         at {first} to {next}"
    ))
}

/// A partition that is refused is a finding.
fn refused(row: &Value) -> Option<Value> {
    let reason = row["refused"].as_str()?;
    let name = format!("{}/{}", row["role"].as_str()?, row["partition"]);
    let remedy = "end the processes of that role, then: sojourn restore SNAPSHOT";
    Some(json!({ "name": name, "ok": false, "detail": reason, "remedy": remedy }))
}

fn waiting(inner: &Inner, topic: Topic, partition: u16, at: u64) -> anyhow::Result<i64> {
    let limit = ReadLimit { records: 1, bytes: 1, durable_only: false };
    let mut found = Vec::new();
    match inner.shared.log.read(topic, partition, at, limit, &mut found) {
        // Below what the log keeps: the row's owner says so itself.
        Ok(()) | Err(LogError::OutOfRange { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let now = inner.shared.clock.now();
    Ok(found.first().map_or(0, |entry| now.since(entry.log_time).0.max(0)))
}

/// What the roles of this process say of themselves.
fn ready(inner: &Inner) -> Vec<Value> {
    let reasons = inner.shared.health.reasons();
    if reasons.is_empty() {
        return vec![
            json!({"name": "ready", "ok": true, "detail": "every role serves", "remedy": ""}),
        ];
    }
    let bad = |reason: &String| json!({"name": "ready", "ok": false, "detail": reason, "remedy": "see the log lines of the role"});
    reasons.iter().map(bad).collect()
}

/// Who has a role, and whether all of its partitions are somebody's.
fn of_role(role: &str, places: u16, view: &LeaseView) -> Value {
    let nobody: Vec<String> = (0..places)
        .filter(|place| !view.places.iter().any(|held| held.place == *place))
        .map(|place| place.to_string())
        .collect();
    let names: Vec<&str> = view.members.iter().map(|(name, ..)| &**name).collect();
    let (detail, remedy) = match (names.is_empty(), nobody.is_empty()) {
        (true, _) => ("no process".to_owned(), "start one: sojourn run ROLE DIR"),
        (false, true) => (names.join(", "), ""),
        (false, false) => (
            format!("{}; partitions {} are nobody's", names.join(", "), nobody.join(", ")),
            "wait for the lease of a process that has ended, or see the log lines of those that run",
        ),
    };
    json!({ "name": role, "ok": nobody.is_empty(), "detail": detail, "remedy": remedy })
}

/// Members that say what is wrong with them.
fn troubles(role: &str, view: &LeaseView) -> Vec<Value> {
    let told =
        view.members.iter().filter(|(_, _, text)| !text.is_empty() && note::read(text).is_none());
    told.map(|(member, _, text)| {
        json!({
            "name": role, "ok": false, "detail": format!("{member}: {text}"),
            "remedy": "see the log lines of that process",
        })
    })
    .collect()
}

/// Puts owner and epoch into the rows of a role.
fn owners(
    shared: &Distributed,
    role: &str,
    view: &LeaseView,
    rows: &mut [Value],
) -> anyhow::Result<()> {
    let store = shared.redis.store();
    for row in rows.iter_mut().filter(|row| row["role"] == role) {
        let partition = row["partition"].as_u64().unwrap_or(0);
        let holder = view.places.iter().find(|held| u64::from(held.place) == partition);
        row["owner"] = holder.map(|held| held.member.clone()).into();
        let owner = match role {
            "index" => format!("index/decisions/{partition}"),
            _ => format!("{role}/{partition}"),
        };
        if role != "identity" {
            row["epoch"] = store.epoch(&owner)?.into();
        }
    }
    Ok(())
}
