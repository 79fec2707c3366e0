//! Quiet hours: windows of local time as intervals of instants (semantics 5, QUI-1).
//!
//! An interval ends at the *first* instant that its end means, so the hour that autumn repeats is
//! quiet only until the window's first end.

use super::calendar::{day_of, plus_days, resolve};
use crate::limits::QUIET_JOINS_MAX;
use chrono_tz::Tz;
use sojourn_model::{QUIET_TRUST, Timestamp};

/// A window: minutes after local midnight; `to` at or before `from` crosses midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    zone: Tz,
    from: u16,
    to: u16,
    drop: bool,
}

/// The windows that concern one message, each in its zone.
#[derive(Debug, Clone, Default)]
pub(crate) struct QuietPlan {
    windows: Vec<Window>,
}

/// Now is quiet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quiet {
    /// First instant outside all windows; `None`: the windows leave no such instant.
    pub(crate) until: Option<Timestamp>,
    /// Whether the first window that holds says to drop.
    pub(crate) drop: bool,
}

impl QuietPlan {
    /// Adds a window. Equal ends are an empty window.
    pub(crate) fn add(&mut self, zone: Tz, from: u16, to: u16, drop: bool) {
        if from != to {
            self.windows.push(Window { zone, from, to, drop });
        }
    }

    /// The window's interval that holds `at`, if any.
    fn holding(window: Window, at: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let today = day_of(window.zone, at);
        // Two days back: where the clocks skip a day, yesterday's evening is two dates ago.
        (-2..=1).find_map(|ahead| {
            let (start, end) = Self::interval(window, plus_days(today, ahead));
            (start <= at && at < end).then_some((start, end))
        })
    }

    fn interval(window: Window, day: chrono::NaiveDate) -> (Timestamp, Timestamp) {
        let end_day = if window.to <= window.from { plus_days(day, 1) } else { day };
        (resolve(window.zone, day, window.from), resolve(window.zone, end_day, window.to))
    }

    /// Whether `at` is quiet, and until when.
    pub(crate) fn at(&self, at: Timestamp) -> Option<Quiet> {
        let first = self.windows.iter().find(|&&window| Self::holding(window, at).is_some())?;
        let mut until = at;
        for _ in 0..QUIET_JOINS_MAX {
            let ends = self.windows.iter().filter_map(|&window| Self::holding(window, until));
            match ends.map(|(_, end)| end).max() {
                Some(end) => {
                    assert!(end > until, "an interval that holds an instant ends after it");
                    until = end;
                }
                None => return Some(Quiet { until: Some(until), drop: first.drop }),
            }
        }
        Some(Quiet { until: None, drop: first.drop })
    }

    /// The next quiet time that begins after `at`, which is not quiet: (from, until).
    pub(crate) fn next(&self, at: Timestamp) -> Option<(Timestamp, Option<Timestamp>)> {
        let starts = self.windows.iter().flat_map(|&window| {
            let today = day_of(window.zone, at);
            (-1..=3).map(move |ahead| Self::interval(window, plus_days(today, ahead)))
        });
        let from = starts.filter(|(start, end)| start < end && *start > at).map(|s| s.0).min()?;
        Some((from, self.end_with_close_ones(from)))
    }

    /// The end of the quiet time that holds `from`, with those joined to it that begin before the
    /// dispatcher stops trusting the end; `None`: there is no such end.
    fn end_with_close_ones(&self, from: Timestamp) -> Option<Timestamp> {
        let mut until = self.at(from)?.until?;
        for _ in 0..QUIET_JOINS_MAX {
            let days = |window: Window| {
                let today = day_of(window.zone, until);
                (-1..=1).map(move |ahead| Self::interval(window, plus_days(today, ahead)))
            };
            let trusted = until.plus(QUIET_TRUST);
            let close = self
                .windows
                .iter()
                .flat_map(|&window| days(window))
                .filter(|(start, end)| start < end && *start >= until && *start < trusted)
                .map(|(start, _)| start)
                .min();
            match close {
                Some(start) => until = self.at(start)?.until?,
                None => return Some(until),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        Timestamp(DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis())
    }
    fn plan(zone: Tz, windows: &[(u16, u16)]) -> QuietPlan {
        let mut plan = QuietPlan::default();
        windows.iter().for_each(|&(from, to)| plan.add(zone, from * 60, to * 60, false));
        plan
    }
    fn check(windows: &[(u16, u16)], now: &str, until: Option<&str>) {
        let quiet = plan(chrono_tz::Europe::London, windows).at(at(now));
        assert_eq!(quiet.map(|quiet| quiet.until.unwrap()), until.map(at), "{now}");
    }

    #[test]
    fn windows_cross_midnight_and_join() {
        check(&[(21, 8)], "2026-03-02T22:00:00Z", Some("2026-03-03T08:00:00Z"));
        check(&[(21, 8)], "2026-03-03T03:00:00Z", Some("2026-03-03T08:00:00Z"));
        check(&[(21, 8)], "2026-03-03T08:00:00Z", None);
        check(&[(21, 8)], "2026-03-02T21:00:00Z", Some("2026-03-03T08:00:00Z"));
        check(&[(21, 8)], "2026-03-02T20:59:59.999Z", None);
        check(&[(21, 8), (7, 10)], "2026-03-02T22:00:00Z", Some("2026-03-03T10:00:00Z"));
        check(&[(21, 8)], "2026-03-28T22:00:00Z", Some("2026-03-29T07:00:00Z"));
        check(&[(9, 9)], "2026-03-02T09:00:00Z", None);
    }

    #[test]
    fn the_repeated_hour_is_quiet_until_the_first_end() {
        let mut plan = QuietPlan::default();
        plan.add(chrono_tz::Europe::London, 0, 90, false);
        let first_end = at("2026-10-25T00:30:00Z");
        assert_eq!(plan.at(at("2026-10-25T00:10:00Z")).unwrap().until, Some(first_end));
        assert_eq!(plan.at(at("2026-10-25T01:10:00Z")), None);
    }

    #[test]
    fn a_window_that_begins_while_the_last_end_is_trusted_is_joined() {
        // The dispatcher knows one window: until 06:30 it would send into the one from 06:15.
        let mut near = plan(chrono_tz::UTC, &[(22, 6)]);
        near.add(chrono_tz::UTC, 6 * 60 + 15, 8 * 60, false);
        let now = at("2026-03-02T12:00:00Z");
        let (evening, morning) = (at("2026-03-02T22:00:00Z"), at("2026-03-03T08:00:00Z"));
        assert_eq!(near.next(now), Some((evening, Some(morning))));
        let mut far = plan(chrono_tz::UTC, &[(22, 6)]);
        far.add(chrono_tz::UTC, 6 * 60 + 30, 8 * 60, false);
        assert_eq!(far.next(now), Some((evening, Some(at("2026-03-03T06:00:00Z")))));
    }

    #[test]
    fn always_quiet_has_no_end() {
        let quiet = plan(chrono_tz::UTC, &[(0, 12), (12, 24)]).at(at("2026-03-02T22:00:00Z"));
        assert_eq!(quiet.unwrap().until, None);
    }

    proptest! {
        #[test]
        fn the_end_is_not_quiet_and_the_way_there_is(
            zone in 0..chrono_tz::TZ_VARIANTS.len(),
            now in 0i64..2_000_000,
            windows in proptest::collection::vec((0u16..24, 0u16..24), 1..3),
        ) {
            let plan = plan(chrono_tz::TZ_VARIANTS[zone], &windows);
            let now = Timestamp(now * 1_000_000);
            match plan.at(now) {
                Some(Quiet { until: Some(until), .. }) => {
                    prop_assert!(until > now);
                    prop_assert_eq!(plan.at(until), None);
                    prop_assert!(plan.at(Timestamp(until.0 - 1)).is_some());
                }
                Some(Quiet { until: None, .. }) => {}
                None => if let Some((from, _)) = plan.next(now) {
                    prop_assert!(from > now);
                    prop_assert!(plan.at(from).is_some());
                    prop_assert!(plan.at(Timestamp(from.0 - 1)).is_none());
                },
            }
        }
    }
}
