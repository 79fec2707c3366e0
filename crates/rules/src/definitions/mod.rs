//! Compiled definitions: what the engine, the dispatcher and the gateway run on.

mod call;
mod fatigue;
mod hours;
mod journey;
mod jurisdiction;
mod plan;
mod policy;
mod schedule;
mod template;
mod visit;
mod workspace;

pub use call::*;
pub use fatigue::*;
pub use hours::*;
pub use journey::*;
pub use jurisdiction::*;
pub use plan::*;
pub use policy::*;
pub use schedule::*;
pub use template::*;
pub use workspace::*;

use crate::{Expr, Finding};
use sojourn_model::{Name, VersionId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A path of member names: `a.b` is `["a", "b"]`.
pub type Path = Arc<[Name]>;

/// A condition with its text, for decision records and explanations.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// As written.
    pub text: Name,
    /// Lowered.
    pub expr: Expr,
    /// Whether it reads the clock through a window (a condition that time alone can change).
    pub windowed: bool,
}

/// One version of everything, ready to run. Immutable and shared.
#[derive(Debug)]
pub struct Definitions {
    /// Name of this version.
    pub version: VersionId,
    /// sojourn.yaml
    pub workspace: Workspace,
    /// tracking-plan.yaml
    pub plan: TrackingPlan,
    /// policy.yaml
    pub policy: Policy,
    /// Segments by name.
    pub segments: BTreeMap<Name, Segment>,
    /// Journeys in order of (priority greater first, name): the order of new entries.
    pub journeys: Vec<Arc<Journey>>,
    /// Templates by name.
    pub templates: BTreeMap<Name, Template>,
    /// Journeys (indices into `journeys`) that an event name concerns as entry, exit or goal.
    pub by_event: BTreeMap<Name, EventInterest>,
    /// What the history must keep, per event name: everything that a history function, or the
    /// `exit_on` and `goal` of a journey (for the check at a late entry), may look at.
    pub tracked: BTreeMap<Name, Tracked>,
}

/// Journeys that an event concerns.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventInterest {
    /// Journeys with an entry on it, in order of `Definitions::journeys`.
    pub entries: Vec<u16>,
    /// Journeys with an `exit_on` or a `goal` on it.
    pub ends: Vec<u16>,
}

/// Events that show that a person looked at a message, or did what it asked: what `best_time` learns
/// from.
pub const ENGAGEMENT_EVENTS: [&str; 3] = [
    sojourn_model::event_names::EMAIL_OPENED,
    sojourn_model::event_names::EMAIL_LINK_CLICKED,
    "Push Opened",
];
/// How far back `best_time` looks.
pub const ENGAGEMENT_HORIZON: sojourn_model::DurationMs = sojourn_model::DurationMs::days(90);

/// What history keeps of an event.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tracked {
    /// Properties (below `event.properties`) whose values are kept.
    pub properties: Vec<Path>,
    /// How far back anything looks; `None`: for ever.
    pub horizon: Option<sojourn_model::DurationMs>,
}

/// A segment.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// Name.
    pub name: Name,
    /// Who is in it.
    pub when: Condition,
    /// Purpose it may be used for; `None`: any.
    pub purpose: Option<Name>,
}

impl Definitions {
    /// The journey named `name`.
    pub fn journey(&self, name: &str) -> Option<&Arc<Journey>> {
        self.journeys.iter().find(|journey| &*journey.name == name)
    }
}

/// Result of compiling a workspace: definitions when there is no error, and every finding.
#[derive(Debug)]
pub struct Compiled {
    /// Ready to run, unless a finding is an error.
    pub definitions: Option<Arc<Definitions>>,
    /// Findings in order of file and line.
    pub findings: Vec<Finding>,
    /// What `lint:` in policy.yaml changed of them, with the reasons.
    pub levels: Vec<AppliedLevel>,
}
