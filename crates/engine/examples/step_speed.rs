//! How long the step alone takes, and how many bytes a person takes in memory: job J1's shares of
//! events and its three journeys, no log, no identity, no conversion.
//!
//! `cargo run --release -p sojourn-engine --example step_speed -- [TOUCHPOINTS] [PEOPLE] [JOURNEYS] [SEGMENTS] [STEPS]`
//!
//! Journeys beyond three begin in every way that there is, and nothing in the input concerns them. Of
//! the segments one in a hundred asks for what people do here; as many as there may be journeys have
//! one that waits for it. With STEPS whoever visits the store enters a journey of so many.

use sojourn_engine::{Effect, Effects, Limits, Partition};
use sojourn_model::{
    Identifier, IdentifierKind, LogPosition, ProfileId, Record, Timestamp, Touchpoint,
};
use sojourn_rules::{Files, Severity, compile};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Log time of the first touchpoint, and of the last after it.
const START_MS: i64 = 1_772_409_600_000;
const SPAN_MS: i64 = 86_400_000;

const SOJOURN: &str = r#"workspace: j1
company: { name: J1, postal_address: "1 Lane, York, UK", privacy_contact: privacy@j1.example }
time_zone: Europe/London
locales: [en]
sources: [ { id: site, channel: web, kind: segment, write_key: bench, mode: open } ]
channels:
  email: { kind: grpc, endpoint: "http://127.0.0.1:9101" }
  push: { kind: grpc, endpoint: "http://127.0.0.1:9101" }
storage: { kind: embedded, path: ./data, retention: 400d }
"#;
const POLICY: &str = r#"purposes:
  marketing: { topics: [reminders] }
  feedback: {}
  service: { exempt: [caps, quiet_hours] }
caps:
  - { id: email, at_most: 1, per: 24h, scope: { channel: email }, at_cap: fallback }
  - { id: push, at_most: 1, per: 24h, scope: { channel: push }, at_cap: fallback }
  - { id: all, at_most: 2, per: 24h, at_cap: drop }
quiet_hours:
  - { channels: [email, push], purposes: [marketing, feedback], from: "21:00", to: "08:00", then: defer }
arbitration: { window: 0s }
jurisdictions: none
"#;
const OWN: [(&str, &str); 3] = [
    (
        "cart",
        "purpose: marketing\nentry: { on: Cart Updated, key: event.properties.cart_id }\nexit_on:\n  - { on: Order Completed }\n  - { on: Store Order Completed }\nsteps:\n  - id: settle\n    wait: 1h\n    restart_on: Cart Updated\n  - id: remind\n    send: { template: t, channels: [email, push] }\n",
    ),
    (
        "interest",
        "purpose: marketing\nentry:\n  on: Product Viewed\n  when: \"count('Product Viewed', '24h', {'category': event.properties.category}) == 3\"\n  reentry: after 3d\nsteps:\n  - id: tell\n    send: { template: t, channels: [push, email] }\n",
    ),
    (
        "store-follow-up",
        "purpose: feedback\nentry: { on: Store Visited, reentry: after 7d }\nsteps:\n  - id: settle\n    wait: 24h\n  - id: ask\n    send: { template: t, channels: [email] }\n",
    ),
];
const EVENTS: [&str; 6] = [
    "Product Viewed",
    "Cart Updated",
    "Order Completed",
    "Store Visited",
    "Store Order Completed",
    "Post Engaged",
];
const PROPERTIES: &str = "properties: { category: { type: string, purposes: [service, marketing, feedback] }, cart_id: { type: string, purposes: [service, marketing, feedback] }, store_id: { type: string, purposes: [service, marketing, feedback] } }";

/// Journeys on a segment each.
const WATCHED: usize = 400;

/// Segments, and journeys that wait for the first of them.
fn more_segments(count: usize, segments: &mut String, files: &mut BTreeMap<String, String>) {
    for n in 0..count {
        let event = if n % 100 == 0 { EVENTS[n / 100 % EVENTS.len()] } else { "Post Engaged" };
        let when = match n % 100 {
            0 => format!("count('{event}', '{}h') >= {}", 1 + n % 24, 2 + n % 5),
            1..50 => format!("count('Elsewhere {}', '{}d') >= 2", n % 50, 1 + n % 30),
            _ => format!("profile.tier == 'tier {n}'"),
        };
        *segments += &format!("  many-{n}: {{ when: \"{when}\" }}\n");
        if n < WATCHED {
            let text = format!(
                "journey: many-{n}\npurpose: marketing\nentry: {{ segment: {{ enter: many-{n} }} }}\nsteps:\n  - id: wait\n    wait: 30d\n"
            );
            files.insert(format!("journeys/many-{n}.yaml"), text);
        }
    }
}

/// A journey of so many steps, all of which a run passes at once.
fn long(steps: usize, files: &mut BTreeMap<String, String>) {
    let mut text =
        "journey: long\npurpose: service\nentry: { on: Store Visited, reentry: always }\nsteps:\n"
            .to_owned();
    for n in 0..steps {
        text += &format!(
            "  - id: s{n}\n    branch:\n      - when: event.properties.store_id == 'none-{n}'\n        steps: [ {{ exit: none }} ]\n"
        );
    }
    files.insert("journeys/long.yaml".to_owned(), text);
}

/// The job's files with so many journeys in all.
fn files(journeys: usize, more: usize, steps: usize) -> Files {
    let mut plan = "events:\n".to_owned();
    for event in EVENTS {
        plan += &format!("  {event}: {{ channel: web, {PROPERTIES} }}\n");
    }
    let mut segments = "segments:\n  everybody: { when: has(profile.first_name) }\n".to_owned();
    let mut files = BTreeMap::new();
    more_segments(more, &mut segments, &mut files);
    if more > 0 {
        (0..50).for_each(|n| plan += &format!("  Elsewhere {n}: {{ channel: web }}\n"));
    }
    if steps > 0 {
        long(steps, &mut files);
    }
    for n in OWN.len()..journeys {
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
            4 => "{ date: { attribute: birthday, offset: -3d, at: \"09:00\" } }".to_owned(),
            _ => "{ schedule: { cron: \"0 9 1 1 *\", zone: local, audience: everybody } }".into(),
        };
        if matches!(n % 6, 0 | 3) {
            plan += &format!("  Other {n}: {{ channel: web }}\n");
        }
        let text = format!(
            "journey: other-{n}\npurpose: marketing\nentry: {entry}\nsteps:\n  \
             - id: tell\n    send: {{ template: t, channels: [push, email] }}\n"
        );
        files.insert(format!("journeys/other-{n}.yaml"), text);
    }
    plan += "attributes:\n";
    for (name, kind) in [("first_name", "string"), ("tier", "string"), ("birthday", "date")] {
        plan +=
            &format!("  {name}: {{ type: {kind}, purposes: [service, marketing, feedback] }}\n");
    }
    for (name, text) in OWN {
        files.insert(format!("journeys/{name}.yaml"), format!("journey: {name}\n{text}"));
    }
    let mut put = |path: &str, text: &str| files.insert(path.to_owned(), text.to_owned());
    put("sojourn.yaml", SOJOURN);
    put("policy.yaml", POLICY);
    put("tracking-plan.yaml", &plan);
    put("segments.yaml", &segments);
    put("templates/t/en.yaml", "subject: Hello\nbody: en.txt\n");
    put("templates/t/en.txt", "A word from the shop. {{ links.unsubscribe }}\n");
    Files(files)
}

/// Numbers that look like chance: the same on every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// The engine and what it was given.
struct Job {
    partition: Partition,
    effects: Effects,
    offset: u64,
    decisions: u64,
}

impl Job {
    fn apply(&mut self, at: i64, record: &Record<'_>) {
        let mut missing = Vec::new();
        self.partition.missing(Timestamp(at), record, &mut missing);
        for id in missing {
            self.partition.load(id, None).expect("a new person needs no bytes");
        }
        let position = LogPosition { partition: 0, offset: self.offset };
        self.offset += 1;
        self.partition.apply(position, Timestamp(at), record, &mut self.effects);
        for effect in self.effects.drain() {
            self.decisions += u64::from(matches!(effect, Effect::Decision(_)));
        }
    }

    fn touchpoint(&mut self, at: i64, person: u64, event: &str, properties: &str, traits: &str) {
        let mut identifiers =
            vec![Identifier::new(IdentifierKind::CustomerId, &format!("u{person}"))];
        let mut context = r#"{"library":{"name":"analytics.js","version":"2.11.1"},"page":{"path":"/p","title":"Shop"},"locale":"en-GB"}"#;
        if event == "Identified" {
            let email = format!("u{person}@x.example");
            identifiers.push(Identifier::new(IdentifierKind::Email, &email));
            identifiers.push(Identifier::new(IdentifierKind::DeviceId, &format!("dev-{person}")));
            context = "";
        }
        let message_id = format!("00000000-0000-4000-a000-{:012x}", self.offset);
        let touchpoint = Touchpoint {
            message_id: &message_id,
            source: "site",
            channel: "web",
            event,
            identifiers,
            occurred_at: Some(Timestamp(at)),
            received_at: Timestamp(at),
            properties,
            traits,
            context,
            imported: false,
            profile: None,
        };
        self.apply(at, &Record::Touchpoint { profile: ProfileId(person + 1), touchpoint });
    }
}

fn prelude(job: &mut Job, chance: &mut Chance, people: u64) {
    const ZONES: [&str; 5] =
        ["Europe/London", "Europe/Warsaw", "America/New_York", "Asia/Tokyo", "Australia/Sydney"];
    let at = START_MS - 3_600_000;
    for person in 0..people {
        let zone = ZONES[chance.below(5) as usize];
        let traits = format!(
            r#"{{"email":"u{person}@x.example","time_zone":"{zone}","first_name":"P{person}"}}"#
        );
        job.touchpoint(at, person, "Identified", "", &traits);
        for (channel, share, endpoint) in
            [("email", 70, format!("u{person}@x.example")), ("push", 50, format!("dev-{person}"))]
        {
            if chance.below(100) >= share {
                continue;
            }
            for purpose in ["marketing", "feedback"] {
                let said = format!(
                    r#"{{"channel":"{channel}","purpose":"{purpose}","state":"granted","endpoint":"{endpoint}"}}"#
                );
                job.touchpoint(at, person, "Consent Changed", &said, "");
            }
        }
    }
}

fn day(job: &mut Job, chance: &mut Chance, people: u64, touchpoints: u64) {
    let mut carts = vec![0u32; usize::try_from(people).expect("people fit in memory")];
    let mut text = String::new();
    for n in 0..touchpoints {
        let all = chance.below(10) < 9;
        let person = chance.below(if all { people } else { (people / 100).max(1) });
        let share = n as f64 / touchpoints as f64;
        let at = START_MS + (share * SPAN_MS as f64) as i64;
        let cart = &mut carts[usize::try_from(person).expect("a place")];
        text.clear();
        let amount = chance.below(20_000);
        let event = match chance.below(100) {
            0..50 => {
                let (product, category) = (chance.below(10_000), chance.below(4) * chance.below(5));
                write!(text, r#"{{"product_id":"sku-{product}","category":"cat-{category}","price":{amount},"currency":"GBP","position":3,"url":"https://shop.example/p/{product}"}}"#).map(|()| "Product Viewed")
            }
            50..65 => write!(
                text,
                r#"{{"cart_id":"c-{person}-{cart}","value":{amount},"currency":"GBP","items":3}}"#
            )
            .map(|()| "Cart Updated"),
            65..70 => {
                *cart += 1;
                write!(text, r#"{{"order_id":"o-{n}","cart_id":"c-{person}-{cart}","total":{amount},"currency":"GBP"}}"#).map(|()| "Order Completed")
            }
            70..76 => {
                write!(text, r#"{{"store_id":"s-{}"}}"#, amount % 50).map(|()| "Store Visited")
            }
            76..80 => write!(text, r#"{{"order_id":"so-{n}","total":{amount}}}"#)
                .map(|()| "Store Order Completed"),
            80..92 => write!(text, r#"{{"action_id":"a0-0-0-{n}"}}"#).map(|()| "Email Opened"),
            92..98 => write!(text, r#"{{"network":"instagram","post_id":"post-{n}"}}"#)
                .map(|()| "Post Engaged"),
            _ => {
                let channel = if amount.is_multiple_of(2) { "email" } else { "push" };
                let state = if amount % 10 < 8 { "granted" } else { "denied" };
                write!(text, r#"{{"channel":"{channel}","purpose":"marketing","state":"{state}"}}"#)
                    .map(|()| "Consent Changed")
            }
        };
        job.touchpoint(at, person, event.expect("a string takes all"), &text, "");
    }
}

/// User and system time of this process in hundredths of a second, and its resident bytes.
fn used() -> (f64, f64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or("").split(' ').collect();
    let ticks = |n: usize| fields.get(n).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).unwrap_or(0.0);
    ((ticks(11) + ticks(12)) / 100.0, pages * 4_096.0)
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>().expect("a number"));
    let touchpoints = arguments.next().unwrap_or(1_000_000);
    let people = arguments.next().unwrap_or(100_000);
    let journeys = arguments.next().unwrap_or(3);
    let [segments, steps] = [0, 0].map(|default| arguments.next().unwrap_or(default));
    let size = |count: u64| usize::try_from(count).expect("a size");
    let compiled = compile(&files(size(journeys), size(segments), size(steps)));
    let wrong = compiled.findings.iter().find(|one| one.severity == Severity::Error);
    assert!(wrong.is_none(), "{wrong:?}");
    let definitions = compiled.definitions.expect("no errors");
    let partition = Partition::new(0, 1, Limits { notes: false });
    let mut job = Job { partition, effects: Effects::new(), offset: 0, decisions: 0 };
    let (_, before) = used();
    let version = definitions.version;
    job.partition.install(definitions);
    job.apply(START_MS - 7_200_000, &Record::publish(version));
    let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
    prelude(&mut job, &mut chance, people);
    let (began, known) = used();
    day(&mut job, &mut chance, people, touchpoints);
    let (ended, full) = used();
    let checkpoint = job.partition.take_checkpoint();
    let (written, _) = used();
    let bytes: usize = checkpoint.profiles.iter().map(|(_, bytes)| bytes.len()).sum();
    let (count, persons) = (touchpoints as f64, people as f64);
    println!(
        "{touchpoints} touchpoints, {people} people, {journeys} journeys, {segments} segments, {steps} steps"
    );
    println!("step            {:.2} µs of CPU each", (ended - began) * 1e6 / count);
    println!(
        "in memory       {:.0} bytes a person when known, {:.0} after the day",
        (known - before) / persons,
        (full - before) / persons
    );
    println!(
        "checkpoint      {:.2} µs a person, {:.0} bytes each",
        (written - ended) * 1e6 / persons,
        bytes as f64 / persons
    );
    println!("decisions       {}", job.decisions);
}
