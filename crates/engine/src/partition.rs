//! One partition: the state of its people and the one place that changes it.
//!
//! **DET-1:** maps are looked up, never iterated; what is iterated is ordered. **LOG-2:** state and
//! position go into one checkpoint. **TIM-1:** the wake index holds, for every person, when a timer
//! is next due; it changes with the state and is stored with it.

mod commands;
mod merging;
mod residency;
mod sweep;

use crate::installed::{Installed, TrackedEvents};
use crate::profile::{Profile, Stored};
use crate::shortcut::Found;
use crate::step::{Controls, Registers, Shared, Step};
use crate::{Effect, Effects, Limits, OwnedRecord};
use hashbrown::HashMap;
use merging::Parked;
use serde::{Deserialize, Serialize};
use sojourn_model::{
    DurationMs, LogPosition, MergeId, ProfileId, Record, Timestamp, Transition, VersionId,
};
use sojourn_rules::{Definitions, Jurisdictions};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub use residency::Checkpoint;
pub(crate) use sweep::Sweep;

/// A stored profile, partition state or inheritance that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError(pub String);

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot decode state: {}", self.0)
    }
}
impl std::error::Error for DecodeError {}

/// When a profile next needs the engine: at `wait` or, by a time-out, just after `timeout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Wake {
    /// Fires before a record of this instant.
    pub wait: Option<Timestamp>,
    /// Fires when log time is later than this instant.
    pub timeout: Option<Timestamp>,
}

impl Wake {
    /// Whether nothing is due, ever.
    pub fn is_none(&self) -> bool {
        self.wait.is_none() && self.timeout.is_none()
    }
}

/// What is in memory under one profile id.
#[derive(Debug)]
struct Slot {
    stored: Stored,
    /// Changed since the last checkpoint.
    dirty: bool,
    /// Touched since the last look of eviction.
    used: bool,
    /// What need not be looked at again at the next record.
    found: Found,
}

/// Where and when something is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct At {
    /// The record being applied: names the effects.
    position: LogPosition,
    /// Where the person's own record stands; another one when it was parked.
    offset: u64,
    /// `now`.
    now: Timestamp,
}

/// Two profiles become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Union {
    id: MergeId,
    from: ProfileId,
    into: ProfileId,
}

/// Due instants, one entry per person and kind.
#[derive(Debug, Default)]
struct Wakes {
    waits: BTreeSet<(Timestamp, ProfileId)>,
    timeouts: BTreeSet<(Timestamp, ProfileId)>,
    /// What is registered, by person.
    of: HashMap<ProfileId, Registered, foldhash::fast::FixedState>,
}

/// A [`Wake`] in half its room: everybody has one in memory, also who is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Registered {
    wait: Timestamp,
    timeout: Timestamp,
}

impl Registered {
    /// An instant that never comes.
    const NEVER: Timestamp = Timestamp(i64::MAX);

    fn new(wake: Wake) -> Self {
        let at = |instant: Option<Timestamp>| instant.unwrap_or(Self::NEVER);
        Self { wait: at(wake.wait), timeout: at(wake.timeout) }
    }

    fn wake(self) -> Wake {
        let at = |instant: Timestamp| (instant != Self::NEVER).then_some(instant);
        Wake { wait: at(self.wait), timeout: at(self.timeout) }
    }
}

impl Wakes {
    fn of(&self, id: ProfileId) -> Wake {
        self.of.get(&id).map(|registered| registered.wake()).unwrap_or_default()
    }

    fn set(&mut self, id: ProfileId, wake: Wake) -> bool {
        let (known, registered) = (self.of(id), Registered::new(wake));
        let wake = registered.wake();
        if known == wake {
            return false;
        }
        let replace = |set: &mut BTreeSet<_>, old: Option<Timestamp>, new: Option<Timestamp>| {
            if old != new {
                old.map(|at| set.remove(&(at, id)));
                new.map(|at| set.insert((at, id)));
            }
        };
        replace(&mut self.waits, known.wait, wake.wait);
        replace(&mut self.timeouts, known.timeout, wake.timeout);
        if wake.is_none() {
            self.of.remove(&id);
        } else {
            self.of.insert(id, registered);
        }
        true
    }

    /// The next person due by `to`, by (instant, person). A time-out is due only before `to`.
    fn next(&self, to: Timestamp) -> Option<(Timestamp, ProfileId)> {
        let wait = self.waits.first().filter(|(at, _)| *at <= to);
        let timeout = self.timeouts.first().filter(|(at, _)| *at < to);
        match (wait, timeout) {
            (Some(a), Some(b)) => Some(*a.min(b)),
            (a, b) => a.or(b).copied(),
        }
    }

    fn due(&self, to: Timestamp) -> impl Iterator<Item = ProfileId> {
        let waits = self.waits.iter().take_while(move |(at, _)| *at <= to);
        let timeouts = self.timeouts.iter().take_while(move |(at, _)| *at < to);
        waits.chain(timeouts).map(|(_, id)| *id)
    }

    fn everybody(&self) -> BTreeSet<ProfileId> {
        self.waits.iter().chain(&self.timeouts).map(|(_, id)| *id).collect()
    }
}

/// Everything one partition knows, and the pure step over it.
#[derive(Debug)]
pub struct Partition {
    shared: Shared,
    /// Version named by the last `Publish`; its content may be installed later, after a restart.
    current: Option<VersionId>,
    /// Versions that new entries or live runs use.
    published: BTreeSet<VersionId>,
    now: Timestamp,
    profiles: HashMap<ProfileId, Slot, foldhash::fast::FixedState>,
    wakes: Wakes,
    registers: Registers,
    parked: BTreeMap<ProfileId, Parked>,
    /// Everybody who lives here, in memory or not.
    roster: BTreeSet<ProfileId>,
    /// Profiles that changed since the last checkpoint, in order of their first change.
    dirty: Vec<ProfileId>,
    /// Profiles in memory, for eviction's round.
    resident: Vec<ProfileId>,
    hand: usize,
    pass: u64,
    /// Place of the next event of the record being applied: what its timers bring about comes before
    /// the record itself, and of two things at one instant the later has the later place.
    sub: u32,
}

impl Partition {
    /// An empty partition `id` of `partitions`.
    pub fn new(id: u16, partitions: u16, limits: Limits) -> Self {
        assert!(id < partitions, "partitions are numbered from 0");
        Self {
            shared: Shared {
                id,
                partitions,
                limits,
                versions: BTreeMap::new(),
                current: None,
                tracked: TrackedEvents::default(),
                controls: Controls::default(),
                keep_sends: DurationMs(crate::limits::SENDS_KEPT_MS_MIN),
                personalization: false,
                law: crate::step::Law::default(),
            },
            current: None,
            published: BTreeSet::new(),
            now: Timestamp::MIN,
            profiles: HashMap::default(),
            wakes: Wakes::default(),
            registers: Registers::default(),
            parked: BTreeMap::new(),
            roster: BTreeSet::new(),
            dirty: Vec::new(),
            resident: Vec::new(),
            hand: 0,
            pass: 0,
            sub: 0,
        }
    }

    /// Number of this partition.
    pub fn id(&self) -> u16 {
        self.shared.id
    }

    /// Makes the content of a version known, before a `Publish` record names it. After a restart the
    /// owner installs every version that [`Self::versions`] names, before the first record.
    pub fn install(&mut self, definitions: Arc<Definitions>) {
        let version = definitions.version;
        self.shared.versions.insert(version, Arc::new(Installed::new(definitions)));
        self.derive();
    }

    /// Versions that new entries use or that live runs are pinned to, as the log has it.
    pub fn versions(&self) -> Vec<VersionId> {
        self.published.iter().copied().collect()
    }

    /// The version that new entries use.
    pub fn current_version(&self) -> Option<VersionId> {
        self.current
    }

    /// What follows from the published versions: the same whenever their content was installed.
    fn derive(&mut self) {
        let current = self.current;
        let versions = &self.shared.versions;
        let published = || self.published.iter().filter_map(|version| versions.get(version));
        let policies: Vec<_> = published().map(|installed| &installed.definitions.policy).collect();
        self.shared.keep_sends = crate::caps::kept_for(&policies);
        self.shared.tracked = TrackedEvents::of(published());
        self.shared.current = current.and_then(|version| versions.get(&version).cloned());
        let policy = self.shared.current.as_ref().map(|current| &current.definitions.policy);
        let purpose = policy.and_then(|policy| policy.purpose("personalization"));
        self.shared.personalization = purpose.is_some_and(|(_, purpose)| purpose.data);
        let rules = policy.map(|policy| &policy.jurisdictions);
        self.shared.law = crate::step::Law {
            regimes: rules.is_some_and(Jurisdictions::has_regimes),
            quiet: rules.map(Jurisdictions::quiet_channels).unwrap_or_default(),
        };
    }

    /// Log time of the last record.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// A person in memory; `None`: not loaded, absorbed or erased.
    pub fn profile(&self, id: ProfileId) -> Option<&Profile> {
        match &self.profiles.get(&id)?.stored {
            Stored::Live(profile) => Some(profile),
            Stored::Absorbed { .. } | Stored::Erased => None,
        }
    }

    /// What stands under a profile id in memory, tombstones too.
    pub fn stored(&self, id: ProfileId) -> Option<&Stored> {
        self.profiles.get(&id).map(|slot| &slot.stored)
    }

    /// Applies one record: due timers first, then the record. Total and deterministic (DET-1).
    ///
    /// `log_time` never runs back within a partition; one that does counts as the last.
    pub fn apply(
        &mut self,
        position: LogPosition,
        log_time: Timestamp,
        record: &Record<'_>,
        effects: &mut Effects,
    ) {
        let log_time = log_time.max(self.now);
        self.sub = 0;
        self.fire_due(position, log_time, effects);
        self.now = log_time;
        match record {
            Record::Tick => {}
            Record::Command(command) => self.command(position, command, effects),
            Record::Publish { version, transition } => self.publish(*version, transition),
            _ => {
                let id = record.profile().expect("the others concern all");
                let at = At { position, offset: position.offset, now: log_time };
                self.addressed(id, at, record, effects);
            }
        }
    }

    /// Fires what is due by `to`, as a `Tick` at that time does.
    pub fn advance(&mut self, position: LogPosition, to: Timestamp, effects: &mut Effects) {
        self.apply(position, to, &Record::Tick, effects);
    }

    /// Earliest instant for which a timer is armed. The owner appends a `Tick` once log time would
    /// be later than it.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let first = |set: &BTreeSet<(Timestamp, ProfileId)>| set.first().map(|entry| entry.0);
        let people = crate::profile::earlier(first(&self.wakes.waits), first(&self.wakes.timeouts));
        crate::profile::earlier(people, self.registers.sweep.map(|sweep| sweep.at))
    }

    /// Fires every timer due by `to`, in order of due time, then person; what they arm in time fires
    /// in the same round.
    fn fire_due(&mut self, position: LogPosition, to: Timestamp, effects: &mut Effects) {
        loop {
            let person = self.wakes.next(to);
            let sweep = self.registers.sweep.filter(|sweep| sweep.at <= to);
            match (sweep, person) {
                (Some(sweep), person) if person.is_none_or(|(due, _)| sweep.at <= due) => {
                    self.sweep(sweep, position, effects);
                }
                (_, Some((due, id))) => self.fire_person(id, position, due, to, effects),
                _ => return,
            }
        }
    }

    fn fire_person(
        &mut self,
        id: ProfileId,
        position: LogPosition,
        due: Timestamp,
        to: Timestamp,
        effects: &mut Effects,
    ) {
        assert!(due <= to, "TIM-1: never early");
        let before = self.wake_of(id);
        let at = At { position, offset: position.offset, now: due };
        self.keeping(id, at, effects, |step| step.fire(due < to));
        assert!(self.wake_of(id) != before, "TIM-1: what fired is not due again: {id}, {before:?}");
    }

    fn wake_of(&self, id: ProfileId) -> Wake {
        self.wakes.of(id)
    }

    /// Runs one pass over one live person and registers what it changed. What was found before is
    /// looked at anew: a pass may change a person in any way.
    fn with<T>(
        &mut self,
        id: ProfileId,
        at: At,
        effects: &mut Effects,
        pass: impl FnOnce(&mut Step<'_>) -> T,
    ) -> Option<T> {
        if let Some(slot) = self.profiles.get_mut(&id) {
            slot.found = Found::default();
        }
        let result = self.keeping(id, at, effects, pass);
        if let Some(slot) = self.profiles.get_mut(&id) {
            slot.found = Found::default();
        }
        result
    }

    /// As [`Self::with`], for touchpoints and timers: whatever they change of the person shows in
    /// the revision, and what else conditions read is looked at with each event.
    fn keeping<T>(
        &mut self,
        id: ProfileId,
        at: At,
        effects: &mut Effects,
        pass: impl FnOnce(&mut Step<'_>) -> T,
    ) -> Option<T> {
        let slot = self.profiles.get_mut(&id);
        let slot = slot.expect("the owner loads what `missing` names before it applies");
        let Stored::Live(profile) = &mut slot.stored else { return None };
        self.pass += 1;
        let mut step = Step {
            shared: &self.shared,
            profile,
            registers: &mut self.registers,
            effects,
            position: at.position,
            offset: at.offset,
            now: at.now,
            pass: self.pass,
            queue: VecDeque::new(),
            updated: false,
            chained: 0,
            sub: self.sub,
            collected: Vec::new(),
            found: slot.found,
        };
        step.prepare();
        let result = pass(&mut step);
        step.arm_entries(at.now);
        (self.sub, self.pass) = (step.sub, step.pass);
        slot.found = step.found;
        slot.used = true;
        if !slot.dirty {
            slot.dirty = true;
            self.dirty.push(id);
            self.roster.insert(id);
        }
        let wake = if self.parked.contains_key(&id) { Wake::default() } else { profile.wake() };
        self.wakes.set(id, wake);
        Some(result)
    }

    /// Replaces what stands under an id.
    fn replace(&mut self, id: ProfileId, stored: Stored) -> Stored {
        let slot = self.profiles.get_mut(&id).expect("loaded");
        if matches!(stored, Stored::Live(_)) {
            self.roster.insert(id);
        } else {
            self.roster.remove(&id);
        }
        let before = std::mem::replace(&mut slot.stored, stored);
        slot.found = Found::default();
        slot.used = true;
        if !slot.dirty {
            slot.dirty = true;
            self.dirty.push(id);
        }
        let wake = match &slot.stored {
            Stored::Live(profile) if !self.parked.contains_key(&id) => profile.wake(),
            _ => Wake::default(),
        };
        self.wakes.set(id, wake);
        before
    }

    /// A record for one person: to the person, to the survivor, into the queue, or nowhere.
    fn addressed(&mut self, id: ProfileId, at: At, record: &Record<'_>, effects: &mut Effects) {
        let slot = self.profiles.get(&id);
        let slot = slot.expect("the owner loads what `missing` names before it applies");
        match &slot.stored {
            Stored::Erased => {
                // The other side of a merge must not wait for ever.
                if let Record::Merge { id, from, into } = *record {
                    let union = Union { id, from, into };
                    self.hand_over(union, Profile::new(from), at.position, effects);
                }
            }
            Stored::Absorbed { into, id: union } => {
                let done = Union { id: *union, from: id, into: *into };
                self.at_tombstone(done, at.position, record, effects);
            }
            Stored::Live(_) => {
                let absorb = matches!(record, Record::Absorb { .. });
                if self.parked.contains_key(&id) && !absorb {
                    self.park(id, at, record, effects);
                } else {
                    self.person(id, at, record, effects);
                }
            }
        }
    }

    /// A record that its live person takes now.
    fn person(&mut self, id: ProfileId, at: At, record: &Record<'_>, effects: &mut Effects) {
        match record {
            Record::Touchpoint { touchpoint, .. } => {
                self.keeping(id, at, effects, |step| {
                    step.end_stopped();
                    step.touchpoint(touchpoint);
                });
            }
            Record::Release { to, identifier, .. } => {
                let inheritance =
                    self.with(id, at, effects, |step| step.release(identifier)).flatten();
                let Some(inheritance) = inheritance else { return };
                let here = matches!(self.stored(*to), Some(Stored::Live(_)))
                    && !self.parked.contains_key(to);
                if here {
                    self.with(*to, at, effects, |step| step.inherit(inheritance));
                } else {
                    self.with(id, at, effects, |step| {
                        step.bequeath(*to, &inheritance);
                    });
                }
            }
            Record::Inherit { inheritance, .. } => {
                // From another partition of the same build; unreadable bytes are its bug.
                if let Ok(inheritance) = crate::codec::decode(inheritance) {
                    self.with(id, at, effects, |step| step.inherit(inheritance));
                }
            }
            Record::Merge { id, from, into } => {
                let union = Union { id: *id, from: *from, into: *into };
                self.merge_away(union, at.position, effects);
            }
            Record::Await { id, into, .. } => self.expect_union(*id, *into, at.now),
            Record::Absorb { id, into, from, state } => {
                let union = Union { id: *id, from: *from, into: *into };
                self.absorb_state(union, state, at, effects);
            }
            Record::PersonCommand { command, .. } => self.person_command(id, command, at, effects),
            Record::Command(_) | Record::Publish { .. } | Record::Tick => {
                unreachable!("concern all people")
            }
        }
    }

    fn publish(&mut self, version: VersionId, transition: &Transition) {
        assert!(
            self.shared.versions.contains_key(&version),
            "the owner installs a version before it applies its Publish"
        );
        self.current = Some(version);
        self.published.insert(version);
        self.keep_publication(version, transition);
        // Only here, at a place of the log: what a restart forgets, a replay must forget (DET-1).
        let Registers { pins, publications, .. } = &self.registers;
        let needed = |known: &VersionId| {
            pins.contains_key(known) || publications.iter().any(|one| one.version == *known)
        };
        self.published.retain(|known| *known == version || needed(known));
        self.derive();
        let now = self.now;
        self.registers.rates.retain(|_, free| *free > now);
        if let Some(current) = &self.shared.current {
            let watched = &current.watched;
            self.registers.engaged_in.retain(|segment, _| watched.binary_search(segment).is_ok());
        }
        self.begin_sweep();
    }

    fn forward(effects: &mut Effects, to: ProfileId, record: Option<OwnedRecord>) {
        if let Some(record) = record {
            effects.push(Effect::Forward { to, record });
        }
    }
}
