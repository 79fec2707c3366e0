//! Records of the `actions` topic.

use crate::convert::{decode, id, named, text};
use crate::json::{value_from_json, value_to_json};
use crate::log;
use crate::origin::{Origin, origin_from_wire, origin_to_wire};
use crate::wire::WireError;
use bytes::Bytes;
use prost::Message;
use sojourn_model::{Action, ActionId, MessageClass, Name, ProfileId, Timestamp, Value, VersionId};

/// A record of the `actions` topic.
#[derive(Debug, Clone, PartialEq)]
pub enum ActionRecord {
    /// Deliver this.
    Action(Box<Action>),
    /// Do not deliver this any more, if it has not been handed over.
    Cancel {
        /// Which.
        action: ActionId,
        /// Why.
        reason: Name,
    },
}

/// A record that orders a delivery.
pub fn action_record(origin: Origin, action: &Action) -> Bytes {
    let wire = log::Action {
        id: action.id.to_string(),
        decision_id: action.decision.to_string(),
        profile: action.profile.0,
        channel: action.channel.to_string(),
        endpoint: action.endpoint.to_string(),
        purpose: action.purpose.to_string(),
        topic: text(action.topic.as_ref()),
        journey: action.journey.to_string(),
        version: action.version.0,
        run_key: text(action.run_key.as_ref()),
        step: action.step.to_string(),
        template: action.template.to_string(),
        locale: action.locale.to_string(),
        variables_json: value_to_json(&action.variables).into(),
        expires_ms: action.expires.map(|at| at.0),
        quiet_from_ms: action.quiet_from.map(|at| at.0),
        quiet_until_ms: action.quiet_until.map(|at| at.0),
        approved_at_ms: action.approved_at.0,
        cause: action.cause.to_string(),
        at_least_once: action.class == MessageClass::AtLeastOnce,
        priority: action.priority,
        identifiers: action.identifiers.iter().map(ToString::to_string).collect(),
    };
    record(origin, log::action_record::Kind::Action(wire))
}

/// A record that takes an action back.
pub fn cancel_record(origin: Origin, action: ActionId, reason: &str) -> Bytes {
    let wire = log::Cancel { action_id: action.to_string(), reason: reason.into() };
    record(origin, log::action_record::Kind::Cancel(wire))
}

fn record(origin: Origin, kind: log::action_record::Kind) -> Bytes {
    log::ActionRecord { origin: Some(origin_to_wire(origin)), kind: Some(kind) }
        .encode_to_vec()
        .into()
}

/// Reads a record of the `actions` topic.
pub fn decode_action_record(bytes: &[u8]) -> Result<(Origin, ActionRecord), WireError> {
    let wire: log::ActionRecord = decode("action record", bytes)?;
    let origin = origin_from_wire(wire.origin)?;
    let record = match wire.kind.ok_or_else(|| WireError::new("kind", "missing"))? {
        log::action_record::Kind::Action(action) => {
            ActionRecord::Action(Box::new(action_from_wire(&action)?))
        }
        log::action_record::Kind::Cancel(cancel) => ActionRecord::Cancel {
            action: id("cancel.action_id", &cancel.action_id)?,
            reason: cancel.reason.into(),
        },
    };
    Ok((origin, record))
}

fn action_from_wire(wire: &log::Action) -> Result<Action, WireError> {
    Ok(Action {
        id: id("action.id", &wire.id)?,
        decision: id("action.decision_id", &wire.decision_id)?,
        profile: ProfileId(wire.profile),
        channel: wire.channel.as_str().into(),
        endpoint: wire.endpoint.as_str().into(),
        purpose: wire.purpose.as_str().into(),
        topic: named(wire.topic.as_ref()),
        journey: wire.journey.as_str().into(),
        version: VersionId(wire.version),
        run_key: named(wire.run_key.as_ref()),
        step: wire.step.as_str().into(),
        template: wire.template.as_str().into(),
        locale: wire.locale.as_str().into(),
        variables: match &*wire.variables_json {
            [] => Value::Null,
            json => value_from_json("action.variables_json", json)?,
        },
        expires: wire.expires_ms.map(Timestamp),
        quiet_from: wire.quiet_from_ms.map(Timestamp),
        quiet_until: wire.quiet_until_ms.map(Timestamp),
        approved_at: Timestamp(wire.approved_at_ms),
        cause: wire.cause.as_str().into(),
        class: if wire.at_least_once {
            MessageClass::AtLeastOnce
        } else {
            MessageClass::AtMostOnce
        },
        priority: wire.priority,
        identifiers: wire.identifiers.iter().map(|value| value.as_str().into()).collect(),
    })
}
