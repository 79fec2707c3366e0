//! `POST /hooks/{source}`: webhooks of shops, back ends and providers.
//!
//! Kinds `hook` and `webhook` are Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp` in
//! seconds, `webhook-signature: v1,<base64 HMAC-SHA256 of "id.timestamp.body">` (several, parted by
//! blanks, while a secret is rotated), secrets `whsec_<base64>`, body `{type, timestamp, data}`.

use super::success;
use super::track::Intake;
use crate::body;
use crate::keys::is_hook;
use crate::limits::{HOOK_BYTES_MAX, HOOK_TOLERANCE_S};
use crate::message::{
    self, Call, MESSAGE_ID_CHARS_MAX, Parts, Rejected, from_outside, repair_surrogates,
};
use crate::refusal::Refusal;
use crate::service::{FNV_SEED, Gateway, Load, fnv};
use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::Sha256;
use sojourn_model::Timestamp;
use std::borrow::Cow;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Event<'e> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'e RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'e RawValue>,
    #[serde(borrow)]
    data: Option<&'e RawValue>,
}

/// `POST /hooks/{source}`
pub(super) async fn hook(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let _admitted = gateway.admit(HOOK_BYTES_MAX)?;
    let current = gateway.current();
    let index = current.converter.source(&id).ok_or(Refusal::NotFound)?;
    let source = &current.definitions().workspace.sources[index];
    if !is_hook(&source.kind) {
        return Err(match &*source.kind {
            // These speak through write keys, not through hooks.
            "segment" | "pos" | "cloudevents" | "grpc" | "import" => Refusal::NotFound,
            kind => Refusal::NotImplemented(kind.to_string()),
        });
    }
    let (parts, body) = request.into_parts();
    let bytes = body::read(&parts.headers, body, HOOK_BYTES_MAX).await?;
    let signed = Signed::of(&parts.headers)?;
    signed.verify(current.keys.secrets(index), gateway.0.clock.now(), &bytes)?;

    let text = repair_surrogates(body::text(&bytes)?);
    message::check(&text)?;
    let not_json =
        |_| Rejected::new("body", "is not a JSON object", "send {type, timestamp, data}");
    let event: Event<'_> = serde_json::from_str(&text).map_err(not_json)?;
    let name = message::text_of("type", event.kind)?;
    let message_id = if signed.id.chars().count() <= MESSAGE_ID_CHARS_MAX {
        Cow::Borrowed(signed.id)
    } else {
        Cow::Owned(format!("hook-{:016x}", fnv(FNV_SEED, signed.id.as_bytes())))
    };
    let parts = Parts {
        call: Some(Call::Track),
        event: Some(name.ok_or_else(|| Rejected::new("type", "is missing", "name what happened"))?),
        message_id: Some(message_id),
        stated: message::time_of("timestamp", event.timestamp)?,
        properties: Cow::Borrowed(message::object_of("data", event.data)?),
        ..Parts::default()
    };
    let converted = from_outside(current.converter.assemble(parts, &gateway.envelope(index))?)?;
    let intake = Intake { gateway: &gateway, current: &current, refuses_ads: false };
    let mut load = Load::default();
    intake.push(&mut load, converted);
    gateway.commit(load).await?;
    Ok(success())
}

/// The three headers of a signed webhook.
struct Signed<'h> {
    id: &'h str,
    timestamp: &'h str,
    signatures: &'h str,
}

impl<'h> Signed<'h> {
    fn of(headers: &'h HeaderMap) -> Result<Self, Refusal> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let both = |name: &str| {
            header(&format!("webhook-{name}")).or_else(|| header(&format!("svix-{name}")))
        };
        match (both("id"), both("timestamp"), both("signature")) {
            (Some(id), Some(timestamp), Some(signatures)) if !id.is_empty() => {
                Ok(Self { id, timestamp, signatures })
            }
            _ => Err(Refusal::BadSignature(
                "webhook-id, webhook-timestamp or webhook-signature is missing",
            )),
        }
    }

    /// One of the secrets made one of the signatures, and it is recent.
    fn verify(&self, secrets: &[String], now: Timestamp, body: &[u8]) -> Result<(), Refusal> {
        let wrong = Refusal::BadSignature("no webhook-signature matches a secret of this source");
        let signed_at: i64 = self
            .timestamp
            .parse()
            .map_err(|_| Refusal::BadSignature("webhook-timestamp is not a number of seconds"))?;
        if now.0.div_euclid(1_000).saturating_sub(signed_at).saturating_abs() > HOOK_TOLERANCE_S {
            return Err(Refusal::BadSignature("webhook-timestamp is too far from now"));
        }
        let given: Vec<Vec<u8>> = self
            .signatures
            .split_whitespace()
            .filter_map(|signature| STANDARD.decode(signature.strip_prefix("v1,")?).ok())
            .collect();
        for secret in secrets {
            let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(secret));
            let Ok(key) = key.or_else(|_| Ok::<_, ()>(secret.as_bytes().to_vec())) else {
                continue;
            };
            let Ok(mac) = Hmac::<Sha256>::new_from_slice(&key) else { continue };
            let mac = mac
                .chain_update(self.id)
                .chain_update(".")
                .chain_update(self.timestamp)
                .chain_update(".")
                .chain_update(body);
            // `verify_slice` compares in constant time.
            if given.iter().any(|signature| mac.clone().verify_slice(signature).is_ok()) {
                return Ok(());
            }
        }
        Err(wrong)
    }
}
