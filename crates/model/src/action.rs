//! Actions: what the dispatcher is asked to deliver, and what came of it.

use crate::{
    CandidateId, DecisionId, DurationMs, Name, ProfileId, RunKey, Timestamp, Value, VersionId,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How long after the end of its quiet window an action may still go out (QUI-1): it carries one
/// window, to which the engine joins those that begin within this time of its end. Where the next
/// one begins only a new decision could tell.
pub const QUIET_TRUST: DurationMs = DurationMs::seconds(30 * 60);

/// Idempotency key of an action (ACT-1): the candidate it came from. The same on every replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ActionId(pub CandidateId);

impl fmt::Display for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CandidateId { profile, run, step, visit } = self.0;
        write!(f, "a{:x}-{run}-{step}-{visit}", profile.0)
    }
}

impl FromStr for ActionId {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.strip_prefix('a').ok_or(())?.split('-');
        let mut next = || parts.next().ok_or(());
        let profile = ProfileId(u64::from_str_radix(next()?, 16).map_err(|_| ())?);
        let run = next()?.parse().map_err(|_| ())?;
        let step = next()?.parse().map_err(|_| ())?;
        let visit = next()?.parse().map_err(|_| ())?;
        Ok(Self(CandidateId { profile, run, step, visit }))
    }
}

/// What to do when nobody knows whether a message went out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MessageClass {
    /// Marketing and other optional messages: never risk a second one (`skip`).
    AtMostOnce,
    /// Transactional: rather twice than never (`resend`).
    AtLeastOnce,
}

/// An approved message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Idempotency key.
    pub id: ActionId,
    /// The decision that approved it.
    pub decision: DecisionId,
    /// The person.
    pub profile: ProfileId,
    /// Channel to use.
    pub channel: Name,
    /// Address, number, device, or the profile id for channels without an address.
    pub endpoint: Name,
    /// Purpose.
    pub purpose: Name,
    /// Topic.
    pub topic: Option<Name>,
    /// Journey.
    pub journey: Name,
    /// Version of the definitions: names the template's text.
    pub version: VersionId,
    /// Instance key.
    pub run_key: RunKey,
    /// Step.
    pub step: Name,
    /// Template.
    pub template: Name,
    /// Locale chosen among those the template has.
    pub locale: Name,
    /// Only the variables that the template uses, as one map: `profile`, `event`, `run`, ….
    pub variables: Value,
    /// Not to be sent at or after this instant.
    pub expires: Option<Timestamp>,
    /// Not to be sent from this instant on while quiet hours last: start of the person's next quiet
    /// window for this channel and purpose (QUI-1).
    pub quiet_from: Option<Timestamp>,
    /// End of that window. Until [`QUIET_TRUST`] after it no other window begins.
    pub quiet_until: Option<Timestamp>,
    /// When the decision approved it.
    pub approved_at: Timestamp,
    /// Message id of the touchpoint that led to it, for tracing.
    pub cause: Name,
    /// What to do with an unknown outcome.
    pub class: MessageClass,
    /// Priority of the send: greater goes first when a channel's rate is short.
    pub priority: i32,
    /// Values of the identifiers that the profile held when it was decided: a revocation that names
    /// any of them closes the gate (CON-2).
    pub identifiers: Vec<Name>,
}

impl Action {
    /// Whether this is a `call`: then its channel is the host, such as `https://stock.example`, and
    /// its variables are the request.
    pub fn is_call(&self) -> bool {
        is_call(&self.channel)
    }
}

/// Whether a channel's name is the host of a `call`; no channel of a workspace is named so.
pub fn is_call(channel: &str) -> bool {
    channel.contains("://")
}

/// What came of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ReceiptOutcome {
    /// The provider took it.
    Sent,
    /// It did not go out and never will.
    Failed,
    /// Nobody knows yet.
    Unknown,
}

/// Receipt of the dispatcher or a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The action.
    pub action: ActionId,
    /// Its outcome.
    pub outcome: ReceiptOutcome,
    /// When.
    pub at: Timestamp,
    /// The provider's message id or the failure's reason.
    pub detail: Option<Name>,
}
