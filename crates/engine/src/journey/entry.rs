//! Entries: which journeys an event starts, and why one that could have is refused.

use super::{Run, RunState, key_text};
use crate::event::EventView;
use crate::installed::Installed;
use crate::limits::{ENTRY_KEYS_MAX, RUNS_MAX};
use crate::mutation::{Mutation, mutated};
use crate::profile::{earlier, make_room};
use crate::scope::EventRef;
use crate::step::{Said, Step};
use sojourn_model::{Name, NoteKind, RunKey, Timestamp, Value};
use sojourn_rules::{Journey, Reentry, Trigger, holds};
use std::sync::Arc;

/// The instance key that an entry asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum EntryKey {
    /// What the journey's own `key` says.
    Own,
    /// This one.
    Given(Value),
    /// One whose expression lacked a field.
    Missing,
}

impl EntryKey {
    fn name(&self) -> RunKey {
        match self {
            Self::Given(value) => Some(key_text(value)),
            Self::Own | Self::Missing => None,
        }
    }
}

impl Step<'_> {
    /// Starts every journey that `event`, or the change of attributes and segments that came with
    /// it, triggers: by (priority, name), which is the order of the definitions.
    pub(crate) fn enter_on(&mut self, event: &EventView<'_>, said: &[Said]) {
        let Some(installed) = &self.shared.current else { return };
        let mut places: smallvec::SmallVec<[u16; 8]> = smallvec::SmallVec::new();
        let interest = installed.interest(event.name);
        if event.name != "Attribute Changed" || event.source != "sojourn" {
            places
                .extend(interest.into_iter().flat_map(|interest| interest.entries.iter().copied()));
        }
        if !said.is_empty() {
            for entry in &installed.by_attribute {
                let starts =
                    |said: &Said| said.name == entry.name && (said.changed || !entry.changed);
                if said.iter().any(starts) {
                    places.push(entry.place);
                }
            }
        }
        if !installed.watched.is_empty() || !self.profile.segments.is_empty() {
            let asking = interest.map_or(&[][..], |interest| &interest.segments);
            places.extend(self.segments_changed(installed, asking));
        }
        places.sort_unstable();
        places.dedup();
        if mutated(Mutation::EntriesByAddress) {
            let journeys = &installed.definitions.journeys;
            // The top bits of an address differ from run to run; the low ones are alignment.
            places.sort_by_key(|place| {
                (Arc::as_ptr(&journeys[usize::from(*place)]) as usize >> 4)
                    .wrapping_mul(0x9E37_79B9)
            });
        }
        for place in places {
            self.enter(installed, usize::from(place), event, EntryKey::Own);
        }
    }

    /// A command: only a journey that says `api: true` can be entered so.
    pub(crate) fn enter_ordered(&mut self, name: &Name, key: Option<&Name>) {
        let current = self.shared.current.as_ref();
        let trigger = current.and_then(|current| current.journey(name));
        let key = key.map_or(EntryKey::Own, |key| EntryKey::Given(Value::Text(key.clone())));
        if let Some((journey, _)) = trigger
            && journey.entry.trigger != Trigger::Api
        {
            let (journey, run_key, reason) = (name.clone(), key.name(), "not_api".into());
            self.note(NoteKind::EntryRefused { journey, run_key, reason });
            return;
        }
        let event = self.own_event("Entry Ordered");
        self.enter_named(name, &event, key);
    }

    /// Enters a journey that a command or another journey names.
    pub(crate) fn enter_named(&mut self, name: &Name, event: &EventView<'_>, key: EntryKey) {
        let current = self.shared.current.clone();
        let found = current.and_then(|current| Some((current.place(name)?, current)));
        match found {
            Some((place, installed)) => self.enter(&installed, usize::from(place), event, key),
            None => {
                let run_key = key.name();
                let (journey, reason) = (name.clone(), "unknown_journey".into());
                self.note(NoteKind::EntryRefused { journey, run_key, reason });
            }
        }
    }

    /// Segments with a journey on them: compares membership with what was remembered. Gives the
    /// journeys that entering or leaving triggers. `asking`: places of those that ask for the event;
    /// where nothing else has changed, only they are looked at.
    fn segments_changed(&mut self, installed: &Arc<Installed>, asking: &[u16]) -> Vec<u16> {
        let as_of = self.as_of(installed);
        let waits = self.profile.segments_look.is_none_or(|look| look > self.now);
        let known = self.found.segments == Some(as_of) && waits;
        if known && asking.is_empty() {
            self.assert_segments(installed);
            return Vec::new();
        }
        let changed = if known {
            let changed = self.look_at_segments(installed, asking);
            self.assert_segments(installed);
            changed
        } else {
            let before = std::mem::take(&mut self.profile.segments);
            self.remember_segments_of(installed);
            differing(&before, &self.profile.segments)
        };
        if changed.is_empty() {
            return Vec::new();
        }
        self.found.entries = None;
        let triggered = installed.by_segment.iter().filter(|(segment, enter, _)| {
            changed.iter().any(|(name, is)| name == segment && is == enter)
        });
        triggered.map(|(_, _, place)| *place).collect()
    }

    /// Remembers membership without triggering anything: after a merge or an import.
    pub(crate) fn remember_segments(&mut self) {
        if let Some(installed) = self.shared.current.clone()
            && !(installed.watched.is_empty() && self.profile.segments.is_empty())
        {
            self.remember_segments_of(&installed);
        }
    }

    fn remember_segments_of(&mut self, installed: &Arc<Installed>) {
        (self.profile.segments, self.profile.segments_look) = self.all_segments(installed);
        // An event ahead of this clock (from a merge) comes into a window by time alone.
        let settled = self.profile.history.newest().is_none_or(|newest| newest <= self.now);
        self.found.segments = settled.then(|| self.as_of(installed));
        self.found.entries = None;
    }

    /// Membership of every watched segment, and when time may change one.
    fn all_segments(&self, installed: &Installed) -> (Vec<Name>, Option<Timestamp>) {
        let members = installed.watched.iter().filter(|name| self.is_in(installed, name));
        (members.cloned().collect(), self.next_leaving(installed))
    }

    fn is_in(&self, installed: &Installed, segment: &Name) -> bool {
        let definitions = &installed.definitions;
        let view = || self.view(definitions, EventRef::None, None);
        let segment = definitions.segments.get(segment);
        segment.is_some_and(|segment| holds(&segment.when, &view()))
    }

    /// When an event next leaves a window that a watched segment looks through.
    fn next_leaving(&self, installed: &Installed) -> Option<Timestamp> {
        if mutated(Mutation::SegmentWithoutTimer) {
            return None;
        }
        let (history, windows) = (&self.profile.history, &installed.windows);
        // Only events that happened can leave a window; the windows are in order of event.
        let of_event = |event: &Name| {
            let from = windows.partition_point(|(name, _)| name < event);
            let to = windows.partition_point(|(name, _)| name <= event);
            &windows[from..to]
        };
        let windows = history.events().flat_map(of_event);
        windows
            .map(|(event, window)| history.next_leaving(event, *window, self.now))
            .fold(None, earlier)
    }

    /// Looks at some of the watched segments only; the others are as they were. Gives those that
    /// the person is in now and was not, or the other way round.
    fn look_at_segments(&mut self, installed: &Installed, places: &[u16]) -> Vec<(Name, bool)> {
        let mut changed = Vec::new();
        for place in places {
            let name = &installed.watched[usize::from(*place)];
            let is = self.is_in(installed, name);
            match (self.profile.segments.binary_search(name), is) {
                (Err(place), true) => self.profile.segments.insert(place, name.clone()),
                (Ok(place), false) => _ = self.profile.segments.remove(place),
                _ => continue,
            }
            changed.push((name.clone(), is));
        }
        self.profile.segments_look = self.next_leaving(installed);
        changed
    }

    /// The shortcut gives what looking at everything gives.
    fn assert_segments(&self, installed: &Installed) {
        // The simulator's checker is to find that fault, not this.
        if cfg!(debug_assertions) && !mutated(Mutation::SegmentWithoutTimer) {
            let known = (self.profile.segments.clone(), self.profile.segments_look);
            assert_eq!(known, self.all_segments(installed), "DET-1: segments by the shortcut");
        }
    }

    pub(crate) fn enter(
        &mut self,
        installed: &Arc<Installed>,
        place: usize,
        event: &EventView<'_>,
        key: EntryKey,
    ) {
        let journey = &installed.definitions.journeys[place];
        let definitions = &installed.definitions;
        // An entry that names the journey is not the event that its filter is about.
        if let Trigger::Event(rule) = &journey.entry.trigger
            && rule.on.iter().any(|name| **name == *event.name)
            && let Some(when) = &rule.when
            && !holds(when, &self.view(definitions, EventRef::View(event), None))
        {
            return;
        }
        if let Some(when) = &journey.entry.when
            && !holds(when, &self.view(definitions, EventRef::None, None))
        {
            return;
        }
        let key = match (key, &journey.entry.key) {
            (EntryKey::Given(value), _) => Ok(Some(value)),
            (EntryKey::Missing, _) => Err("no_key"),
            (EntryKey::Own, None) => Ok(None),
            (EntryKey::Own, Some(key)) => {
                match self.value_over(&key.expr, definitions, EventRef::View(event), None) {
                    None | Some(Value::Null) => Err("no_key"),
                    Some(value) => Ok(Some(value)),
                }
            }
        };
        let key_name: RunKey = key.as_ref().ok().and_then(|key| key.as_ref().map(key_text));
        let refused = match &key {
            Err(reason) => Some(*reason),
            Ok(_) => self.refusal(installed, journey, key_name.as_deref(), event),
        };
        if let Some(reason) = refused {
            if self.shared.limits.notes {
                let (journey, reason) = (journey.name.clone(), reason.into());
                self.note(NoteKind::EntryRefused { journey, run_key: key_name, reason });
            }
            return;
        }
        let key = key.ok().flatten();
        self.begin(installed, journey, key, key_name, event);
    }

    /// Why this entry is refused, if it is (semantics 7).
    fn refusal(
        &self,
        installed: &Arc<Installed>,
        journey: &Arc<Journey>,
        key: Option<&str>,
        event: &EventView<'_>,
    ) -> Option<&'static str> {
        let entry = &journey.entry;
        let controls = &self.shared.controls;
        if controls.paused.contains(&journey.name) {
            return Some("paused");
        }
        if self.collected.contains(&journey.name) {
            return Some("digested");
        }
        if controls.closed.contains(&journey.name) {
            return Some("stopped");
        }
        if self.now.since(event.stamp.occurred) >= entry.accept_late {
            return Some("accept_late");
        }
        if self.exited_already(installed, journey, event) {
            return Some("exited");
        }
        let of_journey = |run: &&Run| run.live() && run.journey == journey.name;
        let mut live = self.profile.runs.iter().filter(of_journey);
        let of_key = |run: &Run| run.run_key().as_deref() == key;
        let last = || self.profile.entries.last(&journey.name, key);
        let again = match entry.reentry {
            Reentry::Always => true,
            Reentry::Never => last().is_none(),
            Reentry::AfterExit => !live.any(of_key),
            Reentry::After(gap) => {
                !live.any(of_key) && last().is_none_or(|last| self.now.since(last) >= gap)
            }
        };
        if !again {
            return Some("reentry");
        }
        if let Some((at_most, window)) = entry.at_most
            && self.profile.entries.count(&journey.name, window, self.now) >= at_most as usize
        {
            return Some("at_most");
        }
        let live = || self.profile.runs.iter().filter(of_journey).count();
        if entry.concurrent.is_some_and(|concurrent| live() >= concurrent as usize) {
            return Some("concurrent");
        }
        (self.profile.runs.len() >= RUNS_MAX).then_some("limit")
    }

    /// Whether an exit event later than the entry event is on the timeline already (W9, W13).
    fn exited_already(
        &self,
        installed: &Arc<Installed>,
        journey: &Journey,
        event: &EventView<'_>,
    ) -> bool {
        // Not late: nothing on the timeline can be later.
        if event.stamp.occurred >= self.now {
            return false;
        }
        let key = journey.entry.key.as_ref().and_then(|key| {
            let definitions = &installed.definitions;
            self.value_over(&key.expr, definitions, EventRef::View(event), None)
        });
        journey.exit_on.iter().any(|rule| {
            rule.on.iter().any(|name| {
                let mut later = self.profile.history.later_than(name, event.stamp);
                later.any(|past| match &rule.when {
                    None => true,
                    Some(when) => {
                        let stored = crate::event::StoredEvent {
                            name: name.clone(),
                            stamp: past.stamp(),
                            properties: past.properties(),
                            ..Default::default()
                        };
                        let run = self.would_be(installed, journey, key.clone(), event);
                        let event = EventRef::Stored(&stored);
                        holds(when, &self.view(&installed.definitions, event, Some(&run)))
                    }
                })
            })
        })
    }

    /// The run that an entry would begin.
    fn would_be(
        &self,
        installed: &Arc<Installed>,
        journey: &Journey,
        key: Option<Value>,
        event: &EventView<'_>,
    ) -> Run {
        let fields = installed.journey(&journey.name).map(|(_, needs)| needs.entry.clone());
        Run {
            origin: self.profile.id,
            sequence: self.profile.next_run,
            journey: journey.name.clone(),
            version: installed.definitions.version,
            key,
            entered_at: self.now,
            entry: event.keep(&fields.unwrap_or_default()),
            events: Vec::new(),
            step: 0,
            state: RunState::Moving,
            converted: false,
            cause: event.message_id.into(),
            by: event.by,
            armed: (self.now, 0),
            continued: 0,
        }
    }

    fn begin(
        &mut self,
        installed: &Arc<Installed>,
        journey: &Arc<Journey>,
        key: Option<Value>,
        key_name: RunKey,
        event: &EventView<'_>,
    ) {
        let run = self.would_be(installed, journey, key, event);
        let id = run.id();
        assert!(self.profile.run_place(id).is_none(), "a sequence is given once");
        self.profile.next_run += 1;
        make_room(&mut self.profile.runs);
        self.profile.runs.push(run);
        *self.registers.pins.entry(installed.definitions.version).or_default() += 1;
        let at_most = journey.entry.at_most.map_or(0, |(at_most, _)| at_most);
        let entries = &mut self.profile.entries;
        if entries.add(&journey.name, key_name.as_deref(), at_most, self.now) {
            self.limit("entry_keys", ENTRY_KEYS_MAX);
        }
        if self.shared.limits.notes {
            let (journey, event) = (journey.name.clone(), event.name.into());
            self.note(NoteKind::Entered { journey, run_key: key_name, event });
        }
        self.advance(id, journey.first);
    }
}

/// What is in one of two ordered lists only, and whether it is in the second.
fn differing(before: &[Name], after: &[Name]) -> Vec<(Name, bool)> {
    let gone = before.iter().filter(|name| after.binary_search(name).is_err());
    let new = after.iter().filter(|name| before.binary_search(name).is_err());
    gone.map(|name| (name.clone(), false)).chain(new.map(|name| (name.clone(), true))).collect()
}
