//! Journeys that set each other off: by an emitted event, a changed attribute or a step `enter`.

use crate::definitions::{Journey, Reentry, StepKind, Trigger};
use crate::expr::Expr;
use crate::finding::{Findings, Source};
use crate::yaml::Place;
use sojourn_model::Name;
use std::sync::Arc;

/// Reports every circle of journeys once, at its first file in order. `file_of` names each journey's.
///
/// A circle of steps `enter` alone is left to `enter-circle`, which names the steps.
pub(crate) fn loops(
    findings: &Findings,
    journeys: &[Arc<Journey>],
    file_of: &dyn Fn(&Name) -> Option<String>,
) {
    let leads: Vec<Vec<Lead>> = journeys.iter().map(|from| starts(from, journeys)).collect();
    let mut reported = vec![false; journeys.len()];
    for start in 0..journeys.len() {
        if reported[start] {
            continue;
        }
        let Some(circle) = circle(start, &leads) else { continue };
        circle.iter().for_each(|&at| reported[at] = true);
        let names: Vec<&str> =
            circle.iter().chain(circle.first()).map(|&at| &*journeys[at].name).collect();
        let file = file_of(&journeys[start].name).unwrap_or_default();
        Source { file: &file, findings }.warning(
            "journey-loop",
            Place::START,
            format!("these journeys set each other off without end: {}", names.join(" → ")),
            "let one of them enter with `reentry: never` or an `at_most`, or emit another event",
        );
    }
}

/// A way from one journey into another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lead {
    /// Place of the journey that is begun.
    to: usize,
    /// Whether only steps `enter` lead there.
    enters: bool,
}

/// Journeys that a run of `from` starts. One that limits how often a person enters ends a circle.
fn starts(from: &Journey, journeys: &[Arc<Journey>]) -> Vec<Lead> {
    let limited = |to: &Journey| {
        matches!(to.entry.reentry, Reentry::Never | Reentry::After(_)) || to.entry.at_most.is_some()
    };
    let emits = |to: &Journey| {
        from.steps.iter().any(|step| match (&step.kind, &to.entry.trigger) {
            (StepKind::Emit { event, .. }, Trigger::Event(rule)) => rule.on.contains(event),
            // A literal is a change only once.
            (StepKind::Update(sets), Trigger::Attribute { name, .. }) => {
                let moving = |expr: &Expr| !matches!(expr, Expr::Literal(_));
                sets.iter().any(|(set, value)| set == name && moving(&value.expr))
            }
            _ => false,
        })
    };
    let enters = |to: &Journey| {
        let names = |kind: &StepKind| matches!(kind, StepKind::Enter { journey, .. } if *journey == to.name);
        from.steps.iter().any(|step| names(&step.kind))
    };
    let open = journeys.iter().enumerate().filter(|(_, to)| !limited(to));
    let lead = |(place, to): (usize, &Arc<Journey>)| match (emits(to), enters(to)) {
        (false, false) => None,
        (other, _) => Some(Lead { to: place, enters: !other }),
    };
    open.filter_map(lead).collect()
}

/// The shortest way from `start` back to itself that is not made of steps `enter` alone.
///
/// A journey is looked at twice: as reached by `enter` alone, and as reached in another way.
fn circle(start: usize, leads: &[Vec<Lead>]) -> Option<Vec<usize>> {
    let mut came: Vec<[Option<(usize, bool)>; 2]> = vec![[None; 2]; leads.len()];
    let mut queue = std::collections::VecDeque::from([(start, false)]);
    while let Some((at, other)) = queue.pop_front() {
        for lead in &leads[at] {
            let now = other || !lead.enters;
            if lead.to == start && now {
                let mut way = vec![at];
                let mut back = (at, other);
                while back != (start, false) {
                    back = came[back.0][usize::from(back.1)]?;
                    way.push(back.0);
                }
                way.reverse();
                return Some(way);
            }
            let seen = &mut came[lead.to][usize::from(now)];
            if seen.is_none() && lead.to != start {
                *seen = Some((at, other));
                queue.push_back((lead.to, now));
            }
        }
    }
    None
}
