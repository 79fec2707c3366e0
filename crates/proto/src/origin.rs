//! Where published records come from, and which of them a reader takes (LOG-2).

use crate::log;
use crate::planted::{Mutation, planted};
use crate::wire::{self, Reader, Sink, WireError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a published record comes from: the place of the record that its author was applying, and
/// the place among the records it published for it. [`Sources`] says which of them a reader takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// Partition of the source: an identity shard, or an owner of `profiles` (`from_owner`).
    pub partition: u16,
    /// The author's epoch: where the source's log ended when the author claimed it. A later owner
    /// has a greater one (or the same, when nothing was logged in between), whatever a store
    /// forgets.
    pub epoch: u64,
    /// Offset there.
    pub offset: u64,
    /// Which of the records published for it.
    pub index: u32,
}

/// What a reader of one partition has seen of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    epoch: u64,
    place: (u64, u32),
}

/// What a reader of one partition has seen of each source that publishes there. Stored with the
/// reader's position.
///
/// A record is taken when its epoch is not below the highest seen and its place, (offset, index),
/// is above the highest seen. Why this is enough stands at [the log port's module
/// documentation](../sojourn_ports/log/index.html).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Row>", into = "Vec<Row>")]
pub struct Sources(BTreeMap<(bool, u16), Seen>);

/// A source as stored: counts owners, partition, epoch, offset, index.
type Row = (bool, u16, u64, u64, u32);

impl From<Vec<Row>> for Sources {
    fn from(rows: Vec<Row>) -> Self {
        let row = |(from_owner, partition, epoch, offset, index)| {
            ((from_owner, partition), Seen { epoch, place: (offset, index) })
        };
        Self(rows.into_iter().map(row).collect())
    }
}

impl From<Sources> for Vec<Row> {
    fn from(sources: Sources) -> Self {
        let row = |((from_owner, partition), Seen { epoch, place: (offset, index) })| {
            (from_owner, partition, epoch, offset, index)
        };
        sources.0.into_iter().map(row).collect()
    }
}

/// What becomes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// New: take it.
    New,
    /// Taken before, from this author or an earlier one.
    Again,
    /// Its author's epoch is over: a later owner has published here.
    Ended,
}

impl Sources {
    /// Looks at a record and raises the marks of its source. `from_owner`: the source is an owner of
    /// `profiles`, else an identity shard.
    pub fn admit(&mut self, from_owner: bool, origin: Origin) -> Admission {
        let Origin { partition, epoch, offset, index } = origin;
        let place = (offset, index);
        let Some(seen) = self.0.get_mut(&(from_owner, partition)) else {
            self.0.insert((from_owner, partition), Seen { epoch, place });
            return Admission::New;
        };
        if epoch < seen.epoch && !planted(Mutation::EndedEpochTaken) {
            return Admission::Ended;
        }
        seen.epoch = seen.epoch.max(epoch);
        if place <= seen.place && !planted(Mutation::NoHighWaterMark) {
            return Admission::Again;
        }
        seen.place = place;
        Admission::New
    }
}

pub(crate) fn write_origin(out: &mut impl Sink, origin: Origin) {
    wire::varint(out, 1, origin.partition.into());
    wire::varint(out, 2, origin.offset);
    wire::varint(out, 3, origin.index.into());
    wire::varint(out, 4, origin.epoch);
}

pub(crate) fn read_origin(bytes: &[u8]) -> Result<Origin, WireError> {
    let mut origin = Origin { partition: 0, epoch: 0, offset: 0, index: 0 };
    let mut reader = Reader::new(bytes, "origin");
    while let Some((number, value)) = reader.next()? {
        match number {
            1 => origin.partition = value.u16("origin.partition")?,
            2 => origin.offset = value.varint("origin.offset")?,
            3 => origin.index = value.u32("origin.index")?,
            4 => origin.epoch = value.varint("origin.epoch")?,
            _ => {}
        }
    }
    Ok(origin)
}

pub(crate) fn origin_to_wire(origin: Origin) -> log::Origin {
    log::Origin {
        partition: origin.partition.into(),
        offset: origin.offset,
        index: origin.index,
        epoch: origin.epoch,
    }
}

pub(crate) fn origin_from_wire(origin: Option<log::Origin>) -> Result<Origin, WireError> {
    let origin = origin.ok_or_else(|| WireError::new("origin", "missing"))?;
    let partition = u16::try_from(origin.partition)
        .map_err(|_| WireError::new("origin.partition", "over 16 bits"))?;
    let log::Origin { epoch, offset, index, .. } = origin;
    Ok(Origin { partition, epoch, offset, index })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_published_twice_is_new_once() {
        let mut sources = Sources::default();
        let origin = |epoch, offset, index| Origin { partition: 3, epoch, offset, index };
        assert_eq!(sources.admit(false, origin(0, 0, 0)), Admission::New);
        assert_eq!(sources.admit(false, origin(0, 0, 0)), Admission::Again);
        assert_eq!(sources.admit(false, origin(0, 0, 1)), Admission::New);
        assert_eq!(sources.admit(false, origin(0, 7, 0)), Admission::New);
        assert_eq!(sources.admit(false, origin(0, 6, 9)), Admission::Again, "below the mark");
        assert_eq!(
            sources.admit(true, origin(0, 6, 9)),
            Admission::New,
            "owners and shards count apart"
        );
        let stored = serde_json::to_vec(&sources).expect("a list encodes");
        assert_eq!(serde_json::from_slice::<Sources>(&stored).ok(), Some(sources));
    }

    #[test]
    fn what_an_owner_publishes_after_its_epoch_is_refused() {
        let mut sources = Sources::default();
        let origin = |epoch, offset| Origin { partition: 0, epoch, offset, index: 0 };
        assert_eq!(sources.admit(true, origin(4, 10)), Admission::New);
        // The successor replays; the zombie goes on.
        assert_eq!(sources.admit(true, origin(9, 8)), Admission::Again);
        assert_eq!(sources.admit(true, origin(4, 11)), Admission::Ended);
        assert_eq!(sources.admit(true, origin(9, 10)), Admission::Again);
        assert_eq!(sources.admit(true, origin(9, 11)), Admission::New);
    }
}
