//! Webhook: each message as a signed POST (Standard Webhooks).
//!
//! `url`, `secret` (`whsec_…` or any text). Optional: `timeout` (default 15s), `allow_private: true`
//! (addresses inside your own network), `idempotency_window` (for how long your receiver remembers
//! `webhook-id`, which is the action id; then an unknown outcome is tried again).

pub(crate) mod guard;
mod sign;

pub use sign::{Secret, sign};

use crate::channel::{Channel, ChannelError, Description, Outgoing, answer};
use crate::settings::{SettingError, Settings};
use chrono::SecondsFormat;
use futures::future::BoxFuture;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{StatusCode, Url, redirect};
use serde_json::json;
use sojourn_model::Timestamp;
use sojourn_ports::Clock;
use sojourn_proto::channel::{DeliverRequest, DeliverResponse, DeliveryOutcome};
use std::sync::Arc;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(15);
const CONNECT_MAX: Duration = Duration::from_secs(5);
const IN_FLIGHT: u32 = 64;
/// The longest pause that a receiver may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

/// The channel of kind `webhook`.
pub struct Webhook {
    client: reqwest::Client,
    url: Url,
    secret: Secret,
    idempotency_window: Duration,
    clock: Arc<dyn Clock>,
}

impl Webhook {
    /// Reads the settings; connects at the first message.
    pub fn new(settings: &Settings<'_>, clock: Arc<dyn Clock>) -> Result<Self, SettingError> {
        let url = Url::parse(&settings.need("url")?)
            .map_err(|error| settings.error("url", format!("not a URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(settings.error("url", "write an http:// or https:// address"));
        }
        let secret = Secret::new(&settings.need("secret")?)
            .map_err(|problem| settings.error("secret", problem))?;
        let allow_private = settings.flag("allow_private")?;
        if !allow_private && guard::is_private_host(&url) {
            return Err(settings.error(
                "url",
                "the address is private; set `allow_private: true` if that is meant",
            ));
        }
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let mut client = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_MAX)
            .timeout(settings.duration("timeout", TIMEOUT)?)
            .user_agent(concat!("sojourn/", env!("CARGO_PKG_VERSION")));
        if !allow_private {
            client = client.dns_resolver(Arc::new(guard::PublicOnly));
        }
        let client = client.build().map_err(|error| settings.error("url", error.to_string()))?;
        let window = settings.duration("idempotency_window", Duration::from_millis(1))?;
        let idempotency_window =
            if settings.get("idempotency_window")?.is_some() { window } else { Duration::ZERO };
        Ok(Self { client, url, secret, idempotency_window, clock })
    }

    async fn post(&self, request: &DeliverRequest) -> DeliverResponse {
        let id = &request.action_id;
        let now = self.clock.now();
        let body = message_json(request, now).to_string();
        match self.send(id, now, body, &request.traceparent).await {
            Ok(response) => self.judge(id, response.status(), response.headers()),
            // Nothing can have arrived when there was no connection. reqwest's words name the URL,
            // which may hold a secret: only the kind is told.
            Err(error) if error.is_connect() || error.is_builder() => {
                answer(id, DeliveryOutcome::Retry, "no connection")
            }
            Err(error) if error.is_timeout() => {
                answer(id, DeliveryOutcome::Unknown, "no answer in time")
            }
            Err(_) => answer(id, DeliveryOutcome::Unknown, "the connection broke"),
        }
    }

    async fn send(
        &self,
        id: &str,
        now: Timestamp,
        body: String,
        traceparent: &str,
    ) -> Result<reqwest::Response, reqwest::Error> {
        let seconds = now.0.div_euclid(1_000);
        self.client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", sign(&self.secret, id, seconds, body.as_bytes()))
            .header("traceparent", traceparent)
            .body(body)
            .send()
            .await
    }

    fn judge(&self, id: &str, status: StatusCode, headers: &HeaderMap) -> DeliverResponse {
        let outcome = match status.as_u16() {
            200..=299 => DeliveryOutcome::Sent,
            408 | 425 | 429 => DeliveryOutcome::Retry,
            500..=599 => DeliveryOutcome::Retry, // the receiver says that it did not take it
            _ => DeliveryOutcome::Failed,        // also 3xx: a redirect is not followed; 410: gone
        };
        let mut response = answer(id, outcome, &format!("HTTP {}", status.as_u16()));
        if outcome == DeliveryOutcome::Retry
            && let Some(pause) = retry_after(headers, self.clock.now())
        {
            response.retry_after_ms =
                pause.min(RETRY_AFTER_MAX).as_millis().try_into().unwrap_or(0);
        }
        response
    }
}

/// `Retry-After` in seconds or as a date.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let at = chrono::DateTime::parse_from_rfc2822(text).ok()?.timestamp_millis();
    Some(Duration::from_millis(at.saturating_sub(now.0).try_into().ok()?))
}

fn rfc3339(at: Timestamp) -> String {
    chrono::DateTime::from_timestamp_millis(at.0)
        .map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true))
        .unwrap_or_default()
}

/// A message as JSON, for receivers and files.
pub(crate) fn message_json(request: &DeliverRequest, now: Timestamp) -> serde_json::Value {
    let message = request.message.clone().unwrap_or_default();
    let variables: serde_json::Value =
        serde_json::from_slice(&message.variables_json).unwrap_or_default();
    json!({
        "type": "message.approved",
        "timestamp": rfc3339(now),
        "data": {
            "action_id": request.action_id,
            "channel": request.channel,
            "endpoint": request.endpoint,
            "purpose": request.purpose,
            "topic": request.topic,
            "journey": request.journey,
            "step": request.step,
            "version": request.version,
            "template": request.template,
            "locale": request.locale,
            "decision_id": request.decision_id,
            "attempt": request.attempt,
            "expires_at": request.expires_at_ms.map(|ms| rfc3339(Timestamp(ms))),
            "message": {
                "subject": message.subject,
                "preheader": message.preheader,
                "html": message.html,
                "text": message.text,
                "unsubscribe_url": message.unsubscribe_url,
                "preferences_url": message.preferences_url,
                "why_url": message.why_url,
            },
            "variables": variables,
        },
    })
}

impl Channel for Webhook {
    fn describe(&self) -> BoxFuture<'_, Result<Description, ChannelError>> {
        Box::pin(async {
            Ok(Description {
                channels: Vec::new(),
                idempotency_window: self.idempotency_window,
                status_lookup: false,
                in_flight: IN_FLIGHT,
            })
        })
    }

    fn deliver(&self, outgoing: Outgoing) -> BoxFuture<'_, DeliverResponse> {
        Box::pin(async move {
            let Outgoing { request, permit } = outgoing;
            let response = if request.lookup_only {
                answer(&request.action_id, DeliveryOutcome::Unknown, "a webhook cannot be asked")
            } else {
                self.post(&request).await
            };
            // Only the answer tells that the request went out, so the permit lives until then; the
            // time-outs bound how long a revocation may wait (CON-2).
            drop(permit);
            response
        })
    }

    /// Posts `person.erased` with the endpoint, signed like a message.
    fn forget<'a>(&'a self, endpoint: &'a str) -> BoxFuture<'a, Result<(), ChannelError>> {
        Box::pin(async move {
            let now = self.clock.now();
            let body = json!({
                "type": "person.erased",
                "timestamp": rfc3339(now),
                "data": { "endpoint": endpoint },
            });
            let id = format!("forget-{}", crate::trace::trace_id(endpoint));
            match self.send(&id, now, body.to_string(), "").await {
                Ok(response) if response.status().is_success() => Ok(()),
                Ok(response) => {
                    Err(ChannelError(format!("forgetting: HTTP {}", response.status().as_u16())))
                }
                Err(_) => Err(ChannelError("forgetting: no answer".into())),
            }
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
