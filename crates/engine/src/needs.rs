//! What runs keep of their events: what a later step reads, and no more.

use crate::event::{EventFields, Fields};
use sojourn_model::Name;
use sojourn_rules::{
    Condition, Definitions, EventRule, Expr, ItemFields, Journey, Path, Root, StepKind, Wait,
    WaitWhat,
};

/// What runs of a journey keep of their events.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    /// Of the entry event.
    pub(crate) entry: EventFields,
    /// Of what a `wait_for` matched, by step id; with `all_steps`, of each.
    pub(crate) steps: Vec<(Name, EventFields)>,
    pub(crate) all_steps: bool,
}

impl Needs {
    /// Of all steps and rules of a journey.
    pub(crate) fn of(journey: &Journey, definitions: &Definitions) -> Self {
        let mut needs = Self::default();
        // In entry, exit, goal and wait_for filters `event` is the record; everywhere else it is the
        // entry event. Gathering both keeps a little more than needed, never less.
        let rules = journey.exit_on.iter().chain(journey.goal.iter().map(|goal| &goal.rule));
        for rule in rules {
            needs.runs_of_rule(rule);
        }
        for step in &journey.steps {
            needs.step(&step.kind, definitions);
        }
        needs
    }

    /// What to keep of an event that a `wait_for` matched; `None`: nothing reads it.
    pub(crate) fn of_step(&self, step: &str) -> Option<EventFields> {
        if self.all_steps {
            let all = Fields { all: true, names: Vec::new() };
            return Some(EventFields {
                properties: all.clone(),
                context: all.clone(),
                traits: all,
            });
        }
        self.steps.iter().find(|entry| *entry.0 == *step).map(|entry| entry.1.clone())
    }

    fn runs_of_rule(&mut self, rule: &EventRule) {
        if let Some(when) = &rule.when {
            when.expr.walk(&mut |node| {
                if let Expr::Read(Root::Run, path) | Expr::Has(Root::Run, path) = node {
                    self.read_run(path);
                }
            });
        }
    }

    pub(crate) fn condition(&mut self, condition: &Condition) {
        condition.expr.walk(&mut |node| {
            if let Expr::Read(root, path) | Expr::Has(root, path) = node {
                self.read(*root, path);
            }
        });
    }

    pub(crate) fn step(&mut self, kind: &StepKind, definitions: &Definitions) {
        match kind {
            StepKind::Send(send) => {
                send.only_if.iter().chain(&send.value).for_each(|c| self.condition(c));
                send.variables.iter().for_each(|(_, c)| self.condition(c));
                self.items(&send.put_off);
                if let Some(template) = definitions.templates.get(&send.template) {
                    for localized in template.locales.values() {
                        for path in localized.variables.iter().chain(&localized.required) {
                            self.variable(path);
                        }
                    }
                }
            }
            StepKind::Wait(Wait::UntilDate { date, .. }) => self.condition(date),
            StepKind::Wait(_) | StepKind::Goal | StepKind::Exit(_) | StepKind::Split { .. } => {}
            StepKind::WaitFor(wait) => match &wait.what {
                WaitWhat::Event(rule) => self.runs_of_rule(rule),
                WaitWhat::Condition(condition) => self.condition(condition),
            },
            StepKind::Branch(arms) => {
                arms.iter().filter_map(|arm| arm.when.as_ref()).for_each(|c| self.condition(c));
            }
            StepKind::Update(sets) | StepKind::Emit { properties: sets, .. } => {
                sets.iter().for_each(|(_, c)| self.condition(c));
            }
            StepKind::Throttle { key, .. } | StepKind::Enter { key, .. } => {
                key.iter().for_each(|c| self.condition(c));
            }
            StepKind::Call(call) => call.conditions(&mut |c| self.condition(c)),
            StepKind::Digest(digest) => {
                digest.key.iter().for_each(|c| self.condition(c));
                // What the run entered with is its first item.
                self.items(&digest.keeps);
            }
        }
    }

    /// What the entry event leaves as an item.
    fn items(&mut self, keeps: &[(Name, ItemFields)]) {
        let of = &mut self.entry.properties;
        for (_, fields) in keeps {
            match fields {
                ItemFields::All => of.all = true,
                ItemFields::Named(names) => {
                    names.iter().for_each(|name| of.add(std::slice::from_ref(name)));
                }
            }
        }
    }

    /// A template's variable.
    pub(crate) fn variable(&mut self, path: &Path) {
        match path.split_first() {
            Some((root, rest)) if &**root == "event" => self.read_event(rest),
            Some((root, rest)) if &**root == "run" => self.read(Root::Run, rest),
            _ => {}
        }
    }

    fn read_event(&mut self, path: &[Name]) {
        match path.split_first() {
            Some((first, rest)) if &**first == "properties" => self.entry.properties.add(rest),
            Some((first, rest)) if &**first == "context" => self.entry.context.add(rest),
            Some((first, rest)) if &**first == "traits" => self.entry.traits.add(rest),
            Some(_) => {}
            None => {
                self.entry.properties.all = true;
                self.entry.context.all = true;
                self.entry.traits.all = true;
            }
        }
    }

    fn read(&mut self, root: Root, path: &[Name]) {
        match root {
            Root::EventProperties => self.entry.properties.add(path),
            Root::EventContext => self.entry.context.add(path),
            Root::EventTraits => self.entry.traits.add(path),
            Root::Event => self.read_event(path),
            Root::Run => self.read_run(path),
            Root::Profile | Root::Local => {}
        }
    }

    fn read_run(&mut self, path: &[Name]) {
        let Some((first, rest)) = path.split_first() else {
            self.all_steps = true;
            return;
        };
        if &**first != "events" {
            return;
        }
        let Some((step, rest)) = rest.split_first() else {
            self.all_steps = true;
            return;
        };
        let place = self.steps.iter().position(|entry| entry.0 == *step).unwrap_or_else(|| {
            self.steps.push((step.clone(), EventFields::default()));
            self.steps.len() - 1
        });
        let fields = &mut self.steps[place].1;
        match rest.split_first() {
            Some((first, rest)) if &**first == "properties" => fields.properties.add(rest),
            Some((first, rest)) if &**first == "context" => fields.context.add(rest),
            Some((first, rest)) if &**first == "traits" => fields.traits.add(rest),
            Some(_) => {}
            None => fields.properties.all = true,
        }
    }
}
