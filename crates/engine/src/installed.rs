//! Definitions with what the engine derives from them once: indexes and what runs must keep.

use crate::event::{EventFields, Fields};
use hashbrown::HashMap;
use sojourn_model::{DurationMs, Name};
use sojourn_rules::normalize::Normalizer;
use sojourn_rules::{
    Condition, Definitions, EventRule, Expr, ItemFields, Journey, Path, Root, StepKind, Tracked,
    Trigger, Wait, WaitWhat,
};
use std::sync::Arc;

type Map<V> = HashMap<Name, V, foldhash::fast::FixedState>;

/// What an event name means to the current definitions.
#[derive(Debug, Default)]
pub(crate) struct Interest {
    /// Journeys that it may start, in order.
    pub(crate) entries: Vec<u16>,
    /// Watched segments that ask for it, by their place.
    pub(crate) segments: Vec<u16>,
}

/// What runs of a journey keep of their events.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    /// Of the entry event.
    pub(crate) entry: EventFields,
    /// Of what a `wait_for` matched, by step id; with `all_steps`, of each.
    pub(crate) steps: Vec<(Name, EventFields)>,
    pub(crate) all_steps: bool,
}

/// One installed version.
#[derive(Debug)]
pub(crate) struct Installed {
    pub(crate) definitions: Arc<Definitions>,
    journeys: Map<u16>,
    needs: Vec<Needs>,
    interests: Map<Interest>,
    /// Normalises endpoints as identifiers are.
    pub(crate) normalizer: Normalizer,
    /// Journeys on an attribute.
    pub(crate) by_attribute: Vec<OnAttribute>,
    /// Journeys on a segment: name, whether on entering, journey.
    pub(crate) by_segment: Vec<(Name, bool, u16)>,
    /// Segments whose members are remembered: those of such journeys, and audiences; in order.
    pub(crate) watched: Vec<Name>,
    /// Every (event, window) that one of them looks through.
    pub(crate) windows: Vec<(Name, DurationMs)>,
    /// Journeys by time, in order.
    pub(crate) timed: Vec<u16>,
    /// Whether their times depend on the person alone, not on what happened.
    pub(crate) timed_by_person: bool,
    /// Journeys that take in who is in their segment already.
    pub(crate) backfills: Vec<Name>,
}

/// A journey on an attribute.
#[derive(Debug)]
pub(crate) struct OnAttribute {
    pub(crate) name: Name,
    /// Whether the value must differ.
    pub(crate) changed: bool,
    /// The journey.
    pub(crate) place: u16,
}

impl Installed {
    pub(crate) fn new(definitions: Arc<Definitions>) -> Self {
        let mut installed = Self {
            journeys: Map::default(),
            needs: Vec::new(),
            interests: Map::default(),
            normalizer: Normalizer::new(&definitions.workspace, &definitions.plan),
            by_attribute: Vec::new(),
            by_segment: Vec::new(),
            watched: Vec::new(),
            windows: Vec::new(),
            timed: Vec::new(),
            timed_by_person: true,
            backfills: Vec::new(),
            definitions: definitions.clone(),
        };
        for (place, journey) in (0u16..).zip(&definitions.journeys) {
            installed.journeys.insert(journey.name.clone(), place);
            installed.needs.push(needs_of(journey, &definitions));
            match &journey.entry.trigger {
                Trigger::Event(rule) => {
                    for event in &rule.on {
                        let interest = installed.interests.entry(event.clone()).or_default();
                        if interest.entries.last() != Some(&place) {
                            interest.entries.push(place);
                        }
                    }
                }
                Trigger::Attribute { name, changed } => {
                    let (name, changed) = (name.clone(), *changed);
                    installed.by_attribute.push(OnAttribute { name, changed, place });
                }
                Trigger::Segment { segment, enter } => {
                    installed.by_segment.push((segment.clone(), *enter, place));
                    installed.watched.push(segment.clone());
                    if journey.entry.backfill {
                        installed.backfills.push(journey.name.clone());
                    }
                }
                Trigger::Date { date, .. } => {
                    installed.timed.push(place);
                    let mut asked = Vec::new();
                    installed.timed_by_person &= !asks(&date.expr, &definitions, 0, &mut asked);
                }
                Trigger::Schedule(schedule) => {
                    installed.timed.push(place);
                    installed.watched.push(schedule.audience.clone());
                }
                Trigger::Api => {}
            }
        }
        installed.watched.sort_unstable();
        installed.watched.dedup();
        installed.index_watched();
        installed
    }

    /// Which events each watched segment asks for, and through which windows.
    fn index_watched(&mut self) {
        for (place, name) in (0u16..).zip(&self.watched) {
            let Some(segment) = self.definitions.segments.get(name) else { continue };
            let mut events = Vec::new();
            asks(&segment.when.expr, &self.definitions, 0, &mut events);
            for event in events {
                let interest = self.interests.entry(event).or_default();
                if interest.segments.last() != Some(&place) {
                    interest.segments.push(place);
                }
            }
            windows(&segment.when.expr, &self.definitions, 0, &mut self.windows);
        }
        self.windows.sort_unstable();
        self.windows.dedup();
    }

    pub(crate) fn interest(&self, event: &str) -> Option<&Interest> {
        self.interests.get(event)
    }

    /// Place of a journey among the definitions.
    pub(crate) fn place(&self, name: &str) -> Option<u16> {
        self.journeys.get(name).copied()
    }

    /// A journey with what its runs keep.
    pub(crate) fn journey(&self, name: &str) -> Option<(&Arc<Journey>, &Needs)> {
        let place = usize::from(*self.journeys.get(name)?);
        Some((&self.definitions.journeys[place], &self.needs[place]))
    }
}

/// What the history keeps per event: the union over the versions that runs may still use.
#[derive(Debug, Default)]
pub(crate) struct TrackedEvents(Map<(Name, Tracked)>);

impl TrackedEvents {
    pub(crate) fn get(&self, event: &str) -> Option<&(Name, Tracked)> {
        self.0.get(event)
    }

    pub(crate) fn of<'a>(versions: impl Iterator<Item = &'a Arc<Installed>>) -> Self {
        let mut all = Self::default();
        for installed in versions {
            for (event, tracked) in &installed.definitions.tracked {
                let (_, known) =
                    all.0.entry(event.clone()).or_insert_with(|| (event.clone(), tracked.clone()));
                for path in &tracked.properties {
                    if !known.properties.contains(path) {
                        known.properties.push(path.clone());
                    }
                }
                known.horizon = match (known.horizon, tracked.horizon) {
                    (Some(a), Some(b)) => Some(a.max(b)),
                    _ => None,
                };
            }
        }
        all
    }
}

fn needs_of(journey: &Journey, definitions: &Definitions) -> Needs {
    let mut needs = Needs::default();
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

impl Needs {
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
            visit(&when.expr, &mut |root, path| {
                if root == Root::Run {
                    self.read(root, path);
                }
            });
        }
    }

    fn condition(&mut self, condition: &Condition) {
        visit(&condition.expr, &mut |root, path| self.read(root, path));
    }

    fn step(&mut self, kind: &StepKind, definitions: &Definitions) {
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
    fn variable(&mut self, path: &Path) {
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

/// Calls `seen` with every path that an expression reads.
fn visit(expr: &Expr, seen: &mut dyn FnMut(Root, &[Name])) {
    match expr {
        Expr::Literal(_) | Expr::InSegment(_) => {}
        Expr::Read(root, path) | Expr::Has(root, path) => seen(*root, path),
        Expr::List(items) | Expr::Call(_, items) => items.iter().for_each(|item| visit(item, seen)),
        Expr::MapLiteral(entries) => entries.iter().for_each(|(_, value)| visit(value, seen)),
        Expr::Index(a, b) | Expr::Binary(_, a, b) => {
            visit(a, seen);
            visit(b, seen);
        }
        Expr::Unary(_, a) | Expr::Matches(a, _) => visit(a, seen),
        Expr::Choose(a, b, c) => [a, b, c].into_iter().for_each(|part| visit(part, seen)),
        Expr::History(call) => call.filter.iter().for_each(|(_, value)| visit(value, seen)),
        Expr::Comprehension { over, body, .. } => {
            visit(over, seen);
            visit(body, seen);
        }
    }
}

/// Whether an expression asks for what happened, segments included; adds the events to `events`.
fn asks(expr: &Expr, definitions: &Definitions, depth: usize, events: &mut Vec<Name>) -> bool {
    let before = events.len();
    let mut inner = |part: &Expr| _ = asks(part, definitions, depth, events);
    match expr {
        Expr::Literal(_) | Expr::Read(..) | Expr::Has(..) => {}
        Expr::InSegment(name) => {
            if let Some(segment) = definitions.segments.get(name)
                && depth < crate::limits::SEGMENT_DEPTH_MAX
            {
                asks(&segment.when.expr, definitions, depth + 1, events);
            }
        }
        Expr::List(items) | Expr::Call(_, items) => items.iter().for_each(inner),
        Expr::MapLiteral(entries) => entries.iter().for_each(|(_, value)| inner(value)),
        Expr::Index(a, b) | Expr::Binary(_, a, b) => {
            inner(a);
            inner(b);
        }
        Expr::Unary(_, a) | Expr::Matches(a, _) => inner(a),
        Expr::Choose(a, b, c) => [a, b, c].into_iter().for_each(|part| inner(part)),
        Expr::History(call) => {
            call.filter.iter().for_each(|(_, value)| inner(value));
            events.push(call.event.clone());
        }
        Expr::Comprehension { over, body, .. } => {
            inner(over);
            inner(body);
        }
    }
    events.len() > before
}

/// Every (event, window) that an expression looks through, segments included: when an event leaves
/// one of them, the expression may change by time alone.
pub(crate) fn windows(
    expr: &Expr,
    definitions: &Definitions,
    depth: usize,
    found: &mut Vec<(Name, DurationMs)>,
) {
    let mut inner = |part: &Expr| windows(part, definitions, depth, found);
    match expr {
        Expr::Literal(_) | Expr::Read(..) | Expr::Has(..) => {}
        Expr::InSegment(name) => {
            if let Some(segment) = definitions.segments.get(name)
                && depth < crate::limits::SEGMENT_DEPTH_MAX
            {
                windows(&segment.when.expr, definitions, depth + 1, found);
            }
        }
        Expr::List(items) | Expr::Call(_, items) => items.iter().for_each(inner),
        Expr::MapLiteral(entries) => entries.iter().for_each(|(_, value)| inner(value)),
        Expr::Index(a, b) | Expr::Binary(_, a, b) => {
            inner(a);
            inner(b);
        }
        Expr::Unary(_, a) | Expr::Matches(a, _) => inner(a),
        Expr::Choose(a, b, c) => [a, b, c].into_iter().for_each(|part| inner(part)),
        Expr::History(call) => {
            call.filter.iter().for_each(|(_, value)| inner(value));
            if let Some(window) = call.window {
                found.push((call.event.clone(), window));
            }
        }
        Expr::Comprehension { over, body, .. } => {
            inner(over);
            inner(body);
        }
    }
}
