//! `POST /v1/consents`: a back end or a call centre states a consent; a denial is in force before
//! it is acknowledged (CON-2).

use super::success;
use super::tills::take_text;
use super::track::{Intake, keyed_body};
use crate::limits::MESSAGE_BYTES_MAX;
use crate::message::{self, Call, Parts, Rejected, parse_rfc3339};
use crate::refusal::Refusal;
use crate::service::{Gateway, Load, new_message_id};
use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::{Map, Value};
use sojourn_model::{IdentifierKind, event_names};
use std::borrow::Cow;

/// Takes `{identifier: "email:a@b.c" and/or endpoint, channel, purpose, topic?, state:
/// granted|denied, source?, wording?, locale?, basis?, expires?, timestamp?, message_id?}` and
/// records `Consent Changed`.
pub(super) async fn consent(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Response, Refusal> {
    let _admitted = gateway.admit(MESSAGE_BYTES_MAX)?;
    let (parts, body) = request.into_parts();
    let (source, text) = keyed_body(&gateway, &parts.headers, body, MESSAGE_BYTES_MAX).await?;
    let current = gateway.current();
    message::check(&text)?;
    let mut members: Map<String, Value> = serde_json::from_str(&text)
        .map_err(|_| Rejected::new("body", "is not a JSON object", "send one statement"))?;

    let state = take_text(&mut members, &["state"])?.unwrap_or_default().to_lowercase();
    if !matches!(state.as_str(), "granted" | "denied") {
        return Err(Rejected::new("state", "is neither granted nor denied", "send one").into());
    }
    let purpose = take_text(&mut members, &["purpose"])?
        .ok_or_else(|| Rejected::new("purpose", "is missing", "name a purpose of policy.yaml"))?;
    let known = current.definitions().policy.purpose(&purpose).is_some()
        || matches!(purpose.as_str(), "personalization" | "analytics" | "advertising");
    if !known {
        let remedy = "name a purpose of policy.yaml";
        return Err(Rejected::new("purpose", "is not declared", remedy).into());
    }
    let channel = take_text(&mut members, &["channel"])?;
    let endpoint = take_text(&mut members, &["endpoint"])?;
    let named = take_text(&mut members, &["identifier"])?;
    let mut identifiers = Vec::new();
    if let Some(named) = named {
        let (kind, value) = split_identifier(&named).ok_or_else(|| {
            Rejected::new("identifier", "is not kind:value", "send one such as email:ann@b.example")
        })?;
        identifiers.extend(current.converter.identifier(&kind, value));
    }
    let by_endpoint = endpoint.as_deref().zip(channel.as_deref().and_then(endpoint_kind));
    if let Some((endpoint, kind)) = by_endpoint {
        identifiers.extend(current.converter.identifier(&kind, endpoint));
    }
    identifiers.sort();
    identifiers.dedup();
    if identifiers.is_empty() {
        let remedy = "send identifier, or endpoint with its channel";
        return Err(Rejected::new("identifier", "names nobody", remedy).into());
    }
    let message_id = take_text(&mut members, &["messageId", "message_id"])?;
    let stated = take_text(&mut members, &["timestamp", "occurred_at"])?;
    let stated = stated
        .map(|text| {
            parse_rfc3339(&text)
                .ok_or_else(|| Rejected::new("timestamp", "is not a time", "write it as RFC 3339"))
        })
        .transpose()?;
    members.insert("state".into(), state.into());
    members.insert("purpose".into(), purpose.into());
    for (name, value) in [("channel", channel), ("endpoint", endpoint)] {
        if let Some(value) = value {
            members.insert(name.into(), value.into());
        }
    }
    let properties = Value::Object(members).to_string();
    let parts = Parts {
        call: Some(Call::Track),
        event: Some(Cow::Borrowed(event_names::CONSENT_CHANGED)),
        message_id: Some(Cow::Owned(message_id.unwrap_or_else(new_message_id))),
        stated,
        properties: Cow::Borrowed(&properties),
        identifiers,
        ..Parts::default()
    };
    let converted = current.converter.assemble(parts, &gateway.envelope(source))?;
    let mut load = Load::default();
    let intake = Intake { gateway: &gateway, current: &current, refuses_ads: false };
    intake.push(&mut load, converted);
    gateway.commit(load).await?;
    Ok(success())
}

/// `email:a@b.c`, `social:insta:ann`, …: the value is what follows the kind.
fn split_identifier(text: &str) -> Option<(IdentifierKind, &str)> {
    let (first, rest) = text.split_once(':')?;
    if matches!(first, "social" | "custom") {
        let (name, value) = rest.split_once(':')?;
        return Some((IdentifierKind::parse(&format!("{first}:{name}"))?, value));
    }
    Some((IdentifierKind::parse(first)?, rest))
}

/// The kind of identifier that a channel's endpoints are (semantics 6).
pub(super) fn endpoint_kind(channel: &str) -> Option<IdentifierKind> {
    match channel {
        "email" => Some(IdentifierKind::Email),
        "sms" | "whatsapp" | "call" => Some(IdentifierKind::Phone),
        "push" => Some(IdentifierKind::DeviceId),
        _ => None,
    }
}
