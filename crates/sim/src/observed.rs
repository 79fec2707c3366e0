//! What a run left behind: everything the checkers look at, read from the log and the provider.

use sojourn_engine::OwnedTouchpoint;
use sojourn_model::{
    Action, ActionId, Decision, Identifier, KillTarget, MergeId, Name, Note, ProfileId, Timestamp,
    VersionId,
};
use sojourn_rules::Definitions;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A record of the `profiles` log that a checker cares about.
#[derive(Debug, Clone)]
pub enum Applied {
    /// A touchpoint of a person.
    Touchpoint(ProfileId, Box<OwnedTouchpoint>),
    /// `from` was handed over to `into`.
    Merge(MergeId, ProfileId, ProfileId),
    /// `into` took `from`'s state.
    Absorb(MergeId, ProfileId, ProfileId),
    /// A journey was paused.
    Pause,
    /// A version holds from here on; before the first one nothing is kept of what happens.
    Publish,
    /// Anything else.
    Other,
}

/// A call that the provider saw.
#[derive(Debug, Clone)]
pub struct Call {
    /// Place among calls and acknowledged revocations.
    pub order: u64,
    /// Virtual time at which it began.
    pub at: Timestamp,
    /// The action.
    pub action: Action,
    /// Attempt, from 1.
    pub attempt: u32,
    /// Whether the provider took it.
    pub effective: bool,
}

/// A revocation that was acknowledged to whoever made it.
#[derive(Debug, Clone)]
pub struct Revocation {
    /// Place among calls and acknowledged revocations.
    pub order: u64,
    /// The message that said it.
    pub message_id: String,
    /// Endpoint it names.
    pub endpoint: Name,
    /// Channel it names.
    pub channel: Name,
    /// Purpose it names; `None`: every one but service.
    pub purpose: Option<Name>,
    /// Topic it names; `None`: the purpose as a whole.
    pub topic: Option<Name>,
    /// When it was acknowledged.
    pub at: Timestamp,
}

/// A kill switch that was acknowledged to the operator.
#[derive(Debug, Clone)]
pub struct Halt {
    /// Place among calls and acknowledged revocations.
    pub from: u64,
    /// Place at which the operator first asked for a release; `None`: it stays.
    pub until: Option<u64>,
    /// What it stops.
    pub target: KillTarget,
}

/// Rows of a state store, by space and key.
pub type StateMap = BTreeMap<(u8, Vec<u8>), Vec<u8>>;

/// Everything observed.
#[derive(Debug)]
pub struct Observed {
    /// Message ids that were answered with 200, with their sources.
    pub acknowledged: Vec<(String, &'static str)>,
    /// Message ids in the touchpoint log, in order.
    pub logged: Vec<String>,
    /// Identifiers of each message in the touchpoint log.
    pub together: Vec<Vec<Identifier>>,
    /// Source and message id of touchpoints that identity handed to the engine, and when.
    pub delivered: Vec<((String, String), Timestamp)>,
    /// Per partition of `profiles`: offset, log time, record.
    pub applied: Vec<Vec<(u64, Timestamp, Applied)>>,
    /// Decisions as a reader sees them: per partition, without replayed copies.
    pub decisions: Vec<Vec<Decision>>,
    /// Every copy of every decision, replayed ones too.
    pub decisions_raw: Vec<Decision>,
    /// Notes as a reader sees them, per partition.
    pub notes: Vec<Vec<Note>>,
    /// Actions as a reader sees them.
    pub actions: Vec<Action>,
    /// Cancelled actions.
    pub cancelled: Vec<ActionId>,
    /// The present, at the end.
    pub end: Timestamp,
    /// What the provider saw, in order.
    pub calls: Vec<Call>,
    /// Revocations, in order.
    pub revocations: Vec<Revocation>,
    /// Kill switches, in order.
    pub halts: Vec<Halt>,
    /// Every version that was published.
    pub versions: BTreeMap<VersionId, Arc<Definitions>>,
    /// Identifier → profile, as the graph says at the end.
    pub owners: BTreeMap<String, ProfileId>,
    /// Actions without a final outcome at the end.
    pub unfinished: Vec<ActionId>,
    /// Earliest timer still armed at the end, per partition, and log time there.
    pub armed: Vec<(Option<Timestamp>, Timestamp)>,
    /// State of every partition at the end, by key; and the same from a clean replay of its log.
    pub states: Vec<(StateMap, StateMap)>,
    /// Decisions of a clean replay of the final log, per partition.
    pub replayed: Vec<Vec<Decision>>,
    /// Notes of a clean replay of the final log, per partition.
    pub replayed_notes: Vec<Vec<Note>>,
    /// Final results of dispatches: action, result, detail.
    pub results: Vec<(ActionId, &'static str, String)>,
    /// Largest length of each bounded thing, by name, and its limit.
    pub lengths: Vec<(&'static str, usize, usize)>,
}

/// A rule that did not hold.
#[derive(Debug, Clone)]
pub struct Violation {
    /// Invariant.
    pub id: &'static str,
    /// What was seen.
    pub what: String,
}

impl Violation {
    /// A violation of `id`.
    pub fn new(id: &'static str, what: impl Into<String>) -> Self {
        Self { id, what: what.into() }
    }
}

impl Observed {
    /// All decisions, partition after partition.
    pub fn all_decisions(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.iter().flatten()
    }
    /// All notes, partition after partition.
    pub fn all_notes(&self) -> impl Iterator<Item = &Note> {
        self.notes.iter().flatten()
    }
    /// Log time at which the record of a person's touchpoint with this event and action id came.
    pub fn receipts(&self, event: &str) -> BTreeMap<String, Timestamp> {
        let mut found = BTreeMap::new();
        for (_, at, applied) in self.applied.iter().flatten() {
            let Applied::Touchpoint(_, touchpoint) = applied else { continue };
            if &*touchpoint.event != event {
                continue;
            }
            let properties: serde_json::Value =
                serde_json::from_str(&touchpoint.properties).unwrap_or_default();
            if let Some(action) = properties["action_id"].as_str() {
                found.entry(action.to_owned()).or_insert(*at);
            }
        }
        found
    }
}
