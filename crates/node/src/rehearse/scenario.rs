//! `tests/*.yaml` as scenarios: read with places, so that a slip is named with its line.

use super::given::{self, Given};
use super::time::{Calendar, FORMS};
use super::{GIVEN_MAX, SCENARIOS_MAX};
use chrono::NaiveDate;
use chrono_tz::Tz;
use serde_json::Value;
use sojourn_gateway::message::Converter;
use sojourn_model::{DurationMs, Reason, Timestamp};
use sojourn_rules::yaml::{self, Kind, Node};
use sojourn_rules::{Definitions, Files, Finding, Severity};
use std::cell::RefCell;
use std::sync::Arc;

/// Without `until`, a scenario goes on for this long after its last touchpoint.
const TAIL: DurationMs = DurationMs(30 * 86_400_000);

/// One scenario, ready to run.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What it shows.
    pub name: String,
    /// File, relative to the workspace.
    pub file: String,
    /// Its line.
    pub line: u32,
    /// Only decisions of these journeys are compared; empty: all.
    pub journeys: Vec<String>,
    /// Lines of a `simulate` file, in order of time.
    pub given: Vec<String>,
    /// Where it ends.
    pub until: Timestamp,
    /// What must come, in order.
    pub expect: Vec<Expected>,
}

/// An expected decision: only what it names is compared.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Its line.
    pub line: u32,
    /// Field and value, in the order written.
    pub fields: Vec<(String, Want)>,
}

/// A value that a decision must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// An instant.
    At(Timestamp),
    /// Anything else, as text; `None`: nothing (`null`).
    Text(Option<String>),
}

impl Scenario {
    /// Whether a decision belongs to what this scenario compares.
    pub(crate) fn is_about(&self, row: &Value) -> bool {
        self.journeys.is_empty()
            || self.journeys.iter().any(|name| row["journey"].as_str() == Some(name))
    }
}

/// The scenarios of `files` (`tests/….yaml` only), or every finding.
pub fn read(files: &Files, definitions: &Arc<Definitions>) -> Result<Vec<Scenario>, Vec<Finding>> {
    let mut scenarios = Vec::new();
    let mut findings = Vec::new();
    for (file, text) in files.0.iter().filter(|(path, _)| is_test(path)) {
        match yaml::parse(text, file) {
            Ok(root) => {
                let reader = Reader::new(file, definitions);
                reader.file(&root, &mut scenarios);
                findings.extend(reader.findings.into_inner());
            }
            Err(found) => findings.extend(found),
        }
    }
    if findings.is_empty() { Ok(scenarios) } else { Err(findings) }
}

/// Whether `path` is a file of scenarios.
fn is_test(path: &str) -> bool {
    path.starts_with("tests/") && path.ends_with(".yaml")
}

/// Reads one file.
pub(super) struct Reader<'a> {
    file: &'a str,
    pub(super) definitions: &'a Arc<Definitions>,
    pub(super) converter: Converter,
    findings: RefCell<Vec<Finding>>,
}

impl<'a> Reader<'a> {
    fn new(file: &'a str, definitions: &'a Arc<Definitions>) -> Self {
        let converter = Converter::new(definitions);
        Self { file, definitions, converter, findings: RefCell::default() }
    }

    /// Notes an error; `None`, so that the caller can leave with it.
    pub(super) fn wrong<T>(&self, node: &Node, message: String, remedy: &str) -> Option<T> {
        self.findings.borrow_mut().push(Finding {
            severity: Severity::Error,
            rule: "scenario",
            file: self.file.to_owned(),
            line: node.place.line,
            column: node.place.column,
            message,
            remedy: remedy.to_owned(),
        });
        None
    }

    /// The entries of a mapping whose keys are all among `known` (any, when that is empty).
    pub(super) fn entries<'n>(
        &self,
        node: &'n Node,
        what: &str,
        known: &[&str],
    ) -> Option<Vec<(&'n str, &'n Node)>> {
        let Kind::Mapping(entries) = &node.kind else {
            let remedy = format!("write `{}: …` below it", known.first().unwrap_or(&"name"));
            return self.wrong(node, format!("{what} is {}", node.describe()), &remedy);
        };
        let mut read = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let name = key.text().unwrap_or("");
            if !known.is_empty() && !known.contains(&name) {
                let remedy = format!("it can be {}", known.join(", "));
                self.wrong::<()>(key, format!("{what} has no key {}", key.describe()), &remedy);
                continue;
            }
            read.push((name, value));
        }
        Some(read)
    }

    pub(super) fn text<'n>(&self, node: &'n Node, what: &str) -> Option<&'n str> {
        match node.text() {
            Some(text) if !text.is_empty() => Some(text),
            _ => self.wrong(node, format!("{what} is {}", node.describe()), "write a name"),
        }
    }

    pub(super) fn instant(&self, node: &Node, calendar: &Calendar) -> Option<Timestamp> {
        match node.text().and_then(|text| calendar.read(text)) {
            Some(at) => Some(at),
            None => self.wrong(node, format!("{} is no time", node.describe()), FORMS),
        }
    }

    /// The items of a list.
    pub(super) fn items<'n>(&self, node: &'n Node, what: &str) -> &'n [Node] {
        match &node.kind {
            Kind::Sequence(items) => items,
            _ if node.is_null() => &[],
            _ => {
                let message = format!("{what} is {}", node.describe());
                self.wrong::<()>(node, message, "write a list: one `- …` per line");
                &[]
            }
        }
    }

    /// One scenario, or several below `scenarios:`.
    fn file(&self, root: &Node, scenarios: &mut Vec<Scenario>) {
        let several = root.get("scenarios");
        let list = match several {
            Some(list) => {
                if self.entries(root, "a file of scenarios", &["scenarios"]).is_none() {
                    return;
                }
                self.items(list, "`scenarios`")
            }
            None => std::slice::from_ref(root),
        };
        for node in list {
            if scenarios.len() >= SCENARIOS_MAX {
                let message = format!("a workspace has at most {SCENARIOS_MAX} scenarios");
                self.wrong::<()>(node, message, "take some away");
                return;
            }
            scenarios.extend(self.scenario(node));
        }
    }

    fn scenario(&self, node: &Node) -> Option<Scenario> {
        const KEYS: [&str; 8] =
            ["scenario", "note", "journey", "day", "people", "given", "until", "expect"];
        self.entries(node, "a scenario", &KEYS)?;
        let need = |key: &str, remedy: &str| match node.get(key) {
            Some(value) => Some(value),
            None => self.wrong(node, format!("this scenario has no `{key}`"), remedy),
        };
        let name = need("scenario", "add `scenario:` with what it shows, in a sentence")?;
        let name = self.text(name, "`scenario`")?.to_owned();
        let calendar = self.calendar(need("day", "add `day: 2026-03-02`, on which it begins")?)?;
        let people = node.get("people").map_or_else(Vec::new, |one| given::people(self, one));
        let mut lines = given::introduced(&people, &calendar);
        let nodes = self.items(need("given", "add `given:` with what happens")?, "`given`");
        if nodes.len() > GIVEN_MAX {
            let message = format!("more than {GIVEN_MAX} lines are given");
            return self.wrong(node, message, "use `sojourn simulate` for long recordings");
        }
        for node in nodes {
            lines.extend(given::line(self, node, &calendar, &people));
        }
        lines.sort_by_key(|line| line.at);
        let last = lines.last().map_or(calendar.dawn(), |line| line.at);
        let until = match node.get("until") {
            Some(until) => self.instant(until, &calendar)?,
            None => Timestamp(last.0 + TAIL.0),
        };
        if until < last {
            let message = "the scenario ends before its last touchpoint".to_owned();
            self.wrong::<()>(node.get("until").unwrap_or(node), message, "give a later time");
        }
        let journeys = self.journeys(node.get("journey"));
        let list = need("expect", "add `expect:`; `expect: []` means that nothing is decided")?;
        let expect = self.items(list, "`expect`").iter();
        let expect = expect.filter_map(|one| self.expected(one, &calendar, &journeys)).collect();
        let given = lines.into_iter().map(|Given { json, .. }| json).collect();
        let (file, line) = (self.file.to_owned(), node.place.line);
        Some(Scenario { name, file, line, journeys, given, until, expect })
    }

    fn calendar(&self, node: &Node) -> Option<Calendar> {
        let day = node.text().and_then(|text| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok());
        let Some(day) = day else {
            return self.wrong(node, format!("{} is no day", node.describe()), "write 2026-03-02");
        };
        let zone = self.definitions.workspace.time_zone.parse().unwrap_or(Tz::UTC);
        Some(Calendar { zone, day })
    }

    /// One name or several; each a journey that there is.
    fn journeys(&self, node: Option<&Node>) -> Vec<String> {
        let Some(node) = node else { return Vec::new() };
        let list = match &node.kind {
            Kind::Sequence(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        list.iter().filter_map(|one| self.journey(one)).collect()
    }

    fn journey(&self, node: &Node) -> Option<String> {
        let name = self.text(node, "`journey`")?;
        if self.definitions.journey(name).is_none() {
            let names: Vec<_> = self.definitions.journeys.iter().map(|one| &*one.name).collect();
            let remedy = format!("take one of {}", names.join(", "));
            return self.wrong(node, format!("there is no journey `{name}`"), &remedy);
        }
        Some(name.to_owned())
    }

    fn expected(&self, node: &Node, calendar: &Calendar, scope: &[String]) -> Option<Expected> {
        const KEYS: [&str; 13] = [
            "at", "person", "journey", "step", "outcome", "channel", "reason", "until", "endpoint",
            "purpose", "topic", "run_key", "zone",
        ];
        let mut fields = Vec::new();
        for (key, value) in self.entries(node, "an expected decision", &KEYS)? {
            let want = match key {
                "at" | "until" => Want::At(self.instant(value, calendar)?),
                _ if value.is_null() => Want::Text(None),
                _ => Want::Text(Some(self.text(value, key)?.to_owned())),
            };
            match (key, &want) {
                ("outcome", Want::Text(Some(text))) => self.one_of(value, text, &OUTCOMES)?,
                ("reason", Want::Text(Some(text))) => {
                    self.one_of(value, text, &Reason::ALL.map(Reason::as_str))?;
                }
                ("journey", _) => {
                    let name = self.journey(value)?;
                    if !scope.is_empty() && !scope.contains(&name) {
                        let message = format!("this scenario does not compare journey `{name}`");
                        return self.wrong(value, message, "add it to the scenario's `journey`");
                    }
                }
                ("step", Want::Text(Some(text))) => self.step(value, text, scope)?,
                _ => {}
            }
            fields.push((key.to_owned(), want));
        }
        if fields.iter().all(|(key, _)| key != "outcome") {
            let remedy = format!("add `outcome:` with one of {}", OUTCOMES.join(", "));
            return self.wrong(node, "this decision has no `outcome`".to_owned(), &remedy);
        }
        Some(Expected { line: node.place.line, fields })
    }

    fn one_of(&self, node: &Node, text: &str, values: &[&str]) -> Option<()> {
        if values.contains(&text) {
            return Some(());
        }
        let remedy = format!("take one of {}", values.join(", "));
        self.wrong(node, format!("there is no `{text}`"), &remedy)
    }

    /// A step that some journey of the scenario has.
    fn step(&self, node: &Node, step: &str, scope: &[String]) -> Option<()> {
        let mut journeys = self.definitions.journeys.iter();
        let named = |name: &str| scope.is_empty() || scope.iter().any(|one| one == name);
        if journeys.any(|journey| named(&journey.name) && journey.find(step).is_some()) {
            return Some(());
        }
        let message = format!("no journey of this scenario has a step `{step}`");
        self.wrong(node, message, "write the `id` of a send step, or its place such as 2/then/0")
    }
}

const OUTCOMES: [&str; 4] = ["approve", "suppress", "defer", "reroute"];
