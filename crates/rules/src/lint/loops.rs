//! Journeys that set each other off: by an emitted event or a changed attribute.

use crate::definitions::{Journey, Reentry, StepKind, Trigger};
use crate::expr::Expr;
use crate::finding::{Findings, Source};
use crate::yaml::Place;
use sojourn_model::Name;
use std::sync::Arc;

/// Reports every circle of journeys once, at its first file in order. `files` names each journey's.
pub(crate) fn loops(
    findings: &Findings,
    journeys: &[Arc<Journey>],
    file_of: &dyn Fn(&Name) -> Option<String>,
) {
    let leads: Vec<Vec<usize>> = journeys.iter().map(|from| starts(from, journeys)).collect();
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

/// Journeys that a run of `from` starts. One that limits how often a person enters ends a circle.
fn starts(from: &Journey, journeys: &[Arc<Journey>]) -> Vec<usize> {
    let limited = |to: &Journey| {
        matches!(to.entry.reentry, Reentry::Never | Reentry::After(_)) || to.entry.at_most.is_some()
    };
    let starts = |to: &Journey| {
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
    let found = journeys.iter().enumerate().filter(|(_, to)| !limited(to) && starts(to));
    found.map(|(place, _)| place).collect()
}

/// The shortest way from `start` back to itself.
fn circle(start: usize, leads: &[Vec<usize>]) -> Option<Vec<usize>> {
    let mut came: Vec<Option<usize>> = vec![None; leads.len()];
    let mut queue = std::collections::VecDeque::from([start]);
    while let Some(at) = queue.pop_front() {
        for &to in &leads[at] {
            if to == start {
                let mut way = vec![at];
                let mut back = at;
                while back != start {
                    back = came[back]?;
                    way.push(back);
                }
                way.reverse();
                return Some(way);
            }
            if came[to].is_none() {
                came[to] = Some(at);
                queue.push_back(to);
            }
        }
    }
    None
}
