//! Owners that were replaced and do not know it: they were paused, and go on where they stopped.

use crate::world::World;
use anyhow::Result;
use sojourn_identity::{IdentityError, IdentityShard};
use sojourn_memory::FaultCounts;
use sojourn_ports::{GraphError, Log, StateError, Topic};
use sojourn_worker::{OwnerError, PartitionOwner};

/// Replaced owners that live on at most; older ones are gone for good.
const ZOMBIES_MAX: usize = 4;

/// An owner that was replaced.
pub(crate) enum Zombie {
    /// Of a shard.
    Identity(Box<IdentityShard>),
    /// Of a partition of `profiles`.
    Owner(u16, Box<PartitionOwner>),
}

/// Whether a turn failed because another owner has claimed.
enum Ended {
    No,
    /// By the store: another owner has claimed.
    Fenced,
    /// Otherwise.
    Failed(String),
}

impl Zombie {
    fn turn(&mut self) -> Ended {
        match self {
            Self::Identity(shard) => match shard.turn() {
                Ok(_) => Ended::No,
                Err(IdentityError::Graph { source: GraphError::Fenced { .. }, .. }) => {
                    Ended::Fenced
                }
                Err(error) => Ended::Failed(error.to_string()),
            },
            Self::Owner(_, owner) => match owner.turn() {
                Ok(_) => Ended::No,
                Err(OwnerError::State { source: StateError::Fenced { .. }, .. }) => Ended::Fenced,
                Err(error) => Ended::Failed(error.to_string()),
            },
        }
    }

    /// Whether it still has what it had in memory: else its next turn claims anew, and then it is
    /// no zombie but the owner.
    fn holds(&self) -> bool {
        match self {
            Self::Identity(shard) => shard.position().is_some(),
            Self::Owner(_, owner) => owner.position().is_some(),
        }
    }
}

impl World {
    /// A role is replaced: its owner lives on as a zombie where several machines share the work.
    pub(crate) fn replaced(&mut self, zombie: Option<Zombie>) {
        if !self.faults.distributed {
            return;
        }
        if self.zombies.len() == ZOMBIES_MAX {
            self.zombies.remove(0);
        }
        self.zombies.extend(zombie.filter(Zombie::holds));
    }

    /// A zombie wakes and takes a turn.
    pub(crate) fn turn_zombie(&mut self) -> Result<()> {
        let chosen = self.random.below(self.zombies.len());
        let replaced = match &self.zombies[chosen] {
            Zombie::Identity(_) => self.identity.as_ref().is_some_and(|s| s.position().is_some()),
            Zombie::Owner(partition, _) => self.owners[usize::from(*partition)]
                .as_ref()
                .is_some_and(|owner| owner.position().is_some()),
        };
        let before = self.published();
        let ended = self.zombies[chosen].turn();
        if replaced && self.published() > before {
            self.sight("a zombie published after its epoch ended");
        }
        match ended {
            Ended::No => {}
            Ended::Fenced => {
                self.sight("a zombie was fenced");
                self.zombies.remove(chosen);
            }
            Ended::Failed(error) => {
                self.say(|| format!("zombie: {error}"));
                self.zombies.remove(chosen);
            }
        }
        self.zombies.retain(Zombie::holds);
        Ok(())
    }

    /// Records that owners have published.
    fn published(&self) -> u64 {
        [Topic::Profiles, Topic::Actions, Topic::Decisions]
            .into_iter()
            .flat_map(|topic| (0..self.log.partitions(topic)).map(move |p| (topic, p)))
            .map(|(topic, p)| self.log.bounds(topic, p).map_or(0, |bounds| bounds.next))
            .sum()
    }

    /// The store of one owner comes back older while the owner lives.
    pub(crate) fn stale_replica(&mut self) {
        let partition = self.random.below(usize::from(crate::world::PARTITIONS)) as u16;
        let steps = 1 + self.random.below(4);
        let owner = sojourn_worker::owner_name(partition);
        if self.store.roll_back_owner(&owner, steps) > 0 {
            self.sight("the store came back older under a living owner");
            self.say(|| format!("{owner}: {steps} checkpoints lost"));
        }
    }

    /// Counts what the distributed log did to appends.
    pub(crate) fn sight_appends(&mut self) {
        let FaultCounts { partial_appends, repeated_appends, .. } = self.log.fault_counts();
        for (what, times) in [
            ("a partial append was replayed", partial_appends),
            ("an append arrived twice", repeated_appends),
        ] {
            if times > 0 {
                *self.sightings.entry(what.to_owned()).or_default() += times;
            }
        }
    }
}
