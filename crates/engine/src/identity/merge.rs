//! A merge: the absorbed person's state joins the survivor's, each part by its rule (semantics 2).

use super::Undo;
use crate::journey::{End, Run, RunId, RunState};
use crate::limits::{HISTORY_POINTS_MAX, UNDO_MAX, UNDO_MS};
use crate::profile::{Choice, Profile};
use crate::step::Step;
use sojourn_model::{DurationMs, MergeId, NoteKind, ProfileId, Timestamp};
use sojourn_rules::{Reentry, StepIndex, StepKind, WaitWhat};

impl Step<'_> {
    /// Absorbs `other`. Triggers nothing by itself.
    pub(crate) fn absorb(&mut self, id: MergeId, from: ProfileId, other: Profile) {
        assert_ne!(from, self.profile.id, "nobody merges into themselves");
        let undo = Undo::of(id, from, self.now, self.profile, &other);
        let before = self.now.minus(DurationMs(UNDO_MS));
        self.profile.undo.retain(|undo| undo.at >= before);
        self.profile.undo.push(undo);
        let excess = self.profile.undo.len().saturating_sub(UNDO_MAX);
        self.profile.undo.drain(..excess);

        for held in other.identifiers {
            self.profile.see(&held.identifier, held.last_seen);
        }
        for (name, attribute) in other.attributes {
            self.profile.set(&name, attribute);
        }
        self.profile.consents.merge(other.consents);
        self.profile.confirmed.merge(other.confirmed);
        self.profile.suppressions.merge(other.suppressions);
        self.profile.sends.merge(other.sends);
        self.profile.fatigue.merge(other.fatigue);
        self.profile.slots.extend(other.slots);
        self.profile.entries.merge(other.entries);
        let ours = &mut *self.profile;
        ours.context_zone = newest(ours.context_zone.take(), other.context_zone);
        ours.context_locale = newest(ours.context_locale.take(), other.context_locale);
        for (purpose, granted, at) in other.stamped {
            let known = ours.stamped.iter().find(|stamp| stamp.0 == purpose);
            if known.is_none_or(|known| (known.2, !known.1) < (at, !granted)) {
                ours.remember_stamp(purpose, granted, at);
            }
        }
        merge_choices(&mut ours.choices, other.choices);
        self.merge_entries(other.occurred, other.appointments);
        let ours = &mut *self.profile;
        for passes in other.passes {
            let same = |p: &&mut crate::profile::Passes| {
                p.journey == passes.journey && p.step == passes.step && p.key == passes.key
            };
            match ours.passes.iter_mut().find(same) {
                Some(known) => {
                    known.at.extend(passes.at);
                    known.at.sort_unstable();
                }
                None => ours.passes.push(passes),
            }
        }
        ours.arbitration_until = ours.arbitration_until.max(other.arbitration_until);
        ours.absorbed_early.extend(other.absorbed_early);
        ours.next_armed = ours.next_armed.max(other.next_armed);
        if self.profile.history.merge(other.history) > 0 {
            self.limit("history", HISTORY_POINTS_MAX);
        }
        self.profile.moved.extend(other.moved);
        self.merge_runs(other.runs);
        crate::versions::forget_moved(self.profile);
        self.remember_segments();
        self.profile.prepared = Some(self.registers.publishes);
        self.look_again();
        self.cancel_forbidden();
        self.note(NoteKind::Merged { from });
    }

    /// Two live runs of one journey and key become the one further along (equal: the older entry);
    /// the other exits. Runs of a journey with `reentry: always` all live on.
    fn merge_runs(&mut self, theirs: Vec<Run>) {
        for run in theirs {
            if self.profile.run_place(run.id()).is_some() {
                continue;
            }
            *self.registers.pins.entry(run.version).or_default() += 1;
            if matches!(run.state, RunState::Held { .. }) {
                let held = self.registers.held.entry(run.journey.clone()).or_default();
                held.insert(self.profile.id);
            }
            let id = run.id();
            self.profile.runs.push(run);
            self.follow_late(id);
            let Some(run) = self.profile.run_place(id).map(|at| &self.profile.runs[at]) else {
                continue;
            };
            let place = place_of(run);
            if let Some((rival, rival_place)) = self.rival_of(run) {
                let (winner, loser) = if place < rival_place { (id, rival) } else { (rival, id) };
                self.unite_digests(winner, loser);
                self.end(loser, &End::Merged);
            }
        }
    }

    fn rival_of(&self, run: &Run) -> Option<(RunId, Place)> {
        if !run.live() || self.all_live_on(run) {
            return None;
        }
        let key = run.run_key();
        let same = self.profile.runs.iter().find(|ours| {
            ours.live()
                && ours.id() != run.id()
                && ours.journey == run.journey
                && ours.run_key() == key
        })?;
        Some((same.id(), place_of(same)))
    }

    fn all_live_on(&self, run: &Run) -> bool {
        self.pinned(run).is_some_and(|pinned| pinned.journey.entry.reentry == Reentry::Always)
    }

    /// The history changed: when time next empties a window of a condition changes with it.
    fn look_again(&mut self) {
        for place in 0..self.profile.runs.len() {
            let run = &self.profile.runs[place];
            let RunState::WaitFor { timeout, .. } = run.state else { continue };
            let Some(pinned) = self.pinned(run) else { continue };
            let StepKind::WaitFor(wait) = &pinned.journey.step(StepIndex(run.step)).kind else {
                continue;
            };
            if let WaitWhat::Condition(condition) = &wait.what {
                let look = self.next_look(condition, &pinned);
                self.profile.runs[place].state = RunState::WaitFor { timeout, look };
            }
        }
    }
}

/// Less is the run that stays: further along first, then the older entry.
type Place = (std::cmp::Reverse<u16>, (Timestamp, u32, ProfileId));

fn place_of(run: &Run) -> Place {
    (std::cmp::Reverse(run.step), run.order())
}

/// The newest of two values; of equally new ones the greater, so that the order of merges is no
/// matter.
fn newest<T: Ord>(a: Option<(T, Timestamp)>, b: Option<(T, Timestamp)>) -> Option<(T, Timestamp)> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if (b.1, &b.0) > (a.1, &a.0) { b } else { a }),
        (a, b) => a.or(b),
    }
}

/// Held out if either was; arms as the survivor remembers them.
fn merge_choices(ours: &mut Vec<Choice>, theirs: Vec<Choice>) {
    for choice in theirs {
        let same = ours.iter_mut().find(|known| match (&**known, &choice) {
            (Choice::Holdout { salt: a, .. }, Choice::Holdout { salt: b, .. }) => a == b,
            (
                Choice::Arm { journey: a, split: s, .. },
                Choice::Arm { journey: b, split: t, .. },
            ) => a == b && s == t,
            _ => false,
        });
        match (same, choice) {
            (None, choice) => ours.push(choice),
            (Some(Choice::Holdout { held, .. }), Choice::Holdout { held: theirs, .. }) => {
                *held |= theirs;
            }
            (Some(_), _) => {}
        }
    }
}
