//! Sentences of the semantics that no scenario shows: commands, windows of conditions, late events,
//! merges on their way between partitions, erasure.

mod support;

use serde_json::{Value as Json, json};
use sojourn_engine::{Effect, decision_line};
use sojourn_model::{
    Command, Identifier, IdentifierKind, MergeId, NoteKind, ProfileId, Record, Touchpoint,
};
use sojourn_rules::Files;
use std::sync::LazyLock;
use support::{SOJOURN, World, at, compile, compile_files};

/// The tests' shop, with a second channel.
static WITH_PUSH: LazyLock<String> = LazyLock::new(|| {
    let push = "  push: { kind: grpc, endpoint: \"http://127.0.0.1:9100\" }\nstorage:";
    SOJOURN.replace("storage:", push)
});

const PLAN: &str = r#"
identifiers: [ { kind: customer_id, from: userId, limit: 1 } ]
events:
  Ping: { channel: web, properties: { n: { type: number } } }
  Other: { channel: web, properties: { n: { type: number } } }
  Done: { channel: web, properties: { n: { type: number } } }
attributes: { points: { type: number }, tier: { type: string }, first_name: { type: string } }
"#;

const POLICY: &str =
    "purposes:\n  marketing: { topics: [offers] }\n  service: { exempt: [caps] }\n";

/// A workspace with one journey `j` and more lines of policy.
fn world(journey: &str, policy: &str, partitions: u16) -> World {
    let journey = format!("journey: j\npurpose: marketing\n{journey}");
    let policy = format!("{POLICY}{policy}\njurisdictions: none\n");
    let files = [
        ("sojourn.yaml", WITH_PUSH.as_str()),
        ("tracking-plan.yaml", PLAN),
        ("policy.yaml", &policy),
        ("segments.yaml", "segments: {}"),
        ("journeys/j.yaml", &journey),
        ("templates/t/en.yaml", "subject: Hello\nbody: en.txt\n"),
        ("templates/t/en.txt", "Hello. {{ links.unsubscribe }}"),
        ("templates/named/en.yaml", "subject: \"Hello {{ profile.first_name }}\"\nbody: en.txt\n"),
        ("templates/named/en.txt", "Hello. {{ links.unsubscribe }}"),
    ];
    let mut world = World::new(compile_files(files), partitions);
    identify(&mut world, "u1", "2026-03-01T09:00:00Z");
    consent(&mut world, "u1", "granted", "2026-03-01T09:00:01Z");
    world
}

fn identify(world: &mut World, user: &str, time: &str) {
    world.message(
        &json!({ "type": "identify", "userId": user, "source": "site", "receivedAt": time,
        "timestamp": time, "messageId": format!("{user}{time}"),
        "traits": { "email": format!("{user}@x.example") } }),
    );
}

fn consent(world: &mut World, user: &str, state: &str, time: &str) {
    let endpoint = format!("{user}@x.example");
    let properties = json!({ "channel": "email", "purpose": "marketing", "state": state,
        "endpoint": endpoint });
    event(world, user, "Consent Changed", properties, time, time);
}

fn event(world: &mut World, user: &str, name: &str, properties: Json, received: &str, time: &str) {
    world.message(&json!({ "type": "track", "event": name, "userId": user, "source": "site",
        "properties": properties, "receivedAt": received, "timestamp": time,
        "messageId": format!("{user}{name}{received}{time}") }));
}

fn ping(world: &mut World, time: &str) {
    event(world, "u1", "Ping", json!({}), time, time);
}

fn command(world: &mut World, command: &str, time: &str) {
    world.message(&json!({ "type": "command", "command": command, "journey": "j",
        "person": "customer_id:u1", "receivedAt": time }));
}

/// Decisions as `time outcome reason step`.
fn check(world: &World, expected: &[&str]) {
    let lines: Vec<String> = world
        .decisions
        .iter()
        .map(|decision| {
            let line: Json = serde_json::from_str(&decision_line(decision)).unwrap();
            let time = line["at"].as_str().unwrap();
            let reason = line["reason"].as_str().unwrap_or("-");
            format!(
                "{} {} {reason} {}",
                &time[5..16],
                line["outcome"].as_str().unwrap(),
                line["step"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(lines, expected);
}

fn notes(world: &World) -> Vec<&NoteKind> {
    let note = |effect: &'_ Effect| matches!(effect, Effect::Note(_));
    let notes = world.others.iter().filter(|effect| note(effect));
    notes
        .map(|effect| match effect {
            Effect::Note(note) => &note.kind,
            _ => unreachable!("filtered"),
        })
        .collect()
}

const SEND: &str = "{ id: s, send: { template: t, channels: [email], expires: 6h } }";
const NIGHT: &str =
    "quiet_hours: [ { channels: [email], purposes: [marketing], from: \"21:00\", to: \"08:00\" } ]";

#[test]
fn a_pause_holds_at_the_next_step_and_resume_discards_what_expired() {
    let journey =
        format!("entry: {{ on: Ping, reentry: always }}\nsteps:\n  - wait: 1h\n  - {SEND}\n");
    let mut world = world(&journey, "", 1);
    ping(&mut world, "2026-03-02T10:00:00Z");
    command(&mut world, "pause", "2026-03-02T10:30:00Z");
    ping(&mut world, "2026-03-02T12:00:00Z");
    check(&world, &[]);
    command(&mut world, "resume", "2026-03-02T13:00:00Z");
    check(&world, &["03-02T13:00 approve - s"]);
    ping(&mut world, "2026-03-02T14:00:00Z");
    command(&mut world, "pause", "2026-03-02T14:30:00Z");
    // It came to the step at 15:00; six hours later the message is worth nothing.
    command(&mut world, "resume", "2026-03-02T21:00:00Z");
    check(&world, &["03-02T13:00 approve - s", "03-02T21:00 suppress expired s"]);
}

#[test]
fn a_deferred_candidate_that_wakes_in_a_pause_is_refused() {
    let journey = format!("entry: {{ on: Ping }}\nsteps:\n  - {}\n", SEND.replace("6h", "24h"));
    let mut world = world(&journey, NIGHT, 1);
    ping(&mut world, "2026-03-02T22:00:00Z");
    command(&mut world, "pause", "2026-03-02T23:00:00Z");
    world.advance(at("2026-03-04T00:00:00Z"));
    check(&world, &["03-02T22:00 defer quiet_hours s", "03-03T08:00 suppress paused s"]);
}

#[test]
fn stop_ends_runs_also_those_that_come_by_later() {
    let journey = "entry: { on: Ping }\nsteps:\n  - wait_for: { on: Other }\n  - { id: s, send: { template: t, channels: [email] } }\n";
    let mut world = world(journey, "", 1);
    ping(&mut world, "2026-03-02T10:00:00Z");
    command(&mut world, "stop", "2026-03-02T11:00:00Z");
    ping(&mut world, "2026-03-02T12:00:00Z");
    command(&mut world, "resume", "2026-03-02T13:00:00Z");
    event(&mut world, "u1", "Other", json!({}), "2026-03-02T14:00:00Z", "2026-03-02T14:00:00Z");
    check(&world, &[]);
    ping(&mut world, "2026-03-02T15:00:00Z");
    event(&mut world, "u1", "Other", json!({}), "2026-03-02T16:00:00Z", "2026-03-02T16:00:00Z");
    check(&world, &["03-02T16:00 approve - s"]);
}

#[test]
fn a_run_that_ends_while_its_candidate_is_deferred_leaves_a_decision() {
    let journey = format!(
        "entry: {{ on: Ping }}\nexit_on: [ {{ on: Other }} ]\ngoal: {{ on: Done }}\nsteps:\n  - {SEND}\n"
    );
    let mut exited = world(&journey, NIGHT, 1);
    ping(&mut exited, "2026-03-02T22:00:00Z");
    event(&mut exited, "u1", "Other", json!({}), "2026-03-02T23:00:00Z", "2026-03-02T23:00:00Z");
    exited.advance(at("2026-03-04T00:00:00Z"));
    check(&exited, &["03-02T22:00 defer quiet_hours s", "03-02T23:00 suppress exited s"]);
    let mut met = world(&journey, NIGHT, 1);
    ping(&mut met, "2026-03-02T22:00:00Z");
    event(&mut met, "u1", "Done", json!({}), "2026-03-02T23:00:00Z", "2026-03-02T23:00:00Z");
    check(&met, &["03-02T22:00 defer quiet_hours s", "03-02T23:00 suppress goal_met s"]);
    let mut erased = world(&journey, NIGHT, 1);
    ping(&mut erased, "2026-03-02T22:00:00Z");
    command(&mut erased, "erase", "2026-03-02T23:00:00Z");
    check(&erased, &["03-02T22:00 defer quiet_hours s", "03-02T23:00 suppress erased s"]);
    assert!(erased.decisions[1].identifiers.is_empty(), "ERA-1");
    // Whatever comes later is nothing.
    ping(&mut erased, "2026-03-05T10:00:00Z");
    assert_eq!(erased.decisions.len(), 2);
}

#[test]
fn time_empties_a_window_of_a_condition() {
    let journey = "entry: { on: Ping }\nsteps:\n  - wait_for: { condition: \"count('Other', '2h') == 0\", timeout: 1d }\n  - { id: s, send: { template: t, channels: [email] } }\n";
    let mut world = world(journey, "", 1);
    event(&mut world, "u1", "Other", json!({}), "2026-03-02T09:30:00Z", "2026-03-02T09:30:00Z");
    ping(&mut world, "2026-03-02T10:00:00Z");
    event(&mut world, "u1", "Other", json!({}), "2026-03-02T11:00:00Z", "2026-03-02T11:00:00Z");
    world.advance(at("2026-03-03T00:00:00Z"));
    check(&world, &["03-02T13:00 approve - s"]);
}

#[test]
fn conversions_count_in_the_window_also_after_the_end_and_once() {
    let journey = format!(
        "entry: {{ on: Ping }}\ngoal: {{ on: Done, within: 2d, value: event.properties.n }}\nsteps:\n  - {SEND}\n"
    );
    let mut world = world(&journey, "", 1);
    ping(&mut world, "2026-03-02T10:00:00Z");
    for time in ["2026-03-03T10:00:00Z", "2026-03-03T11:00:00Z", "2026-03-09T10:00:00Z"] {
        event(&mut world, "u1", "Done", json!({ "n": 12 }), time, time);
    }
    let converted: Vec<_> = notes(&world)
        .into_iter()
        .filter_map(|note| match note {
            NoteKind::Converted { value, .. } => Some(*value),
            _ => None,
        })
        .collect();
    assert_eq!(converted, [Some(12.0)]);
}

#[test]
fn a_late_exit_tells_what_would_have_been() {
    let journey = format!(
        "entry: {{ on: Ping }}\nexit_on: [ {{ on: Other }} ]\nsteps:\n  - {SEND}\n  - wait: 2d\n"
    );
    let mut world = world(&journey, "", 1);
    ping(&mut world, "2026-03-02T10:00:00Z");
    // It happened before the message was sent? No: the same instant is not before it.
    event(&mut world, "u1", "Other", json!({}), "2026-03-02T12:00:00Z", "2026-03-02T10:00:00Z");
    let corrected = |world: &World| {
        notes(world).into_iter().any(|note| matches!(note, NoteKind::Correction { .. }))
    };
    assert!(!corrected(&world));
    let waits = journey.replace("steps:\n", "steps:\n  - wait: 1h\n");
    let mut world = self::world(&waits, "", 1);
    ping(&mut world, "2026-03-02T10:00:00Z");
    event(&mut world, "u1", "Other", json!({}), "2026-03-02T12:00:00Z", "2026-03-02T10:30:00Z");
    check(&world, &["03-02T11:00 approve - s"]);
    assert!(corrected(&world));
}

/// Before a record at *t* every timer due at *t* fires: of equal times the record is the later one.
#[test]
fn a_record_is_newer_than_what_timers_did_at_its_instant() {
    let journey = "entry: { on: Ping }\nsteps:\n  - wait: 1h\n  - update: { points: \"3\" }\n  \
                   - wait: 1h\n  - { id: s, send: { template: t, channels: [email], only_if: \
                   \"profile.points == 2\" } }\n";
    let mut world = world(journey, "", 1);
    ping(&mut world, "2026-03-02T10:00:00Z");
    world.message(&json!({ "type": "identify", "userId": "u1", "source": "site",
        "receivedAt": "2026-03-02T11:00:00Z", "messageId": "m", "traits": { "points": 2 } }));
    world.advance(at("2026-03-02T13:00:00Z"));
    check(&world, &["03-02T12:00 approve - s"]);
}

#[test]
fn an_attribute_that_changes_starts_its_journey() {
    let journey = "entry: { attribute: { name: tier, changed: true }, reentry: always }\nsteps:\n  - { id: s, send: { template: t, channels: [email] } }\n";
    let mut world = world(journey, "", 1);
    for (time, tier) in [
        ("2026-03-02T10:00:00Z", "gold"),
        ("2026-03-02T11:00:00Z", "gold"),
        ("2026-03-02T12:00:00Z", "silver"),
    ] {
        world.message(&json!({ "type": "identify", "userId": "u1", "source": "site",
            "receivedAt": time, "timestamp": time, "messageId": time, "traits": { "tier": tier } }));
    }
    check(&world, &["03-02T10:00 approve - s", "03-02T12:00 approve - s"]);
}

#[test]
fn a_template_gets_only_what_it_uses_and_refuses_what_is_missing() {
    let journey = "entry: { on: Ping, reentry: always }\nsteps:\n  - { id: s, send: { template: named, channels: [email] } }\n";
    let mut world = world(journey, "", 1);
    ping(&mut world, "2026-03-02T10:00:00Z");
    world.message(&json!({ "type": "identify", "userId": "u1", "source": "site", "messageId": "i",
        "receivedAt": "2026-03-02T11:00:00Z", "traits": { "first_name": "Ada", "tier": "x" } }));
    ping(&mut world, "2026-03-02T12:00:00Z");
    check(&world, &["03-02T10:00 suppress content s", "03-02T12:00 approve - s"]);
    let action = world.others.iter().find_map(|effect| match effect {
        Effect::Action(action) => Some(action),
        _ => None,
    });
    let variables = &action.unwrap().variables;
    let profile = variables.get("profile").unwrap();
    assert_eq!(profile.get("first_name").and_then(|v| v.as_text()), Some("Ada"));
    assert_eq!(profile.get("tier"), None);
}

#[test]
fn a_revocation_and_an_exit_cancel_what_is_reserved() {
    let journey = format!(
        "entry: {{ on: Ping, reentry: always }}\nexit_on: [ {{ on: Other }} ]\nsteps:\n  - {SEND}\n  - wait: 2d\n"
    );
    let mut world = world(&journey, "", 1);
    ping(&mut world, "2026-03-02T10:00:00Z");
    event(&mut world, "u1", "Other", json!({}), "2026-03-02T10:01:00Z", "2026-03-02T10:01:00Z");
    ping(&mut world, "2026-03-02T11:00:00Z");
    consent(&mut world, "u1", "denied", "2026-03-02T11:01:00Z");
    let cancelled: Vec<_> = world
        .others
        .iter()
        .filter_map(|effect| match effect {
            Effect::Cancel { reason, .. } => Some(reason.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(cancelled, ["exited", "no_consent"]);
}

/// The survivor's records wait for the absorbed state, whatever comes first; then they apply in
/// order, each at its own time.
#[test]
fn records_wait_for_a_state_on_its_way() {
    let journey = format!("entry: {{ on: Ping, reentry: always }}\nsteps:\n  - {SEND}\n");
    let caps = "caps: [ { id: c, at_most: 1, per: 24h, scope: {} } ]";
    for late_state in [false, true] {
        let mut world = world(&journey, caps, 16);
        let into = world
            .profile_of(&Identifier::new(IdentifierKind::CustomerId, "u1"))
            .expect("introduced");
        // Somebody in another partition, who sent nothing but said no.
        let from =
            (100..).map(ProfileId).find(|id| id.partition(16) != into.partition(16)).unwrap();
        let email = Identifier::new(IdentifierKind::Email, "u1@x.example");
        let properties = r#"{"channel":"email","purpose":"marketing","state":"denied"}"#;
        let said_no = touchpoint("Consent Changed", "no", properties, Vec::new());
        world.advance(at("2026-03-02T10:00:00Z"));
        world.to(from, &Record::Touchpoint { profile: from, touchpoint: said_no });
        let id = MergeId { cause: 7, index: 0 };
        let announce = Record::Await { id, into, from };
        let merge = Record::Merge { id, from, into };
        let pinged = || touchpoint("Ping", "p", "{}", vec![email.clone()]);
        if late_state {
            world.to(into, &announce);
            world.to(into, &Record::Touchpoint { profile: into, touchpoint: pinged() });
            check(&world, &[]);
            world.advance(at("2026-03-02T10:05:00Z"));
            world.to(from, &merge);
        } else {
            world.to(from, &merge);
            world.to(into, &announce);
            world.to(into, &Record::Touchpoint { profile: into, touchpoint: pinged() });
        }
        check(&world, &["03-02T10:00 suppress no_consent s"]);
        // Whatever still arrives at the absorbed one reaches the survivor.
        let late = touchpoint("Ping", "q", "{}", Vec::new());
        world.to(from, &Record::Touchpoint { profile: from, touchpoint: late });
        assert_eq!(world.decisions.len(), 2);
        assert_eq!(world.decisions[1].profile, into);
    }
}

fn touchpoint<'a>(
    event: &'a str,
    message_id: &'a str,
    properties: &'a str,
    identifiers: Vec<Identifier>,
) -> Touchpoint<'a> {
    Touchpoint {
        message_id,
        source: "site",
        channel: "web",
        event,
        identifiers,
        occurred_at: None,
        received_at: at("2026-03-02T10:00:00Z"),
        properties,
        traits: "",
        context: "",
        imported: false,
        profile: None,
    }
}

#[test]
fn an_unmerge_gives_both_back() {
    let journey = "entry: { on: Ping, reentry: always }\nsteps:\n  - wait: 1h\n  - { id: s, send: { template: t, channels: [email] } }\n";
    let mut world = world(journey, "", 3);
    let anonymous = |world: &mut World, event: &str, time: &str| {
        world.message(&json!({ "type": "track", "event": event, "anonymousId": "a1", "source": "site",
            "properties": {}, "receivedAt": time, "timestamp": time, "messageId": format!("a{time}") }));
    };
    anonymous(&mut world, "Ping", "2026-03-02T10:00:00Z");
    world.message(
        &json!({ "type": "identify", "userId": "u1", "anonymousId": "a1", "source": "site",
        "receivedAt": "2026-03-02T10:10:00Z", "messageId": "joined" }),
    );
    let a1 = Identifier::new(IdentifierKind::AnonymousId, "a1");
    let survivor = world.profile_of(&a1).unwrap();
    assert_eq!(world.person(survivor).unwrap().runs.len(), 1);
    let absorbed = ProfileId::created_at(0, 3);
    let undo = Record::PersonCommand { profile: survivor, command: Command::Unmerge };
    world.to(survivor, &undo);
    assert!(world.person(survivor).unwrap().runs.is_empty());
    let back = world.person(absorbed).expect("lives again");
    assert_eq!(back.runs.len(), 1);
    assert_eq!(back.identifiers[0].identifier, a1);
    world.advance(at("2026-03-02T12:00:00Z"));
    check(&world, &["03-02T11:00 suppress endpoint_missing s"]);
    assert_eq!(world.decisions[0].profile, absorbed);
}

#[test]
fn personalization_that_is_not_granted_hides_the_person_from_conditions() {
    let journey = "entry: { on: Ping, reentry: always, when: \"event.properties.n > 0\" }\nsteps:\n  - branch:\n      - when: profile.tier == 'gold' || count('Ping', '1d') > 5\n        steps: [ { id: known, send: { template: t, channels: [email] } } ]\n      - else: [ { id: plain, send: { template: t, channels: [email] } } ]\n";
    let mut world = world(journey, "", 1);
    let policy = format!("{POLICY}  personalization: {{ kind: data }}\njurisdictions: none\n");
    let mut files = vec![
        ("sojourn.yaml", WITH_PUSH.clone()),
        ("tracking-plan.yaml", PLAN.to_owned()),
        ("policy.yaml", policy),
        ("segments.yaml", "segments: {}".to_owned()),
    ];
    files.push(("journeys/j.yaml", format!("journey: j\npurpose: marketing\n{journey}")));
    files.push(("templates/t/en.yaml", "subject: Hello\nbody: en.txt\n".to_owned()));
    files.push(("templates/t/en.txt", "Hello. {{ links.unsubscribe }}".to_owned()));
    let files = files.into_iter().map(|(path, text)| (path.to_owned(), text));
    world.publish(compile(&Files(files.collect())));
    world.message(&json!({ "type": "identify", "userId": "u1", "source": "site", "messageId": "i",
        "receivedAt": "2026-03-02T09:00:00Z", "traits": { "tier": "gold" } }));
    event(
        &mut world,
        "u1",
        "Ping",
        json!({ "n": 1 }),
        "2026-03-02T10:00:00Z",
        "2026-03-02T10:00:00Z",
    );
    let granted = json!({ "purpose": "personalization", "state": "granted" });
    event(
        &mut world,
        "u1",
        "Consent Changed",
        granted,
        "2026-03-02T11:00:00Z",
        "2026-03-02T11:00:00Z",
    );
    event(
        &mut world,
        "u1",
        "Ping",
        json!({ "n": 1 }),
        "2026-03-02T12:00:00Z",
        "2026-03-02T12:00:00Z",
    );
    check(&world, &["03-02T10:00 approve - plain", "03-02T12:00 approve - known"]);
}
