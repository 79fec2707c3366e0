//! The dispatcher: from an approved action to a delivery and its receipt.
//!
//! [`Dispatcher`] is a turn-based state machine over synchronous ports: it reads `actions`, asks the
//! gate, writes its intent, hands the message to a [`Transport`] and, later, takes the outcome from
//! it. The same code runs on a thread of its own over [`ChannelTransport`] and in the simulator over
//! a fake provider with a virtual clock.
//!
//! - **ACT-1:** an intent is durable before its call begins; the action id is the idempotency key of
//!   every attempt; an intent without an outcome counts as *unknown*, and only an idempotent channel,
//!   a look-up or the class of the message lets an unknown one be tried again.
//! - **CON-2:** the gate is asked immediately before the call, and its permit goes along until the
//!   provider has been handed the message. After a restart no call begins before `actions` has been
//!   read to its end and the engine has caught up.
//! - **QUI-1:** nothing is handed over inside the person's quiet window, however long it queued.
//! - **CAP-1:** a receipt releases a reservation only when no attempt can have gone out.
//! - **LIM-1:** everything that queues has a limit in [`limits`]; at the limit reading stops, and
//!   nothing is lost.

mod capability;
mod channel;
mod delivery;
mod dispatcher;
mod flush;
mod judge;
mod lane;
pub mod limits;
mod memory;
pub mod metrics;
mod pending;
mod planted;
mod receipt;
mod recover;
mod select;

pub use capability::{Capability, ChannelState};
pub use delivery::{ChannelTransport, Wake};
pub use dispatcher::{Dispatcher, Phase, Progress};
pub use planted::Mutation;
#[cfg(feature = "planted-bugs")]
pub use planted::plant;
pub use receipt::{RECEIPT_SOURCE, receipt_id};

use sojourn_model::{Action, ActionId, DurationMs, Name};
use sojourn_ports::{Clock, Gate, Log, LogError, Permit, StateError, StateStore};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What the dispatcher stands on.
#[derive(Clone)]
pub struct Ports {
    /// The log.
    pub log: Arc<dyn Log>,
    /// Where it remembers what is pending.
    pub store: Arc<dyn StateStore>,
    /// The last check before a call.
    pub gate: Arc<dyn Gate>,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// Set when identity and engine have read to the end of the log after a start, so that the gate
    /// holds every mark and `actions` every cancel (CON-2).
    pub ready: Arc<AtomicBool>,
}

/// How to run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Partitions of `actions` that this dispatcher reads.
    pub partitions: Vec<u16>,
    /// Channels by name; an action for another one fails.
    pub channels: BTreeMap<Name, ChannelOptions>,
}

/// What a dispatcher goes by that shares the work with other processes.
///
/// Two dispatchers of one partition could both call (ACT-1), so a partition is leased. A dispatcher
/// asks `may_call` before it writes intents and again when they are durable, before the calls: an
/// intent of a call that was made is therefore in `dispatch` before a successor can hold the lease,
/// claim the partition and replay `dispatch`. What the successor finds begun and not answered may
/// still be on its way to the provider; it waits `patience` before it decides about that.
#[derive(Clone)]
pub struct Tenancy {
    /// Whether the lease of all partitions still holds, with time to spare. Does not block.
    pub may_call: Arc<dyn Fn() -> bool + Send + Sync>,
    /// The longest that a call of a predecessor may take.
    pub patience: DurationMs,
}

/// How to use one channel.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ChannelOptions {
    /// Messages per second of the clock; `None`: unlimited.
    pub rate_per_second: Option<f64>,
    /// Messages in flight at most; `None`: what the channel says.
    pub in_flight: Option<u32>,
}

/// One attempt to deliver.
pub struct Delivery {
    /// The message to be.
    pub action: Arc<Action>,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// Only ask whether the action was delivered before.
    pub lookup_only: bool,
    /// The gate's leave, to be dropped when the provider has been handed the message (CON-2).
    /// `None` for a look-up, which sends nothing.
    pub permit: Option<Permit>,
}

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The action.
    pub action: ActionId,
    /// The attempt.
    pub attempt: u32,
    /// Its outcome.
    pub outcome: AttemptOutcome,
    /// The provider's message id, or why not. May name the person's address: never logged.
    pub detail: Name,
    /// For `Retry`: not before this many milliseconds from now.
    pub retry_after_ms: u64,
    /// For `Failed`, and for `Retry` should it be given up: the recipient's address is the reason.
    pub bounce: Option<Bounce>,
    /// For a `call` that was answered: the answer as JSON text.
    pub body: Option<Arc<str>>,
}

/// Why an address did not take a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bounce {
    /// There is no such mailbox.
    Hard,
    /// The mailbox does not take it now.
    Soft,
}

/// Outcome of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The provider took it.
    Sent,
    /// It will never go out.
    Failed,
    /// Not taken; may be tried again. For a look-up: it was not delivered.
    Retry,
    /// Nobody knows.
    Unknown,
}

/// Carries deliveries to channels. `start` and `poll` do not block.
///
/// - Every delivery that was started is answered once, also when the channel breaks or takes too
///   long (then `Unknown`), as long as the process lives.
/// - Deliveries of one call may overtake each other.
pub trait Transport: Send {
    /// Begins deliveries.
    fn start(&mut self, deliveries: Vec<Delivery>);
    /// Answers that have come since the last call.
    fn poll(&mut self) -> Vec<Answer>;
    /// What a channel can do, as far as it is known now.
    fn channel(&mut self, name: &str) -> ChannelState;
}

/// Why the dispatcher has stopped. Make a new one over the same ports: it recovers.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// The log.
    #[error("dispatching stopped: {0}")]
    Log(#[from] LogError),
    /// The store.
    #[error("dispatching stopped: {0}")]
    State(#[from] StateError),
    /// A row of the store or a record does not decode.
    #[error("dispatching stopped: {what} of {owner} does not decode: {reason}")]
    Damaged {
        /// Which row.
        what: &'static str,
        /// Whose.
        owner: String,
        /// Why.
        reason: String,
    },
    /// The store has nothing while the log has been trimmed: what was pending is not known.
    #[error(
        "the store of {owner} is empty while actions/{partition} begins at {first}: restore a snapshot"
    )]
    StoreEmpty {
        /// Owner.
        owner: String,
        /// Partition.
        partition: u16,
        /// Oldest offset kept.
        first: u64,
    },
}
