//! tracking-plan.yaml

use super::names::KNOWN_PURPOSES;
use crate::cel::PlanPlaces;
use crate::definitions::{
    EventPlan, FieldKind, FieldPlan, IdentifierRule, Path, Policy, TrackingPlan,
};
use crate::finding::{Source, suggest};
use crate::reader::{Table, checked_name, items, names};
use crate::yaml::{Kind, Node};
use sojourn_model::{IdentifierKind, Name};
use std::collections::BTreeMap;

const FIELD_KINDS: &[(&str, FieldKind)] = &[
    ("string", FieldKind::String),
    ("number", FieldKind::Number),
    ("boolean", FieldKind::Boolean),
    ("date", FieldKind::Date),
    ("timestamp", FieldKind::Timestamp),
    ("list", FieldKind::List),
    ("object", FieldKind::Object),
];

/// Default identifiers: strongest first, with their places and limits (semantics 2).
const DEFAULTS: &[(IdentifierKind, &[&str], u32)] = &[
    (IdentifierKind::CustomerId, &["userId"], 1),
    (IdentifierKind::Email, &["traits.email", "context.traits.email", "properties.email"], 5),
    (IdentifierKind::Phone, &["traits.phone", "context.traits.phone", "properties.phone"], 5),
    (IdentifierKind::LoyaltyId, &["properties.loyalty_id", "traits.loyalty_id"], 5),
    (IdentifierKind::AnonymousId, &["anonymousId"], 50),
    (IdentifierKind::DeviceId, &["context.device.id"], 50),
];

/// Limit of kinds that have no default.
const OTHER_LIMIT: u32 = 5;

/// The plan of a workspace that has none: the default identifiers.
pub(super) fn default_plan() -> TrackingPlan {
    let identifiers = DEFAULTS
        .iter()
        .map(|(kind, from, limit)| IdentifierRule {
            kind: kind.clone(),
            from: from.iter().map(|place| path(place)).collect(),
            limit: *limit,
            joins: true,
        })
        .collect();
    TrackingPlan { identifiers, ..TrackingPlan::default() }
}

pub(super) fn load(source: Source<'_>, root: &Node, policy: &Policy) -> (TrackingPlan, PlanPlaces) {
    let mut plan = default_plan();
    let mut places = PlanPlaces::default();
    let Some(table) = Table::new(source, root, "tracking-plan.yaml") else { return (plan, places) };
    let mut declared = Vec::new();
    for item in table.list("identifiers") {
        if let Some(rule) = identifier(source, item) {
            if declared.iter().any(|other: &IdentifierRule| other.kind == rule.kind) {
                source.error(
                    "duplicate",
                    item.place,
                    format!("identifier `{}` is declared twice", rule.kind),
                    "keep one entry and list all places in its `from`",
                );
                continue;
            }
            declared.push(rule);
        }
    }
    // The file's order, then the defaults that it left out.
    plan.identifiers.retain(|rule| declared.iter().all(|other| other.kind != rule.kind));
    declared.append(&mut plan.identifiers);
    plan.identifiers = declared;
    plan.blocked_values = table
        .names("blocked_values")
        .iter()
        .map(|value| value.trim().to_lowercase().into())
        .collect();
    if let Some(events) = table.table("events", "`events`") {
        for (name, place, node) in events.entries() {
            if checked_name(&source, place, &name, "an event")
                && let Some(event) = event(source, &name, node, policy, &mut places)
            {
                plan.events.insert(name, event);
            }
        }
    }
    if let Some(attributes) = table.table("attributes", "`attributes`") {
        plan.attributes = fields(&attributes, policy, |name, line| {
            places.attributes.insert(name.clone(), line);
        });
    }
    table.finish();
    (plan, places)
}

fn path(dotted: &str) -> Path {
    dotted.split('.').map(Name::from).collect::<Vec<_>>().into()
}

fn identifier(source: Source<'_>, node: &Node) -> Option<IdentifierRule> {
    let table = Table::new(source, node, "this identifier")?;
    let kind_node = table.required("kind")?;
    let kind = kind_node.text().and_then(IdentifierKind::parse);
    if kind.is_none() {
        source.error(
            "unknown-kind",
            kind_node.place,
            format!("{} is not a kind of identifier", kind_node.describe()),
            suggest(
                kind_node.text().unwrap_or_default(),
                ["customer_id", "email", "phone", "loyalty_id", "anonymous_id", "device_id"],
                "or social:<network>, custom:<name>",
            ),
        );
    }
    let default = kind.as_ref().and_then(|kind| DEFAULTS.iter().find(|(other, ..)| other == kind));
    let mut from = Vec::new();
    match table.get("from") {
        Some(node) => {
            for place in names(&source, node, "from") {
                if place_fits(&place) {
                    from.push(path(&place));
                } else {
                    source.error(
                        "bad-path",
                        node.place,
                        format!("`{place}` is no place in a message"),
                        "write userId, anonymousId, traits.x, properties.x or context.x",
                    );
                }
            }
        }
        None => match default {
            Some((_, places, _)) => from.extend(places.iter().map(|place| path(place))),
            None => {
                table.required("from");
            }
        },
    }
    let limit =
        table.count("limit").unwrap_or_else(|| default.map_or(OTHER_LIMIT, |(.., limit)| *limit));
    if limit == 0 {
        source.error(
            "bad-limit",
            table.key_place("limit"),
            "a limit of 0 would ignore every identifier of this kind",
            "give at least 1, or remove the entry's places",
        );
    }
    let joins = table.flag("joins").unwrap_or(true);
    table.finish();
    Some(IdentifierRule { kind: kind?, from, limit: limit.max(1), joins })
}

fn place_fits(place: &str) -> bool {
    let mut parts = place.split('.');
    let first = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    match first {
        "userId" | "anonymousId" | "messageId" | "groupId" | "previousId" => rest.is_empty(),
        "traits" | "properties" | "context" => {
            !rest.is_empty() && rest.iter().all(|part| !part.is_empty())
        }
        _ => false,
    }
}

fn event(
    source: Source<'_>,
    name: &Name,
    node: &Node,
    policy: &Policy,
    places: &mut PlanPlaces,
) -> Option<EventPlan> {
    let table = Table::new(source, node, "this event")?;
    let mut event = EventPlan {
        channel: table.text("channel"),
        retention: table.duration("retention"),
        properties: BTreeMap::new(),
    };
    table.get("about");
    if let Some(properties) = table.table("properties", "`properties`") {
        event.properties = fields(&properties, policy, |property, line| {
            places.properties.insert((name.clone(), property.clone()), line);
        });
    }
    table.finish();
    Some(event)
}

fn fields(
    table: &Table<'_>,
    policy: &Policy,
    mut place: impl FnMut(&Name, u32),
) -> BTreeMap<Name, FieldPlan> {
    let mut fields = BTreeMap::new();
    for (name, at, node) in table.entries() {
        if !checked_name(&table.source, at, &name, "a field") {
            continue;
        }
        if let Some(field) = field(table.source, node, policy) {
            if node.get("sensitive").is_none() {
                crate::lint::looks_sensitive(table.source, at, &name);
            }
            place(&name, at.line);
            fields.insert(name, field);
        }
    }
    fields
}

fn field(source: Source<'_>, node: &Node, policy: &Policy) -> Option<FieldPlan> {
    let table = Table::new(source, node, "this field")?;
    table.get("about");
    let field = FieldPlan {
        kind: table.choice("type", FIELD_KINDS),
        required: table.flag("required").unwrap_or(false),
        purposes: purposes(&table, policy),
        unit: table.text("unit"),
        given_by_customer: table
            .choice("given_by", &[("customer", true), ("inferred", false)])
            .unwrap_or(false),
        sensitive: table.flag("sensitive").unwrap_or(false),
        retention: table.duration("retention"),
    };
    table.finish();
    Some(field)
}

fn purposes(table: &Table<'_>, policy: &Policy) -> Vec<Name> {
    let Some(node) = table.get("purposes") else { return Vec::new() };
    let nodes = match &node.kind {
        Kind::Sequence(_) => items(&table.source, node, "purposes"),
        _ => std::slice::from_ref(node),
    };
    if nodes.is_empty() {
        table.source.warning(
            "no-purpose",
            node.place,
            "an empty list of purposes means: not declared, usable for any",
            "name the purposes it was collected for",
        );
    }
    let mut purposes = Vec::new();
    for item in nodes {
        let Some(purpose) = crate::reader::name(&table.source, item, "purposes") else { continue };
        let first = purpose.split('/').next().unwrap_or_default();
        let known = policy.purposes.iter().map(|purpose| &*purpose.name);
        let known: Vec<&str> = known.chain(KNOWN_PURPOSES.iter().copied()).collect();
        if !known.contains(&first) {
            table.source.error(
                "unknown-purpose",
                item.place,
                format!("policy.yaml declares no purpose `{first}`"),
                suggest(first, known, "declare it under `purposes`"),
            );
        }
        if !purposes.contains(&purpose) {
            purposes.push(purpose);
        }
    }
    purposes
}
