//! What names there are, and of which type: the tracking plan, the reserved names, the segments.

use crate::definitions::{EventPlan, FieldKind, FieldPlan, TrackingPlan};
use crate::functions::Type;
use sojourn_model::{Name, event_names};
use std::collections::BTreeMap;

/// Events that the gateway, the channels and the dispatcher make, or a file for `simulate` may hold.
pub(crate) const RESERVED_EVENTS: &[&str] = &[
    event_names::PAGE_VIEWED,
    event_names::SCREEN_VIEWED,
    event_names::GROUP_JOINED,
    event_names::IDENTIFIED,
    event_names::ALIASED,
    event_names::CONSENT_CHANGED,
    event_names::UNSUBSCRIBED,
    event_names::EMAIL_DELIVERED,
    event_names::EMAIL_OPENED,
    event_names::EMAIL_LINK_CLICKED,
    event_names::EMAIL_BOUNCED,
    event_names::EMAIL_COMPLAINT,
    "SMS Delivered",
    "SMS Failed",
    event_names::SMS_STOPPED,
    event_names::SMS_STARTED,
    "Push Delivered",
    "Push Opened",
    "Push Failed",
    event_names::MESSAGE_SENT,
    event_names::MESSAGE_FAILED,
    event_names::MESSAGE_UNKNOWN,
    event_names::CALL_ANSWERED,
    event_names::CALL_FAILED,
    event_names::STORE_VISITED,
];

/// Beginnings of reserved events whose properties come from channels and the dispatcher.
const OPEN_EVENTS: &[&str] =
    &["Email ", "SMS ", "Push ", "Message ", "Call ", "Unsubscribed", "Consent Changed"];

/// Attributes with a meaning of their own, which need not be in the plan.
pub(crate) const RESERVED_ATTRIBUTES: &[(&str, Type)] = &[
    ("time_zone", Type::Text),
    ("timezone", Type::Text),
    ("locale", Type::Text),
    ("preferred_channel", Type::Text),
    ("address.country", Type::Text),
    ("birthday", Type::Date),
    ("household_id", Type::Text),
];

/// Below these, every name is allowed.
pub(crate) const OPEN_ATTRIBUTES: &[&str] = &["preferences", "insight"];

/// Lines of the plan's fields, for findings that name both places.
#[derive(Debug, Clone, Default)]
pub(crate) struct PlanPlaces {
    pub(crate) properties: BTreeMap<(Name, Name), u32>,
    pub(crate) attributes: BTreeMap<Name, u32>,
}

/// Everything that an expression may name.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) plan: TrackingPlan,
    pub(crate) places: PlanPlaces,
    /// False when the plan could not be read: then nothing is said of unknown names.
    pub(crate) plan_known: bool,
    /// Segments, and whether time alone can change their condition.
    pub(crate) segments: BTreeMap<Name, bool>,
}

/// What `event` is in an expression.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Events<'a> {
    /// There is no event.
    None,
    /// Any event.
    Any,
    /// One of these.
    Named(&'a [Name]),
}

/// What the plan says of a name.
pub(crate) enum Known {
    Type(Type),
    Unknown(Vec<Name>),
}

impl Catalog {
    pub(crate) fn event_known(&self, event: &str) -> bool {
        self.plan.events.contains_key(event) || RESERVED_EVENTS.contains(&event)
    }

    /// The plan's entry of `path` below `event.properties`, with its event and declared name.
    pub(crate) fn property(&self, event: &str, path: &[Name]) -> Option<(&Name, &FieldPlan)> {
        longest(&self.plan.events.get(event)?.properties, path)
    }

    /// The plan's entry of `path` below `profile`.
    pub(crate) fn attribute(&self, path: &[Name]) -> Option<(&Name, &FieldPlan)> {
        longest(&self.plan.attributes, path)
    }

    pub(crate) fn property_type(&self, events: Events<'_>, path: &[Name]) -> Known {
        if path.is_empty() || !self.plan_known {
            return Known::Type(if path.is_empty() { Type::Map } else { Type::Any });
        }
        let mut kinds = Vec::new();
        let mut known_names: Vec<Name> = Vec::new();
        let mut look = |event: &str, plan: Option<&EventPlan>| match plan {
            Some(plan) => match longest(&plan.properties, path) {
                Some((name, field)) => kinds.push(field_type(name, field, path)),
                // The plan need not list all that our own channels send along.
                None if OPEN_EVENTS.iter().any(|prefix| event.starts_with(prefix)) => {
                    kinds.push(Type::Any);
                }
                None => known_names.extend(plan.properties.keys().cloned()),
            },
            None if RESERVED_EVENTS.contains(&event) => kinds.push(Type::Any),
            None => {}
        };
        match events {
            Events::None => return Known::Type(Type::Any),
            Events::Any => {
                for (event, plan) in &self.plan.events {
                    look(event, Some(plan));
                }
            }
            Events::Named(names) => {
                for event in names {
                    look(event, self.plan.events.get(event));
                }
            }
        }
        match kinds.split_first() {
            Some((first, rest)) if rest.iter().all(|kind| kind == first) => Known::Type(*first),
            Some(_) => Known::Type(Type::Any),
            None => Known::Unknown(known_names),
        }
    }

    /// The known attributes, when `path` is none of them.
    pub(crate) fn unknown_attribute(&self, path: &[Name]) -> Option<Vec<Name>> {
        match self.attribute_type(path) {
            Known::Type(_) => None,
            Known::Unknown(known) => Some(known),
        }
    }

    pub(crate) fn attribute_type(&self, path: &[Name]) -> Known {
        let Some(first) = path.first() else { return Known::Type(Type::Map) };
        if let Some((name, field)) = self.attribute(path) {
            return Known::Type(field_type(name, field, path));
        }
        if !self.plan_known || OPEN_ATTRIBUTES.contains(&&**first) {
            return Known::Type(Type::Any);
        }
        let dotted = path.join(".");
        if let Some((_, kind)) = RESERVED_ATTRIBUTES.iter().find(|(name, _)| *name == dotted) {
            return Known::Type(*kind);
        }
        let reserved = RESERVED_ATTRIBUTES.iter().map(|(name, _)| Name::from(*name));
        Known::Unknown(self.plan.attributes.keys().cloned().chain(reserved).collect())
    }
}

/// The field declared under the longest beginning of `path`: `address.country`, then `address`.
fn longest<'p>(
    fields: &'p BTreeMap<Name, FieldPlan>,
    path: &[Name],
) -> Option<(&'p Name, &'p FieldPlan)> {
    (1..=path.len()).rev().find_map(|length| {
        if length == 1 {
            return fields.get_key_value(&path[0]);
        }
        fields.get_key_value(path[..length].join(".").as_str())
    })
}

fn field_type(declared: &str, field: &FieldPlan, path: &[Name]) -> Type {
    let whole = declared.split('.').count() == path.len() || path.len() == 1;
    match field.kind {
        _ if !whole => Type::Any,
        None => Type::Any,
        Some(FieldKind::String) => Type::Text,
        Some(FieldKind::Number) => Type::Number,
        Some(FieldKind::Boolean) => Type::Bool,
        Some(FieldKind::Date) => Type::Date,
        Some(FieldKind::Timestamp) => Type::TimestampText,
        Some(FieldKind::List) => Type::List,
        Some(FieldKind::Object) => Type::Map,
    }
}
