//! Quiet hours and blackouts: windows of local time as intervals of instants (semantics 5, QUI-1).
//!
//! An interval ends at the *first* instant that its end means, so the hour that autumn repeats is
//! quiet only until the window's first end.

use super::calendar::{day_of, plus_days, resolve, resolve_local, yearly_on};
use crate::limits::QUIET_JOINS_MAX;
use chrono::{Datelike, NaiveDateTime, TimeDelta};
use chrono_tz::Tz;
use smallvec::SmallVec;
use sojourn_model::{DurationMs, Name, QUIET_TRUST, Timestamp};

/// When a window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Minutes after local midnight, beginning on the days of the week whose bits are set; `to` at
    /// or before `from` is on the next day.
    Daily { from: u16, to: u16, on: u8 },
    /// Local dates with times; with `yearly` in every year from that of `from` on.
    Span { from: NaiveDateTime, to: NaiveDateTime, yearly: bool },
}

/// A window, in its zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) zone: Tz,
    pub(crate) when: When,
    /// Whether it says to drop.
    pub(crate) drop: bool,
    /// Over how long messages leave it.
    pub(crate) ramp: DurationMs,
    /// What decision records call it; `None`: quiet hours of the policy.
    pub(crate) rule: Option<Name>,
}

type Interval = (Timestamp, Timestamp);

impl Window {
    /// Its intervals on the days around `at`, `before` and `after` that one, as far as a window of a
    /// day needs them; of a span those of the years around.
    fn around(&self, at: Timestamp, before: i64, after: i64) -> SmallVec<[Interval; 10]> {
        let today = day_of(self.zone, at);
        match self.when {
            When::Daily { from, to, on } => (-before..=after)
                .map(|ahead| plus_days(today, ahead))
                .filter(|day| on & (1 << day.weekday().num_days_from_monday()) != 0)
                .map(|day| {
                    let end = if to <= from { plus_days(day, 1) } else { day };
                    (resolve(self.zone, day, from), resolve(self.zone, end, to))
                })
                .collect(),
            When::Span { from, to, yearly: false } => {
                let interval = (resolve_local(self.zone, from), resolve_local(self.zone, to));
                std::iter::once(interval).collect()
            }
            When::Span { from, to, yearly: true } => {
                // The last minute decides the day, so that an end on 29 February moves to 1 March.
                let minute = TimeDelta::minutes(1);
                let (last, first) = (to - minute, from.year());
                let years = today.year() - 1..=today.year() + 1;
                years
                    .filter(|year| *year >= first)
                    .map(|year| {
                        let begin = yearly_on(from.date(), year).and_time(from.time());
                        let end = yearly_on(last.date(), year + last.year() - first);
                        let end = end.and_time(last.time()) + minute;
                        (resolve_local(self.zone, begin), resolve_local(self.zone, end))
                    })
                    .collect()
            }
        }
    }

    /// The interval that holds `at`, if any.
    fn holding(&self, at: Timestamp) -> Option<Interval> {
        // Two days back: where the clocks skip a day, yesterday's evening is two dates ago.
        let near = self.around(at, 2, 1);
        near.into_iter().find(|(start, end)| *start <= at && at < *end)
    }

    /// Days ahead within which it begins again.
    fn reach(&self) -> i64 {
        match self.when {
            When::Daily { on: sojourn_rules::EVERY_DAY, .. } => 3,
            _ => 8,
        }
    }
}

/// The windows that concern one message.
#[derive(Debug, Clone, Default)]
pub(crate) struct QuietPlan {
    windows: Vec<Window>,
}

/// Now is quiet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Quiet {
    /// First instant outside all windows; `None`: the windows leave no such instant.
    pub(crate) until: Option<Timestamp>,
    /// Whether the first window that holds says to drop.
    pub(crate) drop: bool,
    /// What that window is called.
    pub(crate) rule: Option<Name>,
    /// Whether a span of dates is among the windows that are joined.
    pub(crate) span: bool,
    /// Over how long messages leave: the ramp of the window that ends last.
    pub(crate) ramp: DurationMs,
}

impl QuietPlan {
    /// Adds a window. Equal ends on every day are an empty window.
    pub(crate) fn add(&mut self, window: Window) {
        let empty = matches!(window.when, When::Daily { from, to, on: sojourn_rules::EVERY_DAY } if from == to);
        if !empty {
            self.windows.push(window);
        }
    }

    /// Whether `at` is quiet, and until when.
    pub(crate) fn at(&self, at: Timestamp) -> Option<Quiet> {
        let first = self.windows.iter().find(|window| window.holding(at).is_some())?;
        let mut quiet = Quiet {
            until: None,
            drop: first.drop,
            rule: first.rule.clone(),
            span: false,
            ramp: DurationMs(0),
        };
        let mut until = at;
        for _ in 0..QUIET_JOINS_MAX {
            let spans = &mut quiet.span;
            let ends = self.windows.iter().filter_map(|window| {
                let (_, end) = window.holding(until)?;
                *spans |= matches!(window.when, When::Span { .. });
                Some((end, window))
            });
            match ends.max_by_key(|(end, window)| (*end, window.ramp)) {
                Some((end, window)) => {
                    assert!(end > until, "an interval that holds an instant ends after it");
                    until = end;
                    quiet.ramp = window.ramp;
                }
                None => {
                    quiet.until = Some(until);
                    return Some(quiet);
                }
            }
        }
        Some(quiet)
    }

    /// The next quiet time that begins after `at`, which is not quiet: (from, until).
    pub(crate) fn next(&self, at: Timestamp) -> Option<(Timestamp, Option<Timestamp>)> {
        let starts = self.windows.iter().flat_map(|window| window.around(at, 1, window.reach()));
        let from = starts.filter(|(start, end)| start < end && *start > at).map(|s| s.0).min()?;
        Some((from, self.end_with_close_ones(from)))
    }

    /// The end of the quiet time that holds `from`, with those joined to it that begin before the
    /// dispatcher stops trusting the end; `None`: there is no such end.
    fn end_with_close_ones(&self, from: Timestamp) -> Option<Timestamp> {
        let mut until = self.at(from)?.until?;
        for _ in 0..QUIET_JOINS_MAX {
            let trusted = until.plus(QUIET_TRUST);
            let close = self
                .windows
                .iter()
                .flat_map(|window| window.around(until, 1, 1))
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
    fn daily(zone: Tz, from: u16, to: u16) -> Window {
        let when = When::Daily { from, to, on: sojourn_rules::EVERY_DAY };
        Window { zone, when, drop: false, ramp: DurationMs(0), rule: None }
    }
    fn plan(zone: Tz, windows: &[(u16, u16)]) -> QuietPlan {
        let mut plan = QuietPlan::default();
        windows.iter().for_each(|&(from, to)| plan.add(daily(zone, from * 60, to * 60)));
        plan
    }
    fn span(from: &str, to: &str, yearly: bool) -> QuietPlan {
        let read = |text| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").unwrap();
        let when = When::Span { from: read(from), to: read(to), yearly };
        let mut plan = plan(chrono_tz::Europe::London, &[(21, 8)]);
        plan.add(Window { when, rule: Some("b".into()), ..daily(chrono_tz::Europe::London, 0, 0) });
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
        plan.add(daily(chrono_tz::Europe::London, 0, 90));
        let first_end = at("2026-10-25T00:30:00Z");
        assert_eq!(plan.at(at("2026-10-25T00:10:00Z")).unwrap().until, Some(first_end));
        assert_eq!(plan.at(at("2026-10-25T01:10:00Z")), None);
    }

    #[test]
    fn a_window_that_begins_while_the_last_end_is_trusted_is_joined() {
        // The dispatcher knows one window: until 06:30 it would send into the one from 06:15.
        let mut near = plan(chrono_tz::UTC, &[(22, 6)]);
        near.add(daily(chrono_tz::UTC, 6 * 60 + 15, 8 * 60));
        let now = at("2026-03-02T12:00:00Z");
        let (evening, morning) = (at("2026-03-02T22:00:00Z"), at("2026-03-03T08:00:00Z"));
        assert_eq!(near.next(now), Some((evening, Some(morning))));
        let mut far = plan(chrono_tz::UTC, &[(22, 6)]);
        far.add(daily(chrono_tz::UTC, 6 * 60 + 30, 8 * 60));
        assert_eq!(far.next(now), Some((evening, Some(at("2026-03-03T06:00:00Z")))));
    }

    #[test]
    fn always_quiet_has_no_end() {
        let quiet = plan(chrono_tz::UTC, &[(0, 12), (12, 24)]).at(at("2026-03-02T22:00:00Z"));
        assert_eq!(quiet.unwrap().until, None);
    }

    #[test]
    fn days_of_the_week() {
        let mut sundays = QuietPlan::default();
        let when = When::Daily { from: 0, to: 0, on: 1 << 6 };
        sundays.add(Window { when, ..daily(chrono_tz::Europe::London, 0, 0) });
        let ends = |now| sundays.at(at(now)).map(|quiet| quiet.until.unwrap());
        // 29 March 2026 is a Sunday of 23 hours.
        assert_eq!(ends("2026-03-29T12:00:00Z"), Some(at("2026-03-29T23:00:00Z")));
        assert_eq!(ends("2026-03-28T23:59:59.999Z"), None);
        assert_eq!(ends("2026-03-29T23:00:00Z"), None);
        let (from, until) = (at("2026-03-29T00:00:00Z"), at("2026-03-29T23:00:00Z"));
        assert_eq!(sundays.next(at("2026-03-23T12:00:00Z")), Some((from, Some(until))));
    }

    #[test]
    fn a_span_joins_the_nights_at_both_ends() {
        let christmas = span("2026-12-24T00:00", "2026-12-27T00:00", true);
        let quiet = christmas.at(at("2026-12-25T12:00:00Z")).unwrap();
        assert_eq!(quiet.until, Some(at("2026-12-27T08:00:00Z")));
        assert!(quiet.span);
        assert_eq!(quiet.rule.as_deref(), Some("b"));
        let eve = christmas.at(at("2026-12-23T22:00:00Z")).unwrap();
        assert_eq!((eve.until, eve.rule), (Some(at("2026-12-27T08:00:00Z")), None));
        assert!(christmas.at(at("2031-12-26T12:00:00Z")).is_some());
        assert!(christmas.at(at("2025-12-25T12:00:00Z")).is_none(), "from its own year on");
        let once = span("2026-12-24T00:00", "2026-12-27T00:00", false);
        assert!(once.at(at("2027-12-25T12:00:00Z")).is_none());
    }

    #[test]
    fn a_yearly_span_over_the_end_of_february() {
        let whole = span("2024-02-27T00:00", "2024-02-29T00:00", true);
        let held = |plan: &QuietPlan, now: &str| plan.at(at(now)).is_some_and(|quiet| quiet.span);
        assert!(held(&whole, "2026-02-28T23:30:00Z"), "to the end of the 28th");
        assert!(!held(&whole, "2026-03-01T10:00:00Z"));
        assert!(!held(&whole, "2028-02-29T10:00:00Z"));
        let new_year = span("2026-12-31T12:00", "2027-01-01T12:00", true);
        assert!(held(&new_year, "2028-01-01T11:00:00Z"));
        assert!(!held(&new_year, "2028-01-01T12:00:00Z"));
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
