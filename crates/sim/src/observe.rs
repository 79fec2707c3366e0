//! Reads what a run left: topics, the provider's memory, the store, and a clean replay of the log.

use crate::observed::{Applied, Observed, StateMap};
use crate::world::{PARTITIONS, World};
use anyhow::{Context, Result};
use sojourn_engine::{Effect, Effects, Limits, OwnedTouchpoint, Partition};
use sojourn_model::{
    Action, ActionId, Command, Decision, LogPosition, Note, Record, Timestamp, VersionId,
};
use sojourn_ports::{Clock, Entry, Log, ReadLimit, Space, StateStore, Topic};
use sojourn_proto::{
    ActionRecord, DecisionRecord, DispatchKind, DispatchResult, Origin, TouchpointRecord,
    decode_action_record, decode_decision_record, decode_dispatch_record, decode_profile_record,
    decode_touchpoint_record,
};
use sojourn_rules::Definitions;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A partition after a clean replay of its log.
struct Replay {
    decisions: Vec<Decision>,
    notes: Vec<Note>,
    state: StateMap,
    lengths: Vec<(&'static str, usize, usize)>,
}

impl World {
    /// Everything that the checkers look at. After [`World::heal`].
    pub(crate) fn observe(&mut self) -> Result<Observed> {
        if let Some(identity) = &mut self.identity {
            identity.finish()?;
        }
        for owner in self.owners.iter_mut().flatten() {
            owner.finish()?;
        }
        let end = self.clock.now();
        let answered = std::mem::take(&mut *self.answered.lock().expect("one thread"));
        let calls = std::mem::take(&mut self.seen.lock().expect("one thread").calls);
        let mut observed = Observed {
            acknowledged: answered.acknowledged,
            revocations: answered.revocations,
            halts: answered.halts,
            calls,
            end,
            versions: self.versions.lock().expect("one thread").clone(),
            logged: Vec::new(),
            together: Vec::new(),
            delivered: Vec::new(),
            applied: Vec::new(),
            decisions: Vec::new(),
            decisions_raw: Vec::new(),
            notes: Vec::new(),
            actions: Vec::new(),
            cancelled: Vec::new(),
            owners: BTreeMap::new(),
            results: Vec::new(),
            unfinished: Vec::new(),
            armed: Vec::new(),
            states: Vec::new(),
            replayed: Vec::new(),
            replayed_notes: Vec::new(),
            lengths: Vec::new(),
        };
        self.touchpoints(&mut observed)?;
        // Compiled anew: nothing may depend on where something lies in memory (DET-1).
        let versions = self
            .published
            .iter()
            .map(|(version, files)| Ok((*version, sojourn_node::compiled(files)?)))
            .collect::<Result<BTreeMap<_, _>>>()?;
        for partition in 0..PARTITIONS {
            let applied = self.applied_records(partition, &mut observed.delivered)?;
            observed.applied.push(applied);
            self.decided(partition, &mut observed)?;
            self.acted(partition, &mut observed)?;
            let owner = self.owners[usize::from(partition)].as_ref();
            observed.armed.push((owner.and_then(|owner| owner.next_wake()), end));
            let replay = self.replay(partition, &versions)?;
            observed.replayed.push(replay.decisions);
            observed.replayed_notes.push(replay.notes);
            observed.lengths.extend(replay.lengths);
            observed.states.push((self.stored(partition)?, replay.state));
        }
        let done: BTreeSet<ActionId> = observed.results.iter().map(|(id, ..)| *id).collect();
        observed.unfinished =
            observed.actions.iter().map(|a| a.id).filter(|id| !done.contains(id)).collect();
        Ok(observed)
    }

    fn entries(&self, topic: Topic, partition: u16) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let next = self.log.bounds(topic, partition)?.next;
        let limit = ReadLimit { records: usize::MAX, bytes: usize::MAX, durable_only: false };
        let mut from = 0;
        while from < next {
            self.log.read(topic, partition, from, limit, &mut entries)?;
            from = entries.last().context("a read below the end gives something")?.offset + 1;
        }
        Ok(entries)
    }

    fn touchpoints(&self, observed: &mut Observed) -> Result<()> {
        for entry in self.entries(Topic::Touchpoints, 0)? {
            let TouchpointRecord::Touchpoint(touchpoint) = decode_touchpoint_record(&entry.value)?
            else {
                continue;
            };
            observed.logged.push(touchpoint.message_id.to_owned());
            observed.together.push(touchpoint.identifiers.clone());
            for identifier in &touchpoint.identifiers {
                if let Some(profile) = sojourn_identity::find(&*self.store, identifier)? {
                    observed.owners.insert(identifier.to_string(), profile);
                }
            }
        }
        Ok(())
    }

    /// Records of a partition of `profiles`, those published twice once.
    fn applied_records(
        &self,
        partition: u16,
        delivered: &mut Vec<((String, String), Timestamp)>,
    ) -> Result<Vec<(u64, Timestamp, Applied)>> {
        let mut seen = Marks::new();
        let mut applied = Vec::new();
        for entry in self.entries(Topic::Profiles, partition)? {
            let record = decode_profile_record(&entry.value)?;
            if !first(&mut seen, record.from_owner, record.origin) {
                continue;
            }
            let kind = match &record.record {
                Record::Touchpoint { profile, touchpoint } => {
                    if !record.from_owner {
                        let (source, id) = (touchpoint.source, touchpoint.message_id);
                        delivered.push(((source.to_owned(), id.to_owned()), entry.log_time));
                    }
                    Applied::Touchpoint(*profile, Box::new(OwnedTouchpoint::of(touchpoint)))
                }
                Record::Merge { id, from, into } => Applied::Merge(*id, *from, *into),
                Record::Absorb { id, into, from, .. } => Applied::Absorb(*id, *into, *from),
                Record::Command(Command::Pause { .. }) => Applied::Pause,
                Record::Publish { .. } => Applied::Publish,
                _ => Applied::Other,
            };
            applied.push((entry.offset, entry.log_time, kind));
        }
        Ok(applied)
    }

    fn decided(&self, partition: u16, observed: &mut Observed) -> Result<()> {
        let mut seen = Marks::new();
        let (mut decisions, mut notes): (Vec<Decision>, Vec<Note>) = (Vec::new(), Vec::new());
        for entry in self.entries(Topic::Decisions, partition)? {
            let (origin, record) = decode_decision_record(&entry.value)?;
            let new = first(&mut seen, true, Some(origin));
            match record {
                DecisionRecord::Decision(decision) => {
                    if new {
                        decisions.push((*decision).clone());
                    }
                    observed.decisions_raw.push(*decision);
                }
                DecisionRecord::Note(note) if new => notes.push(note),
                DecisionRecord::Note(_) => {}
            }
        }
        observed.decisions.push(decisions);
        observed.notes.push(notes);
        Ok(())
    }

    fn acted(&self, partition: u16, observed: &mut Observed) -> Result<()> {
        let mut seen = Marks::new();
        for entry in self.entries(Topic::Actions, partition)? {
            let (origin, record) = decode_action_record(&entry.value)?;
            if !first(&mut seen, true, Some(origin)) {
                continue;
            }
            match record {
                ActionRecord::Action(action) => observed.actions.push(Action::clone(&action)),
                ActionRecord::Cancel { action, .. } => observed.cancelled.push(action),
            }
        }
        for entry in self.entries(Topic::Dispatch, partition)? {
            let record = decode_dispatch_record(&entry.value)?;
            if let DispatchKind::Outcome { result, detail, .. } = record.kind
                && !matches!(result, DispatchResult::Retry | DispatchResult::Unsure)
            {
                observed.results.push((record.action, result.as_str(), detail.to_string()));
            }
        }
        Ok(())
    }

    /// What the owner's store holds of its people.
    fn stored(&self, partition: u16) -> Result<StateMap> {
        let owner = sojourn_worker::owner_name(partition);
        let mut state = StateMap::new();
        for space in [Space::Profile, Space::Wake] {
            self.store.scan(&owner, space, &[], None, &mut |key, value| {
                state.insert((space as u8, key.to_vec()), value.to_vec());
                true
            })?;
        }
        Ok(state)
    }

    /// The engine over the partition's log from its beginning, without any fault, restart,
    /// eviction or checkpoint in between.
    fn replay(&self, id: u16, versions: &BTreeMap<VersionId, Arc<Definitions>>) -> Result<Replay> {
        let mut partition = Partition::new(id, PARTITIONS, Limits::default());
        let mut seen = Marks::new();
        let mut effects = Effects::new();
        let mut replay = Replay {
            decisions: Vec::new(),
            notes: Vec::new(),
            state: StateMap::new(),
            lengths: Vec::new(),
        };
        for entry in self.entries(Topic::Profiles, id)? {
            let record = decode_profile_record(&entry.value)?;
            if !first(&mut seen, record.from_owner, record.origin) {
                continue;
            }
            if let Record::Publish { version, .. } = &record.record {
                partition.install(Arc::clone(versions.get(version).context("was published")?));
            }
            for version in partition.missing_versions(&record.record) {
                partition.install(Arc::clone(versions.get(&version).context("was published")?));
            }
            loop {
                let mut missing = Vec::new();
                partition.missing(entry.log_time, &record.record, &mut missing);
                missing.sort_unstable();
                missing.dedup();
                if missing.is_empty() {
                    break;
                }
                for profile in missing {
                    partition.load(profile, None)?;
                }
            }
            let position = LogPosition { partition: id, offset: entry.offset };
            effects.clear();
            partition.apply(position, entry.log_time, &record.record, &mut effects);
            for effect in effects.as_slice() {
                match effect {
                    Effect::Decision(decision) => replay.decisions.push((**decision).clone()),
                    Effect::Note(note) => replay.notes.push((**note).clone()),
                    _ => {}
                }
            }
        }
        let changed = partition.take_checkpoint();
        for (profile, bytes) in changed.profiles {
            if let Some(person) = partition.profile(profile) {
                let runs = (person.runs.len(), sojourn_engine::limits::RUNS_MAX);
                replay.lengths.push(("a person's runs", runs.0, runs.1));
            }
            let key = profile.0.to_be_bytes().to_vec();
            replay.state.insert((Space::Profile as u8, key), bytes);
        }
        for (profile, wake) in changed.wakes {
            if let Some(wake) = wake {
                let key = profile.0.to_be_bytes().to_vec();
                replay.state.insert((Space::Wake as u8, key), postcard::to_stdvec(&wake)?);
            }
        }
        Ok(replay)
    }
}

/// Per source (counts owners, partition): the highest epoch and the highest place seen.
type Marks = BTreeMap<(bool, u16), (u64, (u64, u32))>;

/// Whether a reader takes a record (its side of LOG-2): nothing of an epoch that it has seen the end
/// of, and nothing that is not above what it took. Written anew here, so that the product's reader
/// has something to differ from.
fn first(seen: &mut Marks, from_owner: bool, origin: Option<Origin>) -> bool {
    let Some(Origin { partition, epoch, offset, index }) = origin else { return true };
    let place = (offset, index);
    match seen.get(&(from_owner, partition)) {
        Some(&(latest, _)) if epoch < latest => false,
        Some(&(_, highest)) if place <= highest => {
            seen.insert((from_owner, partition), (epoch, highest));
            false
        }
        _ => {
            seen.insert((from_owner, partition), (epoch, place));
            true
        }
    }
}
