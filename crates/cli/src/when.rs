//! Instants as people write and read them.

use anyhow::Result;
use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, TimeZone, Utc};
use chrono_tz::Tz;
use sojourn_model::{DurationMs, Timestamp};

use crate::exit::usage;

/// RFC 3339 UTC with milliseconds, as files carry it.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    match Utc.timestamp_millis_opt(at.0).single() {
        Some(utc) => utc.to_rfc3339_opts(SecondsFormat::Millis, true),
        None => at.0.to_string(),
    }
}

/// Reads RFC 3339, or a date, which means its first instant in UTC.
pub(crate) fn parse(text: &str) -> Result<Timestamp> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(Timestamp(at.timestamp_millis()));
    }
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Ok(Timestamp(date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis()));
    }
    Err(usage(format!(
        "`{text}` is no time: write 2026-03-02T10:00:00Z, or 2026-03-02 for its first instant"
    )))
}

/// How the timestamps of a CSV file are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TimeFormat {
    /// RFC 3339, or a date.
    Rfc3339,
    /// Seconds since 1970.
    UnixSeconds,
    /// Milliseconds since 1970.
    UnixMillis,
    /// A `strftime` pattern, such as `%d.%m.%Y %H:%M`.
    Pattern(String),
}

impl TimeFormat {
    /// Reads the written form.
    pub(crate) fn named(text: &str) -> Self {
        match text {
            "rfc3339" => Self::Rfc3339,
            "unix" => Self::UnixSeconds,
            "unix_ms" => Self::UnixMillis,
            pattern => Self::Pattern(pattern.to_owned()),
        }
    }

    /// Reads a timestamp; one without a zone is in `zone`. `None`: it is not written like this.
    pub(crate) fn read(&self, text: &str, zone: Tz) -> Option<Timestamp> {
        match self {
            Self::Rfc3339 => parse(text).ok(),
            Self::UnixSeconds => Some(Timestamp(text.parse::<i64>().ok()?.checked_mul(1000)?)),
            Self::UnixMillis => Some(Timestamp(text.parse().ok()?)),
            Self::Pattern(pattern) => {
                if let Ok(at) = DateTime::parse_from_str(text, pattern) {
                    return Some(Timestamp(at.timestamp_millis()));
                }
                let local = NaiveDateTime::parse_from_str(text, pattern).ok().or_else(|| {
                    let date = NaiveDate::parse_from_str(text, pattern).ok()?;
                    Some(date.and_time(chrono::NaiveTime::MIN))
                })?;
                // A time in a gap moves to the first instant after it; in an overlap the first of
                // the two is meant (semantics 1).
                let at = zone.from_local_datetime(&local).earliest().or_else(|| {
                    let later = local.checked_add_signed(chrono::TimeDelta::hours(1))?;
                    zone.from_local_datetime(&later).earliest()
                })?;
                Some(Timestamp(at.timestamp_millis()))
            }
        }
    }
}

/// An instant of a JSON document (RFC 3339).
pub(crate) fn from_json(value: &serde_json::Value) -> Option<Timestamp> {
    let at = DateTime::parse_from_rfc3339(value.as_str()?).ok()?;
    Some(Timestamp(at.timestamp_millis()))
}

/// `Tue 14:05` on the clock of `zone`.
pub(crate) fn weekday(at: Timestamp, zone: Tz) -> String {
    local(at, zone, "%a %H:%M")
}

/// `Tue 14:05` when that says which day is meant, seen from `now`; else with the date.
pub(crate) fn near(at: Timestamp, now: Timestamp, zone: Tz) -> String {
    if at.since(now).0.abs() < DurationMs::days(6).0 {
        weekday(at, zone)
    } else {
        local(at, zone, "%a %-d %b %H:%M")
    }
}

/// `2026-03-03 14:05:09` on the clock of `zone`.
pub(crate) fn full(at: Timestamp, zone: Tz) -> String {
    local(at, zone, "%Y-%m-%d %H:%M:%S")
}

/// `Tue 3 Mar 2026 14:05`.
pub(crate) fn long(at: Timestamp, zone: Tz) -> String {
    local(at, zone, "%a %-d %b %Y %H:%M")
}

fn local(at: Timestamp, zone: Tz, pattern: &str) -> String {
    match zone.timestamp_millis_opt(at.0).single() {
        Some(local) => local.format(pattern).to_string(),
        None => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_means_its_first_instant() {
        assert_eq!(parse("2026-03-03").unwrap(), parse("2026-03-03T00:00:00Z").unwrap());
        assert!(parse("yesterday").is_err());
        assert_eq!(
            rfc3339(parse("2026-03-03T01:00:00+01:00").unwrap()),
            "2026-03-03T00:00:00.000Z"
        );
    }

    #[test]
    fn patterns_read_dates_and_local_times() {
        let cdnow = TimeFormat::named("%Y%m%d");
        assert_eq!(cdnow.read("19970101", Tz::UTC), Some(parse("1997-01-01").unwrap()));
        assert_eq!(cdnow.read("1997-01-01", Tz::UTC), None);
        let local = TimeFormat::named("%d.%m.%Y %H:%M");
        let london = chrono_tz::Europe::London;
        // 29 March 2026, 01:30 does not exist in London: the first instant after the gap's shift.
        assert_eq!(
            local.read("29.03.2026 01:30", london),
            Some(parse("2026-03-29T01:30:00Z").unwrap())
        );
        assert_eq!(TimeFormat::named("unix").read("10", london), Some(Timestamp(10_000)));
        assert_eq!(TimeFormat::named("unix").read(&i64::MAX.to_string(), london), None);
    }
}
