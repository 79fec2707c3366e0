//! Rules per country: what permits a message, when law wants quiet, who is too young.

use super::QuietHours;
use sojourn_model::Name;
use std::collections::{BTreeMap, BTreeSet};

/// The entry for every country without one of its own, and for people whose country is not known.
const ELSEWHERE: &str = "*";

/// What permits a message of a messaging purpose other than `service`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Regime {
    /// A grant.
    #[default]
    OptIn,
    /// A grant that was confirmed from the address itself.
    DoubleOptIn,
    /// That nothing was denied.
    OptOut,
}

/// Rules of one country. What is absent is as [`ELSEWHERE`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Jurisdiction {
    /// Nobody known to be younger is written to.
    pub minimum_age: Option<u8>,
    /// By channel, then by purpose; `None`: every purpose without one of its own.
    pub regimes: BTreeMap<Name, BTreeMap<Option<Name>, Regime>>,
    /// When law forbids messages.
    pub quiet_hours: Option<Vec<QuietHours>>,
}

/// Rules by country code, `*` among them.
#[derive(Debug, Clone, PartialEq)]
pub struct Jurisdictions(pub BTreeMap<Name, Jurisdiction>);

impl Default for Jurisdictions {
    fn default() -> Self {
        crate::load::shipped_jurisdictions().enabled()
    }
}

impl Jurisdictions {
    /// No rules at all.
    pub fn none() -> Self {
        Self(BTreeMap::new())
    }

    /// What applies of shipped rules: an opt-out regime is the operator's to enable (semantics 3).
    pub(crate) fn enabled(&self) -> Self {
        let mut enabled = self.clone();
        let regimes = enabled.0.values_mut().flat_map(|country| country.regimes.values_mut());
        for regime in regimes.flat_map(BTreeMap::values_mut) {
            if *regime == Regime::OptOut {
                *regime = Regime::OptIn;
            }
        }
        enabled
    }

    /// Puts a policy's own rules over these, key by key.
    pub(crate) fn override_with(&mut self, own: Self) {
        for (country, rules) in own.0 {
            let known = self.0.entry(country).or_default();
            known.minimum_age = rules.minimum_age.or(known.minimum_age);
            known.quiet_hours = rules.quiet_hours.or(known.quiet_hours.take());
            for (channel, purposes) in rules.regimes {
                known.regimes.entry(channel).or_default().extend(purposes);
            }
        }
    }

    /// The first of the country's own rules and those for elsewhere that `pick` answers.
    fn first<'a, T>(
        &'a self,
        country: &str,
        pick: impl Fn(&'a Jurisdiction) -> Option<T>,
    ) -> Option<T> {
        let own = self.0.get(country);
        let elsewhere = self.0.get(ELSEWHERE);
        own.and_then(&pick).or_else(|| elsewhere.and_then(&pick))
    }

    /// What permits a message for `purpose` on `channel` to somebody of `country`.
    pub fn regime(&self, country: &str, channel: &str, purpose: &str) -> Regime {
        let found = self.first(country, |rules| {
            let purposes = rules.regimes.get(channel)?;
            let own = purposes.iter().find(|(name, _)| name.as_deref() == Some(purpose));
            own.map(|(_, regime)| *regime).or_else(|| purposes.get(&None).copied())
        });
        found.unwrap_or_default()
    }

    /// The age below which nobody of `country` is written to.
    pub fn minimum_age(&self, country: &str) -> Option<u8> {
        self.first(country, |rules| rules.minimum_age).filter(|age| *age > 0)
    }

    /// When the law of `country` forbids messages.
    pub fn quiet_hours(&self, country: &str) -> &[QuietHours] {
        self.first(country, |rules| rules.quiet_hours.as_deref()).unwrap_or_default()
    }

    /// Channels on which some law wants quiet.
    pub fn quiet_channels(&self) -> BTreeSet<Name> {
        let hours = self.0.values().filter_map(|rules| rules.quiet_hours.as_ref()).flatten();
        hours.flat_map(|hours| hours.channels.iter().cloned()).collect()
    }

    /// Whether something else than a plain grant is asked for anywhere.
    pub fn has_regimes(&self) -> bool {
        let purposes = self.0.values().flat_map(|rules| rules.regimes.values());
        purposes.flat_map(BTreeMap::values).any(|regime| *regime != Regime::OptIn)
    }
}
