//! `best_time` (semantics 5): the hour with the most engagement, among those that are open.

mod support;

use serde_json::{Value as Json, json};
use sojourn_engine::decision_line;
use support::{SOJOURN, World, compile_files};

const PLAN: &str = r#"
identifiers: [ { kind: customer_id, from: userId, limit: 1 }, { kind: email, from: traits.email, limit: 5 } ]
events: { Ping: { channel: web } }
attributes: { time_zone: { type: string } }
"#;

/// A workspace with one journey that sends at once, and customers `u1`, `u2` who agreed.
fn world(send: &str, policy: &str, zone: &str) -> World {
    let journey = format!(
        "journey: j\npurpose: marketing\nentry: {{ 'on': Ping, reentry: always }}\nsteps:\n  - {{ id: s, send: {{ template: t, channels: [email], {send} }} }}\n"
    );
    let policy =
        format!("purposes: {{ marketing: {{}}, service: {{}} }}\njurisdictions: none\n{policy}");
    let files = [
        ("sojourn.yaml", SOJOURN),
        ("tracking-plan.yaml", PLAN),
        ("policy.yaml", &policy),
        ("segments.yaml", "segments: {}"),
        ("journeys/j.yaml", &journey),
        ("templates/t/en.yaml", "subject: Hello\nbody: en.txt\n"),
        ("templates/t/en.txt", "Hello."),
    ];
    let mut world = World::new(compile_files(files), 1);
    for user in ["u1", "u2"] {
        let time = "2026-03-01T00:00:00Z";
        world.message(&json!({ "type": "identify", "userId": user, "source": "site",
            "receivedAt": time, "timestamp": time, "messageId": format!("{user}{time}"),
            "traits": { "email": format!("{user}@x.example"), "time_zone": zone } }));
        let properties = json!({ "channel": "email", "purpose": "marketing", "state": "granted",
            "endpoint": format!("{user}@x.example") });
        event(&mut world, user, "Consent Changed", &properties, "01T00:00:01");
    }
    world
}

fn event(world: &mut World, user: &str, name: &str, properties: &Json, time: &str) {
    let time = format!("2026-03-{time}Z");
    world.message(&json!({ "type": "track", "event": name, "userId": user, "source": "site",
        "properties": properties, "receivedAt": time, "timestamp": time,
        "messageId": format!("{user}{name}{time}") }));
}

fn opens(world: &mut World, user: &str, times: &[&str]) {
    times.iter().for_each(|time| event(world, user, "Email Opened", &json!({}), time));
}

fn ping(world: &mut World, user: &str, time: &str) {
    event(world, user, "Ping", &json!({}), time);
}

/// Decisions as `time outcome reason until`, until the end of the 9th.
fn lines(mut world: World) -> Vec<String> {
    world.advance(support::at("2026-03-09T23:00:00Z"));
    let line = |decision| {
        let line: Json = serde_json::from_str(&decision_line(decision)).unwrap();
        let text = |key: &str| line[key].as_str().unwrap_or("-").to_owned();
        let until = text("until");
        let until = until.get(8..16).unwrap_or("-");
        format!("{} {} {} {until}", &text("at")[8..16], text("outcome"), text("reason"))
    };
    world.decisions.iter().map(line).collect()
}

const EVENINGS: &[&str] = &["01T19:10:00", "02T19:20:00", "03T19:30:00"];

#[test]
fn waits_for_the_persons_best_hour() {
    let mut world = world("best_time: 24h", "", "Europe/London");
    opens(&mut world, "u1", EVENINGS);
    ping(&mut world, "u1", "05T10:00:00");
    ping(&mut world, "u1", "06T19:59:59");
    assert_eq!(
        lines(world),
        ["05T10:00 defer no_slot 05T19:00", "05T19:00 approve - -", "06T19:59 approve - -"]
    );
}

#[test]
fn in_the_zone_of_the_moment() {
    let mut world = world("best_time: 24h", "", "Asia/Kolkata");
    // 19:10 UTC is 00:40 in Kolkata: the hour begins at 18:30 UTC.
    opens(&mut world, "u1", EVENINGS);
    ping(&mut world, "u1", "05T10:00:00");
    assert_eq!(lines(world), ["05T10:00 defer no_slot 05T18:30", "05T18:30 approve - -"]);
}

#[test]
fn too_little_is_everybodys_then_now() {
    let mut world = world("best_time: 24h", "", "Europe/London");
    opens(&mut world, "u1", &["01T19:10:00", "02T19:20:00"]);
    ping(&mut world, "u1", "02T20:00:00");
    opens(&mut world, "u2", &["03T08:20:00", "04T08:20:00", "05T08:20:00"]);
    world.forgetful = true;
    ping(&mut world, "u1", "05T10:00:00");
    assert_eq!(
        lines(world),
        ["02T20:00 approve - -", "05T10:00 defer no_slot 06T08:00", "06T08:00 approve - -"]
    );
}

#[test]
fn inside_quiet_hours_caps_and_expiry() {
    let quiet = "quiet_hours: [ { from: '19:00', to: '20:00' } ]";
    let mut quieted = world("best_time: 24h", quiet, "Europe/London");
    opens(&mut quieted, "u1", EVENINGS);
    ping(&mut quieted, "u1", "05T10:00:00");
    // Of the hours beside the best, which smoothing lifts alike, the sooner.
    assert_eq!(lines(quieted), ["05T10:00 defer no_slot 05T18:00", "05T18:00 approve - -"]);

    let mut expiring = world("best_time: 24h, expires: 9h", "", "Europe/London");
    opens(&mut expiring, "u1", EVENINGS);
    ping(&mut expiring, "u1", "05T10:00:00");
    assert_eq!(lines(expiring), ["05T10:00 defer no_slot 05T18:00", "05T18:00 approve - -"]);

    let cap = "caps: [ { id: c, at_most: 1, per: local_day } ]";
    let mut capped = world("best_time: 24h", cap, "Europe/London");
    opens(&mut capped, "u1", EVENINGS);
    ping(&mut capped, "u1", "05T19:00:00");
    ping(&mut capped, "u1", "05T20:00:00");
    assert_eq!(
        lines(capped),
        ["05T19:00 approve - -", "05T20:00 defer no_slot 06T19:00", "06T19:00 approve - -"]
    );
}

#[test]
fn no_hour_is_a_reason() {
    let quiet = "quiet_hours: [ { from: '09:00', to: '21:00' } ]";
    let mut world = world("best_time: 24h, expires: 8h", quiet, "Europe/London");
    opens(&mut world, "u1", EVENINGS);
    ping(&mut world, "u1", "05T10:00:00");
    assert_eq!(lines(world), ["05T10:00 suppress no_slot -"]);
}
