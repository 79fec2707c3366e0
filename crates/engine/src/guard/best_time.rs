//! The hour at which a person is most likely to look (semantics 5, `best_time`).
//!
//! By the person's own engagement, in the person's zone; with too little of it, by that of all people
//! of the partition; with too little of that as well, now. An hour counts when it is not quiet, no cap
//! is full at it, and the message has not expired. The choice is made anew at every evaluation until
//! the time to look ahead is over, so that a message that was held back by something else still goes
//! at the best hour that is left.

use super::Message;
use super::judge::Judged;
use crate::journey::Candidate;
use crate::step::Step;
use crate::timing::Hours;
use sojourn_model::{Name, Timestamp};
use sojourn_rules::{ENGAGEMENT_EVENTS, ENGAGEMENT_HORIZON};

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
        let until = candidate.arose.plus(ahead);
        let own = self.engagement(judged);
        let (hours, from) = match (own.tell(), self.registers.engaged.tell()) {
            (true, _) => (own, "own"),
            (false, true) => (self.registers.engaged, "everybody's"),
            (false, false) => return Slot::Now,
        };
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
