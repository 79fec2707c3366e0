//! What an owner remembers beside the engine's state: how far it has read each source, and the kill
//! switches that the gate must know again after a restart.

use crate::metric_names as names;
use crate::planted::{Mutation, planted};
use metrics::counter;
use serde::{Deserialize, Serialize};
use sojourn_model::{Command, KillTarget};
use sojourn_proto::{Admission, Origin, Sources};
use std::collections::BTreeSet;

/// High-water marks and kill switches; stored with every checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marks {
    /// What has been seen of each owner and identity shard that publishes here.
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
        let origin = |offset, index| Some(Origin { partition: 0, epoch: 0, offset, index });
        assert!(marks.admit(false, origin(0, 0)));
        assert!(marks.admit(false, origin(0, 1)) && !marks.admit(false, origin(0, 1)));
        assert!(marks.admit(false, origin(7, 0)) && !marks.admit(false, origin(3, 9)));
        assert!(marks.admit(true, origin(3, 9)), "owners and shards count apart");
        assert!(marks.admit(false, None) && marks.admit(false, None));
        let stored = postcard::to_stdvec(&marks).expect("encodes");
        assert_eq!(postcard::from_bytes(&stored), Ok(marks));
    }
}
