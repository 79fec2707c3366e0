//! The step `digest`: events of one key are collected and go on together (semantics 7).
//!
//! A run that comes to the step opens a digest, whose first item is the event that the run entered
//! with. What would have begun a run but for the one that is live is collected as it happens; a run
//! that comes to the step while another of its journey holds the digest of the same key open brings
//! its items there and ends. The digest goes on when its window is over, or when it is full.

use super::{End, Flow, Pinned, RunId, RunState, key_text};
use crate::event::{EventFields, EventView, Fields, StoredEvent};
use crate::limits::DIGEST_ITEMS_MAX;
use crate::scope::EventRef;
use crate::step::Step;
use sojourn_model::{Name, Value};
use sojourn_rules::{Digest, ItemFields, Reentry, StepIndex, StepKind, Trigger};

/// An item as conditions and templates read it: an event.
pub(crate) fn item_value(event: &StoredEvent) -> Value {
    let properties = match &event.properties {
        Value::Null => Value::Map(Vec::new()),
        properties => properties.clone(),
    };
    let entries = [
        ("name", Value::Text(event.name.clone())),
        ("timestamp", Value::Instant(event.stamp.occurred)),
        ("channel", Value::Text(event.channel.clone())),
        ("source", Value::Text(event.source.clone())),
        ("properties", properties),
    ];
    Value::Map(entries.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

/// What an item keeps of an event.
fn fields_of(keeps: &[(Name, ItemFields)], event: &str) -> EventFields {
    let kept = keeps.iter().find(|(name, _)| **name == *event).map(|(_, fields)| fields);
    let properties = match kept {
        Some(ItemFields::All) => Fields { all: true, names: Vec::new() },
        Some(ItemFields::Named(names)) => Fields { all: false, names: names.clone() },
        None => Fields::default(),
    };
    EventFields { properties, ..EventFields::default() }
}

impl Step<'_> {
    /// A run comes to a digest: opens one, or brings what it has to the one that is open.
    pub(crate) fn begin_digest(
        &mut self,
        id: RunId,
        pinned: &Pinned,
        index: StepIndex,
        digest: &Digest,
    ) -> Flow {
        let step = pinned.journey.step(index);
        let place = self.profile.run_place(id).expect("moving");
        let run = &self.profile.runs[place];
        let item = item_of_run(&run.entry, &digest.keeps);
        let key = self.digest_key(pinned, place, digest, EventRef::Stored(&run.entry));
        let open = self.open_digest(id, pinned, &step.id, digest, key.as_ref());
        let holder = open.unwrap_or(id);
        if open.is_none() {
            let (armed, due) = (self.arm(), self.now.plus(digest.window));
            let run = &mut self.profile.runs[place];
            run.events.retain(|entry| entry.0 != step.id);
            run.armed = armed;
            run.state = RunState::Digest { due };
        }
        let full = self.add_item(holder, &step.id, item, digest.max);
        match (open, full) {
            (None, false) => Flow::Stay,
            (None, true) => Flow::Go(step.next),
            (Some(_), false) => Flow::End(End::Digested),
            (Some(holder), true) => {
                self.end(id, &End::Digested);
                self.flush(holder);
                Flow::Stay
            }
        }
    }

    /// The run, in order of entry, that holds the digest of this key open.
    fn open_digest(
        &self,
        id: RunId,
        pinned: &Pinned,
        step: &Name,
        digest: &Digest,
        key: Option<&Name>,
    ) -> Option<RunId> {
        self.profile.live_runs().into_iter().find(|other| {
            let place = self.profile.run_place(*other).expect("live");
            let run = &self.profile.runs[place];
            let at_digest = matches!(run.state, RunState::Digest { .. });
            if *other == id || !at_digest || run.journey != pinned.journey.name {
                return false;
            }
            let Some(theirs) = self.pinned(run) else { return false };
            let entry = EventRef::Stored(&run.entry);
            theirs.journey.step(StepIndex(run.step)).id == *step
                && self.digest_key(&theirs, place, digest, entry).as_ref() == key
        })
    }

    /// The key of an event in a run's digest: the step's own, else the run's.
    fn digest_key(
        &self,
        pinned: &Pinned,
        place: usize,
        digest: &Digest,
        event: EventRef<'_>,
    ) -> Option<Name> {
        let run = &self.profile.runs[place];
        let Some(key) = &digest.key else { return run.run_key() };
        let definitions = &pinned.installed.definitions;
        self.value_over(&key.expr, definitions, event, Some(run)).map(|value| key_text(&value))
    }

    /// Takes an event in that would have begun a run, were this one not live. Where every event has
    /// a run of its own, that run brings it.
    pub(crate) fn collect(&mut self, id: RunId, pinned: &Pinned, event: &EventView<'_>) {
        let journey = &pinned.journey;
        let place = self.profile.run_place(id).expect("live");
        let step = journey.step(StepIndex(self.profile.runs[place].step));
        let StepKind::Digest(digest) = &step.kind else { unreachable!("called for a digest") };
        let Trigger::Event(rule) = &journey.entry.trigger else { return };
        let late = self.now.since(event.stamp.occurred) >= journey.entry.accept_late;
        let own_run = journey.entry.reentry == Reentry::Always;
        if own_run || late || !self.rule_holds(rule, pinned, place, event) {
            return;
        }
        let definitions = &pinned.installed.definitions;
        let view = EventRef::View(event);
        if let Some(key) = &journey.entry.key {
            let key = self.value_over(&key.expr, definitions, view, None);
            let key = key.filter(|key| *key != Value::Null).map(|key| key_text(&key));
            if key.is_none() || key != self.profile.runs[place].run_key() {
                return;
            }
        }
        let entry = EventRef::Stored(&self.profile.runs[place].entry);
        let ours = self.digest_key(pinned, place, digest, entry);
        if self.digest_key(pinned, place, digest, view) != ours {
            return;
        }
        self.collected.push(journey.name.clone());
        let item = event.keep(&fields_of(&digest.keeps, event.name));
        if self.add_item(id, &step.id, item, digest.max) {
            self.profile.runs[place].continued = self.pass;
            self.flush(id);
        }
    }

    /// Puts an item in its place by occurrence. Gives whether the digest is full.
    fn add_item(&mut self, id: RunId, step: &Name, item: StoredEvent, max: u32) -> bool {
        let place = self.profile.run_place(id).expect("holds the digest");
        let events = &mut self.profile.runs[place].events;
        let held = events.iter().filter(|entry| entry.0 == *step).count();
        // A full digest goes on at once, so only a merge can bring more.
        if held >= DIGEST_ITEMS_MAX {
            self.limit("digest", DIGEST_ITEMS_MAX);
            return true;
        }
        let later = |entry: &(Name, StoredEvent)| entry.0 == *step && entry.1.stamp > item.stamp;
        let at = events.iter().position(later).unwrap_or(events.len());
        events.insert(at, (step.clone(), item));
        held + 1 >= max as usize
    }

    /// Goes on with what was collected.
    fn flush(&mut self, id: RunId) {
        let Some(place) = self.profile.run_place(id) else { return };
        let run = &self.profile.runs[place];
        let Some(pinned) = self.pinned(run) else { return };
        let next = pinned.journey.step(StepIndex(run.step)).next;
        self.advance(id, next);
    }

    /// Of two runs that a merge makes one, the one that stays takes what the other has collected at
    /// the same step.
    pub(crate) fn unite_digests(&mut self, stays: RunId, goes: RunId) {
        let (Some(stays_at), Some(goes_at)) =
            (self.profile.run_place(stays), self.profile.run_place(goes))
        else {
            return;
        };
        let (ours, theirs) = (&self.profile.runs[stays_at], &self.profile.runs[goes_at]);
        let both = matches!(ours.state, RunState::Digest { .. })
            && matches!(theirs.state, RunState::Digest { .. });
        let (Some(pinned), Some(other)) = (self.pinned(ours), self.pinned(theirs)) else { return };
        let step = pinned.journey.step(StepIndex(ours.step));
        let StepKind::Digest(digest) = &step.kind else { return };
        let (entry, their_entry) = (EventRef::Stored(&ours.entry), EventRef::Stored(&theirs.entry));
        let same = other.journey.step(StepIndex(theirs.step)).id == step.id
            && self.digest_key(&pinned, stays_at, digest, entry)
                == self.digest_key(&other, goes_at, digest, their_entry);
        if !both || !same {
            return;
        }
        let items: Vec<StoredEvent> = theirs
            .events
            .iter()
            .filter(|entry| entry.0 == step.id)
            .map(|(_, item)| item.clone())
            .collect();
        let mut full = false;
        for item in items {
            full |= self.add_item(stays, &step.id, item, digest.max);
        }
        let now = self.now;
        if let RunState::Digest { due } = &mut self.profile.runs[stays_at].state
            && full
        {
            // A merge triggers nothing by itself: what is full goes on with the next record or tick.
            *due = now;
        }
    }
}

/// What a run entered with, as an item.
pub(crate) fn item_of_run(entry: &StoredEvent, keeps: &[(Name, ItemFields)]) -> StoredEvent {
    let fields = fields_of(keeps, &entry.name).properties;
    let properties = match &entry.properties {
        Value::Map(entries) if !fields.all => Value::Map(
            entries.iter().filter(|(name, _)| fields.names.contains(name)).cloned().collect(),
        ),
        properties => properties.clone(),
    };
    StoredEvent { properties, context: Value::Null, traits: Value::Null, ..entry.clone() }
}
