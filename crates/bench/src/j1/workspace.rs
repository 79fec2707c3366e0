//! The workspace of J1: three journeys and one policy, with every duration divided by `divide`; and
//! more journeys, which nothing in the input concerns.

use sojourn_rules::Files;
use std::collections::BTreeMap;

/// Journeys of the job itself.
const OWN: usize = 3;

/// Files of the job with journeys beside its own, `journeys` in all. Nothing in the input concerns
/// the others, which begin in every way that there is: an event, an attribute, a segment of what
/// people are, one of what they did, a date, a schedule over everybody.
pub fn files_with(journeys: usize) -> Files {
    let Files(mut files) = files(1);
    let mut segments = String::from("segments:\n  everybody: { when: has(profile.first_name) }\n");
    let (mut events, mut attributes) = (String::new(), String::from(OTHER_ATTRIBUTES));
    for n in OWN..journeys {
        let entry = match n % 6 {
            0 => format!("{{ on: Other {n} }}"),
            1 => "{ attribute: { name: tier } }".to_owned(),
            2 => {
                segments += &format!("  tier-{n}: {{ when: profile.tier == 'tier-{n}' }}\n");
                format!("{{ segment: {{ enter: tier-{n} }} }}")
            }
            3 => {
                segments += &format!("  did-{n}: {{ when: \"count('Other {n}', '30d') >= 3\" }}\n");
                format!("{{ segment: {{ enter: did-{n} }} }}")
            }
            4 => format!(
                "{{ date: {{ attribute: birthday, offset: -{}d, at: \"09:00\" }} }}",
                n % 28
            ),
            _ => {
                "{ schedule: { cron: \"0 9 1 1 *\", zone: local, audience: everybody } }".to_owned()
            }
        };
        if matches!(n % 6, 0 | 3) {
            events += &format!("  Other {n}: {{ channel: web }}\n");
        }
        let text = format!(
            "journey: other-{n}\npurpose: marketing\nentry: {entry}\n\
             steps:\n  - id: tell\n    send: {{ template: interest, channels: [push, email] }}\n"
        );
        files.insert(format!("journeys/other-{n}.yaml"), text);
    }
    let plan = PLAN.replace("attributes:\n", &format!("{events}attributes:\n"));
    attributes.insert_str(0, &plan);
    files.insert("tracking-plan.yaml".to_owned(), attributes);
    files.insert("segments.yaml".to_owned(), segments);
    Files(files)
}

/// Files of the job. `divide` = 1 is the day clock, 3,600 the short one (an hour lasts a second);
/// quiet hours cannot shrink with the clock, so the short clock has none.
pub fn files(divide: u32) -> Files {
    let span = |seconds: u32| format!("{}s", (seconds / divide).max(1));
    let (hour, day) = (3_600, 86_400);
    let mut files = BTreeMap::new();
    let mut put = |path: &str, text: String| files.insert(path.to_owned(), text);
    put("sojourn.yaml", SOJOURN.to_owned());
    put("tracking-plan.yaml", PLAN.to_owned());
    put("segments.yaml", "segments: {}\n".to_owned());
    put("policy.yaml", policy(&span(day), divide == 1));
    put("journeys/cart.yaml", cart(&span(hour)));
    put("journeys/store-follow-up.yaml", store(&span(7 * day), &span(day)));
    put("journeys/interest.yaml", interest(&span(day), &span(3 * day)));
    for template in ["cart", "store", "interest"] {
        put(
            &format!("templates/{template}/en.yaml"),
            "subject: \"Hello {{ profile.first_name | default: 'there' }}\"\nbody: en.txt\n"
                .to_owned(),
        );
        put(
            &format!("templates/{template}/en.txt"),
            "A word from the shop. {{ links.unsubscribe }}\n".to_owned(),
        );
    }
    Files(files)
}

fn policy(day: &str, quiet: bool) -> String {
    let quiet_hours = if quiet {
        "quiet_hours:\n  - { channels: [email, push], purposes: [marketing, feedback], from: \"21:00\", to: \"08:00\", then: defer }\n"
    } else {
        "quiet_hours: []\n"
    };
    format!(
        "purposes:\n  marketing: {{ topics: [reminders] }}\n  feedback: {{}}\n  service: {{ exempt: [caps, quiet_hours] }}\n\
         caps:\n  - {{ id: email, at_most: 1, per: {day}, scope: {{ channel: email }}, at_cap: fallback }}\n  \
         - {{ id: push, at_most: 1, per: {day}, scope: {{ channel: push }}, at_cap: fallback }}\n  \
         - {{ id: all, at_most: 2, per: {day}, at_cap: drop }}\n{quiet_hours}\
         arbitration: {{ window: 0s }}\njurisdictions: none\napprovals: {{ publish: 1 }}\n"
    )
}

fn cart(hour: &str) -> String {
    format!(
        "journey: cart\npurpose: marketing\nentry: {{ on: Cart Updated, key: event.properties.cart_id }}\n\
         exit_on:\n  - {{ on: Order Completed }}\n  - {{ on: Store Order Completed }}\n\
         steps:\n  - id: settle\n    wait: {hour}\n    restart_on: Cart Updated\n  \
         - id: remind\n    send: {{ template: cart, channels: [email, push] }}\n"
    )
}

fn store(week: &str, day: &str) -> String {
    format!(
        "journey: store-follow-up\npurpose: feedback\nentry: {{ on: Store Visited, reentry: after {week} }}\n\
         steps:\n  - id: settle\n    wait: {day}\n  - id: ask\n    send: {{ template: store, channels: [email] }}\n"
    )
}

fn interest(day: &str, three_days: &str) -> String {
    format!(
        "journey: interest\npurpose: marketing\nentry:\n  on: Product Viewed\n  \
         when: \"count('Product Viewed', '{day}', {{'category': event.properties.category}}) == 3\"\n  \
         reentry: after {three_days}\nsteps:\n  - id: tell\n    send: {{ template: interest, channels: [push, email] }}\n"
    )
}

const SOJOURN: &str = r#"workspace: j1
company: { name: J1, postal_address: "1 Lane, York, UK", privacy_contact: privacy@j1.example }
time_zone: Europe/London
locales: [en]
sources:
  - { id: site, channel: web, kind: segment, write_key: bench, mode: open }
  - { id: till, channel: store, kind: segment, write_key: bench-till, mode: open }
  - { id: mail, channel: email, kind: segment, write_key: bench-mail, mode: open }
  - { id: social, channel: social, kind: segment, write_key: bench-social, mode: open }
channels:
  email: { kind: grpc, endpoint: "http://127.0.0.1:9101" }
  push: { kind: grpc, endpoint: "http://127.0.0.1:9101" }
storage: { kind: embedded, path: ./data, retention: 400d }
"#;

const PLAN: &str = r#"events:
  Product Viewed:
    channel: web
    properties:
      product_id: { type: string, purposes: [service, marketing, feedback] }
      category: { type: string, purposes: [service, marketing, feedback] }
      price: { type: number, purposes: [service, marketing, feedback] }
  Cart Updated:
    channel: web
    properties:
      cart_id: { type: string, purposes: [service, marketing, feedback] }
      value: { type: number, purposes: [service, marketing, feedback] }
  Order Completed:
    channel: web
    properties:
      order_id: { type: string, purposes: [service, marketing, feedback] }
      cart_id: { type: string, purposes: [service, marketing, feedback] }
      total: { type: number, purposes: [service, marketing, feedback] }
  Store Visited:
    channel: store
    properties:
      store_id: { type: string, purposes: [service, marketing, feedback] }
  Store Order Completed:
    channel: store
    properties:
      order_id: { type: string, purposes: [service, marketing, feedback] }
      total: { type: number, purposes: [service, marketing, feedback] }
  Post Engaged:
    channel: social
    properties:
      network: { type: string, purposes: [service, marketing, feedback] }
attributes:
  time_zone: { type: string, purposes: [service, marketing, feedback] }
  first_name: { type: string, purposes: [service, marketing, feedback] }
"#;

const OTHER_ATTRIBUTES: &str = r#"  tier: { type: string, purposes: [service, marketing, feedback] }
  birthday: { type: date, purposes: [service, marketing, feedback] }
"#;
