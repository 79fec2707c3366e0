//! What a journey costs: messages that one entry may bring about.

use crate::definitions::{Journey, StepIndex, StepKind};

/// Messages per entry, at most: where people are told apart by what they do or are, the dearest way
/// counts; the arms of a split count by their shares. Caps, consent and exits only lower it.
pub fn sends_per_entry(journey: &Journey) -> f64 {
    // From the last step to the first: every way leads forwards.
    let mut costs = vec![0.0f64; journey.steps.len()];
    for place in (0..journey.steps.len()).rev() {
        let step = &journey.steps[place];
        let cost = |at: Option<StepIndex>| at.map_or(0.0, |at| costs[usize::from(at.0)]);
        let next = cost(step.next);
        let block = |first: Option<StepIndex>| first.map_or(next, |first| cost(Some(first)));
        costs[place] = match &step.kind {
            StepKind::Send(_) => 1.0 + next,
            StepKind::Branch(arms) => {
                let open = arms.iter().all(|arm| arm.when.is_some());
                let dearest = arms.iter().map(|arm| block(arm.first)).fold(0.0, f64::max);
                if open { dearest.max(next) } else { dearest }
            }
            StepKind::Split { arms, .. } => {
                let shares: f64 = arms.iter().map(|arm| arm.percent / 100.0).sum();
                let inside: f64 =
                    arms.iter().map(|arm| arm.percent / 100.0 * block(arm.first)).sum();
                inside + (1.0 - shares).max(0.0) * next
            }
            StepKind::WaitFor(wait) => block(wait.then).max(block(wait.otherwise)),
            StepKind::Exit(_) => 0.0,
            _ => next,
        };
    }
    journey.first.map_or(0.0, |first| costs[usize::from(first.0)])
}
