//! TIM-1: what was to happen at an instant happens at that instant, once. Liveness: after the faults
//! stopped, nothing that was due is left.

use crate::observed::{Observed, Violation};
use sojourn_model::{NoteKind, Outcome};
use std::collections::BTreeMap;

pub(super) fn check(observed: &Observed) -> Vec<Violation> {
    let mut found = Vec::new();
    for (partition, (armed, now)) in observed.armed.iter().enumerate() {
        if let Some(due) = armed
            && due < now
        {
            found.push(Violation::new("LIVENESS", format!("partition {partition}: a timer of {due:?} is armed at {now:?}")));
        }
    }
    for action in &observed.unfinished {
        found.push(Violation::new("LIVENESS", format!("{action} has no outcome")));
    }
    // A deferred candidate is evaluated again exactly at its `until`, or ends before it.
    let mut decisions: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for decision in observed.all_decisions() {
        decisions.entry(decision.candidate).or_default().push(decision);
    }
    for (candidate, mut list) in decisions {
        list.sort_by_key(|decision| decision.at);
        for pair in list.windows(2) {
            let (first, second) = (pair[0], pair[1]);
            if first.outcome != Outcome::Defer {
                found.push(Violation::new("TIM-1", format!("{candidate} was decided again after {}", first.id)));
            } else if first.until.is_some_and(|until| second.at < until)
                && !matches!(second.reason, Some(reason) if ENDINGS.contains(&reason.as_str()))
            {
                found.push(Violation::new("TIM-1", format!("{candidate} was to wake at {:?} and was evaluated at {:?}", first.until, second.at)));
            } else if first.until.is_some_and(|until| second.at > until) {
                found.push(Violation::new("TIM-1", format!("{candidate} was to wake at {:?} and woke at {:?}", first.until, second.at)));
            }
        }
    }
    // A run that waits until an instant moves on or ends exactly then, unless something ends the
    // wait before.
    let mut waiting: BTreeMap<_, _> = BTreeMap::new();
    for notes in &observed.notes {
        for note in notes {
            let (journey, key) = match &note.kind {
                NoteKind::Moved { journey, run_key, .. } | NoteKind::Ended { journey, run_key, .. } => {
                    (journey.clone(), run_key.clone())
                }
                _ => continue,
            };
            let run = (note.profile, journey, key);
            if let Some(until) = waiting.remove(&run)
                && note.at > until
            {
                found.push(Violation::new("TIM-1", format!("{run:?} was to go on at {until:?} and went on at {:?}", note.at)));
            }
            if let NoteKind::Moved { until: Some(until), .. } = &note.kind {
                waiting.insert(run, *until);
            }
        }
    }
    found
}

/// Reasons with which something else than its timer ends a deferral.
const ENDINGS: [&str; 6] = ["exited", "goal_met", "merged", "killed", "paused", "erased"];
