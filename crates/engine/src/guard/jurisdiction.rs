//! Quiet hours that law sets for messages and calls to a phone, per country, with their sources.
//!
//! They hold whatever the policy says, unless it turns jurisdictions off (semantics 5). Times are the
//! recipient's local time.

type Window = (u16, u16);

const fn hour(hour: u16) -> u16 {
    hour * 60
}

/// United States: no telephone solicitation, texts included, before 8 or after 21
/// (47 CFR 64.1200(c)(1)).
const US: &[Window] = &[(hour(21), hour(8))];
/// France: no solicitation calls before 10, between 13 and 14, or after 20
/// (décret 2022-1313, on working days; the other days are forbidden altogether).
const FR_CALLS: &[Window] = &[(hour(20), hour(10)), (hour(13), hour(14))];
/// Canada: calls between 9 and 21:30 on weekdays, 10 and 18 on weekends (CRTC Unsolicited
/// Telecommunications Rules, III.23); the narrower window holds on every day.
const CA_CALLS: &[Window] = &[(hour(18), hour(10))];

/// The windows in which a country's law forbids this channel.
pub(super) fn quiet_windows(country: &str, channel: &str) -> &'static [Window] {
    match (country, channel) {
        ("US", "sms" | "call") => US,
        ("FR", "call") => FR_CALLS,
        ("CA", "call") => CA_CALLS,
        _ => &[],
    }
}
