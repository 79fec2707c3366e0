//! CloudEvents 1.0 over HTTP: binary, structured and batch mode.
//!
//! `type` is the event's name, `id` the message id, `subject` the customer id, `time` when it
//! happened, `data` the properties (an object; anything else becomes the property `data`).

use super::success;
use super::track::{Intake, keyed_body, refuses_ads};
use crate::limits;
use crate::message::{self, Call, Converted, Envelope, Parts, Rejected, from_outside};
use crate::refusal::Refusal;
use crate::service::{Current, Gateway, Load};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// One event in JSON format; extensions are not read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Event<'e> {
    #[serde(borrow)]
    specversion: Option<&'e RawValue>,
    #[serde(borrow)]
    id: Option<&'e RawValue>,
    #[serde(borrow)]
    source: Option<&'e RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'e RawValue>,
    #[serde(borrow)]
    subject: Option<&'e RawValue>,
    #[serde(borrow)]
    time: Option<&'e RawValue>,
    #[serde(borrow)]
    data: Option<&'e RawValue>,
    #[serde(borrow)]
    data_base64: Option<&'e RawValue>,
}

/// `POST /v1/events`
pub(super) async fn events(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Response, Refusal> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_lowercase();
    let mode = match kind.as_str() {
        "application/cloudevents-batch+json" => Mode::Batch,
        "application/cloudevents+json" => Mode::Structured,
        _ => Mode::Binary,
    };
    let sizes = gateway.0.sizes;
    let limit = if mode == Mode::Batch { sizes.batch_bytes_max } else { sizes.message_bytes_max };
    let _admitted = gateway.admit(limit)?;
    let (parts, body) = request.into_parts();
    let (source, text) = keyed_body(&gateway, &parts.headers, body, limit).await?;
    let current = gateway.current();
    let intake =
        Intake { gateway: &gateway, current: &current, refuses_ads: refuses_ads(&parts.headers) };
    let envelope = gateway.envelope(source);
    let mut load = Load::default();
    match mode {
        Mode::Structured => intake.push(&mut load, structured(&current, &text, &envelope)?),
        Mode::Binary => {
            let event = binary(&parts.headers, &kind, &text)?;
            intake.push(&mut load, structured(&current, &event, &envelope)?);
        }
        Mode::Batch => {
            let batch: Vec<&RawValue> = serde_json::from_str(&text).map_err(|_| {
                Rejected::new("body", "is not a list of events", "send a JSON array")
            })?;
            if batch.len() > limits::BATCH_MESSAGES_MAX {
                let remedy = format!("send at most {}", limits::BATCH_MESSAGES_MAX);
                return Err(Rejected::new("body", "has too many events", remedy).into());
            }
            let source_id = current.definitions().workspace.sources[source].id.clone();
            for raw in batch {
                match structured(&current, raw.get(), &envelope) {
                    Ok(converted) => intake.push(&mut load, converted),
                    Err(rejected) => {
                        load.reject(&rejected, &source_id, envelope.received_at, raw.get());
                    }
                }
            }
        }
    }
    gateway.commit(load).await?;
    Ok(success())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Binary,
    Structured,
    Batch,
}

/// Converts one event in JSON format.
fn structured<'m>(
    current: &'m Current,
    json: &'m str,
    envelope: &Envelope<'m>,
) -> Result<Converted<'m>, Rejected> {
    message::check(json)?;
    let malformed = |_| Rejected::new("body", "is not a CloudEvent in JSON", "send one object");
    if !json.trim_start().starts_with('{') {
        return Err(Rejected::new("body", "is not a CloudEvent in JSON", "send one object"));
    }
    let event: Event<'m> = serde_json::from_str(json).map_err(malformed)?;
    let required = |field: &'static str, raw| {
        message::text_of(field, raw)?
            .ok_or_else(|| Rejected::new(field, "is missing", "CloudEvents 1.0 requires it"))
    };
    if required("specversion", event.specversion)? != "1.0" {
        return Err(Rejected::new("specversion", "is not 1.0", "send CloudEvents 1.0"));
    }
    required("source", event.source)?;
    let data = event.data.map_or("", RawValue::get);
    let properties = match (data, event.data_base64) {
        (object, _) if object.starts_with('{') => Cow::Borrowed(object),
        ("" | "null", None) => Cow::Borrowed(""),
        ("" | "null", Some(base64)) => Cow::Owned(format!(r#"{{"data_base64":{base64}}}"#)),
        (data, _) => Cow::Owned(format!(r#"{{"data":{data}}}"#)),
    };
    let parts = Parts {
        call: Some(Call::Track),
        event: Some(required("type", event.kind)?),
        message_id: Some(required("id", event.id)?),
        user_id: message::text_of("subject", event.subject)?,
        stated: message::time_of("time", event.time)?,
        properties,
        ..Parts::default()
    };
    from_outside(current.converter.assemble(parts, envelope)?)
}

/// An event in binary mode as JSON: attributes from `ce-` headers, data from the body.
fn binary(headers: &HeaderMap, content_type: &str, body: &str) -> Result<String, Rejected> {
    let mut event = serde_json::Map::new();
    for (name, value) in headers {
        let Some(attribute) = name.as_str().strip_prefix("ce-") else { continue };
        let value = percent_encoding::percent_decode(value.as_bytes()).decode_utf8();
        let value =
            value.map_err(|_| Rejected::new(name.as_str(), "is not UTF-8", "percent-encode it"))?;
        event.insert(attribute.to_string(), Cow::into_owned(value).into());
    }
    let is_json = content_type.is_empty()
        || content_type == "text/json"
        || content_type == "application/json"
        || content_type.ends_with("+json");
    if body.trim().is_empty() {
        event.remove("data");
    } else if is_json {
        message::check(body)?;
        let data: &RawValue = serde_json::from_str(body).map_err(|_| {
            Rejected::new("data", "is not well-formed JSON", "send JSON or name its content type")
        })?;
        // Spliced in as text, so that numbers stay as they were written.
        let mut text = serde_json::Value::Object(event).to_string();
        text.pop();
        if text.len() > 1 {
            text.push(',');
        }
        return Ok(format!("{text}\"data\":{}}}", data.get()));
    } else {
        event.insert("data".into(), body.into());
    }
    Ok(serde_json::Value::Object(event).to_string())
}
