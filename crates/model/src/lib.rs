//! The vocabulary of the house: ids, time, touchpoints, consent, decisions, actions, commands.
//!
//! **Invariant:** no I/O, no clock, no randomness, no wire format. Every other crate may depend on
//! this one; it depends on nothing of ours.

mod action;
mod command;
mod consent;
mod decision;
mod identifier;
mod ids;
mod note;
mod planted;
mod record;
mod time;
mod touchpoint;
mod transition;
mod value;

pub use action::{Action, ActionId, MessageClass, QUIET_TRUST, Receipt, ReceiptOutcome, is_call};
pub use command::{Command, KillTarget};
pub use consent::{ConsentRecord, ConsentState, Evidence, Suppression, SuppressionKind};
pub use decision::{CandidateId, CapReading, Decision, FatigueReading, Inputs, Outcome, Reason};
pub use identifier::{Identifier, IdentifierKind};
pub use ids::{DecisionId, LogPosition, MergeId, Name, ProfileId, RunKey, VersionId, name};
pub use note::{Note, NoteKind};
pub use record::Record;
pub use time::{DurationMs, Timestamp, ZoneSource};
pub use touchpoint::{Touchpoint, event_names};
pub use transition::{Existing, StepMap, Transition};
pub use value::Value;
