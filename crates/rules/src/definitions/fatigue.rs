//! Fatigue: how weary of a channel people are, and how caps shrink by it (semantics 4).

use sojourn_model::DurationMs;

/// An outcome of a message that wearies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weary {
    /// Nothing came of it in time.
    Ignored,
    /// It was waved away.
    Dismissed,
    /// The person unsubscribed, or said STOP.
    Unsubscribed,
    /// The person reported it as spam.
    Complained,
}

impl Weary {
    /// All of them, in the order of [`FatiguePolicy::weights`].
    pub const ALL: [Self; 4] =
        [Self::Ignored, Self::Dismissed, Self::Unsubscribed, Self::Complained];
}

/// `fatigue:` of policy.yaml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FatiguePolicy {
    /// Outcomes count for so long.
    pub window: DurationMs,
    /// A message is ignored when nothing came of it for so long.
    pub ignored_after: DurationMs,
    /// Weight of each outcome, in the order of [`Weary::ALL`].
    pub weights: [u32; Weary::ALL.len()],
    /// How caps shrink, by rising score.
    pub shrink: Vec<Shrink>,
}

/// From a score on, caps allow a part of what they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shrink {
    /// The score.
    pub from: u32,
    /// Percent of the caps.
    pub caps: u32,
}

impl FatiguePolicy {
    /// What the caps shrink to at a score, in percent.
    pub fn percent(&self, score: u32) -> u32 {
        self.shrink.iter().rev().find(|rule| rule.from <= score).map_or(100, |rule| rule.caps)
    }
}
