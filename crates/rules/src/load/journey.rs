//! journeys/*.yaml: head, entry, exits, goal. The steps are in [`super::steps`].

use super::policy::PolicyPlaces;
use super::steps;
use crate::cel::{self, Catalog, Events, Expect, Site};
use crate::definitions::{
    Condition, EventRule, Goal, Journey, Policy, Segment, Step, Template, Workspace,
};
use crate::expr::{Expr, Root};
use crate::finding::{Source, suggest};
use crate::reader::{Table, checked_name, names};
use crate::yaml::{Node, Place};
use sojourn_model::{Name, VersionId};
use std::collections::{BTreeMap, BTreeSet};

/// Default of `priority`.
const PRIORITY: i32 = 50;

/// All that a journey may name.
pub(crate) struct Context<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) workspace: &'a Workspace,
    /// Whether sojourn.yaml could be read; else nothing is said of unknown channels.
    pub(crate) workspace_known: bool,
    pub(crate) policy: &'a Policy,
    pub(crate) policy_places: &'a PolicyPlaces,
    /// Whether policy.yaml could be read; else nothing is said of unknown purposes.
    pub(crate) policy_known: bool,
    pub(crate) segments: &'a BTreeMap<Name, Segment>,
    pub(crate) templates: &'a BTreeMap<Name, Template>,
    /// Names of templates whose files could not be read.
    pub(crate) broken_templates: &'a BTreeSet<Name>,
    pub(crate) journeys: &'a BTreeSet<Name>,
    /// Steps `enter` of the journeys read so far, for the search of circles.
    pub(crate) enters: std::cell::RefCell<Vec<EnterStep>>,
}

/// A step by which one journey begins another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EnterStep {
    pub(crate) file: String,
    pub(crate) place: Place,
    pub(crate) from: Name,
    pub(crate) to: Name,
}

/// A journey being read.
pub(crate) struct Reading<'a> {
    pub(crate) source: Source<'a>,
    pub(crate) context: &'a Context<'a>,
    /// Name of the journey; empty when the file does not say.
    pub(crate) name: Name,
    pub(crate) purpose: Name,
    pub(crate) topic: Option<Name>,
    pub(crate) priority: i32,
    /// Events that a run can enter with; empty: any.
    pub(crate) entered_by: Vec<Name>,
    pub(crate) steps: Vec<Step>,
    /// Places of the steps, by index.
    pub(crate) places: Vec<Place>,
    pub(crate) ids: BTreeMap<Name, Place>,
    /// Answers of calls: place, and the call's step.
    pub(crate) answers: BTreeMap<Name, (Place, usize)>,
    /// Where `run.call.<as>` is read.
    pub(crate) call_reads: std::cell::RefCell<Vec<CallRead>>,
}

/// A place that reads the answer of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallRead {
    pub(crate) name: Name,
    pub(crate) place: Place,
    /// The step; `None`: outside of the steps.
    pub(crate) step: Option<usize>,
}

impl Reading<'_> {
    /// Compiles an expression and checks what it reads against the journey's purpose.
    pub(crate) fn expression(
        &self,
        node: &Node,
        key: &str,
        events: Events<'_>,
        run: bool,
        expect: Expect,
    ) -> Option<Condition> {
        let site = Site { source: self.source, catalog: self.context.catalog, events, run };
        let condition = cel::compile(&site, node, key, expect)?;
        condition.expr.walk(&mut |expr| {
            if let Expr::Read(Root::Run, path) | Expr::Has(Root::Run, path) = expr
                && let [call, name, ..] = &**path
                && &**call == "call"
            {
                let step = self.steps.len().checked_sub(1);
                let read = CallRead { name: name.clone(), place: node.place, step };
                self.call_reads.borrow_mut().push(read);
            }
        });
        crate::lint::purpose_limitation(self, node.place, &condition.expr, events, &self.purpose);
        if expect == Expect::Condition {
            crate::lint::condition(self, node.place, key, &condition.expr);
        }
        Some(condition)
    }

    /// An expression in a step: `event` is what the run entered with.
    pub(crate) fn in_step(&self, node: &Node, key: &str, expect: Expect) -> Option<Condition> {
        self.expression(node, key, self.entered(), true, expect)
    }

    pub(crate) fn entered(&self) -> Events<'_> {
        if self.entered_by.is_empty() { Events::Any } else { Events::Named(&self.entered_by) }
    }

    /// `on` and `when` of one rule.
    pub(crate) fn rule(&self, table: &Table<'_>, run: bool) -> Option<EventRule> {
        let node = table.get("on")?;
        let on = self.event_names(node);
        let when = table.get("when").and_then(|node| {
            self.expression(node, "when", Events::Named(&on), run, Expect::Condition)
        });
        Some(EventRule { on, when })
    }

    /// Event names; those that the plan does not know are warned of.
    pub(crate) fn event_names(&self, node: &Node) -> Vec<Name> {
        let events = names(&self.source, node, "on");
        for event in &events {
            self.check_event(node.place, event);
        }
        if events.is_empty() {
            self.source.error("missing-key", node.place, "`on` names no event", "name an event");
        }
        events
    }

    pub(crate) fn check_event(&self, place: Place, event: &Name) {
        let catalog = self.context.catalog;
        if catalog.plan_known && !catalog.event_known(event) {
            self.source.warning(
                "unknown-event",
                place,
                format!("the tracking plan has no event `{event}`"),
                suggest(
                    event,
                    catalog.plan.events.keys().map(|name| &**name),
                    "declare it in tracking-plan.yaml",
                ),
            );
        }
    }

    /// `marketing/reminders` as purpose and topic, checked against the policy.
    pub(crate) fn purpose(&self, node: &Node) -> Option<(Name, Option<Name>)> {
        let written = node.text()?;
        let (purpose, topic) = match written.split_once('/') {
            Some((purpose, topic)) => (purpose, Some(topic)),
            None => (written, None),
        };
        let pair = (Name::from(purpose), topic.map(Name::from));
        if !self.context.policy_known {
            return Some(pair);
        }
        let policy = self.context.policy;
        let Some((_, declared)) = policy.purpose(purpose) else {
            let known = policy.purposes.iter().filter(|purpose| !purpose.data);
            self.source.error(
                "unknown-purpose",
                node.place,
                format!("policy.yaml declares no purpose `{purpose}`"),
                suggest(
                    purpose,
                    known.map(|purpose| &*purpose.name),
                    "declare it under `purposes`",
                ),
            );
            return Some(pair);
        };
        if declared.data {
            self.source.error(
                "data-purpose",
                node.place,
                format!("`{purpose}` is a purpose of data, not of messages"),
                "choose a messaging purpose, such as marketing or service",
            );
        }
        if let Some(topic) = topic
            && !declared.topics.iter().any(|known| &**known == topic)
        {
            self.source.error(
                "unknown-topic",
                node.place,
                format!("the purpose `{purpose}` has no topic `{topic}`"),
                suggest(
                    topic,
                    declared.topics.iter().map(|topic| &**topic),
                    "declare it under the purpose's `topics` in policy.yaml",
                ),
            );
        }
        Some(pair)
    }
}

/// The name a journey's file gives it, before anything else is read.
pub(super) fn peek_name(root: &Node) -> Option<&str> {
    root.get("journey").and_then(Node::text)
}

/// Reads one journey.
pub(super) fn load(
    source: Source<'_>,
    root: &Node,
    context: &Context<'_>,
    version: VersionId,
    content: u64,
) -> Option<Journey> {
    let table = Table::new(source, root, "this journey")?;
    let mut reading = Reading {
        source,
        context,
        name: peek_name(root).unwrap_or_default().into(),
        purpose: "".into(),
        topic: None,
        priority: PRIORITY,
        entered_by: Vec::new(),
        steps: Vec::new(),
        places: Vec::new(),
        ids: BTreeMap::new(),
        answers: BTreeMap::new(),
        call_reads: std::cell::RefCell::default(),
    };
    let name = table.required_text("journey");
    if let Some(name) = &name {
        checked_name(&source, table.key_place("journey"), name, "a journey");
    }
    let about = table.text("about").unwrap_or_default();
    let purpose = table.required("purpose").and_then(|node| reading.purpose(node));
    if let Some((purpose, topic)) = &purpose {
        reading.purpose = purpose.clone();
        reading.topic = topic.clone();
    }
    if let Some(priority) = priority(&table) {
        reading.priority = priority;
    }
    let apart = super::pace::rate(&table);
    table.get("note");
    let entry = table.required("entry").and_then(|node| super::entry::load(&mut reading, node));
    let mut exit_on = Vec::new();
    for item in table.list("exit_on") {
        if let Some(rule) = Table::new(source, item, "this exit") {
            rule.required("on");
            exit_on.extend(reading.rule(&rule, true));
            rule.get("note");
            rule.finish();
        }
    }
    let goal = table.table("goal", "`goal`").and_then(|goal| load_goal(&reading, &goal));
    let first = match table.get("steps") {
        Some(node) => steps::load(&mut reading, node),
        None => {
            source.warning("no-steps", table.place(), "this journey has no steps", "add `steps:`");
            None
        }
    };
    super::call::check_reads(&reading);
    table.finish();
    let journey = Journey {
        name: name?,
        version,
        content,
        about,
        purpose: reading.purpose.clone(),
        topic: reading.topic.clone(),
        priority: reading.priority,
        apart,
        entry: entry?,
        exit_on,
        goal,
        steps: std::mem::take(&mut reading.steps),
        first,
    };
    crate::lint::journey(&reading, &journey, table.key_place("goal"));
    Some(journey)
}

/// A whole number; greater goes first.
pub(super) fn priority(table: &Table<'_>) -> Option<i32> {
    const MOST: f64 = 1_000_000.0;
    let number = table.number("priority")?;
    if number.fract() != 0.0 || number.abs() > MOST {
        crate::reader::wrong(
            &table.source,
            table.get("priority")?,
            "`priority` must be a whole number",
        );
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked above")]
    Some(number as i32)
}

/// Says so when `path` is no attribute of the plan.
pub(super) fn check_attribute(reading: &Reading<'_>, place: Place, path: &[Name]) {
    if let Some(known) = reading.context.catalog.unknown_attribute(path) {
        reading.source.warning(
            "unknown-attribute",
            place,
            format!(
                "the tracking plan has no attribute `{}`, so no condition can read it",
                path.join(".")
            ),
            suggest(
                &path.join("."),
                known.iter().map(|name| &**name),
                "declare it in tracking-plan.yaml with its purposes",
            ),
        );
    }
}

fn load_goal(reading: &Reading<'_>, table: &Table<'_>) -> Option<Goal> {
    table.required("on");
    let rule = reading.rule(table, true);
    let within = table.duration("within");
    let value = table.get("value").and_then(|node| {
        let events = rule.as_ref().map_or(Events::Any, |rule| Events::Named(&rule.on));
        reading.expression(node, "value", events, true, Expect::Number)
    });
    let exit = table.flag("exit").unwrap_or(true);
    table.get("note");
    table.finish();
    Some(Goal { rule: rule?, within, value, exit })
}
