//! Moving a run from step to step until it waits or ends.

use super::{End, EntryKey, Flow, Pinned, RunId, RunState, key_text};
use crate::limits;
use crate::mutation::{Mutation, mutated};
use crate::profile::{Attribute, Choice, Passes};
use crate::step::{Queued, Said, Step};
use crate::timing::{day_of, next_local_time, parse_date, plus_days, resolve, yearly_on};
use chrono::Datelike;
use sojourn_model::{DurationMs, Name, NoteKind, Timestamp, Value};
use sojourn_rules::{Condition, SplitArm, StepIndex, StepKind, Wait};

impl Step<'_> {
    /// Moves a run to `to` and on. Journeys are trees without backward jumps, so this ends.
    pub(crate) fn advance(&mut self, id: RunId, to: Option<StepIndex>) {
        let mut next = to;
        for _ in 0..limits::PASSES_MAX {
            let Some(place) = self.profile.run_place(id) else { return };
            let Some(pinned) = self.pinned(&self.profile.runs[place]) else { return };
            let Some(index) = next else {
                self.end(id, &End::Done);
                return;
            };
            let run = &mut self.profile.runs[place];
            run.step = index.0;
            run.state = RunState::Moving;
            if self.shared.controls.paused.contains(&pinned.journey.name) {
                self.hold(place);
                return;
            }
            match self.take(id, &pinned, index) {
                Flow::Go(to) => next = to,
                Flow::Stay => {
                    self.moved(id, &pinned, index);
                    return;
                }
                Flow::End(end) => {
                    self.end(id, &end);
                    return;
                }
            }
        }
        unreachable!("a tree has fewer steps than the limit");
    }

    fn hold(&mut self, place: usize) {
        let run = &mut self.profile.runs[place];
        run.state = RunState::Held { since: self.now };
        let (journey, profile) = (run.journey.clone(), self.profile.id);
        self.registers.held.entry(journey).or_default().insert(profile);
    }

    fn moved(&mut self, id: RunId, pinned: &Pinned, index: StepIndex) {
        if !self.shared.limits.notes {
            return;
        }
        let Some(place) = self.profile.run_place(id) else { return };
        let run = &self.profile.runs[place];
        let (wait, timeout) = run.state.due();
        let step = pinned.journey.step(index).id.clone();
        let (journey, run_key) = (run.journey.clone(), run.run_key());
        self.note(NoteKind::Moved { journey, run_key, step, until: wait.or(timeout) });
    }

    /// Takes one step.
    fn take(&mut self, id: RunId, pinned: &Pinned, index: StepIndex) -> Flow {
        let step = pinned.journey.step(index);
        match &step.kind {
            StepKind::Send(send) => self.send(id, pinned, index, send),
            StepKind::Wait(wait) => self.wait(id, pinned, index, wait),
            StepKind::WaitFor(_) => self.begin_wait_for(id, pinned, index),
            StepKind::Branch(arms) => {
                let place = self.profile.run_place(id).expect("moving");
                let arm = arms.iter().find(|arm| {
                    arm.when.as_ref().is_none_or(|when| self.condition_holds(when, pinned, place))
                });
                Flow::Go(arm.and_then(|arm| arm.first).or(step.next))
            }
            StepKind::Split { name, arms } => {
                let arm = self.arm_of_split(pinned, name, arms);
                Flow::Go(arm.and_then(|arm| arms[arm].first).or(step.next))
            }
            StepKind::Update(sets) => {
                self.update(id, pinned, sets);
                Flow::Go(step.next)
            }
            StepKind::Emit { event, properties } => {
                self.emit(id, pinned, event, properties);
                Flow::Go(step.next)
            }
            StepKind::Throttle { .. } => self.throttle(id, pinned, index),
            StepKind::Digest(digest) => self.begin_digest(id, pinned, index, digest),
            StepKind::Call(call) => self.begin_call(id, pinned, index, call),
            StepKind::Enter { journey, key } => {
                self.enter_other(id, pinned, journey, key.as_ref());
                Flow::Go(step.next)
            }
            StepKind::Goal => self.goal_step(id, pinned, index),
            StepKind::Exit(reason) => Flow::End(End::Step(reason.clone())),
        }
    }

    fn step_value(&self, id: RunId, pinned: &Pinned, condition: &Condition) -> Option<Value> {
        self.run_value(self.profile.run_place(id)?, pinned, condition)
    }

    fn wait(&mut self, id: RunId, pinned: &Pinned, index: StepIndex, wait: &Wait) -> Flow {
        let next = pinned.journey.step(index).next;
        let place = self.profile.run_place(id).expect("moving");
        let due = self.due_of_wait(place, pinned, wait, self.now);
        let Some(due) = due else { return Flow::End(End::NoDate) };
        if due <= self.now {
            return Flow::Go(next);
        }
        let armed = self.arm();
        let run = &mut self.profile.runs[place];
        run.armed = armed;
        run.state = RunState::Wait { due };
        Flow::Stay
    }

    /// When a wait that began at `from` ends; `None`: there is no such date.
    pub(crate) fn due_of_wait(
        &self,
        place: usize,
        pinned: &Pinned,
        wait: &Wait,
        from: Timestamp,
    ) -> Option<Timestamp> {
        match wait {
            Wait::Elapsed { duration, .. } => {
                let early = if mutated(Mutation::TimerEarly) { 60_000 } else { 0 };
                Some(from.plus(*duration).minus(DurationMs(early)))
            }
            // The zone is fixed here, when the wait begins.
            Wait::Until { minute, weekdays } => {
                Some(next_local_time(self.zone_now().zone, from, *minute, weekdays))
            }
            Wait::UntilDate { date, minute, offset_days, yearly } => {
                let value = self.run_value(place, pinned, date);
                self.until_date(value.as_ref(), *minute, *offset_days, *yearly)
            }
        }
    }

    /// The instant of a date in the person's data, with its offset; `every: year` means the next one
    /// from now on. `None`: there is no such date.
    fn until_date(
        &self,
        value: Option<&Value>,
        minute: u16,
        offset_days: i32,
        yearly: bool,
    ) -> Option<Timestamp> {
        let zone = self.zone_now().zone;
        let date = match value? {
            Value::Text(text) => parse_date(text)?,
            Value::Instant(at) => day_of(zone, *at),
            _ => return None,
        };
        let on = |date| resolve(zone, plus_days(date, i64::from(offset_days)), minute);
        if !yearly {
            return Some(on(date));
        }
        // An offset can reach over a year's end, either way.
        let year = day_of(zone, self.now).year();
        let years = year - 2 - offset_days.abs() / 365..=year + 3 + offset_days.abs() / 365;
        years.map(|year| on(yearly_on(date, year))).find(|at| *at >= self.now)
    }

    /// The arm of a split: by hash over fixed ranges, remembered at first use (W17).
    fn arm_of_split(&mut self, pinned: &Pinned, name: &Name, arms: &[SplitArm]) -> Option<usize> {
        let journey = &pinned.journey.name;
        let known = self.profile.choice(|choice| match choice {
            Choice::Arm { journey: j, split, arm } if j == journey && split == name => {
                Some(arm.clone())
            }
            _ => None,
        });
        let known = known.and_then(|known| arms.iter().position(|arm| arm.arm == known));
        if known.is_some() && !mutated(Mutation::SplitByShares) {
            return known;
        }
        let salt = format!("{journey}/{name}");
        let place = crate::guard::share_of(&salt, self.profile.id) * 100.0;
        let mut upto = 0.0;
        let chosen = arms.iter().position(|arm| {
            upto += arm.percent;
            place < upto
        })?;
        self.profile.choices.retain(|choice| {
            !matches!(choice, Choice::Arm { journey: j, split, .. } if j == journey && split == name)
        });
        self.profile.choices.push(Choice::Arm {
            journey: journey.clone(),
            split: name.clone(),
            arm: arms[chosen].arm.clone(),
        });
        Some(chosen)
    }

    fn update(&mut self, id: RunId, pinned: &Pinned, sets: &[(Name, Condition)]) {
        for (name, condition) in sets {
            // An expression that misses a field changes nothing.
            let Some(value) = self.step_value(id, pinned, condition) else { continue };
            let full = self.profile.attributes.len() >= limits::ATTRIBUTES_MAX;
            if full && self.profile.attribute(name).is_none() {
                self.limit("attributes", limits::ATTRIBUTES_MAX);
                continue;
            }
            let stamp = self.next_stamp(self.now);
            let place = self.profile.run_place(id).expect("moving");
            let (cause, by) = (self.profile.runs[place].cause.clone(), self.profile.runs[place].by);
            let attribute = Attribute { value, stamp, declared: false, by };
            if let Some(changed) = self.profile.take(name, attribute) {
                self.updated |= changed;
                if changed || self.saying_starts(name) {
                    let said = Said { name: name.clone(), changed };
                    self.queue.push_back(Queued::Attribute { said, cause, by });
                }
            }
        }
    }

    fn emit(&mut self, id: RunId, pinned: &Pinned, event: &Name, properties: &[(Name, Condition)]) {
        let values = properties.iter().filter_map(|(name, condition)| {
            Some((name.clone(), self.step_value(id, pinned, condition)?))
        });
        let properties = Value::Map(values.collect());
        let run = &self.profile.runs[self.profile.run_place(id).expect("moving")];
        let (cause, by) = (run.cause.clone(), run.by);
        self.queue.push_back(Queued::Event { name: event.clone(), properties, cause, by });
    }

    /// Whether a journey begins also when the attribute is said again.
    fn saying_starts(&self, name: &Name) -> bool {
        let current = self.shared.current.as_ref();
        current.is_some_and(|current| {
            current.by_attribute.iter().any(|entry| entry.name == *name && !entry.changed)
        })
    }

    /// `enter`: the other journey begins after the record.
    fn enter_other(&mut self, id: RunId, pinned: &Pinned, journey: &Name, key: Option<&Condition>) {
        let key = match key.map(|key| self.step_value(id, pinned, key)) {
            None => EntryKey::Own,
            Some(None | Some(Value::Null)) => EntryKey::Missing,
            Some(Some(value)) => EntryKey::Given(value),
        };
        let run = &self.profile.runs[self.profile.run_place(id).expect("moving")];
        let (cause, by) = (run.cause.clone(), run.by);
        self.queue.push_back(Queued::Enter { journey: journey.clone(), key, cause, by });
    }

    /// A throttle: so many passes per window and key, over all versions; those over it wait in the
    /// order they came, or exit.
    pub(crate) fn throttle(&mut self, id: RunId, pinned: &Pinned, index: StepIndex) -> Flow {
        let step = pinned.journey.step(index);
        let StepKind::Throttle { at_most, per, key, wait } = &step.kind else {
            unreachable!("called for a throttle")
        };
        let key = match key {
            Some(key) => self.step_value(id, pinned, key).map_or("".into(), |v| key_text(&v)),
            None => "".into(),
        };
        let (now, after) = (self.now, self.now.minus(*per));
        let passes = self.passes(&pinned.journey.name, &step.id, &key);
        passes.at.retain(|at| *at > after);
        if passes.at.len() < *at_most as usize {
            passes.at.push(now);
            return Flow::Go(step.next);
        }
        if !*wait || *at_most == 0 {
            return Flow::End(End::Throttled);
        }
        let due = passes.at[passes.at.len() - *at_most as usize].plus(*per);
        let armed = self.arm();
        let place = self.profile.run_place(id).expect("moving");
        let run = &mut self.profile.runs[place];
        // A waiter that came too late for this pass keeps its place in the queue.
        if !matches!(run.state, RunState::Throttle { .. }) {
            run.armed = armed;
        }
        run.state = RunState::Throttle { due };
        Flow::Stay
    }

    fn passes(&mut self, journey: &Name, step: &Name, key: &Name) -> &mut Passes {
        let known = self.profile.passes.iter().position(|passes| {
            passes.journey == *journey && passes.step == *step && passes.key == *key
        });
        let place = known.unwrap_or_else(|| {
            let (journey, step, key) = (journey.clone(), step.clone(), key.clone());
            self.profile.passes.push(Passes { journey, step, key, at: Vec::new() });
            self.profile.passes.len() - 1
        });
        &mut self.profile.passes[place]
    }

    fn goal_step(&mut self, id: RunId, pinned: &Pinned, index: StepIndex) -> Flow {
        self.converted(id, None);
        if pinned.journey.goal.as_ref().is_some_and(|goal| !goal.exit) {
            return Flow::Go(pinned.journey.step(index).next);
        }
        Flow::End(End::GoalMet)
    }
}
