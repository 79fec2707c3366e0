//! The Segment tracking API: single calls, batches, beacons.

use super::{query_value, success};
use crate::body;
use crate::limits;
use crate::message::{self, Call, Converted, Envelope, Rejected, repair_surrogates};
use crate::refusal::Refusal;
use crate::service::{Current, FNV_SEED, Gateway, Load, fnv};
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use serde_json::value::RawValue;
use sojourn_model::{Timestamp, event_names};
use std::borrow::Cow;

/// What surrounds the messages of a batch, and what a single message says of its sender.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Outer<'b> {
    #[serde(borrow)]
    batch: Option<Vec<&'b RawValue>>,
    #[serde(borrow)]
    write_key: Option<&'b RawValue>,
    #[serde(borrow)]
    sent_at: Option<&'b RawValue>,
    #[serde(borrow)]
    context: Option<&'b RawValue>,
}

/// `POST /v1/{call}`
pub(super) async fn call(
    State(gateway): State<Gateway>,
    Path(call): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    match call.as_str() {
        "batch" | "b" | "import" => ingest(&gateway, None, request).await,
        // The SDKs' own telemetry, which comes without a key.
        "m" => Ok(success()),
        name if Call::parse(name).is_some() => ingest(&gateway, Some(name), request).await,
        _ => Err(Refusal::NotFound),
    }
}

/// `POST /beacon/v1/{call}`: the same; the key is in the query.
pub(super) async fn beacon(
    gateway: State<Gateway>,
    path: Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    call(gateway, path, request).await
}

async fn ingest(
    gateway: &Gateway,
    call: Option<&str>,
    request: Request,
) -> Result<Response, Refusal> {
    let sizes = gateway.0.sizes;
    let limit = if call.is_some() { sizes.message_bytes_max } else { sizes.batch_bytes_max };
    let _admitted = gateway.admit(limit)?;
    let (parts, body) = request.into_parts();
    let bytes = body::read(&parts.headers, body, limit).await?;
    let load = convert(gateway, call, &parts.headers, parts.uri.query(), &bytes)?;
    gateway.commit(load).await?;
    Ok(success())
}

/// Everything between the bytes and the log; synchronous.
fn convert(
    gateway: &Gateway,
    call: Option<&str>,
    headers: &HeaderMap,
    query: Option<&str>,
    bytes: &[u8],
) -> Result<Load, Refusal> {
    let current = gateway.current();
    let text = repair_surrogates(body::text(bytes)?);
    let by_header = current.keys.by_header(headers);
    // A single message with a known key needs no second look.
    let is_batch = call.is_none() || memchr::memmem::find(text.as_bytes(), b"\"batch\"").is_some();
    let outer = if is_batch || by_header.is_none() { outer(&text)? } else { Outer::default() };
    let source = match by_header {
        Some(source) => source,
        None => by_body(&current, outer.write_key, query).ok_or(Refusal::Unauthorized)?,
    };
    let envelope = Envelope {
        call,
        sent_at: message::time_of("sentAt", outer.sent_at)?.or_else(|| sent_at_header(headers)),
        context: message::object_of("context", outer.context)?,
        ..gateway.envelope(source)
    };
    let intake = Intake { gateway, current: &current, refuses_ads: refuses_ads(headers) };
    let mut load = Load::default();
    let Some(batch) = outer.batch else {
        if call.is_none() {
            let remedy = "send {\"batch\": [message, …]}";
            return Err(Rejected::new("batch", "is missing", remedy).into());
        }
        // `context` was the message's own.
        let envelope = Envelope { context: "", ..envelope };
        return match intake.take(&mut load, &text, &envelope) {
            Ok(()) => Ok(load),
            Err(rejected) => {
                // The client will not send it again: it is kept with its reason.
                let source = current.definitions().workspace.sources[source].id.clone();
                load.reject(&rejected, &source, envelope.received_at, &text);
                let _ = gateway.append(load, |_| ());
                Err(rejected.into())
            }
        };
    };
    if batch.is_empty() || batch.len() > limits::BATCH_MESSAGES_MAX {
        let reason = format!("has {} messages", batch.len());
        let remedy = format!("send 1 to {}", limits::BATCH_MESSAGES_MAX);
        return Err(Rejected::new("batch", reason, remedy).into());
    }
    let source_id = current.definitions().workspace.sources[source].id.clone();
    let span = tracing::debug_span!("ingest", source = %source_id, messages = batch.len());
    let _entered = span.enter();
    for raw in batch {
        // One bad message does not cost the others: no SDK understands partial success.
        if let Err(rejected) = intake.take(&mut load, raw.get(), &envelope) {
            load.reject(&rejected, &source_id, envelope.received_at, raw.get());
        }
    }
    Ok(load)
}

fn outer(text: &str) -> Result<Outer<'_>, Rejected> {
    if !text.trim_start().starts_with('{') {
        let remedy = "send a message or a batch as an object";
        return Err(Rejected::new("body", "is not a JSON object", remedy));
    }
    serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        if error.is_data() {
            let reason =
                format!("is not a list, or a member is named twice (line {line}, column {column})");
            Rejected::new("batch", reason, "send {\"batch\": [message, …]}")
        } else {
            let reason = format!("is not well-formed JSON (line {line}, column {column})");
            Rejected::new("body", reason, "send a message or a batch as an object")
        }
    })
}

fn by_body(current: &Current, key: Option<&RawValue>, query: Option<&str>) -> Option<usize> {
    let in_body = message::text_of("writeKey", key).ok().flatten();
    in_body
        .and_then(|key| current.keys.source(&key))
        .or_else(|| current.keys.source(&query_value(query, "writeKey")?))
}

/// `SentAt`, which RudderStack's browser SDK sends as a header.
fn sent_at_header(headers: &HeaderMap) -> Option<Timestamp> {
    message::parse_rfc3339(headers.get("sentat")?.to_str().ok()?)
}

/// Whether the browser asks not to be sold or shared: `Sec-GPC: 1`; any other value says nothing.
pub(super) fn refuses_ads(headers: &HeaderMap) -> bool {
    headers.get("sec-gpc").is_some_and(|value| value.as_bytes() == b"1")
}

/// Takes single messages into a load.
pub(super) struct Intake<'g> {
    pub(super) gateway: &'g Gateway,
    pub(super) current: &'g Current,
    pub(super) refuses_ads: bool,
}

impl Intake<'_> {
    fn take(&self, load: &mut Load, json: &str, envelope: &Envelope<'_>) -> Result<(), Rejected> {
        let limit = self.gateway.0.sizes.message_bytes_max;
        if json.len() > limit {
            let reason = format!("has {} bytes, over the limit of {limit}", json.len());
            return Err(Rejected::new("body", reason, "send smaller messages"));
        }
        let converted = self.current.converter.convert(json, envelope)?;
        self.push(load, converted);
        Ok(())
    }

    /// Takes a converted touchpoint, and what the request's headers say of the person.
    pub(super) fn push(&self, load: &mut Load, converted: Converted<'_>) {
        let definitions = self.current.definitions();
        if self.refuses_ads && !converted.identifiers.is_empty() {
            self.push_signal(load, &converted);
        }
        load.push(converted, definitions);
    }

    /// `Sec-GPC: 1` as a consent record: once a day and person, as browsers repeat it on every call.
    fn push_signal(&self, load: &mut Load, of: &Converted<'_>) {
        let strongest = &of.identifiers[0];
        let day = of.received_at.0.div_euclid(86_400_000);
        let key = fnv(fnv(FNV_SEED, strongest.to_string().as_bytes()), &day.to_be_bytes());
        if !self.gateway.signal_is_new(key) {
            return;
        }
        let signal = Converted {
            message_id: Cow::Owned(format!("gpc-{key:016x}")),
            event: Cow::Borrowed(event_names::CONSENT_CHANGED),
            identifiers: of.identifiers.clone(),
            occurred_at: None,
            properties: Cow::Borrowed(
                r#"{"purpose":"advertising","state":"denied","source":"Sec-GPC"}"#,
            ),
            traits: Cow::Borrowed(""),
            context: Cow::Borrowed(""),
            ..of.clone()
        };
        load.push(signal, self.current.definitions());
    }
}

/// Reads a small JSON body of a keyed call and finds its source.
pub(super) async fn keyed_body(
    gateway: &Gateway,
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<(usize, String), Refusal> {
    let source = gateway.current().keys.by_header(headers);
    let bytes = body::read(headers, body, limit).await?;
    let text = repair_surrogates(body::text(&bytes)?).into_owned();
    Ok((source.ok_or(Refusal::Unauthorized)?, text))
}
