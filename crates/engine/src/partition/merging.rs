//! Merges between people who may live in different partitions, without losing anybody's order.
//!
//! The absorbed person's partition answers `Merge` with `Absorb`. The survivor's partition, told by
//! `Await`, parks the survivor's records until the `Absorb` has come, then applies them in order, each
//! at its own log time. Where both live here, the state moves at once.

use super::{At, Partition, Union, Wake};
use crate::limits::PARKED_NOTED;
use crate::mutation::{Mutation, planted};
use crate::profile::{Profile, Stored};
use crate::{Effects, OwnedRecord};
use serde::{Deserialize, Serialize};
use sojourn_model::{
    LogPosition, MergeId, Note, NoteKind, ProfileId, Record, Timestamp, VersionId,
};

/// A person whose records wait for unions to complete.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Parked {
    /// Unions whose `Absorb` has not come.
    waiting: Vec<MergeId>,
    /// When the first was announced.
    since: Timestamp,
    records: Vec<ParkedRecord>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct ParkedRecord {
    offset: u64,
    at: Timestamp,
    record: OwnedRecord,
}

impl Parked {
    /// Other people whom parked records concern.
    pub(super) fn others(&self) -> impl Iterator<Item = ProfileId> {
        self.records.iter().filter_map(|parked| match &parked.record {
            OwnedRecord::Merge { into, .. } => Some(*into),
            OwnedRecord::Release { to, .. } => Some(*to),
            _ => None,
        })
    }
}

impl Partition {
    fn lives_here(&self, id: ProfileId) -> bool {
        id.partition(self.shared.partitions) == self.shared.id
    }

    /// `Await`: parks the survivor, unless the state has come already.
    pub(super) fn expect_union(&mut self, union: MergeId, into: ProfileId, at: Timestamp) {
        let slot = self.profiles.get_mut(&into).expect("loaded");
        let Stored::Live(profile) = &mut slot.stored else { return };
        if let Some(place) = profile.absorbed_early.iter().position(|early| *early == union) {
            profile.absorbed_early.remove(place);
            if !slot.dirty {
                slot.dirty = true;
                self.dirty.push(into);
            }
            return;
        }
        let parked = self.parked.entry(into).or_default();
        if parked.waiting.is_empty() {
            parked.since = at;
        }
        parked.waiting.push(union);
        // Its timers wait too: what they decide may depend on the state that is to come.
        self.wakes.set(into, Wake::default());
    }

    pub(super) fn park(
        &mut self,
        id: ProfileId,
        at: At,
        record: &Record<'_>,
        effects: &mut Effects,
    ) {
        let parked = self.parked.get_mut(&id).expect("parked");
        let owned = OwnedRecord::of(record).expect("concerns one person");
        parked.records.push(ParkedRecord { offset: at.offset, at: at.now, record: owned });
        if parked.records.len() == PARKED_NOTED {
            let kind = NoteKind::Limit { what: "parked".into(), limit: PARKED_NOTED as u64 };
            let note = Note { position: at.position, at: at.now, profile: id, kind };
            effects.push(crate::Effect::Note(Box::new(note)));
        }
    }

    /// Definitions that an `Absorb` needs and that this partition has forgotten, because no run of
    /// its own was on them: the owner installs them before it applies the record.
    pub fn missing_versions(&self, record: &Record<'_>) -> Vec<VersionId> {
        let Record::Absorb { state, .. } = record else { return Vec::new() };
        let Ok(profile) = crate::codec::decode::<Profile>(state) else { return Vec::new() };
        let mut versions: Vec<_> = profile.runs.iter().map(|run| run.version).collect();
        versions.sort_unstable();
        versions.dedup();
        versions.retain(|version| !self.shared.versions.contains_key(version));
        versions
    }

    /// What a person's runs are on belongs to this partition now.
    fn keep_versions_of(&mut self, id: ProfileId) {
        let Some(profile) = self.profile(id) else { return };
        let versions: Vec<_> = profile.runs.iter().map(|run| run.version).collect();
        let known = self.published.len();
        self.published.extend(versions);
        if self.published.len() > known {
            self.derive();
        }
    }

    /// `Merge`: hands this person's state to the survivor and leaves a forwarding tombstone.
    pub(super) fn merge_away(
        &mut self,
        union: Union,
        position: LogPosition,
        effects: &mut Effects,
    ) {
        let tombstone = Stored::Absorbed { into: union.into, id: union.id };
        let before = self.replace(union.from, tombstone);
        let Stored::Live(profile) = before else { unreachable!("only the living are merged away") };
        self.forget_registers(union.from);
        for run in &profile.runs {
            if let Some(pins) = self.registers.pins.get_mut(&run.version) {
                *pins = pins.saturating_sub(1);
            }
        }
        self.registers.pins.retain(|_, pins| *pins > 0);
        self.hand_over(union, *profile, position, effects);
    }

    /// Gives the survivor the state: here at once, elsewhere by an `Absorb`.
    pub(super) fn hand_over(
        &mut self,
        union: Union,
        profile: Profile,
        position: LogPosition,
        effects: &mut Effects,
    ) {
        let into = union.into;
        if self.lives_here(into) && matches!(self.stored(into), Some(Stored::Live(_))) {
            let at = At { position, offset: position.offset, now: self.now };
            self.absorb_profile(union, profile, at, effects);
            return;
        }
        let (id, from, state) = (union.id, union.from, crate::codec::encode(&profile));
        Self::forward(effects, into, Some(OwnedRecord::Absorb { id, from, state }));
    }

    /// `Absorb`: the state has come.
    pub(super) fn absorb_state(
        &mut self,
        union: Union,
        state: &[u8],
        at: At,
        effects: &mut Effects,
    ) {
        // Unreadable bytes are another build's: the merge completes without them, and says so.
        let profile = crate::codec::decode::<Profile>(state).unwrap_or_else(|error| {
            let kind = NoteKind::Limit { what: error.to_string().into(), limit: 0 };
            let note = Note { position: at.position, at: at.now, profile: union.into, kind };
            effects.push(crate::Effect::Note(Box::new(note)));
            Profile::new(union.from)
        });
        self.absorb_profile(union, profile, at, effects);
    }

    fn absorb_profile(&mut self, union: Union, profile: Profile, at: At, effects: &mut Effects) {
        let into = union.into;
        // Parked: as if the state had come with the announcement.
        let now = self.parked.get(&into).map_or(at.now, |parked| parked.since);
        let at = At { now, ..at };
        self.with(into, at, effects, |step| step.absorb(union.id, union.from, profile));
        self.keep_versions_of(into);
        let awaited = self.parked.get_mut(&into).and_then(|parked| {
            let place = parked.waiting.iter().position(|waiting| *waiting == union.id)?;
            parked.waiting.remove(place);
            Some(parked.waiting.is_empty())
        });
        match awaited {
            Some(true) => self.unpark(into, at.position, effects),
            Some(false) => {}
            None => {
                self.with(into, at, effects, |step| step.profile.absorbed_early.push(union.id));
            }
        }
    }

    /// Applies what was parked, in order, each record at its own log time.
    fn unpark(&mut self, id: ProfileId, position: LogPosition, effects: &mut Effects) {
        let parked = self.parked.remove(&id).expect("parked");
        let mut records = parked.records.into_iter();
        for parked in records.by_ref() {
            self.fire_alone(id, position, parked.at, effects);
            let record = parked.record.addressed_to(id);
            let at = At { position, offset: parked.offset, now: parked.at };
            self.addressed(id, at, &record, effects);
            // Another union was announced in between: the rest waits for it.
            if let Some(again) = self.parked.get_mut(&id) {
                again.records.extend(records);
                return;
            }
        }
        let now = self.now;
        self.fire_alone(id, position, now, effects);
    }

    /// Fires one person's timers due by `to`.
    fn fire_alone(
        &mut self,
        id: ProfileId,
        position: LogPosition,
        to: Timestamp,
        effects: &mut Effects,
    ) {
        loop {
            let Some(profile) = self.profile(id) else { return };
            let wake = profile.wake();
            let wait = wake.wait.filter(|at| *at <= to);
            let timeout = wake.timeout.filter(|at| *at < to);
            let Some(due) = crate::profile::earlier(wait, timeout) else { return };
            self.wakes.set(id, wake);
            self.fire_person(id, position, due, to, effects);
        }
    }

    /// A record reached somebody who was absorbed: it goes on to the survivor. The state that an
    /// unmerge gives back makes the person live again.
    pub(super) fn at_tombstone(
        &mut self,
        done: Union,
        position: LogPosition,
        record: &Record<'_>,
        effects: &mut Effects,
    ) {
        let Union { id, from, into } = done;
        match record {
            Record::Absorb { id: undone, from: survivor, state, .. }
                if *undone == id && *survivor == into =>
            {
                if let Ok(mut profile) = crate::codec::decode::<Profile>(state) {
                    // The number that it brings counts the publishes of another partition.
                    profile.prepared = Some(self.registers.publishes);
                    self.replace(from, Stored::Live(Box::new(profile)));
                    let at = At { position, offset: position.offset, now: self.now };
                    self.with(from, at, effects, |step| {
                        step.count_runs();
                        step.remember_segments();
                    });
                    self.keep_versions_of(from);
                }
            }
            // Told again of a union that is done.
            Record::Merge { id: again, .. } if *again == id => {}
            // Absorbed by another union first: this one's survivor must not wait for ever.
            Record::Merge { id, from, into } => {
                let union = Union { id: *id, from: *from, into: *into };
                self.hand_over(union, Profile::new(*from), position, effects);
            }
            _ if planted(Mutation::TombstoneKeeps) => {}
            _ => Self::forward(effects, into, OwnedRecord::of(record)),
        }
    }
}
