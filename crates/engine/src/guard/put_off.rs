//! Messages that a full cap puts off into the next one (semantics 4, `at_cap: digest`).
//!
//! The message itself is refused (`cap`) and its run goes on. What it would have shown (the items of
//! its run's digest, else the event that the run entered with) waits for the next approved message of
//! the same purpose that the same cap covers, on a channel that its step names, and whose template
//! shows items. What expired meanwhile, may not be sent any more, or lost its run to an exit, a goal or
//! an operator, is left out.

use super::Message;
use crate::caps::{Labels, matches};
use crate::consent::{Ask, Verdict};
use crate::event::StoredEvent;
use crate::journey::{Candidate, RunId, item_of_run};
use crate::limits::{PUT_OFF_ITEMS_MAX, PUT_OFF_MS};
use crate::profile::{Choice, Profile, PutOff};
use crate::scope::EventRef;
use crate::step::Step;
use sojourn_model::{DurationMs, KillTarget, Name, Timestamp};

/// What becomes of a message that was put off when another one goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is shown there.
    Shown,
    /// It waits for another one.
    Waits,
    /// It is of no use any more.
    Dropped,
}

impl Profile {
    fn put_off(&self) -> impl Iterator<Item = &PutOff> {
        self.choices.iter().filter_map(|choice| match choice {
            Choice::PutOff(put_off) => Some(&**put_off),
            _ => None,
        })
    }

    /// Until when something of a run waits for the next message; `None`: nothing does.
    pub(crate) fn put_off_until(&self, run: RunId) -> Option<Timestamp> {
        self.put_off().filter(|put_off| put_off.run == run).map(|put_off| put_off.expires).max()
    }

    /// A run was taken away: nothing of it is shown any more.
    pub(crate) fn forget_put_off(&mut self, run: RunId) {
        self.choices.retain(|choice| !matches!(choice, Choice::PutOff(put) if put.run == run));
    }
}

impl Step<'_> {
    /// Keeps what a refused message would have shown.
    pub(super) fn put_off_message(
        &mut self,
        message: Message<'_>,
        candidate: &Candidate,
        cap: Name,
    ) {
        let run = &self.profile.runs[message.place];
        let entry = EventRef::Stored(&run.entry);
        let view = self.view(&message.pinned.installed.definitions, entry, Some(run));
        let mut items: Vec<StoredEvent> = view.items().cloned().collect();
        if items.is_empty() {
            items.push(item_of_run(&run.entry, &message.send.put_off));
        }
        let longest = self.now.plus(DurationMs(PUT_OFF_MS));
        let put_off = PutOff {
            run: run.id(),
            entered_at: run.entered_at,
            by: run.by,
            journey: message.journey().clone(),
            channels: message.send.channels.clone(),
            purpose: message.send.purpose.clone(),
            topic: message.send.topic.clone(),
            cap,
            expires: candidate.expires.map_or(longest, |expires| expires.min(longest)),
            items,
        };
        self.profile.choices.push(Choice::PutOff(Box::new(put_off)));
        let items: usize = self.profile.put_off().map(|put_off| put_off.items.len()).sum();
        let (now, mut over) = (self.now, items.saturating_sub(PUT_OFF_ITEMS_MAX));
        if over > 0 {
            self.limit("put_off", PUT_OFF_ITEMS_MAX);
        }
        // The oldest stand first.
        self.drop_put_off(|put_off| {
            let goes = over > 0 || put_off.expires <= now;
            over = over.saturating_sub(if goes { put_off.items.len() } else { 0 });
            goes
        });
    }

    /// Takes out what `goes`, and forgets the ended runs that were kept for it.
    fn drop_put_off(&mut self, mut goes: impl FnMut(&PutOff) -> bool) {
        let gone = self.profile.choices.extract_if(.., |choice| match choice {
            Choice::PutOff(put_off) => goes(put_off),
            _ => false,
        });
        let runs: Vec<RunId> = gone
            .filter_map(|choice| match choice {
                Choice::PutOff(put_off) => Some(put_off.run),
                _ => None,
            })
            .collect();
        runs.into_iter().for_each(|run| self.settle_ended(run));
    }

    /// What becomes of a message that was put off when `message` goes out there.
    fn fate(&self, put_off: &PutOff, message: Message<'_>, channel: &str, endpoint: &str) -> Fate {
        let send = message.send;
        let controls = &self.shared.controls;
        let policy = self.shared.current.as_ref().map(|current| &current.definitions.policy);
        let labels = Labels {
            channel,
            purpose: &send.purpose,
            topic: send.topic.as_deref(),
            tags: &send.tags,
            journey: message.journey(),
            step: message.step(),
        };
        let cap = policy.and_then(|policy| policy.caps.iter().find(|cap| cap.id == put_off.cap));
        let covered = put_off.purpose == send.purpose
            && put_off.channels.iter().any(|named| **named == *channel)
            && cap.is_none_or(|cap| matches(&cap.scope, labels));
        if !covered || controls.paused.contains(&put_off.journey) {
            return Fate::Waits;
        }
        let stopped = controls.stopped.get(&put_off.journey);
        let killed = controls.kills.contains(&KillTarget::Journey(put_off.journey.clone()));
        let service = policy.and_then(|policy| policy.purpose(&send.purpose));
        // CON-1 holds for the topic under which it would have gone.
        let ask = Ask {
            channel,
            endpoint,
            purpose: &put_off.purpose,
            topic: put_off.topic.as_deref(),
            service: service.is_some_and(|(_, purpose)| purpose.service),
            regime: self.regime(channel, &put_off.purpose),
        };
        let open = self.now < put_off.expires
            && !killed
            && stopped.is_none_or(|since| put_off.entered_at > *since)
            && self.profile.consents.permits(ask, &self.profile.confirmed, self.now).verdict
                == Verdict::Permitted;
        if open { Fate::Shown } else { Fate::Dropped }
    }

    /// What waits for such a message, and may still be shown.
    pub(super) fn waiting_items(
        &self,
        message: Message<'_>,
        channel: &str,
        endpoint: &str,
    ) -> impl Iterator<Item = &StoredEvent> {
        let shown: Vec<&PutOff> = self
            .profile
            .put_off()
            .filter(|put_off| self.fate(put_off, message, channel, endpoint) == Fate::Shown)
            .collect();
        shown.into_iter().flat_map(|put_off| &put_off.items)
    }

    /// An approved message took them along.
    pub(super) fn taken_along(&mut self, message: Message<'_>, channel: &str, endpoint: &str) {
        let gone: Vec<bool> = self
            .profile
            .put_off()
            .map(|put_off| self.fate(put_off, message, channel, endpoint) != Fate::Waits)
            .collect();
        let mut gone = gone.into_iter();
        self.drop_put_off(|_| gone.next().expect("one for each"));
    }
}
