//! What happens in a run: a seeded workspace, and people who do things on several channels.
//!
//! Every seed also picks the configuration: caps and their windows, what happens at a cap, quiet
//! hours, holdout, waits. Half of the people live on a day on which a clock changes.

use crate::random::Random;
use sojourn_model::{DurationMs, Timestamp};
use sojourn_rules::Files;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Zones of the people: with and without summer time, ahead of and behind UTC.
pub(crate) const ZONES: [&str; 5] =
    ["Europe/London", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia"];

/// A person of the story, as the story knows them; the engine must find out.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    /// Number.
    pub(crate) number: u32,
    /// Whether they have signed in anywhere yet.
    pub(crate) signed_in: bool,
    /// Browser ids they use.
    pub(crate) browsers: Vec<String>,
}

/// A message to post, as a site or a till would send it.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    /// Declared source.
    pub(crate) source: &'static str,
    /// Message id, for the checker of LOG-1.
    pub(crate) message_id: String,
    /// JSON of the Segment specification.
    pub(crate) json: String,
}

/// The people and what they do next.
#[derive(Debug)]
pub(crate) struct Story {
    people: Vec<Person>,
    posts: u64,
    sent: Vec<Post>,
    carts: u32,
}

/// Days that come again soon after a run begins, and one of somebody too young for some laws.
const BIRTHDAYS: [&str; 5] = ["1990-03-30", "1984-10-26", "1971-03-09", "1992-02-29", "2015-06-12"];
/// Where people live, at times.
const COUNTRIES: [&str; 4] = ["GB", "DE", "US", "XX"];
/// Devices whose name begins so belong to whoever signed in last.
pub(crate) const SHARED: &str = "shared-";
/// How far back duplicates of a message reach.
const DUPLICATES_AMONG: usize = 40;

impl Story {
    /// `people` strangers.
    pub(crate) fn new(people: u32) -> Self {
        let people = (0..people)
            .map(|number| Person {
                number,
                signed_in: false,
                browsers: vec![format!("anon-{number}-0"), format!("anon-{number}-1")],
            })
            .collect();
        Self { people, posts: 0, sent: Vec::new(), carts: 0 }
    }

    /// The next message, at `now`.
    pub(crate) fn next(&mut self, random: &mut Random, now: Timestamp) -> Post {
        if !self.sent.is_empty() && random.one_in(12) {
            let from = self.sent.len().saturating_sub(DUPLICATES_AMONG);
            let chosen = from + random.below(self.sent.len() - from);
            return self.sent[chosen].clone();
        }
        self.posts += 1;
        let message_id = format!("m{}", self.posts);
        let number = random.below(self.people.len());
        let occurred = occurred(random, now);
        let (source, kind, body) = self.act(random, number);
        let identity = self.identity(random, number, kind == "identify", source);
        let json = format!(
            r#"{{"messageId":"{message_id}","type":"{kind}",{identity}{body}{}}}"#,
            occurred.map_or(String::new(), |at| format!(r#","timestamp":"{}""#, rfc3339(at)))
        );
        let post = Post { source, message_id, json };
        self.sent.push(post.clone());
        post
    }

    /// Who a touchpoint says it is: always something that leads to the person in the end, and at
    /// times a second identifier that joins two profiles.
    fn identity(
        &mut self,
        random: &mut Random,
        number: usize,
        identify: bool,
        source: &str,
    ) -> String {
        let person = &mut self.people[number];
        if source == "till" {
            return format!(r#""userId":"u{}","#, person.number);
        }
        let browser = person.browsers[random.below(person.browsers.len())].clone();
        if identify || (person.signed_in && random.one_in(3)) {
            person.signed_in = true;
            return format!(r#""userId":"u{}","anonymousId":"{browser}","#, person.number);
        }
        format!(r#""anonymousId":"{browser}","#)
    }

    fn act(&mut self, random: &mut Random, number: usize) -> (&'static str, &'static str, String) {
        let person = self.people[number].number;
        let track = |event: &str, properties: String| {
            format!(r#""event":"{event}","properties":{{{properties}}}"#)
        };
        match random.below(100) {
            0..14 => {
                let zone = ZONES[random.below(ZONES.len())];
                let device = device(random, person);
                let body = format!(
                    r#""traits":{{"email":"p{person}@x.example","time_zone":"{zone}","birthday":"{}","address":{{"country":"{}"}}}},"context":{{"device":{{"id":"{device}"}}}}"#,
                    BIRTHDAYS[random.below(BIRTHDAYS.len())],
                    COUNTRIES[random.below(COUNTRIES.len())],
                );
                ("site", "identify", body)
            }
            14..40 => {
                self.carts += u32::from(random.one_in(3));
                let cart = format!(
                    r#""cart_id":"c-{person}-{}","value":{}"#,
                    self.carts % 3,
                    10 + random.below(40)
                );
                ("site", "track", track("Cart Updated", cart))
            }
            40..46 => (
                "site",
                "track",
                track("Order Completed", format!(r#""order_id":"o{}","total":20"#, self.posts)),
            ),
            46..50 => (
                "till",
                "track",
                track(
                    "Store Order Completed",
                    format!(r#""order_id":"s{}","total":9"#, self.posts),
                ),
            ),
            50..64 => ("site", "track", track("Ping", format!(r#""n":{}"#, random.below(9)))),
            64..72 => ("mail", "track", track("Email Link Clicked", String::new())),
            72..88 => {
                let state = if random.one_in(4) { "denied" } else { "granted" };
                ("site", "track", consent(random, person, state))
            }
            88..91 => {
                let who = format!(r#""endpoint":"p{person}@x.example","channel":"email""#);
                ("mail", "track", track("Unsubscribed", who))
            }
            91 if random.one_in(4) => ("site", "track", track("Echo", String::new())),
            91 => {
                let who = format!(r#""email":"p{person}@x.example","type":"hard""#);
                ("mail", "track", track("Email Bounced", who))
            }
            92..96 => ("till", "track", track("Store Visited", r#""store_id":"s1""#.to_owned())),
            _ => ("site", "track", track("Receipt Wanted", format!(r#""n":{}"#, self.posts))),
        }
    }
}

/// A device of a person: their own, or at times the one that two people share in turns.
fn device(random: &mut Random, person: u32) -> String {
    if random.one_in(4) { format!("{SHARED}{}", person / 2) } else { format!("dev-{person}") }
}

fn consent(random: &mut Random, person: u32, state: &str) -> String {
    let (channel, endpoint) = if random.one_in(2) {
        ("email", format!("p{person}@x.example"))
    } else {
        ("push", device(random, person))
    };
    let purpose = if random.one_in(4) { "feedback" } else { "marketing" };
    let topic =
        if purpose == "marketing" && random.one_in(4) { r#","topic":"reminders""# } else { "" };
    // A deny may leave the endpoint out: it then covers the whole channel, now and later.
    let endpoint = if state == "denied" && random.one_in(3) {
        String::new()
    } else {
        format!(r#","endpoint":"{endpoint}""#)
    };
    format!(
        r#""event":"Consent Changed","properties":{{"channel":"{channel}","purpose":"{purpose}","state":"{state}"{topic}{endpoint}}}"#
    )
}

/// When it happened by the source's clock: mostly now, at times late, at times nonsense.
fn occurred(random: &mut Random, now: Timestamp) -> Option<Timestamp> {
    Some(match random.below(20) {
        0..10 => return None,
        10..15 => now,
        15..18 => now.minus(DurationMs(random.below(30 * 60_000) as i64)),
        18 => now.minus(DurationMs(random.below(40 * 3_600_000) as i64)),
        _ if random.one_in(2) => Timestamp(0),
        _ => now.plus(DurationMs::days(27_000)),
    })
}

/// RFC 3339 in UTC with milliseconds.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    chrono::DateTime::from_timestamp_millis(at.0)
        .unwrap_or_default()
        .to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// A step that editors put before the others, and take out again.
const LOOK: &str = "  - id: look\n    wait: 1m\n";

/// The cart journey after an editor was at it: another text, another wait, one step more or less, or
/// the first message after the last step instead of before it.
pub(crate) fn edited(random: &mut Random, cart: &str) -> String {
    let cart = cart.replace("\nabout: ", "\nabout: edited ");
    match random.below(4) {
        0 => {
            let wait = ["5m", "40m", "3h"][random.below(3)];
            let at = cart.find("id: settle\n    wait: ").expect("the journey settles") + 22;
            let end = at + cart[at..].find('\n').expect("a line ends");
            format!("{}{wait}{}", &cart[..at], &cart[end..])
        }
        1 if cart.contains(LOOK) => cart.replace(LOOK, ""),
        1 => cart.replace("steps:\n", &format!("steps:\n{LOOK}")),
        2 => {
            let at = cart.find("  - id: remind\n").expect("the journey reminds");
            let line = cart[at..].find("expires").expect("it expires") + at;
            let end = line + cart[line..].find('\n').expect("a line ends") + 1;
            let (rest, block) = (format!("{}{}", &cart[..at], &cart[end..]), &cart[at..end]);
            let clicked = rest.find("  - id: clicked\n").expect("the journey waits for a click");
            if at < cart.find("  - id: clicked\n").expect("as above") {
                format!("{rest}{block}")
            } else {
                format!("{}{block}{}", &rest[..clicked], &rest[clicked..])
            }
        }
        _ => cart,
    }
}

/// The workspace that a seed picks. `edit` > 0 gives a later version of the same journeys.
pub(crate) fn workspace(random: &mut Random, edit: u32) -> Files {
    let pick = |random: &mut Random, from: &[&'static str]| from[random.below(from.len())];
    let mut caps = String::new();
    let windows = ["24h", "6h", "local_day", "local_week"];
    let at_caps = ["drop", "defer", "fallback", "digest"];
    for (id, scope) in [
        ("email", "{ channel: email, purpose: marketing }"),
        ("all", "{ purpose: marketing }"),
        ("any", "{}"),
    ] {
        writeln!(
            caps,
            "  - {{ id: {id}, at_most: {}, per: {}, scope: {scope}, at_cap: {} }}",
            1 + random.below(2) + usize::from(id == "any"),
            pick(random, &windows),
            pick(random, &at_caps)
        )
        .expect("a string takes everything");
    }
    let quiet = if random.one_in(3) {
        "quiet_hours: []\n".to_owned()
    } else {
        format!(
            "quiet_hours:\n  - {{ channels: [email, push], purposes: [marketing, feedback], from: \"{}\", to: \"{}\", then: {}{} }}\n",
            pick(random, &["21:00", "22:30", "00:30"]),
            pick(random, &["08:00", "06:15", "02:30"]),
            pick(random, &["defer", "defer", "drop"]),
            pick(random, &["", ", ramp: 30m"])
        )
    };
    caps.push_str(crate::draw::caps(random));
    let holdout = if random.one_in(4) { 20 } else { 0 };
    let mut files = BTreeMap::new();
    let drawn = crate::draw::add(random, &mut files);
    let mut put = |path: &str, text: String| files.insert(path.to_owned(), text);
    put("sojourn.yaml", SOJOURN.to_owned());
    put("tracking-plan.yaml", PLAN.to_owned());
    put("segments.yaml", crate::draw::SEGMENTS.to_owned());
    put(
        "policy.yaml",
        format!(
            "purposes:\n  marketing: {{ topics: [reminders] }}\n  feedback: {{}}\n  service: {{ exempt: [caps, quiet_hours] }}\n\
             caps:\n{caps}{quiet}{drawn}holdout: {{ percent: {holdout}, salt: s, purposes: [marketing] }}\n\
             approvals: {{ publish: 1 }}\n"
        ),
    );
    let wait = pick(random, &["20m", "1h", "5h"]);
    let expires = pick(random, &["6h", "30h"]);
    let reentry = pick(random, &["after_exit", "always", "after 2h"]);
    put(
        "journeys/cart.yaml",
        format!(
            "journey: cart\nabout: version {edit}\npurpose: marketing/reminders\npriority: 60\n\
             entry: {{ on: Cart Updated, when: event.properties.value >= 15, key: event.properties.cart_id }}\n\
             exit_on:\n  - {{ on: Order Completed }}\n  - {{ on: Store Order Completed }}\n\
             goal: {{ on: [Order Completed], within: 3d }}\nsteps:\n  - id: settle\n    wait: {wait}\n    restart_on: Cart Updated\n  \
             - id: remind\n    send: {{ template: t, channels: [email, push], expires: {expires} }}\n  \
             - id: clicked\n    wait_for: {{ on: Email Link Clicked, timeout: {wait} }}\n    then:\n      - exit: clicked\n    \
             timeout:\n      - send: {{ template: t, channels: [push, email], expires: 12h, at_cap: defer }}\n"
        ),
    );
    put(
        "journeys/ping.yaml",
        format!(
            "journey: ping\nabout: version {edit}\npurpose: feedback\nentry: {{ on: Ping, reentry: {reentry} }}\nsteps:\n  \
             - branch:\n      - when: event.properties.n >= 5\n        steps:\n          - wait: {{ until: \"09:00\" }}\n      - else:\n          - wait: 10m\n  \
             - id: ask\n    send: {{ template: t, channels: [push, email] }}\n"
        ),
    );
    put(
        "journeys/receipt.yaml",
        "journey: receipt\npurpose: service\nentry: { on: Receipt Wanted, reentry: always }\nsteps:\n  - id: give\n    send: { template: t, channels: [email] }\n".to_owned(),
    );
    put(
        "journeys/visit.yaml",
        "journey: visit\npurpose: marketing\nentry: { on: Store Visited, reentry: after 1d }\nsteps:\n  - id: count\n    update: { visits: \"count('Store Visited')\" }\n  - id: told\n    emit: { event: Visit Counted, properties: { n: \"1\" } }\n  - wait: 2h\n  - id: thanks\n    send: { template: t, channels: [email, push], expires: 3d, at_cap: defer }\n".to_owned(),
    );
    put(
        "journeys/survey.yaml",
        "journey: survey\npurpose: feedback\nentry: { on: Store Visited, reentry: after_exit }\nsteps:\n  - wait: 2h\n  - id: ask\n    send: { template: t, channels: [email, push] }\n".to_owned(),
    );
    let (timeout, on_error) =
        (pick(random, &["20s", "10m", "1h"]), pick(random, &["continue", "exit"]));
    put(
        "journeys/stock.yaml",
        format!(
            "journey: stock\npurpose: service\nentry: {{ on: Cart Updated, key: event.properties.cart_id }}\n\
             exit_on:\n  - {{ on: Order Completed }}\nsteps:\n  - id: ask\n    call: {{ url: \"https://stock.example/carts/{{{{ run.key }}}}\", body: {{ value: event.properties.value }}, as: stock, timeout: {timeout}, on_error: {on_error} }}\n  \
             - id: rest\n    wait: 5m\n  - branch:\n      - when: run.call.stock.n >= 5\n        steps:\n          - id: tell\n            send: {{ template: t, channels: [push] }}\n"
        ),
    );
    // Endless but for the limit on chains.
    put(
        "journeys/echo.yaml",
        "journey: echo\npurpose: service\nentry: { on: Echo, reentry: always }\nsteps:\n  - id: again\n    emit: { event: Echo }\n".to_owned(),
    );
    put("templates/t/en.yaml", "subject: Hello\nbody: en.txt\n".to_owned());
    put(
        "templates/t/en.txt",
        "Hello. {% for i in items %}{{ i.name }} {% endfor %}{{ links.unsubscribe }}\n".to_owned(),
    );
    Files(files)
}

const SOJOURN: &str = r#"workspace: sim
company: { name: Sim, postal_address: "1 Lane, York, UK", privacy_contact: p@sim.example }
time_zone: Europe/London
locales: [en]
sources:
  - { id: site, channel: web, kind: segment, write_key: k }
  - { id: till, channel: store, kind: segment, write_key: t }
  - { id: mail, channel: email, kind: segment, write_key: m }
channels:
  email: { kind: grpc, endpoint: "http://127.0.0.1:9101" }
  push: { kind: grpc, endpoint: "http://127.0.0.1:9100" }
storage: { kind: embedded, path: ./data, retention: 400d }
"#;

const PLAN: &str = r#"events:
  Cart Updated:
    properties:
      cart_id: { type: string, purposes: [service, marketing, feedback] }
      value: { type: number, purposes: [service, marketing, feedback] }
  Order Completed:
    properties:
      order_id: { type: string, purposes: [service, marketing, feedback] }
      total: { type: number, purposes: [service, marketing, feedback] }
  Store Order Completed:
    properties:
      order_id: { type: string, purposes: [service, marketing, feedback] }
      total: { type: number, purposes: [service, marketing, feedback] }
  Store Visited:
    properties:
      store_id: { type: string, purposes: [service, marketing, feedback] }
  Visit Counted:
    properties:
      n: { type: number, purposes: [service, marketing, feedback] }
  Echo: {}
  Ping:
    properties:
      n: { type: number, purposes: [service, marketing, feedback] }
  Receipt Wanted:
    properties:
      n: { type: number, purposes: [service, marketing, feedback] }
attributes:
  time_zone: { type: string, purposes: [service, marketing, feedback] }
  visits: { type: number, purposes: [service, marketing, feedback] }
  lapses: { type: number, purposes: [service, marketing, feedback] }
  birthday: { type: date, purposes: [service, marketing, feedback] }
"#;
