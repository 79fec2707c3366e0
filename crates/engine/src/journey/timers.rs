//! What happens when a person's timers are due (semantics 1, TIM-1).

use super::{RunId, RunState};
use crate::limits::PASSES_MAX;
use crate::mutation::{Mutation, mutated};
use crate::scope::EventRef;
use crate::step::Step;
use sojourn_model::Timestamp;
use sojourn_rules::{StepIndex, StepKind};

/// The next thing to do for a person at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// A wait, a throttle or a look at a condition.
    Wait(RunId),
    /// A time-out.
    Timeout(RunId),
    /// A deferred message.
    Candidate(RunId),
}

impl Step<'_> {
    /// Fires everything of this person that is due at `now`; time-outs only when `timeouts` (log
    /// time is later than the instant). First waits in the order they were armed, then woken
    /// candidates by rank; what they arm for this instant fires in the same pass.
    pub(crate) fn fire(&mut self, timeouts: bool) {
        self.end_stopped();
        for _ in 0..PASSES_MAX {
            self.pass += 1;
            match self.next_due(timeouts) {
                Some(Due::Wait(id)) => self.fire_wait(id),
                Some(Due::Timeout(id)) => self.fire_timeout(id),
                Some(Due::Candidate(id)) => self.fire_candidate(id),
                None if self.profile.segments_look.is_some_and(|look| look <= self.now) => {
                    self.fire_segments();
                }
                None => {
                    // What fired before may have changed a date, a zone or a segment.
                    self.arm_entries(self.now);
                    let Some(entry) = self.due_entry() else { return };
                    self.fire_entry(entry);
                }
            }
            self.settle();
        }
        unreachable!("every firing ends a wait or arms a later one");
    }

    /// Fires the waits and deferred messages that are due at `now`: a publish may have made them so.
    pub(crate) fn fire_runs(&mut self) {
        self.end_stopped();
        for _ in 0..PASSES_MAX {
            self.pass += 1;
            match self.next_due(false) {
                Some(Due::Wait(id) | Due::Timeout(id)) => self.fire_wait(id),
                Some(Due::Candidate(id)) => self.fire_candidate(id),
                None => return,
            }
            self.settle();
        }
        unreachable!("every firing ends a wait or arms a later one");
    }

    fn next_due(&self, timeouts: bool) -> Option<Due> {
        let due = |at: Option<Timestamp>| at.is_some_and(|at| at <= self.now);
        let mut waits: Vec<((Timestamp, u32), sojourn_model::ProfileId, Due)> = Vec::new();
        for run in &self.profile.runs {
            let (wait, timeout) = run.state.due();
            if matches!(run.state, RunState::Deferred(_)) {
                continue;
            }
            if due(wait) {
                waits.push((run.armed, run.origin, Due::Wait(run.id())));
            } else if timeouts && due(timeout) {
                waits.push((run.armed, run.origin, Due::Timeout(run.id())));
            }
        }
        let first = waits.into_iter().min_by_key(|(armed, origin, _)| (*armed, *origin));
        first.map(|(_, _, due)| due).or_else(|| self.first_woken().map(Due::Candidate))
    }

    /// Of the deferred candidates that are due, the first by (class, priority, expiry, value, id).
    fn first_woken(&self) -> Option<RunId> {
        let woken = self.profile.runs.iter().filter(|run| match &run.state {
            RunState::Deferred(candidate) => candidate.wake() <= self.now,
            _ => false,
        });
        let ranked = woken.filter_map(|run| Some((self.rank(run)?, run.id())));
        ranked.min_by(|a, b| a.0.cmp(&b.0)).map(|(_, id)| id)
    }

    fn fire_wait(&mut self, id: RunId) {
        let place = self.profile.run_place(id).expect("due");
        let run = &self.profile.runs[place];
        let step = StepIndex(run.step);
        let Some(pinned) = self.pinned(run) else {
            // Its version is not installed: it waits until the owner installs it.
            self.profile.runs[place].state = RunState::Held { since: self.now };
            return;
        };
        match &run.state {
            RunState::Wait { .. } => {
                let next = pinned.journey.step(step).next;
                if mutated(Mutation::TimerFiresTwice)
                    && let Some(next) = next
                    && let StepKind::Send(send) = &pinned.journey.step(next).kind
                {
                    self.profile.runs[place].step = next.0;
                    let _ = self.send(id, &pinned, next, send);
                }
                self.advance(id, next);
            }
            RunState::Call { .. } => self.fire_call(id, &pinned, step),
            RunState::Digest { .. } => self.advance(id, pinned.journey.step(step).next),
            RunState::WaitFor { .. } => self.look(id),
            RunState::Throttle { .. } => match self.throttle(id, &pinned, step) {
                super::Flow::Go(next) => self.advance(id, next),
                super::Flow::Stay => {}
                super::Flow::End(end) => self.end(id, &end),
            },
            other => unreachable!("{other:?} has no wait"),
        }
    }

    fn fire_timeout(&mut self, id: RunId) {
        let place = self.profile.run_place(id).expect("due");
        let run = &self.profile.runs[place];
        let Some(pinned) = self.pinned(run) else {
            self.profile.runs[place].state = RunState::Held { since: self.now };
            return;
        };
        let step = pinned.journey.step(StepIndex(run.step));
        let StepKind::WaitFor(wait) = &step.kind else { unreachable!("only a wait_for times out") };
        self.advance(id, wait.otherwise.or(step.next));
    }

    fn fire_candidate(&mut self, id: RunId) {
        let place = self.profile.run_place(id).expect("due");
        let run = &self.profile.runs[place];
        let step = StepIndex(run.step);
        let Some(pinned) = self.pinned(run) else {
            self.profile.runs[place].state = RunState::Held { since: self.now };
            return;
        };
        self.wake_candidate(id, &pinned, step);
    }

    /// Time emptied a window of a segment that journeys watch.
    fn fire_segments(&mut self) {
        let event = self.own_event("Segment Changed");
        self.profile.segments_look = None;
        self.found.segments = None;
        self.enter_on(&event, &[]);
    }

    /// Goes on with a run that a pause held. A message whose life ran out meanwhile is refused as
    /// expired: it counts from when the run came to its step.
    pub(crate) fn advance_held(&mut self, id: RunId, step: StepIndex) {
        let place = self.profile.run_place(id).expect("held");
        let run = &self.profile.runs[place];
        let RunState::Held { since } = run.state else { return };
        let Some(pinned) = self.pinned(run) else { return };
        if let StepKind::Send(send) = &pinned.journey.step(step).kind
            && !self.shared.controls.paused.contains(&pinned.journey.name)
        {
            let flow = self.send_arisen(id, &pinned, step, send, since);
            match flow {
                super::Flow::Go(next) => self.advance(id, next),
                super::Flow::Stay => {}
                super::Flow::End(end) => self.end(id, &end),
            }
            return;
        }
        self.advance(id, Some(step));
    }

    /// Value of a step's expression at this moment, over the run's entry event.
    pub(crate) fn run_value(
        &self,
        place: usize,
        pinned: &super::Pinned,
        condition: &sojourn_rules::Condition,
    ) -> Option<sojourn_model::Value> {
        let run = &self.profile.runs[place];
        let event = EventRef::Stored(&run.entry);
        self.value_over(&condition.expr, &pinned.installed.definitions, event, Some(run))
    }
}
