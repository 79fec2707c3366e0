//! What one step asks of the world: decisions, actions, cancellations, records for other partitions.
//!
//! **Invariant:** an effect is named by (position of the applied record, place in [`Effects`]); the
//! same record gives the same effects in the same order (DET-1), so a reader that has seen a place
//! skips it after a replay (LOG-2).

use serde::{Deserialize, Serialize};
use sojourn_model::{
    Action, ActionId, Command, Decision, Identifier, MergeId, Name, Note, ProfileId, Reason,
    Record, Timestamp, Touchpoint,
};

/// One effect.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// An evaluation of a candidate (EXP-1).
    Decision(Box<Decision>),
    /// An approved message, right after its decision.
    Action(Box<Action>),
    /// A reserved action that must not go out any more, unless it already has. The reservation stays
    /// until the dispatcher's receipt says what came of it.
    Cancel {
        /// The person.
        profile: ProfileId,
        /// The action.
        action: ActionId,
        /// Why.
        reason: Reason,
    },
    /// A statement of consent or a suppression that took something away: nothing of it may be
    /// handed to a provider from here on (CON-2).
    Revoked {
        /// The person.
        profile: ProfileId,
        /// Channel; `None`: all.
        channel: Option<Name>,
        /// Endpoint; `None`: every one of the channel.
        endpoint: Option<Name>,
        /// Purpose; `None`: all (a suppression).
        purpose: Option<Name>,
        /// Topic; `None`: all of the purpose.
        topic: Option<Name>,
    },
    /// A record for the partition that owns `to`.
    Forward {
        /// Its addressee.
        to: ProfileId,
        /// The record.
        record: OwnedRecord,
    },
    /// Something worth telling; never an input.
    Note(Box<Note>),
}

/// The effects of one record, in order. Reused from record to record by its owner.
#[derive(Debug, Default)]
pub struct Effects {
    list: Vec<Effect>,
    decisions: u32,
}

impl Effects {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }
    /// Forgets everything but the allocation.
    pub fn clear(&mut self) {
        self.list.clear();
        self.decisions = 0;
    }
    /// In order; the place in this slice is the effect's index.
    pub fn as_slice(&self) -> &[Effect] {
        &self.list
    }
    /// Takes the effects out, in order.
    pub fn drain(&mut self) -> std::vec::Drain<'_, Effect> {
        self.decisions = 0;
        self.list.drain(..)
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
    /// How many.
    pub fn len(&self) -> usize {
        self.list.len()
    }
    pub(crate) fn push(&mut self, effect: Effect) {
        self.list.push(effect);
    }
    /// Index of the next decision of this record.
    pub(crate) fn next_decision(&mut self) -> u32 {
        self.decisions += 1;
        self.decisions - 1
    }
}

/// A touchpoint that owns its text: parked or forwarded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in `Touchpoint`")]
pub struct OwnedTouchpoint {
    pub message_id: Name,
    pub source: Name,
    pub channel: Name,
    pub event: Name,
    pub identifiers: Vec<Identifier>,
    pub occurred_at: Option<Timestamp>,
    pub received_at: Timestamp,
    pub properties: String,
    pub traits: String,
    pub context: String,
    pub imported: bool,
}

impl OwnedTouchpoint {
    /// A copy of `touchpoint`.
    pub fn of(touchpoint: &Touchpoint<'_>) -> Self {
        Self {
            message_id: touchpoint.message_id.into(),
            source: touchpoint.source.into(),
            channel: touchpoint.channel.into(),
            event: touchpoint.event.into(),
            identifiers: touchpoint.identifiers.clone(),
            occurred_at: touchpoint.occurred_at,
            received_at: touchpoint.received_at,
            properties: touchpoint.properties.to_owned(),
            traits: touchpoint.traits.to_owned(),
            context: touchpoint.context.to_owned(),
            imported: touchpoint.imported,
        }
    }

    /// As the engine reads it.
    pub fn borrow(&self) -> Touchpoint<'_> {
        Touchpoint {
            message_id: &self.message_id,
            source: &self.source,
            channel: &self.channel,
            event: &self.event,
            identifiers: self.identifiers.clone(),
            occurred_at: self.occurred_at,
            received_at: self.received_at,
            properties: &self.properties,
            traits: &self.traits,
            context: &self.context,
            imported: self.imported,
            profile: None,
        }
    }
}

/// A record that owns its content: parked until a merge is complete, or on its way to another
/// partition. The addressee is beside it ([`Effect::Forward`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in `Record`")]
pub enum OwnedRecord {
    Touchpoint(Box<OwnedTouchpoint>),
    Release { to: ProfileId, identifier: Identifier },
    Inherit { inheritance: Vec<u8> },
    Merge { id: MergeId, into: ProfileId },
    Await { id: MergeId, from: ProfileId },
    Absorb { id: MergeId, from: ProfileId, state: Vec<u8> },
    PersonCommand(Command),
}

impl OwnedRecord {
    /// A copy of a record that concerns one profile; `None` for those that concern all.
    pub fn of(record: &Record<'_>) -> Option<Self> {
        Some(match record {
            Record::Touchpoint { touchpoint, .. } => {
                Self::Touchpoint(Box::new(OwnedTouchpoint::of(touchpoint)))
            }
            Record::Release { to, identifier, .. } => {
                Self::Release { to: *to, identifier: identifier.clone() }
            }
            Record::Inherit { inheritance, .. } => {
                Self::Inherit { inheritance: inheritance.to_vec() }
            }
            Record::Merge { id, into, .. } => Self::Merge { id: *id, into: *into },
            Record::Await { id, from, .. } => Self::Await { id: *id, from: *from },
            Record::Absorb { id, from, state, .. } => {
                Self::Absorb { id: *id, from: *from, state: state.to_vec() }
            }
            Record::PersonCommand { command, .. } => Self::PersonCommand(command.clone()),
            Record::Command(_) | Record::Publish { .. } | Record::Tick => return None,
        })
    }

    /// The record as addressed to `profile`.
    pub fn addressed_to(&self, profile: ProfileId) -> Record<'_> {
        match self {
            Self::Touchpoint(touchpoint) => {
                Record::Touchpoint { profile, touchpoint: touchpoint.borrow() }
            }
            Self::Release { to, identifier } => {
                Record::Release { profile, to: *to, identifier: identifier.clone() }
            }
            Self::Inherit { inheritance } => Record::Inherit { profile, inheritance },
            Self::Merge { id, into } => Record::Merge { id: *id, from: profile, into: *into },
            Self::Await { id, from } => Record::Await { id: *id, into: profile, from: *from },
            Self::Absorb { id, from, state } => {
                Record::Absorb { id: *id, into: profile, from: *from, state }
            }
            Self::PersonCommand(command) => {
                Record::PersonCommand { profile, command: command.clone() }
            }
        }
    }
}
