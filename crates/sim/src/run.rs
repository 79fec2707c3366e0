//! One seed: steps, then heal, then the checkers; and many seeds on several threads.

use crate::checkers;
use crate::observed::{Observed, Violation};
use crate::sightings::{self, Sightings};
use crate::story::rfc3339;
use crate::world::World;
use anyhow::Result;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Steps of a run before the faults stop.
pub const STEPS: usize = 1_500;

/// What came of one seed.
#[derive(Debug, Default)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// What did not hold.
    pub violations: Vec<Violation>,
    /// Rare events, counted.
    pub sightings: Sightings,
    /// What happened, line by line, when asked for.
    pub trace: Vec<String>,
}

/// Runs one seed.
pub fn run(seed: u64, tracing: bool, steps: usize) -> Report {
    let mut report = Report { seed, ..Report::default() };
    let outcome =
        std::panic::catch_unwind(AssertUnwindSafe(|| drive(seed, tracing, steps, &mut report)));
    let broken = match outcome {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("{error:#}")),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            Some(
                text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).map_or_else(
                    || "a panic without words".to_owned(),
                    |text| format!("panicked: {text}"),
                ),
            )
        }
    };
    report.violations.extend(broken.map(|what| Violation::new("RUN", what)));
    report
}

fn drive(seed: u64, tracing: bool, steps: usize, report: &mut Report) -> Result<()> {
    let mut world = World::new(seed, tracing)?;
    let mut outcome = Ok(());
    for _ in 0..steps {
        outcome = world.step();
        if outcome.is_err() {
            break;
        }
    }
    let outcome = outcome.and_then(|()| world.heal());
    report.trace.append(&mut world.trace);
    report.sightings = std::mem::take(&mut world.sightings);
    outcome?;
    let observed = world.observe()?;
    sightings::count(&observed, &mut report.sightings);
    report.violations = checkers::check(&observed);
    if tracing {
        report.trace.extend(lines(&observed));
    }
    Ok(())
}

/// What was left, in the order of time: decisions, notes, calls.
fn lines(observed: &Observed) -> Vec<String> {
    let mut lines = Vec::new();
    for (partition, records) in observed.applied.iter().enumerate() {
        for (offset, at, applied) in records {
            lines.push((*at, format!("profiles {partition}/{offset} {applied:?}")));
        }
    }
    for decision in observed.all_decisions() {
        lines.push((decision.at, format!("decision {decision:?}")));
    }
    for note in observed.all_notes() {
        lines.push((note.at, format!("note {note:?}")));
    }
    for call in &observed.calls {
        let text = format!(
            "call {} attempt {} effective {} #{}",
            call.action.id, call.attempt, call.effective, call.order
        );
        lines.push((call.at, text));
    }
    for revocation in &observed.revocations {
        lines.push((revocation.at, format!("acknowledged {revocation:?}")));
    }
    lines.sort_by_key(|(at, _)| *at);
    lines.into_iter().map(|(at, text)| format!("{}  {text}", rfc3339(at))).collect()
}

/// Runs `seeds` (from 1) on `threads` threads; `tell` hears of each as it ends.
pub fn many(seeds: u64, threads: usize, tell: impl Fn(&Report) + Sync) -> (u64, Sightings) {
    let next = AtomicU64::new(1);
    let total = Mutex::new((0, Sightings::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > seeds {
                        break;
                    }
                    let report = run(seed, false, STEPS);
                    let mut total = total.lock().expect("the others tell only");
                    total.0 += u64::from(!report.violations.is_empty());
                    for (what, times) in &report.sightings {
                        *total.1.entry(what.clone()).or_default() += times;
                    }
                    tell(&report);
                }
            });
        }
    });
    total.into_inner().expect("the others tell only")
}

/// The first line in which two runs of one seed differ: there must be none.
pub fn difference(seed: u64) -> Option<(String, String)> {
    let (a, b) = (run(seed, true, STEPS).trace, run(seed, true, STEPS).trace);
    let end = || "the end".to_owned();
    let differing = a.iter().zip(&b).find(|(a, b)| a != b).map(|(a, b)| (a.clone(), b.clone()));
    differing.or_else(|| {
        let shorter = a.len().min(b.len());
        (a.len() != b.len()).then(|| {
            let line = |trace: &[String]| trace.get(shorter).cloned().unwrap_or_else(end);
            (line(&a), line(&b))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_runs_hold_and_are_the_same_twice() {
        // The third has several owners of a partition and appends that arrive in part.
        for seed in 1..=3 {
            let (a, b) = (run(seed, true, 300), run(seed, true, 300));
            assert!(a.violations.is_empty(), "seed {seed}: {:?}", a.violations);
            assert!(a.trace == b.trace && a.trace.len() > 100, "seed {seed} differs from itself");
        }
    }
}
