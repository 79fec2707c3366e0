//! Entries: which journeys an event starts, and why one that could have is refused.

use super::{Run, RunState, key_text};
use crate::event::EventView;
use crate::installed::{Installed, windows};
use crate::limits::{ENTRY_KEYS_MAX, RUNS_MAX};
use crate::mutation::{Mutation, mutated};
use crate::profile::earlier;
use crate::scope::EventRef;
use crate::step::Step;
use sojourn_model::{Name, NoteKind, RunKey, Value};
use sojourn_rules::{Journey, Reentry, Trigger, holds};
use std::sync::Arc;

impl Step<'_> {
    /// Starts every journey that `event`, or the change of attributes and segments that came with
    /// it, triggers: by (priority, name), which is the order of the definitions.
    pub(crate) fn enter_on(&mut self, event: &EventView<'_>, changed: &[Name]) {
        let Some(installed) = self.shared.current.clone() else { return };
        let mut places: smallvec::SmallVec<[u16; 8]> = smallvec::SmallVec::new();
        if event.name != "Attribute Changed" || event.source != "sojourn" {
            let interest = installed.interest(event.name);
            places
                .extend(interest.into_iter().flat_map(|interest| interest.entries.iter().copied()));
        }
        for (attribute, place) in &installed.by_attribute {
            if changed.contains(attribute) {
                places.push(*place);
            }
        }
        if !installed.by_segment.is_empty() {
            places.extend(self.segments_changed(&installed));
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
            self.enter(&installed, usize::from(place), event);
        }
    }

    /// Segments with a journey on them: compares membership with what was remembered. Gives the
    /// journeys that entering or leaving triggers.
    fn segments_changed(&mut self, installed: &Arc<Installed>) -> Vec<u16> {
        let before = std::mem::take(&mut self.profile.segments);
        self.remember_segments_of(installed);
        let after = &self.profile.segments;
        let triggered = installed.by_segment.iter().filter(|(segment, enter, _)| {
            let (was, is) = (before.contains(segment), after.contains(segment));
            was != is && is == *enter
        });
        triggered.map(|(_, _, place)| *place).collect()
    }

    /// Remembers membership without triggering anything: after a merge or an import.
    pub(crate) fn remember_segments(&mut self) {
        if let Some(installed) = self.shared.current.clone()
            && !installed.by_segment.is_empty()
        {
            self.remember_segments_of(&installed);
        }
    }

    fn remember_segments_of(&mut self, installed: &Arc<Installed>) {
        let definitions = &installed.definitions;
        let mut look = None;
        let mut members: Vec<Name> = Vec::new();
        for (name, _, _) in &installed.by_segment {
            let Some(segment) = definitions.segments.get(name) else { continue };
            if members.contains(name) {
                continue;
            }
            if holds(&segment.when, &self.view(definitions, EventRef::None, None)) {
                members.push(name.clone());
            }
            let mut found = Vec::new();
            windows(&segment.when.expr, definitions, 0, &mut found);
            for (event, window) in found {
                let leaving = self.profile.history.next_leaving(&event, window, self.now);
                look = earlier(look, leaving);
            }
        }
        members.sort_unstable();
        self.profile.segments = members;
        self.profile.segments_look = look;
    }

    fn enter(&mut self, installed: &Arc<Installed>, place: usize, event: &EventView<'_>) {
        let journey = &installed.definitions.journeys[place];
        let definitions = &installed.definitions;
        if let Trigger::Event(rule) = &journey.entry.trigger
            && let Some(when) = &rule.when
            && !holds(when, &self.view(definitions, EventRef::View(event), None))
        {
            return;
        }
        let key = match &journey.entry.key {
            None => Ok(None),
            Some(key) => {
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
