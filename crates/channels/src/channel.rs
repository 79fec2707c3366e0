//! What every adapter is.

use futures::future::BoxFuture;
use sojourn_model::Name;
use sojourn_ports::Permit;
use sojourn_proto::channel::{Bounce, DeliverRequest, DeliverResponse, DeliveryOutcome};
use std::time::Duration;

/// A message on its way out.
pub struct Outgoing {
    /// The rendered message and what it is about.
    pub request: DeliverRequest,
    /// The gate's leave to send it (CON-2). The adapter drops it when the provider has been handed
    /// the message, so that a revocation waits for that and no longer. `None`: nobody asked, as for
    /// a look-up.
    pub permit: Option<Permit>,
}

/// What a channel can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Channel names it serves; empty: whatever it is asked for.
    pub channels: Vec<Name>,
    /// For how long a second delivery of one action id has no effect; zero: never.
    pub idempotency_window: Duration,
    /// Whether `lookup_only` is understood.
    pub status_lookup: bool,
    /// Messages it likes to have in flight.
    pub in_flight: u32,
}

/// A channel could not be asked.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct ChannelError(pub String);

/// A channel adapter. Cheap to share; all methods may run at the same time.
///
/// Deliveries are asked for one by one and run side by side; an adapter with a batching provider
/// (a gRPC stream) multiplexes them inside, so that one slow message holds no other back.
pub trait Channel: Send + Sync {
    /// What it can do. May be asked again after a reconnect.
    fn describe(&self) -> BoxFuture<'_, Result<Description, ChannelError>>;

    /// Tries once to deliver. Ends within the adapter's own time limits. A dropped future counts as
    /// an unknown outcome.
    fn deliver(&self, outgoing: Outgoing) -> BoxFuture<'_, DeliverResponse>;

    /// Forgets what it keeps about an endpoint (ERA-1).
    fn forget<'a>(&'a self, endpoint: &'a str) -> BoxFuture<'a, Result<(), ChannelError>>;
}

/// Characters kept of a provider's words.
pub(crate) const DETAIL_CHARS_MAX: usize = 200;

/// An answer about `action_id`. The detail is cut to a sane length and to one line.
pub fn answer(action_id: &str, outcome: DeliveryOutcome, detail: &str) -> DeliverResponse {
    let detail: String = detail
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(DETAIL_CHARS_MAX)
        .collect();
    DeliverResponse {
        action_id: action_id.to_owned(),
        outcome: outcome.into(),
        detail: detail.trim().to_owned(),
        retry_after_ms: 0,
        bounce: Bounce::Unspecified.into(),
    }
}
