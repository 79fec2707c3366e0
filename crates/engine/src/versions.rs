//! What a publish does to people who are on their way: they keep their version, go on in the new one
//! at the step of the same id, or end (semantics 7).
//!
//! A `Publish` concerns everybody who lives in the partition, and most of them are not in memory. So
//! it is kept until the sweep that it begins has visited everybody; whoever is touched before that
//! follows it then, first of all. Both come to the same: what a run waits for is reckoned from when
//! it began to wait.

use crate::journey::{End, Pinned, Run, RunId, RunState};
use crate::lost::{Lost, lost};
use crate::mutation::{Mutation, mutated};
use crate::profile::Profile;
use crate::step::Step;
use serde::{Deserialize, Serialize};
use sojourn_model::{CandidateId, Existing, Name, NoteKind, Timestamp, Transition, VersionId};
use sojourn_rules::{Definitions, Journey, StepIndex, StepKind, Wait, WaitWhat};
use std::collections::BTreeMap;

/// A publish that not everybody may have followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Publication {
    /// Its place among the publishes of the partition.
    pub(crate) number: u64,
    pub(crate) version: VersionId,
    pub(crate) at: Timestamp,
    pub(crate) transition: Transition,
}

/// What a run that went over to another version keeps of the ones before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moved {
    run: RunId,
    /// How often it went over: candidates of different versions have different ids.
    visit: u16,
    /// The deferred message with which it went over, by the place of its step now: it keeps its id.
    deferred: Option<(u16, CandidateId)>,
    /// Steps, by their id now, whose message it has brought about: it brings about no second one.
    sent: Vec<Name>,
}

/// What becomes of a run in a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It keeps its version.
    Stays,
    /// It goes on at this step of the new version.
    Moves(StepIndex),
    /// It ends.
    Stops,
    /// It was to go over, and cannot: it keeps its version.
    Impossible(Obstacle),
}

/// Why a run cannot go over to the new version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// The new version does not have its journey.
    Journey,
    /// The journey does not have its step any more.
    Step,
    /// Under the id of its step the new version does something else.
    Kind,
}

/// What becomes of a run that stands at `step` of `old`; `new`: its journey in the version that goes
/// live.
pub fn fate(
    old: &Journey,
    step: StepIndex,
    new: Option<&Journey>,
    transition: &Transition,
) -> Fate {
    let (existing, named) = transition.of(&old.name);
    match existing {
        Existing::Drain => Fate::Stays,
        Existing::Stop if !named && new.is_some_and(|new| new.content == old.content) => {
            Fate::Stays
        }
        Existing::Stop => Fate::Stops,
        Existing::Migrate => {
            let Some(new) = new else { return Fate::Impossible(Obstacle::Journey) };
            let old = old.step(step);
            let Some(index) = new.find(transition.step(&new.name, &old.id)) else {
                return Fate::Impossible(Obstacle::Step);
            };
            let kind = std::mem::discriminant::<StepKind>;
            if kind(&old.kind) == kind(&new.step(index).kind) {
                Fate::Moves(index)
            } else {
                Fate::Impossible(Obstacle::Kind)
            }
        }
    }
}

/// How many live runs stand where: by journey, version and place of the step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing(BTreeMap<(Name, VersionId, u16), u64>);

impl Standing {
    /// Counts the runs of one person.
    pub fn add(&mut self, profile: &Profile) {
        for run in profile.runs.iter().filter(|run| run.live()) {
            *self.0.entry((run.journey.clone(), run.version, run.step)).or_default() += 1;
        }
    }

    /// Every place with its number of runs, in order of journey, version and step.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, VersionId, StepIndex, u64)> {
        self.0
            .iter()
            .map(|((journey, version, step), runs)| (journey, *version, StepIndex(*step), *runs))
    }

    /// What would become of them, in the same order. Runs of versions that `version` does not know,
    /// and of `new` itself, stay.
    pub fn outlook<'a>(
        &'a self,
        new: &'a Definitions,
        transition: &'a Transition,
        version: &'a dyn Fn(VersionId) -> Option<std::sync::Arc<Definitions>>,
    ) -> impl Iterator<Item = Outlook<'a>> {
        self.iter().map(move |(name, of, step, runs)| {
            let known = version(of);
            let old = known.as_ref().and_then(|definitions| definitions.journey(name));
            let mut outlook = Outlook {
                journey: name,
                version: of,
                step: "?".into(),
                fate: Fate::Stays,
                runs,
                lost: Vec::new(),
            };
            let (Some(before), Some(old)) = (&known, old) else { return outlook };
            outlook.step = old.step(step).id.clone();
            if of == new.version {
                return outlook;
            }
            let journey = new.journey(name).map(|journey| &**journey);
            outlook.fate = fate(old, step, journey, transition);
            if let (Fate::Moves(to), Some(journey)) = (outlook.fate, journey) {
                outlook.lost = lost((old, before), (journey, new), to, transition);
            }
            outlook
        })
    }
}

/// What would become of the runs at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook<'a> {
    /// Their journey.
    pub journey: &'a Name,
    /// The version in which they are.
    pub version: VersionId,
    /// The step at which they stand.
    pub step: Name,
    /// What would become of them.
    pub fate: Fate,
    /// How many they are.
    pub runs: u64,
    /// What they would lack in the new version.
    pub lost: Vec<Lost>,
}

impl Step<'_> {
    /// Follows the publishes after number `known`, in order, and fires what is due by that.
    pub(crate) fn follow_publishes(&mut self, known: u64) {
        if self.profile.runs.is_empty() {
            return;
        }
        let publications = std::mem::take(&mut self.registers.publications);
        let mut moved = false;
        for publication in publications.iter().filter(|one| one.number > known) {
            for id in self.profile.live_runs() {
                moved |= self.follow(id, publication);
            }
        }
        self.registers.publications = publications;
        if moved {
            self.fire_runs();
        }
    }

    /// A run that came with a merge follows the publishes that its own partition had not seen.
    pub(crate) fn follow_late(&mut self, id: RunId) {
        let publications = std::mem::take(&mut self.registers.publications);
        for (place, publication) in publications.iter().enumerate() {
            let Some(run) = self.profile.run_place(id).map(|place| &self.profile.runs[place])
            else {
                break;
            };
            let newer = publications[place..].iter().any(|one| one.version == run.version);
            if run.live() && !newer && run.entered_at <= publication.at {
                self.follow(id, publication);
            }
        }
        self.registers.publications = publications;
    }

    /// Gives whether the run went over.
    fn follow(&mut self, id: RunId, publication: &Publication) -> bool {
        let Some(place) = self.profile.run_place(id) else { return false };
        let run = &self.profile.runs[place];
        if run.version == publication.version || publication.transition.drains() {
            return false;
        }
        let Some(old) = self.pinned(run) else { return false };
        let Some(installed) = self.shared.versions.get(&publication.version).cloned() else {
            return false;
        };
        let journey = installed.journey(&run.journey).map(|(journey, _)| journey.clone());
        let step = StepIndex(run.step);
        match fate(&old.journey, step, journey.as_deref(), &publication.transition) {
            Fate::Stays | Fate::Impossible(_) => false,
            Fate::Stops => {
                self.end(id, &End::Stopped);
                false
            }
            Fate::Moves(step) => {
                let journey = journey.expect("it has the step");
                self.migrate(place, &old, &Pinned { installed, journey }, step, publication);
                true
            }
        }
    }

    /// Moves a run to another version: it stands there as it stood here.
    fn migrate(
        &mut self,
        place: usize,
        old: &Pinned,
        new: &Pinned,
        step: StepIndex,
        publication: &Publication,
    ) {
        let run = &mut self.profile.runs[place];
        let (id, from, version) = (run.id(), run.version, publication.version);
        if mutated(Mutation::MigrationLosesRun) {
            self.profile.runs.remove(place);
            self.unpin(from);
            return;
        }
        if old.journey.content != new.journey.content {
            self.keep_of(place, step, &publication.transition);
        }
        let run = &mut self.profile.runs[place];
        let before = StepIndex(std::mem::replace(&mut run.step, step.0));
        run.version = version;
        for (name, _) in &mut run.events {
            *name = publication.transition.step(&new.journey.name, name).clone();
        }
        self.unpin(from);
        *self.registers.pins.entry(version).or_default() += 1;
        let Some(state) = self.state_again(place, old, before, new, step) else {
            self.end(id, &End::NoDate);
            return;
        };
        let run = &mut self.profile.runs[place];
        run.state = state;
        let (wait, timeout) = run.state.due();
        let (journey, run_key) = (run.journey.clone(), run.run_key());
        let (step, version) = (new.journey.step(step).id.clone(), version.to_string().into());
        let until = wait.or(timeout);
        self.note(NoteKind::Migrated { journey, run_key, version, step, until });
    }

    /// What a run waits for in the new version. A step that says the same keeps its instant; another
    /// wait or time-out is reckoned from when the run began to wait, and one that is past by that is
    /// over now. `None`: it waits for a date that the person does not have.
    fn state_again(
        &mut self,
        place: usize,
        old: &Pinned,
        before: StepIndex,
        new: &Pinned,
        step: StepIndex,
    ) -> Option<RunState> {
        let (now, run) = (self.now, &self.profile.runs[place]);
        let began = run.armed.0;
        let (before, after) = (old.journey.step(before), new.journey.step(step));
        Some(match (run.state.clone(), &before.kind, &after.kind) {
            (RunState::Wait { due }, StepKind::Wait(a), StepKind::Wait(b)) => {
                let due = match (a, b) {
                    (Wait::Elapsed { duration: a, .. }, Wait::Elapsed { duration: b, .. })
                        if a == b =>
                    {
                        due
                    }
                    (a, b) if a == b => due,
                    (_, b) => self.due_of_wait(place, new, b, began)?,
                };
                RunState::Wait { due: due.max(now) }
            }
            (RunState::WaitFor { .. }, StepKind::WaitFor(_), StepKind::WaitFor(wait)) => {
                let timeout = wait.timeout.map(|timeout| began.plus(timeout).max(now));
                // A condition is looked at anew.
                let condition = matches!(wait.what, WaitWhat::Condition(_));
                RunState::WaitFor { timeout, look: condition.then_some(now) }
            }
            (RunState::Throttle { due }, a, b) => {
                let same = before.id == after.id && a == b;
                RunState::Throttle { due: if same { due } else { now } }
            }
            (RunState::Deferred(mut candidate), StepKind::Send(a), StepKind::Send(b)) => {
                if a.expires != b.expires {
                    let arose = candidate.arose;
                    candidate.expires = b.expires.map(|expires| arose.plus(expires).max(now));
                }
                RunState::Deferred(candidate)
            }
            (RunState::Digest { due }, StepKind::Digest(a), StepKind::Digest(b)) => {
                let held = run.events.iter().filter(|entry| entry.0 == after.id).count();
                let due = if a.window == b.window { due } else { began.plus(b.window) };
                RunState::Digest { due: if held >= b.max as usize { now } else { due.max(now) } }
            }
            (state, ..) => state,
        })
    }

    /// What must be remembered of the version that a run leaves.
    fn keep_of(&mut self, place: usize, step: StepIndex, transition: &Transition) {
        let run = &self.profile.runs[place];
        let (id, journey) = (run.id(), run.journey.clone());
        let deferred = matches!(run.state, RunState::Deferred(_));
        let deferred = deferred.then(|| (step.0, self.candidate_of(run)));
        let known = self.profile.moved.iter().position(|moved| moved.run == id);
        let (visit, mut sent, kept) = match known.map(|place| self.profile.moved.remove(place)) {
            Some(moved) => (moved.visit, moved.sent, moved.deferred.map(|(_, id)| id)),
            None => (0, Vec::new(), None),
        };
        for send in self.profile.sends.as_slice() {
            let action = send.action.0;
            // Those before are among them, by the ids that their steps have had since.
            let here = (action.profile, action.run) == id
                && (action.visit == visit || Some(action) == kept);
            if here && !sent.contains(&send.step) {
                sent.push(send.step.clone());
            }
        }
        for name in &mut sent {
            *name = transition.step(&journey, name).clone();
        }
        if mutated(Mutation::MigrationForgetsSends) {
            sent.clear();
        }
        let visit = visit.saturating_add(1);
        self.profile.moved.push(Moved { run: id, visit, deferred, sent });
    }

    /// The candidate of the step at which a run stands.
    pub(crate) fn candidate_of(&self, run: &Run) -> CandidateId {
        let candidate = run.candidate();
        match self.profile.moved.iter().find(|moved| moved.run == run.id()) {
            None => candidate,
            Some(Moved { deferred: Some((step, id)), .. }) if *step == run.step => *id,
            Some(moved) => CandidateId { visit: moved.visit, ..candidate },
        }
    }

    /// Whether a run has brought about the message of this step in a version that it left.
    pub(crate) fn sent_before(&self, id: RunId, step: &Name) -> bool {
        let moved = self.profile.moved.iter().find(|moved| moved.run == id);
        moved.is_some_and(|moved| moved.sent.contains(step))
    }
}

/// Forgets what was kept of runs that are no more.
pub(crate) fn forget_moved(profile: &mut Profile) {
    if !profile.moved.is_empty() {
        let runs: Vec<RunId> = profile.runs.iter().map(Run::id).collect();
        profile.moved.retain(|moved| runs.contains(&moved.run));
    }
}

/// What an unmerge gives the person whose runs these are.
pub(crate) fn moved_of(moved: &[Moved], runs: &[Run]) -> Vec<Moved> {
    let of = |one: &&Moved| runs.iter().any(|run| run.id() == one.run);
    moved.iter().filter(of).cloned().collect()
}
