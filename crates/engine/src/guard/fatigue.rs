//! Fatigue in the guard: what wearies, and how caps shrink by it (semantics 4).

use super::Message;
use super::judge::CapsAt;
use crate::caps::{Labels, Reading, matches, shrunk};
use crate::consent::{ChannelKind, channel_kind};
use crate::event::EventView;
use crate::step::Step;
use crate::timing::ZoneUsed;
use sojourn_model::{CapReading, FatigueReading, Name, Timestamp, event_names};
use sojourn_rules::{Cap, FatiguePolicy, Weary};

/// Channels on which it is told when a message was looked at.
const TELLING: [&str; 2] = ["email", "push"];

/// What an event says of a message.
enum Said {
    /// Somebody looked at it.
    Noticed(Name),
    Outcome(Name, Weary),
}

fn said(event: &EventView<'_>) -> Option<Said> {
    Some(match event.name {
        event_names::EMAIL_OPENED | event_names::EMAIL_LINK_CLICKED => {
            Said::Noticed("email".into())
        }
        event_names::PUSH_OPENED => Said::Noticed("push".into()),
        event_names::PUSH_DISMISSED => Said::Outcome("push".into(), Weary::Dismissed),
        event_names::MESSAGE_DISMISSED => Said::Outcome(channel_of(event), Weary::Dismissed),
        event_names::UNSUBSCRIBED => Said::Outcome(channel_of(event), Weary::Unsubscribed),
        event_names::SMS_STOPPED => Said::Outcome("sms".into(), Weary::Unsubscribed),
        event_names::EMAIL_COMPLAINT => Said::Outcome("email".into(), Weary::Complained),
        _ => return None,
    })
}

/// The channel that an event names or came on; e-mail when that is none that reaches anybody.
fn channel_of(event: &EventView<'_>) -> Name {
    let named = event.properties.text_of("channel").filter(|name| !name.trim().is_empty());
    named.unwrap_or_else(|| {
        let sends = channel_kind(event.channel) != ChannelKind::Person;
        if sends { event.channel.into() } else { "email".into() }
    })
}

impl Step<'_> {
    fn fatigue_policy(&self) -> Option<&FatiguePolicy> {
        self.shared.current.as_ref()?.definitions.policy.fatigue.as_ref()
    }

    /// Takes up what an event says of a message. An import of the past wearies nobody.
    pub(crate) fn weary(&mut self, event: &EventView<'_>) {
        let Some(current) = self.shared.current.as_ref() else { return };
        let Some(policy) = &current.definitions.policy.fatigue else { return };
        if event.imported {
            return;
        }
        let Some(said) = said(event) else { return };
        let action = event.properties.text_of("action_id").and_then(|id| id.parse().ok());
        match said {
            Said::Noticed(channel) => self.profile.fatigue.noticed(&channel, action),
            Said::Outcome(channel, what) => {
                self.profile.fatigue.noticed(&channel, action);
                self.profile.fatigue.note(policy, &channel, what, self.now);
            }
        }
    }

    /// A message goes out: from now on it may be ignored.
    pub(super) fn may_be_ignored(&mut self, channel: &Name, action: sojourn_model::ActionId) {
        let Some(current) = self.shared.current.as_ref() else { return };
        if let Some(policy) = &current.definitions.policy.fatigue
            && TELLING.contains(&&**channel)
        {
            self.profile.fatigue.sent(policy, channel, action, self.now);
        }
    }

    /// How weary of a channel the person is; `None`: not at all, or not counted.
    pub(super) fn fatigue(&self, channel: &str, at: Timestamp) -> Option<FatigueReading> {
        let reading = self.profile.fatigue.read(self.fatigue_policy()?, channel, at);
        (reading.score > 0).then_some(reading)
    }

    /// How every cap stands at an instant that counts this message on this channel, shrunk by how
    /// weary of it the person is then.
    pub(super) fn caps_at(
        &self,
        message: Message<'_>,
        channel: &str,
        zone: ZoneUsed,
        at: Timestamp,
    ) -> CapsAt<'_> {
        let mut caps = CapsAt { readings: Vec::new(), full: Vec::new() };
        let Some(current) = &self.shared.current else { return caps };
        let (policy, send) = (&current.definitions.policy, message.send);
        if policy.purpose(&send.purpose).is_some_and(|(_, purpose)| purpose.exempt_caps) {
            return caps;
        }
        let labels = Labels {
            channel,
            purpose: &send.purpose,
            topic: send.topic.as_deref(),
            tags: &send.tags,
            journey: message.journey(),
            step: message.step(),
        };
        let percent = self.fatigue(channel, at).map_or(100, |reading| reading.caps);
        for cap in policy.caps.iter().filter(|cap| matches(&cap.scope, labels)) {
            let limit = shrunk(cap.at_most, percent);
            let mut reading = self.profile.sends.read(cap, limit, at, zone.zone);
            if reading.full && percent < 100 {
                reading.free_at = self.freed(cap, channel, zone, (at, percent));
            }
            let (id, used) = (cap.id.clone(), reading.used);
            caps.readings.push(CapReading { id, used, limit });
            if reading.full {
                caps.full.push((cap, reading));
            }
        }
        caps
    }

    /// The first instant at which a shrunk cap allows again: a send has left its window, or the
    /// person is less weary.
    fn freed(
        &self,
        cap: &Cap,
        channel: &str,
        zone: ZoneUsed,
        (at, percent): (Timestamp, u32),
    ) -> Option<Timestamp> {
        let policy = self.fatigue_policy()?;
        let mut stages = vec![(at, percent)];
        for (eases, percent) in self.profile.fatigue.eases(policy, channel, at) {
            if stages.last().is_some_and(|(_, known)| *known != percent) {
                stages.push((eases, percent));
            }
        }
        for (place, (from, percent)) in stages.iter().enumerate() {
            let limit = shrunk(cap.at_most, *percent);
            let until = stages.get(place + 1).map_or(Timestamp::MAX, |(next, _)| *next);
            let Reading { full, free_at, .. } =
                self.profile.sends.read(cap, limit, *from, zone.zone);
            match free_at {
                _ if !full => return Some(*from),
                Some(free) if free < until => return Some(free),
                _ => {}
            }
        }
        None
    }
}
