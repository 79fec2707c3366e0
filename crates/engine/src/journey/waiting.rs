//! Runs that wait: what continues them, and what begins their wait anew.

use super::{Flow, Pinned, RunId, RunState, key_text};
use crate::event::EventView;
use crate::installed::windows;
use crate::mutation::{Mutation, mutated};
use crate::profile::earlier;
use crate::scope::EventRef;
use crate::step::Step;
use sojourn_model::{Timestamp, Value};
use sojourn_rules::{Condition, EventRule, StepIndex, StepKind, Wait, WaitWhat, holds};

impl Step<'_> {
    /// Continues, in order of entry, every run that waits for `event`.
    pub(crate) fn continue_on(&mut self, event: &EventView<'_>) {
        for id in self.profile.live_runs() {
            let Some(place) = self.profile.run_place(id) else { continue };
            let run = &self.profile.runs[place];
            let waits = matches!(
                run.state,
                RunState::Wait { .. } | RunState::WaitFor { .. } | RunState::Digest { .. }
            );
            if !waits {
                continue;
            }
            let Some(pinned) = self.pinned(run) else { continue };
            let step = pinned.journey.step(StepIndex(run.step));
            match &step.kind {
                StepKind::Wait(Wait::Elapsed { duration, restart_on }) => {
                    let named = restart_on.iter().any(|name| **name == *event.name);
                    if named && self.concerns(&pinned, place, event) {
                        let due = self.now.plus(*duration);
                        self.restart(place, due);
                    }
                }
                StepKind::WaitFor(wait) => match &wait.what {
                    WaitWhat::Event(rule) => {
                        let fits = self.concerns(&pinned, place, event)
                            && self.rule_holds(rule, &pinned, place, event);
                        if fits {
                            self.matched(&pinned, place, event);
                            self.continued(id, wait.then.or(step.next));
                        }
                    }
                    WaitWhat::Condition(_) => self.look(id),
                },
                StepKind::Digest(_) => self.collect(id, &pinned, event),
                _ => {}
            }
        }
    }

    /// An event ends or restarts a wait only when it occurred after the event that the run entered
    /// with, and is of its key when it has the field that the key reads.
    fn concerns(&self, pinned: &Pinned, place: usize, event: &EventView<'_>) -> bool {
        let run = &self.profile.runs[place];
        if event.stamp <= run.entry.stamp {
            return false;
        }
        let Some(key) = &pinned.journey.entry.key else { return true };
        let definitions = &pinned.installed.definitions;
        match self.value_over(&key.expr, definitions, EventRef::View(event), None) {
            None | Some(Value::Null) => true,
            Some(value) => Some(key_text(&value)) == run.run_key(),
        }
    }

    /// Whether an event rule fits the event, for a run.
    pub(crate) fn rule_holds(
        &self,
        rule: &EventRule,
        pinned: &Pinned,
        place: usize,
        event: &EventView<'_>,
    ) -> bool {
        if !rule.on.iter().any(|name| **name == *event.name) {
            return false;
        }
        let Some(when) = &rule.when else { return true };
        let run = Some(&self.profile.runs[place]);
        holds(when, &self.view(&pinned.installed.definitions, EventRef::View(event), run))
    }

    fn restart(&mut self, place: usize, due: Timestamp) {
        let armed = self.arm();
        let run = &mut self.profile.runs[place];
        run.armed = armed;
        run.state = RunState::Wait { due };
        if mutated(Mutation::TimerLostOnRestart) {
            run.state = RunState::WaitFor { timeout: None, look: None };
        }
    }

    /// The order in which waits were armed (semantics 1).
    pub(crate) fn arm(&mut self) -> (Timestamp, u32) {
        let armed = self.profile.next_armed;
        self.profile.next_armed = armed.wrapping_add(1);
        (self.now, armed)
    }

    fn matched(&mut self, pinned: &Pinned, place: usize, event: &EventView<'_>) {
        let run = &self.profile.runs[place];
        let step = &pinned.journey.step(StepIndex(run.step)).id;
        let Some((_, needs)) = pinned.installed.journey(&run.journey) else { return };
        if let Some(fields) = needs.of_step(step) {
            let kept = event.keep(&fields);
            let run = &mut self.profile.runs[place];
            run.events.retain(|entry| entry.0 != *step);
            run.events.push((step.clone(), kept));
        }
    }

    /// Goes on after a `wait_for`; the same record continues no other one of this run.
    fn continued(&mut self, id: RunId, to: Option<StepIndex>) {
        let place = self.profile.run_place(id).expect("looked up just now");
        self.profile.runs[place].continued = self.pass;
        self.advance(id, to);
    }

    /// Looks at the condition of a `wait_for`, unless this record has continued the run already.
    pub(crate) fn look(&mut self, id: RunId) {
        let Some(place) = self.profile.run_place(id) else { return };
        let run = &self.profile.runs[place];
        let RunState::WaitFor { timeout, .. } = run.state else { return };
        let Some(pinned) = self.pinned(run) else { return };
        let step = pinned.journey.step(StepIndex(run.step));
        let StepKind::WaitFor(wait) = &step.kind else { return };
        let WaitWhat::Condition(condition) = &wait.what else { return };
        if run.continued != self.pass && self.condition_holds(condition, &pinned, place) {
            self.continued(id, wait.then.or(step.next));
            return;
        }
        let look = self.next_look(condition, &pinned);
        self.profile.runs[place].state = RunState::WaitFor { timeout, look };
    }

    pub(crate) fn condition_holds(
        &self,
        condition: &Condition,
        pinned: &Pinned,
        place: usize,
    ) -> bool {
        let run = &self.profile.runs[place];
        let event = EventRef::Stored(&run.entry);
        holds(condition, &self.view(&pinned.installed.definitions, event, Some(run)))
    }

    /// When time next empties a window of a condition.
    pub(crate) fn next_look(&self, condition: &Condition, pinned: &Pinned) -> Option<Timestamp> {
        let definitions = &pinned.installed.definitions;
        let mut found = Vec::new();
        windows(&condition.expr, definitions, &mut found);
        let leaving = found
            .iter()
            .map(|(event, window)| self.profile.history.next_leaving(event, *window, self.now));
        leaving.fold(None, earlier)
    }

    /// Looks at every condition that a run waits for, in order of entry: after an update.
    pub(crate) fn look_at_conditions(&mut self) {
        for id in self.profile.live_runs() {
            self.look(id);
        }
    }

    /// Begins a `wait_for`. A condition that holds already lets the run through at once, unless the
    /// record that brought it here has continued it before.
    pub(crate) fn begin_wait_for(&mut self, id: RunId, pinned: &Pinned, index: StepIndex) -> Flow {
        let step = pinned.journey.step(index);
        let StepKind::WaitFor(wait) = &step.kind else { unreachable!("called for a wait_for") };
        let armed = self.arm();
        let place = self.profile.run_place(id).expect("moving");
        let mut look = None;
        if let WaitWhat::Condition(condition) = &wait.what {
            let seen = self.profile.runs[place].continued == self.pass;
            if !seen && self.condition_holds(condition, pinned, place) {
                self.profile.runs[place].continued = self.pass;
                return Flow::Go(wait.then.or(step.next));
            }
            look = self.next_look(condition, pinned);
        }
        let timeout = wait.timeout.map(|timeout| self.now.plus(timeout));
        let run = &mut self.profile.runs[place];
        run.armed = armed;
        run.state = RunState::WaitFor { timeout, look };
        Flow::Stay
    }
}
