//! policy.yaml

use super::hours::{blackout, quiet_hours};
use super::jurisdictions::{self, Named};
use super::names::DATA_PURPOSES;
use crate::definitions::{AtCap, Cap, CapScope, CapWindow, Holdout, Policy, Purpose};
use crate::duration;
use crate::finding::Source;
use crate::limits::{BLACKOUTS_MAX, CAPS_MAX};
use crate::reader::{Table, checked_name, choice};
use crate::yaml::{Kind, Node, Place};
use sojourn_model::{DurationMs, Name};

pub(crate) const AT_CAP: &[(&str, AtCap)] = &[
    ("drop", AtCap::Drop),
    ("defer", AtCap::Defer),
    ("fallback", AtCap::Fallback),
    ("digest", AtCap::Digest),
];

/// Places in policy.yaml that later checks name.
#[derive(Debug, Default)]
pub(crate) struct PolicyPlaces {
    pub(crate) caps: Vec<Place>,
    pub(crate) quiet_hours: Vec<Place>,
    pub(crate) blackouts: Vec<Place>,
    pub(crate) fatigue: Option<Place>,
    pub(crate) holdout: Option<Place>,
    pub(crate) jurisdictions: Vec<Named>,
}

/// The policy of a workspace that has none.
pub(super) fn default_policy() -> Policy {
    Policy { purposes: vec![service()], approvals_publish: 1, ..Policy::default() }
}

fn service() -> Purpose {
    Purpose { name: "service".into(), service: true, ..Purpose::default() }
}

pub(super) fn load(source: Source<'_>, root: &Node) -> (Policy, PolicyPlaces) {
    let mut policy = default_policy();
    let mut places = PolicyPlaces::default();
    let Some(table) = Table::new(source, root, "policy.yaml") else { return (policy, places) };
    if let Some(purposes) = table.table("purposes", "`purposes`") {
        policy.purposes = load_purposes(&purposes);
    }
    let caps = table.list("caps");
    if caps.len() > CAPS_MAX {
        source.error(
            "limit",
            table.key_place("caps"),
            format!("there are more than {CAPS_MAX} caps"),
            "merge some",
        );
    }
    for item in caps.iter().take(CAPS_MAX) {
        if let Some(cap) = cap(source, item, policy.caps.len()) {
            if policy.caps.iter().any(|other| other.id == cap.id) {
                source.error(
                    "duplicate",
                    item.place,
                    format!("cap `{}` is given twice", cap.id),
                    "give each cap its own id",
                );
            }
            policy.caps.push(cap);
            places.caps.push(item.place);
        }
    }
    for item in table.list("quiet_hours") {
        if let Some(window) = quiet_hours(source, item, false) {
            policy.quiet_hours.push(window);
            places.quiet_hours.push(item.place);
        }
    }
    let blackouts = table.list("blackouts");
    if blackouts.len() > BLACKOUTS_MAX {
        source.error(
            "limit",
            table.key_place("blackouts"),
            format!("there are more than {BLACKOUTS_MAX} blackouts"),
            "list the days of one calendar under one `days`",
        );
    }
    for item in blackouts.iter().take(BLACKOUTS_MAX) {
        if let Some(blackout) = blackout(source, item, &policy.blackouts) {
            policy.blackouts.push(blackout);
            places.blackouts.push(item.place);
        }
    }
    if let Some((fatigue, place)) = super::fatigue::load(&table) {
        policy.fatigue = Some(fatigue);
        places.fatigue = Some(place);
    }
    if let Some(arbitration) = table.table("arbitration", "`arbitration`") {
        policy.arbitration_window = arbitration.duration("window").unwrap_or(DurationMs(0));
        arbitration.finish();
    }
    if let Some(table) = table.table("holdout", "`holdout`") {
        places.holdout = Some(table.place());
        policy.holdout = holdout(&table, &policy.purposes);
    }
    policy.jurisdictions = jurisdictions::load(&table, &mut places.jurisdictions);
    policy.strict_zones = table.flag("strict_zones").unwrap_or(false);
    if let Some(approvals) = table.table("approvals", "`approvals`") {
        policy.approvals_publish = approvals.count("publish").unwrap_or(1);
        approvals.finish();
    }
    if let Some(levels) = table.table("lint", "`lint`") {
        policy.lint = crate::lint::load_levels(source, &levels);
    }
    table.finish();
    (policy, places)
}

/// `service` first, then the file's order: that is the order of class.
fn load_purposes(table: &Table<'_>) -> Vec<Purpose> {
    let mut purposes = Vec::new();
    for (name, place, node) in table.entries() {
        if !checked_name(&table.source, place, &name, "a purpose") {
            continue;
        }
        if name.contains('/') {
            table.source.error(
                "bad-name",
                place,
                format!("the purpose `{name}` has a `/` in its name"),
                "list topics under `topics`",
            );
            continue;
        }
        let Some(entry) = Table::new(table.source, node, "this purpose") else { continue };
        let data = entry.choice("kind", &[("data", true), ("messaging", false)]);
        let mut purpose = Purpose {
            service: &*name == "service",
            data: data.unwrap_or(DATA_PURPOSES.contains(&&*name)),
            topics: entry.names("topics"),
            name,
            ..Purpose::default()
        };
        if let Some(exempt) = entry.get("exempt") {
            let nodes = match &exempt.kind {
                Kind::Sequence(items) => items.as_slice(),
                _ => std::slice::from_ref(exempt),
            };
            for item in nodes {
                match choice(
                    &table.source,
                    item,
                    "exempt",
                    &[("caps", true), ("quiet_hours", false)],
                ) {
                    Some(true) => purpose.exempt_caps = true,
                    Some(false) => purpose.exempt_quiet_hours = true,
                    None => {}
                }
            }
            if !purpose.service && (purpose.exempt_caps || purpose.exempt_quiet_hours) {
                table.source.warning(
                    "exempt",
                    exempt.place,
                    format!("messages for `{}` escape limits that protect people", purpose.name),
                    "keep exemptions for `service`",
                );
            }
        }
        entry.get("about");
        entry.finish();
        purposes.push(purpose);
    }
    match purposes.iter().position(|purpose| purpose.service) {
        Some(at) => purposes[..=at].rotate_right(1),
        None => purposes.insert(0, service()),
    }
    purposes
}

fn cap(source: Source<'_>, node: &Node, place: usize) -> Option<Cap> {
    let table = Table::new(source, node, "this cap")?;
    let id = table.text("id").unwrap_or_else(|| format!("{place}").into());
    let at_most = table.required("at_most").and_then(|_| table.count("at_most"));
    if at_most == Some(0) {
        source.error(
            "cap-zero",
            table.key_place("at_most"),
            format!("cap `{id}` allows nothing at all"),
            "allow at least 1, or pause the journeys it concerns",
        );
    }
    let per = table.required("per").and_then(|node| window(&source, node));
    let mut scope = CapScope::default();
    if let Some(labels) = table.table("scope", "`scope`") {
        scope = CapScope {
            channel: labels.text("channel"),
            purpose: labels.text("purpose"),
            topic: labels.text("topic"),
            tag: labels.text("tag"),
            journey: labels.text("journey"),
            step: labels.text("step"),
        };
        labels.finish();
    }
    let at_cap = table.choice("at_cap", AT_CAP).unwrap_or(AtCap::Drop);
    table.get("about");
    table.finish();
    Some(Cap { id, at_most: at_most?, per: per?, scope, at_cap })
}

fn window(source: &Source<'_>, node: &Node) -> Option<CapWindow> {
    match node.text() {
        Some("local_day") => return Some(CapWindow::LocalDay),
        Some("local_week") => return Some(CapWindow::LocalWeek),
        Some("local_month") => return Some(CapWindow::LocalMonth),
        Some(text) => {
            if let Some(duration) = duration::parse(text).filter(|duration| duration.0 > 0) {
                return Some(CapWindow::Rolling(duration));
            }
        }
        None => {}
    }
    source.error(
        "bad-duration",
        node.place,
        format!("`per` is {}, not a window", node.describe()),
        "write a duration such as 24h (rolling), or local_day, local_week, local_month",
    );
    None
}

fn holdout(table: &Table<'_>, purposes: &[Purpose]) -> Option<Holdout> {
    let percent = table.percent("percent").unwrap_or(0.0);
    let salt = table.text("salt").unwrap_or_default();
    let mut concerned: Vec<Name> = table.names("purposes");
    if concerned.is_empty() {
        let messaging = purposes.iter().filter(|purpose| !purpose.service && !purpose.data);
        concerned = messaging.map(|purpose| purpose.name.clone()).collect();
    }
    if percent > 0.0 && salt.is_empty() {
        table.source.warning(
            "holdout-salt",
            table.place(),
            "without a `salt` every holdout holds out the same people",
            "add `salt:` with the name of the period, such as \"2026-h2\"",
        );
    }
    // With 0 nobody new is held out; who was held out under this salt stays so (semantics 6).
    let means_somebody = percent > 0.0 || !salt.is_empty();
    let holdout = Holdout { percent, salt, purposes: concerned };
    table.get("about");
    table.finish();
    means_somebody.then_some(holdout)
}
