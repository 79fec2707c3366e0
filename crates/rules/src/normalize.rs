//! Identifier values before they are compared (semantics 2): the same person's two spellings become
//! one value, and values that mean nobody are refused.

use crate::definitions::{TrackingPlan, Workspace};
use crate::limits::IDENTIFIER_BYTES_MAX;
use crate::zones;
use phonenumber::country;
use sojourn_model::{Identifier, IdentifierKind, Name};

pub use crate::zones::{country_zone, country_zones, phone_zone, zone_country};

/// Values that never join, whatever the kind and case.
const BLOCKED: &[&str] = &["", "null", "none", "undefined", "unknown", "anonymous", "-1"];

/// Normalises identifiers as one workspace wants it.
#[derive(Debug, Clone, Default)]
pub struct Normalizer {
    /// Country of phone numbers without a prefix: that of the workspace's time zone.
    region: Option<country::Id>,
    /// Configured blocked values, lower-cased.
    blocked: Vec<Name>,
}

impl Normalizer {
    /// For a workspace and its tracking plan.
    pub fn new(workspace: &Workspace, plan: &TrackingPlan) -> Self {
        let region = zones::zone_country(&workspace.time_zone).and_then(|code| code.parse().ok());
        Self { region, blocked: plan.blocked_values.clone() }
    }

    /// The identifier that `raw` is; `None`: it names nobody (blocked, empty, no phone number).
    pub fn identifier(&self, kind: &IdentifierKind, raw: &str) -> Option<Identifier> {
        let value = self.value(kind, raw)?;
        Some(Identifier { kind: kind.clone(), value })
    }

    /// The normalised value; `None`: it names nobody.
    pub fn value(&self, kind: &IdentifierKind, raw: &str) -> Option<Name> {
        let trimmed = raw.trim();
        if trimmed.len() > IDENTIFIER_BYTES_MAX || is_blocked(trimmed, &self.blocked) {
            return None;
        }
        let value: Name = match kind {
            IdentifierKind::Email => trimmed.to_lowercase().into(),
            IdentifierKind::Phone => self.phone(trimmed)?,
            _ => trimmed.into(),
        };
        if is_blocked(&value, &self.blocked) { None } else { Some(value) }
    }

    /// E.164 where the number can be read; else its digits, so that equal spellings stay equal.
    fn phone(&self, text: &str) -> Option<Name> {
        let mut compact: String =
            text.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect();
        // `+` counts only at the beginning.
        let plus = compact.starts_with('+');
        compact.retain(|c| c != '+');
        if compact.is_empty() {
            return None;
        }
        let international = plus || compact.starts_with("00") && compact.len() > 8;
        let parsed = if international {
            let digits = if plus { &*compact } else { &compact[2..] };
            phonenumber::parse(None, format!("+{digits}")).ok()
        } else {
            self.region.and_then(|region| phonenumber::parse(Some(region), &compact).ok())
        };
        Some(match parsed {
            Some(number) => number.format().mode(phonenumber::Mode::E164).to_string().into(),
            None if plus => format!("+{compact}").into(),
            None => compact.into(),
        })
    }
}

/// Whether `value` never joins: it means that somebody is not known. `configured` is lower-cased.
pub fn is_blocked(value: &str, configured: &[Name]) -> bool {
    let value = value.trim();
    if value.bytes().all(|byte| byte == b'0' || byte == b'-') {
        return true;
    }
    let lower = value.to_lowercase();
    BLOCKED.contains(&&*lower) || configured.iter().any(|blocked| **blocked == *lower)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn york() -> Normalizer {
        let workspace = Workspace { time_zone: "Europe/London".into(), ..Workspace::default() };
        let plan = TrackingPlan {
            blocked_values: vec!["till@shop.example".into()],
            ..TrackingPlan::default()
        };
        Normalizer::new(&workspace, &plan)
    }

    #[test]
    fn spellings_of_one_value_become_one() {
        let normalizer = york();
        let check = |kind: &IdentifierKind, raw: &str, expected: Option<&str>| {
            assert_eq!(normalizer.value(kind, raw).as_deref(), expected, "{kind} {raw:?}");
        };
        check(&IdentifierKind::Email, "  Ann@Shop.Example ", Some("ann@shop.example"));
        for raw in ["07911 123456", "+44 7911 123456", "0044 (0)7911-123456", "+44-7911-123456"] {
            check(&IdentifierKind::Phone, raw, Some("+447911123456"));
        }
        check(&IdentifierKind::Phone, "+48 512 345 678", Some("+48512345678"));
        check(&IdentifierKind::Phone, "n/a", None);
        check(&IdentifierKind::LoyaltyId, " 0042 ", Some("0042"));
        check(&IdentifierKind::CustomerId, "User-1", Some("User-1"));
    }

    #[test]
    fn blocked_values_name_nobody() {
        let normalizer = york();
        for raw in [
            "",
            " ",
            "NULL",
            "None",
            "undefined",
            "unknown",
            "Anonymous",
            "-1",
            "0",
            "000-000",
            "--",
            "Till@Shop.example",
        ] {
            assert_eq!(normalizer.value(&IdentifierKind::CustomerId, raw), None, "{raw:?}");
        }
        assert_eq!(normalizer.value(&IdentifierKind::Phone, "000 000"), None);
        assert!(normalizer.value(&IdentifierKind::CustomerId, &"x".repeat(10_000)).is_none());
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(raw in "\\PC{0,24}|[+0-9 ()-]{0,20}") {
            let normalizer = york();
            for kind in [IdentifierKind::Email, IdentifierKind::Phone, IdentifierKind::CustomerId] {
                if let Some(once) = normalizer.value(&kind, &raw) {
                    prop_assert_eq!(normalizer.value(&kind, &once), Some(once.clone()), "{}", kind);
                }
            }
        }
    }
}
