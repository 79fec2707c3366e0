//! One stream to a channel process, from its opening to its end.

use crate::channel::{Outgoing, answer};
use parking_lot::Mutex;
use sojourn_proto::channel::channel_service_client::ChannelServiceClient;
use sojourn_proto::channel::{DeliverRequest, DeliverResponse, DeliveryOutcome};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel as Transport;

/// Requests that wait between us and HTTP/2: one, so that a permit is held until there is room.
const OUTBOX: usize = 1;

/// One stream.
pub(super) struct Session {
    client: ChannelServiceClient<Transport>,
    outbox: mpsc::Sender<DeliverRequest>,
    window: Semaphore,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared(Mutex<InFlight>);

#[derive(Default)]
struct InFlight {
    waiting: HashMap<String, oneshot::Sender<DeliverResponse>>,
    closed: bool,
}

impl Session {
    /// Opens the stream and reads its answers in a task of its own.
    pub(super) fn open(client: ChannelServiceClient<Transport>, in_flight: usize) -> Arc<Self> {
        let (outbox, requests) = mpsc::channel(OUTBOX);
        let shared = Arc::new(Shared::default());
        let session = Arc::new(Self {
            client: client.clone(),
            outbox,
            window: Semaphore::new(in_flight),
            shared: Arc::clone(&shared),
        });
        tokio::spawn(async move {
            let mut client = client;
            // The other side may wait for the first request before it answers the headers, so this
            // waits here and not in `open`.
            let reason = match client.deliver(ReceiverStream::new(requests)).await {
                Ok(response) => read(response.into_inner(), &shared).await,
                Err(status) => format!("the stream was refused: {}", status.code()),
            };
            shared.close(&reason);
        });
        session
    }

    pub(super) fn is_open(&self) -> bool {
        !self.shared.0.lock().closed
    }

    pub(super) fn client(&self) -> ChannelServiceClient<Transport> {
        self.client.clone()
    }

    /// Puts one message into the stream and waits for its answer.
    pub(super) async fn deliver(&self, outgoing: Outgoing, limit: Duration) -> DeliverResponse {
        let Outgoing { request, permit } = outgoing;
        let id = request.action_id.clone();
        let retry = |why: &str| answer(&id, DeliveryOutcome::Retry, why);
        let Ok(Ok(_slot)) = timeout(limit, self.window.acquire()).await else {
            return retry("the window is full");
        };
        let (sender, receiver) = oneshot::channel();
        {
            let mut in_flight = self.shared.0.lock();
            if in_flight.closed {
                return retry("the stream has ended");
            }
            if in_flight.waiting.insert(id.clone(), sender).is_some() {
                // ACT-1: one attempt at a time; the older one's answer is not ours to take.
                return answer(&id, DeliveryOutcome::Unknown, "the same action is in flight");
            }
        }
        let _guard = Forget(&self.shared, &id);
        match timeout(limit, self.outbox.send(request)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return retry("the stream has ended"),
            Err(_) => return retry("no room in the stream"),
        }
        drop(permit); // handed over (CON-2)
        match timeout(limit, receiver).await {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => answer(&id, DeliveryOutcome::Unknown, "the stream ended"),
            Err(_) => answer(&id, DeliveryOutcome::Unknown, "no answer in time"),
        }
    }
}

/// Takes a waiter out when its delivery ends, however it ends.
struct Forget<'a>(&'a Shared, &'a str);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.0.lock().waiting.remove(self.1);
    }
}

impl Shared {
    fn close(&self, reason: &str) {
        let mut in_flight = self.0.lock();
        in_flight.closed = true;
        for (id, waiter) in in_flight.waiting.drain() {
            let _ = waiter.send(answer(&id, DeliveryOutcome::Unknown, reason));
        }
    }
}

/// Reads answers until the stream ends; gives the reason.
async fn read(mut answers: Streaming<DeliverResponse>, shared: &Shared) -> String {
    loop {
        match answers.message().await {
            Ok(Some(response)) => {
                // Nobody waits: answered twice, or after the time-out. The outcome stands as told.
                let waiter = shared.0.lock().waiting.remove(&response.action_id);
                if let Some(waiter) = waiter {
                    let _ = waiter.send(checked(response));
                }
            }
            Ok(None) => return "the stream ended".into(),
            Err(status) => return format!("the stream broke: {}", status.code()),
        }
    }
}

/// An answer without an outcome says nothing.
fn checked(response: DeliverResponse) -> DeliverResponse {
    match response.outcome() {
        DeliveryOutcome::Unspecified => {
            answer(&response.action_id, DeliveryOutcome::Unknown, "an answer without an outcome")
        }
        outcome => DeliverResponse {
            retry_after_ms: response.retry_after_ms,
            bounce: response.bounce,
            ..answer(&response.action_id, outcome, &response.detail)
        },
    }
}
