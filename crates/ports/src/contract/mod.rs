//! One suite of cases per port, run against every implementation from its own tests.
//!
//! An implementation gives a factory that opens it and does to it what the world does: crash, full
//! disk, unknown outcomes. A case that the implementation cannot be brought into is skipped by a
//! capability and named in the [`Report`], so that its tests can pin down what is skipped.

mod gate;
mod graph;
#[expect(clippy::disallowed_methods, reason = "the cases measure how long a wait takes")]
mod log;
mod snapshot;
mod state;

pub use gate::check_gate;
pub use graph::{GraphCapabilities, GraphFactory, check_graph};
pub use log::{LogCapabilities, LogFactory, check_log, layout};
pub use snapshot::{SnapshotHouse, check_snapshots};
pub use state::{StateCapabilities, StateFactory, check_state};

/// What a suite did. A case that fails panics with its name in the backtrace.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Cases that ran.
    pub ran: Vec<&'static str>,
    /// Cases that the implementation cannot be brought into.
    pub skipped: Vec<&'static str>,
}

/// A case: its name, whether the implementation can be brought into it, and what it does.
type Case<F, C> = (&'static str, fn(&C) -> bool, fn(&mut F));

/// Runs each case on a factory of its own.
fn run<F, C>(cases: &[Case<F, C>], capabilities: &C, make: &mut dyn FnMut() -> F) -> Report {
    let mut report = Report::default();
    for (name, can, case) in cases {
        if can(capabilities) {
            case(&mut make());
            report.ran.push(name);
        } else {
            report.skipped.push(name);
        }
    }
    report
}
