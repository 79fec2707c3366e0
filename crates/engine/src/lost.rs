//! What a run that goes over to another version cannot have there: members of its events that the
//! version it entered with had no use for, and so did not keep.

use crate::event::{EventFields, Fields};
use crate::needs::Needs;
use sojourn_model::{Name, Transition};
use sojourn_rules::{Definitions, Journey, Send, StepIndex, StepKind, Wait};
use std::collections::BTreeSet;

/// What a step of the new version reads and the run does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The step that reads it.
    pub step: Name,
    /// What it reads, as it is written there: `event.properties.store_id`.
    pub fields: Vec<Name>,
    /// What comes of it.
    pub leads_to: Lack,
}

/// What comes of a step that reads what is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lack {
    /// Its conditions are false, its values and the variables of its text missing.
    Missing,
    /// Its message is refused: the template needs it and has no default.
    Content,
    /// The run ends: it is the date that it would wait for.
    NoDate,
}

/// What a run that goes on at `step` of `new` would lack there or further on, by step, in order.
pub(crate) fn lost(
    (old, before): (&Journey, &Definitions),
    (new, after): (&Journey, &Definitions),
    step: StepIndex,
    transition: &Transition,
) -> Vec<Lost> {
    let kept = Kept { needs: Needs::of(old, before), old, new, step, transition };
    let mut found = Vec::new();
    for index in reachable(new, step) {
        let step = new.step(index);
        let mut required = Needs::default();
        let leads_to = match &step.kind {
            StepKind::Send(send) => {
                needed_by_template(send, after, &mut required);
                Lack::Content
            }
            StepKind::Wait(Wait::UntilDate { date, .. }) => {
                required.condition(date);
                Lack::NoDate
            }
            _ => Lack::Missing,
        };
        let mut all = Needs::default();
        all.step(&step.kind, after);
        let fields = kept.lacking(&required);
        let others: Vec<Name> =
            kept.lacking(&all).into_iter().filter(|name| !fields.contains(name)).collect();
        for (fields, leads_to) in [(fields, leads_to), (others, Lack::Missing)] {
            if !fields.is_empty() {
                found.push(Lost { step: step.id.clone(), fields, leads_to });
            }
        }
    }
    found
}

/// Variables without which the message of this step is refused.
fn needed_by_template(send: &Send, definitions: &Definitions, needs: &mut Needs) {
    let Some(template) = definitions.templates.get(&send.template) else { return };
    for path in template.locales.values().flat_map(|localized| &localized.required) {
        let own = |(name, _): &&(Name, _)| path.first() == Some(name);
        match send.variables.iter().find(own) {
            Some((_, value)) => needs.condition(value),
            None => needs.variable(path),
        }
    }
}

/// The steps to which a run at `from` may come, itself included, in the order of the text.
fn reachable(journey: &Journey, from: StepIndex) -> BTreeSet<StepIndex> {
    let mut found = BTreeSet::new();
    let mut open = vec![from];
    while let Some(index) = open.pop() {
        if found.insert(index) {
            let step = journey.step(index);
            open.extend(step.next);
            match &step.kind {
                StepKind::WaitFor(wait) => {
                    open.extend(wait.then.iter().chain(&wait.otherwise));
                }
                StepKind::Branch(arms) => open.extend(arms.iter().filter_map(|arm| arm.first)),
                StepKind::Split { arms, .. } => {
                    open.extend(arms.iter().filter_map(|arm| arm.first));
                }
                _ => {}
            }
        }
    }
    found
}

/// What a run has.
struct Kept<'a> {
    needs: Needs,
    old: &'a Journey,
    new: &'a Journey,
    step: StepIndex,
    transition: &'a Transition,
}

impl Kept<'_> {
    fn lacking(&self, wanted: &Needs) -> Vec<Name> {
        let mut names = Vec::new();
        missing(&wanted.entry, &self.needs.entry, "event", &mut names);
        for (step, fields) in &wanted.steps {
            let root = format!("run.events.{step}");
            // What it still comes to is kept as the new version wants it.
            if self.new.find(step).is_none_or(|index| index >= self.step) {
                continue;
            }
            let known = self.old.steps.iter().find(|old| {
                matches!(old.kind, StepKind::WaitFor(_))
                    && self.transition.step(&self.new.name, &old.id) == step
            });
            match known.and_then(|old| self.needs.of_step(&old.id)) {
                Some(kept) => missing(fields, &kept, &root, &mut names),
                None => names.push(root.as_str().into()),
            }
        }
        names
    }
}

/// Adds the members of `wanted` that are not in `kept`, as they are written below `root`.
fn missing(wanted: &EventFields, kept: &EventFields, root: &str, names: &mut Vec<Name>) {
    let parts = [
        ("properties", &wanted.properties, &kept.properties),
        ("context", &wanted.context, &kept.context),
        ("traits", &wanted.traits, &kept.traits),
    ];
    for (part, wanted, kept) in parts {
        names.extend(lacks(wanted, kept).map(|name| match name {
            Some(name) => format!("{root}.{part}.{name}").as_str().into(),
            None => format!("{root}.{part}").as_str().into(),
        }));
    }
}

/// Members of `wanted` that are not in `kept`; `None`: all of them are wanted.
fn lacks<'a>(wanted: &'a Fields, kept: &Fields) -> impl Iterator<Item = Option<&'a Name>> {
    let all = (wanted.all && !kept.all).then_some(None);
    let kept: Vec<Name> = if kept.all { wanted.names.clone() } else { kept.names.clone() };
    let names = wanted.names.iter().filter(move |name| !kept.contains(name));
    all.into_iter().chain(names.map(Some))
}
