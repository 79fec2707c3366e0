//! TIM-1: a run that began has ended or is there still, whatever versions it went through. ACT-1: of
//! one step a run brings about one message, also when a version puts the step where it stood before.

use crate::observed::{Observed, Violation};
use sojourn_engine::{Partition, Stored};
use sojourn_model::{Name, NoteKind};
use sojourn_ports::Space;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(observed: &Observed) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut runs: BTreeMap<Name, i64> = BTreeMap::new();
    for note in observed.all_notes() {
        match &note.kind {
            NoteKind::Entered { journey, .. } => *runs.entry(journey.clone()).or_default() += 1,
            NoteKind::Ended { journey, .. } => *runs.entry(journey.clone()).or_default() -= 1,
            _ => {}
        }
    }
    for (state, _) in &observed.states {
        for ((space, key), value) in state {
            if *space != Space::Profile as u8 {
                continue;
            }
            match Partition::decode_profile(value) {
                Ok(Stored::Live(person)) => {
                    for run in person.runs.iter().filter(|run| run.live()) {
                        *runs.entry(run.journey.clone()).or_default() -= 1;
                    }
                }
                Ok(_) => {}
                Err(error) => found.push(Violation::new("LOG-2", format!("{key:?}: {error}"))),
            }
        }
    }
    for (journey, count) in runs.into_iter().filter(|(_, count)| *count != 0) {
        let what = format!("{journey}: {count} runs began and neither ended nor are there");
        found.push(Violation::new("TIM-1", what));
    }
    let mut sent = BTreeSet::new();
    for action in &observed.actions {
        let place = (action.id.0.profile, action.id.0.run, action.step.clone());
        if !sent.insert(place.clone()) {
            let what = format!("{}: a second message of {place:?}", action.id);
            found.push(Violation::new("ACT-1", what));
        }
    }
    found
}
