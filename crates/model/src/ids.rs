//! Typed ids. Nothing in the house passes a bare `u64` or `String` where an id is meant.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A shared, immutable name: of an event, a journey, a channel, a step, a purpose. Up to 15 bytes
/// stand in it, which most names and values of people are; a longer one is allocated once and shared.
pub type Name = ecow::EcoString;

/// Makes a [`Name`].
pub fn name(text: &str) -> Name {
    Name::from(text)
}

/// A person as the engine knows them.
///
/// The id is the place in the touchpoint log of the record that created the profile (shard in the
/// upper 16 bits, offset in the lower 48): unique without a counter and the same on every replay.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProfileId(pub u64);

impl ProfileId {
    /// The profile that the record at `offset` of identity shard `shard` creates.
    pub fn created_at(shard: u16, offset: u64) -> Self {
        assert!(offset < 1 << 48, "a shard's log has fewer than 2^48 records");
        Self(u64::from(shard) << 48 | offset)
    }

    /// The partition of the `profiles` log that owns this profile, out of `partitions`.
    pub fn partition(self, partitions: u16) -> u16 {
        assert!(partitions > 0);
        // Fibonacci hashing spreads ids that were created one after the other.
        let mixed = self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        u16::try_from(mixed % u64::from(partitions)).expect("remainder of a u16")
    }
}

impl fmt::Display for ProfileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{:x}", self.0)
    }
}

impl fmt::Debug for ProfileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ProfileId {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.strip_prefix('p').ok_or(())?;
        u64::from_str_radix(digits, 16).map(Self).map_err(|_| ())
    }
}

/// A place in a partitioned log.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct LogPosition {
    /// Partition of the log.
    pub partition: u16,
    /// Offset in the partition, from 0.
    pub offset: u64,
}

/// One union of two profiles, named by the touchpoint record that caused it and its place in that
/// record's effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MergeId {
    /// The touchpoint record whose identifiers joined the two, as [`ProfileId::created_at`] packs it.
    pub cause: u64,
    /// Which union of that record.
    pub index: u16,
}

/// A version of the definitions, by content: the first 8 bytes of the SHA-256 of the files.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct VersionId(pub u64);

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for VersionId {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        u64::from_str_radix(text, 16).map(Self).map_err(|_| ())
    }
}

/// Instance key of a run; `None` is the default key, the profile itself.
pub type RunKey = Option<Name>;

/// Names a decision record: where the record that caused it stands, and its place in the effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DecisionId {
    /// The record of the `profiles` log that was being applied.
    pub position: LogPosition,
    /// Which decision of that record.
    pub index: u32,
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "d{}-{}-{}", self.position.partition, self.position.offset, self.index)
    }
}

impl FromStr for DecisionId {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.strip_prefix('d').ok_or(())?.split('-');
        let mut next = || parts.next().ok_or(());
        let partition = next()?.parse().map_err(|_| ())?;
        let offset = next()?.parse().map_err(|_| ())?;
        let index = next()?.parse().map_err(|_| ())?;
        Ok(Self { position: LogPosition { partition, offset }, index })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_what_they_print() {
        let profile = ProfileId::created_at(3, 77);
        assert_eq!(profile.to_string().parse(), Ok(profile));
        let decision = DecisionId { position: LogPosition { partition: 2, offset: 9 }, index: 4 };
        assert_eq!(decision.to_string().parse(), Ok(decision));
        assert_eq!("d1-x-0".parse::<DecisionId>(), Err(()));
    }

    #[test]
    fn profiles_spread_over_partitions() {
        let mut counts = [0u32; 8];
        for offset in 0..8000 {
            counts[usize::from(ProfileId::created_at(0, offset).partition(8))] += 1;
        }
        assert!(counts.iter().all(|&count| (900..1100).contains(&count)), "{counts:?}");
    }
}
