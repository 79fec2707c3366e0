//! What an owner remembers beside the engine's state: how far it has read each source, and the kill
//! switches that the gate must know again after a restart.

use crate::limits;
use crate::metric_names as names;
use crate::planted::{Mutation, planted};
use metrics::counter;
use serde::{Deserialize, Serialize};
use sojourn_model::{Command, KillTarget, Timestamp};
use sojourn_ports::GateMark;
use sojourn_proto::{Admission, Origin, Sources};
use std::collections::{BTreeMap, BTreeSet};

/// High-water marks and kill switches; stored with every checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marks {
    /// What has been seen of each owner and identity shard that publishes here.
    sources: Sources,
    kills: BTreeSet<KillTarget>,
    /// When the last order about each target was given, also about one that was taken back.
    orders: BTreeMap<KillTarget, Timestamp>,
}

/// As it was stored before orders had their time.
#[derive(Deserialize)]
struct MarksBefore {
    sources: Sources,
    kills: BTreeSet<KillTarget>,
}

impl Marks {
    /// Whether this record is new; raises the mark when it is (LOG-2). A record without an origin
    /// answers no other record and is always new.
    pub(crate) fn admit(&mut self, from_owner: bool, origin: Option<Origin>) -> bool {
        let Some(origin) = origin else { return true };
        match self.sources.admit(from_owner, origin) {
            Admission::New => true,
            Admission::Again => planted(Mutation::AppliedTwice),
            Admission::Ended => {
                counter!(names::ENDED).increment(1);
                false
            }
        }
    }

    /// What was stored with a checkpoint.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, postcard::Error> {
        postcard::from_bytes(bytes).or_else(|_| {
            let MarksBefore { sources, kills } = postcard::from_bytes(bytes)?;
            // Any order that is still in the log is later.
            let orders = kills.iter().map(|target| (target.clone(), Timestamp::MIN)).collect();
            Ok(Self { sources, kills, orders })
        })
    }

    /// Follows kill switches: the gate's mark when the command is one, applied at log time `at`.
    pub(crate) fn follow(&mut self, command: &Command, at: Timestamp) -> Option<GateMark> {
        let (target, on) = match command {
            Command::Kill { target } => (target, true),
            Command::Release { target } => (target, false),
            _ => return None,
        };
        // Orders of one millisecond keep their sequence.
        let last = self.orders.get(target).copied();
        let at = last.map_or(at, |last| at.max(Timestamp(last.0.saturating_add(1))));
        if on {
            self.kills.insert(target.clone());
        } else {
            self.kills.remove(target);
        }
        self.orders.insert(target.clone(), at);
        while self.orders.len() > limits::ORDERS_MAX {
            let freed = self.orders.iter().filter(|(target, _)| !self.kills.contains(target));
            let Some(oldest) = freed.min_by_key(|(_, at)| **at).map(|(t, _)| t.clone()) else {
                break; // every one of them stops something
            };
            self.orders.remove(&oldest);
        }
        Some(GateMark::Killed { target: target.clone(), on, at })
    }

    /// The last order about each target, for a gate that knows none.
    pub(crate) fn orders(&self) -> impl Iterator<Item = GateMark> {
        self.orders.iter().map(|(target, at)| {
            let on = self.kills.contains(target);
            GateMark::Killed { target: target.clone(), on, at: *at }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_was_published_twice_is_admitted_once() {
        let mut marks = Marks::default();
        let origin = |offset, index| Some(Origin { partition: 0, epoch: 0, offset, index });
        assert!(marks.admit(false, origin(0, 0)));
        assert!(marks.admit(false, origin(0, 1)) && !marks.admit(false, origin(0, 1)));
        assert!(marks.admit(false, origin(7, 0)) && !marks.admit(false, origin(3, 9)));
        assert!(marks.admit(true, origin(3, 9)), "owners and shards count apart");
        assert!(marks.admit(false, None) && marks.admit(false, None));
        let stored = postcard::to_stdvec(&marks).expect("encodes");
        assert_eq!(Marks::decode(&stored), Ok(marks));
    }

    #[test]
    fn orders_keep_their_sequence_and_old_checkpoints_are_read() {
        let mut marks = Marks::default();
        let target = KillTarget::All;
        let mut order = |on, at| {
            let target = target.clone();
            let command = if on { Command::Kill { target } } else { Command::Release { target } };
            match marks.follow(&command, Timestamp(at)) {
                Some(GateMark::Killed { on, at, .. }) => (on, at.0),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(order(true, 100), (true, 100));
        assert_eq!(order(false, 100), (false, 101), "the same millisecond");
        assert_eq!(order(true, 200), (true, 200));
        assert_eq!(marks.orders().count(), 1);
        let old = postcard::to_stdvec(&(&marks.sources, &marks.kills)).expect("encodes");
        let read = Marks::decode(&old).expect("the form before");
        let at = Timestamp::MIN;
        assert_eq!(read.orders().collect::<Vec<_>>(), [GateMark::Killed { target, on: true, at }]);
    }

    #[test]
    fn what_was_taken_back_long_ago_is_forgotten_first() {
        let mut marks = Marks::default();
        let target = |nth: usize| KillTarget::Journey(format!("j{nth}").into());
        for nth in 0..=limits::ORDERS_MAX {
            let at = Timestamp(nth as i64);
            marks.follow(&Command::Kill { target: target(nth) }, at);
            if nth > 0 {
                marks.follow(&Command::Release { target: target(nth) }, at);
            }
        }
        assert_eq!(marks.orders.len(), limits::ORDERS_MAX);
        assert!(marks.kills.contains(&target(0)) && marks.orders.contains_key(&target(0)));
        assert!(!marks.orders.contains_key(&target(1)));
    }
}
