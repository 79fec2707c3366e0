//! Which people are in memory, and what a checkpoint writes.

use super::{Parked, Partition, Slot, Wake};
use crate::DecodeError;
use crate::codec;
use crate::profile::{Profile, Stored};
use crate::shortcut::Found;
use crate::step::{Controls, Registers};
use crate::timing::Hours;
use crate::versions::{Publication, Standing};
use serde::{Deserialize, Serialize};
use sojourn_model::{Name, ProfileId, Record, Timestamp, VersionId};
use std::collections::{BTreeMap, BTreeSet};

/// What changed since the last checkpoint: to be written in one atomic batch with the log position.
#[derive(Debug, Default, Clone)]
pub struct Checkpoint {
    /// Encoded profiles, in the order of their first change.
    pub profiles: Vec<(ProfileId, Vec<u8>)>,
    /// Wake of each of these profiles, with nothing in it when nothing is due; `None`: remove it.
    pub wakes: Vec<(ProfileId, Option<Wake>)>,
    /// State of the partition itself.
    pub meta: Vec<u8>,
}

/// The partition's own state.
#[derive(Debug, Serialize, Deserialize)]
struct Meta {
    now: Timestamp,
    current: Option<VersionId>,
    published: BTreeSet<VersionId>,
    controls: Controls,
    registers: Registers,
    parked: BTreeMap<ProfileId, Parked>,
}

/// The partition's own state, and what was added to it since its first layout.
type Extended = (Meta, Beside);

/// Parts of the registers that later layouts added, in that order.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Beside {
    engaged: Hours,
    engaged_in: BTreeMap<Name, Hours>,
    rates: BTreeMap<Name, Timestamp>,
    publications: Vec<Publication>,
}

/// Reads the newest layout, or one before it.
fn read_meta(bytes: &[u8]) -> Result<Extended, DecodeError> {
    let error = match codec::decode::<Extended>(bytes) {
        Ok(extended) => return Ok(extended),
        Err(error) => error,
    };
    if let Ok((meta, engaged)) = codec::decode::<(Meta, Hours)>(bytes) {
        return Ok((meta, Beside { engaged, ..Beside::default() }));
    }
    codec::decode::<Meta>(bytes).map(|meta| (meta, Beside::default())).map_err(|_| error)
}

impl Partition {
    /// Decodes a stored profile, for those who only look.
    pub fn decode_profile(bytes: &[u8]) -> Result<Stored, DecodeError> {
        codec::decode(bytes)
    }

    /// Appends to `ids` the profiles that must be loaded before `record` at `log_time` is applied:
    /// the record's own, the other side of what it moves when that lives here, and everybody whose
    /// timers are due. A command to all may need many. An id may come twice.
    pub fn missing(&self, log_time: Timestamp, record: &Record<'_>, ids: &mut Vec<ProfileId>) {
        let mut need = |id: ProfileId| {
            if !self.profiles.contains_key(&id) {
                ids.push(id);
            }
        };
        if let Some(id) = record.profile() {
            need(id);
        }
        let here = |id: &ProfileId| id.partition(self.shared.partitions) == self.shared.id;
        match record {
            Record::Merge { into: other, .. } | Record::Release { to: other, .. }
                if here(other) =>
            {
                need(*other);
            }
            Record::Command(command) => self.reached_by(command).into_iter().for_each(&mut need),
            // What is applied after a wait may hold such records.
            Record::Absorb { into, .. } => {
                let parked = self.parked.get(into);
                let parked = parked.into_iter().flat_map(Parked::others);
                parked.filter(|other| here(other)).for_each(&mut need);
            }
            _ => {}
        }
        self.swept(log_time).for_each(&mut need);
        self.wakes.due(log_time).for_each(need);
    }

    /// Takes a profile from the store into memory; `None`: the store has none.
    pub fn load(&mut self, id: ProfileId, bytes: Option<&[u8]>) -> Result<(), DecodeError> {
        if self.profiles.contains_key(&id) {
            return Ok(());
        }
        let stored = match bytes {
            Some(bytes) => codec::decode(bytes)?,
            None => Stored::Live(Box::new(Profile::new(id))),
        };
        if !self.parked.contains_key(&id) {
            // Also for who is gone: to an owner whose time is over the store may show a person as its
            // successor left them, without the timers that this one still knows.
            let wake = match &stored {
                Stored::Live(profile) => profile.wake(),
                Stored::Absorbed { .. } | Stored::Erased => Wake::default(),
            };
            self.wakes.set(id, wake);
        }
        self.profiles
            .insert(id, Slot { stored, dirty: false, used: true, found: Found::default() });
        self.resident.push(id);
        Ok(())
    }

    /// Where the live runs of everybody in memory stand.
    pub fn standing(&self) -> Standing {
        let mut standing = Standing::default();
        for profile in self.roster.iter().filter_map(|id| self.profile(*id)) {
            standing.add(profile);
        }
        standing
    }

    /// How many profiles changed since the last checkpoint.
    pub fn dirty(&self) -> usize {
        self.dirty.len()
    }

    /// Everything that changed since the last call, and the partition's own state.
    pub fn take_checkpoint(&mut self) -> Checkpoint {
        let mut checkpoint = Checkpoint { meta: self.meta(), ..Checkpoint::default() };
        for id in std::mem::take(&mut self.dirty) {
            let slot = self.profiles.get_mut(&id).expect("dirty profiles stay in memory");
            slot.dirty = false;
            checkpoint.profiles.push((id, codec::encode(&slot.stored)));
            // Also of those for whom nothing is due: the wakes are the list of who lives here.
            let wake = match &slot.stored {
                Stored::Live(profile) => Some(profile.wake()),
                Stored::Absorbed { .. } | Stored::Erased => None,
            };
            checkpoint.wakes.push((id, wake));
        }
        checkpoint
    }

    fn meta(&self) -> Vec<u8> {
        let meta = Meta {
            now: self.now,
            current: self.current,
            published: self.published.clone(),
            controls: self.shared.controls.clone(),
            registers: self.registers.clone(),
            parked: self.parked.clone(),
        };
        let beside = Beside {
            engaged: self.registers.engaged,
            engaged_in: self.registers.engaged_in.clone(),
            rates: self.registers.rates.clone(),
            publications: self.registers.publications.clone(),
        };
        codec::encode::<Extended>(&(meta, beside))
    }

    /// Takes back the partition's own state as a checkpoint wrote it. Before any wake or profile.
    pub fn restore_meta(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let (meta, beside) = read_meta(bytes)?;
        self.now = meta.now;
        self.current = meta.current;
        self.published = meta.published;
        self.shared.controls = meta.controls;
        self.registers = meta.registers;
        self.registers.engaged = beside.engaged;
        self.registers.engaged_in = beside.engaged_in;
        self.registers.rates = beside.rates;
        self.registers.publications = beside.publications;
        self.parked = meta.parked;
        self.derive();
        Ok(())
    }

    /// Takes back one profile's wake as a checkpoint wrote it.
    pub fn restore_wake(&mut self, id: ProfileId, wake: Wake) {
        self.roster.insert(id);
        if !self.parked.contains_key(&id) {
            self.wakes.set(id, wake);
        }
    }

    /// Profiles in memory.
    pub fn resident(&self) -> usize {
        self.resident.len()
    }

    /// Drops profiles that are clean and were not used lately, until at most `keep` are in memory
    /// (or all that remain are dirty). Gives the number dropped.
    pub fn evict(&mut self, keep: usize) -> usize {
        let mut dropped = 0;
        // Twice round: the first time clears the marks of use.
        let mut looks = self.resident.len() * 2;
        while self.resident.len() > keep && looks > 0 {
            looks -= 1;
            self.hand = if self.hand >= self.resident.len() { 0 } else { self.hand };
            let id = self.resident[self.hand];
            let slot = self.profiles.get_mut(&id).expect("resident");
            if slot.dirty || std::mem::take(&mut slot.used) {
                self.hand += 1;
                continue;
            }
            self.profiles.remove(&id);
            self.resident.swap_remove(self.hand);
            dropped += 1;
        }
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Effects, Limits};
    use sojourn_model::{LogPosition, MergeId};

    #[test]
    fn who_is_loaded_as_gone_has_no_timers() {
        let mut partition = Partition::new(0, 1, Limits::default());
        let (id, due) = (ProfileId(1), Timestamp(5));
        partition.restore_wake(id, Wake { wait: Some(due), timeout: None });
        let gone = Stored::Absorbed { into: ProfileId(2), id: MergeId { cause: 1, index: 0 } };
        partition.load(id, Some(&codec::encode(&gone))).unwrap();
        assert_eq!(partition.next_wake(), None);
        let position = LogPosition { partition: 0, offset: 1 };
        partition.advance(position, Timestamp(10), &mut Effects::new());
    }
}
