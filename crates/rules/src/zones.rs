//! Time zones of countries and of phone numbers (semantics 1), from IANA's `zone.tab`.
//!
//! A country says where somebody's clock is only when it has one zone.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// `CC Area/City` per line, sorted: the columns of `zone.tab` (public domain) that matter here.
const TABLE: &str = include_str!("zones.txt");

struct Zones {
    /// The zone of each country that has exactly one.
    single: BTreeMap<&'static str, &'static str>,
    /// The country of each zone.
    country: BTreeMap<&'static str, &'static str>,
    /// All zones of each country.
    all: BTreeMap<&'static str, Vec<&'static str>>,
}

static ZONES: LazyLock<Zones> = LazyLock::new(|| {
    let mut all: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut country = BTreeMap::new();
    for (code, zone) in TABLE.lines().filter_map(|line| line.split_once(' ')) {
        all.entry(code).or_default().push(zone);
        country.insert(zone, code);
    }
    let single = all
        .iter()
        .filter(|(_, zones)| zones.len() == 1)
        .map(|(code, zones)| (*code, zones[0]))
        .collect();
    Zones { single, country, all }
});

/// The zone of the country whose ISO 3166 code of two letters is `iso2` (any case), when it has
/// exactly one.
pub fn country_zone(iso2: &str) -> Option<&'static str> {
    ZONES.single.get(iso2.trim().to_ascii_uppercase().as_str()).copied()
}

/// All zones of a country, for the strict mode of quiet hours; empty: unknown country.
pub fn country_zones(iso2: &str) -> &'static [&'static str] {
    ZONES.all.get(iso2.trim().to_ascii_uppercase().as_str()).map_or(&[], Vec::as_slice)
}

/// The country in which `zone` lies.
pub fn zone_country(zone: &str) -> Option<&'static str> {
    ZONES.country.get(zone).copied()
}

/// The zone of a phone number in E.164, when its region has exactly one.
pub fn phone_zone(e164: &str) -> Option<&'static str> {
    if !e164.starts_with('+') {
        return None;
    }
    let number = phonenumber::parse(None, e164).ok()?;
    country_zone(number.country().id()?.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_zone_or_none() {
        for (country, zone) in [
            ("GB", Some("Europe/London")),
            ("pl", Some("Europe/Warsaw")),
            ("IN", Some("Asia/Kolkata")),
            ("JP", Some("Asia/Tokyo")),
            ("US", None),
            ("AU", None),
            // Büsingen has a zone of its own.
            ("DE", None),
            ("XX", None),
            ("", None),
        ] {
            assert_eq!(country_zone(country), zone, "{country}");
        }
        assert_eq!(zone_country("Europe/London"), Some("GB"));
        assert!(country_zones("us").len() > 20);
    }

    #[test]
    fn phone_numbers_tell_their_region() {
        for (number, zone) in [
            ("+447400123456", Some("Europe/London")),
            ("+48512345678", Some("Europe/Warsaw")),
            ("+33612345678", Some("Europe/Paris")),
            ("+919876543210", Some("Asia/Kolkata")),
            ("+12125550123", None),
            ("+61412345678", None),
            ("447400123456", None),
            ("+", None),
            ("+999", None),
        ] {
            assert_eq!(phone_zone(number), zone, "{number}");
        }
    }

    #[test]
    fn every_zone_is_one_that_we_can_compute_with() {
        assert!(TABLE.lines().count() > 400);
        for (_, zone) in TABLE.lines().filter_map(|line| line.split_once(' ')) {
            assert!(zone.parse::<chrono_tz::Tz>().is_ok(), "{zone}");
        }
    }
}
