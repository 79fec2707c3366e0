//! The step `call`: what is asked, and what takes it back.

mod support;

use serde_json::{Value as Json, json};
use sojourn_engine::Effect;
use sojourn_model::{Action, MessageClass, Reason, Value};
use support::{World, compile_files};

const SOJOURN: &str = r#"
workspace: ask
company: { name: Shop, postal_address: "1 Lane, York", privacy_contact: p@shop.example }
time_zone: Europe/London
locales: [en]
sources: [ { id: site, channel: web, kind: segment, write_key: k } ]
channels:
  web: { kind: in_store }
storage: { kind: embedded, path: ./data, retention: 400d }
calls: { secret: "${CALLS}" }
"#;

const PLAN: &str = r#"
events:
  Ping: { channel: web, properties: { n: { type: number, purposes: [service] }, id: { type: string, purposes: [service] } } }
  Bought: { channel: web }
attributes:
  points: { type: number, purposes: [service] }
"#;

const JOURNEY: &str = r#"
journey: j
purpose: service
entry: { on: Ping, key: event.properties.id, reentry: always }
exit_on: [ { on: Bought } ]
steps:
  - id: ask
    call:
      url: "https://Stock.example:8443/items/{{ run.key }}?n={{ event.properties.n + 1 }}"
      method: PUT
      headers: { X-Run: "run {{ run.key }}" }
      body: { id: run.key, missing: profile.points, list: ["1", "event.properties.n"] }
      as: stock
      timeout: 30s
  - id: s
    branch:
      - when: run.call.stock.left > 3
        steps:
          - send: { template: t, channels: [web] }
"#;

fn world() -> World {
    let files = [
        ("sojourn.yaml", SOJOURN),
        ("tracking-plan.yaml", PLAN),
        ("policy.yaml", "purposes: { service: {} }\njurisdictions: none\ncaps: []\n"),
        ("segments.yaml", "segments: {}"),
        ("journeys/j.yaml", JOURNEY),
        ("templates/t/en.yaml", "subject: Hello\nbody: en.txt\n"),
        ("templates/t/en.txt", "{{ run.call.stock.left }} left"),
    ];
    let mut world = World::new(compile_files(files), 1);
    world.forgetful = true;
    world
}

fn event(world: &mut World, name: &str, properties: &Json, time: &str) {
    let time = format!("2026-03-01T{time}Z");
    world.message(&json!({ "type": "track", "event": name, "userId": "u1", "source": "site",
        "properties": properties, "receivedAt": time, "timestamp": time,
        "messageId": format!("{name}{time}") }));
}

fn actions(world: &World) -> Vec<Action> {
    let action = |effect: &Effect| match effect {
        Effect::Action(action) => Some(Action::clone(action)),
        _ => None,
    };
    world.others.iter().filter_map(action).collect()
}

fn cancels(world: &World) -> Vec<Reason> {
    let cancel = |effect: &Effect| match effect {
        Effect::Cancel { reason, .. } => Some(*reason),
        _ => None,
    };
    world.others.iter().filter_map(cancel).collect()
}

#[test]
fn asks_with_values_and_takes_the_answer() {
    let mut world = world();
    event(&mut world, "Ping", &json!({ "n": 1, "id": "a/b é" }), "10:00:00");
    let asked = actions(&world);
    let [call] = &asked[..] else { panic!("{asked:?}") };
    assert!(call.is_call());
    assert_eq!(&*call.channel, "https://stock.example:8443");
    assert_eq!(call.class, MessageClass::AtLeastOnce);
    assert_eq!(call.expires.map(|at| at.since(call.approved_at).0), Some(30_000));
    let text = |key: &str| call.variables.get(key).and_then(Value::as_text).unwrap().to_owned();
    assert_eq!(text("url"), "https://Stock.example:8443/items/a%2Fb%20%C3%A9?n=2");
    assert_eq!(text("method"), "PUT");
    let headers = call.variables.get("headers").unwrap();
    assert_eq!(headers.get("X-Run").and_then(Value::as_text), Some("run a/b é"));
    // What is not there is left out.
    let body = call.variables.get("body").unwrap();
    assert_eq!(body.get("id").and_then(Value::as_text), Some("a/b é"));
    assert_eq!(body.get("missing"), None);
    assert_eq!(body.get("list"), Some(&Value::List(vec![Value::Number(1.0), Value::Number(1.0)])));

    let answer = json!({ "action_id": call.id.to_string(), "answer": { "left": 4 } });
    event(&mut world, "Call Answered", &answer, "10:00:05");
    let all = actions(&world);
    assert_eq!(all.len(), 2);
    let left =
        all[1].variables.get("run").and_then(|run| run.get("call")?.get("stock")?.get("left"));
    assert_eq!(left, Some(&Value::Number(4.0)));
    // A second answer, and the end of the time, do nothing.
    event(&mut world, "Call Answered", &answer, "10:00:06");
    event(&mut world, "Ping", &json!({ "n": 1 }), "10:01:00");
    assert_eq!(actions(&world).len(), 2);
    assert_eq!(cancels(&world), []);
}

#[test]
fn an_exit_and_the_end_of_its_time_take_a_call_back() {
    let mut world = world();
    event(&mut world, "Ping", &json!({ "n": 1, "id": "a" }), "10:00:00");
    event(&mut world, "Bought", &json!({}), "10:00:10");
    assert_eq!(cancels(&world), [Reason::Exited]);
    event(&mut world, "Ping", &json!({ "n": 1, "id": "b" }), "10:01:00");
    event(&mut world, "Bought", &json!({}), "10:01:30");
    assert_eq!(cancels(&world), [Reason::Exited, Reason::Expired]);
    assert_eq!(actions(&world).len(), 2, "no message followed");
}

#[test]
fn a_value_that_would_lead_elsewhere_or_is_missing_calls_nobody() {
    let mut world = world();
    event(&mut world, "Ping", &json!({ "n": 1, "id": ".." }), "10:00:00");
    event(&mut world, "Ping", &json!({ "id": "c" }), "10:01:00");
    assert_eq!(actions(&world).len(), 0);
}
