//! From text to definitions: one file after the other, in the order in which they name each other.

mod call;
mod digest;
mod enter;
mod entry;
mod fatigue;
mod hours;
mod journey;
mod jurisdictions;
mod names;
mod pace;
mod plan;
mod policy;
mod segments;
mod steps;
mod storage;
mod template;
mod waits;
mod workspace;

pub(crate) use journey::{Context, EnterStep, Reading};
pub(crate) use jurisdictions::{key_remedy, shipped_jurisdictions};
pub(crate) use names::KNOWN_CHANNELS;
pub use template::liquid_parser;

use crate::cel::Catalog;
use crate::definitions::{
    Compiled, Definitions, ENGAGEMENT_EVENTS, ENGAGEMENT_HORIZON, EventInterest, EventRule,
    Journey, StepKind, Tracked, Trigger,
};
use crate::expr::{Expr, Root};
use crate::files::Files;
use crate::finding::{Finding, Findings, Severity, Source};
use crate::limits;
use crate::yaml::{self, Node, Place};
use sojourn_model::{DurationMs, Name};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Lints, type-checks and compiles a workspace. Total: whatever the files hold, there is an answer.
pub fn compile(files: &Files) -> Compiled {
    let findings = Findings::default();
    let definitions = read(files, &findings);
    let failed = findings.errors() > 0;
    let mut findings = findings.finish();
    let settings = definitions.as_ref().map_or(&[][..], |known| &known.policy.lint);
    let levels = crate::lint::apply_levels(settings, &mut findings);
    let failed = failed || findings.iter().any(|finding| finding.severity == Severity::Error);
    Compiled { definitions: definitions.filter(|_| !failed).map(Arc::new), findings, levels }
}

/// The text of `file` as a tree; `Err`: it is there and cannot be read.
fn parse(files: &Files, file: &str, findings: &Findings) -> Result<Option<Node>, ()> {
    let Some(text) = files.0.get(file) else { return Ok(None) };
    let source = Source { file, findings };
    if text.len() > limits::FILE_BYTES_MAX {
        source.error(
            "limit",
            Place::START,
            format!("this file is larger than {} bytes", limits::FILE_BYTES_MAX),
            "split it",
        );
        return Err(());
    }
    yaml::read(text, &source).map(Some).ok_or(())
}

fn read(files: &Files, findings: &Findings) -> Option<Definitions> {
    let source = |file| Source { file, findings };
    if files.0.len() > limits::FILES_MAX {
        source("sojourn.yaml").error(
            "limit",
            Place::START,
            format!("the workspace has more than {} files", limits::FILES_MAX),
            "remove those that nothing uses",
        );
        return None;
    }
    let version = files.version();
    let workspace = match parse(files, "sojourn.yaml", findings) {
        Ok(Some(root)) => Some(workspace::load(source("sojourn.yaml"), &root)),
        Ok(None) => {
            source("sojourn.yaml").error(
                "missing-file",
                Place::START,
                "a workspace needs a sojourn.yaml",
                "write one, or begin with `sojourn init DIR --template shop`",
            );
            None
        }
        Err(()) => None,
    };
    let workspace_known = workspace.is_some();
    let workspace = workspace.unwrap_or_default();
    let (policy, policy_places, policy_known) = match parse(files, "policy.yaml", findings) {
        Ok(Some(root)) => {
            let (policy, places) = policy::load(source("policy.yaml"), &root);
            (policy, places, true)
        }
        Ok(None) => (policy::default_policy(), policy::PolicyPlaces::default(), true),
        Err(()) => (policy::default_policy(), policy::PolicyPlaces::default(), false),
    };
    let mut catalog = Catalog { plan_known: true, ..Catalog::default() };
    match parse(files, "tracking-plan.yaml", findings) {
        Ok(Some(root)) => {
            (catalog.plan, catalog.places) =
                plan::load(source("tracking-plan.yaml"), &root, &policy);
        }
        Ok(None) => catalog.plan = plan::default_plan(),
        Err(()) => {
            catalog.plan = plan::default_plan();
            catalog.plan_known = false;
        }
    }
    let segments = match parse(files, "segments.yaml", findings) {
        Ok(Some(root)) => segments::load(source("segments.yaml"), &root, &mut catalog, &policy),
        _ => BTreeMap::new(),
    };
    let (templates, broken_templates) = template::load_all(files, findings, &workspace);
    let roots = journey_roots(files, findings);
    let journey_names: BTreeSet<Name> =
        roots.values().filter_map(|root| journey::peek_name(root)).map(Name::from).collect();
    let context = journey::Context {
        catalog: &catalog,
        workspace: &workspace,
        workspace_known,
        policy: &policy,
        policy_places: &policy_places,
        policy_known,
        segments: &segments,
        templates: &templates,
        broken_templates: &broken_templates,
        journeys: &journey_names,
        enters: std::cell::RefCell::default(),
    };
    let mut journeys: Vec<Arc<Journey>> = Vec::new();
    let mut taken: BTreeMap<Name, &str> = BTreeMap::new();
    for (file, root) in &roots {
        let text = files.0.get(*file).map_or("", String::as_str);
        let content = content_hash(text);
        let Some(journey) = journey::load(source(file), root, &context, version, content) else {
            continue;
        };
        if let Some(first) = taken.insert(journey.name.clone(), file) {
            source(file).error(
                "duplicate",
                Place::START,
                format!("journey `{}` is also defined in {first}", journey.name),
                "give each journey its own name",
            );
        }
        journeys.push(Arc::new(journey));
    }
    journeys.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.name.cmp(&b.name)));
    crate::lint::enter_circles(findings, &context.enters.borrow());
    crate::lint::policy(source("policy.yaml"), &context, &journeys);
    crate::lint::templates(findings, &context, &journeys, &|path| {
        files.0.get(path).map(String::as_str)
    });
    crate::lint::loops(findings, &journeys, &|name| taken.get(name).map(|file| (*file).to_owned()));
    let by_event = by_event(&journeys);
    let mut definitions = Definitions {
        version,
        workspace,
        plan: std::mem::take(&mut catalog.plan),
        policy,
        segments,
        journeys,
        templates,
        by_event,
        tracked: BTreeMap::new(),
    };
    definitions.tracked = tracked(&definitions);
    Some(definitions)
}

fn content_hash(text: &str) -> u64 {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(text);
    u64::from_be_bytes(digest[..8].try_into().expect("8 of 32 bytes"))
}

fn journey_roots<'f>(files: &'f Files, findings: &Findings) -> BTreeMap<&'f str, Node> {
    let mut roots = BTreeMap::new();
    for file in files.0.keys().filter(|file| file.starts_with("journeys/")) {
        if !Files::is_workspace_file(file) {
            continue;
        }
        if roots.len() >= limits::JOURNEYS_MAX {
            Source { file, findings }.error(
                "limit",
                Place::START,
                format!("there are more than {} journeys", limits::JOURNEYS_MAX),
                "remove those that are over",
            );
            break;
        }
        if let Ok(Some(root)) = parse(files, file, findings) {
            roots.insert(file.as_str(), root);
        }
    }
    roots
}

fn by_event(journeys: &[Arc<Journey>]) -> BTreeMap<Name, EventInterest> {
    let mut by_event: BTreeMap<Name, EventInterest> = BTreeMap::new();
    for (place, journey) in journeys.iter().enumerate() {
        // JOURNEYS_MAX is far below 2^16.
        let Ok(place) = u16::try_from(place) else { break };
        if let Trigger::Event(rule) = &journey.entry.trigger {
            for event in &rule.on {
                by_event.entry(event.clone()).or_default().entries.push(place);
            }
        }
        for event in journey.ending_rules().flat_map(|rule| &rule.on) {
            let ends = &mut by_event.entry(event.clone()).or_default().ends;
            if ends.last() != Some(&place) {
                ends.push(place);
            }
        }
    }
    by_event
}

/// Log time may run this far behind the source's time before an entry counts as late; history must
/// reach back over it too.
const LATE_SLACK: DurationMs = DurationMs::hours(48);

/// What history must keep: all that a history function may look at, and the events that the check
/// at a late entry (semantics 1) looks for.
fn tracked(definitions: &Definitions) -> BTreeMap<Name, Tracked> {
    let mut tracked: BTreeMap<Name, Tracked> = BTreeMap::new();
    definitions.walk(&mut |expr| {
        if let Expr::History(call) = expr {
            let entry = tracked.entry(call.event.clone());
            let known = matches!(entry, std::collections::btree_map::Entry::Occupied(_));
            let kept = entry.or_default();
            widen(kept, call.window, !known);
            for path in call.property.iter().chain(call.filter.iter().map(|(path, _)| path)) {
                if !kept.properties.contains(path) {
                    kept.properties.push(path.clone());
                }
            }
        }
    });
    for journey in &definitions.journeys {
        let reach = DurationMs(journey.entry.accept_late.0.saturating_add(LATE_SLACK.0));
        for rule in journey.ending_rules() {
            for event in &rule.on {
                let entry = tracked.entry(event.clone());
                let known = matches!(entry, std::collections::btree_map::Entry::Occupied(_));
                let kept = entry.or_default();
                widen(kept, Some(reach), !known);
                keep_properties(kept, rule);
            }
        }
    }
    let best_time = definitions
        .journeys
        .iter()
        .flat_map(|journey| &journey.steps)
        .any(|step| matches!(&step.kind, StepKind::Send(send) if send.best_time.is_some()));
    for event in ENGAGEMENT_EVENTS.iter().filter(|_| best_time) {
        let entry = tracked.entry((*event).into());
        let known = matches!(entry, std::collections::btree_map::Entry::Occupied(_));
        widen(entry.or_default(), Some(ENGAGEMENT_HORIZON), !known);
    }
    for kept in tracked.values_mut() {
        kept.properties.sort();
    }
    tracked
}

fn widen(kept: &mut Tracked, reach: Option<DurationMs>, new: bool) {
    kept.horizon = match (kept.horizon, reach) {
        (None, reach) if new => reach,
        (Some(known), Some(reach)) => Some(known.max(reach)),
        _ => None,
    };
}

fn keep_properties(kept: &mut Tracked, rule: &EventRule) {
    let Some(when) = &rule.when else { return };
    when.expr.walk(&mut |expr| {
        if let Expr::Read(Root::EventProperties, path) | Expr::Has(Root::EventProperties, path) =
            expr
            && !kept.properties.contains(path)
        {
            kept.properties.push(path.clone());
        }
    });
}

impl Compiled {
    /// Findings that stop publish, simulate and start.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error)
    }
}
