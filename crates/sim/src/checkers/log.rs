//! LOG-1: acknowledged is in the log. LOG-2: applied once. DET-1: a replay gives the same. LIM-1:
//! nothing outgrows its named limit.

use crate::observed::{Observed, Violation};
use sojourn_model::NoteKind;
use std::collections::{BTreeMap, BTreeSet};

/// How long a message id is remembered, in milliseconds: 7 days.
const ID_HORIZON_MS: u64 = 7 * 86_400_000;

pub(super) fn check(observed: &Observed) -> Vec<Violation> {
    let mut found = Vec::new();
    let logged: BTreeSet<&str> = observed.logged.iter().map(String::as_str).collect();
    for (id, _) in &observed.acknowledged {
        if !logged.contains(id.as_str()) {
            found.push(Violation::new(
                "LOG-1",
                format!("{id} was acknowledged and is not in the log"),
            ));
        }
    }
    // Beyond the horizon of ids a copy counts anew (semantics 2).
    let mut delivered = BTreeMap::new();
    for (message, at) in &observed.delivered {
        let before = delivered.insert(message, *at);
        if before.is_some_and(|before| at.0.abs_diff(before.0) <= ID_HORIZON_MS) {
            found.push(Violation::new("LOG-2", format!("message {message:?} counts twice")));
        }
    }
    let mut copies = BTreeMap::new();
    for decision in &observed.decisions_raw {
        if let Some(first) = copies.insert(decision.id, decision)
            && first != decision
        {
            found.push(Violation::new(
                "DET-1",
                format!("a replay decided {} otherwise:\n  {first:?}\n  {decision:?}", decision.id),
            ));
        }
    }
    for (partition, (seen, again)) in observed.decisions.iter().zip(&observed.replayed).enumerate()
    {
        if let Some((a, b)) = seen.iter().zip(again).find(|(a, b)| a != b) {
            found.push(Violation::new(
                "LOG-2",
                format!("partition {partition}: published {a:?}\n  but a clean replay gives {b:?}"),
            ));
        } else if seen.len() != again.len() {
            found.push(Violation::new(
                "LOG-2",
                format!(
                    "partition {partition}: {} decisions published, a clean replay gives {}",
                    seen.len(),
                    again.len()
                ),
            ));
        }
    }
    for (partition, (seen, again)) in
        observed.notes.iter().zip(&observed.replayed_notes).enumerate()
    {
        let ends = seen.last().zip(again.last());
        let differing = seen.iter().zip(again).find(|(a, b)| a != b);
        if let Some((a, b)) = differing.or(ends.filter(|_| seen.len() != again.len())) {
            let what =
                format!("partition {partition}: noted {a:?}\n  but a clean replay notes {b:?}");
            found.push(Violation::new("LOG-2", what));
        }
    }
    for (partition, (state, replayed)) in observed.states.iter().enumerate() {
        let keys: BTreeSet<_> = state.keys().chain(replayed.keys()).collect();
        let differing: Vec<_> =
            keys.into_iter().filter(|key| state.get(*key) != replayed.get(*key)).collect();
        if !differing.is_empty() {
            found.push(Violation::new(
                "DET-1",
                format!("partition {partition}: its state differs from a clean replay's in {differing:?}"),
            ));
        }
    }
    // A chain of events that never rests stops at its limit, and says so.
    let mut stopped = BTreeSet::new();
    let mut chains = BTreeSet::new();
    for note in observed.all_notes() {
        match &note.kind {
            NoteKind::Entered { journey, .. } if &**journey == "echo" => {
                chains.insert((note.position, note.profile));
            }
            NoteKind::Limit { .. } => {
                stopped.insert((note.position, note.profile));
            }
            _ => {}
        }
    }
    for (position, profile) in chains.difference(&stopped) {
        found.push(Violation::new(
            "LIM-1",
            format!("the chain of {profile} at {position:?} was cut without a note"),
        ));
    }
    for (what, length, limit) in &observed.lengths {
        if length > limit {
            found.push(Violation::new(
                "LIM-1",
                format!("{what} grew to {length}, over its limit of {limit}"),
            ));
        }
    }
    found
}
