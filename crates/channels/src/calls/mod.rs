//! Calls: the step `call` of a journey, as one HTTP request and its JSON answer.
//!
//! The action carries the request with its values; here it is made, once, with `Idempotency-Key` (the
//! action's id, the same on every attempt) and, where sojourn.yaml gives `calls.secret`, the signature
//! of Standard Webhooks. Redirects are not followed, and a private address is refused, also when a
//! public name leads there, unless `calls.allow_private` says otherwise.

use crate::settings::{Lookup, resolve};
use crate::webhook::{Secret, guard, retry_after, sign};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url, redirect};
use sojourn_model::{Action, Timestamp, Value};
use sojourn_ports::{Clock, Permit};
use sojourn_proto::channel::DeliveryOutcome;
use sojourn_proto::value_to_json;
use sojourn_rules::Workspace;
pub use sojourn_rules::limits::CALL_TIMEOUT_MAX;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of an answer that a run keeps; a longer one is no answer.
pub const ANSWER_BYTES_MAX: usize = 16 << 10;
/// The longest time that one attempt takes; the step's `timeout` covers all of them.
pub const ATTEMPT_MAX: Duration = Duration::from_secs(10);
/// Calls in flight to one host.
pub const IN_FLIGHT: u32 = 32;
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// The longest pause that a service may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// Sent: it was answered.
    pub outcome: DeliveryOutcome,
    /// The status, or why not. Never names the address, which may hold what is personal.
    pub detail: String,
    /// For a retry: not before.
    pub retry_after: Duration,
    /// The answer as JSON text; `null` where nobody reads it.
    pub answer: Option<String>,
}

impl Called {
    fn of(outcome: DeliveryOutcome, detail: impl Into<String>) -> Self {
        Self { outcome, detail: detail.into(), retry_after: Duration::ZERO, answer: None }
    }
}

/// Makes the calls of a workspace.
pub struct Caller {
    client: reqwest::Client,
    secret: Option<Secret>,
    allow_private: bool,
    clock: Arc<dyn Clock>,
}

impl Caller {
    /// Reads `calls` of sojourn.yaml; connects at the first call.
    pub fn new(
        workspace: &Workspace,
        lookup: Lookup<'_>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let calls = &workspace.calls;
        let secret = match &calls.secret {
            Some((written, line)) => {
                let at = format!("sojourn.yaml:{line}: calls.secret");
                let text = resolve(written, lookup)
                    .map_err(|name| format!("{at}: ${{{name}}} has no value: set it"))?;
                Some(Secret::new(&text).map_err(|problem| format!("{at}: {problem}"))?)
            }
            None => None,
        };
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let mut client = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_MAX)
            .user_agent(concat!("sojourn/", env!("CARGO_PKG_VERSION")));
        if !calls.allow_private {
            client = client.dns_resolver(Arc::new(guard::PublicOnly));
        }
        let client = client.build().map_err(|error| format!("calls: {error}"))?;
        Ok(Self { client, secret, allow_private: calls.allow_private, clock })
    }

    /// Makes one attempt. The permit lives until the answer (CON-2), which [`ATTEMPT_MAX`] bounds.
    pub async fn call(&self, action: &Action, traceparent: &str, permit: Option<Permit>) -> Called {
        let now = self.clock.now();
        let left = action.expires.map_or(i64::MAX, |expires| expires.since(now).0);
        let left = Duration::from_millis(u64::try_from(left).unwrap_or(0)).min(ATTEMPT_MAX);
        let attempt = self.attempt(action, traceparent, now);
        let called = match tokio::time::timeout(left, attempt).await {
            Ok(called) => called,
            Err(_) => Called::of(DeliveryOutcome::Unknown, "no answer in time"),
        };
        drop(permit);
        called
    }

    async fn attempt(&self, action: &Action, traceparent: &str, now: Timestamp) -> Called {
        let request = match self.request(action, traceparent, now) {
            Ok(request) => request,
            Err(detail) => return Called::of(DeliveryOutcome::Failed, detail),
        };
        let keep = action.variables.get("keep") == Some(&Value::Bool(true));
        match self.client.execute(request).await {
            Ok(response) => self.judge(response, keep).await,
            // reqwest's words name the address: only the kind is told.
            Err(error) if guard::refused(&error) => {
                Called::of(DeliveryOutcome::Failed, guard::NO_PUBLIC_ADDRESS)
            }
            Err(error) if error.is_connect() || error.is_builder() => {
                Called::of(DeliveryOutcome::Retry, "no connection")
            }
            Err(_) => Called::of(DeliveryOutcome::Unknown, "the connection broke"),
        }
    }

    fn request(
        &self,
        action: &Action,
        traceparent: &str,
        now: Timestamp,
    ) -> Result<reqwest::Request, &'static str> {
        let text = |key: &str| action.variables.get(key).and_then(Value::as_text);
        let url = text("url").and_then(|url| Url::parse(url).ok()).ok_or("no address")?;
        if !self.allow_private && (guard::is_private_host(&url) || url.scheme() != "https") {
            return Err("the address is private, or not https; calls.allow_private would allow it");
        }
        let method = text("method").and_then(|method| Method::from_bytes(method.as_bytes()).ok());
        let mut headers = HeaderMap::new();
        if let Some(Value::Map(given)) = action.variables.get("headers") {
            for (name, value) in given {
                let name = HeaderName::from_bytes(name.as_bytes()).ok();
                let value = value.as_text().and_then(|value| HeaderValue::from_str(value).ok());
                let (name, value) = name.zip(value).ok_or("a header cannot be written")?;
                headers.insert(name, value);
            }
        }
        let id = action.id.to_string();
        let body = action.variables.get("body").map(value_to_json);
        let mut request = self
            .client
            .request(method.ok_or("no method")?, url)
            .headers(headers)
            .header("idempotency-key", &id)
            .header("traceparent", traceparent);
        if let Some(secret) = &self.secret {
            let seconds = now.0.div_euclid(1_000);
            let signature = sign(secret, &id, seconds, body.as_deref().unwrap_or_default());
            request = request
                .header("webhook-id", &id)
                .header("webhook-timestamp", seconds)
                .header("webhook-signature", signature);
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        request.build().map_err(|_| "the request cannot be made")
    }

    async fn judge(&self, response: reqwest::Response, keep: bool) -> Called {
        let status = response.status().as_u16();
        let detail = format!("HTTP {status}");
        match status {
            200..=299 => {}
            408 | 425 | 429 | 500..=599 => {
                let mut called = Called::of(DeliveryOutcome::Retry, detail);
                let asked = retry_after(response.headers(), self.clock.now());
                called.retry_after = asked.unwrap_or(Duration::ZERO).min(RETRY_AFTER_MAX);
                return called;
            }
            // A redirect is not followed.
            _ => return Called::of(DeliveryOutcome::Failed, detail),
        }
        let mut called = Called::of(DeliveryOutcome::Sent, detail);
        if keep {
            match answer(response).await {
                Ok(answer) => called.answer = Some(answer),
                Err(failed) => return failed,
            }
        }
        called
    }
}

/// The answer's JSON; nothing at all reads as `null`.
async fn answer(mut response: reqwest::Response) -> Result<String, Called> {
    let mut body: Vec<u8> = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > ANSWER_BYTES_MAX => {
                let what = format!("the answer is longer than {ANSWER_BYTES_MAX} bytes");
                return Err(Called::of(DeliveryOutcome::Failed, what));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(_) => return Err(Called::of(DeliveryOutcome::Unknown, "the answer broke off")),
        }
    }
    let text = String::from_utf8(body).map_err(|_| not_json())?;
    if text.trim().is_empty() {
        return Ok("null".to_owned());
    }
    match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(value) => Ok(value.to_string()),
        Err(_) => Err(not_json()),
    }
}

fn not_json() -> Called {
    Called::of(DeliveryOutcome::Failed, "the answer is not JSON")
}

#[cfg(test)]
mod tests;
