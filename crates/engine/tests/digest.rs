//! The step `digest` (semantics 7): what is collected, in which order, and what becomes of it.

mod support;

use serde_json::{Value as Json, json};
use sojourn_engine::Effect;
use sojourn_model::Value;
use support::{SOJOURN, World, compile_files};

const PLAN: &str = r#"
identifiers: [ { kind: customer_id, from: userId, limit: 1 }, { kind: email, from: traits.email, limit: 5 }, { kind: anonymous_id, from: anonymousId } ]
events:
  Drop:
    channel: web
    properties:
      n: { type: number, purposes: [marketing] }
      shelf: { type: string, purposes: [marketing] }
      secret: { type: string, purposes: [service] }
attributes: { points: { type: number } }
"#;

const POLICY: &str = "purposes:\n  marketing: {}\n  service: {}\njurisdictions: none\n";

/// A workspace whose journey `j` ends by sending `{{ items }}`, with one customer who agreed.
fn world(entry: &str, steps: &str, partitions: u16) -> World {
    let journey = format!(
        "journey: j\npurpose: marketing\nentry: {{ 'on': Drop, {entry} }}\nexit_on: [ {{ 'on': Left }} ]\nsteps:\n{steps}\n  - {{ id: s, send: {{ template: t, channels: [email] }} }}\n"
    );
    let files = [
        ("sojourn.yaml", SOJOURN),
        ("tracking-plan.yaml", PLAN),
        ("policy.yaml", POLICY),
        ("segments.yaml", "segments: {}"),
        ("journeys/j.yaml", &journey),
        ("templates/t/en.yaml", "subject: Hello\nbody: en.txt\n"),
        ("templates/t/en.txt", "{% for i in items %}{{ i.properties.n }}{% endfor %}"),
    ];
    let mut world = World::new(compile_files(files), partitions);
    for user in ["u1", "u2"] {
        let time = "2026-03-01T09:00:00Z";
        world.message(&json!({ "type": "identify", "userId": user, "source": "site",
            "receivedAt": time, "timestamp": time, "messageId": format!("{user}{time}"),
            "traits": { "email": format!("{user}@x.example") } }));
        let properties = json!({ "channel": "email", "purpose": "marketing", "state": "granted",
            "endpoint": format!("{user}@x.example") });
        event(
            &mut world,
            json!({ "userId": user }),
            "Consent Changed",
            &properties,
            "09:00:01",
            "09:00:01",
        );
    }
    world
}

/// An event of the 1st of March: received, and occurred.
fn event(
    world: &mut World,
    who: Json,
    name: &str,
    properties: &Json,
    received: &str,
    occurred: &str,
) {
    let mut message = json!({ "type": "track", "event": name, "source": "site",
        "properties": properties, "receivedAt": format!("2026-03-01T{received}Z"),
        "timestamp": format!("2026-03-01T{occurred}Z"),
        "messageId": format!("{who}{name}{properties}{received}") });
    message.as_object_mut().unwrap().extend(who.as_object().unwrap().clone());
    world.message(&message);
}

fn drop(world: &mut World, n: i64, received: &str) {
    drop_on(world, n, "a", received, received);
}

fn drop_on(world: &mut World, n: i64, shelf: &str, received: &str, occurred: &str) {
    let properties = json!({ "n": n, "shelf": shelf, "secret": "x" });
    event(world, json!({ "userId": "u1" }), "Drop", &properties, received, occurred);
}

/// The messages that went out: `time n,n,n` of their items.
fn sent(world: &World) -> Vec<String> {
    let actions = world.others.iter().filter_map(|effect| match effect {
        Effect::Action(action) => Some(action),
        _ => None,
    });
    actions
        .map(|action| {
            let Some(Value::List(items)) = action.variables.get("items") else {
                panic!("{:?}", action.variables)
            };
            let n = |item: &Value| {
                let properties = item.get("properties").expect("an event");
                assert_eq!(properties.get("secret"), None, "not collected for marketing");
                properties.get("n").and_then(Value::as_number).expect("a number").to_string()
            };
            let seconds = action.approved_at.0.rem_euclid(86_400_000) / 1_000;
            let items: Vec<String> = items.iter().map(n).collect();
            format!("{:02}:{:02} {}", seconds / 3_600, seconds / 60 % 60, items.join(","))
        })
        .collect()
}

fn until(world: &mut World, time: &str) {
    world.advance(support::at(&format!("2026-03-01T{time}Z")));
}

const WINDOW: &str = "  - { id: d, digest: { window: 4h } }";

#[test]
fn collects_what_would_have_entered_and_goes_on_when_the_window_is_over() {
    let mut world = world("reentry: after_exit", WINDOW, 1);
    drop(&mut world, 1, "10:00:00");
    drop(&mut world, 2, "11:00:00");
    // Late: it takes the place of its occurrence, before the event that opened the digest.
    drop_on(&mut world, 3, "a", "12:00:00", "09:30:00");
    // At the very instant that the window ends, time goes first: a new run.
    drop(&mut world, 4, "14:00:00");
    until(&mut world, "23:00:00");
    assert_eq!(sent(&world), ["14:00 3,1,2", "18:00 4"]);
}

#[test]
fn goes_on_at_once_when_it_is_full_and_the_last_item_starts_nothing() {
    let mut world = world("reentry: after_exit", "  - { digest: { window: 4h, max: 2 } }", 1);
    for (n, time) in [(1, "10:00:00"), (2, "11:00:00"), (3, "11:30:00")] {
        drop(&mut world, n, time);
    }
    until(&mut world, "23:00:00");
    assert_eq!(sent(&world), ["11:00 1,2", "15:30 3"]);
}

#[test]
fn runs_of_their_own_bring_their_event_to_the_open_digest() {
    for max in ["", ", max: 3"] {
        let steps = format!("  - wait: 10m\n  - {{ digest: {{ window: 4h{max} }} }}");
        let mut world = world("reentry: always", &steps, 1);
        for (n, time) in [(1, "10:00:00"), (2, "10:05:00"), (3, "11:00:00")] {
            drop(&mut world, n, time);
        }
        until(&mut world, "23:00:00");
        let expected = if max.is_empty() { "14:10 1,2,3" } else { "11:10 1,2,3" };
        assert_eq!(sent(&world), [expected]);
        let id = world.profile_of(&sojourn_model::Identifier::new(
            sojourn_model::IdentifierKind::CustomerId,
            "u1",
        ));
        assert_eq!(world.person(id.unwrap()).unwrap().runs.len(), 0, "all of them ended");
    }
}

#[test]
fn keys_keep_items_apart() {
    let steps = "  - { digest: { window: 4h, key: event.properties.shelf } }";
    for entry in ["reentry: always", "key: event.properties.shelf"] {
        let mut world = world(entry, steps, 1);
        for (n, shelf, time) in [(1, "a", "10:00:00"), (2, "b", "10:10:00"), (3, "a", "10:20:00")] {
            drop_on(&mut world, n, shelf, time, time);
        }
        until(&mut world, "23:00:00");
        assert_eq!(sent(&world), ["14:00 1,3", "14:10 2"], "{entry}");
    }
}

#[test]
fn conditions_see_the_items_and_only_what_serves_the_purpose() {
    let steps = format!(
        "{WINDOW}\n  - branch: [ {{ when: \"size(run.items) >= 2 && run.items[1].properties.n == 2\", steps: [ wait: 1h ] }} ]"
    );
    let mut world = world("reentry: after_exit", &steps, 1);
    drop(&mut world, 1, "10:00:00");
    drop(&mut world, 2, "10:10:00");
    until(&mut world, "23:00:00");
    assert_eq!(sent(&world), ["15:00 1,2"]);
}

#[test]
fn survives_restarts() {
    let mut world = world("reentry: after_exit", WINDOW, 1);
    world.forgetful = true;
    drop(&mut world, 1, "10:00:00");
    drop(&mut world, 2, "11:00:00");
    until(&mut world, "23:00:00");
    assert_eq!(sent(&world), ["14:00 1,2"]);
}

#[test]
fn a_merge_unites_two_open_digests() {
    for partitions in [1, 4] {
        for (max, expected) in [("", "14:00 1,2,3"), (", max: 3", "12:30 1,2,3")] {
            let steps = format!("  - {{ digest: {{ window: 4h{max} }} }}");
            let mut world = world("reentry: after_exit", &steps, partitions);
            let of = |n: i64| json!({ "n": n, "shelf": "a" });
            let nobody = || json!({ "anonymousId": "w" });
            drop(&mut world, 1, "10:00:00");
            event(&mut world, nobody(), "Drop", &of(2), "11:00:00", "11:00:00");
            event(&mut world, nobody(), "Drop", &of(3), "11:10:00", "11:10:00");
            let both = json!({ "userId": "u1", "anonymousId": "w" });
            event(&mut world, both, "Other", &json!({}), "12:00:00", "12:00:00");
            until(&mut world, "12:30:00");
            until(&mut world, "23:00:00");
            let at = |line: &String| line.split_once(' ').unwrap().1.to_owned();
            let sent = sent(&world);
            assert_eq!(sent.iter().map(at).collect::<Vec<_>>(), ["1,2,3"], "{partitions} {max}");
            if max.is_empty() {
                assert_eq!(sent, [expected]);
            }
        }
    }
}

#[test]
fn an_exit_takes_what_was_collected_with_it() {
    let mut world = world("reentry: after_exit", WINDOW, 1);
    drop(&mut world, 1, "10:00:00");
    event(&mut world, json!({ "userId": "u1" }), "Left", &json!({}), "11:00:00", "11:00:00");
    drop(&mut world, 2, "12:00:00");
    until(&mut world, "23:00:00");
    assert_eq!(sent(&world), ["16:00 2"]);
}
