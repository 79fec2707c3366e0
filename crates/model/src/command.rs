//! What an operator may order. Every command is a record in the log and takes effect at its place.

use crate::{Name, Timestamp};
use serde::{Deserialize, Serialize};

/// What a kill switch stops.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum KillTarget {
    /// Every message.
    All,
    /// Messages of one purpose, such as `marketing`.
    Class(Name),
    /// Messages on one channel.
    Channel(Name),
    /// Messages of one journey.
    Journey(Name),
}

/// An operator's command to the whole engine; commands about one person are addressed to a profile
/// by [`crate::Record`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Runs hold at their next step; new entries are refused.
    Pause {
        /// Journey to pause.
        journey: Name,
    },
    /// Paused runs go on; what expired meanwhile is discarded with its reason.
    Resume {
        /// Journey to resume.
        journey: Name,
    },
    /// Ends every run of the journey and refuses new ones.
    Stop {
        /// Journey to stop.
        journey: Name,
    },
    /// Refuses every candidate of the target from now on.
    Kill {
        /// What to stop.
        target: KillTarget,
    },
    /// Takes a kill switch back.
    Release {
        /// What to allow again.
        target: KillTarget,
    },
    /// Forgets the person behind a profile (semantics 8).
    Erase,
    /// The person enters a journey that says `api: true`.
    Enter {
        /// The journey.
        journey: Name,
        /// Instance key; `None`: what the journey's own `key` says.
        key: Option<Name>,
    },
    /// Takes back the last merge into this profile (semantics 2).
    Unmerge,
    /// Lifts a suppression, with a reason for the audit log.
    Unsuppress {
        /// Channel of the endpoint.
        channel: Name,
        /// The endpoint; `None`: every one of the channel.
        endpoint: Option<Name>,
        /// Why.
        reason: Name,
    },
    /// Gives the last `until` of the audit: who ordered what. Kept with every command.
    Audit {
        /// Who.
        actor: Name,
        /// When by their clock.
        at: Timestamp,
        /// What they said.
        text: Name,
    },
}
