//! Beginning calls: who may go now, the intent, the gate, the handing over.

use crate::channel::{ChannelUse, Leave};
use crate::dispatcher::Dispatcher;
use crate::flush::Flushed;
use crate::pending::{Pending, Quiet, State};
use crate::planted::{Mutation, planted};
use crate::{Capability, ChannelOptions, ChannelState, Delivery, DispatchError, limits, metrics};
use sojourn_model::{Action, ActionId, CandidateId, Name, Timestamp, is_call};
use sojourn_ports::{GateQuery, GateVerdict, Permit};
use sojourn_proto::DispatchResult;
use std::sync::Arc;

/// Whether an action may be handed over now.
enum Fit {
    /// It may; with the gate's permit, unless it is a look-up.
    Yes(Option<Permit>),
    /// Not before then.
    Later(Timestamp),
    /// Never.
    Never(DispatchResult, String),
}

impl Dispatcher {
    /// Wakes what is due and begins as many calls as channels and the turn allow.
    pub(crate) fn begin_calls(&mut self) -> Result<bool, DispatchError> {
        if !self.may_call() {
            return Ok(false);
        }
        let now = self.ports.clock.now();
        let mut worked = self.wake_due(now);
        let mut chosen: Vec<ActionId> = Vec::new();
        let names: Vec<Name> = self.ready.keys().cloned().collect();
        for name in names {
            let before = chosen.len();
            worked |= self.choose(&name, now, &mut chosen);
            worked |= chosen.len() > before;
            if self.ready.get(&name).is_some_and(|queue| queue.is_empty()) {
                self.ready.remove(&name);
            }
        }
        if chosen.is_empty() {
            return Ok(worked);
        }
        if planted(Mutation::IntentAfterCall) {
            self.hand_over(&chosen);
        }
        if self.flush()? == Flushed::Not {
            self.not_begun(&chosen);
            return Ok(worked);
        }
        // ACT-1: the intent is durable before the call.
        self.ports.log.sync()?;
        if !planted(Mutation::IntentAfterCall) {
            self.hand_over(&chosen);
        }
        Ok(true)
    }

    /// Moves sleepers whose time has come.
    fn wake_due(&mut self, now: Timestamp) -> bool {
        let mut worked = false;
        for _ in 0..limits::PENDING_MAX {
            match self.sleeping.first() {
                Some(&(at, id)) if at <= now => {
                    worked = true;
                    let unresolved = self.pending.get(&id).is_some_and(|p| p.unresolved.is_some());
                    if unresolved {
                        self.resolve(id, "no outcome before a restart");
                    } else {
                        self.place(id, State::Ready);
                    }
                }
                _ => break,
            }
        }
        worked
    }

    /// Takes from one channel's queue what may go now, and writes its intents.
    fn choose(&mut self, name: &Name, now: Timestamp, chosen: &mut Vec<ActionId>) -> bool {
        let mut worked = false;
        while chosen.len() < limits::TURN_CALLS_MAX && self.outbox.len() < limits::OUTBOX_MAX {
            let Some(id) = self.ready.get(name).and_then(|queue| queue.first()).map(|r| r.id)
            else {
                break;
            };
            let Some(leave) = self.leave(name, now) else {
                self.finish(id, DispatchResult::Failed, "no such channel in this workspace");
                worked = true;
                continue;
            };
            if leave != Leave::Go {
                break;
            }
            match self.fit(id, now) {
                // This permit is dropped at once: asked again when the intent is durable.
                Fit::Yes(_) => {
                    self.begin(id, now);
                    chosen.push(id);
                }
                Fit::Later(until) => self.place(id, State::Sleeping(until)),
                Fit::Never(result, detail) => self.finish(id, result, &detail),
            }
            worked = true;
        }
        worked
    }

    fn begin(&mut self, id: ActionId, now: Timestamp) {
        let Some(pending) = self.pending.get_mut(&id) else { return };
        pending.history.begin(pending.lookup_next, now);
        let (first, waited) = (pending.history.calls == 1, now.since(pending.action.approved_at).0);
        let pending = pending.clone();
        if let Some(channel) = self.channels.get_mut(&pending.action.channel) {
            channel.begin();
        }
        metrics::called(&pending.action.channel, first, waited);
        self.intent(&pending, now);
        self.place(id, State::InFlight);
    }

    /// Takes back what `begin` did: the intents are not in the log, or nobody knows.
    fn not_begun(&mut self, chosen: &[ActionId]) {
        self.outbox.retain(|record| !record.intent);
        for &id in chosen {
            let Some(pending) = self.pending.get_mut(&id) else { continue };
            let lookup = pending.lookup_next;
            let history = &mut pending.history;
            history.calls -= 1;
            history.lookups -= u32::from(lookup);
            history.in_flight = false;
            if history.calls == 0 {
                history.first_call = None;
            }
            let name = pending.action.channel.clone();
            self.place(id, State::Ready);
            if let Some(channel) = self.channels.get_mut(&name) {
                channel.not_made();
            }
        }
    }

    /// Asks the gate for each and hands over what it lets through (CON-2).
    fn hand_over(&mut self, chosen: &[ActionId]) {
        let mut deliveries = Vec::with_capacity(chosen.len());
        for &id in chosen {
            // The clock again: the fsync took its time, and a quiet window may have begun (QUI-1).
            let now = self.ports.clock.now();
            // The fsync may have outlasted the lease: then a successor may be at work (ACT-1).
            let fit = match self.may_call() {
                true => self.fit(id, now),
                false => Fit::Later(now.plus(limits::GATE_PAUSE)),
            };
            let Some(pending) = self.pending.get(&id) else { continue };
            match fit {
                Fit::Yes(permit) => deliveries.push(Delivery {
                    action: delivered(&pending.action, pending.history.calls),
                    attempt: pending.history.calls,
                    lookup_only: pending.lookup_next,
                    permit,
                }),
                Fit::Later(until) => {
                    // So that a restart knows that this call was not made.
                    let pending = pending.clone();
                    self.outcome(&pending, DispatchResult::Retry, "not handed over", now);
                    self.not_made(id);
                    self.place(id, State::Sleeping(until));
                }
                Fit::Never(result, detail) => {
                    self.not_made(id);
                    self.finish(id, result, &detail);
                }
            }
        }
        if !deliveries.is_empty() {
            self.transport.start(deliveries);
        }
    }

    /// Whether the partitions are still this dispatcher's.
    fn may_call(&self) -> bool {
        self.tenancy.as_ref().is_none_or(|tenancy| (tenancy.may_call)())
    }

    fn not_made(&mut self, id: ActionId) {
        let Some(pending) = self.pending.get_mut(&id) else { return };
        pending.history.in_flight = false;
        if let Some(channel) = self.channels.get_mut(&pending.action.channel) {
            channel.not_made();
        }
    }

    /// Every check before a call, in the order: taken back, expired, quiet, gate.
    fn fit(&self, id: ActionId, now: Timestamp) -> Fit {
        let Some(pending) = self.pending.get(&id) else {
            return Fit::Never(DispatchResult::Refused, "gone".into());
        };
        if pending.lookup_next {
            return Fit::Yes(None); // asks, sends nothing
        }
        if let Some(reason) = &pending.cancelled {
            return Fit::Never(DispatchResult::Refused, format!("cancelled: {reason}"));
        }
        if pending.deadline() <= now {
            return Fit::Never(DispatchResult::Refused, "expired".into());
        }
        if !planted(Mutation::IgnoreQuietWindow) {
            match pending.quiet(now) {
                Quiet::Open => {}
                Quiet::Until(until) if until < pending.deadline() => return Fit::Later(until),
                Quiet::Until(_) => {
                    let why = "quiet_hours: it expires before they end".to_owned();
                    return Fit::Never(DispatchResult::Refused, why);
                }
                Quiet::Unknown => {
                    let why = "quiet_hours: it waited past the window it was decided for";
                    return Fit::Never(DispatchResult::Refused, why.into());
                }
            }
        }
        if planted(Mutation::GateAtDecisionOnly) {
            return Fit::Yes(None);
        }
        match self.ports.gate.ask(&query(pending)) {
            GateVerdict::Open(permit) => Fit::Yes(Some(permit)),
            GateVerdict::Closed(reason) => Fit::Never(DispatchResult::Refused, reason.to_owned()),
            GateVerdict::Unreachable(_) => Fit::Later(now.plus(limits::GATE_PAUSE)),
        }
    }

    /// Whether a channel takes one more; `None`: there is no such channel.
    fn leave(&mut self, name: &Name, now: Timestamp) -> Option<Leave> {
        // Each host that is called has a breaker and a window of its own, as a channel has.
        let options = match is_call(name) {
            true => Some(ChannelOptions::default()),
            false => self.options.channels.get(name).copied(),
        };
        let state = self.transport.channel(name);
        if options.is_none() || state == ChannelState::Absent {
            return None;
        }
        let options = options.unwrap_or_default();
        let Capability { in_flight, .. } = state.capability();
        let likes = if in_flight == 0 { limits::IN_FLIGHT_DEFAULT } else { in_flight };
        let window = options.in_flight.map_or(likes, |most| most.min(likes));
        let channel = self
            .channels
            .entry(name.clone())
            .or_insert_with(|| ChannelUse::new(options.rate_per_second, now));
        Some(channel.leave(window, now))
    }

    /// When a channel with a queue will take more, if time alone makes it so.
    pub(crate) fn channel_wake(&mut self, name: &Name, now: Timestamp) -> Option<Timestamp> {
        match self.leave(name, now) {
            Some(Leave::At(at)) => Some(at),
            Some(Leave::Go) | None => Some(now),
            Some(Leave::WhenAnswered) => None,
        }
    }
}

/// The action as it is handed over: its id is the same on every attempt (ACT-1).
fn delivered(action: &Arc<Action>, attempt: u32) -> Arc<Action> {
    if planted(Mutation::NewIdOnRetry) && attempt > 1 {
        let mut other = Action::clone(action);
        let CandidateId { profile, run, step, visit } = other.id.0;
        let visit = visit.wrapping_add(u16::try_from(attempt).unwrap_or(u16::MAX));
        other.id = ActionId(CandidateId { profile, run, step, visit });
        return Arc::new(other);
    }
    Arc::clone(action)
}

fn query(pending: &Pending) -> GateQuery {
    let action = &pending.action;
    GateQuery {
        action: action.id,
        profile: action.profile,
        endpoint: action.endpoint.clone(),
        identifiers: action.identifiers.clone(),
        channel: action.channel.clone(),
        purpose: action.purpose.clone(),
        journey: action.journey.clone(),
        approved_at: action.approved_at,
    }
}
