//! EXP-1: every action has its decision, and every send step that a run came to left one.

use crate::observed::{Observed, Violation};
use sojourn_model::{Decision, NoteKind, Outcome};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(observed: &Observed) -> Vec<Violation> {
    let mut found = Vec::new();
    let approved: BTreeSet<_> = observed
        .all_decisions()
        .filter(|decision| matches!(decision.outcome, Outcome::Approve | Outcome::Reroute))
        .filter_map(|decision| decision.action)
        .collect();
    // A `call` is no message: nothing decides about it.
    for action in observed.actions.iter().filter(|action| !action.is_call()) {
        if !approved.contains(&action.id) {
            found.push(Violation::new(
                "EXP-1",
                format!("{} has no decision that approved it", action.id),
            ));
        }
    }
    let published: BTreeSet<_> = observed.actions.iter().map(|action| action.id).collect();
    for id in approved.difference(&published) {
        found.push(Violation::new("EXP-1", format!("{id} was approved and never published")));
    }
    // Each candidate that was deferred is evaluated again: its last decision is final.
    let mut last = BTreeMap::new();
    for decision in observed.all_decisions() {
        let slot = last.entry(decision.candidate).or_insert(decision);
        let (new, old) = (decision.id, slot.id);
        let later = if new.position.partition == old.position.partition {
            (new.position, new.index) >= (old.position, old.index)
        } else {
            // A merge moved it: of one millisecond, what came of it is later than its deferral.
            (decision.at, slot.outcome == Outcome::Defer) > (slot.at, false)
        };
        if later {
            *slot = decision;
        }
        let refused =
            matches!(decision.outcome, Outcome::Suppress | Outcome::Defer | Outcome::Reroute);
        if refused && decision.reason.is_none() {
            found.push(Violation::new("EXP-1", format!("{} gives no reason", decision.id)));
        }
        if decision.outcome == Outcome::Defer && decision.until.is_none() {
            found.push(Violation::new("EXP-1", format!("{} defers without an end", decision.id)));
        }
    }
    // One that wakes after the story's end has not had its turn.
    let due = |decision: &&&Decision| decision.until.is_none_or(|until| until <= observed.end);
    let deferred = last.values().filter(|decision| decision.outcome == Outcome::Defer);
    for decision in deferred.filter(due) {
        found.push(Violation::new(
            "EXP-1",
            format!(
                "candidate {} was deferred by {} and never decided",
                decision.candidate, decision.id
            ),
        ));
    }
    // Every send step that a run moved to left a decision.
    let mut moved: BTreeMap<_, i64> = BTreeMap::new();
    for note in observed.all_notes() {
        if let NoteKind::Moved { journey, step, .. } = &note.kind
            && is_send(observed, journey, step)
        {
            *moved.entry((journey.clone(), step.clone())).or_default() += 1;
        }
    }
    let mut decided: BTreeMap<_, i64> = BTreeMap::new();
    for decision in last.values() {
        *decided.entry((decision.journey.clone(), decision.step.clone())).or_default() += 1;
    }
    for (place, count) in &moved {
        let candidates = decided.get(place).copied().unwrap_or(0);
        if candidates < *count {
            found.push(Violation::new(
                "EXP-1",
                format!(
                    "{count} runs came to {}/{} and {candidates} candidates were decided",
                    place.0, place.1
                ),
            ));
        }
    }
    found
}

fn is_send(observed: &Observed, journey: &str, step: &str) -> bool {
    observed.versions.values().any(|definitions| {
        definitions.journey(journey).is_some_and(|journey| {
            journey.find(step).is_some_and(|index| {
                matches!(journey.step(index).kind, sojourn_rules::StepKind::Send(_))
            })
        })
    })
}
