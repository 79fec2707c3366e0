//! The transport of the product: renders messages and delivers them through the channels.

use crate::{
    Answer, AttemptOutcome, Bounce, Capability, ChannelState, Delivery, Transport, limits,
};
use futures::FutureExt;
use parking_lot::Mutex;
use sojourn_channels::{Channels, Outgoing, render::Renderer, trace};
use sojourn_model::{Action, DurationMs, Name};
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

/// Delivers through the channels of a workspace, in tasks of a tokio runtime.
pub struct ChannelTransport {
    channels: Arc<Channels>,
    renderer: Arc<Renderer>,
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
        Self { channels, renderer, runtime, known, sender, answers, wake, asking, longest }
    }

    /// Calls a delivery unknown after `longest` of wall time instead of
    /// [`limits::DELIVERY_WALL_MAX`].
    pub fn answers_within(mut self, longest: Duration) -> Self {
        self.longest = longest;
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
                let request = match request(&renderer, &action, attempt, lookup_only, traceparent) {
                    Ok(request) => request,
                    Err(detail) => return (AttemptOutcome::Failed, detail.into(), 0, None),
                };
                // Rendering may have taken its time; the adapter drops the permit at the hand-over.
                let response = channels.deliver(Outgoing { request, permit }).await;
                read(response)
            };
            self.runtime.spawn(
                async move {
                    // A channel that panics or hangs has answered *unknown*: an answer always comes.
                    let work = AssertUnwindSafe(work).catch_unwind();
                    let (outcome, detail, retry_after_ms, bounce) =
                        match tokio::time::timeout(longest, work).await {
                            Ok(Ok(answered)) => answered,
                            Ok(Err(_)) => {
                                (AttemptOutcome::Unknown, "the channel failed".into(), 0, None)
                            }
                            Err(_) => {
                                (AttemptOutcome::Unknown, "no answer in time".into(), 0, None)
                            }
                        };
                    tracing::debug!(?outcome, "answered");
                    let answer =
                        Answer { action: id, attempt, outcome, detail, retry_after_ms, bounce };
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

fn read(response: DeliverResponse) -> (AttemptOutcome, Name, u64, Option<Bounce>) {
    let outcome = match response.outcome() {
        DeliveryOutcome::Sent => AttemptOutcome::Sent,
        DeliveryOutcome::Failed => AttemptOutcome::Failed,
        DeliveryOutcome::Retry => AttemptOutcome::Retry,
        DeliveryOutcome::Unknown | DeliveryOutcome::Unspecified => AttemptOutcome::Unknown,
    };
    let bounce = match response.bounce() {
        channel::Bounce::Hard => Some(Bounce::Hard),
        channel::Bounce::Soft => Some(Bounce::Soft),
        channel::Bounce::Unspecified => None,
    };
    (outcome, response.detail.into(), response.retry_after_ms, bounce)
}

#[cfg(test)]
mod tests;
