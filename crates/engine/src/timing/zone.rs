//! A person's time zone: declared → newest context → phone's region → country → workspace.

use chrono_tz::Tz;
use sojourn_model::ZoneSource;
use sojourn_rules::normalize::{country_zone, phone_zone};

/// What is known of a person that may tell the zone. Values are as given; invalid ones are skipped.
#[derive(Debug, Default)]
pub(crate) struct ZoneFacts<'a> {
    pub(crate) declared: [Option<&'a str>; 2],
    pub(crate) context: Option<&'a str>,
    pub(crate) phone: Option<&'a str>,
    pub(crate) country: Option<&'a str>,
    pub(crate) workspace: Option<&'a str>,
}

/// The zone used, and where it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ZoneUsed {
    pub(crate) zone: Tz,
    pub(crate) source: ZoneSource,
}

/// Reads an IANA name; case as in the database.
pub(crate) fn parse_zone(name: &str) -> Option<Tz> {
    name.trim().parse().ok()
}

/// Region of an E.164 number: `PL` for `+48…`.
pub(crate) fn phone_region(phone: &str) -> Option<String> {
    let number = phonenumber::parse(None, phone).ok()?;
    number.country().id().map(|id| format!("{id:?}"))
}

/// Chooses the zone (semantics 1).
pub(crate) fn zone_of(facts: &ZoneFacts<'_>) -> ZoneUsed {
    let named = |name: Option<&str>, source| {
        name.and_then(parse_zone).map(|zone| ZoneUsed { zone, source })
    };
    let phone = || facts.phone.and_then(phone_zone);
    let country = || facts.country.and_then(country_zone);
    named(facts.declared[0], ZoneSource::Declared)
        .or_else(|| named(facts.declared[1], ZoneSource::Declared))
        .or_else(|| named(facts.context, ZoneSource::Context))
        .or_else(|| named(phone(), ZoneSource::Phone))
        .or_else(|| named(country(), ZoneSource::Country))
        .or_else(|| named(facts.workspace, ZoneSource::Workspace))
        .unwrap_or(ZoneUsed { zone: Tz::UTC, source: ZoneSource::Workspace })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_preference_and_invalid_values() {
        let all = ZoneFacts {
            declared: [Some("Mars/Olympus"), Some("Asia/Tokyo")],
            context: Some("Europe/Paris"),
            phone: Some("+48600100200"),
            country: Some("GB"),
            workspace: Some("America/New_York"),
        };
        let name = |facts: &ZoneFacts<'_>| zone_of(facts).zone.name();
        assert_eq!(name(&all), "Asia/Tokyo");
        let all = ZoneFacts { declared: [None, None], ..all };
        assert_eq!(name(&all), "Europe/Paris");
        let all = ZoneFacts { context: Some("nonsense"), ..all };
        assert_eq!(name(&all), "Europe/Warsaw");
        let all = ZoneFacts { phone: Some("+12125550100"), ..all };
        assert_eq!(name(&all), "Europe/London");
        let all = ZoneFacts { country: Some("US"), ..all };
        assert_eq!(name(&all), "America/New_York");
        assert_eq!(zone_of(&all).source, ZoneSource::Workspace);
        assert_eq!(name(&ZoneFacts::default()), "UTC");
    }
}
