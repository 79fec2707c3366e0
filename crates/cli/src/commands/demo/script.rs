//! The story: what everybody does, and when. A pure function of the seed.
//!
//! Times are minutes of the shop's clock from the beginning of the story, which is noon. A prologue
//! at minute 0 tells who was known before and what they bought.

use super::cast::{FEATURED, Person};
use crate::when;
use serde_json::{Value, json};
use sojourn_model::{DurationMs, Timestamp};
use sojourn_node::chance::Chance;

/// Which source a step comes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Via {
    /// The web shop and the app.
    Site,
    /// The till, as a batch.
    Till,
    /// The till asks at a check-in, and shows what comes back.
    Checkin,
    /// Instagram.
    Insta,
}

/// One thing that somebody does.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    /// Minutes from the beginning.
    pub(super) minute: f64,
    /// Place in the cast.
    pub(super) who: usize,
    pub(super) via: Via,
    /// A message of the Segment specification, without `messageId`.
    pub(super) message: Value,
    /// It happened so many minutes before it is told (a till that was offline).
    pub(super) late: Option<f64>,
}

impl Step {
    /// The step as a line for `simulate`; `number` counts from 1.
    pub(super) fn line(&self, begins: Timestamp, seed: u64, number: usize) -> Value {
        let minutes = |minutes: f64| DurationMs((minutes * 60_000.0) as i64);
        let at = begins.plus(minutes(self.minute));
        let mut line = self.message.clone();
        line["source"] = match self.via {
            Via::Site => "site",
            Via::Till | Via::Checkin => "till",
            Via::Insta => "insta",
        }
        .into();
        line["messageId"] = format!("demo-{seed}-{number}").into();
        line["receivedAt"] = when::rfc3339(at).into();
        if let Some(late) = self.late {
            line["timestamp"] = when::rfc3339(at.minus(minutes(late))).into();
        }
        line
    }
}

struct Product {
    id: &'static str,
    name: &'static str,
    category: &'static str,
    price: f64,
}

const PRODUCTS: [Product; 8] = [
    Product { id: "p1", name: "walnut rye", category: "sourdough", price: 6.5 },
    Product { id: "p2", name: "country loaf", category: "sourdough", price: 5.8 },
    Product { id: "p3", name: "spelt loaf", category: "sourdough", price: 6.2 },
    Product { id: "p4", name: "focaccia", category: "flatbread", price: 4.2 },
    Product { id: "p5", name: "cinnamon buns", category: "buns", price: 12.0 },
    Product { id: "p6", name: "cardamom knots", category: "buns", price: 13.5 },
    Product { id: "p7", name: "birthday cake", category: "cake", price: 32.0 },
    Product { id: "p8", name: "lemon tart", category: "cake", price: 18.0 },
];

/// Collects steps.
struct Script<'a> {
    people: &'a [Person],
    steps: Vec<Step>,
    orders: u32,
}

/// Whether somebody is signed in while doing something on the site.
#[derive(Clone, Copy, PartialEq, Eq)]
enum As {
    /// Only the browser is known.
    Visitor,
    /// Signed in at home.
    Customer,
    /// Signed in on the phone.
    Phone,
    /// The phone, not signed in.
    PhoneVisitor,
}

impl Script<'_> {
    fn put(&mut self, minute: f64, who: usize, via: Via, message: Value) {
        self.steps.push(Step { minute, who, via, message, late: None });
    }

    fn track(&mut self, minute: f64, who: usize, how: As, event: &str, properties: Value) {
        let message = json!({ "type": "track", "event": event, "properties": properties });
        let message = self.known_as(who, how, message);
        self.put(minute, who, Via::Site, message);
    }

    fn known_as(&self, who: usize, how: As, mut message: Value) -> Value {
        let person = &self.people[who];
        let phone = matches!(how, As::Phone | As::PhoneVisitor);
        let anonymous =
            if phone { format!("app-{}", person.phone) } else { person.browser.clone() };
        message["anonymousId"] = anonymous.into();
        if phone {
            message["context"]["device"]["id"] = person.phone.as_str().into();
        }
        if matches!(how, As::Customer | As::Phone) {
            message["userId"] = person.user_id.as_str().into();
        }
        message["context"]["locale"] = person.locale.into();
        message
    }

    fn sign_in(&mut self, minute: f64, who: usize, how: As) {
        let person = &self.people[who];
        let message = json!({ "type": "identify", "traits": {
            "email": person.email, "first_name": first_name(person), "locale": person.locale,
        }});
        let message = self.known_as(who, how, message);
        self.put(minute, who, Via::Site, message);
    }

    /// A form on the site: the person agrees or withdraws.
    fn consent(&mut self, minute: f64, who: usize, how: As, what: (&str, &str), granted: bool) {
        let person = &self.people[who];
        let (channel, purpose) = what;
        let endpoint = if channel == "push" { &person.phone } else { &person.email };
        let state = if granted { "granted" } else { "denied" };
        self.track(
            minute,
            who,
            how,
            "Consent Changed",
            json!({
                "channel": channel, "purpose": purpose, "state": state, "endpoint": endpoint,
            }),
        );
    }

    fn view(&mut self, minute: f64, who: usize, how: As, product: usize) {
        let product = &PRODUCTS[product];
        self.track(
            minute,
            who,
            how,
            "Product Viewed",
            json!({
                "product_id": product.id, "name": product.name, "category": product.category,
                "price": product.price,
            }),
        );
    }

    fn cart(&mut self, minute: f64, who: usize, how: As, product: usize, count: u32) {
        let product = &PRODUCTS[product];
        let value = (product.price * f64::from(count) * 100.0).round() / 100.0;
        self.track(
            minute,
            who,
            how,
            "Cart Updated",
            json!({
                "cart_id": format!("cart-{who}-{}", product.id), "value": value, "items": count,
                "product": product.name,
            }),
        );
    }

    fn order(&mut self, minute: f64, who: usize, how: As, product: usize, count: u32) {
        let product = &PRODUCTS[product];
        self.orders += 1;
        let total = (product.price * f64::from(count) * 100.0).round() / 100.0;
        self.track(
            minute,
            who,
            how,
            "Order Completed",
            json!({
                "order_id": format!("W{}", 70_000 + self.orders), "total": total,
                "cart_id": format!("cart-{who}-{}", product.id), "product": product.name,
            }),
        );
    }

    fn sign_up(&mut self, minute: f64, who: usize, how: As) {
        self.sign_in(minute, who, how);
        self.track(minute + 0.1, who, how, "Signed Up", json!({ "plan": "newsletter" }));
    }

    /// The till scans a loyalty card.
    fn visit(&mut self, minute: f64, who: usize) {
        let card = &self.people[who].card;
        let message = json!({ "type": "track", "event": "Store Visited",
            "properties": { "store_id": "mill-lane", "loyalty_card": card } });
        self.put(minute, who, Via::Checkin, message);
    }

    fn till_order(&mut self, minute: f64, who: usize, product: usize, late: Option<f64>) {
        let product = &PRODUCTS[product];
        self.orders += 1;
        let message = json!({ "type": "track", "event": "Store Order Completed", "properties": {
            "order_id": format!("T{}", 30_000 + self.orders), "store_id": "mill-lane",
            "total": product.price, "product": product.name,
            "loyalty_card": self.people[who].card,
        }});
        self.steps.push(Step { minute, who, via: Via::Till, message, late });
    }

    fn social(&mut self, minute: f64, who: usize, event: &str, post: &str) {
        let message = json!({ "type": "track", "event": event,
            "properties": { "post": post, "instagram": self.people[who].instagram } });
        self.put(minute, who, Via::Insta, message);
    }
}

fn first_name(person: &Person) -> &str {
    person.name.split(' ').next().unwrap_or(&person.name)
}

/// Everybody's steps in order of time; those of minute 0 are the prologue.
pub(super) fn write(seed: u64, people: &[Person]) -> Vec<Step> {
    let mut script = Script { people, steps: Vec::new(), orders: 0 };
    let mut chance = Chance::new(seed);
    for (who, person) in people.iter().enumerate() {
        if person.known {
            prologue(&mut script, who, &mut chance);
        }
    }
    for (who, name) in FEATURED.iter().enumerate() {
        featured(&mut script, who, name);
    }
    for who in FEATURED.len()..people.len() {
        extra(&mut script, who, &mut chance);
    }
    let mut steps = script.steps;
    // Stable: what somebody does at one instant keeps its order.
    steps.sort_by(|a, b| a.minute.total_cmp(&b.minute));
    steps
}

/// What the shop knew before: who they are, what they agreed to, what they bought.
fn prologue(script: &mut Script<'_>, who: usize, chance: &mut Chance) {
    let person = script.people[who].clone();
    let mut message = json!({ "type": "identify", "userId": person.user_id, "traits": {
        "email": person.email, "first_name": first_name(&person), "locale": person.locale,
        "loyalty_card": person.card, "points": chance.between(0, 40) * 10,
    }});
    message["context"]["locale"] = person.locale.into();
    script.put(0.0, who, Via::Site, message);
    let agreed = person.agreed;
    for (granted, what) in [
        (agreed.email, ("email", "marketing")),
        (agreed.push, ("push", "marketing")),
        (agreed.feedback, ("email", "feedback")),
    ] {
        if granted {
            let how = if what.0 == "push" { As::Phone } else { As::Customer };
            let known = script.steps.len();
            script.consent(0.0, who, how, what, true);
            // The browser of today is not known yet: only the account agreed.
            if how == As::Customer
                && let Some(message) = script.steps[known].message.as_object_mut()
            {
                message.remove("anonymousId");
            }
        }
    }
    for _ in 0..chance.below(4) {
        let days = chance.between(3, 50);
        let product = chance.below(PRODUCTS.len());
        script.till_order(0.0, who, product, Some(days as f64 * 1440.0));
    }
}

/// The stories that are told in full.
fn featured(script: &mut Script<'_>, who: usize, name: &str) {
    use As::{Customer, Phone, PhoneVisitor, Visitor};
    match name {
        // Leaves a cart on the site, buys in the shop: the reminder is not needed any more.
        "Ada" => {
            script.view(4.0, who, Customer, 0);
            script.cart(7.0, who, Customer, 0, 4);
            script.visit(48.0, who);
            script.till_order(52.0, who, 0, None);
        }
        // A visitor's cart; he signs in later, and the reminder goes to the person, in Polish.
        "Bartek" => {
            script.view(9.0, who, Visitor, 6);
            script.cart(12.0, who, Visitor, 6, 1);
            script.sign_in(40.0, who, Visitor);
        }
        // Signs up, gets the welcome, and with it the one e-mail of the day: no reminder.
        "Chloe" => {
            script.sign_up(14.0, who, Visitor);
            script.consent(14.5, who, Customer, ("email", "marketing"), true);
            script.view(60.0, who, Customer, 4);
            script.cart(64.0, who, Customer, 4, 2);
        }
        // The same, with the app: the reminder goes to the phone instead.
        "Daniel" => {
            script.sign_up(20.0, who, PhoneVisitor);
            script.consent(20.5, who, Phone, ("email", "marketing"), true);
            script.consent(20.6, who, Phone, ("push", "marketing"), true);
            script.cart(75.0, who, Phone, 5, 2);
        }
        // Signs up, unsubscribes with one click, then leaves a cart.
        "Emre" => {
            script.sign_up(26.0, who, Visitor);
            script.consent(26.5, who, Customer, ("email", "marketing"), true);
            script.cart(150.0, who, Customer, 7, 1);
        }
        // Never agreed to anything.
        "Freya" => {
            script.view(30.0, who, Customer, 1);
            script.cart(34.0, who, Customer, 1, 3);
        }
        // Comes in, leaves without buying: tomorrow's focaccia, two hours later.
        "Grace" => script.visit(60.0, who),
        // Comes in and buys; is asked how it was.
        "Hugo" => {
            script.visit(90.0, who);
            script.till_order(95.0, who, 4, None);
        }
        // Looks at one kind of bread three times.
        "Ines" => {
            script.view(100.0, who, Customer, 0);
            script.view(104.0, who, Customer, 1);
            script.view(109.0, who, Customer, 2);
        }
        // A cart late in the evening: it is night when the reminder is due.
        "Jonas" => {
            script.view(482.0, who, Customer, 7);
            script.cart(486.0, who, Customer, 7, 1);
        }
        // Buys at a till that is offline; its batch comes after the reminder went out.
        "Kofi" => {
            script.cart(118.0, who, Customer, 6, 1);
            script.till_order(215.0, who, 6, Some(60.0));
        }
        // Likes a post, then signs in: Instagram and the account are one person.
        "Lena" => {
            script.social(130.0, who, "Post Liked", "Saturday cakes");
            script.social(134.0, who, "Post Commented", "Saturday cakes");
            let person = script.people[who].clone();
            let message = json!({ "type": "identify",
                "traits": { "email": person.email, "instagram": person.instagram } });
            let message = script.known_as(who, Customer, message);
            script.put(160.0, who, Via::Site, message);
            script.cart(165.0, who, Customer, 6, 1);
        }
        // Two devices, two carts, one person, one reminder.
        "Mateo" => {
            script.cart(180.0, who, Visitor, 5, 2);
            script.cart(188.0, who, PhoneVisitor, 7, 1);
            script.sign_in(200.0, who, Visitor);
            script.sign_in(204.0, who, PhoneVisitor);
        }
        // Signs up at noon, buys, and takes her consent back in the evening.
        "Nora" => {
            script.sign_up(230.0, who, Visitor);
            script.consent(230.5, who, Customer, ("email", "marketing"), true);
            script.order(280.0, who, Customer, 4, 1);
            script.consent(330.0, who, Customer, ("email", "marketing"), false);
            script.cart(345.0, who, Customer, 6, 1);
        }
        // Clicks on the reminder and buys.
        _ => {
            script.cart(240.0, who, Customer, 5, 2);
            script.order(340.0, who, Customer, 5, 2);
        }
    }
}

/// The rest of the town.
fn extra(script: &mut Script<'_>, who: usize, chance: &mut Chance) {
    let start = chance.between(2, 560) as f64 + chance.below(60) as f64 / 60.0;
    let product = chance.below(PRODUCTS.len());
    let count = 1 + u32::try_from(chance.below(3)).unwrap_or(0);
    let known = script.people[who].known;
    let how = match (known, chance.percent(40)) {
        (true, true) => As::Customer,
        (true, false) => As::Phone,
        (false, _) => As::Visitor,
    };
    script.view(start, who, how, product);
    match chance.below(10) {
        0 | 1 => script.visit(start + 40.0, who),
        2 => {
            script.visit(start + 25.0, who);
            script.till_order(start + 30.0, who, product, None);
        }
        3 => {
            script.cart(start + 3.0, who, how, product, count);
            script.order(start + 9.0, who, how, product, count);
        }
        4 => {
            script.cart(start + 3.0, who, how, product, count + 1);
            script.cart(start + 28.0, who, how, product, count + 2);
        }
        5 => {
            script.cart(start + 3.0, who, how, product, count + 1);
            script.till_order(start + 45.0, who, product, None);
        }
        6 => {
            script.sign_up(start + 4.0, who, how);
            if chance.percent(80) {
                script.consent(start + 4.5, who, As::Customer, ("email", "marketing"), true);
            }
            script.cart(start + 30.0, who, As::Customer, product, count + 2);
        }
        7 => {
            script.social(start + 5.0, who, "Post Liked", "Behind the oven");
            script.view(start + 8.0, who, how, (product + 1) % PRODUCTS.len());
            script.view(start + 12.0, who, how, product);
        }
        8 => script.till_order(start + 120.0, who, product, Some(100.0)),
        _ => {
            script.cart(start + 2.0, who, As::Visitor, product, count + 1);
            script.sign_in(start + 20.0, who, As::Visitor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::cast;
    use super::*;

    #[test]
    fn one_seed_one_story_in_order_of_time() {
        let people = cast::people(7);
        let story = write(7, &people);
        assert_eq!(story, write(7, &people));
        assert_ne!(story, write(8, &people));
        assert!(story.is_sorted_by(|a, b| a.minute <= b.minute));
        assert!((600..3000).contains(&story.len()), "{}", story.len());
    }

    #[test]
    fn everybody_featured_has_a_story() {
        let people = cast::people(1);
        let story = write(1, &people);
        for (who, name) in FEATURED.iter().enumerate() {
            assert!(story.iter().any(|step| step.who == who && step.minute > 0.0), "{name}");
        }
    }

    #[test]
    fn every_channel_takes_part() {
        let people = cast::people(1);
        let story = write(1, &people);
        for via in [Via::Site, Via::Till, Via::Checkin, Via::Insta] {
            assert!(story.iter().any(|step| step.via == via && step.minute > 0.0), "{via:?}");
        }
        assert!(story.iter().any(|step| step.minute > 0.0 && step.late.is_some()));
    }
}
