//! One person as the engine knows them: everything that a decision can depend on.

use crate::Wake;
use crate::caps::{Fatigue, Sends};
use crate::consent::{Consents, PERSON_ENDPOINT, Suppressions, channel_kind};
use crate::event::Stamp;
use crate::identity::Undo;
use crate::journey::{Appointment, Entries, Occurred, Run, RunId};
use crate::timeline::History;
use crate::timing::{ZoneFacts, ZoneUsed, zone_of};
use crate::versions::Moved;
use serde::{Deserialize, Serialize};
use sojourn_model::{
    Identifier, IdentifierKind, MergeId, Name, ProfileId, Timestamp, Value, ZoneSource,
};

/// An identifier that the profile holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The identifier.
    pub identifier: Identifier,
    /// Newest `occurred_at` of a touchpoint that carried it.
    pub last_seen: Timestamp,
}

/// A profile attribute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attribute {
    /// Value; `null` is a value.
    pub value: Value,
    /// When it was set.
    pub stamp: Stamp,
    /// Given by the customer: not overridden by what is inferred.
    pub declared: bool,
    /// Mark of the identifier it came under (see `event::mark_of`).
    pub by: u32,
}

impl Attribute {
    /// Whether this one wins over `other`: declared before inferred, then the newest.
    fn beats(&self, other: &Self) -> bool {
        (self.declared, self.stamp) >= (other.declared, other.stamp)
    }
}

/// Passes of a throttle step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Passes {
    pub(crate) journey: Name,
    pub(crate) step: Name,
    pub(crate) key: Name,
    /// Log times, oldest first.
    pub(crate) at: Vec<Timestamp>,
}

/// A message that a full cap put off into the next one (semantics 4, `at_cap: digest`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PutOff {
    /// Its run, when that began, and the mark of the identifier under which it did.
    pub(crate) run: crate::journey::RunId,
    pub(crate) entered_at: Timestamp,
    pub(crate) by: u32,
    pub(crate) journey: Name,
    /// Channels that its step names.
    pub(crate) channels: Vec<Name>,
    pub(crate) purpose: Name,
    pub(crate) topic: Option<Name>,
    /// The cap that was full.
    pub(crate) cap: Name,
    /// Of no use from then on.
    pub(crate) expires: Timestamp,
    /// What it would have shown.
    pub(crate) items: Vec<crate::event::StoredEvent>,
}

/// What a profile remembers for later decisions: an arm of a split, a holdout, at first use; a message
/// that was put off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Choice {
    /// Held out of the period named by the salt, or not.
    Holdout { salt: Name, held: bool },
    /// Arm of a split of a journey.
    Arm { journey: Name, split: Name, arm: Name },
    /// A message that goes into the next one.
    PutOff(Box<PutOff>),
}

/// Counts the changes of what conditions read of a person beside their history: attributes,
/// identifiers, zone. Only for the shortcuts of [`crate::shortcut`]: not stored, and no part of who
/// somebody is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Revision(pub(crate) u32);

impl PartialEq for Revision {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// A person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Id.
    pub id: ProfileId,
    /// Identifiers, in order of kind and value.
    pub identifiers: Vec<Held>,
    /// Attributes, in order of name.
    pub attributes: Vec<(Name, Attribute)>,
    /// Statements of consent.
    pub consents: Consents,
    /// Suppressed endpoints.
    pub suppressions: Suppressions,
    /// Sends, for the caps.
    pub sends: Sends,
    /// Runs: live ones, and ended ones that may still convert.
    pub runs: Vec<Run>,
    pub(crate) context_zone: Option<(Name, Timestamp)>,
    pub(crate) context_locale: Option<(Name, Timestamp)>,
    /// Last consent stamp of the SDK per purpose.
    pub(crate) stamped: Vec<(Name, bool, Timestamp)>,
    pub(crate) history: History,
    pub(crate) next_run: u32,
    pub(crate) next_armed: u32,
    pub(crate) entries: Entries,
    pub(crate) choices: Vec<Choice>,
    pub(crate) passes: Vec<Passes>,
    /// Segments with a journey on them that the person is in, in order of name.
    pub(crate) segments: Vec<Name>,
    /// When time next may change one of them.
    pub(crate) segments_look: Option<Timestamp>,
    /// Next entry by time into each journey that has such, in the order of the definitions.
    pub(crate) appointments: Vec<Appointment>,
    /// The last one that happened, for each journey.
    pub(crate) occurred: Vec<Occurred>,
    /// Number of the publish that the person was last prepared for; `None`: never touched.
    pub(crate) prepared: Option<u64>,
    /// End of the arbitration window that is open, if later than now.
    pub(crate) arbitration_until: Option<Timestamp>,
    /// Unions whose `Absorb` came before their `Await`.
    pub(crate) absorbed_early: Vec<MergeId>,
    /// Merges that can be taken back, newest last.
    pub(crate) undo: Vec<Undo>,
    /// Grants that were confirmed from the endpoint itself; they stand in `consents` too.
    pub(crate) confirmed: Consents,
    /// What became of messages, where the policy counts fatigue.
    pub(crate) fatigue: Fatigue,
    /// Runs whose message was given an instant by the rate of its journey.
    pub(crate) slots: Vec<(RunId, Timestamp)>,
    /// What runs that went over to another version keep of the ones before.
    pub(crate) moved: Vec<Moved>,
    #[serde(skip)]
    pub(crate) revision: Revision,
}

impl Profile {
    /// A person of whom nothing is known.
    pub fn new(id: ProfileId) -> Self {
        Self {
            id,
            identifiers: Vec::new(),
            attributes: Vec::new(),
            consents: Consents::default(),
            suppressions: Suppressions::default(),
            sends: Sends::default(),
            runs: Vec::new(),
            context_zone: None,
            context_locale: None,
            stamped: Vec::new(),
            history: History::default(),
            next_run: 0,
            next_armed: 0,
            entries: Entries::default(),
            choices: Vec::new(),
            passes: Vec::new(),
            segments: Vec::new(),
            segments_look: None,
            appointments: Vec::new(),
            occurred: Vec::new(),
            prepared: None,
            arbitration_until: None,
            absorbed_early: Vec::new(),
            undo: Vec::new(),
            confirmed: Consents::default(),
            fatigue: Fatigue::default(),
            slots: Vec::new(),
            moved: Vec::new(),
            revision: Revision::default(),
        }
    }

    /// Something that conditions read has changed.
    pub(crate) fn revise(&mut self) {
        self.revision.0 = self.revision.0.wrapping_add(1);
    }

    /// Notes that a touchpoint carried an identifier.
    pub(crate) fn see(&mut self, identifier: &Identifier, occurred: Timestamp) {
        match self.identifiers.binary_search_by(|held| held.identifier.cmp(identifier)) {
            Ok(place) => {
                let seen = &mut self.identifiers[place].last_seen;
                if occurred <= *seen {
                    return;
                }
                *seen = occurred;
                // Which one of its kind was seen last may be another one now.
                let kind = &self.identifiers[place].identifier.kind;
                let same = |place: Option<&Held>| place.is_some_and(|h| h.identifier.kind == *kind);
                let before = place.checked_sub(1).and_then(|place| self.identifiers.get(place));
                if same(before) || same(self.identifiers.get(place + 1)) {
                    self.revise();
                }
            }
            Err(place) => {
                self.revise();
                let held = Held { identifier: identifier.clone(), last_seen: occurred };
                make_room(&mut self.identifiers);
                self.identifiers.insert(place, held);
            }
        }
    }

    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&Value> {
        let place = self.attributes.binary_search_by(|entry| (*entry.0).cmp(name)).ok()?;
        Some(&self.attributes[place].1.value)
    }

    fn text_attribute(&self, name: &str) -> Option<&str> {
        self.attribute(name).and_then(Value::as_text)
    }

    /// Sets an attribute unless what is known wins. Gives whether its value changed.
    pub(crate) fn set(&mut self, name: &Name, attribute: Attribute) -> bool {
        self.take(name, attribute) == Some(true)
    }

    /// Sets an attribute; `None`: what is known wins, else whether its value changed.
    pub(crate) fn take(&mut self, name: &Name, attribute: Attribute) -> Option<bool> {
        match self.attributes.binary_search_by(|entry| entry.0.cmp(name)) {
            Ok(place) => {
                let known = &mut self.attributes[place].1;
                if !attribute.beats(known) {
                    return None;
                }
                let changed = known.value != attribute.value;
                *known = attribute;
                if changed {
                    self.revise();
                }
                Some(changed)
            }
            Err(place) => {
                self.revise();
                make_room(&mut self.attributes);
                self.attributes.insert(place, (name.clone(), attribute));
                Some(true)
            }
        }
    }

    /// The identifier of a kind that was seen last; of equals the greater value.
    pub(crate) fn seen_last(&self, kind: &IdentifierKind) -> Option<&Held> {
        let held = self.identifiers.iter().filter(|held| held.identifier.kind == *kind);
        held.max_by(|a, b| order_seen(a, b))
    }

    /// Endpoints for a channel, the one seen last first (of equals the greater value).
    pub fn endpoints(&self, channel: &str) -> Vec<Name> {
        let Some(kind) = channel_kind(channel).identifier() else {
            return vec![PERSON_ENDPOINT.into()];
        };
        let held = self.identifiers.iter().filter(|held| held.identifier.kind == kind);
        let mut held: Vec<&Held> = held.collect();
        held.sort_by(|a, b| order_seen(b, a));
        held.into_iter().map(|held| held.identifier.value.clone()).collect()
    }

    /// Name of the time zone in use, and where it came from; for those who only look.
    pub fn zone_used(&self, workspace: &str) -> (String, ZoneSource) {
        let used = self.zone(Some(workspace));
        (used.zone.name().to_owned(), used.source)
    }

    /// Segments with a journey on them that the person is in.
    pub fn segment_names(&self) -> &[Name] {
        &self.segments
    }

    /// Time zone, and where it came from (semantics 1).
    pub(crate) fn zone(&self, workspace: Option<&str>) -> ZoneUsed {
        let address = self.attribute("address");
        zone_of(&ZoneFacts {
            declared: [self.text_attribute("time_zone"), self.text_attribute("timezone")],
            context: self.context_zone.as_ref().map(|(zone, _)| &**zone),
            phone: self.seen_last(&IdentifierKind::Phone).map(|held| &*held.identifier.value),
            country: address.and_then(|address| address.get("country")).and_then(Value::as_text),
            workspace,
        })
    }

    /// Locale asked for: the attribute, or the newest context's.
    pub(crate) fn locale(&self) -> Option<&str> {
        let context = self.context_locale.as_ref().map(|(locale, _)| &**locale);
        self.text_attribute("locale").or(context)
    }

    /// Runs that are live, in order of entry, by id.
    pub(crate) fn live_runs(&self) -> smallvec::SmallVec<[crate::journey::RunId; 8]> {
        let mut runs: smallvec::SmallVec<[&Run; 8]> =
            self.runs.iter().filter(|run| run.live()).collect();
        runs.sort_by_key(|run| run.order());
        runs.into_iter().map(Run::id).collect()
    }

    /// Place of a run.
    pub(crate) fn run_place(&self, id: crate::journey::RunId) -> Option<usize> {
        self.runs.iter().position(|run| run.id() == id)
    }

    /// When a timer of this person is next due.
    pub fn wake(&self) -> Wake {
        let mut wake = Wake { wait: self.segments_look, timeout: None };
        for appointment in &self.appointments {
            wake.wait = earlier(wake.wait, Some(appointment.due));
        }
        for run in &self.runs {
            let (wait, timeout) = run.state.due();
            wake.wait = earlier(wake.wait, wait);
            wake.timeout = earlier(wake.timeout, timeout);
        }
        wake
    }

    /// A message of the SDK stamped on a call.
    pub(crate) fn remember_stamp(&mut self, purpose: Name, granted: bool, at: Timestamp) {
        match self.stamped.iter_mut().find(|stamp| stamp.0 == purpose) {
            Some(stamp) => (stamp.1, stamp.2) = (granted, at),
            None => self.stamped.push((purpose, granted, at)),
        }
    }

    /// The first choice that `pick` answers.
    pub(crate) fn choice<T>(&self, pick: impl Fn(&Choice) -> Option<T>) -> Option<T> {
        self.choices.iter().find_map(pick)
    }
}

/// Makes room for one more item, sparingly: most people have one or two of most things, and a list
/// of the usual growth would have room for four.
pub(crate) fn make_room<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact(1 + list.len() / 2);
    }
}

fn order_seen(a: &Held, b: &Held) -> std::cmp::Ordering {
    (a.last_seen, &a.identifier.value).cmp(&(b.last_seen, &b.identifier.value))
}

/// The earlier of two instants that may be missing.
pub(crate) fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// What stands under a profile id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Stored {
    /// A person.
    Live(Box<Profile>),
    /// Absorbed: whatever still arrives goes to the survivor.
    Absorbed {
        /// The survivor.
        into: ProfileId,
        /// By this union.
        id: MergeId,
    },
    /// Erased: whatever still arrives is nothing (ERA-1).
    Erased,
}
