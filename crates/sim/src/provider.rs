//! A provider that misbehaves by seed: success then time-out, 429, failures, answers out of order.

use crate::observed::Call;
use crate::random::Random;
use sojourn_dispatcher::{Answer, AttemptOutcome, Capability, ChannelState, Delivery, Transport};
use sojourn_model::{ActionId, DurationMs, Timestamp, is_call};
use sojourn_ports::Clock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// What the provider has seen; shared with the checkers and over restarts.
#[derive(Default)]
pub(crate) struct Seen {
    /// Every call, in order.
    pub(crate) calls: Vec<Call>,
    /// Next place among calls and acknowledged revocations.
    pub(crate) order: u64,
    /// Actions that it took, and when first, for channels that know their ids.
    pub(crate) taken: BTreeMap<ActionId, Timestamp>,
    /// Whether `email` can be asked about an action.
    pub(crate) lookup: bool,
    /// Whether faults still happen.
    pub(crate) faulty: bool,
}

/// For how long `email` knows an id.
const IDEMPOTENCY: DurationMs = DurationMs(86_400_000);

/// What a called service answers: the same however often it is asked under one id.
pub(crate) fn answer_of(action: ActionId) -> u64 {
    (action.0.profile.0 ^ u64::from(action.0.run)) % 10
}

/// Shared between the dispatcher's transport and the world.
pub(crate) type Shared = Arc<Mutex<Seen>>;

/// The dispatcher's transport to the provider. `email` knows action ids for a while and answers
/// look-ups; `push` knows nothing.
pub(crate) struct FakeProvider {
    seen: Shared,
    random: Random,
    clock: Arc<dyn Clock>,
    answers: Vec<Answer>,
}

impl FakeProvider {
    /// A provider over what it has seen so far.
    pub(crate) fn new(seen: Shared, random: Random, clock: Arc<dyn Clock>) -> Self {
        Self { seen, random, clock, answers: Vec::new() }
    }

    fn deliver(&mut self, delivery: Delivery) {
        let Delivery { action, attempt, lookup_only, permit } = delivery;
        let mut seen = self.seen.lock().expect("one thread");
        let knows = &*action.channel == "email" || action.is_call();
        let now = self.clock.now();
        let known = knows && seen.taken.contains_key(&action.id);
        let repeated = known && now.since(seen.taken[&action.id]).0 < IDEMPOTENCY.0;
        let (outcome, effective) = match () {
            () if lookup_only => {
                (if known { AttemptOutcome::Sent } else { AttemptOutcome::Retry }, false)
            }
            () if repeated => (AttemptOutcome::Sent, false),
            () if !seen.faulty => (AttemptOutcome::Sent, true),
            () => match self.random.below(20) {
                0 => (AttemptOutcome::Unknown, true),
                1 => (AttemptOutcome::Unknown, false),
                2 | 3 => (AttemptOutcome::Retry, false),
                4 => (AttemptOutcome::Failed, false),
                _ => (AttemptOutcome::Sent, true),
            },
        };
        if effective {
            seen.taken.entry(action.id).or_insert(now);
        }
        if !lookup_only {
            seen.order += 1;
            let call =
                Call { order: seen.order, at: now, action: (*action).clone(), attempt, effective };
            seen.calls.push(call);
        }
        drop(permit);
        let retry_after_ms = if self.random.one_in(4) { 30_000 } else { 0 };
        self.answers.push(Answer {
            action: action.id,
            attempt,
            outcome,
            detail: "provider".into(),
            retry_after_ms,
            bounce: None,
            body: (outcome == AttemptOutcome::Sent && action.is_call())
                .then(|| format!(r#"{{"n":{}}}"#, answer_of(action.id)).into()),
        });
    }
}

impl Transport for FakeProvider {
    fn start(&mut self, deliveries: Vec<Delivery>) {
        for delivery in deliveries {
            self.deliver(delivery);
        }
    }

    fn poll(&mut self) -> Vec<Answer> {
        let faulty = self.seen.lock().expect("one thread").faulty;
        if faulty && self.random.one_in(3) {
            return Vec::new();
        }
        let mut answers = std::mem::take(&mut self.answers);
        if faulty && self.random.one_in(2) {
            answers.reverse();
        }
        answers
    }

    fn channel(&mut self, name: &str) -> ChannelState {
        if is_call(name) {
            return ChannelState::Known(Capability {
                idempotency_window: IDEMPOTENCY,
                ..Capability::default()
            });
        }
        ChannelState::Known(match name {
            "email" => Capability {
                idempotency_window: IDEMPOTENCY,
                status_lookup: self.seen.lock().expect("one thread").lookup,
                in_flight: 0,
            },
            _ => Capability::default(),
        })
    }
}
