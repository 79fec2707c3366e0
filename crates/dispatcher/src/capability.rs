//! What a channel can do when an outcome is unknown.

use sojourn_model::DurationMs;

/// A channel's abilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capability {
    /// For how long a second delivery of one action id has no effect; 0: never.
    pub idempotency_window: DurationMs,
    /// Whether it can tell if an action id was delivered.
    pub status_lookup: bool,
    /// Messages in flight that it likes; 0: no preference.
    pub in_flight: u32,
}

/// What is known about a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelState {
    /// It has said what it can do.
    Known(Capability),
    /// It has not answered yet.
    NotYet,
    /// There is no such channel.
    Absent,
}

impl ChannelState {
    pub(crate) fn capability(self) -> Capability {
        match self {
            Self::Known(capability) => capability,
            Self::NotYet | Self::Absent => Capability::default(),
        }
    }
}
