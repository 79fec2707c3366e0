//! `POST /v1/checkins`: somebody shows their card at a till; the answer is what to tell them.

use super::json;
use super::track::{Intake, keyed_body};
use crate::limits::{MESSAGE_BYTES_MAX, PROMPT_TIME_MAX};
use crate::message::{self, Call, Parts, Rejected, parse_rfc3339};
use crate::metric::{self, Stopwatch};
use crate::refusal::Refusal;
use crate::service::{Gateway, Load, new_message_id};
use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::{Map, Value};
use sojourn_channels::Prompt;
use sojourn_model::{Identifier, IdentifierKind, event_names};
use std::borrow::Cow;

/// Members that name the person, and the kind they are of.
const PERSON: [(&str, IdentifierKind); 5] = [
    ("customer_id", IdentifierKind::CustomerId),
    ("email", IdentifierKind::Email),
    ("phone", IdentifierKind::Phone),
    ("loyalty_card", IdentifierKind::LoyaltyId),
    ("loyalty_id", IdentifierKind::LoyaltyId),
];

/// Takes `{loyalty_card | loyalty_id | customer_id | email | phone, store_id, till?, message_id?,
/// timestamp?, …}`, records `Store Visited`, and answers `{"prompt": {title, text, …}}`: what the
/// journeys decided within [`PROMPT_TIME_MAX`], or null.
pub(super) async fn checkin(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Response, Refusal> {
    let started = Stopwatch::start();
    let _admitted = gateway.admit(MESSAGE_BYTES_MAX)?;
    let (parts, body) = request.into_parts();
    let (source, text) = keyed_body(&gateway, &parts.headers, body, MESSAGE_BYTES_MAX).await?;
    let current = gateway.current();
    message::check(&text)?;
    let mut members: Map<String, Value> = serde_json::from_str(&text)
        .map_err(|_| Rejected::new("body", "is not a JSON object", "send one check-in"))?;

    let mut identifiers = Vec::new();
    for (name, kind) in &PERSON {
        let Some(value) = take_text(&mut members, &[*name])? else { continue };
        identifiers.extend(current.converter.identifier(kind, &value));
    }
    if identifiers.is_empty() {
        let remedy = "send loyalty_card, customer_id, email or phone";
        return Err(Rejected::new("loyalty_card", "names nobody", remedy).into());
    }
    if !members.contains_key("store_id") {
        return Err(Rejected::new("store_id", "is missing", "say which store").into());
    }
    identifiers.sort();
    identifiers.dedup();
    let message_id = take_text(&mut members, &["messageId", "message_id"])?;
    let message_id = message_id.unwrap_or_else(new_message_id);
    let stated = take_text(&mut members, &["timestamp"])?;
    let stated = stated
        .map(|text| {
            parse_rfc3339(&text)
                .ok_or_else(|| Rejected::new("timestamp", "is not a time", "write it as RFC 3339"))
        })
        .transpose()?;
    let properties = Value::Object(members).to_string();
    let parts = Parts {
        call: Some(Call::Track),
        event: Some(Cow::Borrowed(event_names::STORE_VISITED)),
        message_id: Some(Cow::Borrowed(&message_id)),
        stated,
        properties: Cow::Borrowed(&properties),
        identifiers,
        ..Parts::default()
    };
    let converted = current.converter.assemble(parts, &gateway.envelope(source))?;
    let who = converted.identifiers.clone();
    let waiting = gateway.0.prompts.as_ref().map(|prompts| prompts.expect(&message_id));
    let mut load = Load::default();
    let intake = Intake { gateway: &gateway, current: &current, refuses_ads: false };
    intake.push(&mut load, converted);
    gateway.commit(load).await?;

    let prompt = match waiting {
        Some(waiting) => waiting.wait(PROMPT_TIME_MAX.saturating_sub(started.elapsed())).await,
        None => None,
    };
    let mut prompts = match prompt {
        Some(prompt) => vec![prompt],
        None => kept(&gateway, &who),
    };
    let in_time = if prompts.is_empty() { "no" } else { "yes" };
    metrics::counter!(metric::CHECKINS, "prompt" => in_time).increment(1);
    let more = prompts.split_off(prompts.len().min(1));
    let mut answer = serde_json::json!({ "prompt": prompts.first().map(shown) });
    if !more.is_empty() {
        answer["more"] = more.iter().map(shown).collect();
    }
    Ok(json(&answer))
}

/// Prompts that were decided before this visit and wait for the person.
fn kept(gateway: &Gateway, who: &[Identifier]) -> Vec<Prompt> {
    let (Some(prompts), Some(people)) = (&gateway.0.prompts, gateway.0.people.get()) else {
        return Vec::new();
    };
    let profile = people.profile(who);
    profile.map(|profile| prompts.take(&profile.to_string())).unwrap_or_default()
}

/// A prompt as a till shows it.
fn shown(prompt: &Prompt) -> Value {
    let message = &prompt.message;
    serde_json::json!({
        "action_id": prompt.action_id,
        "title": message.subject,
        "text": message.text,
        "html": message.html,
        "why_url": message.why_url,
    })
}

/// Takes the first of `names` out of `members`: a text or a number.
pub(super) fn take_text(
    members: &mut Map<String, Value>,
    names: &[&'static str],
) -> Result<Option<String>, Rejected> {
    for name in names {
        match members.remove(*name) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) if text.trim().is_empty() => {}
            Some(Value::String(text)) => return Ok(Some(text)),
            Some(Value::Number(number)) => return Ok(Some(number.to_string())),
            Some(_) => return Err(Rejected::new(*name, "is not a text", "send a text")),
        }
    }
    Ok(None)
}
