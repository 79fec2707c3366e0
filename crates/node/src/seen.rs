//! What a reader of published records has seen of each source, so that a record which an owner
//! published again after a crash, or after its epoch, is shown once (LOG-2).

use sojourn_ports::{Entry, Topic};
use sojourn_proto::{Admission, Sources, decode_decision_record, decode_profile_record};

/// What has been seen of each source of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen(Sources);

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
        origin.is_none_or(|origin| self.0.admit(from_owner, origin) == Admission::New)
    }

    /// As bytes, for a checkpoint.
    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).expect("a list encodes")
    }

    /// From the bytes of a checkpoint; `None`: they are damaged.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sojourn_model::{Record, Timestamp};
    use sojourn_proto::{Origin, encode_profile_record};

    fn entry(epoch: u64, offset: u64) -> Entry {
        let origin = Origin { partition: 3, epoch, offset, index: 0 };
        let mut value = Vec::new();
        encode_profile_record(Some(origin), true, &Record::Tick, &mut value);
        Entry { offset: 0, log_time: Timestamp(0), value: value.into() }
    }

    #[test]
    fn what_was_published_twice_or_too_late_is_shown_once() {
        let mut seen = Seen::default();
        let mut admit = |epoch, offset| seen.admit(Topic::Profiles, &entry(epoch, offset));
        assert!(admit(1, 4) && !admit(1, 4) && !admit(5, 4));
        assert!(!admit(1, 6), "of an owner whose successor has published");
        assert!(admit(5, 6));
        assert_eq!(Seen::decode(&seen.encode()), Some(seen));
        assert_eq!(Seen::decode(&[1, 2]), None);
    }
}
