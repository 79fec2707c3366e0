//! What people do in a generated history: the plan's events, in the order in which visits run.

use super::people::{Person, put};
use super::values::Values;
use serde_json::{Value as Json, json};
use sojourn_model::{IdentifierKind, Name, Timestamp};
use sojourn_rules::{Definitions, ENGAGEMENT_EVENTS, EventPlan, FieldKind};
use std::collections::BTreeMap;

/// What an event is in the course of a visit, told by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Looking round: `Product Viewed`, `Store Visited`.
    Look,
    /// Beginning something: `Cart Updated`, `Appointment Booked`.
    Begin,
    /// Finishing it: `Order Completed`, `Appointment Missed`.
    Finish,
    /// Once, at the very first visit: `Signed Up`.
    First,
    /// An answer to a message: `Email Opened`.
    Answer,
    /// Anything else.
    Other,
}

/// Words of event names, in order of preference.
const WORDS: [(Class, &[&str]); 4] = [
    (Class::First, &["signed up", "registered", "joined", "account created"]),
    (
        Class::Look,
        &["view", "visit", "search", "screen", "page", "opened", "played", "stock", "price"],
    ),
    (
        Class::Finish,
        &[
            "order", "purchas", "paid", "complet", "finish", "attend", "kept", "missed", "no-show",
            "no show", "cancel", "checked", "return", "lapsed", "ended",
        ],
    ),
    (
        Class::Begin,
        &["cart", "basket", "book", "start", "begun", "enrol", "added", "moved", "wish"],
    ),
];

/// Stems of ids that name one instance of something that a person begins and finishes.
const INSTANCES: [&str; 9] = [
    "cart",
    "basket",
    "order",
    "booking",
    "appointment",
    "checkout",
    "payment",
    "invoice",
    "visit",
];

/// Events that only providers and ourselves send, beside the answers.
const NEVER: [&str; 15] = [
    "Consent Changed",
    "Unsubscribed",
    "Email Bounced",
    "Email Marked as Spam",
    "Email Delivered",
    "SMS Delivered",
    "SMS Failed",
    "SMS Stopped",
    "SMS Started",
    "Push Delivered",
    "Push Failed",
    "Message Sent",
    "Message Failed",
    "Message Outcome Unknown",
    "Identified",
];

/// The class of an event.
pub(super) fn class(event: &str) -> Class {
    if ENGAGEMENT_EVENTS.contains(&event) {
        return Class::Answer;
    }
    let lower = event.to_lowercase();
    let fits = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    WORDS.iter().find(|(_, words)| fits(words)).map_or(Class::Other, |(class, _)| *class)
}

/// An event that people bring about.
#[derive(Debug)]
pub(super) struct Act {
    pub(super) event: Name,
    pub(super) class: Class,
    plan: EventPlan,
}

/// Where visits happen: a channel with its source and what can be done there.
#[derive(Debug)]
pub(super) struct Place {
    /// Id of the source.
    pub(super) source: Name,
    /// A till: it names nobody but by their card, and may report a day late.
    pub(super) till: bool,
    acts: Vec<Act>,
}

/// The places of a workspace, those with most to do first.
pub(super) fn places(definitions: &Definitions) -> Vec<Place> {
    let workspace = &definitions.workspace;
    let first = |channel: &Name| workspace.sources.iter().position(|one| one.channel == *channel);
    let web = workspace.sources.iter().position(|source| &*source.kind == "segment").unwrap_or(0);
    let mut by_source: BTreeMap<usize, Vec<Act>> = BTreeMap::new();
    for (event, plan) in &definitions.plan.events {
        if NEVER.contains(&&**event) {
            continue;
        }
        let source = plan.channel.as_ref().and_then(first).unwrap_or(web);
        let act = Act { event: event.clone(), class: class(event), plan: plan.clone() };
        by_source.entry(source).or_default().push(act);
    }
    let place = |(source, acts)| {
        let declared = workspace.sources.get::<usize>(source)?;
        let till = &*declared.kind == "pos" || declared.shared_devices;
        Some(Place { source: declared.id.clone(), till, acts })
    };
    let mut places: Vec<Place> = by_source.into_iter().filter_map(place).collect();
    places.sort_by_key(|place| std::cmp::Reverse(place.acts.len()));
    places
}

impl Place {
    /// Whether people can become known here.
    pub(super) fn welcomes(&self) -> bool {
        self.acts.iter().any(|act| act.class == Class::First)
    }

    /// What one visit consists of, in order.
    pub(super) fn visit(&self, person: &mut Person, first: bool) -> Vec<&Act> {
        let chance = &mut person.chance;
        let of = |class| self.acts.iter().filter(|act| act.class == class).collect::<Vec<_>>();
        let mut visit = Vec::new();
        if first {
            visit.extend(of(Class::First));
        }
        let looks = of(Class::Look);
        if !looks.is_empty() {
            for _ in 0..=chance.below(4) {
                visit.push(looks[chance.below(looks.len())]);
            }
        }
        let (begins, finishes) = (of(Class::Begin), of(Class::Finish));
        let mut begun = begins.is_empty();
        if !begins.is_empty() && chance.percent(40) {
            for _ in 0..=chance.below(2) {
                visit.push(begins[chance.below(begins.len())]);
            }
            begun = true;
        }
        if begun && !finishes.is_empty() && chance.percent(45) {
            visit.push(finishes[chance.below(finishes.len())]);
        }
        let others = of(Class::Other);
        if !others.is_empty() && (visit.is_empty() || chance.percent(20)) {
            visit.push(others[chance.below(others.len())]);
        }
        let answers = of(Class::Answer);
        if !answers.is_empty() && (visit.is_empty() || chance.percent(10)) {
            visit.push(answers[chance.below(answers.len())]);
        }
        visit
    }
}

impl Act {
    /// The message of this act: who, what, with which properties.
    pub(super) fn message(
        &self,
        definitions: &Definitions,
        values: &Values,
        person: &mut Person,
        till: bool,
        at: Timestamp,
    ) -> Json {
        let mut properties = json!({});
        for (name, plan) in &self.plan.properties {
            if let Some(id) = instance(name) {
                properties[&**name] = format!("{id}-{}-{}", person.number, person.instance).into();
                continue;
            }
            if !plan.required && person.chance.percent(8) {
                continue;
            }
            let value = values.draw(name, plan, at, &mut person.chance);
            if !value.is_null() && !plan.sensitive {
                properties[&**name] = value;
            }
        }
        let mut message =
            json!({ "type": "track", "event": &*self.event, "properties": properties });
        self.say_who(definitions, person, till, &mut message);
        if self.class == Class::Finish {
            person.instance += 1;
        }
        message
    }

    /// A till knows the card, when there is one in its hand; a site knows the browser, and mostly
    /// the customer.
    fn say_who(
        &self,
        definitions: &Definitions,
        person: &mut Person,
        till: bool,
        message: &mut Json,
    ) {
        let signed_in = person.chance.percent(70);
        let mut names_by_property = false;
        for rule in &definitions.plan.identifiers {
            let of_event = rule.from.iter().find(|path| match &path[..] {
                [root, field] => &**root == "properties" && self.declares(field),
                _ => false,
            });
            if let Some(place) = of_event {
                names_by_property = true;
                match person.identifier(&rule.kind) {
                    Some(value) => put(message, place, value.into()),
                    None => put(message, place, Json::Null),
                }
            }
        }
        if till && names_by_property {
            return;
        }
        let kinds: &[IdentifierKind] = match (till, signed_in) {
            (true, _) => &[IdentifierKind::CustomerId],
            (false, true) => &[IdentifierKind::CustomerId, IdentifierKind::AnonymousId],
            (false, false) => &[IdentifierKind::AnonymousId],
        };
        for rule in definitions.plan.identifiers.iter().filter(|rule| kinds.contains(&rule.kind)) {
            if let (Some(place), Some(value)) = (rule.from.first(), person.identifier(&rule.kind)) {
                put(message, place, value.into());
            }
        }
        if !till {
            message["context"] = json!({ "timezone": person.zone.name() });
        }
    }

    fn declares(&self, field: &str) -> bool {
        let plan = self.plan.properties.get(field);
        plan.is_some_and(|plan| matches!(plan.kind, Some(FieldKind::String) | None))
    }
}

/// The stem of an id that names an instance: `cart` of `cart_id`.
fn instance(field: &str) -> Option<&str> {
    let stem = field.strip_suffix("_id").or_else(|| field.strip_suffix("Id"))?;
    INSTANCES.contains(&stem).then_some(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_an_event_is() {
        for (event, expected) in [
            ("Product Viewed", Class::Look),
            ("Store Visited", Class::Look),
            ("Cart Updated", Class::Begin),
            ("Appointment Booked", Class::Begin),
            ("Order Completed", Class::Finish),
            ("Store Order Completed", Class::Finish),
            ("Appointment Missed", Class::Finish),
            ("Lesson Completed", Class::Finish),
            ("Signed Up", Class::First),
            ("Email Opened", Class::Answer),
            ("Post Liked", Class::Other),
        ] {
            assert_eq!(class(event), expected, "{event}");
        }
    }

    #[test]
    fn ids_of_instances_are_told_from_ids_of_things() {
        assert_eq!(instance("cart_id"), Some("cart"));
        assert_eq!(instance("orderId"), Some("order"));
        assert_eq!(instance("product_id"), None);
        assert_eq!(instance("id"), None);
    }
}
