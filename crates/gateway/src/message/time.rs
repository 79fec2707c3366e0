//! Times in messages: RFC 3339 in the forms that SDKs write, and the correction of a wrong clock.

use sojourn_model::Timestamp;

/// Numbers below this are seconds since the epoch, above it milliseconds (1973 in milliseconds,
/// the year 5138 in seconds).
const SECONDS_BELOW: i64 = 100_000_000_000;

/// Reads `2026-11-22T01:45:55.112Z` and its relatives: any fraction, an offset with or without a
/// colon, a blank instead of `T`, no seconds. Without an offset it is UTC. Years 0000 to 9999.
pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let digits = |from: usize, to: usize| -> Option<i64> {
        let mut value = 0i64;
        for &byte in bytes.get(from..to)? {
            value = value * 10 + i64::from(byte.is_ascii_digit().then(|| byte - b'0')?);
        }
        Some(value)
    };
    let is = |at: usize, wanted: &[u8]| bytes.get(at).is_some_and(|b| wanted.contains(b));
    let (year, month, day) = (digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
    if !is(4, b"-") || !is(7, b"-") || !(1..=12).contains(&month) {
        return None;
    }
    if !(1..=days_in_month(year, month)).contains(&day) {
        return None;
    }
    let days = days_from_civil(year, month, day);
    if !is(10, b"Tt ") || !is(13, b":") {
        return None;
    }
    let (hour, minute) = (digits(11, 13)?, digits(14, 16)?);
    let mut at = 16;
    let mut second = 0;
    if is(at, b":") {
        second = digits(at + 1, at + 3)?;
        at += 3;
    }
    let mut millis = 0;
    if is(at, b".,") {
        at += 1;
        let start = at;
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            // Finer than a millisecond is cut off.
            if at - start < 3 {
                millis += i64::from(bytes[at] - b'0') * [100, 10, 1][at - start];
            }
            at += 1;
        }
        if at == start {
            return None;
        }
    }
    // A leap second is the first instant of the next minute.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let offset = match bytes.get(at..)? {
        [] | [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), rest @ ..] => {
            let (hours, minutes) = match rest.len() {
                5 if rest[2] == b':' => (digits(at + 1, at + 3)?, digits(at + 4, at + 6)?),
                4 => (digits(at + 1, at + 3)?, digits(at + 3, at + 5)?),
                2 => (digits(at + 1, at + 3)?, 0),
                _ => return None,
            };
            if hours > 23 || minutes > 59 {
                return None;
            }
            let offset = (hours * 60 + minutes) * 60;
            if *sign == b'-' { -offset } else { offset }
        }
        _ => return None,
    };
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset;
    Some(Timestamp(seconds * 1_000 + millis))
}

/// A number as a time: seconds or milliseconds since the epoch, by its size.
pub(super) fn from_number(number: f64) -> Option<Timestamp> {
    // The limits of a JavaScript date; nothing outside is a time.
    if !number.is_finite() || number.abs() > 8.64e15 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
    let whole = number as i64;
    if whole.abs() < SECONDS_BELOW {
        #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
        return Some(Timestamp((number * 1_000.0) as i64));
    }
    Some(Timestamp(whole))
}

/// When it happened by our clock: the source's clock is taken to be wrong by as much as its upload
/// time differs from ours (semantics 1). Never later than `received_at`, never before 1970.
pub(super) fn correct_skew(
    stated: Timestamp,
    sent_at: Option<Timestamp>,
    received_at: Timestamp,
) -> Timestamp {
    let corrected = match sent_at {
        Some(sent_at) => received_at.minus(sent_at.since(stated)),
        None => stated,
    };
    Timestamp(corrected.0.clamp(0, received_at.0.max(0)))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar (Howard Hinnant's algorithm).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_forms_that_sdks_write() {
        for (text, millis) in [
            ("2026-11-22T01:45:55.112Z", Some(1_795_311_955_112)),
            ("2026-11-22T01:45:55.112345+00:00", Some(1_795_311_955_112)),
            ("2026-11-22 02:45:55.1+0100", Some(1_795_311_955_100)),
            ("2026-11-22T01:45Z", Some(1_795_311_900_000)),
            ("2026-11-22T01:45:55", Some(1_795_311_955_000)),
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1969-12-31T23:59:59.999Z", Some(-1)),
            ("2099-12-31T23:59:60Z", Some(4_102_444_800_000)),
            ("2024-02-29T00:00:00-05:30", Some(1_709_184_600_000)),
            ("2023-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-11-22T24:00:00Z", None),
            ("2026-11-22T01:45:55.Z", None),
            ("2026-11-22T01:45:55+1", None),
            ("+002026-11-22T01:45:55Z", None),
            ("２026-11-22T01:45:55Z", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(parse_rfc3339(text).map(|t| t.0), millis, "{text}");
        }
    }

    #[test]
    fn numbers_are_seconds_or_milliseconds() {
        assert_eq!(from_number(1_795_311_955.5), Some(Timestamp(1_795_311_955_500)));
        assert_eq!(from_number(1_795_311_955_112.0), Some(Timestamp(1_795_311_955_112)));
        assert_eq!(from_number(f64::NAN), None);
        assert_eq!(from_number(1e300), None);
    }

    #[test]
    fn a_wrong_clock_is_corrected_and_the_future_refused() {
        let received = Timestamp(1_000_000_000);
        for (stated, sent, occurred) in [
            // A clock of 1970 that sends 5 s after the event.
            (10_000, Some(15_000), 999_995_000),
            // A clock of 2099, the same.
            (4_000_000_000_000, Some(4_000_000_005_000), 999_995_000),
            // Offline for a day.
            (913_600_000, Some(1_000_000_000), 913_600_000),
            // No upload time: as it is, but never later than received.
            (5, None, 5),
            (2_000_000_000, None, 1_000_000_000),
            // Sent before it happened.
            (20, Some(10), 1_000_000_000),
            (i64::MIN, Some(i64::MAX), 0),
        ] {
            let corrected = correct_skew(Timestamp(stated), sent.map(Timestamp), received);
            assert_eq!(corrected.0, occurred, "{stated} {sent:?}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_chrono(millis in -62_167_219_200_000i64..253_402_300_800_000) {
            let text = chrono::DateTime::from_timestamp_millis(millis)
                .unwrap()
                .to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
            prop_assert_eq!(parse_rfc3339(&text), Some(Timestamp(millis)));
        }

        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            let _ = parse_rfc3339(&text);
        }
    }
}
