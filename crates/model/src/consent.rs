//! Consent records and suppressions (semantics 3). Append-only; the current state is derived.

use crate::{Name, Timestamp};
use serde::{Deserialize, Serialize};

/// What a consent record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ConsentState {
    /// The person agreed.
    Granted,
    /// The person refused or withdrew.
    Denied,
}

/// Where a statement was made and how it can be shown.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Default)]
pub struct Evidence {
    /// Message id of the touchpoint that carried it.
    pub event_id: Name,
    /// Source: `site`, `one-click unsubscribe`, `sdk context`, …
    pub source: Name,
    /// Version of the wording shown, when the source told it.
    pub wording: Option<Name>,
    /// Locale shown.
    pub locale: Option<Name>,
    /// Lawful basis, when the source told it.
    pub basis: Option<Name>,
}

/// One statement of consent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConsentRecord {
    /// Address, phone number or device it was given for; `None`: for the whole channel (a deny,
    /// which also covers endpoints that come later) or for the person (data purposes).
    pub endpoint: Option<Name>,
    /// Channel; `None` for data purposes.
    pub channel: Option<Name>,
    /// Purpose, such as `marketing`.
    pub purpose: Name,
    /// Topic of the purpose; `None`: the purpose as a whole.
    pub topic: Option<Name>,
    /// Granted or denied.
    pub state: ConsentState,
    /// When it was stated (`occurred_at`); compared in whole seconds.
    pub at: Timestamp,
    /// A grant ends here.
    pub expires: Option<Timestamp>,
    /// Where and how.
    pub evidence: Evidence,
    /// Whether a grant was confirmed from the endpoint itself (double opt-in).
    #[serde(default)]
    pub confirmed: bool,
}

/// Why an endpoint may not be used at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SuppressionKind {
    /// Hard bounce.
    Bounce,
    /// Spam complaint.
    Complaint,
    /// Carrier STOP.
    Stop,
    /// An operator's word.
    Manual,
}

/// A suppressed endpoint. Only an operator's command with a reason lifts it; a STOP also START.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Suppression {
    /// Channel it concerns.
    pub channel: Name,
    /// Address, number or device.
    pub endpoint: Name,
    /// Why.
    pub kind: SuppressionKind,
    /// Since when (`occurred_at`).
    pub at: Timestamp,
    /// Where and how.
    pub evidence: Evidence,
}
