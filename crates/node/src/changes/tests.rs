//! Sentences of changes.

use super::*;
use sojourn_rules::{Files, compile};

const JOURNEY: &str = "journey: j\npurpose: service\nentry: { on: Ping }\nsteps:\n  - id: settle\n    wait: 1h\n  - id: tell\n    send: { template: t, channels: [email], expires: 24h }\n";

fn of(journey: &str, cap: &str) -> std::sync::Arc<Definitions> {
    let mut files = Files::default();
    for (path, text) in [
        (
            "sojourn.yaml",
            "workspace: w\ntime_zone: UTC\nlocales: [en]\ncompany: { postal_address: x }\n",
        ),
        ("tracking-plan.yaml", "events: { Ping: {} }\n"),
        ("policy.yaml", cap),
        ("journeys/j.yaml", journey),
        ("templates/t/en.yaml", "subject: Hi\nbody: en.txt\n"),
        ("templates/t/en.txt", "Hi."),
    ] {
        files.0.insert(path.to_owned(), text.to_owned());
    }
    let compiled = compile(&files);
    compiled.definitions.unwrap_or_else(|| panic!("{:?}", compiled.findings))
}

#[test]
fn changes_are_told_in_sentences() {
    let cap = "caps: [ { id: daily, at_most: 1, per: 24h } ]\n";
    let old = of(JOURNEY, cap);
    let tell = |journey: &str, cap: &str| in_words(Some(&old), &of(journey, cap));
    assert_eq!(tell(JOURNEY, cap), Vec::<String>::new());
    assert_eq!(
        tell(&JOURNEY.replace("wait: 1h", "wait: 90m"), cap),
        ["j: wait of settle 1h → 1h30m"]
    );
    assert_eq!(
        tell(&JOURNEY.replace("24h", "2d"), &cap.replace("at_most: 1", "at_most: 2")),
        ["j: expires of tell 1d → 2d", "cap daily: limit 1 per 1d → 2 per 1d"]
    );
    assert_eq!(
        tell(&JOURNEY.replace("    wait: 1h", "    goal: reached"), cap),
        ["j: settle was a wait and becomes a goal"]
    );
    assert_eq!(
        tell(&JOURNEY.replace("journey: j", "journey: k"), cap),
        ["j: the journey is removed", "k: a new journey"]
    );
}

#[test]
fn changes_of_entries_caps_and_levels_are_told() {
    let cap = "caps: [ { id: daily, at_most: 1, per: 24h } ]\n";
    let old = of(JOURNEY, cap);
    let tell = |journey: &str, policy: &str| in_words(Some(&old), &of(journey, policy));
    assert_eq!(
        tell(
            &JOURNEY.replace("{ on: Ping }", "{ on: Ping, reentry: after 2d, at_most: 1 per 7d }"),
            cap
        ),
        ["j: reentry after_exit → after 2d", "j: at_most none → 1 per 7d"]
    );
    assert_eq!(tell(&JOURNEY.replace("on: Ping }", "api: true }"), cap), ["j: entry Ping → api"]);
    assert_eq!(
        tell(&JOURNEY.replace("  - id: tell", "  - id: look\n    wait: 1d\n  - id: tell"), cap),
        ["j: a new wait look"]
    );
    let lint = "lint: { undeclared-channel: { level: off, because: reviewed in spring } }\n";
    assert_eq!(
        tell(JOURNEY, &format!("{cap}{lint}")),
        ["lint rule undeclared-channel is turned off: reviewed in spring"]
    );
    // Only its place in the file differs.
    let (before, after) = (format!("{lint}{cap}"), format!("{cap}{lint}"));
    assert_eq!(in_words(Some(&of(JOURNEY, &before)), &of(JOURNEY, &after)), Vec::<String>::new());
    assert_eq!(tell(JOURNEY, "caps: []\n"), ["cap daily (1 per 1d) is removed"]);
    assert_eq!(in_words(None, &old), ["the first version, with 1 journeys"]);
}
