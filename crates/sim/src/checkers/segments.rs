//! TIM-1: time alone ends a membership at the instant at which the last event leaves its window, and
//! whoever waits for that enters then.
//!
//! The journey `lapsed` of the story takes in whoever has not pinged for two hours. Pings that a
//! person brought along in a merge are left out: only what came after it says when they lapse.

use super::timers::merges;
use crate::observed::{Applied, Observed, Violation};
use sojourn_model::{NoteKind, ProfileId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Window of the segment `active`.
const WINDOW_MS: i64 = 2 * 3_600_000;

pub(super) fn check(observed: &Observed) -> Vec<Violation> {
    let gone: BTreeSet<ProfileId> = merges(observed).map(|(_, from, _)| from).collect();
    let mut merged: BTreeMap<ProfileId, Timestamp> = BTreeMap::new();
    let mut entered: BTreeSet<(ProfileId, Timestamp)> = BTreeSet::new();
    for note in observed.all_notes() {
        match &note.kind {
            NoteKind::Merged { .. } => {
                let last = merged.entry(note.profile).or_insert(note.at);
                *last = (*last).max(note.at);
            }
            NoteKind::Entered { journey, .. } | NoteKind::EntryRefused { journey, .. }
                if &**journey == "lapsed" =>
            {
                entered.insert((note.profile, note.at));
            }
            _ => {}
        }
    }
    let mut pings: BTreeMap<ProfileId, Vec<(Timestamp, Timestamp)>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    // Before the first version holds in a partition nothing is asked, so nothing is kept.
    let asked = observed.applied.iter().flat_map(|partition| {
        partition.iter().skip_while(|(_, _, applied)| !matches!(applied, Applied::Publish))
    });
    for (_, at, applied) in asked {
        let Applied::Touchpoint(profile, touchpoint) = applied else { continue };
        let mut new = || seen.insert((*profile, touchpoint.message_id.clone()));
        if &*touchpoint.event == "Ping" && !gone.contains(profile) && new() {
            let occurred = touchpoint.occurred_at.map_or(*at, |occurred| occurred.min(*at));
            pings.entry(*profile).or_default().push((occurred, *at));
        }
    }
    let mut found = Vec::new();
    for (profile, pings) in pings {
        let since = merged.get(&profile).copied().unwrap_or(Timestamp::MIN);
        for &(occurred, logged) in pings.iter().filter(|(occurred, _)| *occurred > since) {
            let leaves = Timestamp(occurred.0 + WINDOW_MS);
            let another = pings
                .iter()
                .any(|(other, at)| *other > occurred && *other <= leaves && *at <= leaves);
            if logged < leaves
                && !another
                && leaves <= observed.end
                && !entered.contains(&(profile, leaves))
            {
                found.push(Violation::new(
                    "TIM-1",
                    format!("{profile} left `active` at {leaves:?} and did not enter `lapsed`"),
                ));
            }
        }
    }
    found
}
