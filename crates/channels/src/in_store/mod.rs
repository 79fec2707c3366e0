//! In-store prompts: shown by the till that is waiting, or kept for the person's next check-in.
//!
//! A till's check-in is a touchpoint; the journey may answer it with a message on this channel
//! within milliseconds. The gateway says beforehand which touchpoint it waits for
//! ([`Prompts::expect`]), so that a prompt cannot come before its waiter.

use crate::channel::{Channel, ChannelError, Description, Outgoing, answer};
use crate::trace;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use sojourn_model::Timestamp;
use sojourn_ports::Clock;
use sojourn_proto::channel::{DeliverResponse, DeliveryOutcome, Message};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Longest time that a check-in waits for its prompt.
pub const WAIT_MAX: Duration = Duration::from_millis(50);
/// Tills that wait at the same time (LIM-1).
pub const WAITING_MAX: usize = 10_000;
/// Prompts kept for later check-ins (LIM-1); beyond it a delivery is answered with a retry.
pub const HELD_MAX: usize = 100_000;
/// Prompts kept for one person.
pub const HELD_PER_PERSON_MAX: usize = 8;
/// How long a prompt without an expiry of its own is kept.
const KEEP_MS: i64 = 86_400_000;
const IN_FLIGHT: u32 = 1_024;

/// What a till shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// Action id.
    pub action_id: String,
    /// The rendered message.
    pub message: Message,
    /// Not to be shown at or after this instant.
    pub expires: Timestamp,
}

/// Where a check-in finds its prompt.
pub trait Prompts: Send + Sync {
    /// To be called before the check-in's touchpoint `message_id` is appended.
    fn expect(&self, message_id: &str) -> PromptWait;

    /// Prompts kept for an endpoint of this channel (a profile id): taken out, oldest first.
    fn take(&self, endpoint: &str) -> Vec<Prompt>;
}

/// A check-in that waits.
pub struct PromptWait {
    receiver: oneshot::Receiver<Prompt>,
    trace: String,
    store: Arc<Mutex<Store>>,
}

impl PromptWait {
    /// The prompt that the journey decided, or none within `limit` (at most [`WAIT_MAX`]).
    pub async fn wait(mut self, limit: Duration) -> Option<Prompt> {
        let prompt = tokio::time::timeout(limit.min(WAIT_MAX), &mut self.receiver).await;
        if let Ok(answer) = prompt {
            return answer.ok();
        }
        // Under the lock the waiter leaves first: what was given in the last moment is still taken.
        self.store.lock().waiting.remove(&self.trace);
        self.receiver.try_recv().ok()
    }
}

impl Drop for PromptWait {
    fn drop(&mut self) {
        self.store.lock().waiting.remove(&self.trace);
    }
}

#[derive(Default)]
struct Store {
    /// By trace id of the touchpoint.
    waiting: HashMap<String, oneshot::Sender<Prompt>>,
    /// By endpoint.
    held: HashMap<String, VecDeque<Prompt>>,
    held_count: usize,
    /// When expired prompts were last looked for.
    swept: Timestamp,
}

/// The channel of kind `in_store`.
pub struct InStore {
    store: Arc<Mutex<Store>>,
    clock: Arc<dyn Clock>,
}

impl InStore {
    /// An empty one.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { store: Arc::default(), clock }
    }

    fn give(
        &self,
        trace: Option<&str>,
        endpoint: &str,
        prompt: Prompt,
    ) -> (DeliveryOutcome, &'static str) {
        let now = self.clock.now();
        if prompt.expires <= now {
            return (DeliveryOutcome::Failed, "expired");
        }
        let mut store = self.store.lock();
        let mut prompt = prompt;
        if let Some(waiter) = trace.and_then(|trace| store.waiting.remove(trace)) {
            match waiter.send(prompt) {
                Ok(()) => return (DeliveryOutcome::Sent, "shown at the till"),
                Err(back) => prompt = back,
            }
        }
        store.sweep(now);
        if store.held_count >= HELD_MAX {
            return (DeliveryOutcome::Retry, "too many prompts are waiting");
        }
        let held = store.held.entry(endpoint.to_owned()).or_default();
        if held.iter().any(|other| other.action_id == prompt.action_id) {
            return (DeliveryOutcome::Sent, "kept for the next check-in");
        }
        if held.len() >= HELD_PER_PERSON_MAX {
            return (DeliveryOutcome::Retry, "too many prompts wait for this person");
        }
        held.push_back(prompt);
        store.held_count += 1;
        (DeliveryOutcome::Sent, "kept for the next check-in")
    }
}

impl Store {
    /// Drops what has expired, at most once a minute or when full.
    fn sweep(&mut self, now: Timestamp) {
        if self.held_count < HELD_MAX && now.since(self.swept).0 < 60_000 {
            return;
        }
        self.swept = now;
        self.held.retain(|_, prompts| {
            prompts.retain(|prompt| prompt.expires > now);
            !prompts.is_empty()
        });
        self.held_count = self.held.values().map(VecDeque::len).sum();
    }
}

impl Prompts for InStore {
    fn expect(&self, message_id: &str) -> PromptWait {
        let (sender, receiver) = oneshot::channel();
        let trace = trace::trace_id(message_id);
        let mut store = self.store.lock();
        // Over the limit nobody waits for it: the check-in is answered without a prompt, and the
        // prompt is kept.
        if store.waiting.len() < WAITING_MAX {
            store.waiting.insert(trace.clone(), sender);
        }
        drop(store);
        PromptWait { receiver, trace, store: Arc::clone(&self.store) }
    }

    fn take(&self, endpoint: &str) -> Vec<Prompt> {
        let now = self.clock.now();
        let mut store = self.store.lock();
        let held = store.held.remove(endpoint).unwrap_or_default();
        store.held_count -= held.len();
        held.into_iter().filter(|prompt| prompt.expires > now).collect()
    }
}

impl Channel for InStore {
    fn describe(&self) -> BoxFuture<'_, Result<Description, ChannelError>> {
        Box::pin(async {
            Ok(Description {
                channels: Vec::new(),
                idempotency_window: Duration::ZERO,
                status_lookup: false,
                in_flight: IN_FLIGHT,
            })
        })
    }

    fn deliver(&self, outgoing: Outgoing) -> BoxFuture<'_, DeliverResponse> {
        Box::pin(async move {
            let Outgoing { request, permit } = outgoing;
            let expires =
                request.expires_at_ms.unwrap_or_else(|| self.clock.now().0.saturating_add(KEEP_MS));
            let prompt = Prompt {
                action_id: request.action_id.clone(),
                message: request.message.unwrap_or_default(),
                expires: Timestamp(expires),
            };
            let trace = trace::trace_of(&request.traceparent);
            let (outcome, detail) = if request.lookup_only {
                (DeliveryOutcome::Unknown, "a till cannot be asked")
            } else {
                self.give(trace, &request.endpoint, prompt)
            };
            drop(permit);
            answer(&request.action_id, outcome, detail)
        })
    }

    fn forget<'a>(&'a self, endpoint: &'a str) -> BoxFuture<'a, Result<(), ChannelError>> {
        Box::pin(async move {
            self.take(endpoint);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::email::compose_tests::Fixed;
    use sojourn_proto::channel::DeliverRequest;

    fn request(action_id: &str, cause: &str, expires_at_ms: Option<i64>) -> Outgoing {
        let request = DeliverRequest {
            action_id: action_id.into(),
            endpoint: "p1".into(),
            traceparent: trace::traceparent(cause, action_id, 1),
            expires_at_ms,
            ..DeliverRequest::default()
        };
        Outgoing { request, permit: None }
    }

    #[tokio::test]
    async fn a_waiting_till_gets_its_prompt_and_nobody_elses() {
        let store = InStore::new(Arc::new(Fixed(1_000)));
        let mine = store.expect("m1");
        let other = store.expect("m2");
        let got = store.deliver(request("a1", "m1", None)).await;
        assert_eq!(got.detail, "shown at the till");
        assert_eq!(mine.wait(WAIT_MAX).await.unwrap().action_id, "a1");
        assert_eq!(other.wait(Duration::from_millis(1)).await, None);
        assert!(store.take("p1").is_empty());
        assert!(store.store.lock().waiting.is_empty(), "nobody waits any more");
    }

    #[tokio::test]
    async fn without_a_till_it_is_kept_until_it_expires() {
        let store = InStore::new(Arc::new(Fixed(1_000)));
        drop(store.expect("m1")); // the till went away
        assert_eq!(
            store.deliver(request("a1", "m1", Some(2_000))).await.outcome(),
            DeliveryOutcome::Sent
        );
        assert_eq!(
            store.deliver(request("a1", "m1", Some(2_000))).await.outcome(),
            DeliveryOutcome::Sent
        );
        assert_eq!(
            store.deliver(request("a2", "m1", Some(1_000))).await.outcome(),
            DeliveryOutcome::Failed
        );
        let kept = store.take("p1");
        assert_eq!(kept.iter().map(|p| p.action_id.as_str()).collect::<Vec<_>>(), ["a1"]);
        assert!(store.take("p1").is_empty());
    }

    #[tokio::test]
    async fn a_person_has_a_limit() {
        let store = InStore::new(Arc::new(Fixed(1_000)));
        for n in 0..HELD_PER_PERSON_MAX {
            let got = store.deliver(request(&format!("a{n}"), "m", None)).await;
            assert_eq!(got.outcome(), DeliveryOutcome::Sent);
        }
        let got = store.deliver(request("one too many", "m", None)).await;
        assert_eq!(got.outcome(), DeliveryOutcome::Retry);
        store.forget("p1").await.unwrap();
        assert!(store.take("p1").is_empty());
    }
}
