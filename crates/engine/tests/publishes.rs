//! Random histories with publishes in between, by every mode, back and forth: no run is lost, nothing
//! is sent twice, and a restart after every record changes nothing (TIM-1, ACT-1, DET-1).

mod support;

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use sojourn_engine::{Effect, decision_line};
use sojourn_model::{Existing, Name, NoteKind, StepMap, Timestamp, Transition};
use sojourn_rules::Definitions;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use support::{SOJOURN, World, compile_files};

const PLAN: &str = r#"
identifiers: [ { kind: customer_id, from: userId, limit: 1 }, { kind: anonymous_id, from: anonymousId } ]
events:
  Drop: { channel: web, properties: { n: { type: number, purposes: [marketing, service] } } }
  Ping: { channel: web }
  Bell: { channel: web }
"#;

const POLICY: &str = "purposes:\n  marketing: {}\n  service: {}\njurisdictions: none\nquiet_hours:\n  - { channels: [web], purposes: [service], from: \"21:00\", to: \"08:00\", then: defer }\ncaps: [ { id: all, at_most: 3, per: 12h, scope: {}, at_cap: defer } ]\n";

/// Steps of `j` in each version: times change, a step comes before, steps change places, one has
/// another id, one is gone.
const VERSIONS: [&str; 5] = [
    "  - { id: w, wait: 3h }\n  - { id: s, SEND }\n  - { id: f, wait_for: { on: Bell, timeout: 5h } }\n  - { id: t, SEND }\n",
    "  - { id: z, wait: 10m }\n  - { id: w, wait: 1h }\n  - { id: s, SEND }\n  - { id: f, wait_for: { on: Bell, timeout: 2h } }\n  - { id: t, SEND }\n",
    "  - { id: w, wait: 5h }\n  - { id: f, wait_for: { on: Ping, timeout: 9h } }\n  - { id: t, SEND }\n  - { id: s, SEND }\n",
    "  - { id: s, SEND }\n  - { id: pause, wait: 2h }\n  - { id: t, SEND }\n",
    "  - { id: d, digest: { window: 2h, max: 3, as: items } }\n  - { id: w, wait: { until: \"09:00\" } }\n  - { id: s, SEND }\n  - { id: t, SEND }\n",
];

static DEFINITIONS: LazyLock<Vec<Arc<Definitions>>> = LazyLock::new(|| {
    let one = |steps: &&str| {
        let steps = steps.replace("SEND", "send: { template: t, channels: [web], expires: 20h }");
        let journey = format!(
            "journey: j\npurpose: service\nentry: {{ on: Drop, key: event.properties.n }}\nexit_on: [ {{ on: Left }} ]\ngoal: {{ on: Ping, within: 1d, exit: false }}\nsteps:\n{steps}"
        );
        let files = [
            ("sojourn.yaml", SOJOURN),
            ("tracking-plan.yaml", PLAN),
            ("policy.yaml", POLICY),
            ("segments.yaml", "segments: {}"),
            ("journeys/j.yaml", &journey),
            (
                "journeys/k.yaml",
                "journey: k\npurpose: service\nentry: { on: Ping, reentry: always }\nsteps:\n  - { id: w, wait: 4h }\n  - { id: k, send: { template: t, channels: [web] } }\n",
            ),
            ("templates/t/en.yaml", "subject: Hello\nbody: en.txt\n"),
            ("templates/t/en.txt", "Hello."),
        ];
        compile_files(files)
    };
    VERSIONS.iter().map(one).collect()
});

#[derive(Debug, Clone)]
struct Row {
    kind: u8,
    who: u8,
    gap_minutes: i64,
    version: usize,
    existing: usize,
    named: bool,
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let gap = prop_oneof![2 => 0i64..30, 1 => 0i64..400];
    let row = (0u8..16, 0u8..3, gap, 0usize..5, 0usize..3, any::<bool>()).prop_map(
        |(kind, who, gap_minutes, version, existing, named)| Row {
            kind,
            who,
            gap_minutes,
            version,
            existing,
            named,
        },
    );
    proptest::collection::vec(row, 1..60)
}

fn message(row: &Row, place: usize, at: i64) -> Json {
    let time = chrono::DateTime::from_timestamp_millis(at).unwrap().to_rfc3339();
    let event = match row.kind {
        0..6 => "Drop",
        6..8 => "Ping",
        8..10 => "Bell",
        _ => "Left",
    };
    let mut message = json!({ "type": "track", "event": event, "source": "site",
        "messageId": format!("m{place}"), "receivedAt": time,
        "properties": { "n": row.version % 2 } });
    let (user, anonymous) = (format!("u{}", row.who), format!("a{}", row.who));
    match row.kind {
        // Somebody who is not known yet, and who they turn out to be.
        1 | 7 => message["anonymousId"] = json!(anonymous),
        11 => {
            message["type"] = json!("identify");
            message["userId"] = json!(user);
            message["anonymousId"] = json!(anonymous);
        }
        _ => message["userId"] = json!(user),
    }
    message
}

fn transition(row: &Row) -> Transition {
    let existing = Existing::ALL[row.existing];
    let journeys = if row.named { vec![("k".into(), Existing::Drain)] } else { Vec::new() };
    let map = |old: &str, new: &str| StepMap { journey: None, old: old.into(), new: new.into() };
    let maps = if row.who == 0 { vec![map("w", "pause"), map("pause", "w")] } else { Vec::new() };
    Transition { existing, journeys, maps }
}

/// What happened, for comparison.
fn play(rows: &[Row], forgetful: bool) -> (World, Vec<String>) {
    let mut world = World::new(DEFINITIONS[0].clone(), 3);
    world.forgetful = forgetful;
    let mut at = 1_772_400_000_000;
    for (place, row) in rows.iter().enumerate() {
        at += row.gap_minutes * 60_000;
        match row.kind {
            12..16 => {
                world.advance(Timestamp(at));
                world.publish_as(DEFINITIONS[row.version].clone(), &transition(row));
            }
            _ => world.message(&message(row, place, at)),
        }
    }
    world.advance(Timestamp(at + 3 * 86_400_000));
    let mut lines: Vec<String> = world.decisions.iter().map(decision_line).collect();
    lines.extend(world.others.iter().map(|effect| format!("{effect:?}")));
    (world, lines)
}

/// Runs that began, less those that ended, by journey.
fn on_their_way(world: &World) -> BTreeMap<Name, i64> {
    let mut runs: BTreeMap<Name, i64> = BTreeMap::new();
    for effect in &world.others {
        let Effect::Note(note) = effect else { continue };
        match &note.kind {
            NoteKind::Entered { journey, .. } => *runs.entry(journey.clone()).or_default() += 1,
            NoteKind::Ended { journey, .. } => *runs.entry(journey.clone()).or_default() -= 1,
            _ => {}
        }
    }
    runs.retain(|_, count| *count != 0);
    runs
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn no_run_is_lost_and_nothing_is_sent_twice(rows in rows()) {
        let (mut world, lines) = play(&rows, false);
        let mut live: BTreeMap<Name, i64> = BTreeMap::new();
        for (journey, ..) in world.live_runs() {
            *live.entry(journey).or_default() += 1;
        }
        prop_assert_eq!(on_their_way(&world), live, "every run has ended, or is there still");
        let (mut ids, mut steps) = (BTreeSet::new(), BTreeSet::new());
        for effect in &world.others {
            let Effect::Action(action) = effect else { continue };
            let run = (action.id.0.profile, action.id.0.run);
            prop_assert!(ids.insert(action.id), "{} is another message's", action.id);
            let once = steps.insert((run, action.step.clone()));
            prop_assert!(once, "{} was sent twice in run {run:?}", action.step);
        }
        prop_assert_eq!(play(&rows, true).1, lines, "a restart changes nothing");
    }
}

/// The histories above do move people: else they prove nothing.
#[test]
fn such_histories_move_and_stop_people() {
    let row = |kind: u8, existing: usize, version: usize| Row {
        kind,
        who: 1,
        gap_minutes: 10,
        version,
        existing,
        named: false,
    };
    let (world, _) = play(&[row(0, 0, 0), row(12, 1, 1), row(12, 1, 2), row(12, 2, 3)], false);
    let kinds: Vec<String> = world
        .others
        .iter()
        .filter_map(|effect| match effect {
            Effect::Note(note) => Some(format!("{:?}", note.kind)),
            _ => None,
        })
        .collect();
    let count = |what: &str| kinds.iter().filter(|kind| kind.starts_with(what)).count();
    assert_eq!(count("Migrated"), 2, "{kinds:#?}");
    assert!(kinds.iter().any(|kind| kind.contains("\"stopped\"")), "{kinds:#?}");
}
