//! Semantics 6: an arm is remembered at first use, whatever the shares are later.

use crate::observed::{Observed, Violation};
use sojourn_model::{Decision, Name, NoteKind, ProfileId};
use sojourn_rules::{Journey, StepIndex, StepKind};
use std::collections::BTreeMap;

/// An arm was seen, or the person is another one from here on.
enum Item<'a> {
    Decided(&'a Decision),
    Merged,
}

/// Per profile, in the order of its partition's log.
type Items<'a> = BTreeMap<ProfileId, Vec<((u64, u32), Item<'a>)>>;

pub(super) fn check(observed: &Observed) -> Vec<Violation> {
    let mut items = Items::new();
    for decision in observed.all_decisions() {
        let place = (decision.id.position.offset, decision.id.index + 1);
        items.entry(decision.profile).or_default().push((place, Item::Decided(decision)));
    }
    for note in observed.all_notes() {
        if let NoteKind::Merged { .. } = note.kind {
            let place = (note.position.offset, 0);
            items.entry(note.profile).or_default().push((place, Item::Merged));
        }
    }
    let mut found = Vec::new();
    for (profile, mut list) in items {
        list.sort_by_key(|(place, _)| *place);
        let mut arms: BTreeMap<(Name, Name), Name> = BTreeMap::new();
        for (_, item) in list {
            // What was remembered by whom a merge joins is settled there; runs go on in their arms.
            let Item::Decided(decision) = item else {
                arms.clear();
                continue;
            };
            let journey = observed
                .versions
                .get(&decision.version)
                .and_then(|definitions| definitions.journey(&decision.journey));
            let Some((split, arm)) = journey.and_then(|journey| arm_of(journey, &decision.step))
            else {
                continue;
            };
            // Of a run that another profile began, the arm was that profile's.
            if decision.candidate.profile != profile {
                continue;
            }
            let known =
                arms.entry((decision.journey.clone(), split)).or_insert_with(|| arm.clone());
            if *known != arm {
                found.push(Violation::new(
                    "SPLIT",
                    format!(
                        "{profile} was in arm `{known}` of {} and is in `{arm}` by {}",
                        decision.journey, decision.id
                    ),
                ));
            }
        }
    }
    found
}

/// The split and the arm in which a step stands first.
fn arm_of(journey: &Journey, step: &str) -> Option<(Name, Name)> {
    let index = journey.find(step)?;
    journey.steps.iter().find_map(|step| {
        let StepKind::Split { name, arms } = &step.kind else { return None };
        let begins = |first: Option<StepIndex>| first == Some(index);
        let arm = arms.iter().find(|arm| begins(arm.first))?;
        Some((name.clone(), arm.arm.clone()))
    })
}
