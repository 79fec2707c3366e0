//! Semantics 6: candidates that waited for each other are decided by rank, not in the order in which
//! they arose. The rank is read from the definitions: class, then priority.

use crate::observed::{Observed, Violation};
use sojourn_model::{Decision, Outcome, Reason};
use sojourn_rules::StepKind;
use std::collections::BTreeMap;

pub(super) fn check(observed: &Observed) -> Vec<Violation> {
    let mut found = Vec::new();
    for decisions in &observed.decisions {
        // Candidate to the end of the window in which it waits.
        let mut waiting = BTreeMap::new();
        // Person to the last one of a window that was decided, with its rank.
        let mut last: BTreeMap<_, (&Decision, (usize, i32))> = BTreeMap::new();
        for decision in decisions {
            let window = waiting.remove(&decision.candidate);
            if (decision.outcome, decision.reason) == (Outcome::Defer, Some(Reason::Arbitration)) {
                waiting.insert(decision.candidate, decision.until);
                continue;
            }
            if window != Some(Some(decision.at)) {
                continue;
            }
            let Some(rank) = rank(observed, decision) else { continue };
            if let Some((before, theirs)) = last.insert(decision.profile, (decision, rank))
                && before.at == decision.at
                && before.id.position == decision.id.position
                && theirs > rank
            {
                found.push(Violation::new(
                    "ARB",
                    format!("{} was decided before {}, which goes first", before.id, decision.id),
                ));
            }
        }
    }
    found
}

/// Place of the purpose, service first; greater priority first.
fn rank(observed: &Observed, decision: &Decision) -> Option<(usize, i32)> {
    let definitions = observed.versions.get(&decision.version)?;
    let journey = definitions.journey(&decision.journey)?;
    let StepKind::Send(send) = &journey.step(journey.find(&decision.step)?).kind else {
        return None;
    };
    let (class, _) = definitions.policy.purpose(&send.purpose)?;
    Some((class, -send.priority))
}
