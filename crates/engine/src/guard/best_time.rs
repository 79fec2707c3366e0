//! The hour at which a person is most likely to look (semantics 5, `best_time`).
//!
//! By the person's own engagement, in the person's zone; with too little of it, by that of a segment
//! they are in, then by that of all people of the partition; with too little of that as well, now. An hour counts when it is not quiet, no cap
//! is full at it, and the message has not expired. The choice is made anew at every evaluation until
//! the time to look ahead is over, so that a message that was held back by something else still goes
//! at the best hour that is left.

use super::Message;
use super::judge::Judged;
use crate::journey::Candidate;
use crate::step::Step;
use crate::timing::Hours;
use sojourn_model::{DurationMs, Name, Timestamp};
use sojourn_rules::{ENGAGEMENT_EVENTS, ENGAGEMENT_HORIZON, Trigger};

/// When a message should go.
pub(super) enum Slot {
    /// Now, or whenever the other checks say.
    Now,
    /// At a better hour, known from there.
    Later(Timestamp, Name),
    /// No hour within reach is open.
    None,
}

impl Step<'_> {
    /// The hour for a message on the channel that `judged` has chosen.
    pub(super) fn slot(
        &self,
        message: Message<'_>,
        candidate: &Candidate,
        judged: &Judged,
    ) -> Slot {
        let Some(ahead) = message.send.best_time else { return Slot::Now };
        // Of a message in waves from the person's own wave on.
        let begins = self.wave_of(message).map_or(DurationMs(0), |(after, _)| after);
        let until = candidate.arose.plus(begins).plus(ahead);
        let Some((hours, from)) = self.told(message, judged) else { return Slot::Now };
        if self.now >= until {
            return Slot::Now;
        }
        let (channel, zone) = (&judged.channel, judged.zone);
        let plan = self.quiet_plan(message.send, channel, zone);
        let open = |at: Timestamp| {
            candidate.expires.is_none_or(|expires| at < expires)
                && plan.at(at).is_none()
                && self.caps_at(message, channel, zone, at).full.is_empty()
        };
        match hours.best(zone.zone, self.now, until, open) {
            None => Slot::None,
            Some(at) if at == self.now => Slot::Now,
            Some(at) => Slot::Later(at, format!("best hour by {from} engagement").into()),
        }
    }

    /// Whose engagement tells the hour: the person's own, the segment's (the one by which the journey
    /// begins, then those watched ones that the person is in), everybody's.
    fn told(&self, message: Message<'_>, judged: &Judged) -> Option<(Hours, String)> {
        let own = self.engagement(judged);
        if own.tell() {
            return Some((own, "own".to_owned()));
        }
        let of_journey = match &message.pinned.journey.entry.trigger {
            Trigger::Segment { segment, .. } => Some(segment),
            Trigger::Schedule(schedule) => Some(&schedule.audience),
            _ => None,
        };
        let mut segments = of_journey.into_iter().chain(&self.profile.segments);
        let told = segments.find_map(|segment| {
            let hours = self.registers.engaged_in.get(segment).filter(|hours| hours.tell())?;
            Some((*hours, format!("{segment}'s")))
        });
        let all = self.registers.engaged;
        told.or_else(|| all.tell().then(|| (all, "everybody's".to_owned())))
    }

    /// The person's own engagement, by hours of the zone as it is now.
    fn engagement(&self, judged: &Judged) -> Hours {
        let mut hours = Hours::default();
        let from = self.now.minus(ENGAGEMENT_HORIZON);
        for event in ENGAGEMENT_EVENTS {
            let times = self.profile.history.times(event, from, self.now);
            times.for_each(|at| hours.add(judged.zone.zone, at));
        }
        hours
    }
}
