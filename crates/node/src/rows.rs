//! Records as the JSON rows that `tail`, `person` and `explain` show (shapes in admin.proto).

use serde_json::{Map, Value, json};
use sojourn_model::{Decision, Identifier, Name, Note, ProfileId, Timestamp, Touchpoint};
use sojourn_proto::{DispatchKind, DispatchRecord};
use sojourn_rules::{Definitions, explain};

/// RFC 3339 in UTC with milliseconds; an instant outside chrono's years as plain milliseconds.
pub fn rfc3339(at: Timestamp) -> String {
    chrono::DateTime::from_timestamp_millis(at.0).map_or_else(
        || at.0.to_string(),
        |time| time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
    )
}

/// Identifiers as `[{"kind","value"}]`.
pub fn identifiers(list: &[Identifier]) -> Value {
    list.iter().map(|one| json!({"kind": one.kind.to_string(), "value": &*one.value})).collect()
}

/// A touchpoint of a person.
pub fn touchpoint(profile: ProfileId, at: Timestamp, touchpoint: &Touchpoint<'_>) -> Value {
    let object = |text: &str| -> Value {
        if text.is_empty() { json!({}) } else { serde_json::from_str(text).unwrap_or_default() }
    };
    json!({
        "kind": "touchpoint",
        "at": rfc3339(at),
        "occurred_at": rfc3339(touchpoint.occurred_at.map_or(at, |occurred| occurred.min(at))),
        "profile": profile.to_string(),
        "source": touchpoint.source,
        "channel": touchpoint.channel,
        "event": touchpoint.event,
        "message_id": touchpoint.message_id,
        "identifiers": identifiers(&touchpoint.identifiers),
        "properties": object(touchpoint.properties),
        "traits": object(touchpoint.traits),
        "imported": touchpoint.imported,
    })
}

/// A decision: the line of `simulate`, and what explains it.
pub fn decision(decision: &Decision, definitions: Option<&Definitions>) -> Value {
    let mut row: Map<String, Value> =
        serde_json::from_str(&sojourn_engine::decision_line(decision)).unwrap_or_default();
    let template = definitions.and_then(|definitions| {
        let journey = definitions.journey(&decision.journey)?;
        match &journey.step(journey.find(&decision.step)?).kind {
            sojourn_rules::StepKind::Send(send) => Some(send.template.to_string()),
            _ => None,
        }
    });
    row.insert("kind".into(), "decision".into());
    row.insert("id".into(), decision.id.to_string().into());
    row.insert("why".into(), explain::marketer(decision, definitions).into());
    row.insert("template".into(), template.into());
    row.insert("inputs".into(), serde_json::to_value(&decision.inputs).unwrap_or_default());
    Value::Object(row)
}

/// A note: `note` names it, its fields stand beside.
pub fn note(note: &Note) -> Value {
    let mut row = Map::new();
    row.insert("kind".into(), "note".into());
    row.insert("at".into(), rfc3339(note.at).into());
    row.insert("profile".into(), note.profile.to_string().into());
    // The enum serialises as {"Variant": {fields}}.
    if let Ok(Value::Object(kind)) = serde_json::to_value(&note.kind) {
        for (variant, fields) in kind {
            row.insert("note".into(), snake(&variant).into());
            for (key, value) in fields.as_object().into_iter().flatten() {
                row.insert(key.clone(), field(key, value));
            }
        }
    }
    Value::Object(row)
}

/// Profiles and instants inside a note, as elsewhere.
fn field(key: &str, value: &Value) -> Value {
    match (key, value.as_u64(), value.as_i64()) {
        ("from" | "into", Some(profile), _) => ProfileId(profile).to_string().into(),
        ("until", _, Some(at)) => rfc3339(Timestamp(at)).into(),
        _ => value.clone(),
    }
}

fn snake(variant: &str) -> String {
    let mut out = String::new();
    for (place, letter) in variant.chars().enumerate() {
        if letter.is_uppercase() && place > 0 {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

/// What came of an action, with what the decision knew of it.
pub fn delivery(record: &DispatchRecord, decided: Option<&Value>) -> Option<Value> {
    let DispatchKind::Outcome { result, detail, .. } = &record.kind else { return None };
    let of = |key: &str| decided.and_then(|row| row.get(key)).cloned().unwrap_or(Value::Null);
    Some(json!({
        "kind": "delivery",
        "at": rfc3339(record.at),
        "profile": record.action.0.profile.to_string(),
        "action_id": record.action.to_string(),
        "decision_id": of("id"),
        "journey": of("journey"),
        "step": of("step"),
        "template": of("template"),
        "channel": of("channel"),
        "endpoint": of("endpoint"),
        "outcome": result.as_str(),
        "detail": &**detail,
        "attempt": record.attempt,
    }))
}

/// A name or JSON null.
pub fn optional(name: Option<&Name>) -> Value {
    name.map_or(Value::Null, |name| Value::from(&**name))
}
