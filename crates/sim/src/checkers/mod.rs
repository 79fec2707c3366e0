//! One checker per invariant. Each works from what was observed and an own, simple model; none asks
//! the engine whether the engine is right.

mod actions;
mod arbitration;
mod calls;
mod caps;
mod consent;
mod explained;
mod identity;
mod log;
mod quiet;
mod runs;
mod segments;
mod splits;
mod timers;

use crate::observed::{Observed, Violation};

/// A checker and the invariants it watches.
pub struct Checker {
    /// Ids, as in architecture.md.
    pub ids: &'static [&'static str],
    /// Looks for violations.
    pub check: fn(&Observed) -> Vec<Violation>,
}

/// Every checker.
pub const ALL: [Checker; 13] = [
    Checker { ids: &["LOG-1", "LOG-2", "DET-1", "LIM-1"], check: log::check },
    Checker { ids: &["IDN-1"], check: identity::check },
    Checker { ids: &["CON-1", "CON-3"], check: consent::check },
    Checker { ids: &["CON-2", "ACT-1"], check: actions::check },
    Checker { ids: &["ACT-1", "EXP-1"], check: calls::check },
    Checker { ids: &["CAP-1"], check: caps::check },
    Checker { ids: &["TIM-1", "LIVENESS"], check: timers::check },
    Checker { ids: &["QUI-1"], check: quiet::check },
    Checker { ids: &["TIM-1", "ACT-1"], check: runs::check },
    Checker { ids: &["EXP-1"], check: explained::check },
    Checker { ids: &["TIM-1"], check: segments::check },
    Checker { ids: &["SPLIT"], check: splits::check },
    Checker { ids: &["ARB"], check: arbitration::check },
];

/// Everything that does not hold.
pub fn check(observed: &Observed) -> Vec<Violation> {
    ALL.iter().flat_map(|checker| (checker.check)(observed)).collect()
}
