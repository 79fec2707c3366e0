//! The transport of the product: renders messages and delivers them through the channels.

use crate::{
    Answer, AttemptOutcome, Bounce, Capability, ChannelState, Delivery, Transport, limits,
};
use futures::FutureExt;
use parking_lot::Mutex;
use sojourn_channels::calls::{CALL_TIMEOUT_MAX, Caller, IN_FLIGHT};
use sojourn_channels::{Channels, Outgoing, render::Renderer, trace};
use sojourn_model::{Action, DurationMs, Name, is_call};
use sojourn_ports::Permit;
use sojourn_proto::channel::{self, DeliverRequest, DeliverResponse, DeliveryOutcome};
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::runtime::Handle;
use tracing::Instrument;

/// Called when an answer has come, so that the dispatcher's thread looks.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Wall time between two questions to a channel that has not said what it can do, and between two
/// to one that has (it may have been exchanged).
const ASK_AGAIN: Duration = Duration::from_secs(1);
const ASK_ANEW: Duration = Duration::from_secs(30);

/// What a host that is called can do: the action's id is the key by which it knows a second try, for
/// as long as a call is tried.
const CALLS: Capability =
    Capability { idempotency_window: CALL_TIMEOUT_MAX, status_lookup: false, in_flight: IN_FLIGHT };

/// Delivers through the channels of a workspace, in tasks of a tokio runtime.
pub struct ChannelTransport {
    channels: Arc<Channels>,
    renderer: Arc<Renderer>,
    calls: Option<Arc<Caller>>,
    runtime: Handle,
    known: Arc<Mutex<BTreeMap<Name, ChannelState>>>,
    sender: mpsc::Sender<Answer>,
    answers: mpsc::Receiver<Answer>,
    wake: Wake,
    asking: Vec<tokio::task::JoinHandle<()>>,
    longest: Duration,
}

impl ChannelTransport {
    /// Delivers through `channels` what `renderer` renders; `wake` is called after every answer.
    pub fn new(
        channels: Arc<Channels>,
        renderer: Arc<Renderer>,
        runtime: Handle,
        wake: Wake,
    ) -> Self {
        let (sender, answers) = mpsc::channel();
        let longest = limits::DELIVERY_WALL_MAX;
        let known = Arc::new(Mutex::new(BTreeMap::new()));
        let asking = channels
            .iter()
            .map(|(name, built)| {
                let (known, name) = (Arc::clone(&known), name.clone());
                let adapter = Arc::clone(&built.adapter);
                known.lock().insert(name.clone(), ChannelState::NotYet);
                runtime.spawn(async move {
                    loop {
                        let pause = match adapter.describe().await {
                            Ok(said) => {
                                let window = said.idempotency_window.as_millis();
                                let capability = Capability {
                                    idempotency_window: DurationMs(
                                        i64::try_from(window).unwrap_or(i64::MAX),
                                    ),
                                    status_lookup: said.status_lookup,
                                    in_flight: said.in_flight,
                                };
                                known.lock().insert(name.clone(), ChannelState::Known(capability));
                                ASK_ANEW
                            }
                            Err(error) => {
                                tracing::warn!(channel = %name, %error, "channel does not answer");
                                ASK_AGAIN
                            }
                        };
                        tokio::time::sleep(pause).await;
                    }
                })
            })
            .collect();
        Self {
            channels,
            renderer,
            calls: None,
            runtime,
            known,
            sender,
            answers,
            wake,
            asking,
            longest,
        }
    }

    /// Calls a delivery unknown after `longest` of wall time instead of
    /// [`limits::DELIVERY_WALL_MAX`].
    pub fn answers_within(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }
}

impl ChannelTransport {
    /// Makes the calls of journeys as well; without, they fail.
    #[must_use]
    pub fn with_calls(mut self, calls: Arc<Caller>) -> Self {
        self.calls = Some(calls);
        self
    }
}

impl Drop for ChannelTransport {
    fn drop(&mut self) {
        for task in &self.asking {
            task.abort();
        }
    }
}

impl Transport for ChannelTransport {
    fn start(&mut self, deliveries: Vec<Delivery>) {
        for delivery in deliveries {
            let (channels, renderer) = (Arc::clone(&self.channels), Arc::clone(&self.renderer));
            let calls = self.calls.clone();
            let (sender, wake) = (self.sender.clone(), Arc::clone(&self.wake));
            let Delivery { action, attempt, lookup_only, permit } = delivery;
            let traceparent = trace::traceparent(&action.cause, &action.id.to_string(), attempt);
            let span = tracing::info_span!(
                "deliver",
                action = %action.id,
                channel = %action.channel,
                journey = %action.journey,
                step = %action.step,
                attempt,
                %traceparent,
            );
            let (id, longest) = (action.id, self.longest);
            let work = async move {
                if action.is_call() {
                    return call(calls.as_deref(), &action, &traceparent, permit).await;
                }
                let request = match request(&renderer, &action, attempt, lookup_only, traceparent) {
                    Ok(request) => request,
                    Err(detail) => return Answered::new(AttemptOutcome::Failed, detail),
                };
                // Rendering may have taken its time; the adapter drops the permit at the hand-over.
                let response = channels.deliver(Outgoing { request, permit }).await;
                read(response)
            };
            self.runtime.spawn(
                async move {
                    // A channel that panics or hangs has answered *unknown*: an answer always comes.
                    let work = AssertUnwindSafe(work).catch_unwind();
                    let answered = match tokio::time::timeout(longest, work).await {
                        Ok(Ok(answered)) => answered,
                        Ok(Err(_)) => Answered::new(AttemptOutcome::Unknown, "the channel failed"),
                        Err(_) => Answered::new(AttemptOutcome::Unknown, "no answer in time"),
                    };
                    tracing::debug!(outcome = ?answered.outcome, "answered");
                    let Answered { outcome, detail, retry_after_ms, bounce, body } = answered;
                    let answer = Answer {
                        action: id,
                        attempt,
                        outcome,
                        detail,
                        retry_after_ms,
                        bounce,
                        body,
                    };
                    let _ = sender.send(answer); // nobody listens any more: the log knows the intent
                    wake();
                }
                .instrument(span),
            );
        }
    }

    fn poll(&mut self) -> Vec<Answer> {
        self.answers.try_iter().collect()
    }

    fn channel(&mut self, name: &str) -> ChannelState {
        if is_call(name) {
            return match &self.calls {
                Some(_) => ChannelState::Known(CALLS),
                None => ChannelState::Absent,
            };
        }
        self.known.lock().get(name).copied().unwrap_or(ChannelState::Absent)
    }
}

/// The request that goes to the channel. A look-up carries no message.
fn request(
    renderer: &Renderer,
    action: &Action,
    attempt: u32,
    lookup_only: bool,
    traceparent: String,
) -> Result<DeliverRequest, String> {
    let message = if lookup_only {
        None
    } else {
        Some(renderer.render(action).map_err(|error| format!("content: {error}"))?)
    };
    Ok(DeliverRequest {
        action_id: action.id.to_string(),
        channel: action.channel.to_string(),
        endpoint: action.endpoint.to_string(),
        purpose: action.purpose.to_string(),
        topic: action.topic.as_deref().unwrap_or_default().to_owned(),
        journey: action.journey.to_string(),
        step: action.step.to_string(),
        version: action.version.to_string(),
        template: action.template.to_string(),
        locale: action.locale.to_string(),
        decision_id: action.decision.to_string(),
        expires_at_ms: action.expires.map(|at| at.0),
        attempt,
        lookup_only,
        message,
        traceparent,
    })
}

/// What one attempt brought.
struct Answered {
    outcome: AttemptOutcome,
    detail: Name,
    retry_after_ms: u64,
    bounce: Option<Bounce>,
    body: Option<Arc<str>>,
}

impl Answered {
    fn new(outcome: AttemptOutcome, detail: impl Into<Name>) -> Self {
        Self { outcome, detail: detail.into(), retry_after_ms: 0, bounce: None, body: None }
    }
}

/// One attempt of a `call`.
async fn call(
    calls: Option<&Caller>,
    action: &Action,
    traceparent: &str,
    permit: Option<Permit>,
) -> Answered {
    let Some(calls) = calls else {
        return Answered::new(AttemptOutcome::Failed, "nothing makes calls here");
    };
    let called = calls.call(action, traceparent, permit).await;
    let mut answered = Answered::new(outcome(called.outcome), called.detail);
    answered.retry_after_ms = u64::try_from(called.retry_after.as_millis()).unwrap_or(u64::MAX);
    answered.body = called.answer.map(Into::into);
    answered
}

fn outcome(outcome: DeliveryOutcome) -> AttemptOutcome {
    match outcome {
        DeliveryOutcome::Sent => AttemptOutcome::Sent,
        DeliveryOutcome::Failed => AttemptOutcome::Failed,
        DeliveryOutcome::Retry => AttemptOutcome::Retry,
        DeliveryOutcome::Unknown | DeliveryOutcome::Unspecified => AttemptOutcome::Unknown,
    }
}

fn read(response: DeliverResponse) -> Answered {
    let outcome = outcome(response.outcome());
    let bounce = match response.bounce() {
        channel::Bounce::Hard => Some(Bounce::Hard),
        channel::Bounce::Soft => Some(Bounce::Soft),
        channel::Bounce::Unspecified => None,
    };
    let retry_after_ms = response.retry_after_ms;
    Answered { bounce, retry_after_ms, ..Answered::new(outcome, response.detail) }
}

#[cfg(test)]
mod tests;
