//! Taking a merge back: both people again, each with what came under their identifiers.

use crate::event::mark_of;
use crate::journey::RunState;
use crate::profile::{Attribute, Choice, Held, Profile};
use crate::step::Step;
use serde::{Deserialize, Serialize};
use sojourn_model::{Identifier, MergeId, Name, NoteKind, ProfileId, Timestamp};

/// What is needed to take one merge back (semantics 2: within 30 days).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Undo {
    /// The union.
    pub id: MergeId,
    /// The absorbed profile.
    pub from: ProfileId,
    /// When.
    pub at: Timestamp,
    /// Identifiers that the absorbed profile held.
    theirs: Vec<Held>,
    /// Attributes of both sides at the merge.
    their_attributes: Vec<(Name, Attribute)>,
    our_attributes: Vec<(Name, Attribute)>,
    /// Profiles in which the absorbed profile's runs began.
    origins: Vec<ProfileId>,
}

impl Undo {
    pub(crate) fn of(
        id: MergeId,
        from: ProfileId,
        at: Timestamp,
        ours: &Profile,
        theirs: &Profile,
    ) -> Self {
        let mut origins: Vec<ProfileId> = theirs.runs.iter().map(|run| run.origin).collect();
        origins.extend(theirs.sends.as_slice().iter().map(|send| send.action.0.profile));
        origins.push(from);
        origins.sort_unstable();
        origins.dedup();
        Self {
            id,
            from,
            at,
            theirs: theirs.identifiers.clone(),
            their_attributes: theirs.attributes.clone(),
            our_attributes: ours.attributes.clone(),
            origins,
        }
    }
}

impl Step<'_> {
    /// Takes the last merge back. Gives the absorbed person's state, for its own partition.
    ///
    /// Touchpoints go to the side whose identifier they came under; runs to the side where they
    /// began. Denies, suppressions and the entry ledger stay with both: after an unmerge the more
    /// restrictive of the two counts. Grants go with their endpoint.
    pub(crate) fn unmerge(&mut self) -> Option<(Undo, Box<Profile>)> {
        let undo = self.profile.undo.pop()?;
        let is_theirs = |id: &Identifier| undo.theirs.iter().any(|held| held.identifier == *id);
        let marks: Vec<u32> =
            undo.theirs.iter().map(|held| mark_of(Some(&held.identifier))).collect();
        let mut theirs = Box::new(Profile::new(undo.from));

        let ours = &mut *self.profile;
        let (taken, kept) = std::mem::take(&mut ours.identifiers)
            .into_iter()
            .partition(|h| is_theirs(&h.identifier));
        theirs.identifiers = taken;
        ours.identifiers = kept;

        let since = std::mem::take(&mut ours.attributes);
        ours.attributes = undo.our_attributes.clone();
        theirs.attributes = undo.their_attributes.clone();
        for (name, attribute) in since {
            if attribute.stamp.logged < undo.at {
                continue;
            }
            let side = if marks.contains(&attribute.by) { &mut *theirs } else { &mut *ours };
            side.set(&name, attribute);
        }

        theirs.history = ours.history.split_off(&marks);
        let their_value = |value: &str| undo.theirs.iter().any(|h| *h.identifier.value == *value);
        let began_there =
            |origin: ProfileId, by: u32| undo.origins.contains(&origin) || marks.contains(&by);
        theirs.sends = ours.sends.split_off(|send| {
            undo.origins.contains(&send.action.0.profile) || their_value(&send.endpoint)
        });
        let gone = &theirs.sends;
        theirs.fatigue = ours.fatigue.split_off(|action| gone.find(action).is_some());
        let (runs, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut ours.runs)
            .into_iter()
            .partition(|run| began_there(run.origin, run.by));
        theirs.moved = crate::versions::moved_of(&ours.moved, &runs);
        theirs.runs = runs;
        ours.runs = kept;
        crate::versions::forget_moved(ours);
        theirs.next_armed = ours.next_armed;
        // Runs that begin there from now on must not take a number that was given before.
        theirs.next_run = theirs.runs.iter().map(|run| run.sequence + 1).max().unwrap_or(0);
        theirs.next_run = theirs.next_run.max(ours.next_run);

        theirs.consents = ours.consents.clone();
        theirs.confirmed = ours.confirmed.clone();
        for ledger in [&mut theirs.consents, &mut theirs.confirmed] {
            ledger.retain_grants(|entry| entry.endpoint.as_deref().is_none_or(their_value));
        }
        for ledger in [&mut ours.consents, &mut ours.confirmed] {
            ledger.retain_grants(|entry| {
                entry.endpoint.as_deref().is_none_or(|endpoint| !their_value(endpoint))
            });
        }
        theirs.suppressions = ours.suppressions.clone();
        theirs.entries = ours.entries.clone();
        let put_off_there = |choice: &Choice| match choice {
            Choice::PutOff(put_off) => Some(began_there(put_off.run.0, put_off.by)),
            _ => None,
        };
        theirs.choices = ours.choices.clone();
        theirs.choices.retain(|choice| put_off_there(choice) != Some(false));
        ours.choices.retain(|choice| put_off_there(choice) != Some(true));
        theirs.passes = ours.passes.clone();
        theirs.context_zone = ours.context_zone.clone();
        theirs.context_locale = ours.context_locale.clone();
        theirs.stamped = ours.stamped.clone();
        theirs.segments = ours.segments.clone();
        theirs.occurred = ours.occurred.clone();
        theirs.prepared = ours.prepared;

        for version in theirs.runs.iter().map(|run| run.version).collect::<Vec<_>>() {
            self.unpin(version);
        }
        self.remember_segments();
        self.note(NoteKind::Unmerged { into: undo.from });
        Some((undo, theirs))
    }

    /// Runs of a person that came back from an unmerge are counted here again.
    pub(crate) fn count_runs(&mut self) {
        for run in &self.profile.runs {
            *self.registers.pins.entry(run.version).or_default() += 1;
            if matches!(run.state, RunState::Held { .. }) {
                let held = self.registers.held.entry(run.journey.clone()).or_default();
                held.insert(self.profile.id);
            }
        }
        for id in self.profile.live_runs() {
            self.follow_late(id);
        }
    }
}
