//! The verdict on one candidate: the checks of semantics 6, in their order, up to the first refusal.

use super::Message;
use super::best_time::Slot;
use super::channels::{Closed, Open};
use crate::caps::Reading;
use crate::journey::Candidate;
use crate::mutation::{Mutation, mutated};
use crate::profile::Choice;
use crate::step::Step;
use crate::timing::ZoneUsed;
use sojourn_model::{CapReading, Inputs, KillTarget, Name, Outcome, Reason, Timestamp, Value};
use sojourn_rules::{AtCap, Cap, Send};

/// A verdict with everything that its decision record says.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    pub(crate) outcome: Outcome,
    pub(crate) reason: Option<Reason>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) channel: Name,
    pub(crate) endpoint: Option<Name>,
    pub(crate) caps: Vec<CapReading>,
    pub(crate) zone: ZoneUsed,
    pub(crate) inputs: Inputs,
    /// A holdout decided for the first time.
    pub(crate) remember: Option<Choice>,
    /// For an approval: the person's next quiet time on this channel.
    pub(crate) next_quiet: Option<(Timestamp, Option<Timestamp>)>,
    pub(crate) locale: Name,
    pub(crate) variables: Value,
    /// The full cap that puts what the message would have shown off into the next one.
    pub(crate) put_off: Option<Name>,
    /// An approval that shows what was put off before.
    pub(crate) shows_items: bool,
}

/// Caps that match a message on one channel.
pub(super) struct CapsAt<'a> {
    pub(super) readings: Vec<CapReading>,
    pub(super) full: Vec<(&'a Cap, Reading)>,
}

impl Judged {
    fn refuse(mut self, reason: Reason, detail: Option<Name>) -> Self {
        self.outcome = Outcome::Suppress;
        self.reason = Some(reason);
        self.inputs.detail = detail;
        self
    }
    fn defer(mut self, reason: Reason, until: Timestamp) -> Self {
        self.outcome = Outcome::Defer;
        self.reason = Some(reason);
        self.until = Some(until);
        self
    }
}

impl Step<'_> {
    fn blank(&self, channel: Name, endpoint: Option<Name>) -> Judged {
        Judged {
            outcome: Outcome::Suppress,
            reason: None,
            until: None,
            channel,
            endpoint,
            caps: Vec::new(),
            zone: self.zone_now(),
            inputs: Inputs::default(),
            remember: None,
            next_quiet: None,
            locale: "".into(),
            variables: Value::Null,
            put_off: None,
            shows_items: false,
        }
    }

    /// What the record of a candidate says that its run's end took away.
    pub(crate) fn taken_away(&self, message: Message<'_>, candidate: &Candidate) -> Judged {
        let mut judged = self.blank(candidate.channel.clone(), candidate.endpoint.clone());
        let caps = self.caps_at(message, &candidate.channel, judged.zone, self.now);
        judged.caps = caps.readings;
        judged
    }

    /// Judges a candidate.
    pub(crate) fn judge(
        &self,
        message: Message<'_>,
        candidate: &Candidate,
        waking: bool,
    ) -> Judged {
        let send = message.send;
        let channels = self.channels_in_order(send);
        let tried: Vec<Result<Open<'_>, Closed<'_>>> =
            channels.iter().map(|channel| self.channel_open(channel, send)).collect();
        let first = tried.first();
        let (first_channel, first_endpoint) = match first {
            Some(Ok(open)) => (open.channel.clone(), Some(open.endpoint.clone())),
            Some(Err(closed)) => (closed.channel.clone(), closed.endpoint.clone()),
            None => ("".into(), None),
        };
        let mut judged = self.blank(first_channel, first_endpoint);
        judged.caps = self.caps_at(message, &judged.channel, judged.zone, self.now).readings;

        if waking && mutated(Mutation::NoCheckOnWaking) && candidate.endpoint.is_some() {
            judged.channel = candidate.channel.clone();
            judged.endpoint = candidate.endpoint.clone();
            return self.approved(message, judged);
        }
        if let Some((reason, detail)) = self.blocked(message.journey(), send) {
            return judged.refuse(reason, Some(detail));
        }
        // The checks from endpoint to jurisdiction filter the list of channels.
        let open: Vec<&Open<'_>> = tried.iter().filter_map(|tried| tried.as_ref().ok()).collect();
        let first_reason = match first {
            Some(Err(closed)) => Some(closed.reason),
            _ => None,
        };
        let Some(chosen) = open.first() else {
            if let Some(Err(closed)) = first {
                closed.explain(&mut judged.inputs);
            }
            return judged.refuse_keeping_inputs(first_reason.unwrap_or(Reason::EndpointMissing));
        };
        judged.channel = chosen.channel.clone();
        judged.endpoint = Some(chosen.endpoint.clone());
        chosen.explain(&mut judged.inputs);
        judged.caps = self.caps_at(message, &judged.channel, judged.zone, self.now).readings;

        let (held_out, remember) = self.holdout(&send.purpose);
        judged.remember = remember;
        if held_out {
            return judged.refuse(Reason::Holdout, None);
        }
        if let Some(only_if) = &send.only_if
            && !self.condition_holds(only_if, message.pinned, message.place)
        {
            return judged.refuse(Reason::OnlyIf, Some(only_if.text.clone()));
        }
        if candidate.expires.is_some_and(|expires| self.now >= expires) {
            return judged.refuse(Reason::Expired, None);
        }
        if let Some(until) = self.arbitration(candidate) {
            return judged.defer(Reason::Arbitration, until);
        }
        if let Some((at, wave)) = self.wave(message, candidate) {
            judged.inputs.detail = Some(wave);
            return judged.defer(Reason::NoSlot, at);
        }
        match self.slot(message, candidate, &judged) {
            Slot::Now => self.judge_caps(message, candidate, judged, (&open, first_reason)),
            Slot::Later(at, why) => {
                judged.inputs.detail = Some(why);
                judged.defer(Reason::NoSlot, at)
            }
            Slot::None => judged.refuse(Reason::NoSlot, None),
        }
    }

    /// Kill switches and pause; channels' kill switches filter the list instead.
    fn blocked(&self, journey: &Name, send: &Send) -> Option<(Reason, Name)> {
        let controls = &self.shared.controls;
        for target in &controls.kills {
            let (hit, detail): (bool, Name) = match target {
                KillTarget::All => (true, "all".into()),
                KillTarget::Class(purpose) => (*purpose == send.purpose, purpose.clone()),
                KillTarget::Journey(killed) => (killed == journey, killed.clone()),
                KillTarget::Channel(_) => continue,
            };
            if hit {
                return Some((Reason::Killed, detail));
            }
        }
        controls.paused.contains(journey).then(|| (Reason::Paused, journey.clone()))
    }

    /// Until when a candidate waits for others, once; the first opens the window.
    fn arbitration(&self, candidate: &Candidate) -> Option<Timestamp> {
        let current = self.shared.current.as_ref()?;
        let window = current.definitions.policy.arbitration_window;
        if window.0 <= 0 || candidate.arbitrated {
            return None;
        }
        let open = self.profile.arbitration_until.filter(|until| *until > self.now);
        Some(open.unwrap_or_else(|| self.now.plus(window)))
    }

    /// Caps, channel by channel, then quiet hours and content on the one that is left.
    fn judge_caps(
        &self,
        message: Message<'_>,
        candidate: &Candidate,
        mut judged: Judged,
        (open, mut first_reason): (&[&Open<'_>], Option<Reason>),
    ) -> Judged {
        if self.profile.sends.full() {
            judged.inputs.rule = Some("limit: sends".into());
            return judged.refuse(Reason::Cap, None);
        }
        for (tried, channel) in open.iter().enumerate() {
            judged.channel = channel.channel.clone();
            judged.endpoint = Some(channel.endpoint.clone());
            channel.explain(&mut judged.inputs);
            let caps = self.caps_at(message, &judged.channel, judged.zone, self.now);
            judged.caps = caps.readings;
            judged.inputs.fatigue = self.fatigue(&judged.channel, self.now);
            let Some((cap, _)) = caps.full.first() else {
                // A reroute's reason is why the first channel was refused.
                judged.reason = first_reason;
                return self.judge_quiet(message, candidate, judged);
            };
            judged.inputs.rule = Some(cap.id.clone());
            // All full caps must allow; one that never will leaves no instant.
            let free = caps.full.iter().map(|(_, reading)| reading.free_at);
            let free = free.collect::<Option<Vec<_>>>().and_then(|free| free.into_iter().max());
            judged.until = free;
            match message.send.at_cap.unwrap_or(cap.at_cap) {
                AtCap::Fallback if tried + 1 < open.len() => {
                    first_reason = first_reason.or(Some(Reason::Cap));
                }
                AtCap::Defer => match free {
                    Some(free) => return judged.defer(Reason::Cap, free),
                    None => return judged.refuse(Reason::Cap, None),
                },
                AtCap::Digest => {
                    judged.put_off = Some(cap.id.clone());
                    return judged.refuse(Reason::Cap, Some("goes into the next message".into()));
                }
                AtCap::Fallback | AtCap::Drop => {
                    return judged.refuse(Reason::Cap, None);
                }
            }
        }
        unreachable!("the last open channel returns")
    }

    /// Quiet hours and blackouts on the chosen channel.
    fn judge_quiet(
        &self,
        message: Message<'_>,
        candidate: &Candidate,
        mut judged: Judged,
    ) -> Judged {
        if judged.reason != Some(Reason::Cap) {
            judged.inputs.rule = None;
        }
        judged.until = None;
        let plan = self.quiet_plan(message.send, &judged.channel, judged.zone);
        let Some(quiet) = plan.at(self.now) else {
            judged.next_quiet = plan.next(self.now);
            return self.approved(message, judged);
        };
        if quiet.rule.is_some() {
            judged.inputs.rule = quiet.rule;
        }
        let Some(until) = quiet.until else { return judged.refuse(Reason::NoSlot, None) };
        judged.until = Some(until);
        if quiet.drop {
            return judged.refuse(Reason::QuietHours, None);
        }
        let expires = candidate.expires;
        // A night ends soon and the message expires in it; days on which nothing goes out leave it
        // no slot at all, which is known now.
        if quiet.span && expires.is_some_and(|expires| until >= expires) {
            return judged.refuse(Reason::NoSlot, None);
        }
        let until = self.leaves(&plan, until, quiet.ramp, expires);
        judged.defer(Reason::QuietHours, until)
    }

    /// The last check: what the template needs is there.
    fn approved(&self, message: Message<'_>, mut judged: Judged) -> Judged {
        let endpoint = judged.endpoint.as_deref().unwrap_or_default();
        match self.content(message, &judged.channel, endpoint) {
            Err(missing) => judged.refuse(Reason::Content, Some(missing)),
            Ok((locale, variables, shows_items)) => {
                judged.shows_items = shows_items;
                judged.outcome = match judged.reason {
                    None => Outcome::Approve,
                    Some(_) => Outcome::Reroute,
                };
                judged.locale = locale;
                judged.variables = variables;
                judged
            }
        }
    }
}

impl Judged {
    fn refuse_keeping_inputs(mut self, reason: Reason) -> Self {
        self.outcome = Outcome::Suppress;
        self.reason = Some(reason);
        self
    }
}
