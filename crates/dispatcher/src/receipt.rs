//! Receipts: what became of an action, told to the engine as touchpoints, so that caps commit or
//! release what they reserved.

use crate::Bounce;
use sojourn_model::{Action, ActionId, Timestamp, Touchpoint, Value, event_names};
use sojourn_proto::{DispatchResult, encode_touchpoint_record};

/// Source of the dispatcher's receipts.
pub const RECEIPT_SOURCE: &str = "sojourn";

/// The event that tells a final result.
fn event(result: DispatchResult) -> &'static str {
    match result {
        DispatchResult::Sent => event_names::MESSAGE_SENT,
        DispatchResult::Failed | DispatchResult::Refused => event_names::MESSAGE_FAILED,
        DispatchResult::Unknown => event_names::MESSAGE_UNKNOWN,
        DispatchResult::Retry | DispatchResult::Unsure => {
            unreachable!("an attempt's outcome is not a result")
        }
    }
}

/// Message id of a receipt: the same however often it is written, so that it counts once.
pub fn receipt_id(action: ActionId, result: DispatchResult) -> String {
    format!("receipt:{action}:{}", result.as_str())
}

/// The record of a receipt for the `touchpoints` topic.
pub(crate) fn receipt(
    action: &Action,
    result: DispatchResult,
    detail: &str,
    now: Timestamp,
) -> Vec<u8> {
    let properties = serde_json::json!({
        "action_id": action.id.to_string(),
        "journey": &*action.journey,
        "step": &*action.step,
        "channel": &*action.channel,
        "outcome": result.as_str(),
        "detail": detail,
    })
    .to_string();
    touchpoint(action, event(result), &receipt_id(action.id, result), &properties, now)
}

/// The record of what a call was answered, or that it failed, for the `touchpoints` topic. One id for
/// both: the first that is read counts.
pub(crate) fn call_receipt(
    action: &Action,
    result: DispatchResult,
    detail: &str,
    answer: Option<&str>,
    now: Timestamp,
) -> Vec<u8> {
    let mut properties = serde_json::json!({
        "action_id": action.id.to_string(),
        "journey": &*action.journey,
        "step": &*action.step,
        "host": &*action.channel,
        "outcome": result.as_str(),
        "detail": detail,
    });
    // An answer that is to be kept and was lost is none.
    let keep = action.variables.get("keep") == Some(&Value::Bool(true));
    let answered = result == DispatchResult::Sent && (answer.is_some() || !keep);
    let event = if answered { event_names::CALL_ANSWERED } else { event_names::CALL_FAILED };
    if let Some(answer) = answer.and_then(|text| serde_json::from_str(text).ok()) {
        let answer: serde_json::Value = answer;
        properties["answer"] = answer;
    }
    let id = format!("receipt:{}:answer", action.id);
    touchpoint(action, event, &id, &properties.to_string(), now)
}

/// The record of a bounce: the address of `action` does not take messages. The receipt tells that
/// the message has failed; this tells of the address, so that a hard one is not written to again.
pub(crate) fn bounce(action: &Action, bounce: Bounce, detail: &str, now: Timestamp) -> Vec<u8> {
    let properties = serde_json::json!({
        "type": match bounce {
            Bounce::Hard => "hard",
            Bounce::Soft => "soft",
        },
        "endpoint": &*action.endpoint,
        "action_id": action.id.to_string(),
        "journey": &*action.journey,
        "step": &*action.step,
        "detail": detail,
    })
    .to_string();
    let id = format!("bounce:{}", action.id);
    touchpoint(action, event_names::EMAIL_BOUNCED, &id, &properties, now)
}

fn touchpoint(action: &Action, event: &str, id: &str, properties: &str, now: Timestamp) -> Vec<u8> {
    let touchpoint = Touchpoint {
        message_id: id,
        source: RECEIPT_SOURCE,
        channel: if action.is_call() { "call" } else { &action.channel },
        event,
        identifiers: Vec::new(),
        occurred_at: Some(now),
        received_at: now,
        properties,
        traits: "",
        context: "",
        imported: false,
        profile: Some(action.profile),
    };
    let mut out = Vec::new();
    encode_touchpoint_record(&touchpoint, &mut out);
    out
}
