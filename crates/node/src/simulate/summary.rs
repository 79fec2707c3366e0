//! What a simulation counted.

use serde::Serialize;
use sojourn_engine::Profile;
use sojourn_model::{Decision, Name, Note, NoteKind, Outcome, ProfileId, Timestamp};
use std::collections::{BTreeMap, HashSet};

/// Counts of one run.
#[derive(Debug, Default, Clone, Serialize, PartialEq)]
pub struct Summary {
    /// Lines read.
    pub lines: u64,
    /// Touchpoints of somebody.
    pub touchpoints: u64,
    /// Touchpoints that were copies of an earlier one.
    pub duplicates: u64,
    /// Touchpoints without a usable identifier.
    pub nobody: u64,
    /// Lines that were not taken, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Touchpoints of people who had been erased.
    pub erased: u64,
    /// People: profiles seen, less those that turned out to be somebody known.
    pub people: u64,
    /// Merges.
    pub merges: u64,
    /// Log time of the first and last line.
    pub from: Option<Timestamp>,
    /// See `from`.
    pub to: Option<Timestamp>,
    /// Per journey.
    pub journeys: BTreeMap<Name, JourneyCounts>,
    /// Evaluations by outcome and reason: `approve`, `suppress: cap`, `defer: quiet_hours`, …
    pub verdicts: BTreeMap<String, u64>,
    /// How many (person, week) pairs had so many messages: contacts per person per week.
    pub contacts_per_week: BTreeMap<u32, u64>,
    /// Who could be written to at the end: people by `channel purpose`.
    pub consents: BTreeMap<String, Coverage>,
    /// Limits that were reached, by name.
    pub limits: BTreeMap<Name, u64>,
    #[serde(skip)]
    seen: HashSet<ProfileId, foldhash::fast::RandomState>,
    /// The verdict being counted; its allocation is used again.
    #[serde(skip)]
    verdict: String,
    #[serde(skip)]
    weeks: BTreeMap<(ProfileId, i64), u32>,
}

/// How many people said yes and no.
#[derive(Debug, Default, Clone, Copy, Serialize, PartialEq, Eq)]
pub struct Coverage {
    /// A grant of the purpose, or of one of its topics, stands.
    pub agreed: u64,
    /// What they said last is no.
    pub refused: u64,
}

/// Counts of one journey.
#[derive(Debug, Default, Clone, Serialize, PartialEq)]
pub struct JourneyCounts {
    /// Runs that began.
    pub entered: u64,
    /// Entries refused, by reason.
    pub refused: BTreeMap<Name, u64>,
    /// Runs that ended, by reason.
    pub ended: BTreeMap<Name, u64>,
    /// Runs that a publish moved to another version.
    pub migrated: u64,
    /// Goals met in their window.
    pub converted: u64,
    /// Their value.
    pub value: f64,
    /// Per step id: how many runs came to it.
    pub reached: BTreeMap<Name, u64>,
    /// Per send step: evaluations by outcome and reason.
    pub sends: BTreeMap<Name, BTreeMap<String, u64>>,
}

/// Milliseconds of a week.
const WEEK_MS: i64 = 7 * 86_400_000;
/// 1970-01-01 was a Thursday: weeks of the summary begin on Monday, UTC.
const MONDAY_SHIFT_MS: i64 = 3 * 86_400_000;

impl Summary {
    /// Counts a decision.
    pub fn decision(&mut self, decision: &Decision) {
        self.verdict.clear();
        self.verdict.push_str(decision.outcome.as_str());
        if let Some(reason) = decision.reason {
            self.verdict.push_str(": ");
            self.verdict.push_str(reason.as_str());
        }
        let counts = self.journeys.entry(decision.journey.clone()).or_default();
        count(counts.sends.entry(decision.step.clone()).or_default(), &self.verdict);
        count(&mut self.verdicts, &self.verdict);
        if matches!(decision.outcome, Outcome::Approve | Outcome::Reroute) {
            let week = (decision.at.0 + MONDAY_SHIFT_MS).div_euclid(WEEK_MS);
            *self.weeks.entry((decision.profile, week)).or_default() += 1;
        }
    }

    /// Counts a note.
    pub fn note(&mut self, note: &Note) {
        match &note.kind {
            NoteKind::Entered { journey, .. } => self.journey(journey).entered += 1,
            NoteKind::EntryRefused { journey, reason, .. } => {
                *self.journey(journey).refused.entry(reason.clone()).or_default() += 1;
            }
            NoteKind::Ended { journey, reason, .. } => {
                *self.journey(journey).ended.entry(reason.clone()).or_default() += 1;
            }
            NoteKind::Moved { journey, step, .. } => {
                *self.journey(journey).reached.entry(step.clone()).or_default() += 1;
            }
            NoteKind::Migrated { journey, .. } => self.journey(journey).migrated += 1,
            NoteKind::Converted { journey, value, .. } => {
                let counts = self.journey(journey);
                counts.converted += 1;
                counts.value += value.unwrap_or(0.0);
            }
            NoteKind::Merged { from } => {
                self.merges += 1;
                self.seen.remove(from);
            }
            NoteKind::Limit { what, .. } => *self.limits.entry(what.clone()).or_default() += 1,
            _ => {}
        }
    }

    /// Draws the sums that need everything.
    pub(super) fn finish<'p>(&mut self, profile: impl Fn(ProfileId) -> Option<&'p Profile>) {
        self.people = self.seen.len() as u64;
        for profile in self.seen.iter().filter_map(|id| profile(*id)) {
            for (of, agreed) in consents(profile) {
                let coverage = self.consents.entry(of).or_default();
                *(if agreed { &mut coverage.agreed } else { &mut coverage.refused }) += 1;
            }
        }
        for &count in self.weeks.values() {
            *self.contacts_per_week.entry(count).or_default() += 1;
        }
    }

    /// Counts a person.
    pub fn person(&mut self, profile: ProfileId) {
        self.seen.insert(profile);
    }

    fn journey(&mut self, name: &Name) -> &mut JourneyCounts {
        self.journeys.entry(name.clone()).or_default()
    }
}

/// Counts one more of `what`.
fn count(counts: &mut BTreeMap<String, u64>, what: &str) {
    match counts.get_mut(what) {
        Some(count) => *count += 1,
        None => _ = counts.insert(what.to_owned(), 1),
    }
}

/// What a person said of each channel and purpose: yes, when a grant stands at the level of the
/// purpose or of one of its topics; in the same second a no wins (semantics 3).
fn consents(profile: &Profile) -> BTreeMap<String, bool> {
    let mut said: BTreeMap<String, bool> = BTreeMap::new();
    for entry in profile.consents.entries() {
        let channel = entry.channel.as_deref().unwrap_or("every channel");
        let second = |at: Timestamp| at.0.div_euclid(1_000);
        let denied = entry.deny.as_ref().map(|statement| second(statement.at));
        let granted = match (&entry.grant, &entry.imported) {
            (Some(grant), _) => denied.is_none_or(|denied| second(grant.at) > denied),
            // A bulk import never lifts a no.
            (None, Some(_)) => denied.is_none(),
            (None, None) => false,
        };
        *said.entry(format!("{channel} {}", entry.purpose)).or_default() |= granted;
    }
    said
}
