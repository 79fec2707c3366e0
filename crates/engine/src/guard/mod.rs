//! The guard: every check between a journey that wants to send and a message that may (semantics 6).
//!
//! **EXP-1:** every evaluation of every candidate leaves a decision record, also each refusal.

mod best_time;
mod channels;
mod content;
mod fatigue;
mod hours;
mod judge;
mod pace;
mod put_off;

pub(crate) use channels::regime_of;

use crate::Effect;
use crate::caps::{Send as Sent, SendState};
use crate::journey::{Candidate, Flow, Pinned, Run, RunId, RunState};
use crate::limits::SENDS_MAX;
use crate::mutation::{Mutation, mutated};
use crate::profile::Choice;
use crate::step::Step;
use crate::timing::ZoneUsed;
use judge::Judged;
use sojourn_model::{
    Action, ActionId, Decision, DecisionId, MessageClass, Name, Outcome, ProfileId, Reason,
    Timestamp, Value,
};
use sojourn_rules::{Send, StepIndex, StepKind};

/// Where a person lies in `[0, 1)` for a salt: fixed, so that changing a share moves only that share.
pub(crate) fn share_of(salt: &str, profile: ProfileId) -> f64 {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    let mut hash = salt.bytes().fold(0xCBF2_9CE4_8422_2325, mix) ^ profile.0;
    // splitmix64's finish: spreads ids that differ in few bits.
    for multiplier in [0xBF58_476D_1CE4_E5B9_u64, 0x94D0_49BB_1331_11EB] {
        hash = (hash ^ (hash >> 30)).wrapping_mul(multiplier);
    }
    hash ^= hash >> 31;
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let share = (hash >> 11) as f64 / (1u64 << 53) as f64;
    share
}

/// Order of candidates that wake or are chosen together: class, priority (greater first), expiry
/// (sooner first, none last), value (greater first), id.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rank {
    class: usize,
    priority: i32,
    expires: Option<Timestamp>,
    value: f64,
    id: (Timestamp, u32, ProfileId, u16),
}

impl Rank {
    /// Less goes first.
    pub(crate) fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let never = Timestamp::MAX;
        self.class
            .cmp(&other.class)
            .then(other.priority.cmp(&self.priority))
            .then(self.expires.unwrap_or(never).cmp(&other.expires.unwrap_or(never)))
            .then(other.value.total_cmp(&self.value))
            .then(self.id.cmp(&other.id))
    }
}

/// A `send` step that a run has come to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    /// Place of the run in the profile.
    pub(crate) place: usize,
    pub(crate) pinned: &'a Pinned,
    pub(crate) index: StepIndex,
    pub(crate) send: &'a Send,
}

impl<'a> Message<'a> {
    fn step(&self) -> &'a Name {
        &self.pinned.journey.step(self.index).id
    }
    fn journey(&self) -> &'a Name {
        &self.pinned.journey.name
    }
}

impl Step<'_> {
    /// The person's zone as it is now.
    pub(crate) fn zone_now(&self) -> ZoneUsed {
        let current = self.shared.current.as_ref();
        let workspace = current.map(|current| &*current.definitions.workspace.time_zone);
        self.profile.zone(workspace)
    }

    /// Place of a deferred candidate among those that wake together.
    pub(crate) fn rank(&self, run: &Run) -> Option<Rank> {
        let RunState::Deferred(candidate) = &run.state else { return None };
        let pinned = self.pinned(run);
        let send = pinned.as_ref().and_then(|pinned| {
            match &pinned.journey.step(StepIndex(run.step)).kind {
                StepKind::Send(send) => Some(send),
                _ => None,
            }
        });
        let policy = self.shared.current.as_ref().map(|current| &current.definitions.policy);
        let class = send.and_then(|send| policy?.purpose(&send.purpose)).map(|(class, _)| class);
        let (entered_at, sequence, origin) = run.order();
        let by_arrival = mutated(Mutation::ArbitrationByArrival);
        let (class, send) = if by_arrival { (Some(0), None) } else { (class, send) };
        Some(Rank {
            class: class.unwrap_or(usize::MAX),
            priority: send.map_or(0, |send| send.priority),
            expires: candidate.expires,
            value: candidate.value,
            id: (entered_at, sequence, origin, run.step),
        })
    }

    /// A `send` step: a candidate arises and is looked at at once.
    pub(crate) fn send(
        &mut self,
        id: RunId,
        pinned: &Pinned,
        index: StepIndex,
        send: &Send,
    ) -> Flow {
        self.send_arisen(id, pinned, index, send, self.now)
    }

    /// The same for a candidate that arose at `arose`, held back by a pause.
    pub(crate) fn send_arisen(
        &mut self,
        id: RunId,
        pinned: &Pinned,
        index: StepIndex,
        send: &Send,
        arose: Timestamp,
    ) -> Flow {
        let place = self.profile.run_place(id).expect("moving");
        self.profile.runs[place].state = RunState::Moving;
        let step = pinned.journey.step(index);
        if self.sent_before(id, &step.id) {
            return Flow::Go(step.next);
        }
        let value = send.value.as_ref().and_then(|value| self.run_value(place, pinned, value));
        let candidate = Candidate {
            arose,
            expires: send.expires.map(|expires| arose.plus(expires)),
            until: self.now,
            value: value.as_ref().and_then(Value::as_number).unwrap_or(0.0),
            arbitrated: false,
            channel: send.channels.first().cloned().unwrap_or_else(|| "".into()),
            endpoint: None,
        };
        self.evaluate(Message { place, pinned, index, send }, candidate, false)
    }

    /// A deferred candidate wakes: every check runs again, with the zone of this moment.
    pub(crate) fn wake_candidate(&mut self, id: RunId, pinned: &Pinned, index: StepIndex) {
        let place = self.profile.run_place(id).expect("due");
        let StepKind::Send(send) = &pinned.journey.step(index).kind else {
            unreachable!("only a send is deferred")
        };
        let state = std::mem::replace(&mut self.profile.runs[place].state, RunState::Moving);
        let RunState::Deferred(candidate) = state else { unreachable!("a deferred candidate") };
        let flow = self.evaluate(Message { place, pinned, index, send }, candidate, true);
        if let Flow::Go(next) = flow {
            self.advance(id, next);
        }
    }

    /// One evaluation: judges, records the decision, and reserves what was approved.
    fn evaluate(&mut self, message: Message<'_>, mut candidate: Candidate, waking: bool) -> Flow {
        let mut judged = self.judge(message, &candidate, waking);
        self.keep_rate(message, &candidate, &mut judged);
        self.remember(&judged);
        let decision = self.decision(message, &judged);
        let decision_id = decision.id;
        let hidden = judged.outcome == Outcome::Suppress && mutated(Mutation::RefusalWithoutRecord);
        if !hidden {
            self.effects.push(Effect::Decision(Box::new(decision)));
        }
        let next = message.pinned.journey.step(message.index).next;
        match judged.outcome {
            Outcome::Approve | Outcome::Reroute => {
                self.approve(message, &candidate, judged, decision_id);
                Flow::Go(next)
            }
            Outcome::Suppress => {
                if let Some(cap) = judged.put_off {
                    self.put_off_message(message, &candidate, cap);
                }
                Flow::Go(next)
            }
            Outcome::Defer => {
                let until = judged.until.expect("a deferral says until when");
                assert!(until > self.now, "a deferral ends later");
                candidate.until = until;
                candidate.channel = judged.channel;
                candidate.endpoint = judged.endpoint;
                if judged.reason == Some(Reason::Arbitration) {
                    candidate.arbitrated = true;
                    self.profile.arbitration_until = Some(until);
                }
                let armed = self.arm();
                let run = &mut self.profile.runs[message.place];
                run.armed = armed;
                run.state = RunState::Deferred(candidate);
                Flow::Stay
            }
        }
    }

    /// Keeps a choice made at its first use.
    fn remember(&mut self, judged: &Judged) {
        if let Some(choice) = &judged.remember {
            self.profile.choices.push(choice.clone());
        }
        if judged.reason == Some(Reason::Cap) && self.profile.sends.full() {
            self.limit("sends", SENDS_MAX);
        }
    }

    fn decision(&mut self, message: Message<'_>, judged: &Judged) -> Decision {
        let position = self.position;
        let id = DecisionId { position, index: self.effects.next_decision() };
        let run = &self.profile.runs[message.place];
        let approved = matches!(judged.outcome, Outcome::Approve | Outcome::Reroute);
        let mut inputs = judged.inputs.clone();
        inputs.entry_event = Some((run.entry.name.clone(), run.entry.stamp.occurred));
        assert_eq!(judged.outcome == Outcome::Approve, judged.reason.is_none(), "reasons");
        Decision {
            id,
            at: self.now,
            candidate: self.candidate_of(run),
            profile: self.profile.id,
            identifiers: self.profile.identifiers.iter().map(|h| h.identifier.clone()).collect(),
            journey: message.journey().clone(),
            version: run.version,
            run_key: run.run_key(),
            step: message.step().clone(),
            channel: judged.channel.clone(),
            endpoint: self.shown(judged.endpoint.as_ref()),
            purpose: message.send.purpose.clone(),
            topic: message.send.topic.clone(),
            outcome: judged.outcome,
            reason: judged.reason,
            until: judged.until,
            action: approved.then(|| ActionId(self.candidate_of(run))),
            caps: judged.caps.clone(),
            zone: judged.zone.zone.name().into(),
            zone_source: judged.zone.source,
            inputs,
        }
    }

    /// An endpoint as records show it: channels without an address show the profile.
    fn shown(&self, endpoint: Option<&Name>) -> Option<Name> {
        let endpoint = endpoint?;
        if &**endpoint == crate::consent::PERSON_ENDPOINT {
            Some(self.profile.id.to_string().into())
        } else {
            Some(endpoint.clone())
        }
    }

    fn approve(
        &mut self,
        message: Message<'_>,
        candidate: &Candidate,
        judged: Judged,
        decision: DecisionId,
    ) {
        let step = message.step().clone();
        let shows_items = judged.shows_items;
        let endpoint = judged.endpoint.clone().expect("an approval has an endpoint");
        let run = &self.profile.runs[message.place];
        let id = ActionId(self.candidate_of(run));
        let policy = self.shared.current.as_ref().map(|current| &current.definitions.policy);
        let purpose =
            policy.and_then(|policy| policy.purpose(&message.send.purpose)).map(|(_, p)| p);
        let service = purpose.is_some_and(|purpose| purpose.service);
        let (quiet_from, quiet_until) =
            judged.next_quiet.map_or((None, None), |(from, until)| (Some(from), until));
        let identifiers = &self.profile.identifiers;
        let action = Action {
            id,
            decision,
            profile: self.profile.id,
            channel: judged.channel.clone(),
            endpoint: self.shown(Some(&endpoint)).expect("given"),
            purpose: message.send.purpose.clone(),
            topic: message.send.topic.clone(),
            journey: message.journey().clone(),
            version: run.version,
            run_key: run.run_key(),
            step: step.clone(),
            template: message.send.template.clone(),
            locale: judged.locale,
            variables: judged.variables,
            expires: candidate.expires,
            quiet_from,
            quiet_until,
            approved_at: self.now,
            cause: run.cause.clone(),
            class: if service { MessageClass::AtLeastOnce } else { MessageClass::AtMostOnce },
            priority: message.send.priority,
            identifiers: identifiers.iter().map(|held| held.identifier.value.clone()).collect(),
        };
        let counted = !purpose.is_some_and(|purpose| purpose.exempt_caps);
        let reserved = Sent {
            at: self.now,
            action: id,
            state: SendState::Reserved,
            counted,
            cancelled: false,
            channel: judged.channel,
            endpoint,
            purpose: message.send.purpose.clone(),
            topic: message.send.topic.clone(),
            tags: message.send.tags.clone(),
            journey: message.journey().clone(),
            step,
        };
        if shows_items {
            self.taken_along(message, &reserved.channel, &reserved.endpoint);
        }
        if !service {
            self.may_be_ignored(&reserved.channel, id);
        }
        self.profile.sends.reserve(reserved, self.shared.keep_sends);
        self.effects.push(Effect::Action(Box::new(action)));
    }

    /// A run ended while its candidate was deferred: the last decision, at this instant.
    pub(crate) fn candidate_taken_away(&mut self, place: usize, reason: Reason) {
        let run = &self.profile.runs[place];
        let RunState::Deferred(candidate) = &run.state else { return };
        let candidate = candidate.clone();
        let Some(pinned) = self.pinned(run) else { return };
        let index = StepIndex(run.step);
        let StepKind::Send(send) = &pinned.journey.step(index).kind else { return };
        let message = Message { place, pinned: &pinned, index, send };
        let mut judged = self.taken_away(message, &candidate);
        judged.outcome = Outcome::Suppress;
        judged.reason = Some(reason);
        let mut decision = self.decision(message, &judged);
        if reason == Reason::Erased {
            // ERA-1: nothing of the person is written after the erasure.
            decision.identifiers.clear();
            decision.endpoint = None;
            decision.run_key = None;
        }
        if !mutated(Mutation::RefusalWithoutRecord) {
            self.effects.push(Effect::Decision(Box::new(decision)));
        }
    }

    /// Whether the person is held out of a purpose's messages, and what to remember of it.
    pub(crate) fn holdout(&self, purpose: &str) -> (bool, Option<Choice>) {
        let current = self.shared.current.as_ref();
        let holdout = current.and_then(|current| current.definitions.policy.holdout.as_ref());
        let Some(holdout) = holdout.filter(|h| h.purposes.iter().any(|p| &**p == purpose)) else {
            return (false, None);
        };
        let known = self.profile.choice(|choice| match choice {
            Choice::Holdout { salt, held } if *salt == holdout.salt => Some(*held),
            _ => None,
        });
        match known {
            Some(held) => (held, None),
            None if holdout.percent <= 0.0 => (false, None),
            None => {
                let held = share_of(&holdout.salt, self.profile.id) * 100.0 < holdout.percent;
                (held, Some(Choice::Holdout { salt: holdout.salt.clone(), held }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_even_and_fixed() {
        let held = (0..10_000).filter(|id| share_of("2026-h2", ProfileId(*id)) < 0.05).count();
        assert!((400..600).contains(&held), "{held}");
        assert!(share_of("a", ProfileId(1)).to_bits() != share_of("b", ProfileId(1)).to_bits());
    }

    #[test]
    fn ranks() {
        let rank = |class, priority, expires: Option<i64>, value, sequence| Rank {
            class,
            priority,
            expires: expires.map(Timestamp),
            value,
            id: (Timestamp(0), sequence, ProfileId(0), 0),
        };
        let order = [
            rank(0, 1, None, 0.0, 9),
            rank(1, 90, None, 0.0, 8),
            rank(1, 50, Some(5), 0.0, 7),
            rank(1, 50, Some(6), 3.0, 6),
            rank(1, 50, Some(6), 2.0, 4),
            rank(1, 50, Some(6), 2.0, 5),
            rank(1, 50, None, 9.0, 0),
        ];
        assert!(order.is_sorted_by(|a, b| a.cmp(b).is_lt()));
    }
}
