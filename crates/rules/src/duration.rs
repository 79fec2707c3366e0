//! Written forms of durations, times of day and rates.

use crate::limits::DURATION_DAYS_MAX;
use sojourn_model::DurationMs;

/// `10s`, `90m`, `24h`, `30d`, `2w`, `3y` (a year is 365 days), `500ms`; `0s`; parts may be joined,
/// greatest first (`1d12h`). A sign is not part of it: see [`parse_signed`].
pub fn parse(text: &str) -> Option<DurationMs> {
    const UNITS: &[(&str, i64)] = &[
        ("ms", 1),
        ("s", 1_000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
        ("w", 7 * 86_400_000),
        ("y", 365 * 86_400_000),
    ];
    let mut rest = text;
    let mut total = 0i64;
    let mut last = i64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|&digits| digits > 0)?;
        let number: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == &rest[..letters])?;
        if *unit >= last {
            return None;
        }
        last = *unit;
        rest = &rest[letters..];
        total = total.checked_add(number.checked_mul(*unit)?)?;
    }
    let most = DURATION_DAYS_MAX * 86_400_000;
    (!text.is_empty() && total <= most).then_some(DurationMs(total))
}

/// The same with an optional `-` or `+` before it.
pub fn parse_signed(text: &str) -> Option<DurationMs> {
    match text.strip_prefix('-') {
        Some(rest) => parse(rest).map(|duration| DurationMs(-duration.0)),
        None => parse(text.strip_prefix('+').unwrap_or(text)),
    }
}

/// CEL's own forms too: `1.5h`, `-30m`, `1h30m`.
pub(crate) fn parse_cel(text: &str) -> Option<DurationMs> {
    if let Some(duration) = parse_signed(text) {
        return Some(duration);
    }
    let (sign, rest) = text.strip_prefix('-').map_or((1.0, text), |rest| (-1.0, rest));
    let letters = rest.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = rest.split_at(letters);
    if !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    let number: f64 = number.parse().ok()?;
    let unit = parse(&format!("1{unit}"))?.0;
    #[expect(clippy::cast_precision_loss, reason = "a unit is at most a year")]
    let total = sign * number * unit as f64;
    #[expect(clippy::cast_precision_loss, reason = "a hundred years")]
    let most = (DURATION_DAYS_MAX * 86_400_000) as f64;
    #[expect(clippy::cast_possible_truncation, reason = "checked against the limit")]
    (total.abs() <= most).then_some(DurationMs(total.round() as i64))
}

/// `09:00`: minutes after midnight.
pub fn parse_time(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |part: &str| part.len() <= 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !two(hours) || minutes.len() != 2 || !two(minutes) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

/// `20/s`, `500/min`, `1000/h`: per second.
pub fn parse_rate(text: &str) -> Option<f64> {
    let (number, unit) = text.split_once('/')?;
    let number: f64 = number.trim().parse().ok()?;
    let seconds = match unit.trim() {
        "s" | "sec" | "second" => 1.0,
        "m" | "min" | "minute" => 60.0,
        "h" | "hour" => 3_600.0,
        "d" | "day" => 86_400.0,
        _ => return None,
    };
    (number.is_finite() && number > 0.0).then_some(number / seconds)
}

/// `500/min`, `1000/h`: so many in each such window.
pub fn parse_pace(text: &str) -> Option<(u32, DurationMs)> {
    let (number, unit) = text.split_once('/')?;
    let window = match unit.trim() {
        "s" | "sec" | "second" => 1_000,
        "m" | "min" | "minute" => 60_000,
        "h" | "hour" => 3_600_000,
        "d" | "day" => 86_400_000,
        _ => return None,
    };
    Some((number.trim().parse().ok()?, DurationMs(window)))
}

/// `1 per 30d`.
pub fn parse_count_per(text: &str) -> Option<(u32, DurationMs)> {
    let (count, window) = text.split_once(" per ")?;
    Some((count.trim().parse().ok()?, parse(window.trim())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations() {
        for (text, ms) in [
            ("0s", 0),
            ("10s", 10_000),
            ("90m", 5_400_000),
            ("24h", 86_400_000),
            ("400d", 400 * 86_400_000),
            ("2w", 14 * 86_400_000),
            ("1d12h", 36 * 3_600_000),
            ("500ms", 500),
        ] {
            assert_eq!(parse(text), Some(DurationMs(ms)), "{text}");
        }
        for text in
            ["", "h", "1", "1x", "12h1d", "1h1h", "-1h", "1 h", "99999999999999y", "40000d", "١d"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse_signed("-7d"), Some(DurationMs::days(-7)));
        assert_eq!(parse_cel("1.5h"), Some(DurationMs(5_400_000)));
    }

    #[test]
    fn reads_times_rates_and_counts() {
        assert_eq!(parse_time("09:30"), Some(570));
        assert_eq!(parse_time("9:05"), Some(545));
        for text in ["24:00", "9", "09:60", "09:3", "ab:cd", "-1:00", "+9:00"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
        assert_eq!(parse_rate("20/s"), Some(20.0));
        assert_eq!(parse_rate("0/s"), None);
        assert_eq!(parse_count_per("1 per 30d"), Some((1, DurationMs::days(30))));
        assert_eq!(parse_count_per("1 in 30d"), None);
    }
}
