//! What a workspace says about identifiers: limits per kind, blocked values, shared devices.

use crate::limits;
use sojourn_model::{DurationMs, Identifier, IdentifierKind, Name};
use sojourn_rules::Definitions;
use sojourn_rules::normalize::Normalizer;
use std::collections::{BTreeMap, BTreeSet};

/// Rules of resolution (semantics 2).
#[derive(Debug, Clone)]
pub struct IdentityRules {
    /// What the tracking plan says per kind; kinds that it leaves out have the defaults below.
    pub limits: BTreeMap<IdentifierKind, usize>,
    /// `customer_id` per profile.
    pub customer_ids_max: usize,
    /// `email`, `phone`, `loyalty_id` and kinds of the workspace's own, each, per profile.
    pub addresses_max: usize,
    /// `anonymous_id`, `device_id`, each, per profile.
    pub devices_max: usize,
    /// Kinds that never join.
    pub non_joining: BTreeSet<IdentifierKind>,
    /// Further blocked values, in lower case.
    pub blocked: BTreeSet<String>,
    /// Sources whose devices many people share: their device and anonymous ids do not join.
    pub shared_sources: BTreeSet<Name>,
    /// How long a message id counts as seen, by log time.
    pub horizon: DurationMs,
    /// How long a merge can be taken back, by log time.
    pub undo: DurationMs,
    /// Salt of the hashes that an erasure leaves.
    pub salt: Name,
    /// For the value that an `alias` names, whose kind only the graph knows.
    pub normalizer: Normalizer,
}

impl Default for IdentityRules {
    fn default() -> Self {
        Self {
            limits: BTreeMap::new(),
            customer_ids_max: 1,
            addresses_max: 5,
            devices_max: 50,
            non_joining: BTreeSet::new(),
            blocked: BTreeSet::new(),
            shared_sources: BTreeSet::new(),
            horizon: DurationMs::days(7),
            undo: DurationMs::days(30),
            salt: "sojourn".into(),
            normalizer: Normalizer::default(),
        }
    }
}

impl IdentityRules {
    /// What a version of the definitions says; the salt is the workspace's name until the node sets
    /// a secret one.
    pub fn of(definitions: &Definitions) -> Self {
        let plan = &definitions.plan;
        let workspace = &definitions.workspace;
        let shared = workspace.sources.iter().filter(|source| source.shared_devices);
        let limits = plan.identifiers.iter().map(|rule| (rule.kind.clone(), rule.limit as usize));
        let apart = plan.identifiers.iter().filter(|rule| !rule.joins);
        Self {
            limits: limits.collect(),
            non_joining: apart.map(|rule| rule.kind.clone()).collect(),
            blocked: plan
                .blocked_values
                .iter()
                .map(|value| value.as_str().to_lowercase())
                .collect(),
            shared_sources: shared.map(|source| source.id.clone()).collect(),
            salt: workspace.name.clone(),
            normalizer: Normalizer::new(workspace, plan),
            ..Self::default()
        }
    }

    /// How many identifiers of a kind one profile may hold.
    pub fn limit(&self, kind: &IdentifierKind) -> usize {
        if let Some(limit) = self.limits.get(kind) {
            return *limit;
        }
        match kind {
            IdentifierKind::CustomerId => self.customer_ids_max,
            IdentifierKind::AnonymousId | IdentifierKind::DeviceId => self.devices_max,
            _ => self.addresses_max,
        }
    }

    /// Whether an identifier from `source` may tell who somebody is.
    pub fn usable(&self, source: &str, identifier: &Identifier) -> bool {
        let device =
            matches!(identifier.kind, IdentifierKind::DeviceId | IdentifierKind::AnonymousId);
        let value = &identifier.value;
        let configured = || self.blocked.contains(&value.as_str().to_lowercase());
        if device && self.shared_sources.contains(source) {
            return false;
        }
        if self.non_joining.contains(&identifier.kind) {
            return false;
        }
        let blocked = is_blocked(value) || (!self.blocked.is_empty() && configured());
        !blocked && value.len() <= limits::IDENTIFIER_BYTES_MAX
    }
}

/// Values that clients send when they know nothing: they never join, whatever the kind and case.
pub fn is_blocked(value: &str) -> bool {
    const WORDS: [&str; 6] = ["null", "none", "undefined", "unknown", "anonymous", "-1"];
    let value = value.trim();
    match value.as_bytes() {
        [] => true,
        [b'0' | b'-', ..] => value.bytes().all(|b| b == b'0' || b == b'-') || value == "-1",
        bytes if bytes.len() > 9 => false,
        _ => WORDS.iter().any(|word| word.eq_ignore_ascii_case(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocked_values() {
        for value in [
            "",
            " ",
            "null",
            "NULL",
            "None",
            "undefined",
            "unknown",
            "Anonymous",
            "-1",
            "0",
            "00000000-0000-0000-0000-000000000000",
            "---",
        ] {
            assert!(is_blocked(value), "{value:?}");
            assert!(sojourn_rules::normalize::is_blocked(value, &[]), "the gateway agrees");
        }
        for value in ["u1", "01", "-2", "-10", "anonymous1", "nullable", "a@b.example", "0-0-1"] {
            assert!(!is_blocked(value), "{value:?}");
            assert!(!sojourn_rules::normalize::is_blocked(value, &[]), "the gateway agrees");
        }
    }

    #[test]
    fn a_kiosk_offers_its_cards_only() {
        let rules =
            IdentityRules { shared_sources: ["till".into()].into(), ..IdentityRules::default() };
        let device = Identifier::new(IdentifierKind::AnonymousId, "kiosk");
        let card = Identifier::new(IdentifierKind::LoyaltyId, "L1");
        assert!(!rules.usable("till", &device) && rules.usable("till", &card));
        assert!(rules.usable("site", &device));
    }
}
