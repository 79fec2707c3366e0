//! Random histories: nothing panics; a restart after every record, and another number of partitions,
//! change no decision (DET-1, LOG-2); caps and consent hold against a plain model (CAP-1, CON-1).

mod support;

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use sojourn_engine::{Effect, decision_line};
use sojourn_model::{Decision, Outcome, Timestamp};
use sojourn_rules::Definitions;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use support::{World, compile_files};

const SOJOURN: &str = r#"
workspace: histories
company: { name: Shop, postal_address: "1 Lane, York", privacy_contact: p@shop.example }
time_zone: Europe/Warsaw
locales: [en]
sources:
  - { id: site, channel: web, kind: segment, write_key: k }
  - { id: till, channel: store, kind: pos, secret: s, shared_devices: true }
channels:
  email: { kind: smtp, url: "smtp://127.0.0.1:2525", from: "Shop <hello@shop.example>" }
  push: { kind: grpc, endpoint: "http://127.0.0.1:9100" }
storage: { kind: embedded, path: ./data, retention: 400d }
"#;

const PLAN: &str = r#"
identifiers:
  - { kind: customer_id, from: userId, limit: 1 }
events:
  Cart Updated: { channel: web, properties: { cart_id: { type: string }, value: { type: number } } }
  Order Completed: { channel: web, properties: { cart_id: { type: string }, total: { type: number } } }
  Ping: { channel: web, properties: { n: { type: number } } }
  Reward Earned: { channel: web, properties: { points: { type: number } } }
attributes:
  points: { type: number }
  tier: { type: string }
"#;

const POLICY: &str = r#"
purposes:
  marketing: { topics: [offers, reminders] }
  feedback: {}
  service: { exempt: [caps, quiet_hours] }
caps:
  - { id: day, at_most: 1, per: 24h, scope: { channel: email, purpose: marketing }, at_cap: defer }
  - { id: all, at_most: 2, per: 24h, scope: {} }
  - { id: week, at_most: 3, per: local_week, scope: { purpose: marketing } }
quiet_hours:
  - { channels: [email, push], purposes: [marketing, feedback], from: "21:00", to: "08:00", then: defer }
holdout: { percent: 10, salt: h, purposes: [feedback] }
jurisdictions: none
"#;

const CART: &str = r#"
journey: cart
purpose: marketing/reminders
priority: 70
entry: { on: Cart Updated, when: event.properties.value >= 5, key: event.properties.cart_id }
exit_on: [ { on: Order Completed } ]
steps:
  - { id: settle, wait: 1h, restart_on: Cart Updated }
  - { id: remind, send: { template: t, channels: [email, push], expires: 24h, at_cap: fallback } }
  - id: clicked
    wait_for: { on: Email Link Clicked, timeout: 1d }
    then: [ { exit: clicked } ]
    timeout:
      - { id: help, send: { template: t, channels: [push, email], expires: 6h } }
"#;

const POINTS: &str = r#"
journey: points
purpose: feedback
entry: { on: Ping, reentry: after 2h }
goal: { on: Order Completed, within: 7d }
steps:
  - { id: add, update: { points: "event.properties.n + 1" } }
  - id: enough
    wait_for: { condition: "profile.points >= 3 || count('Ping', '2h') >= 3", timeout: 5h }
    then: [ { id: reward, emit: { event: Reward Earned, properties: { points: "3" } } } ]
  - { id: ask, send: { template: t, channels: [email], only_if: "count('Order Completed', '24h') == 0" } }
  - { id: morning, wait: { until: "09:00" } }
  - { id: again, send: { template: t, channels: [push], expires: 12h, at_cap: defer } }
"#;

const REWARD: &str = r#"
journey: reward
purpose: service
entry: { on: Reward Earned, reentry: always }
steps:
  - { id: s, send: { template: t, channels: [email] } }
"#;

static DEFINITIONS: LazyLock<Arc<Definitions>> = LazyLock::new(|| {
    let files = [
        ("sojourn.yaml", SOJOURN),
        ("tracking-plan.yaml", PLAN),
        ("policy.yaml", POLICY),
        ("segments.yaml", "segments: {}"),
        ("journeys/cart.yaml", CART),
        ("journeys/points.yaml", POINTS),
        ("journeys/reward.yaml", REWARD),
        ("templates/t/en.yaml", "subject: Hello\nbody: en.txt\n"),
        ("templates/t/en.txt", "Hello. {{ links.unsubscribe }}"),
    ];
    compile_files(files)
});

#[derive(Debug, Clone)]
struct Row {
    kind: u8,
    person: u8,
    other: u8,
    gap_minutes: i64,
    late_minutes: i64,
}

fn rows(merges: bool) -> impl Strategy<Value = Vec<Row>> {
    let kinds = if merges { 0u8..18 } else { 0u8..10 };
    let late = prop_oneof![4 => Just(0i64), 1 => 1i64..2_000];
    let gap = prop_oneof![3 => 0i64..40, 1 => 0i64..700];
    let row = (kinds, 0u8..4, 0u8..4, gap, late).prop_map(
        |(kind, person, other, gap_minutes, late_minutes)| Row {
            kind,
            person,
            other,
            gap_minutes,
            late_minutes,
        },
    );
    proptest::collection::vec(row, 1..80)
}

const BEGIN: i64 = 1_772_400_000_000;

fn iso(at: i64) -> String {
    chrono::DateTime::from_timestamp_millis(at).unwrap().to_rfc3339()
}

/// The lines of a history: everybody is introduced first.
fn lines(rows: &[Row]) -> Vec<Json> {
    lines_apart(rows, 0)
}

/// The same with so many milliseconds more between two lines: then no line comes at the very instant
/// of a timer, which fires before it.
fn lines_apart(rows: &[Row], apart: i64) -> Vec<Json> {
    let mut lines = Vec::new();
    for person in 0..4 {
        let mut line = track(person, "x", json!({}), BEGIN - 1_000, 0);
        line["type"] = "identify".into();
        line["traits"] = json!({ "email": format!("p{person}@x.example") });
        line["context"] = json!({ "device": { "id": format!("dev{person}") } });
        lines.push(line);
        // All but the last have agreed to most of it.
        for purpose in ["marketing", "feedback"].iter().filter(|_| person < 3) {
            let email = format!("p{person}@x.example");
            let consent = json!({ "channel": "email", "purpose": purpose, "state": "granted",
                "endpoint": email });
            lines.push(track(person, "Consent Changed", consent, BEGIN - 900, 0));
        }
    }
    let mut now = BEGIN;
    for row in rows {
        now += row.gap_minutes * 60_000 + apart;
        lines.push(line_of(row, now));
    }
    for (number, line) in lines.iter_mut().enumerate() {
        line["messageId"] = format!("m{number}").into();
    }
    lines.push(track(9, "Noop", json!({}), now + 40 * 86_400_000, 0));
    lines
}

fn track(person: u8, event: &str, properties: Json, now: i64, late: i64) -> Json {
    json!({ "type": "track", "event": event, "userId": format!("u{person}"), "source": "site",
        "properties": properties, "receivedAt": iso(now), "timestamp": iso(now - late * 60_000) })
}

fn line_of(row: &Row, now: i64) -> Json {
    let Row { person, other, late_minutes: late, .. } = *row;
    let consent = |purpose: &str, channel: &str, state: &str| {
        let endpoint = if channel == "email" {
            format!("p{person}@x.example")
        } else {
            format!("dev{person}")
        };
        json!({ "purpose": purpose, "channel": channel, "state": state, "endpoint": endpoint })
    };
    let purpose = ["marketing", "feedback"][usize::from(other % 2)];
    let cart = json!({ "cart_id": format!("c{}", other % 2), "value": 7 });
    let command = |command: &str| {
        let journey = ["cart", "points"][usize::from(person % 2)];
        json!({ "type": "command", "command": command, "journey": journey, "receivedAt": iso(now) })
    };
    match row.kind {
        0 | 1 => track(person, "Cart Updated", cart, now, late),
        2 => track(person, "Ping", json!({ "n": other }), now, late),
        3 => track(person, "Email Link Clicked", json!({}), now, late),
        4 => track(person, "Order Completed", json!({ "total": 5 }), now, late),
        5 => track(person, "Consent Changed", consent(purpose, "email", "granted"), now, late),
        6 => track(person, "Consent Changed", consent(purpose, "push", "granted"), now, late),
        7 => track(person, "Consent Changed", consent(purpose, "email", "denied"), now, late),
        8 => track(person, "Consent Changed", consent("marketing", "email", "granted"), now, 0),
        9 => track(person, "Ping", json!({}), now, 0),
        10 | 16 => {
            // Two people turn out to be one, or the claim on a browser moves.
            let mut line = track(person, "x", json!({}), now, 0);
            line["type"] = "identify".into();
            if late > 0 {
                line["traits"] = json!({ "email": format!("p{other}@x.example") });
            } else {
                line["anonymousId"] = format!("a{other}").into();
            }
            line
        }
        11 | 17 => {
            // Somebody not signed in: fills a cart, or says something of an address.
            let state = if other % 2 == 0 { "granted" } else { "denied" };
            let mut properties = json!({ "purpose": "marketing", "channel": "email" });
            properties["state"] = state.into();
            let mut line = match person {
                3 => {
                    properties["endpoint"] = format!("p{}@x.example", other % 3).into();
                    track(person, "Consent Changed", properties, now, late)
                }
                2 => {
                    properties["state"] = "granted".into();
                    properties["email"] = format!("a{other}@x.example").into();
                    track(person, "Consent Changed", properties, now, late)
                }
                _ => track(person, "Cart Updated", cart, now, late),
            };
            line["anonymousId"] = format!("a{other}").into();
            line.as_object_mut().unwrap().remove("userId");
            line
        }
        12 => command(["pause", "resume", "kill", "release"][usize::from(other)]),
        13 => command(["stop", "resume"][usize::from(other % 2)]),
        14 => {
            let properties = json!({ "journey": "cart", "step": "remind" });
            let receipts =
                ["Message Sent", "Message Failed", "Message Outcome Unknown", "Message Failed"];
            track(person, receipts[usize::from(other)], properties, now, 0)
        }
        _ => match other {
            0 => {
                json!({ "type": "command", "command": "unmerge", "receivedAt": iso(now),
                    "person": format!("customer_id:u{person}") })
            }
            1 => track(person, "Email Bounced", json!({}), now, 0),
            2 => track(person, "Unsubscribed", json!({}), now, 0),
            _ => {
                json!({ "type": "command", "command": "erase", "receivedAt": iso(now),
                    "person": format!("customer_id:u{person}") })
            }
        },
    }
}

fn run(lines: &[Json], partitions: u16, forgetful: bool) -> World {
    let mut world = World::new(DEFINITIONS.clone(), partitions);
    world.forgetful = forgetful;
    lines.iter().for_each(|line| world.message(line));
    world
}

fn text(decisions: &[Decision]) -> Vec<String> {
    decisions.iter().map(decision_line).collect()
}

/// What is equal whatever the partitions: everything but the order between people.
fn by_person(decisions: &[Decision]) -> BTreeMap<String, Vec<String>> {
    let mut people: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for decision in decisions {
        people.entry(decision.profile.to_string()).or_default().push(decision_line(decision));
    }
    people
}

/// Newest statement by the second, a deny wins its second; for one person who never merges.
fn permitted(lines: &[Json], decision: &Decision) -> bool {
    let Some(user) = decision.identifiers.iter().find(|id| id.value.starts_with('u')) else {
        return false;
    };
    let mut newest: Option<(i64, bool)> = None;
    for line in lines.iter().filter(|line| line["event"] == "Consent Changed") {
        let properties = &line["properties"];
        let received = support::at(line["receivedAt"].as_str().unwrap());
        let fits = line["userId"] == *user.value
            && properties["channel"] == *decision.channel
            && properties["purpose"] == *decision.purpose
            && received <= decision.at;
        if fits {
            let second = support::at(line["timestamp"].as_str().unwrap()).0 / 1_000;
            let denied = properties["state"] == "denied";
            newest = newest.max(Some((second, denied)));
        }
    }
    newest.is_some_and(|(_, denied)| !denied)
}

fn approved(decision: &Decision) -> bool {
    matches!(decision.outcome, Outcome::Approve | Outcome::Reroute)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn restarts_and_partitions_change_nothing(rows in rows(true)) {
        let lines = lines(&rows);
        let plain = run(&lines, 1, false);
        let forgetful = run(&lines, 1, true);
        prop_assert_eq!(text(&plain.decisions), text(&forgetful.decisions));
        prop_assert_eq!(&plain.others, &forgetful.others);
        let spread = run(&lines, 3, false);
        prop_assert_eq!(by_person(&plain.decisions), by_person(&spread.decisions));
    }

    #[test]
    fn every_action_has_its_decision_and_goes_out_once(rows in rows(true)) {
        let world = run(&lines(&rows), 2, false);
        let decided = world.decisions.iter().filter(|decision| approved(decision));
        let decided: Vec<_> = decided.map(|decision| decision.action.unwrap()).collect();
        let acted: Vec<_> = world.others.iter().filter_map(|effect| match effect {
            Effect::Action(action) => Some(action.id),
            _ => None,
        }).collect();
        prop_assert_eq!(&decided, &acted, "EXP-1");
        let distinct: BTreeSet<_> = acted.iter().collect();
        prop_assert_eq!(distinct.len(), acted.len(), "ACT-1");
    }

    #[test]
    fn caps_and_consent_hold(rows in rows(false)) {
        let lines = lines_apart(&rows, 7);
        let world = run(&lines, 1, false);
        let mut sent: Vec<&Decision> = Vec::new();
        for decision in world.decisions.iter().filter(|decision| approved(decision)) {
            if &*decision.purpose != "service" {
                prop_assert!(permitted(&lines, decision), "CON-1 {}", decision_line(decision));
                sent.push(decision);
                let after = Timestamp(decision.at.0 - 86_400_000);
                let of = |wanted: fn(&Decision) -> bool| sent.iter().filter(|other| {
                    other.profile == decision.profile && other.at > after && wanted(other)
                }).count();
                prop_assert!(of(|_| true) <= 2, "CAP-1");
                let mail = |d: &Decision| &*d.channel == "email" && &*d.purpose == "marketing";
                prop_assert!(of(mail) <= 1, "CAP-1");
            }
        }
        // No refusal without a reason, no deferral into the past.
        for decision in &world.decisions {
            prop_assert_eq!(decision.reason.is_none(), decision.outcome == Outcome::Approve);
            if decision.outcome == Outcome::Defer {
                prop_assert!(decision.until.unwrap() > decision.at);
            }
        }
    }
}

/// The generator reaches what the properties are about; else they would hold for nothing.
#[test]
fn histories_reach_the_rare_places() {
    use proptest::strategy::{Strategy, ValueTree};
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..250 {
        let rows = rows(true).new_tree(&mut runner).unwrap().current();
        let world = run(&lines(&rows), 2, false);
        for decision in &world.decisions {
            let reason = decision.reason.map_or("", |reason| reason.as_str());
            *seen.entry(format!("{} {reason}", decision.outcome.as_str())).or_default() += 1;
        }
        for effect in &world.others {
            let name = format!("{effect:?}");
            let kind = match effect {
                Effect::Note(note) => format!("{:?}", note.kind),
                _ => name,
            };
            let kind = kind.split([' ', '(', '{']).next().unwrap().to_owned();
            *seen.entry(kind).or_default() += 1;
        }
    }
    for wanted in [
        "approve ",
        "reroute no_consent",
        "suppress no_consent",
        "defer cap",
        "defer quiet_hours",
        "suppress expired",
        "suppress exited",
        "suppress goal_met",
        "suppress killed",
        "suppress paused",
        "suppress only_if",
        "suppress endpoint_suppressed",
        "Cancel",
        "Revoked",
        "Merged",
        "Unmerged",
        "Converted",
        "EntryRefused",
    ] {
        assert!(seen.contains_key(wanted), "{wanted} never came: {seen:#?}");
    }
}

/// Each planted bug changes what comes out of some history; the simulator's checkers say which
/// invariant it breaks.
#[cfg(feature = "planted-bugs")]
#[test]
fn planted_bugs_show() {
    use proptest::strategy::{Strategy, ValueTree};
    use sojourn_engine::{Mutation, plant};
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let histories: Vec<Vec<Json>> =
        (0..200).map(|_| lines(&rows(true).new_tree(&mut runner).unwrap().current())).collect();
    let all = |histories: &[Vec<Json>]| -> Vec<(Vec<String>, usize)> {
        let worlds = histories.iter().map(|lines| run(lines, 2, false));
        worlds.map(|world| (text(&world.decisions), world.others.len())).collect()
    };
    let sound = all(&histories);
    let mut hidden = Vec::new();
    for &mutation in Mutation::ALL {
        // These need a limit that is reached, and several journeys on one event.
        if matches!(mutation, Mutation::LimitDropsSilently | Mutation::EntriesByAddress) {
            continue;
        }
        plant(Some(mutation));
        let caught = std::panic::catch_unwind(|| all(&histories));
        plant(None);
        if caught.is_ok_and(|seen| seen == sound) {
            hidden.push(mutation);
        }
    }
    assert_eq!(hidden, [], "no history shows them");
}
