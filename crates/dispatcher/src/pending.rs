//! One action on its way, and what is known of its attempts.

use crate::{Bounce, limits};
use serde::{Deserialize, Serialize};
use sojourn_model::{Action, ActionId, DurationMs, LogPosition, MessageClass, Name, Timestamp};
use sojourn_proto::{DispatchKind, DispatchRecord, DispatchResult};
use std::sync::Arc;

/// What has been tried. Kept in the store and rebuilt from the `dispatch` topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct History {
    /// Calls begun, look-ups counted: the number of the last attempt.
    pub(crate) calls: u32,
    /// Of these, look-ups. Not told by the log; a recovered history counts each as a delivery.
    pub(crate) lookups: u32,
    /// The last call has an intent and no outcome.
    pub(crate) in_flight: bool,
    /// Some attempt may have gone out.
    pub(crate) maybe_sent: bool,
    /// When the first call began.
    pub(crate) first_call: Option<Timestamp>,
}

impl History {
    /// A call begins.
    pub(crate) fn begin(&mut self, lookup: bool, now: Timestamp) {
        self.calls += 1;
        self.lookups += u32::from(lookup);
        self.in_flight = true;
        self.first_call.get_or_insert(now);
    }

    /// Attempts to deliver.
    pub(crate) fn attempts(&self) -> u32 {
        self.calls.saturating_sub(self.lookups)
    }

    /// Applies a record of the `dispatch` topic; `true` when the action is done with. Applying a
    /// record again changes nothing.
    pub(crate) fn apply(&mut self, record: &DispatchRecord) -> bool {
        match &record.kind {
            DispatchKind::Intent { .. } => {
                if record.attempt > self.calls {
                    self.calls = record.attempt;
                    self.in_flight = true;
                    self.first_call.get_or_insert(record.at);
                }
                false
            }
            DispatchKind::Outcome { result, .. } => {
                if record.attempt >= self.calls {
                    self.in_flight = false;
                }
                match result {
                    DispatchResult::Retry => false,
                    DispatchResult::Unsure => {
                        self.maybe_sent = true;
                        false
                    }
                    DispatchResult::Sent
                    | DispatchResult::Failed
                    | DispatchResult::Unknown
                    | DispatchResult::Refused => true,
                }
            }
        }
    }
}

/// Where an action stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// In the queue of its channel.
    Ready,
    /// Not before then.
    Sleeping(Timestamp),
    /// A call is out.
    InFlight,
}

/// One action.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    pub(crate) action: Arc<Action>,
    /// Its record in `actions`.
    pub(crate) position: LogPosition,
    pub(crate) history: History,
    pub(crate) state: State,
    /// The last call's outcome is unknown and what to do about it is not decided; since when.
    pub(crate) unresolved: Option<Timestamp>,
    /// The next call only looks up.
    pub(crate) lookup_next: bool,
    /// Taken back while a call was out.
    pub(crate) cancelled: Option<Name>,
    /// What the last answer said of the address.
    pub(crate) bounce: Option<Bounce>,
    /// What a call was answered.
    pub(crate) body: Option<Arc<str>>,
}

/// Order of a channel's queue: service before the rest, then priority, then what expires sooner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    class: u8,
    less_priority: i64,
    expires: Timestamp,
    approved_at: Timestamp,
    pub(crate) id: ActionId,
}

/// Whether the person's quiet window lets an action out (QUI-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quiet {
    /// It is outside.
    Open,
    /// Inside until then.
    Until(Timestamp),
    /// It has waited past the window that it knows.
    Unknown,
}

impl Pending {
    pub(crate) fn new(action: Action, position: LogPosition, history: History) -> Self {
        Self {
            action: Arc::new(action),
            position,
            history,
            state: State::Ready,
            unresolved: None,
            lookup_next: false,
            cancelled: None,
            bounce: None,
            body: None,
        }
    }

    pub(crate) fn rank(&self) -> Rank {
        let action = &self.action;
        Rank {
            class: u8::from(action.class == MessageClass::AtMostOnce),
            less_priority: -i64::from(action.priority),
            expires: action.expires.unwrap_or(Timestamp::MAX),
            approved_at: action.approved_at,
            id: action.id,
        }
    }

    pub(crate) fn quiet(&self, now: Timestamp) -> Quiet {
        let Some(from) = self.action.quiet_from else { return Quiet::Open };
        if now < from {
            return Quiet::Open;
        }
        match self.action.quiet_until {
            Some(until) if now < until => Quiet::Until(until),
            Some(until) if now < until.plus(limits::QUIET_TRUST) => Quiet::Open,
            _ => Quiet::Unknown,
        }
    }

    /// When nothing more is tried.
    pub(crate) fn deadline(&self) -> Timestamp {
        self.action.expires.unwrap_or(self.action.approved_at.plus(limits::GIVE_UP_AFTER))
    }

    /// Pause before the next call: exponential, with a jitter that is the same on every replay.
    pub(crate) fn backoff(&self) -> DurationMs {
        let doubled = limits::BACKOFF_FIRST.0 << self.history.calls.saturating_sub(1).min(20);
        let full = doubled.min(limits::BACKOFF_MAX.0);
        let spread = jitter(self.action.id, self.history.calls) % 1_000;
        // Between half and all of it.
        DurationMs(full / 2 + full / 2 * i64::try_from(spread).unwrap_or(0) / 1_000)
    }
}

/// A well mixed number of an action and an attempt (splitmix64).
fn jitter(id: ActionId, attempt: u32) -> u64 {
    let candidate = id.0;
    let mut x = candidate.profile.0
        ^ (u64::from(candidate.run) << 32)
        ^ (u64::from(candidate.step) << 16)
        ^ u64::from(candidate.visit)
        ^ (u64::from(attempt) << 48);
    x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}
