//! When a scheduled entry occurs: one local time, or a cron expression.

use chrono::{Datelike, NaiveDate, NaiveDateTime};
use sojourn_model::{DurationMs, Name};

/// An entry by the clock, for the members of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// When.
    pub when: Occurrences,
    /// Whether the times are of each person's zone (else of the workspace's).
    pub local: bool,
    /// Segment whose members enter.
    pub audience: Name,
    /// At most so many entries per window, over the whole workspace; `None`: all at once.
    pub pace: Option<(u32, DurationMs)>,
}

/// Local times at which a schedule occurs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Occurrences {
    /// Once: a day and the minutes after its midnight.
    Once(NaiveDate, u16),
    /// Again and again.
    Cron(Box<Cron>),
}

/// A cron expression of five fields: minute, hour, day of the month, month, day of the week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    /// As written.
    pub text: Name,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether the day of the month and the day of the week are both restricted: then either will
    /// do, as cron has always had it.
    either: bool,
}

/// Days that the search for the next occurrence looks through: 29 February comes at the latest
/// eight years after the last.
const SEARCH_DAYS_MAX: usize = 366 * 8 + 2;

impl Cron {
    /// Reads an expression; the error says which field is wrong and what it may be.
    pub fn parse(text: &str) -> Result<Self, String> {
        const MONTHS: &[&str] =
            &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
        const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(format!("it has {} fields, not five", fields.len()));
        };
        let mut weekdays = field(weekday, "day of the week", 0, 7, DAYS, 0)?;
        // 7 is Sunday too.
        weekdays |= (weekdays >> 7) & 1;
        let cron = Self {
            text: text.into(),
            minutes: field(minute, "minute", 0, 59, &[], 0)?,
            hours: field(hour, "hour", 0, 23, &[], 0)?,
            days: field(day, "day of the month", 1, 31, &[], 1)?,
            months: field(month, "month", 1, 12, MONTHS, 1)?,
            weekdays,
            either: !day.starts_with('*') && !weekday.starts_with('*'),
        };
        let from = NaiveDate::from_ymd_opt(2024, 1, 1).and_then(|day| day.and_hms_opt(0, 0, 0));
        match from.and_then(|from| cron.at_or_after(from)) {
            Some(_) => Ok(cron),
            None => Err("no day is ever like that".to_owned()),
        }
    }

    fn on(&self, day: NaiveDate) -> bool {
        let has = |set: u64, bit: u32| set >> bit & 1 == 1;
        let in_month = has(self.days, day.day());
        let in_week = has(self.weekdays, day.weekday().num_days_from_sunday());
        let fits = if self.either { in_month || in_week } else { in_month && in_week };
        fits && has(self.months, day.month())
    }

    /// The first occurrence at or after a local time; `None`: there is none within reach.
    pub fn at_or_after(&self, from: NaiveDateTime) -> Option<NaiveDateTime> {
        let set = |bits: u64| (0..64u32).filter(move |bit| bits >> bit & 1 == 1);
        for day in from.date().iter_days().take(SEARCH_DAYS_MAX) {
            if !self.on(day) {
                continue;
            }
            for hour in set(self.hours) {
                let times = set(self.minutes).filter_map(|minute| day.and_hms_opt(hour, minute, 0));
                if let Some(found) = times.into_iter().find(|time| *time >= from) {
                    return Some(found);
                }
            }
        }
        None
    }
}

/// One field as a set of numbers: `*`, `5`, `1-5`, `*/10`, `8-18/2`, `mon-fri`, and lists of these.
fn field(
    text: &str,
    what: &str,
    least: u32,
    most: u32,
    names: &[&str],
    first_name: u32,
) -> Result<u64, String> {
    let wrong = || {
        format!(
            "its {what} is `{text}`: write numbers from {least} to {most}, *, ranges (1-5), steps (*/10) or lists (1,15)"
        )
    };
    let one = |text: &str| -> Option<u32> {
        let lower = text.to_lowercase();
        if let Some(place) = (0..).zip(names).find(|(_, name)| **name == lower) {
            return Some(place.0 + first_name);
        }
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|number| digits && (least..=most).contains(number))
    };
    let mut set = 0u64;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                (range, step.parse().ok().filter(|step| *step > 0).ok_or_else(wrong)?)
            }
            None => (part, 1usize),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (least, most),
            Some((from, to)) => (one(from).ok_or_else(wrong)?, one(to).ok_or_else(wrong)?),
            None => {
                let from = one(range).ok_or_else(wrong)?;
                (from, if part.contains('/') { most } else { from })
            }
        };
        if from > to {
            return Err(wrong());
        }
        (from..=to).step_by(step).for_each(|number| set |= 1 << number);
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> NaiveDateTime {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").unwrap()
    }

    #[test]
    fn finds_the_next_occurrence() {
        for (cron, from, next) in [
            ("0 9 * * *", "2026-03-02T09:00", "2026-03-02T09:00"),
            ("0 9 * * *", "2026-03-02T09:01", "2026-03-03T09:00"),
            ("*/20 8-9 * * mon-fri", "2026-03-06T09:41", "2026-03-09T08:00"),
            ("30 6 1 * *", "2026-03-02T00:00", "2026-04-01T06:30"),
            ("0 0 29 2 *", "2026-03-01T00:00", "2028-02-29T00:00"),
            // Either of the two when both are given; Sunday is 0 and 7.
            ("0 12 13 * 5", "2026-03-07T00:00", "2026-03-13T12:00"),
            ("0 12 15 * 5", "2026-03-14T00:00", "2026-03-15T12:00"),
            ("0 12 * * 7", "2026-03-02T00:00", "2026-03-08T12:00"),
            ("5/25 0 * jan,dec *", "2026-03-02T00:00", "2026-12-01T00:05"),
        ] {
            let cron = Cron::parse(cron).unwrap();
            assert_eq!(cron.at_or_after(time(from)), Some(time(next)), "{}", cron.text);
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, part) in [
            ("0 9 * *", "4 fields"),
            ("60 9 * * *", "minute"),
            ("0 9 0 * *", "day of the month"),
            ("0 9 * 13 *", "month"),
            ("0 9 * * mo", "day of the week"),
            ("0 9 * * 5-1", "day of the week"),
            ("*/0 9 * * *", "minute"),
            ("0 +9 * * *", "hour"),
            ("0 9 31 2 *", "no day"),
        ] {
            let error = Cron::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
