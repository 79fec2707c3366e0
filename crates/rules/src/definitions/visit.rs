//! Every condition of the definitions, for whoever must look at all of them.

use super::{Condition, Definitions, EventRule, Journey, StepKind, Trigger, Wait, WaitWhat};
use crate::expr::Expr;
use crate::limits::SEGMENT_DEPTH_MAX;

impl Journey {
    /// The rules that end a run: `exit_on`, then `goal`.
    pub fn ending_rules(&self) -> impl Iterator<Item = &EventRule> {
        self.exit_on.iter().chain(self.goal.as_ref().map(|goal| &goal.rule))
    }

    /// Calls `visit` on every condition and expression of this journey.
    pub fn conditions(&self, visit: &mut dyn FnMut(&Condition)) {
        match &self.entry.trigger {
            Trigger::Event(rule) => rule.when.iter().for_each(&mut *visit),
            Trigger::Date { date, .. } => visit(date),
            _ => {}
        }
        self.entry.when.iter().for_each(&mut *visit);
        self.entry.key.iter().for_each(&mut *visit);
        for rule in self.ending_rules() {
            rule.when.iter().for_each(&mut *visit);
        }
        self.goal.iter().filter_map(|goal| goal.value.as_ref()).for_each(&mut *visit);
        for step in &self.steps {
            match &step.kind {
                StepKind::Send(send) => {
                    send.only_if.iter().chain(&send.value).for_each(&mut *visit);
                    send.variables.iter().for_each(|(_, value)| visit(value));
                }
                StepKind::Wait(Wait::UntilDate { date, .. }) => visit(date),
                StepKind::WaitFor(wait) => match &wait.what {
                    WaitWhat::Event(rule) => rule.when.iter().for_each(&mut *visit),
                    WaitWhat::Condition(condition) => visit(condition),
                },
                StepKind::Branch(arms) => {
                    arms.iter().filter_map(|arm| arm.when.as_ref()).for_each(&mut *visit);
                }
                StepKind::Update(values) | StepKind::Emit { properties: values, .. } => {
                    values.iter().for_each(|(_, value)| visit(value));
                }
                StepKind::Throttle { key, .. } | StepKind::Enter { key, .. } => {
                    key.iter().for_each(&mut *visit);
                }
                StepKind::Call(call) => call.conditions(&mut *visit),
                StepKind::Digest(digest) => digest.key.iter().for_each(&mut *visit),
                StepKind::Wait(_) | StepKind::Split { .. } | StepKind::Goal | StepKind::Exit(_) => {
                }
            }
        }
    }
}

impl Definitions {
    /// Calls `visit` on every node of every expression: segments, then journeys.
    pub fn walk(&self, visit: &mut dyn FnMut(&Expr)) {
        for segment in self.segments.values() {
            segment.when.expr.walk(visit);
        }
        for journey in &self.journeys {
            journey.conditions(&mut |condition| condition.expr.walk(visit));
        }
    }

    /// Calls `visit` on every node of `expr` and of the segments that it names, and they name.
    pub fn walk_through(&self, expr: &Expr, visit: &mut dyn FnMut(&Expr)) {
        self.walk_below(expr, 0, visit);
    }

    fn walk_below(&self, expr: &Expr, depth: usize, visit: &mut dyn FnMut(&Expr)) {
        expr.walk(&mut |node| {
            visit(node);
            if let Expr::InSegment(name) = node
                && depth < SEGMENT_DEPTH_MAX
                && let Some(segment) = self.segments.get(name)
            {
                self.walk_below(&segment.when.expr, depth + 1, visit);
            }
        });
    }
}
