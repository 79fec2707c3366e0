//! What to make of an answer: done, again, look it up, or nobody knows.

use crate::dispatcher::Dispatcher;
use crate::pending::State;
use crate::planted::{Mutation, planted};
use crate::{Answer, AttemptOutcome, ChannelState, limits, metrics};
use sojourn_model::{ActionId, DurationMs, MessageClass, Name, Timestamp};
use sojourn_proto::DispatchResult;

impl Dispatcher {
    /// Takes the answers that have come.
    pub(crate) fn take_answers(&mut self) -> bool {
        let answers = self.transport.poll();
        let worked = !answers.is_empty();
        for answer in answers {
            self.judge(&answer);
        }
        worked
    }

    fn judge(&mut self, answer: &Answer) {
        let now = self.ports.clock.now();
        // With the planted bug a retry carries an id of its own; its answer belongs to this action.
        let id = if planted(Mutation::NewIdOnRetry) {
            self.owner_of(answer).unwrap_or(answer.action)
        } else {
            answer.action
        };
        let Some(pending) = self.pending.get_mut(&id) else { return };
        if pending.state != State::InFlight || answer.attempt != pending.history.calls {
            return; // of an older attempt: decided already
        }
        let lookup = pending.lookup_next;
        pending.history.in_flight = false;
        pending.bounce = answer.bounce;
        pending.body.clone_from(&answer.body);
        let name = pending.action.channel.clone();
        metrics::answered(&name, label(answer.outcome));
        self.use_answer(&name, answer, now);
        match answer.outcome {
            AttemptOutcome::Sent => {
                self.finish(id, DispatchResult::Sent, &answer.detail);
            }
            AttemptOutcome::Failed => self.failed(id, lookup, &answer.detail),
            AttemptOutcome::Retry => self.not_taken(id, lookup, answer, now),
            AttemptOutcome::Unknown => {
                if let Some(pending) = self.pending.get_mut(&id) {
                    pending.unresolved = Some(now);
                }
                self.resolve(id, &answer.detail);
            }
        }
    }

    /// The pending action in flight that an answer under another id is about.
    fn owner_of(&self, answer: &Answer) -> Option<ActionId> {
        let mut candidate = answer.action.0;
        let added = u16::try_from(answer.attempt).unwrap_or(u16::MAX);
        if answer.attempt > 1 {
            candidate.visit = candidate.visit.wrapping_sub(added);
        }
        let id = ActionId(candidate);
        self.pending.contains_key(&id).then_some(id)
    }

    /// Breaker and pause of the channel.
    fn use_answer(&mut self, name: &Name, answer: &Answer, now: Timestamp) {
        let failed = matches!(answer.outcome, AttemptOutcome::Retry | AttemptOutcome::Unknown);
        if let Some(channel) = self.channels.get_mut(name) {
            channel.answered(failed, now);
            if answer.outcome == AttemptOutcome::Retry && answer.retry_after_ms > 0 {
                channel.pause(now.plus(asked_pause(answer)));
            }
        }
    }

    /// The provider will never send it. When it knows our ids, or was asked about this one, its word
    /// covers the attempts before.
    fn failed(&mut self, id: ActionId, lookup: bool, detail: &str) {
        let knows = lookup || self.is_idempotent(id);
        if let Some(pending) = self.pending.get_mut(&id)
            && knows
        {
            pending.history.maybe_sent = false;
        }
        self.finish(id, DispatchResult::Failed, detail);
    }

    fn is_idempotent(&mut self, id: ActionId) -> bool {
        let Some(pending) = self.pending.get(&id) else { return false };
        let name = pending.action.channel.clone();
        let first = pending.history.first_call;
        let window = self.transport.channel(&name).capability().idempotency_window;
        let now = self.ports.clock.now();
        first.is_some_and(|first| now.since(first).0 < window.0)
    }

    /// Not taken: again after a pause, while there is any use in it.
    fn not_taken(&mut self, id: ActionId, lookup: bool, answer: &Answer, now: Timestamp) {
        let Some(pending) = self.pending.get_mut(&id) else { return };
        if lookup {
            // It was never delivered.
            pending.history.maybe_sent = false;
            pending.lookup_next = false;
        }
        if let Some(reason) = pending.cancelled.clone() {
            return self.finish(id, DispatchResult::Refused, &format!("cancelled: {reason}"));
        }
        if pending.history.attempts() >= limits::ATTEMPTS_MAX {
            let detail = format!(
                "given up after {} attempts: {}",
                pending.history.attempts(),
                answer.detail
            );
            return self.finish(id, DispatchResult::Failed, &detail);
        }
        let pause = pending.backoff().max(asked_pause(answer));
        let until = now.plus(pause);
        if until >= pending.deadline() {
            let detail = format!("expires before the next attempt: {}", answer.detail);
            return self.finish(id, DispatchResult::Failed, &detail);
        }
        let pending = pending.clone();
        self.outcome(&pending, DispatchResult::Retry, &answer.detail, now);
        self.place(id, State::Sleeping(until));
    }

    /// Decides about an unknown outcome (ACT-1): look it up, try again under the same id, or leave
    /// it unknown.
    pub(crate) fn resolve(&mut self, id: ActionId, detail: &str) {
        let now = self.ports.clock.now();
        let Some(pending) = self.pending.get_mut(&id) else { return };
        let since = pending.unresolved.unwrap_or(now);
        pending.history.maybe_sent = true;
        pending.history.in_flight = false;
        let name = pending.action.channel.clone();
        let state = self.transport.channel(&name);
        let Some(pending) = self.pending.get_mut(&id) else { return };
        if state == ChannelState::NotYet && now.since(since).0 < limits::CAPABILITY_WAIT.0 {
            pending.unresolved = Some(since);
            return self.place(id, State::Sleeping(now.plus(limits::CAPABILITY_PAUSE)));
        }
        pending.unresolved = None;
        let capability = state.capability();
        let history = pending.history;
        let more = history.attempts() < limits::ATTEMPTS_MAX && pending.cancelled.is_none();
        // A second delivery within the window has no effect; the pause must fit into it as well.
        let pause = pending.backoff();
        let until = now.plus(pause);
        let within_window = history
            .first_call
            .is_some_and(|first| until.since(first).0 < capability.idempotency_window.0);
        let class = if planted(Mutation::ResendUnknown) {
            MessageClass::AtLeastOnce
        } else {
            pending.action.class
        };
        if capability.status_lookup && history.lookups < limits::LOOKUPS_MAX {
            pending.lookup_next = true;
        } else if more && (within_window || class == MessageClass::AtLeastOnce) {
            pending.lookup_next = false;
        } else {
            pending.lookup_next = false;
            return self.finish(id, DispatchResult::Unknown, detail);
        }
        let pending = pending.clone();
        self.outcome(&pending, DispatchResult::Unsure, detail, now);
        self.place(id, State::Sleeping(until));
    }
}

fn asked_pause(answer: &Answer) -> DurationMs {
    let asked = i64::try_from(answer.retry_after_ms).unwrap_or(i64::MAX);
    DurationMs(asked.min(limits::RETRY_AFTER_MAX.0))
}

fn label(outcome: AttemptOutcome) -> &'static str {
    match outcome {
        AttemptOutcome::Sent => "sent",
        AttemptOutcome::Failed => "failed",
        AttemptOutcome::Retry => "retry",
        AttemptOutcome::Unknown => "unknown",
    }
}
