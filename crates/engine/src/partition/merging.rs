//! Merges between people who may live in different partitions, without losing anybody's order.
//!
//! The absorbed person's partition answers `Merge` with `Absorb`. The survivor's partition, told by
//! `Await`, parks the survivor's records until the `Absorb` has come, then applies them in order, each
//! at its own log time. Where both live here, the state moves at once.

use super::{Partition, Wake};
use crate::limits::PARKED_NOTED;
use crate::profile::{Profile, Stored};
use crate::{Effects, OwnedRecord};
use serde::{Deserialize, Serialize};
use sojourn_model::{LogPosition, MergeId, Note, NoteKind, ProfileId, Record, Timestamp};

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
    pub(super) fn await_union(&mut self, union: MergeId, into: ProfileId, at: Timestamp) {
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
        position: LogPosition,
        at: Timestamp,
        record: &Record<'_>,
        effects: &mut Effects,
    ) {
        let parked = self.parked.get_mut(&id).expect("parked");
        let owned = OwnedRecord::of(record).expect("concerns one person");
        parked.records.push(ParkedRecord { offset: position.offset, at, record: owned });
        if parked.records.len() == PARKED_NOTED {
            let kind = NoteKind::Limit { what: "parked".into(), limit: PARKED_NOTED as u64 };
            let note = Note { position, at, profile: id, kind };
            effects.push(crate::Effect::Note(Box::new(note)));
        }
    }

    /// `Merge`: hands this person's state to the survivor and leaves a forwarding tombstone.
    pub(super) fn merge_away(
        &mut self,
        union: MergeId,
        from: ProfileId,
        into: ProfileId,
        position: LogPosition,
        effects: &mut Effects,
    ) {
        let before = self.replace(from, Stored::Absorbed { into, id: union });
        let Stored::Live(profile) = before else { unreachable!("only the living are merged away") };
        self.forget_registers(from);
        for run in &profile.runs {
            if let Some(pins) = self.registers.pins.get_mut(&run.version) {
                *pins = pins.saturating_sub(1);
            }
        }
        self.registers.pins.retain(|_, pins| *pins > 0);
        self.hand_over(union, from, into, *profile, position, effects);
    }

    /// Gives the survivor the state: here at once, elsewhere by an `Absorb`.
    pub(super) fn hand_over(
        &mut self,
        union: MergeId,
        from: ProfileId,
        into: ProfileId,
        profile: Profile,
        position: LogPosition,
        effects: &mut Effects,
    ) {
        if self.lives_here(into) && matches!(self.stored(into), Some(Stored::Live(_))) {
            let at = self.now;
            self.absorb_profile(union, into, from, profile, position, at, effects);
            return;
        }
        let state = crate::codec::encode(&profile);
        Self::forward(effects, into, Some(OwnedRecord::Absorb { id: union, from, state }));
    }

    /// `Absorb`: the state has come.
    #[expect(clippy::too_many_arguments, reason = "a record's fields and where it stands")]
    pub(super) fn absorb_state(
        &mut self,
        union: MergeId,
        into: ProfileId,
        from: ProfileId,
        state: &[u8],
        position: LogPosition,
        at: Timestamp,
        effects: &mut Effects,
    ) {
        // Unreadable bytes are another build's: the merge completes without them, and says so.
        let profile = crate::codec::decode::<Profile>(state).unwrap_or_else(|error| {
            let kind = NoteKind::Limit { what: error.to_string().into(), limit: 0 };
            let note = Note { position, at, profile: into, kind };
            effects.push(crate::Effect::Note(Box::new(note)));
            Profile::new(from)
        });
        self.absorb_profile(union, into, from, profile, position, at, effects);
    }

    #[expect(clippy::too_many_arguments, reason = "a record's fields and where it stands")]
    fn absorb_profile(
        &mut self,
        union: MergeId,
        into: ProfileId,
        from: ProfileId,
        profile: Profile,
        position: LogPosition,
        at: Timestamp,
        effects: &mut Effects,
    ) {
        // Parked: as if the state had come with the announcement.
        let at = self.parked.get(&into).map_or(at, |parked| parked.since);
        self.with(into, position, position.offset, at, effects, |step| {
            step.absorb(union, from, profile);
        });
        let awaited = self.parked.get_mut(&into).and_then(|parked| {
            let place = parked.waiting.iter().position(|waiting| *waiting == union)?;
            parked.waiting.remove(place);
            Some(parked.waiting.is_empty())
        });
        match awaited {
            Some(true) => self.unpark(into, position, effects),
            Some(false) => {}
            None => {
                self.with(into, position, position.offset, at, effects, |step| {
                    step.profile.absorbed_early.push(union);
                });
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
            match self.stored(id) {
                Some(Stored::Live(_)) => {
                    self.person(id, position, parked.offset, parked.at, &record, effects);
                }
                _ => self.addressed(id, position, parked.at, &record, effects),
            }
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
        id: ProfileId,
        into: ProfileId,
        union: MergeId,
        position: LogPosition,
        record: &Record<'_>,
        effects: &mut Effects,
    ) {
        match record {
            Record::Absorb { id: undone, from, state, .. } if *undone == union && *from == into => {
                if let Ok(profile) = crate::codec::decode::<Profile>(state) {
                    self.replace(id, Stored::Live(Box::new(profile)));
                    let now = self.now;
                    self.with(id, position, position.offset, now, effects, |step| {
                        step.count_runs();
                        step.remember_segments();
                    });
                }
            }
            // Told again of a union that is done.
            Record::Merge { id: again, .. } if *again == union => {}
            // Absorbed by another union first: this one's survivor must not wait for ever.
            Record::Merge { id: union, from, into } => {
                self.hand_over(*union, *from, *into, Profile::new(*from), position, effects);
            }
            _ => Self::forward(effects, into, OwnedRecord::of(record)),
        }
    }
}
