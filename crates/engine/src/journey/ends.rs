//! Exits and goals: evaluated on every record, for every live run, before anything else (W9).

use super::{End, Pinned, RunId, RunState};
use crate::Effect;
use crate::caps::SendState;
use crate::event::EventView;
use crate::mutation::{Mutation, mutated};
use crate::scope::EventRef;
use crate::step::Step;
use sojourn_model::{NoteKind, Timestamp, Value};

impl Step<'_> {
    /// Ends, in order of entry, the runs that `event` exits or whose goal it meets; counts the
    /// conversions of runs that have ended.
    pub(crate) fn end_on(&mut self, event: &EventView<'_>) {
        for id in self.profile.live_runs() {
            let Some(place) = self.profile.run_place(id) else { continue };
            let run = &self.profile.runs[place];
            // Only what occurred after the event that the run entered with (semantics 1).
            if event.stamp <= run.entry.stamp {
                continue;
            }
            let Some(pinned) = self.pinned(run) else { continue };
            let waits = matches!(run.state, RunState::Wait { .. });
            let met = self.goal_met(&pinned, place, event);
            let exits = !(waits && mutated(Mutation::ExitAtEndOfWait))
                && pinned
                    .journey
                    .exit_on
                    .iter()
                    .any(|rule| self.rule_holds(rule, &pinned, place, event));
            if met || exits {
                self.correction(place, event);
            }
            if met {
                self.converted(id, Some((&pinned, event)));
            }
            let goal_exits = pinned.journey.goal.as_ref().is_some_and(|goal| goal.exit);
            match (met, exits) {
                // A record that meets both counts as the goal.
                (true, true) => self.end(id, &End::GoalMet),
                (true, false) if goal_exits => self.end(id, &End::GoalMet),
                (false, true) => self.end(id, &End::Exited),
                _ => {}
            }
        }
        self.late_conversions(event);
    }

    /// A late event would have ended the run before it sent something: a decision that was taken is
    /// never rewritten; what it would have been is told (semantics 1, W13).
    fn correction(&mut self, place: usize, event: &EventView<'_>) {
        let run = &self.profile.runs[place];
        let occurred = event.stamp.occurred;
        let mut sends = self.profile.sends.as_slice().iter();
        let sent = sends.find(|send| {
            let ours = (send.action.0.profile, send.action.0.run) == run.id();
            ours && send.at > occurred && send.state != SendState::Failed
        });
        if let Some(send) = sent {
            let detail = format!("{} would not have been sent: {} was late", send.step, event.name);
            let (journey, run_key) = (run.journey.clone(), run.run_key());
            self.note(NoteKind::Correction { journey, run_key, detail: detail.into() });
        }
    }

    /// Whether `event` meets the goal of a run, inside its window.
    fn goal_met(&self, pinned: &Pinned, place: usize, event: &EventView<'_>) -> bool {
        let Some(goal) = &pinned.journey.goal else { return false };
        let run = &self.profile.runs[place];
        let in_window = goal.within.is_none_or(|within| self.now.since(run.entered_at) <= within);
        in_window && self.rule_holds(&goal.rule, pinned, place, event)
    }

    /// Ended runs whose goal is met inside its window still count as conversions.
    fn late_conversions(&mut self, event: &EventView<'_>) {
        let now = self.now;
        let over = |state: &RunState| matches!(state, RunState::Ended { converts_until } if *converts_until < now);
        if self.profile.runs.iter().all(|run| run.live()) {
            return;
        }
        let forgotten: Vec<_> = self
            .profile
            .runs
            .iter()
            .filter(|run| over(&run.state))
            .map(|run| run.version)
            .collect();
        self.profile.runs.retain(|run| !over(&run.state));
        crate::versions::forget_moved(self.profile);
        forgotten.into_iter().for_each(|version| self.unpin(version));
        let mut ended: Vec<_> = self.profile.runs.iter().filter(|run| !run.live()).collect();
        ended.sort_by_key(|run| run.order());
        for id in ended.into_iter().map(|run| run.id()).collect::<Vec<_>>() {
            let Some(place) = self.profile.run_place(id) else { continue };
            let run = &self.profile.runs[place];
            let Some(pinned) = self.pinned(run) else { continue };
            if event.stamp <= run.entry.stamp {
                continue;
            }
            let goal = pinned.journey.goal.as_ref();
            let met = self.goal_met(&pinned, place, event);
            if met && goal.is_some_and(|goal| goal.within.is_some()) {
                self.converted(id, Some((&pinned, event)));
            }
            // What a full cap put off is not shown once its run would have been taken away.
            let waiting = self.profile.put_off_until(id).is_some();
            let taken_away = waiting
                && (met && goal.is_some_and(|goal| goal.exit)
                    || pinned
                        .journey
                        .exit_on
                        .iter()
                        .any(|rule| self.rule_holds(rule, &pinned, place, event)));
            if taken_away {
                self.profile.forget_put_off(id);
            }
            if met || taken_away {
                self.settle_ended(id);
            }
        }
    }

    /// Until when an ended run is kept: while it may convert, and while something of it waits for the
    /// next message.
    fn kept_until(&self, place: usize) -> Option<Timestamp> {
        let run = &self.profile.runs[place];
        let pinned = self.pinned(run);
        let within = pinned.and_then(|p| p.journey.goal.as_ref().and_then(|goal| goal.within));
        let converts = within.map(|within| run.entered_at.plus(within));
        let converts = converts.filter(|until| *until >= self.now && !run.converted);
        converts.max(self.profile.put_off_until(run.id()))
    }

    /// Forgets an ended run as soon as nothing needs it.
    pub(crate) fn settle_ended(&mut self, id: RunId) {
        let Some(place) = self.profile.run_place(id) else { return };
        if self.profile.runs[place].live() {
            return;
        }
        match self.kept_until(place) {
            Some(converts_until) => {
                self.profile.runs[place].state = RunState::Ended { converts_until };
            }
            None => {
                let run = self.profile.runs.remove(place);
                self.unpin(run.version);
            }
        }
    }

    /// Counts the conversion of a run, once.
    pub(crate) fn converted(&mut self, id: RunId, met: Option<(&Pinned, &EventView<'_>)>) {
        let Some(place) = self.profile.run_place(id) else { return };
        if std::mem::replace(&mut self.profile.runs[place].converted, true) {
            return;
        }
        let run = &self.profile.runs[place];
        let value = met.and_then(|(pinned, event)| {
            let value = pinned.journey.goal.as_ref()?.value.as_ref()?;
            let definitions = &pinned.installed.definitions;
            let value =
                self.value_over(&value.expr, definitions, EventRef::View(event), Some(run))?;
            Value::as_number(&value)
        });
        let (journey, run_key) = (run.journey.clone(), run.run_key());
        self.note(NoteKind::Converted { journey, run_key, value });
    }

    /// Ends a run. A deferred candidate leaves its last decision at this instant; what was reserved
    /// and not yet sent is cancelled when the run was taken away (not when it came to its end).
    pub(crate) fn end(&mut self, id: RunId, end: &End) {
        let Some(place) = self.profile.run_place(id) else { return };
        if let Some(reason) = end.reason() {
            if matches!(self.profile.runs[place].state, RunState::Deferred(_)) {
                self.candidate_taken_away(place, reason);
            }
            self.take_back_call(id, reason);
            self.profile.forget_put_off(id);
            let run = |candidate: &sojourn_model::CandidateId| (candidate.profile, candidate.run);
            let cancelled = self.profile.sends.cancel(|send| run(&send.action.0) == id);
            let profile = self.profile.id;
            for action in cancelled {
                self.effects.push(Effect::Cancel { profile, action, reason });
            }
        }
        let run = &self.profile.runs[place];
        let (journey, run_key, version) = (run.journey.clone(), run.run_key(), run.version);
        let gone = matches!(end, End::Merged | End::Digested | End::Erased);
        let waiting = self.profile.put_off_until(id).is_some();
        let kept_until = if gone && !waiting { None } else { self.kept_until(place) };
        match kept_until {
            Some(converts_until) => {
                let run = &mut self.profile.runs[place];
                run.state = RunState::Ended { converts_until };
                run.converted |= gone;
                if !waiting {
                    run.events = Vec::new();
                }
            }
            None => {
                self.profile.runs.remove(place);
                self.unpin(version);
                crate::versions::forget_moved(self.profile);
            }
        }
        self.note(NoteKind::Ended { journey, run_key, reason: end.text() });
    }

    pub(crate) fn unpin(&mut self, version: sojourn_model::VersionId) {
        if let Some(pins) = self.registers.pins.get_mut(&version) {
            *pins = pins.saturating_sub(1);
            if *pins == 0 {
                self.registers.pins.remove(&version);
            }
        }
    }

    /// Ends the runs of journeys that an operator stopped.
    pub(crate) fn end_stopped(&mut self) {
        if self.shared.controls.stopped.is_empty() {
            return;
        }
        for id in self.profile.live_runs() {
            let Some(place) = self.profile.run_place(id) else { continue };
            let run = &self.profile.runs[place];
            let stopped = self.shared.controls.stopped.get(&run.journey);
            if stopped.is_some_and(|since| run.entered_at <= *since) {
                self.end(id, &End::Stopped);
            }
        }
    }

    /// Lets the runs go on that a pause held.
    pub(crate) fn resume(&mut self, journey: &str) {
        for id in self.profile.live_runs() {
            let Some(place) = self.profile.run_place(id) else { continue };
            let run = &self.profile.runs[place];
            if *run.journey == *journey && matches!(run.state, RunState::Held { .. }) {
                let step = sojourn_rules::StepIndex(run.step);
                self.advance_held(id, step);
            }
        }
    }
}
