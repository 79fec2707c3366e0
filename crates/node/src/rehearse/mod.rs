//! `sojourn test`: scenarios that a marketer writes beside the journeys, run through [`simulate`].
//!
//! A file `tests/<name>.yaml` says what happens (`given`) and which decisions must come of it
//! (`expect`). [`read`] turns the files into scenarios, each a small `simulate` file; [`run`] runs
//! one and compares. Nothing here decides anything: the engine of a scenario is the engine.

mod compare;
mod given;
mod scenario;
mod time;

pub use compare::{FieldDifference, Row, RowKind};
pub use scenario::{Expected, Scenario, read};

use crate::simulate::{Simulation, Watch};
use anyhow::Result;
use serde::Serialize;
use sojourn_model::{Decision, Outcome, Reason};
use sojourn_rules::{Definitions, explain};
use std::path::Path;
use std::sync::Arc;

/// Scenarios of one workspace (LIM-1).
pub const SCENARIOS_MAX: usize = 10_000;
/// Touchpoints of one scenario.
pub const GIVEN_MAX: usize = 10_000;
/// Decisions of one scenario that are compared; more is a failure that says so.
pub const DECISIONS_MAX: usize = 2_000;

/// What came of one scenario.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    /// The scenario's name.
    pub scenario: String,
    /// File, relative to the workspace.
    pub file: String,
    /// Line of the scenario.
    pub line: u32,
    /// Whether everything came as expected.
    pub passed: bool,
    /// What stopped the run, or was not taken.
    pub problems: Vec<String>,
    /// Expected and actual decisions, side by side, in order of time.
    pub rows: Vec<Row>,
}

/// Runs one scenario.
pub fn run(scenario: &Scenario, definitions: &Arc<Definitions>, base: &Path) -> Verdict {
    let mut taken = Taken { definitions: Arc::clone(definitions), decisions: Vec::new(), all: 0 };
    let mut problems = Vec::new();
    let text = scenario.given.join("\n");
    let simulation = Simulation::of(Arc::clone(definitions), base);
    match simulation.run(&mut text.as_bytes(), Some(scenario.until), &mut taken) {
        Ok(summary) => {
            for (reason, count) in &summary.rejected {
                problems.push(format!("{count} of the lines under `given` refused: {reason}"));
            }
            for (limit, count) in &summary.limits {
                problems.push(format!("the limit {limit} was reached {count} times"));
            }
        }
        Err(error) => problems.push(format!("it cannot run: {error:#}")),
    }
    if taken.all > DECISIONS_MAX {
        problems.push(format!(
            "{} decisions; a scenario compares {DECISIONS_MAX}: make it shorter, or name a `journey`",
            taken.all
        ));
    }
    let got = taken.decisions.into_iter().filter(|one| scenario.is_about(&one.row)).collect();
    let rows = compare::rows(&scenario.expect, got);
    let passed = problems.is_empty() && rows.iter().all(|row| row.kind == RowKind::Same);
    Verdict {
        scenario: scenario.name.clone(),
        file: scenario.file.clone(),
        line: scenario.line,
        passed,
        problems,
        rows,
    }
}

/// A decision that came, as a line of `simulate` and in a sentence.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) row: serde_json::Value,
    pub(crate) why: String,
}

struct Taken {
    definitions: Arc<Definitions>,
    decisions: Vec<Got>,
    all: usize,
}

impl Watch for Taken {
    fn decision(&mut self, decision: &Decision) -> Result<()> {
        // Whether candidates were first collected is the engine's affair, as in conformance cases.
        if decision.outcome == Outcome::Defer && decision.reason == Some(Reason::Arbitration) {
            return Ok(());
        }
        self.all += 1;
        if self.all <= DECISIONS_MAX {
            self.decisions.push(Got {
                row: serde_json::from_str(&sojourn_engine::decision_line(decision))?,
                why: explain::marketer(decision, Some(&self.definitions)),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
