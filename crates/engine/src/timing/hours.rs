//! At which hours of the day people look at messages (semantics 5, `best_time`).

use super::calendar::hour_of;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use sojourn_model::Timestamp;

/// Of fewer engagements nothing is said.
pub(crate) const ENGAGEMENTS_MIN: u64 = 3;

/// How often somebody engaged, by hour of the local day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hours([u64; 24]);

impl Hours {
    pub(crate) fn add(&mut self, zone: Tz, at: Timestamp) {
        let count = &mut self.0[hour_of(zone, at).0];
        *count = count.saturating_add(1);
    }

    /// Whether there is enough to choose by.
    pub(crate) fn tell(&self) -> bool {
        self.0.iter().fold(0u64, |sum, count| sum.saturating_add(*count)) >= ENGAGEMENTS_MIN
    }

    /// Engagement at an hour, smoothed: the hour itself counts twice, its neighbours once each, around
    /// midnight too.
    fn score(&self, hour: usize) -> u64 {
        let own = self.0[hour].saturating_mul(2);
        own.saturating_add(self.0[(hour + 23) % 24]).saturating_add(self.0[(hour + 1) % 24])
    }

    /// The first instant of the best hour from `from` (its own hour first) to before `to`, among those
    /// that `open` allows; of equally good ones the earliest. `None`: none is open.
    pub(crate) fn best(
        &self,
        zone: Tz,
        from: Timestamp,
        to: Timestamp,
        open: impl Fn(Timestamp) -> bool,
    ) -> Option<Timestamp> {
        let mut best: Option<(u64, Timestamp)> = None;
        let mut at = from;
        while at < to {
            let (hour, next) = hour_of(zone, at);
            let score = self.score(hour);
            if best.is_none_or(|(known, _)| score > known) && open(at) {
                best = Some((score, at));
            }
            assert!(next > at, "hours go forward, so this ends");
            at = next;
        }
        best.map(|(_, at)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp(chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis())
    }

    fn hours(zone: Tz, times: &[&str]) -> Hours {
        let mut hours = Hours::default();
        times.iter().for_each(|time| hours.add(zone, at(time)));
        hours
    }

    #[test]
    fn the_best_hour_is_smoothed_local_and_open() {
        let zone = chrono_tz::Asia::Kolkata;
        // 19:30, 19:59 and 20:00 in Kolkata, and 9:00 twice.
        let engaged = hours(
            zone,
            &[
                "2026-03-01T14:00:00Z",
                "2026-03-01T14:29:59.999Z",
                "2026-03-01T14:30:00Z",
                "2026-03-01T03:30:00Z",
                "2026-03-02T03:30:00Z",
            ],
        );
        assert!(engaged.tell());
        let day = (at("2026-03-03T06:00:00Z"), at("2026-03-04T06:00:00Z"));
        let best = |open: &dyn Fn(Timestamp) -> bool| engaged.best(zone, day.0, day.1, open);
        // 19: 2 x 2 + 1; 20: 2 x 1 + 2; 9: 2 x 2.
        assert_eq!(best(&|_| true), Some(at("2026-03-03T13:30:00Z")));
        assert_eq!(best(&|t| t != at("2026-03-03T13:30:00Z")), Some(at("2026-03-03T14:30:00Z")));
        assert_eq!(best(&|_| false), None);
        let now = at("2026-03-03T13:47:11.5Z");
        assert_eq!(engaged.best(zone, now, day.1, |_| true), Some(now), "the hour is on");
    }

    #[test]
    fn hours_go_on_over_changes_of_the_clock() {
        for (zone, from) in [
            (chrono_tz::Europe::London, "2026-03-29T00:10:00Z"),
            (chrono_tz::Europe::London, "2026-10-25T00:10:00Z"),
            (chrono_tz::Australia::Lord_Howe, "2026-10-03T12:10:00Z"),
            (chrono_tz::Australia::Lord_Howe, "2026-04-04T12:10:00Z"),
        ] {
            let seen = std::cell::RefCell::new(Vec::new());
            let look = |at| {
                seen.borrow_mut().push(at);
                false
            };
            let from = at(from);
            let to = Timestamp(from.0 + 24 * 3_600_000);
            assert_eq!(Hours::default().best(zone, from, to, look), None);
            let seen = seen.into_inner();
            assert!((24..=26).contains(&seen.len()), "{zone} {seen:?}");
            assert!(seen.is_sorted(), "{zone}");
        }
    }

    #[test]
    fn too_little_says_nothing() {
        assert!(!hours(chrono_tz::UTC, &["2026-03-01T14:00:00Z"; 2]).tell());
        assert!(hours(chrono_tz::UTC, &["2026-03-01T14:00:00Z"; 3]).tell());
    }
}
