//! In whatever order the same touchpoints arrive, a person is in the same segments once all of them
//! are there: aggregates and attributes go by when something occurred (semantics 1, 2).

mod support;

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use sojourn_model::Timestamp;
use sojourn_rules::Definitions;
use std::sync::{Arc, LazyLock};
use support::{SOJOURN, World, at, compile_files};

const PLAN: &str = r"
events:
  Ping: { channel: web, properties: { n: { type: number } } }
  Pong: { channel: web, properties: { n: { type: number } } }
  Ask: { channel: web }
attributes: { points: { type: number }, tier: { type: string } }
";

/// Every function of the history, over windows that some of the events have left, values, and
/// segments of segments.
const SEGMENTS: [(&str, &str); 9] = [
    ("often", "count('Ping') >= 3"),
    ("lately", "count('Ping', '3h') >= 2"),
    ("much", "sum('Ping', 'n', '6h') >= 10"),
    ("varied", "distinct('Pong', 'n') >= 2"),
    ("first", "first('Pong', 'n', '1d') < 4"),
    ("last", "last('Ping', 'n') < 4"),
    ("some", "count('Pong', '5h', {'n': 2}) >= 1"),
    ("gold", "profile.tier == 'gold' && profile.points > 3"),
    ("mixed", "in_segment('gold') || in_segment('lately') && !in_segment('some')"),
];

static DEFINITIONS: LazyLock<Arc<Definitions>> = LazyLock::new(|| {
    let mut segments = "segments:\n".to_owned();
    let mut files = vec![
        ("sojourn.yaml".to_owned(), SOJOURN.to_owned()),
        ("tracking-plan.yaml".to_owned(), PLAN.to_owned()),
        ("policy.yaml".to_owned(), "purposes: { service: {} }\njurisdictions: none\n".to_owned()),
        ("templates/t/en.yaml".to_owned(), "subject: Hello\nbody: en.txt\n".to_owned()),
        ("templates/t/en.txt".to_owned(), "Hello.".to_owned()),
    ];
    for (name, when) in SEGMENTS {
        segments += &format!("  {name}: {{ when: \"{when}\" }}\n");
        // Asked for, and watched: by the condition, and by what is remembered.
        for (suffix, entry) in [
            ("asked", format!("{{ on: Ask, when: \"in_segment('{name}')\", reentry: always }}")),
            ("entered", format!("{{ segment: {{ enter: {name} }}, reentry: always }}")),
        ] {
            let journey = format!("{name}-{suffix}");
            let text = format!(
                "journey: {journey}\npurpose: service\nentry: {entry}\nsteps:\n  - {{ id: s, send: {{ template: t, channels: [email] }} }}\n"
            );
            files.push((format!("journeys/{journey}.yaml"), text));
        }
    }
    files.push(("segments.yaml".to_owned(), segments));
    compile_files(files)
});

const START: &str = "2026-03-02T00:00:00Z";
const MINUTE: i64 = 60_000;

fn iso(at: i64) -> String {
    chrono::DateTime::from_timestamp_millis(at).unwrap().to_rfc3339()
}

/// Touchpoint `place`: its kind and value, and how many minutes before noon it occurred. No two occur
/// at the same time: of those the place in the log decides.
fn message(place: usize, (kind, n, minute): (u8, i64, i64)) -> Json {
    let occurred = at(START).0 + (720 - minute) * MINUTE - i64::try_from(place).unwrap();
    let common = json!({ "userId": "u1", "source": "site", "messageId": format!("m{place}"),
        "timestamp": iso(occurred) });
    let mut line = match kind {
        0 => json!({ "type": "track", "event": "Ping", "properties": { "n": n } }),
        1 => json!({ "type": "track", "event": "Pong", "properties": { "n": n } }),
        2 => json!({ "type": "identify", "traits": { "points": n } }),
        _ => {
            let tier = if n % 2 == 0 { "gold" } else { "tin" };
            json!({ "type": "identify", "traits": { "tier": tier } })
        }
    };
    line.as_object_mut().unwrap().extend(common.as_object().unwrap().clone());
    line
}

/// The segments of the person, asked at noon and at some hours after.
fn segments(messages: &[Json], forgetful: bool) -> Vec<String> {
    let mut world = World::new(DEFINITIONS.clone(), 1);
    world.forgetful = forgetful;
    let noon = at(START).0 + 720 * MINUTE;
    world.message(&json!({ "type": "identify", "userId": "u1", "source": "site", "messageId": "i",
        "receivedAt": START, "timestamp": START, "traits": { "email": "u1@x.example" } }));
    for (place, message) in messages.iter().enumerate() {
        let mut message = message.clone();
        // Pairs of them arrive in one millisecond.
        let received = noon + i64::try_from(place / 2).unwrap();
        message["receivedAt"] = iso(received).into();
        world.message(&message);
    }
    let mut seen = Vec::new();
    for hour in 0..8 {
        let time = noon + 1_000 + hour * 60 * MINUTE;
        world.advance(Timestamp(time));
        let before = world.decisions.len();
        world.message(&json!({ "type": "track", "event": "Ask", "userId": "u1", "source": "site",
            "messageId": format!("ask{hour}"), "receivedAt": iso(time), "timestamp": iso(time) }));
        let asked = world.decisions[before..].iter().map(|decision| &decision.journey);
        seen.extend(asked.map(|journey| format!("{hour} {journey}")));
    }
    seen
}

fn rows() -> impl Strategy<Value = (Vec<(u8, i64, i64)>, Vec<usize>)> {
    proptest::collection::vec((0u8..4, 0i64..9, 1i64..600), 1..14).prop_flat_map(|rows| {
        let places: Vec<usize> = (0..rows.len()).collect();
        (Just(rows), Just(places).prop_shuffle())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_arrival_gives_the_same_segments((rows, order) in rows()) {
        let messages: Vec<Json> =
            rows.iter().enumerate().map(|(place, row)| message(place, *row)).collect();
        let shuffled: Vec<Json> = order.iter().map(|place| messages[*place].clone()).collect();
        let expected = segments(&messages, false);
        prop_assert_eq!(&segments(&shuffled, false), &expected);
        prop_assert_eq!(&segments(&shuffled, true), &expected);
    }
}

#[test]
fn the_order_decides_where_it_should() {
    // In each segment at some time, so that the property is about something.
    let rows =
        [(0, 1, 500), (0, 9, 100), (0, 3, 50), (1, 2, 40), (1, 3, 30), (2, 5, 20), (3, 2, 10)];
    let messages: Vec<Json> =
        rows.iter().enumerate().map(|(place, row)| message(place, *row)).collect();
    let seen = segments(&messages, false);
    for (name, _) in SEGMENTS {
        assert!(
            seen.iter().any(|line| line.ends_with(&format!("{name}-asked"))),
            "{name}: {seen:?}"
        );
    }
    assert!(!seen.contains(&"7 lately-asked".to_owned()), "time empties the window");
}
