//! Endpoints that may not be used at all: hard bounce, complaint, STOP, an operator's word.

use serde::{Deserialize, Serialize};
use sojourn_model::{Evidence, Name, SuppressionKind, Timestamp};

/// One kind of suppression of one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuppressionEntry {
    /// Channel.
    pub channel: Name,
    /// Endpoint.
    pub endpoint: Name,
    /// Why.
    pub kind: SuppressionKind,
    /// Newest such event.
    pub at: Timestamp,
    /// Everything up to here was lifted, by a command or (a STOP) by START.
    pub lifted: Option<Timestamp>,
    /// Where and how.
    pub evidence: Evidence,
}

impl SuppressionEntry {
    /// Whether it is in force.
    pub fn active(&self) -> bool {
        self.lifted.is_none_or(|lifted| self.at > lifted)
    }
    fn key(&self) -> (&str, &str, SuppressionKind) {
        (&self.channel, &self.endpoint, self.kind)
    }
}

/// Suppressions of one person, in order of (channel, endpoint, kind). A merge unites them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppressions {
    entries: Vec<SuppressionEntry>,
}

/// Name of a kind as explanations and notes write it.
pub(crate) fn kind_name(kind: SuppressionKind) -> &'static str {
    match kind {
        SuppressionKind::Bounce => "bounce",
        SuppressionKind::Complaint => "complaint",
        SuppressionKind::Stop => "stop",
        SuppressionKind::Manual => "manual",
    }
}

impl Suppressions {
    /// Every entry, lifted ones too.
    pub fn entries(&self) -> &[SuppressionEntry] {
        &self.entries
    }

    /// The first suppression in force for an endpoint.
    pub(crate) fn of(&self, channel: &str, endpoint: &str) -> Option<&SuppressionEntry> {
        self.entries.iter().find(|entry| {
            &*entry.channel == channel && &*entry.endpoint == endpoint && entry.active()
        })
    }

    /// Takes one up; the newest of its kind stays, whatever was lifted stays lifted.
    pub(crate) fn add(&mut self, entry: SuppressionEntry) -> bool {
        match self.entries.binary_search_by(|known| known.key().cmp(&entry.key())) {
            Err(place) => {
                self.entries.insert(place, entry);
                true
            }
            Ok(place) => {
                let known = &mut self.entries[place];
                let before = (known.at, known.lifted);
                if (entry.at, &entry.evidence) > (known.at, &known.evidence) {
                    known.at = entry.at;
                    known.evidence = entry.evidence;
                }
                known.lifted = known.lifted.max(entry.lifted);
                before != (known.at, known.lifted)
            }
        }
    }

    /// Lifts what came up to `until` on a channel, for one endpoint or all; `only`: one kind.
    /// Gives the endpoints that are free again.
    pub(crate) fn lift(
        &mut self,
        channel: &str,
        endpoint: Option<&str>,
        only: Option<SuppressionKind>,
        until: Timestamp,
    ) -> Vec<(Name, SuppressionKind)> {
        let mut lifted = Vec::new();
        for entry in &mut self.entries {
            let fits = &*entry.channel == channel
                && endpoint.is_none_or(|endpoint| *entry.endpoint == *endpoint)
                && only.is_none_or(|kind| entry.kind == kind);
            if fits {
                let was = entry.active();
                entry.lifted = entry.lifted.max(Some(until));
                if was && !entry.active() {
                    lifted.push((entry.endpoint.clone(), entry.kind));
                }
            }
        }
        lifted
    }

    /// Remembers that a STOP of this endpoint up to `until` is void, also one still to come late.
    pub(crate) fn started(
        &mut self,
        channel: &Name,
        endpoint: &Name,
        until: Timestamp,
        evidence: &Evidence,
    ) {
        self.add(SuppressionEntry {
            channel: channel.clone(),
            endpoint: endpoint.clone(),
            kind: SuppressionKind::Stop,
            at: Timestamp::MIN,
            lifted: Some(until),
            evidence: evidence.clone(),
        });
    }

    /// The union of both.
    pub(crate) fn merge(&mut self, other: Self) {
        for entry in other.entries {
            self.add(entry);
        }
    }
}
