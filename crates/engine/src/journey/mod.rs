//! Runs of journeys: how they begin, move, wait and end (semantics 7).

mod advance;
mod call;
mod digest;
mod ends;
mod entries;
mod entry;
mod timed;
mod timers;
mod waiting;

pub(crate) use call::ANSWER;
pub(crate) use digest::{item_of_run, item_value};
pub use entries::Entries;
pub(crate) use entry::EntryKey;
pub(crate) use timed::{Appointment, Occurred};

use crate::event::StoredEvent;
use serde::{Deserialize, Serialize};
use sojourn_model::{CandidateId, Name, ProfileId, RunKey, Timestamp, Value, VersionId};
use sojourn_rules::{Journey, StepIndex};
use std::sync::Arc;

/// Names a run: the profile in which it began, and its place there.
pub type RunId = (ProfileId, u32);

/// A message that waits for another evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// When it arose; its expiry counts from here.
    pub arose: Timestamp,
    /// Not to be sent at or after this instant.
    pub expires: Option<Timestamp>,
    /// When the decision said it would be looked at again.
    pub until: Timestamp,
    /// Value for arbitration, taken when it arose.
    pub value: f64,
    /// Whether it has been through an arbitration window.
    pub arbitrated: bool,
    /// Channel that was tried last, and the endpoint there.
    pub channel: Name,
    /// Endpoint on that channel.
    pub endpoint: Option<Name>,
}

impl Candidate {
    /// When it is looked at again: at its expiry at the latest (semantics 5).
    pub fn wake(&self) -> Timestamp {
        self.expires.map_or(self.until, |expires| self.until.min(expires))
    }
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RunState {
    /// Between two steps; only while it is being moved.
    Moving,
    /// In a `wait`.
    Wait {
        /// Ends here.
        due: Timestamp,
    },
    /// In a `wait_for`.
    WaitFor {
        /// Times out just after this instant.
        timeout: Option<Timestamp>,
        /// When time next empties a window of its condition.
        look: Option<Timestamp>,
    },
    /// Waits for a pass of a throttle.
    Throttle {
        /// When a pass may be free.
        due: Timestamp,
    },
    /// At a `send` whose message was deferred.
    Deferred(Candidate),
    /// Held before its step by a pause.
    Held {
        /// Since when.
        since: Timestamp,
    },
    /// Ended; kept while it may still convert, or while something that it wanted to say waits for the
    /// next message.
    Ended {
        /// It is forgotten after this instant.
        converts_until: Timestamp,
    },
    /// At a `digest`; what it has collected is among the run's events, under the step's id.
    Digest {
        /// Its window ends here.
        due: Timestamp,
    },
    /// At a `call`, until its answer.
    Call {
        /// It is waited for until then.
        due: Timestamp,
    },
}

impl RunState {
    /// When it needs the engine: (before a record of that instant, just after that instant).
    pub(crate) fn due(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        match self {
            Self::Wait { due }
            | Self::Throttle { due }
            | Self::Digest { due }
            | Self::Call { due } => (Some(*due), None),
            Self::WaitFor { timeout, look } => (*look, *timeout),
            Self::Deferred(candidate) => (Some(candidate.wake()), None),
            Self::Moving | Self::Held { .. } | Self::Ended { .. } => (None, None),
        }
    }
}

/// One person's way through one journey.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Profile in which it began; a merge keeps it.
    pub origin: ProfileId,
    /// Place among the runs of that profile.
    pub sequence: u32,
    /// Journey.
    pub journey: Name,
    /// Version of the definitions it is pinned to.
    pub version: VersionId,
    /// Instance key; `None`: the default key. Compared as text.
    pub key: Option<Value>,
    /// When it began (log time).
    pub entered_at: Timestamp,
    /// The event it entered with.
    pub entry: StoredEvent,
    /// What its `wait_for` steps matched, by step id, where something reads it; what its `digest`
    /// steps collected, in order of occurrence.
    pub events: Vec<(Name, StoredEvent)>,
    /// Place of its step in the tree.
    pub step: u16,
    /// Where it stands.
    pub state: RunState,
    /// Whether its goal was met.
    pub converted: bool,
    /// Message id of the touchpoint it entered with.
    pub cause: Name,
    /// Mark of the identifier under which it entered (see `event::mark_of`).
    pub(crate) by: u32,
    /// When its wait was armed, and the order among those armed then.
    pub(crate) armed: (Timestamp, u32),
    /// The record that last continued it; only within one record.
    #[serde(skip)]
    pub(crate) continued: u64,
}

impl Run {
    pub(crate) fn id(&self) -> RunId {
        (self.origin, self.sequence)
    }
    /// Order of entry.
    pub(crate) fn order(&self) -> (Timestamp, u32, ProfileId) {
        (self.entered_at, self.sequence, self.origin)
    }
    /// Whether it has not ended.
    pub fn live(&self) -> bool {
        !matches!(self.state, RunState::Ended { .. })
    }
    pub(crate) fn candidate(&self) -> CandidateId {
        CandidateId { profile: self.origin, run: self.sequence, step: self.step, visit: 0 }
    }
    /// Instance key as decision records write it.
    pub fn run_key(&self) -> RunKey {
        self.key.as_ref().map(key_text)
    }
}

/// Text of an instance key. Structured values are keys by their debug form; lint warns of them.
pub(crate) fn key_text(value: &Value) -> Name {
    match value {
        Value::Text(text) => text.clone(),
        Value::Number(number) => crate::json::number_text(*number).into(),
        Value::Bool(yes) => if *yes { "true" } else { "false" }.into(),
        Value::Instant(at) => crate::json::instant_text(*at).into(),
        Value::Null => "null".into(),
        Value::List(_) | Value::Map(_) => format!("{value:?}").into(),
    }
}

/// The version that a run is pinned to.
#[derive(Debug, Clone)]
pub(crate) struct Pinned {
    pub(crate) installed: Arc<crate::installed::Installed>,
    pub(crate) journey: Arc<Journey>,
}

/// Why a run ends.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum End {
    /// After its last step.
    Done,
    /// At an `exit` step.
    Step(Name),
    /// A throttle let no more through.
    Throttled,
    /// `until_date` without a date.
    NoDate,
    /// `exit_on`.
    Exited,
    /// The goal.
    GoalMet,
    /// Another run of the same key goes on after a merge.
    Merged,
    /// What it brought went into another run's digest.
    Digested,
    /// A `call` failed whose `on_error` is `exit`.
    CallFailed,
    /// An operator's `stop`.
    Stopped,
    /// The person was erased.
    Erased,
}

impl End {
    fn text(&self) -> Name {
        match self {
            Self::Done => "done".into(),
            Self::Step(reason) => format!("exit: {reason}").into(),
            Self::Throttled => "throttled".into(),
            Self::NoDate => "no_date".into(),
            Self::Exited => "exited".into(),
            Self::GoalMet => "goal_met".into(),
            Self::Merged => "merged".into(),
            Self::Digested => "digested".into(),
            Self::CallFailed => "call_failed".into(),
            Self::Stopped => "stopped".into(),
            Self::Erased => "erased".into(),
        }
    }

    /// What a candidate that the end takes away leaves; `None`: the run ended by itself, and what it
    /// sent stays sent.
    pub(crate) fn reason(&self) -> Option<sojourn_model::Reason> {
        use sojourn_model::Reason;
        match self {
            Self::Done
            | Self::Step(_)
            | Self::Throttled
            | Self::NoDate
            | Self::Digested
            | Self::CallFailed => None,
            Self::Exited | Self::Stopped => Some(Reason::Exited),
            Self::GoalMet => Some(Reason::GoalMet),
            Self::Merged => Some(Reason::Merged),
            Self::Erased => Some(Reason::Erased),
        }
    }
}

/// What a step does to its run.
pub(crate) enum Flow {
    /// Goes on there; `None`: after the last step.
    Go(Option<StepIndex>),
    /// Stays; its state says what for.
    Stay,
    /// Ends.
    End(End),
}
