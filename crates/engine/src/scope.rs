//! What a condition sees: the event, the person, the run, the history (semantics 7).

use crate::event::{EventView, StoredEvent, read_below};
use crate::journey::{ANSWER, Run, item_value};
use crate::limits::SEGMENT_DEPTH_MAX;
use crate::profile::Profile;
use sojourn_model::{IdentifierKind, Name, Timestamp, Value};
use sojourn_rules::{Definitions, HistoryCall, Missing, Path, Root, StepKind, holds};

/// A record being applied, as conditions read it. A trait, because the view's lifetime is fixed by
/// what it caches.
pub(crate) trait ReadEvent: std::fmt::Debug {
    /// Value at `path` below `root`.
    fn read_event(&self, root: Root, path: &[Name]) -> Option<Value>;
}

impl ReadEvent for EventView<'_> {
    fn read_event(&self, root: Root, path: &[Name]) -> Option<Value> {
        match root {
            Root::EventProperties => return self.properties.read(path),
            Root::EventContext => return self.context.read(path),
            Root::EventTraits => return self.traits.read(path),
            _ => {}
        }
        let (first, rest) = path.split_first()?;
        match &**first {
            "properties" => self.properties.read(rest),
            "context" => self.context.read(rest),
            "traits" => self.traits.read(rest),
            "name" => Some(Value::text(self.name)),
            "channel" => Some(Value::text(self.channel)),
            "source" => Some(Value::text(self.source)),
            "timestamp" => Some(Value::Instant(self.stamp.occurred)),
            _ => None,
        }
    }
}

/// What `event` means.
#[derive(Debug, Clone, Copy)]
pub(crate) enum EventRef<'a> {
    /// Nothing.
    None,
    /// The record being applied.
    View(&'a dyn ReadEvent),
    /// The event that a run entered with, or one of the history.
    Stored(&'a StoredEvent),
}

/// The scope of one evaluation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) definitions: &'a Definitions,
    pub(crate) profile: &'a Profile,
    pub(crate) event: EventRef<'a>,
    pub(crate) run: Option<&'a Run>,
    pub(crate) now: Timestamp,
    /// Whether `personalization` permits what goes beyond identifiers and preferences.
    pub(crate) personal: bool,
    pub(crate) depth: usize,
}

/// Attributes that stay readable where `personalization` is denied or not granted (semantics 3).
fn always_readable(attribute: &str) -> bool {
    identifier_kind(attribute).is_some()
        || matches!(
            attribute,
            "locale" | "time_zone" | "timezone" | "preferences" | "preferred_channel"
        )
}

fn identifier_kind(attribute: &str) -> Option<IdentifierKind> {
    match attribute {
        "customer_id" | "email" | "phone" | "loyalty_id" | "anonymous_id" | "device_id" => {
            IdentifierKind::parse(attribute)
        }
        _ => None,
    }
}

impl View<'_> {
    fn event(&self, root: Root, path: &[Name]) -> Option<Value> {
        match self.event {
            EventRef::None => None,
            EventRef::View(event) => event.read_event(root, path),
            EventRef::Stored(event) => match root {
                Root::EventProperties => read_below(&event.properties, path),
                Root::EventContext => read_below(&event.context, path),
                Root::EventTraits => read_below(&event.traits, path),
                _ => event.read(path),
            },
        }
    }

    /// `profile.…`
    pub(crate) fn person(&self, path: &[Name]) -> Option<Value> {
        let Some((first, rest)) = path.split_first() else { return Some(self.whole_person()) };
        if !self.personal && !always_readable(first) {
            return None;
        }
        if let Some(value) = self.profile.attribute(first) {
            return read_below(value, rest);
        }
        let held = self.profile.seen_last(&identifier_kind(first)?)?;
        rest.is_empty().then(|| Value::Text(held.identifier.value.clone()))
    }

    fn whole_person(&self) -> Value {
        let readable = |name: &str| self.personal || always_readable(name);
        let attributes = self.profile.attributes.iter();
        let readable = attributes.filter(|entry| readable(&entry.0));
        Value::Map(readable.map(|entry| (entry.0.clone(), entry.1.value.clone())).collect())
    }

    /// What the last `digest` that the run came to has collected, in order of occurrence.
    pub(crate) fn items(&self) -> impl Iterator<Item = &StoredEvent> {
        let journey = self.run.and_then(|run| self.definitions.journey(&run.journey));
        let events = self.run.map_or(&[][..], |run| &run.events);
        let digests = |id: &str| {
            let index = journey.and_then(|journey| Some((journey, journey.find(id)?)));
            index.is_some_and(|(journey, index)| {
                matches!(journey.step(index).kind, StepKind::Digest(_))
            })
        };
        let last = events.iter().rev().map(|(step, _)| step).find(|step| digests(step));
        events.iter().filter(move |(step, _)| Some(step) == last).map(|(_, event)| event)
    }

    /// `run.…`
    pub(crate) fn run(&self, path: &[Name]) -> Option<Value> {
        let run = self.run?;
        let (first, rest) = path.split_first()?;
        match &**first {
            "key" if rest.is_empty() => Some(run.key.clone().unwrap_or(Value::Null)),
            "entered_at" if rest.is_empty() => Some(Value::Instant(run.entered_at)),
            "events" => {
                let (step, rest) = rest.split_first()?;
                run.events.iter().find(|entry| entry.0 == *step)?.1.read(rest)
            }
            "call" => {
                let (name, rest) = rest.split_first()?;
                let journey = self.definitions.journey(&run.journey)?;
                let mut steps = journey.steps.iter();
                let step = steps.find(|step| {
                    matches!(&step.kind, StepKind::Call(call) if call.name.as_ref() == Some(name))
                })?;
                let (_, kept) = run.events.iter().find(|entry| entry.0 == step.id)?;
                match kept.properties.get(ANSWER) {
                    Some(answer) => read_below(answer, rest),
                    // It was answered, with nothing.
                    None if rest.is_empty() => Some(Value::Null),
                    None => None,
                }
            }
            "items" => read_below(&Value::List(self.items().map(item_value).collect()), rest),
            _ => None,
        }
    }
}

impl sojourn_rules::Scope for View<'_> {
    fn read(&self, root: Root, path: &Path) -> Result<Value, Missing> {
        match root {
            Root::Profile => self.person(path),
            Root::Run => self.run(path),
            Root::Local => None,
            Root::Event | Root::EventProperties | Root::EventContext | Root::EventTraits => {
                self.event(root, path)
            }
        }
        .ok_or(Missing)
    }

    fn history(&self, call: &HistoryCall, filter: &[Value]) -> Result<Value, Missing> {
        if !self.personal {
            return Err(Missing);
        }
        self.profile.history.call(call, filter, self.now)
    }

    fn in_segment(&self, segment: &str) -> Result<bool, Missing> {
        if !self.personal || self.depth >= SEGMENT_DEPTH_MAX {
            return Err(Missing);
        }
        let segment = self.definitions.segments.get(segment).ok_or(Missing)?;
        let inner = View { event: EventRef::None, run: None, depth: self.depth + 1, ..*self };
        Ok(holds(&segment.when, &inner))
    }

    fn now(&self) -> Timestamp {
        self.now
    }
}
