//! Instants and elapsed durations in milliseconds. Calendar arithmetic is the engine's.

use serde::{Deserialize, Serialize};

/// An instant: milliseconds since 1970-01-01T00:00:00Z. Always a log time or a source's time, never
/// a clock that this type reads.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Timestamp(pub i64);

/// An elapsed duration in milliseconds, never negative where a definition gives it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct DurationMs(pub i64);

impl DurationMs {
    /// `n` seconds.
    pub const fn seconds(n: i64) -> Self {
        Self(n * 1_000)
    }
    /// `n` hours.
    pub const fn hours(n: i64) -> Self {
        Self(n * 3_600_000)
    }
    /// `n` times 24 hours.
    pub const fn days(n: i64) -> Self {
        Self(n * 86_400_000)
    }
}

impl Timestamp {
    /// Before every instant that a record can carry.
    pub const MIN: Self = Self(i64::MIN);
    /// After every instant that a record can carry.
    pub const MAX: Self = Self(i64::MAX);

    /// This instant and `duration`, never past [`Timestamp::MAX`].
    #[must_use]
    pub const fn plus(self, duration: DurationMs) -> Self {
        Self(self.0.saturating_add(duration.0))
    }
    /// This instant less `duration`.
    #[must_use]
    pub const fn minus(self, duration: DurationMs) -> Self {
        Self(self.0.saturating_sub(duration.0))
    }
    /// Time from `earlier` to this instant.
    pub const fn since(self, earlier: Self) -> DurationMs {
        DurationMs(self.0.saturating_sub(earlier.0))
    }
}

/// Where a profile's time zone came from (semantics 1), in order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ZoneSource {
    /// The attribute `time_zone` or `timezone`.
    Declared,
    /// The newest `context.timezone`.
    Context,
    /// The phone number's region, which has one zone.
    Phone,
    /// `address.country`, which has one zone.
    Country,
    /// The workspace's default.
    Workspace,
}
