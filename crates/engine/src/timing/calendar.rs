//! Calendar arithmetic: local dates and times to instants, correct across DST (semantics 1).
//!
//! A local time in a gap moves to the first valid instant after it; one in an overlap means the
//! first of the two.

use chrono::{
    DateTime, Datelike, Days, MappedLocalTime, Months, NaiveDate, NaiveDateTime, TimeZone, Timelike,
};
use chrono_tz::Tz;
use sojourn_model::Timestamp;

/// No instant of a definition lies further away from 1970 than this; keeps chrono in its range.
const INSTANT_MS_MAX: i64 = 8_000_000_000_000_000 / 1_000;
/// No change of a zone's offset skips more than a day (Samoa, 2011).
const GAP_MS_MAX: i64 = 26 * 3_600_000;

fn utc(at: Timestamp) -> DateTime<chrono::Utc> {
    let ms = at.0.clamp(-INSTANT_MS_MAX, INSTANT_MS_MAX);
    DateTime::from_timestamp_millis(ms).expect("clamped into chrono's range")
}

/// Local date and time at an instant.
pub(crate) fn local_of(zone: Tz, at: Timestamp) -> NaiveDateTime {
    utc(at).with_timezone(&zone).naive_local()
}

/// Local hour at an instant, and when the next one begins.
pub(crate) fn hour_of(zone: Tz, at: Timestamp) -> (usize, Timestamp) {
    let local = local_of(zone, at);
    let into = i64::from(local.minute()) * 60_000 + i64::from(local.second()) * 1_000;
    let into = into + at.0.rem_euclid(1_000);
    (local.hour() as usize, Timestamp(at.0 - into + 3_600_000))
}

/// Local date at an instant.
pub(crate) fn day_of(zone: Tz, at: Timestamp) -> NaiveDate {
    local_of(zone, at).date()
}

/// The instant that `minute` minutes after midnight of `day` means in `zone`. 1440 is the next
/// midnight.
pub(crate) fn resolve(zone: Tz, day: NaiveDate, minute: u16) -> Timestamp {
    let day = if minute >= 1_440 { day.succ_opt().unwrap_or(day) } else { day };
    let minute = u32::from(minute % 1_440);
    let local = day.and_hms_opt(minute / 60, minute % 60, 0).expect("minute of a day");
    resolve_local(zone, local)
}

/// The instant that a local date and time means in `zone`.
pub(crate) fn resolve_local(zone: Tz, local: NaiveDateTime) -> Timestamp {
    match zone.from_local_datetime(&local) {
        MappedLocalTime::Single(at) => Timestamp(at.timestamp_millis()),
        MappedLocalTime::Ambiguous(a, b) => {
            Timestamp(a.timestamp_millis().min(b.timestamp_millis()))
        }
        MappedLocalTime::None => after_gap(zone, local),
    }
}

/// First instant whose local time is past `local`, which the zone's clocks skipped.
fn after_gap(zone: Tz, local: NaiveDateTime) -> Timestamp {
    // The skipped time read as UTC is within a day of the change, whatever the offset.
    let about = local.and_utc().timestamp_millis();
    let mut before = about - GAP_MS_MAX;
    let mut after = about + GAP_MS_MAX;
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if local_of(zone, Timestamp(middle)) >= local {
            after = middle;
        } else {
            before = middle;
        }
    }
    Timestamp(after)
}

/// First instant of the local day.
pub(crate) fn day_start(zone: Tz, day: NaiveDate) -> Timestamp {
    resolve(zone, day, 0)
}

/// Monday of the week of `day`.
pub(crate) fn week_start(day: NaiveDate) -> NaiveDate {
    day.checked_sub_days(Days::new(u64::from(day.weekday().num_days_from_monday()))).unwrap_or(day)
}

/// First day of the month of `day`.
pub(crate) fn month_start(day: NaiveDate) -> NaiveDate {
    day.with_day(1).unwrap_or(day)
}

/// First day of the month after that of `day`.
pub(crate) fn next_month_start(day: NaiveDate) -> NaiveDate {
    month_start(day).checked_add_months(Months::new(1)).unwrap_or(day)
}

/// `day` plus `days`, held inside chrono's range.
pub(crate) fn plus_days(day: NaiveDate, days: i64) -> NaiveDate {
    let moved = if days >= 0 {
        day.checked_add_days(Days::new(days.unsigned_abs()))
    } else {
        day.checked_sub_days(Days::new(days.unsigned_abs()))
    };
    moved.unwrap_or(day)
}

/// The next such local time strictly after `now`, on one of `weekdays` (Monday = 0; empty: any).
pub(crate) fn next_local_time(zone: Tz, now: Timestamp, minute: u16, weekdays: &[u8]) -> Timestamp {
    let today = day_of(zone, now);
    // Yesterday too: where the clocks skip a day or fall back over midnight, its time may come yet.
    for ahead in -1..=15 {
        let day = plus_days(today, ahead);
        let weekday = u8::try_from(day.weekday().num_days_from_monday()).expect("0 to 6");
        if !weekdays.is_empty() && !weekdays.contains(&weekday) {
            continue;
        }
        let at = resolve(zone, day, minute);
        if at > now {
            return at;
        }
    }
    unreachable!("some day of the next two weeks is the weekday asked for")
}

/// Reads `1990-03-20`, or the date of an RFC 3339 instant as written.
pub(crate) fn parse_date(text: &str) -> Option<NaiveDate> {
    let date = text.trim().get(..10)?;
    let rest = &text.trim()[10..];
    if !(rest.is_empty() || rest.starts_with(['T', 't', ' '])) {
        return None;
    }
    NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()
}

/// The day of `date` in `year`; 29 February falls on 28 in other years.
pub(crate) fn yearly_on(date: NaiveDate, year: i32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, date.month(), date.day())
        .or_else(|| NaiveDate::from_ymd_opt(year, 2, 28))
        .unwrap_or(date)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::Offset;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        Timestamp(DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis())
    }
    fn day(text: &str) -> NaiveDate {
        parse_date(text).unwrap()
    }

    #[test]
    fn gap_overlap_and_skipped_days() {
        let london = chrono_tz::Europe::London;
        for (zone, date, minute, instant) in [
            (london, "2026-03-29", 90, "2026-03-29T01:00:00Z"),
            (london, "2026-10-25", 90, "2026-10-25T00:30:00Z"),
            (london, "2026-10-25", 120, "2026-10-25T02:00:00Z"),
            (chrono_tz::Australia::Lord_Howe, "2026-10-04", 135, "2026-10-03T15:30:00Z"),
            (chrono_tz::Pacific::Apia, "2011-12-30", 540, "2011-12-30T10:00:00Z"),
            (chrono_tz::Africa::Cairo, "2026-04-24", 0, "2026-04-23T22:00:00Z"),
            (london, "2026-06-01", 1440, "2026-06-01T23:00:00Z"),
        ] {
            assert_eq!(resolve(zone, day(date), minute), at(instant), "{zone} {date} {minute}");
        }
    }

    #[test]
    fn until_is_strictly_after_now() {
        let zone = chrono_tz::Europe::London;
        let monday_nine = at("2026-03-02T09:00:00Z");
        assert_eq!(next_local_time(zone, monday_nine, 540, &[]), at("2026-03-03T09:00:00Z"));
        assert_eq!(next_local_time(zone, monday_nine, 540, &[0]), at("2026-03-09T09:00:00Z"));
        assert_eq!(next_local_time(zone, monday_nine, 541, &[0]), at("2026-03-02T09:01:00Z"));
    }

    #[test]
    fn dates() {
        assert_eq!(parse_date("2024-02-29T10:00:00Z"), Some(day("2024-02-29")));
        assert_eq!(parse_date("2024-02-30"), None);
        assert_eq!(parse_date("2024-02-2é"), None);
        assert_eq!(parse_date("20240229xx"), None);
        assert_eq!(yearly_on(day("2024-02-29"), 2026), day("2026-02-28"));
        assert_eq!(week_start(day("2026-03-08")), day("2026-03-02"));
        assert_eq!(next_month_start(day("2026-12-31")), day("2027-01-01"));
    }

    proptest! {
        /// In every zone: the instant is the first at or after the wall time, never before it.
        #[test]
        fn resolve_is_the_first_instant_at_or_past_the_wall_time(
            zone in 0..chrono_tz::TZ_VARIANTS.len(),
            days in 0i64..25_000,
            minute in 0u16..1_440,
        ) {
            let zone = chrono_tz::TZ_VARIANTS[zone];
            let date = plus_days(day("1972-01-01"), days);
            let wanted = date.and_hms_opt(u32::from(minute) / 60, u32::from(minute) % 60, 0).unwrap();
            let found = resolve(zone, date, minute);
            let local = local_of(zone, found);
            prop_assert!(local >= wanted);
            let offset = zone.offset_from_utc_datetime(&utc(found).naive_utc()).fix();
            prop_assert!(local == wanted || local_of(zone, Timestamp(found.0 - 1)) < wanted, "{offset}");
            // An hour earlier is not the same wall time: the first of two was taken.
            prop_assert!(local != wanted || local_of(zone, Timestamp(found.0 - 3_600_000)) != wanted);
        }

        #[test]
        fn next_local_time_is_ahead_and_near(
            zone in 0..chrono_tz::TZ_VARIANTS.len(), now in 0i64..2_000_000_000, minute in 0u16..1_440,
        ) {
            let zone = chrono_tz::TZ_VARIANTS[zone];
            let now = Timestamp(now * 1_000);
            let next = next_local_time(zone, now, minute, &[]);
            prop_assert!(next > now);
            prop_assert!(next.0 - now.0 <= 51 * 3_600_000);
        }
    }
}
