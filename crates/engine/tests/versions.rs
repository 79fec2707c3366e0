//! What a publish does to people who are on their way (semantics 7): drain, migrate, stop.

mod support;

use serde_json::json;
use sojourn_engine::Effect;
use sojourn_model::{
    Decision, Existing, NoteKind, Outcome, Reason, StepMap, Timestamp, Transition,
};
use sojourn_rules::Definitions;
use std::sync::Arc;
use support::{SOJOURN, World, at, compile_files};

const PLAN: &str = r#"
identifiers: [ { kind: customer_id, from: userId, limit: 1 }, { kind: email, from: traits.email, limit: 5 } ]
events:
  Drop: { channel: web, properties: { n: { type: number, purposes: [marketing] } } }
  Ping: { channel: web }
  Bell: { channel: web }
attributes: { points: { type: number, purposes: [marketing] } }
"#;

/// Whoever pings has one message an hour later; the file is the same in every version.
const OTHER: &str = "journey: other\npurpose: service\nentry: { on: Ping, reentry: always }\nsteps:\n  - { id: w, wait: 6h }\n  - { id: o, send: { template: t, channels: [email] } }\n";

/// A version whose journey `j` has these steps.
fn version(entry: &str, steps: &str) -> Arc<Definitions> {
    version_with(entry, steps, "")
}

fn version_with(entry: &str, steps: &str, policy: &str) -> Arc<Definitions> {
    let journey =
        format!("journey: j\npurpose: marketing\nentry: {{ on: Drop, {entry} }}\nsteps:\n{steps}");
    let policy =
        format!("purposes:\n  marketing: {{}}\n  service: {{}}\njurisdictions: none\n{policy}");
    let files = [
        ("sojourn.yaml", SOJOURN),
        ("tracking-plan.yaml", PLAN),
        ("policy.yaml", &policy),
        ("segments.yaml", "segments: {}"),
        ("journeys/j.yaml", &journey),
        ("journeys/other.yaml", OTHER),
        ("templates/t/en.yaml", "subject: Hello\nbody: en.txt\n"),
        ("templates/t/en.txt", "Hello. {{ links.unsubscribe }}"),
    ];
    compile_files(files)
}

fn world(definitions: &Arc<Definitions>) -> World {
    let mut world = World::new(definitions.clone(), 2);
    world.forgetful = true;
    let time = "2026-03-01T09:00:00Z";
    world.message(&json!({ "type": "identify", "userId": "u1", "source": "site",
        "receivedAt": time, "timestamp": time, "messageId": "m0",
        "traits": { "email": "u1@x.example" } }));
    let agrees = json!({ "channel": "email", "purpose": "marketing", "state": "granted" });
    event(&mut world, time, "Consent Changed", &agrees);
    world
}

fn event(world: &mut World, time: &str, name: &str, properties: &serde_json::Value) {
    world.message(&json!({ "type": "track", "event": name, "userId": "u1", "source": "site",
        "receivedAt": time, "timestamp": time, "messageId": format!("{name}{time}{properties}"),
        "properties": properties }));
}

fn drop_at(world: &mut World, time: &str) {
    event(world, time, "Drop", &json!({ "n": 1 }));
}

fn publish(world: &mut World, time: &str, definitions: &Arc<Definitions>, existing: Existing) {
    publish_as(world, time, definitions, &Transition::all(existing));
}

fn publish_as(world: &mut World, time: &str, definitions: &Arc<Definitions>, by: &Transition) {
    world.advance(at(time));
    world.publish_as(definitions.clone(), by);
}

/// Decisions as (time, step, outcome), those of the other journey aside.
fn decided(world: &mut World, to: &str) -> Vec<(Timestamp, String, Outcome)> {
    world.advance(at(to));
    let mine = world.decisions.iter().filter(|decision| &*decision.journey == "j");
    mine.map(|decision| (decision.at, decision.step.to_string(), decision.outcome)).collect()
}

fn approved(time: &str, step: &str) -> (Timestamp, String, Outcome) {
    (at(time), step.to_owned(), Outcome::Approve)
}

fn ended(world: &World) -> Vec<String> {
    let ends = world.others.iter().filter_map(|effect| match effect {
        Effect::Note(note) => match &note.kind {
            NoteKind::Ended { journey, reason, .. } => Some(format!("{journey}: {reason}")),
            _ => None,
        },
        _ => None,
    });
    ends.collect()
}

const SEND: &str = "  - { id: s, send: { template: t, channels: [email] } }\n";

fn waits(wait: &str) -> String {
    format!("  - {{ id: w, wait: {wait} }}\n{SEND}")
}

#[test]
fn drained_runs_keep_their_version_and_new_ones_have_the_new() {
    let (old, new) =
        (version("reentry: always", &waits("3h")), version("reentry: always", &waits("1h")));
    let mut world = world(&old);
    drop_at(&mut world, "2026-03-01T10:00:00Z");
    publish(&mut world, "2026-03-01T10:30:00Z", &new, Existing::Drain);
    drop_at(&mut world, "2026-03-01T11:00:00Z");
    let lines = decided(&mut world, "2026-03-02T10:00:00Z");
    assert_eq!(
        lines,
        [approved("2026-03-01T12:00:00Z", "s"), approved("2026-03-01T13:00:00Z", "s")]
    );
    let versions: Vec<_> = world.decisions.iter().map(|decision| decision.version).collect();
    assert_eq!(versions, [new.version, old.version]);
}

#[test]
fn a_wait_counts_from_when_it_began() {
    let old = version("", &waits("3h"));
    for (wait, goes_on) in [
        ("2h", "2026-03-01T12:00:00Z"),
        ("5h", "2026-03-01T15:00:00Z"),
        // Over already: at the publish.
        ("10m", "2026-03-01T11:30:00Z"),
        ("{ until: \"12:15\" }", "2026-03-01T12:15:00Z"),
    ] {
        let new = version("", &waits(wait));
        let mut world = world(&old);
        drop_at(&mut world, "2026-03-01T10:00:00Z");
        publish(&mut world, "2026-03-01T11:30:00Z", &new, Existing::Migrate);
        let lines = decided(&mut world, "2026-03-02T10:00:00Z");
        assert_eq!(lines, [approved(goes_on, "s")], "{wait}");
        assert_eq!(world.decisions[0].version, new.version);
    }
}

#[test]
fn whoever_is_touched_after_a_publish_follows_it_first() {
    // The record comes at the instant of the publish, before any sweep.
    let old = version("reentry: never", &waits("3h"));
    let new = version("reentry: never", &waits("10m"));
    let mut world = world(&old);
    drop_at(&mut world, "2026-03-01T10:00:00Z");
    publish(&mut world, "2026-03-01T11:00:00Z", &new, Existing::Migrate);
    event(&mut world, "2026-03-01T11:00:00Z", "Bell", &json!({}));
    assert_eq!(world.decisions.len(), 1, "went on before the record");
    assert_eq!(world.decisions[0].at, at("2026-03-01T11:00:00Z"));
}

#[test]
fn a_wait_for_keeps_what_it_waits_for_and_its_time_counts_from_when_it_began() {
    let steps = |event: &str, timeout: &str| {
        format!(
            "  - id: w\n    wait_for: {{ on: {event}, timeout: {timeout} }}\n    then: [ {{ exit: rung }} ]\n{SEND}"
        )
    };
    let old = version("", &steps("Bell", "3h"));
    let mut world = world(&old);
    drop_at(&mut world, "2026-03-01T10:00:00Z");
    let new = version("", &steps("Ping", "5h"));
    publish(&mut world, "2026-03-01T11:00:00Z", &new, Existing::Migrate);
    event(&mut world, "2026-03-01T12:00:00Z", "Bell", &json!({}));
    assert!(ended(&world).is_empty());
    // Two versions on: the time is over, just after the publish.
    let newest = version("", &steps("Ping", "90m"));
    publish(&mut world, "2026-03-01T12:30:00Z", &newest, Existing::Migrate);
    let lines = decided(&mut world, "2026-03-02T10:00:00Z");
    assert_eq!(lines, [approved("2026-03-01T12:30:00Z", "s")]);

    let condition = |least: u32| {
        format!(
            "  - id: w\n    wait_for: {{ condition: \"profile.points >= {least}\", timeout: 30d }}\n{SEND}"
        )
    };
    let (old, new) = (version("", &condition(9)), version("", &condition(2)));
    let mut world = self::world(&old);
    world.message(&json!({ "type": "identify", "userId": "u1", "source": "site",
        "receivedAt": "2026-03-01T09:30:00Z", "messageId": "m9", "traits": { "points": 3 } }));
    drop_at(&mut world, "2026-03-01T10:00:00Z");
    publish(&mut world, "2026-03-01T11:00:00Z", &new, Existing::Migrate);
    let lines = decided(&mut world, "2026-03-02T10:00:00Z");
    assert_eq!(lines, [approved("2026-03-01T11:00:00Z", "s")], "it holds now");
}

#[test]
fn a_digest_keeps_its_items() {
    let steps = |window: &str, max: u32| {
        format!(
            "  - {{ id: d, digest: {{ window: {window}, max: {max}, as: items }} }}\n  - id: b\n    branch:\n      - when: size(run.items) == 2\n        steps: [ {{ id: two, send: {{ template: t, channels: [email] }} }} ]\n      - else: [ {{ id: more, send: {{ template: t, channels: [email] }} }} ]\n"
        )
    };
    for (window, max, goes_on) in [
        ("8h", 100, "2026-03-01T18:00:00Z"),
        ("2h", 100, "2026-03-01T12:00:00Z"),
        ("4h", 2, "2026-03-01T11:00:00Z"),
    ] {
        let (old, new) = (version("", &steps("4h", 100)), version("", &steps(window, max)));
        let mut world = world(&old);
        drop_at(&mut world, "2026-03-01T10:00:00Z");
        drop_at(&mut world, "2026-03-01T10:10:00Z");
        publish(&mut world, "2026-03-01T11:00:00Z", &new, Existing::Migrate);
        let lines = decided(&mut world, "2026-03-02T10:00:00Z");
        assert_eq!(lines, [approved(goes_on, "two")], "{window} {max}");
    }
}

#[test]
fn a_throttle_is_asked_again() {
    let steps = |at_most: u32| {
        format!(
            "  - {{ id: t, throttle: {{ at_most: {at_most}, per: 6h, otherwise: wait }} }}\n{SEND}"
        )
    };
    let old = version("reentry: always", &steps(1));
    let new = version("reentry: always", &steps(2));
    let mut world = world(&old);
    drop_at(&mut world, "2026-03-01T10:00:00Z");
    drop_at(&mut world, "2026-03-01T10:10:00Z");
    drop_at(&mut world, "2026-03-01T10:20:00Z");
    publish(&mut world, "2026-03-01T11:00:00Z", &new, Existing::Migrate);
    let lines = decided(&mut world, "2026-03-01T16:30:00Z");
    assert_eq!(
        lines,
        [
            approved("2026-03-01T10:00:00Z", "s"),
            approved("2026-03-01T11:00:00Z", "s"),
            approved("2026-03-01T16:00:00Z", "s"),
        ]
    );
}

const NIGHT: &str = "quiet_hours:\n  - { channels: [email], purposes: [marketing], from: \"21:00\", to: \"08:00\", then: defer }\n";

fn outcomes(decisions: &[Decision]) -> Vec<(Outcome, Option<Reason>)> {
    decisions.iter().map(|decision| (decision.outcome, decision.reason)).collect()
}

#[test]
fn a_deferred_message_keeps_its_id_and_takes_the_new_expiry() {
    let send = |id: &str, expires: &str| {
        format!(
            "  - {{ id: first, wait: 1m }}\n  - {{ id: {id}, send: {{ template: t, channels: [email], expires: {expires} }} }}\n"
        )
    };
    let old = version_with("", &send("s", "2d"), NIGHT);
    let expired = (Outcome::Suppress, Some(Reason::Expired));
    for (expires, last) in [("30h", (Outcome::Approve, None)), ("4h", expired)] {
        // A step before it: the place of the step is another one now.
        let steps = format!("  - {{ id: zero, wait: 1m }}\n{}", send("s", expires));
        let new = version_with("", &steps, NIGHT);
        let mut world = world(&old);
        drop_at(&mut world, "2026-03-01T22:00:00Z");
        publish(&mut world, "2026-03-02T01:00:00Z", &new, Existing::Migrate);
        world.advance(at("2026-03-03T12:00:00Z"));
        let quiet = (Outcome::Defer, Some(Reason::QuietHours));
        assert_eq!(outcomes(&world.decisions), [quiet, last], "{expires}");
        let [first, second] = &world.decisions[..] else { unreachable!() };
        assert_eq!(first.candidate, second.candidate);
        assert_eq!((first.version, second.version), (old.version, new.version));
        let wake = if last.1.is_none() { "2026-03-02T08:00:00Z" } else { "2026-03-02T02:01:00Z" };
        assert_eq!(second.at, at(wake));
    }
}

#[test]
fn stop_ends_runs_of_journeys_that_change_and_no_others() {
    let old = version_with("", SEND, NIGHT);
    let new = version_with("", &format!("  - {{ id: w, wait: 2h }}\n{SEND}"), NIGHT);
    let mut world = world(&old);
    drop_at(&mut world, "2026-03-01T22:00:00Z");
    event(&mut world, "2026-03-01T22:00:00Z", "Ping", &json!({}));
    publish(&mut world, "2026-03-01T23:00:00Z", &new, Existing::Stop);
    world.advance(at("2026-03-01T23:01:00Z"));
    assert_eq!(
        outcomes(&world.decisions),
        [(Outcome::Defer, Some(Reason::QuietHours)), (Outcome::Suppress, Some(Reason::Exited))]
    );
    assert_eq!(world.decisions[1].at, at("2026-03-01T23:00:00Z"));
    assert_eq!(ended(&world), ["j: stopped"]);
    // The other journey goes on, and the stopped one takes people in.
    drop_at(&mut world, "2026-03-02T09:00:00Z");
    world.advance(at("2026-03-02T12:00:00Z"));
    let steps: Vec<_> = world.decisions[2..].iter().map(|decision| &*decision.step).collect();
    assert_eq!(steps, ["o", "s"]);

    // Named, it is stopped whatever its file says; the other keeps its version.
    let mut world = self::world(&old);
    drop_at(&mut world, "2026-03-01T22:00:00Z");
    event(&mut world, "2026-03-01T22:00:00Z", "Ping", &json!({}));
    let named =
        Transition { journeys: vec![("other".into(), Existing::Stop)], ..Transition::default() };
    publish_as(&mut world, "2026-03-01T23:00:00Z", &new, &named);
    world.advance(at("2026-03-01T23:01:00Z"));
    assert_eq!(ended(&world), ["other: stopped"]);
}

#[test]
fn a_step_that_is_gone_keeps_its_version_unless_it_is_mapped() {
    let old = version("", &waits("3h"));
    let new = version("", &format!("  - {{ id: pause, wait: 1h }}\n{SEND}"));
    let kind = version("", &format!("  - {{ id: w, goal: reached }}\n{SEND}"));
    let go = |new: &Arc<Definitions>, map: &[(&str, &str)]| {
        let mut world = world(&old);
        drop_at(&mut world, "2026-03-01T10:00:00Z");
        let maps = map.iter().map(|(old, new)| StepMap {
            journey: None,
            old: (*old).into(),
            new: (*new).into(),
        });
        let by = Transition { maps: maps.collect(), ..Transition::all(Existing::Migrate) };
        publish_as(&mut world, "2026-03-01T10:30:00Z", new, &by);
        decided(&mut world, "2026-03-02T10:00:00Z")
    };
    assert_eq!(go(&new, &[]), [approved("2026-03-01T13:00:00Z", "s")]);
    assert_eq!(go(&kind, &[]), [approved("2026-03-01T13:00:00Z", "s")]);
    assert_eq!(go(&new, &[("w", "pause")]), [approved("2026-03-01T11:00:00Z", "s")]);
}

#[test]
fn nothing_is_sent_twice_and_a_new_step_in_an_old_place_is_another_message() {
    let send =
        |id: &str| format!("  - {{ id: {id}, send: {{ template: t, channels: [email] }} }}\n");
    let wait = "  - { id: w, wait: 1h }\n";
    let old = version("", &[&send("a"), wait, &send("b")].concat());
    // `a` comes again after the wait, and `c` stands where `a` stood.
    let new = version("", &[&send("c"), wait, &send("a"), &send("d")].concat());
    let mut world = world(&old);
    drop_at(&mut world, "2026-03-01T10:00:00Z");
    publish(&mut world, "2026-03-01T10:30:00Z", &new, Existing::Migrate);
    // And back again: what was sent in either version stays sent.
    let newest = version("", &[wait, &send("c"), &send("a"), &send("b"), &send("d")].concat());
    publish(&mut world, "2026-03-01T10:40:00Z", &newest, Existing::Migrate);
    let lines = decided(&mut world, "2026-03-02T10:00:00Z");
    let steps: Vec<_> = lines.iter().map(|line| &*line.1).collect();
    assert_eq!(steps, ["a", "c", "b", "d"]);
    let mut actions: Vec<_> = world.decisions.iter().filter_map(|one| one.action).collect();
    actions.sort_unstable();
    actions.dedup();
    assert_eq!(actions.len(), 4, "every message has an id of its own");
}

#[test]
fn publishes_are_followed_in_order_also_by_whoever_slept_through_them() {
    let (first, second) = (version("", &waits("9h")), version("", &waits("5h")));
    let mut world = world(&first);
    drop_at(&mut world, "2026-03-01T10:00:00Z");
    // At one instant, so that nobody is visited in between.
    publish(&mut world, "2026-03-01T11:00:00Z", &second, Existing::Migrate);
    publish(&mut world, "2026-03-01T11:00:00Z", &first, Existing::Drain);
    let lines = decided(&mut world, "2026-03-02T10:00:00Z");
    assert_eq!(lines, [approved("2026-03-01T15:00:00Z", "s")]);
    assert_eq!(world.decisions[0].version, second.version, "rolled back, and drained");

    // Rolled back with everybody.
    let mut world = self::world(&first);
    drop_at(&mut world, "2026-03-01T10:00:00Z");
    publish(&mut world, "2026-03-01T11:00:00Z", &second, Existing::Migrate);
    publish(&mut world, "2026-03-01T12:00:00Z", &first, Existing::Migrate);
    let lines = decided(&mut world, "2026-03-02T10:00:00Z");
    assert_eq!(lines, [approved("2026-03-01T19:00:00Z", "s")]);
}
