//! How messages spread: the ramp after quiet hours, waves, the rate of a journey, the hours of a
//! segment (semantics 5).

mod support;

use serde_json::{Value as Json, json};
use sojourn_engine::decision_line;
use std::collections::BTreeSet;
use support::{SOJOURN, World, compile_files};

const PLAN: &str = r#"
identifiers: [ { kind: customer_id, from: userId, limit: 1 }, { kind: email, from: traits.email, limit: 5 } ]
events: { Ping: { channel: web } }
attributes: { tier: { type: string } }
"#;

/// A workspace with one journey that sends at once, and so many customers who agreed, every second
/// of them of the tier `gold`.
fn world(head: &str, send: &str, policy: &str, customers: usize, partitions: u16) -> World {
    let journey = format!(
        "journey: j\npurpose: marketing\n{head}\nsteps:\n  - {{ id: s, send: {{ template: t, channels: [email], {send} }} }}\n"
    );
    let policy =
        format!("purposes: {{ marketing: {{}}, service: {{}} }}\njurisdictions: none\n{policy}");
    let files = [
        ("sojourn.yaml", SOJOURN),
        ("tracking-plan.yaml", PLAN),
        ("policy.yaml", &policy),
        ("segments.yaml", "segments: { gold: { when: \"profile.tier == 'gold'\" } }"),
        ("journeys/j.yaml", &journey),
        ("templates/t/en.yaml", "subject: Hello\nbody: en.txt\n"),
        ("templates/t/en.txt", "Hello."),
    ];
    let mut world = World::new(compile_files(files), partitions);
    for number in 0..customers {
        let (user, time) = (format!("u{number}"), "2026-03-01T00:00:00Z");
        let tier = if number % 2 == 0 { "gold" } else { "tin" };
        world.message(&json!({ "type": "identify", "userId": user, "source": "site",
            "receivedAt": time, "timestamp": time, "messageId": format!("{user}{time}"),
            "traits": { "email": format!("{user}@x.example"), "tier": tier } }));
        let properties = json!({ "channel": "email", "purpose": "marketing", "state": "granted",
            "endpoint": format!("{user}@x.example") });
        event(&mut world, &user, "Consent Changed", &properties, "01T00:00:01");
    }
    world
}

fn event(world: &mut World, user: &str, name: &str, properties: &Json, time: &str) {
    let received = format!("2026-03-{time}Z");
    world.message(&json!({ "type": "track", "event": name, "userId": user, "source": "site",
        "properties": properties, "receivedAt": received, "timestamp": received,
        "messageId": format!("{user}{name}{received}") }));
}

fn everybody(world: &mut World, customers: usize, time: &str) {
    (0..customers).for_each(|number| event(world, &format!("u{number}"), "Ping", &json!({}), time));
}

/// Who, what, and when or until when, of every decision until the end of the 9th.
fn lines(world: &mut World) -> Vec<(String, String, String)> {
    world.advance(support::at("2026-03-09T23:00:00Z"));
    let line = |decision| {
        let line: Json = serde_json::from_str(&decision_line(decision)).unwrap();
        let text = |key: &str| line[key].as_str().unwrap_or("-").to_owned();
        let when = if line["until"].is_string() { text("until") } else { text("at") };
        let what = format!("{} {}", text("outcome"), text("reason"));
        (text("profile"), what, when[8..19].to_owned())
    };
    world.decisions.iter().map(line).collect()
}

const ON_PING: &str = "entry: { 'on': Ping, reentry: always }";

#[test]
fn a_ramp_gives_each_person_an_own_place() {
    let quiet = "quiet_hours: [ { from: '21:00', to: '08:00', ramp: 30m } ]";
    let mut world = world(ON_PING, "expires: 24h", quiet, 200, 3);
    everybody(&mut world, 200, "05T22:00:00");
    everybody(&mut world, 200, "05T23:00:00");
    let lines = lines(&mut world);
    let sent: Vec<_> = lines.iter().filter(|line| line.1 == "approve -").collect();
    assert_eq!(sent.len(), 400, "each is deferred once and goes");
    assert_eq!(lines.len(), 800);
    assert!(sent.iter().all(|line| *line.2 >= *"06T08:00:00" && *line.2 < *"06T08:30:00"));
    // Both messages of a person leave at one instant, and the people spread over the half hour.
    let places: BTreeSet<_> = sent.iter().map(|line| (&line.0, &line.2)).collect();
    assert_eq!(places.len(), 200);
    let minutes: BTreeSet<_> = sent.iter().map(|line| line.2[6..8].to_owned()).collect();
    assert_eq!(minutes.len(), 30, "about 13 messages in each of 30 minutes");
}

#[test]
fn a_ramp_ends_before_the_message_does() {
    let quiet = "quiet_hours: [ { from: '21:00', to: '08:00', ramp: 2h } ]";
    let mut world = world(ON_PING, "expires: 10h5m", quiet, 50, 1);
    everybody(&mut world, 50, "05T22:00:00");
    let lines = lines(&mut world);
    let sent: Vec<_> = lines.iter().filter(|line| line.1 == "approve -").collect();
    assert_eq!(sent.len(), 50);
    assert!(sent.iter().all(|line| *line.2 < *"06T08:05:00"));
}

#[test]
fn waves_take_their_share_and_nobody_changes_wave() {
    let waves = "waves: { share: [10, 30, 60], every: 2h }";
    let mut world = world(ON_PING, waves, "", 400, 2);
    everybody(&mut world, 400, "05T10:00:00");
    everybody(&mut world, 400, "06T10:00:00");
    let lines = lines(&mut world);
    let at = |time: &str| {
        let sent = lines.iter().filter(|line| line.1 == "approve -" && line.2 == time);
        sent.map(|line| line.0.clone()).collect::<BTreeSet<_>>()
    };
    let first = ["05T10:00:00", "05T12:00:00", "05T14:00:00"].map(at);
    assert_eq!(first, ["06T10:00:00", "06T12:00:00", "06T14:00:00"].map(at));
    let sizes = first.map(|wave| wave.len());
    assert_eq!(sizes.iter().sum::<usize>(), 400);
    for (size, share) in sizes.iter().zip([40, 120, 240]) {
        assert!(size.abs_diff(share) < 35, "{sizes:?}");
    }
    let waits = lines.iter().filter(|line| line.1 == "defer no_slot").count();
    assert_eq!(waits, 2 * (sizes[1] + sizes[2]));
}

#[test]
fn a_rate_is_never_exceeded_over_all_partitions() {
    let head = format!("rate: 60/h\n{ON_PING}");
    let mut world = world(&head, "expires: 12h", "", 90, 3);
    world.forgetful = true;
    everybody(&mut world, 90, "05T10:00:00");
    let lines = lines(&mut world);
    let sent: Vec<_> = lines.iter().filter(|line| line.1 == "approve -").collect();
    assert_eq!(sent.len(), 90);
    for hour in 10..16 {
        let of = |line: &&&(String, String, String)| line.2[3..5] == format!("{hour}");
        assert!(sent.iter().filter(of).count() <= 60, "{hour}");
    }
    // Each partition sends one in three minutes; the fullest has at least 30 to send.
    assert!(sent.iter().any(|line| *line.2 >= *"05T11:27:00"));
}

#[test]
fn a_rate_that_comes_too_late_is_a_reason() {
    let head = format!("rate: 1/h\n{ON_PING}");
    let mut world = world(&head, "expires: 90m", "", 3, 1);
    everybody(&mut world, 3, "05T10:00:00");
    let what: Vec<_> = lines(&mut world).into_iter().map(|line| (line.1, line.2)).collect();
    let line = |what: &str, when: &str| (what.to_owned(), when.to_owned());
    assert_eq!(
        what,
        [
            line("approve -", "05T10:00:00"),
            line("defer no_slot", "05T11:00:00"),
            line("suppress no_slot", "05T12:00:00"),
            line("approve -", "05T11:00:00"),
        ]
    );
}

#[test]
fn with_too_little_the_hours_of_the_segment_decide() {
    let head = "entry: { segment: { enter: gold } }";
    let mut world = world(head, "best_time: 24h", "", 6, 1);
    world.forgetful = true;
    // They are in or out by now; those who come in later get the message.
    for (user, hour) in [("u2", 19), ("u4", 19), ("u0", 19), ("u1", 7), ("u3", 7), ("u5", 7)] {
        for day in ["02", "03"] {
            event(&mut world, user, "Email Opened", &json!({}), &format!("{day}T{hour:02}:10:00"));
        }
        if hour == 7 {
            event(&mut world, user, "Email Opened", &json!({}), "04T07:20:00");
        }
    }
    world.decisions.clear();
    let time = "2026-03-05T10:00:00Z";
    world.message(&json!({ "type": "identify", "userId": "u9", "source": "site",
        "receivedAt": time, "timestamp": time, "messageId": "u9",
        "traits": { "email": "u9@x.example" } }));
    let properties = json!({ "channel": "email", "purpose": "marketing", "state": "granted" });
    event(&mut world, "u9", "Consent Changed", &properties, "05T10:00:01");
    let time = "2026-03-05T10:00:02Z";
    world.message(&json!({ "type": "identify", "userId": "u9", "source": "site",
        "receivedAt": time, "timestamp": time, "messageId": "u9 gold",
        "traits": { "tier": "gold" } }));
    let what: Vec<_> = lines(&mut world).into_iter().map(|line| (line.1, line.2)).collect();
    let line = |what: &str, when: &str| (what.to_owned(), when.to_owned());
    // Everybody's best hour is 7; that of the gold ones is 19.
    assert_eq!(what, [line("defer no_slot", "05T19:00:00"), line("approve -", "05T19:00:00")]);
}
