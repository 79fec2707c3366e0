//! The step `call`: every run that came to one asked once and was told once, and no answer came out of
//! nothing.

use crate::observed::{Applied, Observed, Violation};
use crate::provider::answer_of;
use sojourn_model::{ActionId, NoteKind, event_names};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(observed: &Observed) -> Vec<Violation> {
    let mut found = Vec::new();
    let taken: BTreeSet<ActionId> = observed
        .calls
        .iter()
        .filter(|call| call.effective && call.action.is_call())
        .map(|call| call.action.id)
        .collect();
    for (_, _, applied) in observed.applied.iter().flatten() {
        let Applied::Touchpoint(_, touchpoint) = applied else { continue };
        if &*touchpoint.event != event_names::CALL_ANSWERED {
            continue;
        }
        let properties: serde_json::Value =
            serde_json::from_str(&touchpoint.properties).unwrap_or_default();
        let action = properties["action_id"].as_str().and_then(|id| id.parse::<ActionId>().ok());
        let known = action.is_some_and(|action| {
            taken.contains(&action) && properties["answer"]["n"].as_u64() == Some(answer_of(action))
        });
        if !known {
            let what = format!("{} tells an answer that nobody gave", touchpoint.message_id);
            found.push(Violation::new("ACT-1", what));
        }
    }
    // A run that stands at a call has asked, unless a kill switch was on: then it does not stand there.
    let mut asked: BTreeMap<_, i64> = BTreeMap::new();
    for action in observed.actions.iter().filter(|action| action.is_call()) {
        *asked.entry((action.journey.clone(), action.step.clone())).or_default() += 1;
    }
    let mut came: BTreeMap<_, i64> = BTreeMap::new();
    for note in observed.all_notes() {
        if let NoteKind::Moved { journey, step, .. } = &note.kind
            && is_call(observed, journey, step)
        {
            *came.entry((journey.clone(), step.clone())).or_default() += 1;
        }
    }
    for (place, came) in &came {
        let asked = asked.get(place).copied().unwrap_or(0);
        if asked != *came {
            found.push(Violation::new(
                "EXP-1",
                format!(
                    "{came} runs came to {}/{} and {asked} calls were asked for",
                    place.0, place.1
                ),
            ));
        }
    }
    found
}

fn is_call(observed: &Observed, journey: &str, step: &str) -> bool {
    observed.versions.values().any(|definitions| {
        definitions.journey(journey).is_some_and(|journey| {
            journey.find(step).is_some_and(|index| {
                matches!(journey.step(index).kind, sojourn_rules::StepKind::Call(_))
            })
        })
    })
}
