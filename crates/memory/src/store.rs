//! The state store in memory, with a history that can be taken back.
//!
//! One object is both [`StateStore`] and [`sojourn_ports::IdentityGraph`], as in the embedded
//! product: a stale replica or a restored snapshot takes both back together.

use crate::fault::{Dice, FaultCounts, Random, StoreFaults, UnknownOutcome};
use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use sojourn_ports::state::limits;
use sojourn_ports::{Checkpoint, Claim, Space, StateError, StateStore};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

/// A store in memory.
#[derive(Default)]
pub struct MemoryStore {
    inner: Mutex<Store>,
}

/// Steps that can be taken back (LIM-1).
const HISTORY_MAX: usize = 4_096;

#[derive(Default)]
pub(crate) struct Store {
    pub(crate) cells: BTreeMap<String, BTreeMap<(Space, Bytes), Bytes>>,
    pub(crate) nodes: BTreeMap<Bytes, (u64, Bytes)>,
    /// Never taken back: a claim is greater than any before it.
    pub(crate) epochs: BTreeMap<String, u64>,
    pub(crate) positions: BTreeMap<String, u64>,
    /// Version of the node written last, over all nodes.
    pub(crate) version: u64,
    history: VecDeque<Step>,
    faults: StoreFaults,
    forced: VecDeque<UnknownOutcome>,
    unreachable: bool,
    dice: Dice,
    counts: FaultCounts,
}

/// What a checkpoint or commit replaced.
pub(crate) struct Step {
    pub(crate) owner: String,
    pub(crate) position: Option<u64>,
    pub(crate) cells: Vec<((Space, Bytes), Option<Bytes>)>,
    pub(crate) nodes: Vec<(Bytes, Option<(u64, Bytes)>)>,
}

/// What the faults make of a write.
pub(crate) enum Fate {
    Do,
    DoAndHide,
    Skip,
    Fail,
}

impl MemoryStore {
    /// An empty store without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Source of choices for faults.
    pub fn set_random(&self, random: Random) {
        self.inner.lock().dice = Dice::new(random);
    }

    /// Faults by chance from here on.
    pub fn set_faults(&self, faults: StoreFaults) {
        self.inner.lock().faults = faults;
    }

    /// The next checkpoint or commit (after those already told) answers `Unknown`.
    pub fn next_write_unknown(&self, outcome: UnknownOutcome) {
        self.inner.lock().forced.push_back(outcome);
    }

    /// Every call fails, until taken back.
    pub fn set_unreachable(&self, unreachable: bool) {
        self.inner.lock().unreachable = unreachable;
    }

    /// Checkpoints and commits that can be taken back.
    pub fn history(&self) -> usize {
        self.inner.lock().history.len()
    }

    /// Takes back the last `steps` checkpoints and commits of all owners (a stale replica takes
    /// over, a snapshot is restored). Returns how many were taken back.
    pub fn roll_back(&self, steps: usize) -> usize {
        self.inner.lock().take_back(steps, |_| true)
    }

    /// As [`MemoryStore::roll_back`] for one owner of the [`StateStore`] alone.
    pub fn roll_back_owner(&self, owner: &str, steps: usize) -> usize {
        assert!(!owner.starts_with(crate::graph::OWNER), "shards share nodes: roll all back");
        self.inner.lock().take_back(steps, |step| step.owner == owner)
    }

    /// Everything is gone, as after a flush. Epochs stay: a claim never goes back.
    pub fn empty(&self) {
        let mut store = self.inner.lock();
        store.cells.clear();
        store.nodes.clear();
        store.positions.clear();
        store.history.clear();
        store.counts.emptied += 1;
    }

    /// How often each fault has happened.
    pub fn fault_counts(&self) -> FaultCounts {
        self.inner.lock().counts
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Store> {
        self.inner.lock()
    }
}

impl Store {
    /// Draws the fate of a write.
    pub(crate) fn fate(&mut self) -> Fate {
        if self.fails() {
            return Fate::Fail;
        }
        let outcome = match self.forced.pop_front() {
            Some(outcome) => Some(outcome),
            None => {
                let chance = self.faults.unknown;
                self.dice.hits(chance).then(|| self.dice.outcome())
            }
        };
        match outcome {
            None => Fate::Do,
            Some(UnknownOutcome::Applied) => {
                self.counts.unknown_applied += 1;
                Fate::DoAndHide
            }
            Some(UnknownOutcome::Lost) => {
                self.counts.unknown_lost += 1;
                Fate::Skip
            }
        }
    }

    /// Whether this call fails.
    pub(crate) fn fails(&mut self) -> bool {
        let chance = self.faults.failed;
        let fails = self.unreachable || self.dice.hits(chance);
        self.counts.failed += u64::from(fails);
        fails
    }

    /// Raises the epoch of an owner.
    pub(crate) fn claim(&mut self, owner: &str) -> Claim {
        let epoch = self.epochs.entry(owner.to_owned()).or_default();
        *epoch += 1;
        Claim { epoch: *epoch, position: self.positions.get(owner).copied() }
    }

    /// Remembers what a step replaced.
    pub(crate) fn remember(&mut self, step: Step) {
        self.history.push_back(step);
        if self.history.len() > HISTORY_MAX {
            self.history.pop_front();
        }
    }

    /// Nothing can be taken back any more.
    pub(crate) fn forget_history(&mut self) {
        self.history.clear();
    }

    fn take_back(&mut self, steps: usize, concerns: impl Fn(&Step) -> bool) -> usize {
        let mut taken = 0;
        let mut kept = Vec::new();
        while taken < steps {
            let Some(step) = self.history.pop_back() else { break };
            if concerns(&step) {
                self.undo(step);
                taken += 1;
            } else {
                kept.push(step);
            }
        }
        self.history.extend(kept.into_iter().rev());
        self.counts.roll_backs += u64::from(taken > 0);
        taken
    }

    fn undo(&mut self, step: Step) {
        let cells = self.cells.entry(step.owner.clone()).or_default();
        for (key, old) in step.cells.into_iter().rev() {
            match old {
                Some(value) => cells.insert(key, value),
                None => cells.remove(&key),
            };
        }
        for (key, old) in step.nodes.into_iter().rev() {
            match old {
                Some(node) => self.nodes.insert(key, node),
                None => self.nodes.remove(&key),
            };
        }
        match step.position {
            Some(position) => self.positions.insert(step.owner, position),
            None => self.positions.remove(&step.owner),
        };
    }

    fn apply(&mut self, owner: &str, checkpoint: Checkpoint) {
        let cells = self.cells.entry(owner.to_owned()).or_default();
        let mut replaced = Vec::with_capacity(checkpoint.writes.len());
        for write in checkpoint.writes {
            let key = (write.space, write.key);
            let old = match write.value {
                Some(value) => cells.insert(key.clone(), value),
                None => cells.remove(&key),
            };
            replaced.push((key, old));
        }
        let position = self.positions.insert(owner.to_owned(), checkpoint.position);
        self.remember(Step { owner: owner.to_owned(), position, cells: replaced, nodes: vec![] });
    }
}

fn unreachable_store() -> StateError {
    StateError::Failed("the store does not answer".to_owned())
}

impl StateStore for MemoryStore {
    fn claim(&self, owner: &str) -> Result<Claim, StateError> {
        limits::check_owner(owner)?;
        let mut store = self.lock();
        if store.fails() {
            return Err(unreachable_store());
        }
        Ok(store.claim(owner))
    }

    fn get(
        &self,
        owner: &str,
        space: Space,
        keys: &[Bytes],
    ) -> Result<Vec<Option<Bytes>>, StateError> {
        let mut store = self.lock();
        if store.fails() {
            return Err(unreachable_store());
        }
        let cells = store.cells.get(owner);
        let find = |key: &Bytes| cells?.get(&(space, key.clone())).cloned();
        Ok(keys.iter().map(find).collect())
    }

    fn scan(
        &self,
        owner: &str,
        space: Space,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StateError> {
        let found: Vec<(Bytes, Bytes)> = {
            let mut store = self.lock();
            if store.fails() {
                return Err(unreachable_store());
            }
            // Taken out first: `visit` may call the store.
            let Some(cells) = store.cells.get(owner) else { return Ok(()) };
            let start = Bound::Included((space, Bytes::copy_from_slice(from)));
            cells
                .range((start, Bound::Unbounded))
                .take_while(|((found, key), _)| {
                    *found == space && to.is_none_or(|to| key.as_ref() < to)
                })
                .map(|((_, key), value)| (key.clone(), value.clone()))
                .collect()
        };
        for (key, value) in found {
            if !visit(&key, &value) {
                break;
            }
        }
        Ok(())
    }

    fn checkpoint(
        &self,
        owner: &str,
        epoch: u64,
        checkpoint: Checkpoint,
    ) -> Result<(), StateError> {
        limits::check_owner(owner)?;
        limits::check(&checkpoint)?;
        let mut store = self.lock();
        let fate = store.fate();
        if let Fate::Fail = fate {
            return Err(unreachable_store());
        }
        let current = store.epochs.get(owner).copied().unwrap_or(0);
        if current != epoch {
            return Err(StateError::Fenced { owner: owner.to_owned(), mine: epoch, current });
        }
        if let Some(&at) = store.positions.get(owner)
            && checkpoint.position < at
        {
            let to = checkpoint.position;
            return Err(StateError::Failed(format!("{owner} would go back from {at} to {to}")));
        }
        if !matches!(fate, Fate::Skip) {
            store.apply(owner, checkpoint);
        }
        match fate {
            Fate::Do => Ok(()),
            _ => Err(StateError::Unknown("no answer in time".to_owned())),
        }
    }

    fn owners(&self) -> Result<Vec<(String, u64)>, StateError> {
        let mut store = self.lock();
        if store.fails() {
            return Err(unreachable_store());
        }
        let of_states = |(owner, _): &(&String, &u64)| !owner.starts_with(crate::graph::OWNER);
        Ok(store.positions.iter().filter(of_states).map(|(o, &p)| (o.clone(), p)).collect())
    }
}
