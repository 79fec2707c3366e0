//! Journeys that enter each other in a circle would never let a person go.

use crate::finding::{Findings, Source};
use crate::load::EnterStep;
use sojourn_model::Name;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Reports every step `enter` that leads back to its own journey, with the way round.
pub(crate) fn enter_circles(findings: &Findings, steps: &[EnterStep]) {
    let mut leads: BTreeMap<&Name, BTreeSet<&Name>> = BTreeMap::new();
    for step in steps {
        leads.entry(&step.from).or_default().insert(&step.to);
    }
    for step in steps {
        let Some(way) = way(&leads, &step.to, &step.from) else { continue };
        let round: Vec<&str> =
            std::iter::once(&step.from).chain(way).map(|journey| &**journey).collect();
        Source { file: &step.file, findings }.error(
            "enter-circle",
            step.place,
            format!("journeys enter each other in a circle: {}", round.join(" → ")),
            "remove one of the steps `enter`, or let a person come back by an event",
        );
    }
}

/// The shortest way from one journey to another, both included.
fn way<'a>(
    leads: &BTreeMap<&'a Name, BTreeSet<&'a Name>>,
    from: &'a Name,
    to: &'a Name,
) -> Option<Vec<&'a Name>> {
    let mut before: BTreeMap<&Name, &Name> = BTreeMap::new();
    let mut seen = BTreeSet::from([from]);
    let mut next = VecDeque::from([from]);
    while let Some(journey) = next.pop_front() {
        if journey == to {
            let mut way = vec![journey];
            while let Some(earlier) = before.get(way[way.len() - 1]) {
                way.push(*earlier);
            }
            way.reverse();
            return Some(way);
        }
        for target in leads.get(journey).into_iter().flatten() {
            if seen.insert(*target) {
                before.insert(*target, journey);
                next.push_back(*target);
            }
        }
    }
    None
}
