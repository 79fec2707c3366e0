//! Tells the story to the gateway: over real HTTP, when the shop's clock says so.

use super::clock::StoryClock;
use super::script::{Step, Via};
use crate::pace::nap;
use crate::when;
use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use sojourn_model::{DurationMs, Timestamp};
use sojourn_ports::Clock;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

/// Messages in one request.
const BATCH_MAX: usize = 200;
/// How long the feeder sleeps when nothing is due.
const IDLE: Duration = Duration::from_millis(15);
/// Attempts of one request while the gateway says `later`.
const ATTEMPTS_MAX: u32 = 20;
/// Pause before such an attempt.
const PAUSE: Duration = Duration::from_millis(100);
/// A gateway on this machine answers within this.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What somebody does with a message that they got.
#[derive(Debug, Clone)]
pub(super) struct Reaction {
    /// When, by the shop's clock.
    pub(super) at: Timestamp,
    /// `/o/…`, `/c/…` or `/u/…`.
    pub(super) path: String,
    /// Whether it is a POST (one-click unsubscribe).
    pub(super) post: bool,
}

/// What comes back.
#[derive(Debug)]
pub(super) enum Told {
    /// The prologue is in; the story begins at this instant.
    Begins(Timestamp),
    /// The till got a prompt.
    Prompt { at: Timestamp, who: usize, text: String },
    /// Every step is told.
    Ended,
    /// The gateway cannot be talked to.
    Failed(String),
}

/// Keys of the sample's sources.
pub(super) struct Keys {
    pub(super) site: String,
    pub(super) till: String,
    pub(super) insta: String,
}

/// The teller of the story.
pub(super) struct Feeder {
    pub(super) base: String,
    pub(super) keys: Keys,
    pub(super) clock: Arc<StoryClock>,
    pub(super) seed: u64,
    pub(super) steps: VecDeque<Step>,
    pub(super) reactions: Receiver<Reaction>,
    pub(super) told: Sender<Told>,
    pub(super) stop: Arc<AtomicBool>,
}

impl Feeder {
    /// Runs until stopped.
    pub(super) fn run(mut self) {
        if let Err(error) = self.tell() {
            // The screen may be gone already: then nobody needs to know.
            let _ = self.told.send(Told::Failed(format!("{error:#}")));
        }
    }

    fn tell(&mut self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("cannot make an HTTP client")?;
        let mut number = 0u64;
        self.send(&runtime, &client, 0.0, &mut number)?;
        let begins = self.clock.begin();
        let _ = self.told.send(Told::Begins(begins));
        let mut waiting: BTreeMap<(Timestamp, u64), Reaction> = BTreeMap::new();
        let mut ended = false;
        while !self.stop.load(Ordering::Relaxed) {
            let now = self.clock.now();
            while let Ok(reaction) = self.reactions.try_recv() {
                let place = waiting.len() as u64 + number;
                waiting.insert((reaction.at, place), reaction);
            }
            while waiting.first_key_value().is_some_and(|((at, _), _)| *at <= now) {
                if let Some((_, reaction)) = waiting.pop_first() {
                    runtime.block_on(self.react(&client, &reaction))?;
                }
            }
            let minute = now.since(begins).0 as f64 / 60_000.0;
            self.send(&runtime, &client, minute, &mut number)?;
            if self.steps.is_empty() && !ended {
                ended = true;
                let _ = self.told.send(Told::Ended);
            }
            nap(IDLE);
        }
        Ok(())
    }

    /// Sends every step that is due at `minute`, those of one source together.
    fn send(
        &mut self,
        runtime: &tokio::runtime::Runtime,
        client: &reqwest::Client,
        minute: f64,
        number: &mut u64,
    ) -> Result<()> {
        while self.steps.front().is_some_and(|step| step.minute <= minute) {
            let via = self.steps[0].via;
            let mut batch = Vec::new();
            while batch.len() < BATCH_MAX
                && self.steps.front().is_some_and(|step| step.minute <= minute && step.via == via)
            {
                let Some(step) = self.steps.pop_front() else { break };
                *number += 1;
                batch.push((step.who, self.message(step, *number)));
                if via == Via::Checkin {
                    break;
                }
            }
            runtime.block_on(self.deliver(client, via, &batch))?;
        }
        Ok(())
    }

    fn message(&self, step: Step, number: u64) -> Value {
        let mut message = step.message;
        message["messageId"] = format!("demo-{}-{number}", self.seed).into();
        if let Some(minutes) = step.late {
            let ago = DurationMs((minutes * 60_000.0) as i64);
            message["timestamp"] = when::rfc3339(self.clock.now().minus(ago)).into();
        }
        message
    }

    async fn deliver(
        &self,
        client: &reqwest::Client,
        via: Via,
        batch: &[(usize, Value)],
    ) -> Result<()> {
        let messages: Vec<_> = batch.iter().map(|(_, message)| message).collect();
        match via {
            Via::Site | Via::Till => {
                let key = if via == Via::Site { &self.keys.site } else { &self.keys.till };
                self.post(client, "/v1/batch", key, &json!({ "batch": messages })).await?
            }
            Via::Insta => {
                for message in messages {
                    self.hook(client, message).await?;
                }
                return Ok(());
            }
            Via::Checkin => {
                let (who, message) = &batch[0];
                let body = json!({
                    "loyalty_card": message["properties"]["loyalty_card"],
                    "store_id": message["properties"]["store_id"],
                    "message_id": message["messageId"],
                });
                let answer = self.post(client, "/v1/checkins", &self.keys.till, &body).await?;
                if let Some(text) = prompt_text(&answer) {
                    let at = self.clock.now();
                    let _ = self.told.send(Told::Prompt { at, who: *who, text });
                }
                answer
            }
        };
        Ok(())
    }

    /// What Instagram tells comes as a signed webhook (Standard Webhooks 1.0).
    async fn hook(&self, client: &reqwest::Client, message: &Value) -> Result<()> {
        let now = self.clock.now();
        let body = json!({
            "type": message["event"],
            "timestamp": when::rfc3339(now),
            "data": message["properties"],
        })
        .to_string();
        let id = message["messageId"].as_str().unwrap_or("");
        let seconds = now.0.div_euclid(1000);
        let signature = sign(&self.keys.insta, &format!("{id}.{seconds}.{body}"))?;
        let request = client
            .post(format!("{}/hooks/insta", self.base))
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", format!("v1,{signature}"))
            .body(body);
        self.ask(request, "/hooks/insta").await?;
        Ok(())
    }

    async fn post(
        &self,
        client: &reqwest::Client,
        path: &str,
        key: &str,
        body: &Value,
    ) -> Result<Value> {
        let request = client
            .post(format!("{}{path}", self.base))
            .basic_auth(key, Some(""))
            .header("content-type", "application/json")
            .body(body.to_string());
        self.ask(request, path).await
    }

    /// Sends a request, again while the gateway says `later`; gives the answer's JSON.
    async fn ask(&self, request: reqwest::RequestBuilder, path: &str) -> Result<Value> {
        for _ in 0..ATTEMPTS_MAX {
            let again = request.try_clone().context("a body in memory can be sent again")?;
            let answer = again.send().await.with_context(|| format!("cannot reach {path}"))?;
            let status = answer.status();
            let text = answer.text().await.unwrap_or_default();
            match status.as_u16() {
                200 => return Ok(serde_json::from_str(&text).unwrap_or_default()),
                429 | 503 => tokio::time::sleep(PAUSE).await,
                _ => bail!("{path} answered {status}: {text}"),
            }
        }
        bail!("{path} is overloaded")
    }

    async fn react(&self, client: &reqwest::Client, reaction: &Reaction) -> Result<()> {
        let url = format!("{}{}", self.base, reaction.path);
        let request = if reaction.post {
            client
                .post(&url)
                .header("content-type", "application/x-www-form-urlencoded")
                .body("List-Unsubscribe=One-Click")
        } else {
            client.get(&url)
        };
        // A link that leads nowhere is a dead link, not the end of the story.
        let answer = request.send().await.with_context(|| format!("cannot reach {url}"))?;
        drop(answer);
        Ok(())
    }
}

/// Base64 of the HMAC-SHA256 of `text` under a secret `whsec_<base64>`.
fn sign(secret: &str, text: &str) -> Result<String> {
    let key = secret.strip_prefix("whsec_").unwrap_or(secret);
    let key = STANDARD.decode(key).context("a webhook secret is whsec_<base64>")?;
    let mut hmac = Hmac::<Sha256>::new_from_slice(&key).context("a key for HMAC-SHA256")?;
    hmac.update(text.as_bytes());
    Ok(STANDARD.encode(hmac.finalize().into_bytes()))
}

/// The words of a prompt in the answer to a check-in.
fn prompt_text(answer: &Value) -> Option<String> {
    let prompt = match &answer["prompts"] {
        Value::Array(prompts) => prompts.first()?,
        _ => &answer["prompt"],
    };
    let words = [prompt.as_str(), prompt["text"].as_str(), prompt["message"]["text"].as_str()];
    words.into_iter().flatten().map(str::to_owned).find(|text| !text.trim().is_empty())
}
