//! TIM-1: what was to happen at an instant happens at that instant, once. Liveness: after the faults
//! stopped, nothing that was due is left.

use crate::observed::{Applied, Observed, Violation};
use sojourn_model::{Decision, DurationMs, NoteKind, Outcome, ProfileId, Timestamp};
use sojourn_rules::{Definitions, Reentry, StepKind, Wait, WaitWhat};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(super) fn check(observed: &Observed) -> Vec<Violation> {
    let mut found = Vec::new();
    for (partition, (armed, now)) in observed.armed.iter().enumerate() {
        if let Some(due) = armed
            && due < now
        {
            found.push(Violation::new(
                "LIVENESS",
                format!("partition {partition}: a timer of {due:?} is armed at {now:?}"),
            ));
        }
    }
    for action in &observed.unfinished {
        found.push(Violation::new("LIVENESS", format!("{action} has no outcome")));
    }
    deferrals(observed, &mut found);
    waits(observed, &mut found);
    exits(observed, &mut found);
    found
}

/// A deferred candidate is evaluated again exactly at its `until`, or ends before it.
fn deferrals(observed: &Observed, found: &mut Vec<Violation>) {
    let mut decisions: BTreeMap<_, Vec<&Decision>> = BTreeMap::new();
    for decision in observed.all_decisions() {
        decisions.entry(decision.candidate).or_default().push(decision);
    }
    for (candidate, mut list) in decisions {
        list.sort_by_key(|decision| decision.at);
        let arose = list[0].at;
        for pair in list.windows(2) {
            let (first, second) = (pair[0], pair[1]);
            if first.outcome != Outcome::Defer {
                let what = format!("{candidate} was decided again after {}", first.id);
                found.push(Violation::new("TIM-1", what));
                continue;
            }
            let Some(until) = first.until else { continue };
            // It wakes at its expiry at the latest, and at that instant it is expired.
            let expiry = expires(observed, first).map(|span| arose.plus(span));
            let wake = expiry.map_or(until, |expiry| expiry.min(until));
            // A pause holds a run before its step: its message is older than its first decision.
            let held =
                &*second.journey == "cart"
                    && observed.applied.iter().flatten().any(|(_, at, applied)| {
                        matches!(applied, Applied::Pause) && *at <= second.at
                    });
            let ended =
                held || second.reason.is_some_and(|reason| ENDINGS.contains(&reason.as_str()));
            if second.at > wake || (second.at < wake && !ended) {
                let what = format!(
                    "{candidate} was to wake at {wake:?} and was evaluated at {:?}",
                    second.at
                );
                found.push(Violation::new("TIM-1", what));
            }
        }
    }
}

/// After how long the message of a decision expires.
fn expires(observed: &Observed, decision: &Decision) -> Option<DurationMs> {
    let journey = observed.versions.get(&decision.version)?.journey(&decision.journey)?;
    match &journey.step(journey.find(&decision.step)?).kind {
        StepKind::Send(send) => send.expires,
        _ => None,
    }
}

/// Reasons with which something else than its timer ends a deferral.
const ENDINGS: [&str; 6] = ["exited", "goal_met", "merged", "killed", "paused", "erased"];

/// A run that waits until an instant goes on exactly then, unless something ends the wait before.
fn waits(observed: &Observed, found: &mut Vec<Violation>) {
    let gone: BTreeSet<ProfileId> = merges(observed).map(|(_, from, _)| from).collect();
    for (partition, notes) in observed.notes.iter().enumerate() {
        let paused = |by: Timestamp| {
            observed.applied[partition]
                .iter()
                .any(|(_, at, applied)| matches!(applied, Applied::Pause) && *at <= by)
        };
        let mut waiting: BTreeMap<_, (Timestamp, bool)> = BTreeMap::new();
        for note in notes {
            let (journey, key) = match &note.kind {
                NoteKind::Moved { journey, run_key, .. }
                | NoteKind::Migrated { journey, run_key, .. }
                | NoteKind::Ended { journey, run_key, .. } => (journey.clone(), run_key.clone()),
                _ => continue,
            };
            if side_by_side(observed, &journey) {
                continue;
            }
            let run = (note.profile, journey.clone(), key);
            if let Some((until, restarts)) = waiting.remove(&run)
                && note.at > until
                && !restarts
                && !paused(note.at)
            {
                found.push(Violation::new(
                    "TIM-1",
                    format!("{run:?} was to go on at {until:?} and went on at {:?}", note.at),
                ));
            }
            let (step, until, begins) = match &note.kind {
                NoteKind::Moved { step, until, .. } => (step, until, true),
                // It waits on, from when it began.
                NoteKind::Migrated { step, until, .. } => (step, until, false),
                _ => continue,
            };
            let elapsed = elapsed(observed, &journey, step);
            let ends = |(duration, _): &(DurationMs, bool)| *until == Some(note.at.plus(*duration));
            if begins && !elapsed.is_empty() && !elapsed.iter().any(ends) {
                found.push(Violation::new(
                    "TIM-1",
                    format!("{run:?} waits {elapsed:?} from {:?}, until {until:?}", note.at),
                ));
            }
            // A deferral may be prolonged; its decisions tell. A condition is looked at when time
            // empties a window in it, and may go on waiting.
            if let Some(until) = until
                && !is_any(observed, &journey, step, prolongs)
            {
                let restarts = elapsed.iter().any(|(_, restarts)| *restarts);
                waiting.insert(run, (*until, restarts));
            }
        }
        for (run, (until, _)) in waiting {
            if until < observed.end && !gone.contains(&run.0) {
                found.push(Violation::new("LIVENESS", format!("{run:?} waits since {until:?}")));
            }
        }
    }
}

/// Whether runs of a journey may live side by side under one key: notes do not tell them apart.
fn side_by_side(observed: &Observed, journey: &str) -> bool {
    observed
        .versions
        .values()
        .filter_map(|definitions| definitions.journey(journey))
        .any(|journey| journey.entry.reentry == Reentry::Always && journey.entry.key.is_none())
}

/// Whether what a run waits for at a step may be put off.
fn prolongs(kind: &StepKind) -> bool {
    match kind {
        StepKind::Send(_) => true,
        StepKind::WaitFor(wait) => matches!(wait.what, WaitWhat::Condition(_)),
        _ => false,
    }
}

/// Whether a step is such a one in any of the versions: one without an id of its own has another
/// place, and so another id, where the journey was edited.
fn is_any(observed: &Observed, journey: &str, step: &str, such: fn(&StepKind) -> bool) -> bool {
    observed
        .versions
        .values()
        .filter_map(|definitions| definitions.journey(journey))
        .any(|journey| journey.find(step).is_some_and(|index| such(&journey.step(index).kind)))
}

/// Length of a wait for time to pass, and whether events begin it anew: in each version.
fn elapsed(observed: &Observed, journey: &str, step: &str) -> Vec<(DurationMs, bool)> {
    let of = |definitions: &Arc<Definitions>| {
        let journey = definitions.journey(journey)?;
        match &journey.step(journey.find(step)?).kind {
            StepKind::Wait(Wait::Elapsed { duration, restart_on }) => {
                Some((*duration, !restart_on.is_empty()))
            }
            _ => None,
        }
    };
    observed.versions.values().filter_map(of).collect()
}

pub(super) fn merges(observed: &Observed) -> impl Iterator<Item = (u64, ProfileId, ProfileId)> {
    observed.applied.iter().flatten().filter_map(|(offset, _, applied)| match applied {
        Applied::Merge(_, from, into) | Applied::Absorb(_, into, from) => {
            Some((*offset, *from, *into))
        }
        _ => None,
    })
}

/// A run ends at once when its exit happens, also in the middle of a wait (semantics 7).
fn exits(observed: &Observed, found: &mut Vec<Violation>) {
    // What merges do to runs is another matter: people without one are enough to tell.
    let merged: BTreeSet<ProfileId> =
        merges(observed).flat_map(|(_, from, into)| [from, into]).collect();
    for (records, notes) in observed.applied.iter().zip(&observed.notes) {
        let mut spans: BTreeMap<_, (u64, Option<u64>)> = BTreeMap::new();
        let mut done = Vec::new();
        for note in notes {
            let offset = note.position.offset;
            match &note.kind {
                NoteKind::Entered { journey, run_key, .. } if &**journey == "cart" => {
                    spans.insert((note.profile, run_key.clone()), (offset, None));
                }
                NoteKind::Ended { journey, run_key, .. } if &**journey == "cart" => {
                    let run = (note.profile, run_key.clone());
                    if let Some((entered, _)) = spans.remove(&run) {
                        done.push((run, (entered, Some(offset))));
                    }
                }
                _ => {}
            }
        }
        done.extend(spans);
        for (offset, _, applied) in records {
            let Applied::Touchpoint(profile, touchpoint) = applied else { continue };
            // An event without a time of its own is later than everything before it.
            let exit = matches!(&*touchpoint.event, "Order Completed" | "Store Order Completed")
                && touchpoint.occurred_at.is_none()
                && !merged.contains(profile);
            if !exit {
                continue;
            }
            for ((person, key), (entered, ended)) in &done {
                if person == profile
                    && entered < offset
                    && ended.is_none_or(|ended| ended > *offset)
                {
                    found.push(Violation::new(
                        "TIM-1",
                        format!("{person}: the run of {key:?} went on after its exit at {offset}"),
                    ));
                }
            }
        }
    }
}
