//! Records of the `decisions` topic: decisions (EXP-1) and notes.

use crate::convert::{decode, id, identifier_from_wire, identifier_to_wire, named, text};
use crate::log;
use crate::origin::{Origin, origin_from_wire, origin_to_wire};
use crate::wire::WireError;
use bytes::Bytes;
use prost::Message;
use sojourn_model::{
    CapReading, Decision, LogPosition, Note, Outcome, ProfileId, Reason, Timestamp, VersionId,
    ZoneSource,
};

/// A record of the `decisions` topic.
#[derive(Debug, Clone, PartialEq)]
pub enum DecisionRecord {
    /// One evaluation of one candidate.
    Decision(Box<Decision>),
    /// Something else that happened.
    Note(Note),
}

/// A decision's record.
pub fn decision_record(origin: Origin, decision: &Decision) -> Bytes {
    let wire = log::Decision {
        id: decision.id.to_string(),
        at_ms: decision.at.0,
        candidate_id: decision.candidate.to_string(),
        profile: decision.profile.0,
        identifiers: decision.identifiers.iter().map(identifier_to_wire).collect(),
        journey: decision.journey.to_string(),
        version: decision.version.0,
        run_key: text(decision.run_key.as_ref()),
        step: decision.step.to_string(),
        channel: decision.channel.to_string(),
        endpoint: text(decision.endpoint.as_ref()),
        purpose: decision.purpose.to_string(),
        topic: text(decision.topic.as_ref()),
        outcome: outcome_to_wire(decision.outcome).into(),
        reason: decision.reason.map(|reason| reason_to_wire(reason).into()),
        until_ms: decision.until.map(|at| at.0),
        action_id: decision.action.map(|action| action.to_string()),
        caps: decision.caps.iter().map(cap_to_wire).collect(),
        zone: decision.zone.to_string(),
        zone_source: zone_source_to_wire(decision.zone_source).into(),
        inputs_json: json(&decision.inputs),
    };
    record(origin, log::decision_record::Kind::Decision(wire))
}

/// A note's record. Its position is the origin's: `origin` must name the record that was applied.
pub fn note_record(origin: Origin, note: &Note) -> Bytes {
    debug_assert_eq!(
        note.position,
        LogPosition { partition: origin.partition, offset: origin.offset }
    );
    let wire = log::Note { at_ms: note.at.0, profile: note.profile.0, note_json: json(&note.kind) };
    record(origin, log::decision_record::Kind::Note(wire))
}

fn json<T: serde::Serialize>(value: &T) -> Bytes {
    serde_json::to_vec(value).expect("types of the model have JSON forms").into()
}

fn record(origin: Origin, kind: log::decision_record::Kind) -> Bytes {
    log::DecisionRecord { origin: Some(origin_to_wire(origin)), kind: Some(kind) }
        .encode_to_vec()
        .into()
}

/// Reads a record of the `decisions` topic.
pub fn decode_decision_record(bytes: &[u8]) -> Result<(Origin, DecisionRecord), WireError> {
    let wire: log::DecisionRecord = decode("decision record", bytes)?;
    let origin = origin_from_wire(wire.origin)?;
    let record = match wire.kind.ok_or_else(|| WireError::new("kind", "missing"))? {
        log::decision_record::Kind::Decision(decision) => {
            DecisionRecord::Decision(Box::new(decision_from_wire(&decision)?))
        }
        log::decision_record::Kind::Note(note) => DecisionRecord::Note(Note {
            position: LogPosition { partition: origin.partition, offset: origin.offset },
            at: Timestamp(note.at_ms),
            profile: ProfileId(note.profile),
            kind: serde_json::from_slice(&note.note_json)
                .map_err(|error| WireError::new("note.note_json", error.to_string()))?,
        }),
    };
    Ok((origin, record))
}

fn decision_from_wire(wire: &log::Decision) -> Result<Decision, WireError> {
    Ok(Decision {
        id: id("decision.id", &wire.id)?,
        at: Timestamp(wire.at_ms),
        candidate: id("decision.candidate_id", &wire.candidate_id)?,
        profile: ProfileId(wire.profile),
        identifiers: wire.identifiers.iter().map(identifier_from_wire).collect::<Result<_, _>>()?,
        journey: wire.journey.as_str().into(),
        version: VersionId(wire.version),
        run_key: named(wire.run_key.as_ref()),
        step: wire.step.as_str().into(),
        channel: wire.channel.as_str().into(),
        endpoint: named(wire.endpoint.as_ref()),
        purpose: wire.purpose.as_str().into(),
        topic: named(wire.topic.as_ref()),
        outcome: outcome_from_wire(wire.outcome)?,
        reason: wire.reason.map(reason_from_wire).transpose()?,
        until: wire.until_ms.map(Timestamp),
        action: wire.action_id.as_ref().map(|text| id("decision.action_id", text)).transpose()?,
        caps: wire.caps.iter().map(cap_from_wire).collect(),
        zone: wire.zone.as_str().into(),
        zone_source: zone_source_from_wire(&wire.zone_source)?,
        inputs: serde_json::from_slice(&wire.inputs_json)
            .map_err(|error| WireError::new("decision.inputs_json", error.to_string()))?,
    })
}

fn cap_to_wire(cap: &CapReading) -> log::CapReading {
    log::CapReading { id: cap.id.to_string(), used: cap.used, limit: cap.limit }
}

fn cap_from_wire(cap: &log::CapReading) -> CapReading {
    CapReading { id: cap.id.as_str().into(), used: cap.used, limit: cap.limit }
}

fn outcome_to_wire(outcome: Outcome) -> log::Outcome {
    match outcome {
        Outcome::Approve => log::Outcome::Approve,
        Outcome::Suppress => log::Outcome::Suppress,
        Outcome::Defer => log::Outcome::Defer,
        Outcome::Reroute => log::Outcome::Reroute,
    }
}

fn outcome_from_wire(outcome: i32) -> Result<Outcome, WireError> {
    match log::Outcome::try_from(outcome) {
        Ok(log::Outcome::Approve) => Ok(Outcome::Approve),
        Ok(log::Outcome::Suppress) => Ok(Outcome::Suppress),
        Ok(log::Outcome::Defer) => Ok(Outcome::Defer),
        Ok(log::Outcome::Reroute) => Ok(Outcome::Reroute),
        _ => Err(WireError::new("decision.outcome", "not a known outcome")),
    }
}

/// The wire's reasons stand in the order of [`Reason::ALL`], from 1.
fn reason_to_wire(reason: Reason) -> log::Reason {
    let place = Reason::ALL.iter().position(|&other| other == reason).expect("ALL names all");
    let number = i32::try_from(place + 1).expect("19 reasons");
    log::Reason::try_from(number).expect("the contract has the same reasons")
}

fn reason_from_wire(reason: i32) -> Result<Reason, WireError> {
    usize::try_from(reason)
        .ok()
        .and_then(|number| Reason::ALL.get(number.checked_sub(1)?).copied())
        .ok_or_else(|| WireError::new("decision.reason", "not a known reason"))
}

fn zone_source_to_wire(source: ZoneSource) -> &'static str {
    match source {
        ZoneSource::Declared => "declared",
        ZoneSource::Context => "context",
        ZoneSource::Phone => "phone",
        ZoneSource::Country => "country",
        ZoneSource::Workspace => "workspace",
    }
}

fn zone_source_from_wire(source: &str) -> Result<ZoneSource, WireError> {
    Ok(match source {
        "declared" => ZoneSource::Declared,
        "context" => ZoneSource::Context,
        "phone" => ZoneSource::Phone,
        "country" => ZoneSource::Country,
        "workspace" => ZoneSource::Workspace,
        _ => return Err(WireError::new("decision.zone_source", "not a known source")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_keeps_its_name_on_the_wire() {
        for reason in Reason::ALL {
            let wire = reason_to_wire(reason);
            let name = wire.as_str_name().strip_prefix("REASON_").expect("prefixed");
            assert_eq!(name.to_lowercase(), reason.as_str());
            assert_eq!(reason_from_wire(wire.into()), Ok(reason));
        }
        assert!(reason_from_wire(0).is_err() && reason_from_wire(20).is_err());
        assert!(reason_from_wire(-1).is_err());
    }
}
