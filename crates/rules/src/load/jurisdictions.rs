//! Rules per country: the shipped ones and those of policy.yaml, in one form.

use super::hours::quiet_hours;
use crate::definitions::{Jurisdiction, Jurisdictions, Regime};
use crate::finding::{Findings, Source, nearest, suggest};
use crate::reader::{Table, choice, items, wrong};
use crate::yaml::{self, Kind, Node, Place};
use crate::zones::country_zones;
use sojourn_model::Name;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The shipped rules, with their sources.
const SHIPPED: &str = include_str!("../../data/jurisdictions.yaml");
/// No law knows a higher age of consent.
const AGE_MAX: u32 = 21;

const REGIMES: &[(&str, Regime)] = &[
    ("opt_in", Regime::OptIn),
    ("double_opt_in", Regime::DoubleOptIn),
    ("opt_out", Regime::OptOut),
];

/// A channel or purpose that a rule names, and where.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) place: Place,
    pub(crate) country: Name,
    pub(crate) channel: Name,
    pub(crate) purpose: Option<Name>,
    pub(crate) regime: Regime,
}

static SHIPPED_RULES: LazyLock<Jurisdictions> = LazyLock::new(|| {
    let findings = Findings::default();
    let source = Source { file: "jurisdictions.yaml", findings: &findings };
    let root = yaml::read(SHIPPED, &source).expect("the shipped rules are YAML");
    let table = Table::new(source, &root, "the shipped rules").expect("a mapping");
    let mut rules = BTreeMap::new();
    for (country, _, node) in table.entries() {
        rules.extend(jurisdiction(source, &country, node, &mut Vec::new()));
    }
    let wrong = findings.finish();
    assert!(wrong.is_empty(), "the shipped rules are sound: {wrong:#?}");
    Jurisdictions(rules)
});

/// The shipped rules, opt-out regimes among them.
pub(crate) fn shipped_jurisdictions() -> &'static Jurisdictions {
    &SHIPPED_RULES
}

/// Whether `code` is a country's, in capitals.
pub(super) fn is_country(code: &str) -> bool {
    code.len() == 2
        && code.bytes().all(|byte| byte.is_ascii_uppercase())
        && !country_zones(code).is_empty()
}

/// What to write instead of `written`, which is no country.
pub(super) fn country_remedy(written: &str, keys: &[&'static str]) -> String {
    let capitals = written.to_uppercase();
    let meant = match capitals.as_str() {
        "UK" | "EN" => Some("GB"),
        "EL" => Some("GR"),
        other if is_country(other) => Some(other),
        _ => nearest(written, keys.iter().copied()),
    };
    match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "write the two letters of ISO 3166, such as DE, or \"*\" for all others".to_owned(),
    }
}

/// `jurisdictions:` of policy.yaml; what it names is added to `named`.
pub(super) fn load(table: &Table<'_>, named: &mut Vec<Named>) -> Jurisdictions {
    const BASES: &[(&str, bool)] = &[("default", true), ("none", false)];
    let Some(node) = table.get("jurisdictions") else { return Jurisdictions::default() };
    let base = |shipped| if shipped { Jurisdictions::default() } else { Jurisdictions::none() };
    if !matches!(node.kind, Kind::Mapping(_)) {
        return base(choice(&table.source, node, "jurisdictions", BASES).unwrap_or(true));
    }
    let source = table.source;
    let Some(rules) = Table::new(source, node, "`jurisdictions`") else { return base(true) };
    let shipped = rules.choice("base", BASES).unwrap_or(true);
    let mut own = BTreeMap::new();
    for (country, place, node) in rules.entries() {
        if &*country == "base" {
            continue;
        }
        if &*country != "*" && !is_country(&country) {
            source.error(
                "unknown-country",
                place,
                format!("there is no country `{country}`"),
                country_remedy(&country, &["base"]),
            );
            continue;
        }
        own.extend(jurisdiction(source, &country, node, named));
    }
    let mut all = base(shipped);
    all.override_with(Jurisdictions(own));
    all
}

/// One country's rules.
fn jurisdiction(
    source: Source<'_>,
    country: &Name,
    node: &Node,
    named: &mut Vec<Named>,
) -> Option<(Name, Jurisdiction)> {
    const KEYS: [&str; 4] = ["minimum_age", "quiet_hours", "about", "sources"];
    let table = Table::new(source, node, "this country's rules")?;
    let minimum_age = table.count("minimum_age").and_then(|age| {
        let sound = u8::try_from(age).ok().filter(|_| age <= AGE_MAX);
        if sound.is_none() {
            source.error(
                "bad-limit",
                table.key_place("minimum_age"),
                format!("`minimum_age` is {age}"),
                format!("write an age from 0 (none) to {AGE_MAX}"),
            );
        }
        sound
    });
    let windows = table.get("quiet_hours").map(|node| {
        let windows = items(&source, node, "quiet_hours").iter();
        windows.filter_map(|node| quiet_hours(source, node, true)).collect()
    });
    let mut regimes: BTreeMap<Name, BTreeMap<Option<Name>, Regime>> = BTreeMap::new();
    for (channel, place, node) in table.entries() {
        if KEYS.contains(&&*channel) {
            continue;
        }
        let mut add = |purpose: Option<Name>, place: Place, node: &Node| {
            let Some(regime) = choice(&source, node, "regime", REGIMES) else { return };
            regimes.entry(channel.clone()).or_default().insert(purpose.clone(), regime);
            let (country, channel) = (country.clone(), channel.clone());
            named.push(Named { place, country, channel, purpose, regime });
        };
        match &node.kind {
            Kind::Scalar(..) => add(None, place, node),
            Kind::Mapping(_) => {
                let Some(purposes) = Table::new(source, node, "this channel's rules") else {
                    continue;
                };
                for (purpose, place, node) in purposes.entries() {
                    add(Some(purpose), place, node);
                }
            }
            Kind::Sequence(_) => wrong(
                &source,
                node,
                "a channel has one regime, or one for each purpose (`marketing: opt_in`)",
            ),
        }
    }
    Some((country.clone(), Jurisdiction { minimum_age, regimes, quiet_hours: windows }))
}

/// A key of a country's rules that is neither a channel nor one of theirs: what may have been meant.
pub(crate) fn key_remedy<'k>(
    written: &str,
    channels: impl IntoIterator<Item = &'k str> + Clone,
) -> String {
    let known: Vec<&str> =
        ["minimum_age", "quiet_hours", "about", "sources"].into_iter().chain(channels).collect();
    suggest(written, known, "declare the channel under `channels` in sojourn.yaml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_rules_are_sound_and_name_their_sources() {
        let rules = shipped_jurisdictions();
        assert!(rules.0.len() > 40);
        for country in rules.0.keys().filter(|country| &***country != "*") {
            assert!(is_country(country), "{country}");
        }
        let entries = SHIPPED.lines().filter(|line| {
            let code = line.split(':').next().unwrap_or_default();
            code == "\"*\"" || (code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase()))
        });
        assert_eq!(entries.count(), rules.0.len(), "one entry a line");
        assert_eq!(SHIPPED.matches("sources:").count(), rules.0.len(), "each names its sources");
    }

    #[test]
    fn an_opt_out_that_is_shipped_counts_only_when_enabled() {
        assert_eq!(shipped_jurisdictions().regime("US", "email", "marketing"), Regime::OptOut);
        let default = Jurisdictions::default();
        assert_eq!(default.regime("US", "email", "marketing"), Regime::OptIn);
        assert_eq!(default.regime("", "sms", "marketing"), Regime::OptIn);
        assert_eq!(default.minimum_age("DE"), Some(16));
        assert_eq!(default.minimum_age("AE"), Some(16), "as elsewhere");
        assert_eq!(default.quiet_hours("US").len(), 1);
        assert!(default.quiet_hours("DE").is_empty());
    }
}
