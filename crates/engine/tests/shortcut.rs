//! What a record does not concern is not looked at again, and that changes nothing: the same random
//! history with and without anything remembered between records gives the same decisions, notes and
//! stored people (DET-1).

mod support;

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use sojourn_engine::Effect;
use sojourn_model::{Identifier, IdentifierKind, Timestamp};
use sojourn_rules::Definitions;
use std::sync::{Arc, LazyLock};
use support::{SOJOURN, World, compile_files};

const PLAN: &str = r"
events:
  Ping: { channel: web, properties: { n: { type: number } } }
  Pong: { channel: web, properties: { n: { type: number } } }
  Seen: { channel: web }
attributes:
  { points: { type: number }, tier: { type: string }, email: { type: string }, birthday: { type: date } }
";
const SEGMENTS: &str = r#"
segments:
  gold: { when: "profile.tier == 'gold'" }
  busy: { when: "count('Ping', '3h') >= 2" }
  both: { when: "in_segment('gold') && in_segment('busy')" }
  mailed: { when: "profile.email == 'u0@new.example'" }
  never-pong: { when: "count('Pong') == 0" }
"#;
const JOURNEYS: [(&str, &str); 8] = [
    ("gold", "entry: { segment: { enter: gold }, reentry: always }"),
    ("no-gold", "entry: { segment: { leave: gold }, reentry: always }"),
    ("busy", "entry: { segment: { enter: busy }, reentry: always }"),
    ("quiet", "entry: { segment: { leave: busy }, reentry: always }"),
    ("both", "entry: { segment: { enter: both }, reentry: always }"),
    ("mailed", "entry: { segment: { enter: mailed }, reentry: always }"),
    ("birthday", "entry: { date: { attribute: birthday, offset: -1d, at: \"09:00\" } }"),
    (
        "weekly",
        "entry: { schedule: { cron: \"0 */6 * * *\", zone: local, audience: never-pong }, reentry: always }",
    ),
];

fn definitions(personalization: bool) -> Arc<Definitions> {
    let mut policy = "purposes:\n  service: {}\n".to_owned();
    if personalization {
        policy += "  personalization: { kind: data }\n";
    }
    policy += "jurisdictions: none\n";
    let mut files = vec![
        ("sojourn.yaml".to_owned(), SOJOURN.to_owned()),
        ("tracking-plan.yaml".to_owned(), PLAN.to_owned()),
        ("policy.yaml".to_owned(), policy),
        ("segments.yaml".to_owned(), SEGMENTS.to_owned()),
        ("templates/t/en.yaml".to_owned(), "subject: Hello\nbody: en.txt\n".to_owned()),
        ("templates/t/en.txt".to_owned(), "Hello.".to_owned()),
    ];
    for (name, entry) in JOURNEYS {
        let text = format!(
            "journey: {name}\npurpose: service\n{entry}\nsteps:\n  \
             - {{ id: s, send: {{ template: t, channels: [email] }} }}\n"
        );
        files.push((format!("journeys/{name}.yaml"), text));
    }
    compile_files(files)
}

static WORLDS: LazyLock<[Arc<Definitions>; 2]> =
    LazyLock::new(|| [definitions(false), definitions(true)]);

/// The `n`-th message, at `minute`.
fn message(n: usize, minute: i64, person: u8, kind: u8) -> Json {
    let time = chrono::DateTime::from_timestamp(1_772_400_000 + minute * 60, 0).unwrap();
    let time = time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let mut message = json!({ "source": "site", "receivedAt": time, "timestamp": time,
        "messageId": format!("m{n}"), "userId": format!("u{person}") });
    let track = |event: &str| json!({ "type": "track", "event": event, "properties": { "n": n } });
    let said = |traits: Json| json!({ "type": "identify", "traits": traits });
    let own = match kind {
        0..=3 => track("Ping"),
        4 => track("Pong"),
        5..=7 => track("Seen"),
        8 => said(json!({ "tier": "gold", "email": format!("u{person}@x.example") })),
        9 => said(json!({ "tier": "red" })),
        10 => said(json!({ "email": format!("u{person}@new.example") })),
        11 => said(json!({ "email": format!("u{person}@x.example") })),
        12 => said(json!({ "birthday": "1990-03-04" })),
        13 => said(json!({ "time_zone": "Asia/Tokyo" })),
        14 => json!({ "type": "page", "context": { "timezone": "America/New_York" } }),
        15 => json!({ "type": "page", "context": { "timezone": "Europe/Paris" } }),
        16 | 17 => json!({ "type": "track", "event": "Consent Changed", "properties":
            { "purpose": "personalization", "state": if kind == 16 { "granted" } else { "denied" } } }),
        // Two people turn out to be one.
        _ => said(json!({ "email": "shared@x.example" })),
    };
    for (key, value) in own.as_object().unwrap() {
        message[key] = value.clone();
    }
    if kind > 17 {
        message.as_object_mut().unwrap().remove("userId");
        message["anonymousId"] = json!(format!("a{person}"));
    }
    message
}

/// Everything that came of a history: effects, and each person as stored.
fn outcome(definitions: &Arc<Definitions>, lines: &[Json], forgetful: bool) -> Vec<String> {
    let mut world = World::new(definitions.clone(), 2);
    world.forgetful = forgetful;
    let mut last = Timestamp(0);
    for line in lines {
        world.message(line);
        last = support::at(line["receivedAt"].as_str().unwrap());
    }
    world.advance(Timestamp(last.0 + 2 * 86_400_000));
    let mut out: Vec<String> = world.decisions.iter().map(|one| format!("{one:?}")).collect();
    let notes = world.others.iter().filter(|other| matches!(other, Effect::Note(_)));
    out.extend(notes.map(|note| format!("{note:?}")));
    for person in 0..3 {
        let id = Identifier::new(IdentifierKind::CustomerId, &format!("u{person}"));
        let profile = world.profile_of(&id);
        out.push(format!(
            "{:?}",
            profile.and_then(|id| world.person(id)).map(|p| p.segment_names().to_vec())
        ));
        out.push(format!("{:?}", profile.and_then(|id| world.person(id)).map(|p| p.wake())));
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn nothing_changes_by_what_is_not_looked_at(
        personalization in any::<bool>(),
        steps in proptest::collection::vec((0i64..150, 0u8..3, 0u8..20), 1..60),
    ) {
        let definitions = &WORLDS[usize::from(personalization)];
        let mut minute = 0;
        let lines: Vec<Json> = steps.iter().enumerate().map(|(n, (wait, person, kind))| {
            minute += wait;
            message(n, minute, *person, *kind)
        }).collect();
        let remembered = outcome(definitions, &lines, false);
        let forgotten = outcome(definitions, &lines, true);
        prop_assert!(!remembered.is_empty());
        prop_assert_eq!(remembered, forgotten);
    }
}
