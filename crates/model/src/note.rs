//! Notes: what happened to a person's journeys beside decisions, for timeline, `tail` and tests.

use crate::{LogPosition, Name, ProfileId, RunKey, Timestamp};
use serde::{Deserialize, Serialize};

/// Something that happened and is worth telling; never an input of the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// The record that was being applied.
    pub position: LogPosition,
    /// `now`.
    pub at: Timestamp,
    /// The person.
    pub profile: ProfileId,
    /// What happened.
    pub kind: NoteKind,
}

/// Kinds of notes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "field names say it")]
pub enum NoteKind {
    /// A run began.
    Entered { journey: Name, run_key: RunKey, event: Name },
    /// An entry was refused: `reentry`, `no_key`, `at_most`, `concurrent`, `accept_late`, `exited`,
    /// `paused`, `stopped`, `killed`, `limit`, `imported`, `not_api`, `unknown_journey`.
    EntryRefused { journey: Name, run_key: RunKey, reason: Name },
    /// A run moved to a step.
    Moved { journey: Name, run_key: RunKey, step: Name, until: Option<Timestamp> },
    /// A run ended: `done`, `exit: …`, `exited`, `goal_met`, `merged`, `stopped`, `no_date`, `erased`.
    Ended { journey: Name, run_key: RunKey, reason: Name },
    /// A goal was met inside its window.
    Converted { journey: Name, run_key: RunKey, value: Option<f64> },
    /// A late touchpoint would have changed a decision that was taken.
    Correction { journey: Name, run_key: RunKey, detail: Name },
    /// A statement of consent took effect.
    Consent { channel: Option<Name>, purpose: Name, topic: Option<Name>, granted: bool },
    /// An endpoint was suppressed or the suppression lifted.
    Suppressed { channel: Name, endpoint: Name, kind: Name },
    /// A profile was merged into this one.
    Merged { from: ProfileId },
    /// A merge was taken back.
    Unmerged { into: ProfileId },
    /// A limit refused or trimmed something.
    Limit { what: Name, limit: u64 },
    /// A publish moved a run to another version; it stands at this step of it.
    Migrated { journey: Name, run_key: RunKey, version: Name, step: Name, until: Option<Timestamp> },
}
