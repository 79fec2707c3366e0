//! Records of the `dispatch` topic (the dispatcher's own memory) and of `dead-letters`.

use crate::convert::{decode, id};
use crate::log;
use crate::wire::WireError;
use bytes::Bytes;
use prost::Message;
use sojourn_model::{ActionId, LogPosition, Name, Timestamp};

/// A record of the `dispatch` topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DispatchRecord {
    /// The action.
    pub action: ActionId,
    /// Attempt, from 1; 0 for an outcome without one.
    pub attempt: u32,
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: DispatchKind,
}

/// What the dispatcher writes down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DispatchKind {
    /// A call is about to be made; durable before it is (ACT-1).
    Intent {
        /// Channel it goes to.
        channel: Name,
    },
    /// What came of an attempt or, when the result is final, of the action.
    Outcome {
        /// Result.
        result: DispatchResult,
        /// The provider's message id, or why not.
        detail: Name,
        /// Where the action stands in `actions`.
        position: LogPosition,
    },
}

/// Result of a dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DispatchResult {
    /// The provider took it.
    Sent,
    /// It did not go out and never will.
    Failed,
    /// Nobody knows.
    Unknown,
    /// The gate refused it before any call.
    Refused,
    /// One attempt was not taken; it may be tried again. Not final.
    Retry,
    /// Nobody knows of one attempt; it is asked or tried again under the same id. Not final.
    Unsure,
}

impl DispatchResult {
    /// As written in records and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Refused => "refused",
            Self::Retry => "retry",
            Self::Unsure => "unsure",
        }
    }
}

/// Encodes a record of the `dispatch` topic.
pub fn dispatch_record(record: &DispatchRecord) -> Bytes {
    let kind = match &record.kind {
        DispatchKind::Intent { channel } => {
            log::dispatch_record::Kind::Intent(log::dispatch_record::Intent {
                channel: channel.to_string(),
            })
        }
        DispatchKind::Outcome { result, detail, position } => {
            log::dispatch_record::Kind::Outcome(log::dispatch_record::DispatchOutcome {
                outcome: result.as_str().into(),
                detail: detail.to_string(),
                partition: position.partition.into(),
                offset: position.offset,
            })
        }
    };
    log::DispatchRecord {
        action_id: record.action.to_string(),
        attempt: record.attempt,
        at_ms: record.at.0,
        kind: Some(kind),
    }
    .encode_to_vec()
    .into()
}

/// Reads a record of the `dispatch` topic.
pub fn decode_dispatch_record(bytes: &[u8]) -> Result<DispatchRecord, WireError> {
    let wire: log::DispatchRecord = decode("dispatch record", bytes)?;
    let kind = match wire.kind.ok_or_else(|| WireError::new("kind", "missing"))? {
        log::dispatch_record::Kind::Intent(intent) => {
            DispatchKind::Intent { channel: intent.channel.into() }
        }
        log::dispatch_record::Kind::Outcome(outcome) => DispatchKind::Outcome {
            result: match outcome.outcome.as_str() {
                "sent" => DispatchResult::Sent,
                "failed" => DispatchResult::Failed,
                "unknown" => DispatchResult::Unknown,
                "refused" => DispatchResult::Refused,
                "retry" => DispatchResult::Retry,
                "unsure" => DispatchResult::Unsure,
                _ => return Err(WireError::new("outcome.outcome", "not a known outcome")),
            },
            detail: outcome.detail.into(),
            position: LogPosition {
                partition: u16::try_from(outcome.partition)
                    .map_err(|_| WireError::new("outcome.partition", "over 16 bits"))?,
                offset: outcome.offset,
            },
        },
    };
    Ok(DispatchRecord {
        action: id("action_id", &wire.action_id)?,
        attempt: wire.attempt,
        at: Timestamp(wire.at_ms),
        kind,
    })
}

/// Something that could not be used, kept with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Why: a short fixed word such as `no_identifier`.
    pub reason: Name,
    /// Declared source, when known.
    pub source: Name,
    /// When.
    pub at: Timestamp,
    /// What came, as it came.
    pub body: Bytes,
    /// More about the reason; no personal data.
    pub detail: Name,
}

/// Encodes a record of the `dead-letters` topic.
pub fn dead_letter(letter: &DeadLetter) -> Bytes {
    log::DeadLetter {
        reason: letter.reason.to_string(),
        source: letter.source.to_string(),
        at_ms: letter.at.0,
        body: letter.body.clone(),
        detail: letter.detail.to_string(),
    }
    .encode_to_vec()
    .into()
}

/// Reads a record of the `dead-letters` topic.
pub fn decode_dead_letter(bytes: &[u8]) -> Result<DeadLetter, WireError> {
    let wire: log::DeadLetter = decode("dead letter", bytes)?;
    Ok(DeadLetter {
        reason: wire.reason.into(),
        source: wire.source.into(),
        at: Timestamp(wire.at_ms),
        body: wire.body,
        detail: wire.detail.into(),
    })
}
