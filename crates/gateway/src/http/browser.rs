//! What browsers and mobile SDKs ask for beside sending: settings, source configuration, the pixel.

use super::track::{Intake, refuses_ads};
use super::{gif, json, query_pairs, query_value};
use crate::message::{Envelope, Rejected, repair_surrogates};
use crate::refusal::Refusal;
use crate::service::{Gateway, Load};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Map, Value};

/// `GET /v1/projects/{key}/settings`: without it the Segment SDKs send nothing. `apiKey` is needed:
/// without it they send neither `Authorization` nor `writeKey`.
pub(super) async fn settings(
    State(gateway): State<Gateway>,
    Path(key): Path<String>,
) -> Result<Response, Refusal> {
    gateway.current().keys.source(&key).ok_or(Refusal::NotFound)?;
    Ok(json(&serde_json::json!({
        "integrations": { "Segment.io": { "apiKey": key } },
        "plan": { "track": { "__default": { "enabled": true } } },
        "edgeFunction": {},
    })))
}

/// `GET /sourceConfig`: the same for RudderStack's SDKs.
pub(super) async fn source_config(
    State(gateway): State<Gateway>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refusal> {
    let current = gateway.current();
    let in_query = || current.keys.source(&query_value(uri.query(), "writeKey")?);
    let index = current.keys.by_header(&headers).or_else(in_query).ok_or(Refusal::Unauthorized)?;
    let id = &*current.definitions().workspace.sources[index].id;
    let off = serde_json::json!({ "enabled": false });
    Ok(json(&serde_json::json!({
        "source": {
            "id": id,
            "name": id,
            "writeKey": query_value(uri.query(), "writeKey").unwrap_or_default(),
            "enabled": true,
            "config": { "statsCollection": { "errors": off, "metrics": off } },
            "destinations": [],
            "dataplanes": {},
        },
        "updatedAt": "1970-01-01T00:00:00Z",
    })))
}

/// `GET /.well-known/gpc.json`: we honour the signal.
pub(super) async fn gpc() -> Response {
    json(&serde_json::json!({ "gpc": true, "lastUpdate": "2026-11-22" }))
}

/// `GET /pixel/v1/{track,page}`: a message in a query string, for mails and pages without scripts.
/// Either `data` is the message in base64, or its members are pairs; unknown names are properties.
pub(super) async fn pixel(
    State(gateway): State<Gateway>,
    Path(call): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    if !matches!(call.as_str(), "track" | "page") {
        return Err(Refusal::NotFound);
    }
    let _admitted = gateway.admit(0)?;
    let query = request.uri().query();
    let current = gateway.current();
    let key = query_value(query, "writeKey").unwrap_or_default();
    let source = current.keys.source(&key).ok_or(Refusal::Unauthorized)?;
    let message = message(query)?;
    let envelope = Envelope { call: Some(&call), ..gateway.envelope(source) };
    let intake = Intake {
        gateway: &gateway,
        current: &current,
        refuses_ads: refuses_ads(request.headers()),
    };
    let mut load = Load::default();
    intake.push(&mut load, current.converter.convert(&message, &envelope)?);
    gateway.commit(load).await?;
    Ok(gif())
}

fn message(query: Option<&str>) -> Result<String, Rejected> {
    if let Some(data) = query_value(query, "data") {
        let bytes = STANDARD.decode(&data).or_else(|_| URL_SAFE.decode(&data)).ok();
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| {
            Rejected::new("data", "is not base64 of a message", "encode the message's JSON")
        })?;
        return Ok(repair_surrogates(&text).into_owned());
    }
    let mut message = Map::new();
    let mut properties = Map::new();
    for (name, value) in query_pairs(query) {
        let value = Value::String(value);
        match name.as_str() {
            "writeKey" => {}
            "event" | "userId" | "anonymousId" | "messageId" | "timestamp"
            | "originalTimestamp" | "sentAt" | "name" | "category" => {
                message.insert(name, value);
            }
            "properties" => {
                if let Value::String(text) = &value
                    && let Ok(Value::Object(given)) = serde_json::from_str(text)
                {
                    properties.extend(given);
                }
            }
            _ => {
                let name = name.strip_prefix("properties.").unwrap_or(&name);
                properties.insert(name.to_string(), value);
            }
        }
    }
    message.insert("properties".into(), Value::Object(properties));
    Ok(Value::Object(message).to_string())
}
