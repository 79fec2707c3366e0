//! `at_cap: digest` (semantics 4): a full cap puts a message off into the next one.

mod support;

use serde_json::{Value as Json, json};
use sojourn_engine::{Effect, decision_line};
use sojourn_model::{Identifier, IdentifierKind, Value};
use support::{SOJOURN, World, compile_files};

const PLAN: &str = r#"
identifiers: [ { kind: customer_id, from: userId, limit: 1 }, { kind: email, from: traits.email, limit: 5 } ]
events:
  Ping: { channel: web, properties: { n: { type: number, purposes: [marketing] } } }
  Bought: { channel: web, properties: { n: { type: number, purposes: [marketing] } } }
"#;

const POLICY: &str = "purposes: { marketing: { topics: [offers, news] }, service: {} }\njurisdictions: none\ncaps: [ { id: daily, at_most: 1, per: 24h, scope: { purpose: marketing }, at_cap: digest } ]\n";

/// Two journeys on one event: `a` for offers, shows its items; `b` for news, does not.
fn world(body: &str, send: &str) -> World {
    let journey = |name: &str, topic: &str, n: i64, template: &str| {
        format!(
            "journey: {name}\npurpose: marketing/{topic}\nentry: {{ 'on': Ping, when: event.properties.n < {n}, reentry: always }}\nexit_on: [ {{ 'on': Bought, when: event.properties.n == 9 }} ]\ngoal: {{ 'on': Bought, when: event.properties.n == 7 }}\nsteps:\n  - {{ id: s, send: {{ template: {template}, channels: [email]{send} }} }}\n"
        )
    };
    let files = [
        ("sojourn.yaml", SOJOURN.to_owned()),
        ("tracking-plan.yaml", PLAN.to_owned()),
        ("policy.yaml", POLICY.to_owned()),
        ("segments.yaml", "segments: {}".to_owned()),
        ("journeys/a.yaml", journey("a", "offers", 100, "t")),
        ("journeys/b.yaml", journey("b", "news", 0, "plain")),
        ("templates/t/en.yaml", "subject: Hello\nbody: en.txt\n".to_owned()),
        ("templates/t/en.txt", body.to_owned()),
        ("templates/plain/en.yaml", "subject: Hello\nbody: en.txt\n".to_owned()),
        ("templates/plain/en.txt", "Hello.".to_owned()),
    ];
    let mut world = World::new(compile_files(files), 1);
    let time = "2026-03-01T00:00:00Z";
    world.message(&json!({ "type": "identify", "userId": "u1", "source": "site",
        "receivedAt": time, "timestamp": time, "messageId": "i",
        "traits": { "email": "u1@x.example" } }));
    consent(&mut world, "granted", None, "01T00:00:01");
    world
}

fn event(world: &mut World, name: &str, properties: &Json, time: &str) {
    let time = format!("2026-03-{time}Z");
    world.message(&json!({ "type": "track", "event": name, "userId": "u1", "source": "site",
        "properties": properties, "receivedAt": time, "timestamp": time,
        "messageId": format!("{name}{time}") }));
}

fn consent(world: &mut World, state: &str, topic: Option<&str>, time: &str) {
    let properties = json!({ "channel": "email", "purpose": "marketing", "state": state,
        "topic": topic, "endpoint": "u1@x.example" });
    event(world, "Consent Changed", &properties, time);
}

fn ping(world: &mut World, n: i64, time: &str) {
    event(world, "Ping", &json!({ "n": n }), time);
}

/// How many runs of the person are kept, ended ones too.
fn runs(world: &mut World) -> usize {
    let id = Identifier { kind: IdentifierKind::CustomerId, value: "u1".into() };
    let profile = world.profile_of(&id).unwrap();
    world.person(profile).unwrap().runs.len()
}

/// Decisions as `time journey outcome reason`, approvals with the items that they carry.
fn lines(world: &World) -> Vec<String> {
    let mut actions = world.others.iter().filter_map(|effect| match effect {
        Effect::Action(action) => Some(action),
        _ => None,
    });
    let line = |decision: &sojourn_model::Decision| {
        let line: Json = serde_json::from_str(&decision_line(decision)).unwrap();
        let text = |key: &str| line[key].as_str().unwrap_or("-").to_owned();
        let items = match text("outcome").as_str() {
            "approve" => match actions.next().unwrap().variables.get("items") {
                Some(Value::List(items)) => {
                    let n = |item: &Value| item.get("properties").unwrap().get("n").cloned();
                    format!(
                        "{:?}",
                        items
                            .iter()
                            .filter_map(n)
                            .filter_map(|n| n.as_number())
                            .collect::<Vec<_>>()
                    )
                }
                _ => "-".to_owned(),
            },
            _ => text("reason"),
        };
        format!("{} {} {} {items}", &text("at")[8..16], text("journey"), text("outcome"))
    };
    world.decisions.iter().map(line).collect()
}

const SHOWS: &str = "{% for item in items %}{{ item.properties.n }}{% endfor %}";

#[test]
fn goes_into_the_next_message_that_shows_items() {
    let mut world = world(SHOWS, "");
    world.forgetful = true;
    ping(&mut world, 1, "01T10:00:00");
    ping(&mut world, 2, "01T11:00:00");
    ping(&mut world, 3, "01T12:00:00");
    // Of journey `b`, whose template shows none: they wait on.
    ping(&mut world, -4, "02T10:00:00");
    ping(&mut world, 5, "03T10:00:00");
    ping(&mut world, 6, "04T10:00:00");
    let expected = [
        "01T10:00 a approve []",
        "01T11:00 a suppress cap",
        "01T12:00 a suppress cap",
        "02T10:00 a approve [2.0, 3.0]",
        "02T10:00 b suppress cap",
        // What b would have shown is its event.
        "03T10:00 a approve [-4.0]",
        "04T10:00 a approve []",
    ];
    assert_eq!(lines(&world), expected);
}

#[test]
fn what_expired_is_left_out() {
    let mut world = world(SHOWS, ", expires: 20h");
    ping(&mut world, 1, "01T10:00:00");
    ping(&mut world, 2, "01T11:00:00");
    ping(&mut world, 3, "01T15:00:00");
    ping(&mut world, 4, "02T10:00:00");
    let expected = [
        "01T10:00 a approve []",
        "01T11:00 a suppress cap",
        "01T15:00 a suppress cap",
        // 2 expired at 07:00, 3 did not before 11:00.
        "02T10:00 a approve [3.0]",
    ];
    assert_eq!(lines(&world), expected);
}

#[test]
fn what_was_revoked_meanwhile_is_left_out() {
    let mut world = world(SHOWS, "");
    ping(&mut world, 1, "01T10:00:00");
    ping(&mut world, -2, "01T11:00:00");
    consent(&mut world, "denied", Some("news"), "01T12:00:00");
    ping(&mut world, 3, "02T10:00:00");
    let expected = [
        "01T10:00 a approve []",
        "01T11:00 a suppress cap",
        "01T11:00 b suppress cap",
        // Once, of `a`: what `b` put off was for the topic that was denied.
        "02T10:00 a approve [-2.0]",
    ];
    assert_eq!(lines(&world), expected);
}

#[test]
fn an_exit_or_a_goal_takes_it_away_after_the_run_has_come_to_its_end() {
    for (n, shown) in [(9, "[]"), (7, "[]"), (1, "[2.0]")] {
        let mut world = world(SHOWS, "");
        world.forgetful = true;
        ping(&mut world, 1, "01T10:00:00");
        ping(&mut world, 2, "01T11:00:00");
        event(&mut world, "Bought", &json!({ "n": n }), "01T12:00:00");
        ping(&mut world, 3, "02T10:00:00");
        assert_eq!(lines(&world)[2], format!("02T10:00 a approve {shown}"), "{n}");
        // Nothing keeps the ended runs any more.
        assert_eq!(runs(&mut world), 0, "{n}");
    }
}

#[test]
fn waits_thirty_days_at_the_most_and_holds_two_hundred_items() {
    let mut world = world(SHOWS, "");
    ping(&mut world, 1, "01T10:00:00");
    for n in 0..205 {
        ping(&mut world, n - 300, &format!("01T{}:{:02}:00", 11 + n / 100, n % 60));
    }
    assert_eq!(runs(&mut world), 200);
    ping(&mut world, 2, "31T12:00:00");
    let lines = lines(&world);
    let last = lines.iter().rfind(|line| line.contains("a approve")).unwrap();
    assert!(last.starts_with("31T12:00 a approve [") && last.len() < 1_000, "{last}");
}
