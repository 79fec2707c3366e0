//! How fast a message goes out: waves of a send, the rate of its journey (semantics 5).

use super::judge::Judged;
use super::{Message, share_of};
use crate::journey::Candidate;
use crate::step::Step;
use sojourn_model::{DurationMs, Name, Outcome, Reason, Timestamp};

impl Step<'_> {
    /// How long after the first wave this person's begins, and its name.
    pub(super) fn wave_of(&self, message: Message<'_>) -> Option<(DurationMs, Name)> {
        let waves = message.send.waves.as_ref()?;
        let salt = format!("waves {} {}", message.journey(), message.step());
        let wave = waves.of(share_of(&salt, self.profile.id));
        let name = format!("wave {} of {}", wave + 1, waves.share.len());
        Some((waves.after(wave), name.into()))
    }

    /// When the wave of this person begins, if that is still to come.
    pub(super) fn wave(
        &self,
        message: Message<'_>,
        candidate: &Candidate,
    ) -> Option<(Timestamp, Name)> {
        let (after, name) = self.wave_of(message)?;
        let at = candidate.arose.plus(after);
        (at > self.now).then_some((at, name))
    }

    /// Holds what was approved to the rate of its journey: messages go out evenly, each partition
    /// its part, in the order in which they ask. One that was given its instant goes at it.
    pub(super) fn keep_rate(
        &mut self,
        message: Message<'_>,
        candidate: &Candidate,
        judged: &mut Judged,
    ) {
        let Some(apart) = message.pinned.journey.apart else { return };
        let id = self.profile.runs[message.place].id();
        let known = self.profile.slots.iter().position(|(run, _)| *run == id);
        let given = known.map(|place| self.profile.slots.swap_remove(place).1);
        let approved = matches!(judged.outcome, Outcome::Approve | Outcome::Reroute);
        if !approved || given.is_some_and(|at| at <= self.now) {
            return;
        }
        let next = self.registers.rates.entry(message.journey().clone()).or_insert(self.now);
        let at = self.now.max(*next);
        let every = apart.0.saturating_mul(i64::from(self.shared.partitions.max(1)));
        if at == self.now {
            *next = at.plus(DurationMs(every));
            return;
        }
        judged.inputs.detail = Some("rate of the journey".into());
        judged.reason = Some(Reason::NoSlot);
        judged.until = Some(at);
        if candidate.expires.is_some_and(|expires| at >= expires) {
            judged.outcome = Outcome::Suppress;
            return;
        }
        *next = at.plus(DurationMs(every));
        judged.outcome = Outcome::Defer;
        let runs = &self.profile.runs;
        let live = |run| runs.iter().any(|known| known.id() == run && known.live());
        self.profile.slots.retain(|(run, _)| live(*run));
        self.profile.slots.push((id, at));
    }
}
