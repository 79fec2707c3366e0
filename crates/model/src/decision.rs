//! Decision records: one for every evaluation of every candidate (EXP-1).

use crate::{
    ActionId, DecisionId, Identifier, Name, ProfileId, RunKey, Timestamp, VersionId, ZoneSource,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Names a candidate: one message that one run wants to send, through all its evaluations.
/// `sequence` is the run's place in the profile, `step` the step's place in the tree, and
/// `profile` the profile in which the run began (a merge keeps it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CandidateId {
    /// Profile in which the run began.
    pub profile: ProfileId,
    /// Sequence of the run in that profile.
    pub run: u32,
    /// Place of the step in the tree.
    pub step: u16,
    /// How often the run has come to this step before (0: never; there are no loops today).
    pub visit: u16,
}

impl fmt::Display for CandidateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{:x}-{}-{}", self.profile.0, self.run, self.step)?;
        if self.visit > 0 { write!(f, "-{}", self.visit) } else { Ok(()) }
    }
}

impl FromStr for CandidateId {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.strip_prefix('c').ok_or(())?.splitn(4, '-');
        let mut next = || parts.next().ok_or(());
        let profile = ProfileId(u64::from_str_radix(next()?, 16).map_err(|_| ())?);
        let run = next()?.parse().map_err(|_| ())?;
        let step = next()?.parse().map_err(|_| ())?;
        let visit = next().map_or(Ok(0), |text| text.parse().map_err(|_| ()))?;
        Ok(Self { profile, run, step, visit })
    }
}

/// Outcome of one evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Outcome {
    /// Goes out on the first channel.
    Approve,
    /// Will never go out; the reason says why.
    Suppress,
    /// Evaluated again at `until`.
    Defer,
    /// Approved on another channel than the first; the reason is the first channel's.
    Reroute,
}

impl Outcome {
    /// As written in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Suppress => "suppress",
            Self::Defer => "defer",
            Self::Reroute => "reroute",
        }
    }
}

/// Closed list of reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is explained in semantics 6 and by `explain`")]
pub enum Reason {
    Erased,
    Killed,
    Paused,
    EndpointMissing,
    EndpointSuppressed,
    NoConsent,
    Purpose,
    Jurisdiction,
    Holdout,
    Exited,
    GoalMet,
    Merged,
    OnlyIf,
    Expired,
    Arbitration,
    Cap,
    QuietHours,
    Content,
    NoSlot,
}

impl Reason {
    /// Every reason, in the order of the guard's checks.
    pub const ALL: [Self; 19] = [
        Self::Erased,
        Self::Killed,
        Self::Paused,
        Self::EndpointMissing,
        Self::EndpointSuppressed,
        Self::NoConsent,
        Self::Purpose,
        Self::Jurisdiction,
        Self::Holdout,
        Self::Exited,
        Self::GoalMet,
        Self::Merged,
        Self::OnlyIf,
        Self::Expired,
        Self::Arbitration,
        Self::Cap,
        Self::QuietHours,
        Self::Content,
        Self::NoSlot,
    ];

    /// As written in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Erased => "erased",
            Self::Killed => "killed",
            Self::Paused => "paused",
            Self::EndpointMissing => "endpoint_missing",
            Self::EndpointSuppressed => "endpoint_suppressed",
            Self::NoConsent => "no_consent",
            Self::Purpose => "purpose",
            Self::Jurisdiction => "jurisdiction",
            Self::Holdout => "holdout",
            Self::Exited => "exited",
            Self::GoalMet => "goal_met",
            Self::Merged => "merged",
            Self::OnlyIf => "only_if",
            Self::Expired => "expired",
            Self::Arbitration => "arbitration",
            Self::Cap => "cap",
            Self::QuietHours => "quiet_hours",
            Self::Content => "content",
            Self::NoSlot => "no_slot",
        }
    }
}

/// A cap that matched, and how much of it was used before this send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapReading {
    /// Id of the cap in the policy.
    pub id: Name,
    /// Sends in its window, before this one.
    pub used: u32,
    /// Sends it allows.
    pub limit: u32,
}

/// What else mattered to the verdict, for `explain`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Inputs {
    /// The event that the run entered with, and when it occurred.
    pub entry_event: Option<(Name, Timestamp)>,
    /// The consent statement that decided: its evidence's event id, state and time.
    pub consent: Option<(Name, bool, Timestamp)>,
    /// Id of the rule that refused: a cap's id, the quiet window, the suppression's kind, …
    pub rule: Option<Name>,
    /// The condition's text, the missing variable, the kill target.
    pub detail: Option<Name>,
    /// How weary of the channel the person is, where the policy counts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fatigue: Option<FatigueReading>,
}

/// How weary a person is of a channel, with what the score is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FatigueReading {
    /// The sum of the outcomes' weights.
    pub score: u32,
    /// Messages that nothing came of.
    pub ignored: u32,
    /// Messages waved away.
    pub dismissed: u32,
    /// Unsubscribes and STOPs.
    pub unsubscribed: u32,
    /// Complaints.
    pub complained: u32,
    /// What the caps are shrunk to, in percent.
    pub caps: u32,
}

/// One evaluation of one candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Log position and place.
    pub id: DecisionId,
    /// `now` of the evaluation.
    pub at: Timestamp,
    /// The candidate.
    pub candidate: CandidateId,
    /// The person.
    pub profile: ProfileId,
    /// Identifiers that the profile held then.
    pub identifiers: Vec<Identifier>,
    /// Journey.
    pub journey: Name,
    /// Version of the journey that the run is pinned to.
    pub version: VersionId,
    /// Instance key of the run.
    pub run_key: RunKey,
    /// Id of the step.
    pub step: Name,
    /// Channel that was tried last.
    pub channel: Name,
    /// Endpoint on that channel, when the person has one.
    pub endpoint: Option<Name>,
    /// Purpose of the message.
    pub purpose: Name,
    /// Topic of the message.
    pub topic: Option<Name>,
    /// Verdict.
    pub outcome: Outcome,
    /// Why; `None` on a plain approve.
    pub reason: Option<Reason>,
    /// For `Defer` when it is evaluated again; for a cap or quiet hours that drops, the next
    /// instant at which it would have been possible.
    pub until: Option<Timestamp>,
    /// The action, when approved.
    pub action: Option<ActionId>,
    /// Every cap that matched.
    pub caps: Vec<CapReading>,
    /// Time zone that was used.
    pub zone: Name,
    /// Where the zone came from.
    pub zone_source: ZoneSource,
    /// What else mattered.
    pub inputs: Inputs,
}
