//! Entries that no event of the journey's own triggers: dates, schedules, commands, other journeys.

mod support;

use serde_json::{Value as Json, json};
use sojourn_engine::Effect;
use sojourn_model::{Command, Identifier, IdentifierKind, NoteKind, Record};
use sojourn_rules::Definitions;
use std::sync::Arc;
use support::{SOJOURN, World, at, compile_files};

const PLAN: &str = r"
events:
  Ping: { channel: web, properties: { n: { type: number } } }
attributes: { points: { type: number }, tier: { type: string }, birthday: { type: date } }
";
const POLICY: &str = "purposes:\n  service: {}\njurisdictions: none\n";
const SEGMENTS: &str = "segments:\n  gold: { when: \"profile.tier == 'gold'\" }\n";
const SEND: &str = "steps:\n  - { id: s, send: { template: t, channels: [email] } }\n";

fn definitions(journeys: &[(&str, &str)]) -> Arc<Definitions> {
    let mut files = vec![
        ("sojourn.yaml".to_owned(), SOJOURN.to_owned()),
        ("tracking-plan.yaml".to_owned(), PLAN.to_owned()),
        ("policy.yaml".to_owned(), POLICY.to_owned()),
        ("segments.yaml".to_owned(), SEGMENTS.to_owned()),
        ("templates/t/en.yaml".to_owned(), "subject: Hello\nbody: en.txt\n".to_owned()),
        ("templates/t/en.txt".to_owned(), "Hello.".to_owned()),
    ];
    for (name, text) in journeys {
        let text = format!("journey: {name}\npurpose: service\n{text}");
        files.push((format!("journeys/{name}.yaml"), text));
    }
    compile_files(files)
}

/// One journey `j` with this `entry`.
fn world(entry: &str, partitions: u16) -> World {
    World::new(definitions(&[("j", &format!("entry: {entry}\n{SEND}"))]), partitions)
}

fn say(world: &mut World, user: &str, time: &str, traits: &Json) {
    let mut traits = traits.clone();
    traits["email"] = json!(format!("{user}@x.example"));
    world.message(
        &json!({ "type": "identify", "userId": user, "source": "site", "receivedAt": time,
        "timestamp": time, "messageId": format!("{user} {time}"), "traits": traits }),
    );
}

/// `time user outcome` of every decision.
fn lines(world: &World) -> Vec<String> {
    let line = |d: &sojourn_model::Decision| {
        let at = chrono::DateTime::from_timestamp_millis(d.at.0).unwrap();
        let user = d.identifiers.iter().find(|id| id.kind == IdentifierKind::CustomerId);
        let key = d.run_key.as_deref().map_or(String::new(), |key| format!(" {key}"));
        let user = user.map_or("?", |id| &*id.value);
        format!("{} {user} {}{key}", at.format("%Y-%m-%dT%H:%M:%S"), d.journey)
    };
    world.decisions.iter().map(line).collect()
}

fn refusals(world: &World) -> Vec<String> {
    let reason = |effect: &Effect| match effect {
        Effect::Note(note) => match &note.kind {
            NoteKind::EntryRefused { reason, .. } => Some(reason.to_string()),
            _ => None,
        },
        _ => None,
    };
    world.others.iter().filter_map(reason).collect()
}

const BIRTHDAY: &str = "{ date: { attribute: birthday, offset: -7d, at: \"09:00\" } }";

#[test]
fn a_birthday_comes_every_year_in_the_persons_zone() {
    for forgetful in [false, true] {
        let mut world = world(BIRTHDAY, 1);
        world.forgetful = forgetful;
        say(&mut world, "u1", "2026-03-01T12:00:00Z", &json!({ "birthday": "1990-07-20" }));
        let tokyo = json!({ "birthday": "2000-02-29", "time_zone": "Asia/Tokyo" });
        say(&mut world, "u2", "2026-03-01T12:00:01Z", &tokyo);
        // This year's has been.
        say(&mut world, "u3", "2026-03-01T12:00:02Z", &json!({ "birthday": "1990-03-02" }));
        world.advance(at("2028-03-01T00:00:00Z"));
        let expected = [
            "2026-07-13T08:00:00 u1 j",
            "2027-02-21T00:00:00 u2 j",
            "2027-02-23T09:00:00 u3 j",
            "2027-07-13T08:00:00 u1 j",
            "2028-02-22T00:00:00 u2 j",
            "2028-02-24T09:00:00 u3 j",
        ];
        assert_eq!(lines(&world), expected, "forgetful: {forgetful}");
    }
}

#[test]
fn a_changed_date_moves_it_and_one_year_has_one() {
    let mut world = world(BIRTHDAY, 1);
    say(&mut world, "u1", "2026-03-01T12:00:00Z", &json!({ "birthday": "1990-07-20" }));
    say(&mut world, "u1", "2026-03-02T12:00:00Z", &json!({ "birthday": "1990-04-10" }));
    say(&mut world, "u1", "2026-04-05T12:00:00Z", &json!({ "birthday": "1990-09-10" }));
    say(&mut world, "u2", "2026-04-05T12:00:01Z", &json!({ "birthday": "1990-09-10" }));
    say(&mut world, "u2", "2026-04-06T12:00:01Z", &json!({ "birthday": null }));
    world.advance(at("2027-12-01T00:00:00Z"));
    assert_eq!(lines(&world), ["2026-04-03T08:00:00 u1 j", "2027-09-03T08:00:00 u1 j"]);
}

#[test]
fn a_move_to_another_zone_loses_and_repeats_nothing() {
    let mut world = world("{ date: { attribute: birthday, at: \"09:00\" }, reentry: always }", 1);
    let born = |zone: &str| json!({ "birthday": "1990-03-10", "time_zone": zone });
    say(&mut world, "u1", "2026-03-01T12:00:00Z", &born("Europe/London"));
    // 09:00 in Tokyo has been when they arrive there: at once.
    say(&mut world, "u1", "2026-03-10T08:00:00Z", &born("Asia/Tokyo"));
    world.advance(at("2026-03-10T08:30:00Z"));
    // In New York 09:00 is still to come, and it was this year's.
    say(&mut world, "u1", "2026-03-10T09:00:00Z", &born("America/New_York"));
    world.advance(at("2026-12-01T00:00:00Z"));
    assert_eq!(lines(&world), ["2026-03-10T08:00:00 u1 j"]);
}

#[test]
fn two_with_one_birthday_who_become_one_have_one() {
    let mut world = world("{ date: { attribute: birthday, at: \"09:00\" }, reentry: always }", 4);
    let born = json!({ "birthday": "1990-03-10" });
    for (id, time) in [("a1", "2026-03-01T12:00:00Z"), ("a2", "2026-03-01T12:00:01Z")] {
        world.message(&json!({ "type": "identify", "anonymousId": id, "source": "site",
            "receivedAt": time, "messageId": time, "traits": born }));
    }
    for (id, time) in [("a1", "2026-03-02T12:00:00Z"), ("a2", "2026-03-02T12:00:01Z")] {
        world.message(&json!({ "type": "identify", "anonymousId": id, "userId": "u1",
            "source": "site", "receivedAt": time, "messageId": time, "traits": {} }));
    }
    world.advance(at("2026-12-01T00:00:00Z"));
    assert_eq!(lines(&world), ["2026-03-10T09:00:00 u1 j"]);
}

#[test]
fn a_schedule_lets_its_audience_in_at_its_pace() {
    let entry = "{ schedule: { at: \"2026-06-01T09:00\", audience: gold, pace: 2/min }, when: profile.points > 1 }";
    for forgetful in [false, true] {
        let mut world = world(entry, 1);
        world.forgetful = forgetful;
        for (place, user) in ["u1", "u2", "u3", "u4", "u5", "u6"].iter().enumerate() {
            let tier = if *user == "u2" { "tin" } else { "gold" };
            let points = if *user == "u4" { 1 } else { 2 };
            let time = format!("2026-03-01T12:00:0{place}Z");
            say(&mut world, user, &time, &json!({ "tier": tier, "points": points }));
        }
        // Out of it by then.
        say(&mut world, "u5", "2026-04-01T12:00:00Z", &json!({ "tier": "tin" }));
        world.advance(at("2026-12-01T00:00:00Z"));
        // `u4` took a place of the pace and was refused by `when`.
        let expected =
            ["2026-06-01T08:00:00 u1 j", "2026-06-01T08:00:00 u3 j", "2026-06-01T08:01:00 u6 j"];
        assert_eq!(lines(&world), expected, "forgetful: {forgetful}");
    }
}

#[test]
fn cron_in_local_time_is_right_across_the_change_of_the_clocks() {
    let entry = "{ schedule: { cron: \"30 1 * * sun\", zone: local, audience: gold } }";
    let mut world = world(entry, 1);
    say(&mut world, "u1", "2026-03-24T12:00:00Z", &json!({ "tier": "gold" }));
    let tokyo = json!({ "tier": "gold", "time_zone": "Asia/Tokyo" });
    say(&mut world, "u2", "2026-03-24T12:00:01Z", &tokyo);
    world.advance(at("2026-04-06T00:00:00Z"));
    // 01:30 on 29 March is in London's gap: the first valid instant after it.
    let expected = [
        "2026-03-28T16:30:00 u2 j",
        "2026-03-29T01:00:00 u1 j",
        "2026-04-04T16:30:00 u2 j",
        "2026-04-05T00:30:00 u1 j",
    ];
    assert_eq!(lines(&world), expected);
}

#[test]
fn a_publish_arms_those_who_say_nothing_more_and_starts_nobody_by_itself() {
    let idle = format!("entry: {{ on: Ping }}\n{SEND}");
    let dated = format!("entry: {BIRTHDAY}\n{SEND}");
    let segment = format!("entry: {{ segment: {{ enter: gold }} }}\n{SEND}");
    let backfill = format!("entry: {{ segment: {{ enter: gold }}, backfill: true }}\n{SEND}");
    let mut world = World::new(definitions(&[("i", &idle)]), 1);
    let gold = json!({ "tier": "gold", "birthday": "1990-07-20" });
    say(&mut world, "u1", "2026-03-01T12:00:00Z", &gold);
    world.publish(definitions(&[("b", &backfill), ("d", &dated), ("i", &idle), ("s", &segment)]));
    // A restart forgets neither the sweep nor who lives here.
    world.forgetful = true;
    say(&mut world, "u2", "2026-03-01T12:00:05Z", &gold);
    world.advance(at("2026-12-01T00:00:00Z"));
    let expected = [
        "2026-03-01T12:00:00 u1 b",
        "2026-03-01T12:00:05 u2 b",
        "2026-03-01T12:00:05 u2 s",
        "2026-07-13T08:00:00 u1 d",
        "2026-07-13T08:00:00 u2 d",
    ];
    assert_eq!(lines(&world), expected);
}

#[test]
fn a_command_and_another_journey_enter_with_a_key_and_every_rule_holds() {
    let first = "entry: { api: true, when: \"profile.tier == 'gold'\", at_most: 2 per 30d }\nsteps:\n  - { enter: { journey: second, key: run.key } }\n";
    let second = format!("entry: {{ api: true }}\n{SEND}  - wait: 3d\n");
    let mut world = World::new(definitions(&[("first", first), ("second", &second)]), 1);
    say(&mut world, "u1", "2026-03-01T12:00:00Z", &json!({ "tier": "gold" }));
    let profile = world.profile_of(&Identifier::new(IdentifierKind::CustomerId, "u1")).unwrap();
    let mut enter = |journey: &str, key: &str| {
        let key = Some(key.into());
        let command = Command::Enter { journey: journey.into(), key };
        world.to(profile, &Record::PersonCommand { profile, command });
    };
    enter("first", "k1");
    enter("first", "k1");
    enter("first", "k2");
    enter("nothing", "k1");
    assert_eq!(lines(&world), ["2026-03-01T12:00:00 u1 second k1"]);
    assert_eq!(refusals(&world), ["reentry", "at_most", "unknown_journey"]);
}

#[test]
fn saying_an_attribute_again_starts_only_where_asked() {
    for (changed, expected) in [("true", 1), ("false", 2)] {
        let entry =
            format!("{{ attribute: {{ name: tier, changed: {changed} }}, reentry: always }}");
        let mut world = world(&entry, 1);
        say(&mut world, "u1", "2026-03-01T12:00:00Z", &json!({ "tier": "gold" }));
        say(&mut world, "u1", "2026-03-02T12:00:00Z", &json!({ "tier": "gold" }));
        assert_eq!(world.decisions.len(), expected, "changed: {changed}");
    }
}
