//! What an owner remembers beside the engine's state: how far it has read each source, and the kill
//! switches that the gate must know again after a restart.

use crate::planted::{Mutation, planted};
use serde::{Deserialize, Serialize};
use sojourn_model::{Command, KillTarget};
use sojourn_proto::Origin;
use std::collections::{BTreeMap, BTreeSet};

/// High-water marks and kill switches; stored with every checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marks {
    /// By source (owner or identity shard, and its partition): the highest place seen.
    seen: BTreeMap<(bool, u16), (u64, u32)>,
    kills: BTreeSet<KillTarget>,
}

impl Marks {
    /// Whether this record is new; raises the mark when it is (LOG-2). A source publishes for its
    /// records in order, so whatever is not above the mark was seen.
    pub(crate) fn admit(&mut self, from_owner: bool, origin: Option<Origin>) -> bool {
        let Some(Origin { partition, offset, index }) = origin else { return true };
        let place = (offset, index);
        match self.seen.get_mut(&(from_owner, partition)) {
            Some(highest) if place <= *highest => planted(Mutation::AppliedTwice),
            Some(highest) => {
                *highest = place;
                true
            }
            None => {
                self.seen.insert((from_owner, partition), place);
                true
            }
        }
    }

    /// Follows kill switches; true when the command is one.
    pub(crate) fn follow(&mut self, command: &Command) -> Option<(KillTarget, bool)> {
        match command {
            Command::Kill { target } => {
                self.kills.insert(target.clone());
                Some((target.clone(), true))
            }
            Command::Release { target } => {
                self.kills.remove(target);
                Some((target.clone(), false))
            }
            _ => None,
        }
    }

    pub(crate) fn kills(&self) -> impl Iterator<Item = &KillTarget> {
        self.kills.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_was_published_twice_is_admitted_once() {
        let mut marks = Marks::default();
        let origin = |offset, index| Some(Origin { partition: 0, offset, index });
        assert!(marks.admit(false, origin(0, 0)));
        assert!(marks.admit(false, origin(0, 1)) && !marks.admit(false, origin(0, 1)));
        assert!(marks.admit(false, origin(7, 0)) && !marks.admit(false, origin(3, 9)));
        assert!(marks.admit(true, origin(3, 9)), "owners and shards count apart");
        assert!(marks.admit(false, None) && marks.admit(false, None));
        let stored = postcard::to_stdvec(&marks).expect("encodes");
        assert_eq!(postcard::from_bytes(&stored), Ok(marks));
    }
}
