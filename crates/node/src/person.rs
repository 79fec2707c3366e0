//! A person's state as JSON, for `person show` and `person consents` (shapes in admin.proto).

use crate::rows::{optional, rfc3339};
use serde_json::{Value, json};
use sojourn_engine::{ConsentEntry, Profile, Run, RunState, Statement};
use sojourn_model::{SuppressionKind, Timestamp, VersionId};
use sojourn_rules::Definitions;
use std::sync::Arc;

/// Everything that `show` shows. A run's step is named by the version that it is on: `version`.
pub(crate) fn show(
    profile: &Profile,
    definitions: &Definitions,
    version: &dyn Fn(VersionId) -> Option<Arc<Definitions>>,
) -> Value {
    let identifiers: Value = profile
        .identifiers
        .iter()
        .map(|held| {
            json!({
                "kind": held.identifier.kind.to_string(),
                "value": &*held.identifier.value,
                "last_seen": rfc3339(held.last_seen),
            })
        })
        .collect();
    let attributes: serde_json::Map<String, Value> = profile
        .attributes
        .iter()
        .map(|(name, attribute)| {
            let json = sojourn_proto::value_to_json(&attribute.value);
            (name.to_string(), serde_json::from_slice(&json).unwrap_or_default())
        })
        .collect();
    let sends: Value = profile
        .sends
        .as_slice()
        .iter()
        .map(|send| {
            json!({
                "at": rfc3339(send.at),
                "channel": &*send.channel,
                "purpose": &*send.purpose,
                "topic": optional(send.topic.as_ref()),
                "journey": &*send.journey,
                "step": &*send.step,
                "action_id": send.action.to_string(),
            })
        })
        .collect();
    let (zone, source) = profile.zone_used(&definitions.workspace.time_zone);
    json!({
        "identifiers": identifiers,
        "attributes": attributes,
        "zone": zone,
        "zone_source": format!("{source:?}").to_lowercase(),
        "segments": profile.segment_names(),
        "created_at": Value::Null,
        "runs": profile.runs.iter().filter(|run| run.live()).map(|run| running(run, version(run.version).as_deref())).collect::<Value>(),
        "sends": sends,
        "merged": [],
        "consents": consents(profile),
        "suppressions": suppressions(profile),
    })
}

fn running(run: &Run, definitions: Option<&Definitions>) -> Value {
    let until: Option<Timestamp> = match &run.state {
        RunState::Wait { due }
        | RunState::Throttle { due }
        | RunState::Digest { due }
        | RunState::Call { due } => Some(*due),
        RunState::WaitFor { timeout, .. } => *timeout,
        RunState::Deferred(candidate) => Some(candidate.wake()),
        RunState::Moving | RunState::Held { .. } | RunState::Ended { .. } => None,
    };
    let step = definitions
        .and_then(|definitions| definitions.journey(&run.journey))
        .and_then(|journey| journey.steps.get(usize::from(run.step)))
        .map_or_else(|| run.step.to_string(), |step| step.id.to_string());
    let key = run.key.as_ref().map(|key| {
        serde_json::from_slice::<Value>(&sojourn_proto::value_to_json(key)).unwrap_or_default()
    });
    json!({
        "journey": &*run.journey,
        "run_key": key,
        "step": step,
        "version": run.version.to_string(),
        "entered_at": rfc3339(run.entered_at),
        "until": until.map(rfc3339),
    })
}

fn consents(profile: &Profile) -> Value {
    let mut rows: Vec<(Timestamp, Value)> = Vec::new();
    for entry in profile.consents.entries() {
        let statements = [
            (entry.deny.as_deref(), "denied"),
            (entry.grant.as_deref(), "granted"),
            (entry.imported.as_deref(), "granted"),
        ];
        for (statement, state) in statements {
            if let Some(statement) = statement {
                rows.push((statement.at, consent(entry, statement, state)));
            }
        }
    }
    rows.sort_by_key(|(at, _)| *at);
    rows.into_iter().map(|(_, row)| row).collect()
}

fn consent(entry: &ConsentEntry, statement: &Statement, state: &str) -> Value {
    json!({
        "channel": optional(entry.channel.as_ref()),
        "purpose": &*entry.purpose,
        "topic": optional(entry.topic.as_ref()),
        "state": state,
        "endpoint": optional(entry.endpoint.as_ref()),
        "at": rfc3339(statement.at),
        "source": &*statement.evidence.source,
        "event_id": &*statement.evidence.event_id,
        "expires": statement.expires.map(rfc3339),
    })
}

fn suppressions(profile: &Profile) -> Value {
    let standing = profile
        .suppressions
        .entries()
        .iter()
        .filter(|entry| entry.lifted.is_none_or(|lifted| lifted < entry.at));
    standing
        .map(|entry| {
            let kind = match entry.kind {
                SuppressionKind::Bounce => "bounce",
                SuppressionKind::Complaint => "complaint",
                SuppressionKind::Stop => "stop",
                SuppressionKind::Manual => "manual",
            };
            json!({
                "channel": &*entry.channel,
                "endpoint": &*entry.endpoint,
                "kind": kind,
                "at": rfc3339(entry.at),
                "source": &*entry.evidence.source,
            })
        })
        .collect()
}
