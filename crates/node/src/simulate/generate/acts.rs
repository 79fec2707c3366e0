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
    /// What few do, and seldom: `Appointment Missed`, `Membership Ended`.
    Rare,
    /// Anything else.
    Other,
}

/// Words of event names, in order of preference.
const WORDS: [(Class, &[&str]); 5] = [
    (Class::First, &["signed up", "registered", "joined", "account created"]),
    (
        Class::Rare,
        &[
            "missed", "no-show", "no show", "cancel", "return", "refund", "paus", "ended",
            "lapsed", "deleted", "closed", "fail", "moved", "complain",
        ],
    ),
    (Class::Look, &["view", "visit", "search", "screen", "page", "scanned", "opened", "played"]),
    (
        Class::Finish,
        &["order", "purchas", "bought", "paid", "complet", "finish", "attend", "kept", "redeem"],
    ),
    (Class::Begin, &["cart", "basket", "book", "start", "begun", "enrol", "added", "wish"]),
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
        let answers = ENGAGEMENT_EVENTS.contains(&&**event);
        if answers || NEVER.contains(&&**event) {
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
        // Where there is nothing to look at, people come for the thing itself.
        let direct = looks.is_empty();
        let (begins, finishes) = (of(Class::Begin), of(Class::Finish));
        let mut begun = direct || begins.is_empty();
        if !begins.is_empty() && chance.percent(40) {
            visit.push(begins[chance.below(begins.len())]);
            begun = true;
        }
        if begun && !finishes.is_empty() && chance.percent(if direct { 75 } else { 45 }) {
            for _ in 0..=chance.below(if direct { 2 } else { 1 }) {
                visit.push(finishes[chance.below(finishes.len())]);
            }
        }
        for (class, percent) in [(Class::Rare, 5), (Class::Other, 20)] {
            let acts = of(class);
            let alone = visit.is_empty() && class == Class::Other;
            if !acts.is_empty() && (alone || chance.percent(percent)) {
                visit.push(acts[chance.below(acts.len())]);
            }
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
        if matches!(self.class, Class::Finish | Class::Rare) {
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
            ("Appointment Missed", Class::Rare),
            ("Membership Paused", Class::Rare),
            ("Lesson Completed", Class::Finish),
            ("Card Scanned", Class::Look),
            ("Coffee Bought", Class::Finish),
            ("Signed Up", Class::First),
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
