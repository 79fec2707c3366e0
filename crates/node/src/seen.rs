//! What a reader of published records has seen of each source, so that a record which an owner
//! published again after a crash is shown once (LOG-2).

use sojourn_ports::{Entry, Topic};
use sojourn_proto::{Origin, decode_decision_record, decode_profile_record};
use std::collections::BTreeMap;

/// High-water marks by source: (counts owners, partition) → highest place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen(BTreeMap<(bool, u16), (u64, u32)>);

/// Bytes of one encoded mark.
const MARK_BYTES: usize = 1 + 2 + 8 + 4;

impl Seen {
    /// Whether `entry` of `topic` is shown for the first time; raises its source's mark when it is.
    /// A record without an origin answers no other record and is always new; what cannot be
    /// decoded is left to whoever decodes it.
    pub(crate) fn admit(&mut self, topic: Topic, entry: &Entry) -> bool {
        let (from_owner, origin) = match topic {
            Topic::Profiles => match decode_profile_record(&entry.value) {
                Ok(record) => (record.from_owner, record.origin),
                Err(_) => return true,
            },
            Topic::Decisions => match decode_decision_record(&entry.value) {
                Ok((origin, _)) => (true, Some(origin)),
                Err(_) => return true,
            },
            _ => return true,
        };
        origin.is_none_or(|origin| self.raise(from_owner, origin))
    }

    fn raise(&mut self, from_owner: bool, origin: Origin) -> bool {
        let (source, place) = ((from_owner, origin.partition), (origin.offset, origin.index));
        match self.0.get_mut(&source) {
            Some(highest) if place <= *highest => false,
            Some(highest) => {
                *highest = place;
                true
            }
            None => {
                self.0.insert(source, place);
                true
            }
        }
    }

    /// As bytes, for a checkpoint.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() * MARK_BYTES);
        for ((from_owner, partition), (offset, index)) in &self.0 {
            bytes.push(u8::from(*from_owner));
            bytes.extend(partition.to_be_bytes());
            bytes.extend(offset.to_be_bytes());
            bytes.extend(index.to_be_bytes());
        }
        bytes
    }

    /// From the bytes of a checkpoint; `None`: they are damaged.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        if !bytes.len().is_multiple_of(MARK_BYTES) {
            return None;
        }
        let mark = |mark: &[u8]| {
            let partition = u16::from_be_bytes(mark[1..3].try_into().ok()?);
            let offset = u64::from_be_bytes(mark[3..11].try_into().ok()?);
            let index = u32::from_be_bytes(mark[11..15].try_into().ok()?);
            Some(((mark[0] != 0, partition), (offset, index)))
        };
        bytes.chunks_exact(MARK_BYTES).map(mark).collect::<Option<_>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_published_twice_is_new_once() {
        let mut seen = Seen::default();
        let origin = |offset, index| Origin { partition: 3, offset, index };
        assert!(seen.raise(false, origin(0, 0)) && !seen.raise(false, origin(0, 0)));
        assert!(seen.raise(false, origin(0, 1)) && seen.raise(false, origin(7, 0)));
        assert!(!seen.raise(false, origin(6, 9)), "below the mark");
        assert!(seen.raise(true, origin(6, 9)), "owners and shards count apart");
        assert_eq!(Seen::decode(&seen.encode()), Some(seen));
        assert_eq!(Seen::decode(&[1, 2]), None);
    }
}
