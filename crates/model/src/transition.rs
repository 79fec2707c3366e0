//! What becomes of the people who are on their way when a version of the definitions goes live.

use crate::Name;
use serde::{Deserialize, Serialize};

/// What becomes of live runs (semantics 7).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum Existing {
    /// They keep the version they are on.
    #[default]
    Drain,
    /// They go on in the new version, at the step of the same id.
    Migrate,
    /// They end, where the new version changes their journey or no longer has it.
    Stop,
}

impl Existing {
    /// Every one, in order of declaration.
    pub const ALL: [Self; 3] = [Self::Drain, Self::Migrate, Self::Stop];

    /// Its name in files, on the command line and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Migrate => "migrate",
            Self::Stop => "stop",
        }
    }

    /// Reads a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|existing| existing.as_str() == name)
    }
}

/// A step that has another id in the new version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepMap {
    /// Only in this journey; `None`: in every journey with such a step.
    pub journey: Option<Name>,
    /// Id in the version that runs are on.
    pub old: Name,
    /// Id in the new version.
    pub new: Name,
}

/// How runs come from the versions they are on to the one that goes live.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Transition {
    /// Of every journey that is not named below.
    pub existing: Existing,
    /// Journeys with a word of their own; a journey that is named to be stopped is stopped also
    /// when its file is the same.
    pub journeys: Vec<(Name, Existing)>,
    /// Steps with another id.
    pub maps: Vec<StepMap>,
}

impl Transition {
    /// The same for every journey.
    pub fn all(existing: Existing) -> Self {
        Self { existing, ..Self::default() }
    }

    /// What becomes of the runs of `journey`, and whether it was named.
    pub fn of(&self, journey: &str) -> (Existing, bool) {
        let named = self.journeys.iter().find(|entry| *entry.0 == *journey);
        named.map_or((self.existing, false), |entry| (entry.1, true))
    }

    /// Id in the new version of a step of `journey`.
    pub fn step<'a>(&'a self, journey: &str, old: &'a Name) -> &'a Name {
        let of = |map: &&StepMap| {
            map.old == *old && map.journey.as_ref().is_none_or(|of| **of == *journey)
        };
        self.maps.iter().find(of).map_or(old, |map| &map.new)
    }

    /// Whether every run keeps its version.
    pub fn drains(&self) -> bool {
        let drain = |existing: Existing| existing == Existing::Drain;
        drain(self.existing) && self.journeys.iter().all(|entry| drain(entry.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journey_that_is_named_has_its_own_word_and_a_map_its_own_journey() {
        let map = |journey: Option<&str>, old: &str, new: &str| StepMap {
            journey: journey.map(Name::from),
            old: old.into(),
            new: new.into(),
        };
        let transition = Transition {
            existing: Existing::Migrate,
            journeys: vec![("cart".into(), Existing::Stop)],
            maps: vec![map(Some("visit"), "a", "b"), map(None, "c", "d")],
        };
        assert_eq!(transition.of("cart"), (Existing::Stop, true));
        assert_eq!(transition.of("visit"), (Existing::Migrate, false));
        assert_eq!(&**transition.step("visit", &"a".into()), "b");
        assert_eq!(&**transition.step("cart", &"a".into()), "a");
        assert_eq!(&**transition.step("cart", &"c".into()), "d");
        assert!(!transition.drains() && Transition::default().drains());
        for existing in Existing::ALL {
            assert_eq!(Existing::parse(existing.as_str()), Some(existing));
        }
        assert_eq!(Existing::parse("drian"), None);
    }
}
