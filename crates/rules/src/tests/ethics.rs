//! Rules about what a workspace does to people, levels of rules, and what can be proven.

use super::{JOURNEY, PLAN, POLICY, files, findings};
use crate::{Severity, compile, rule_section};

/// Findings with a journey whose head and steps are given.
fn journey(purpose: &str, entry: &str, steps: &str) -> Vec<String> {
    let text = format!("journey: j\npurpose: {purpose}\nentry: {entry}\nsteps:\n{steps}");
    findings(&[("journeys/j.yaml", &text)])
}

const SEND: &str = "  - send: { template: t, channels: [email], expires: 24h }\n";

#[test]
fn arms_that_an_earlier_one_covers() {
    let branch = |first: &str, second: &str| {
        let steps = format!(
            "{SEND}  - branch:\n    - when: \"{first}\"\n      steps: [ wait: 1h ]\n    - when: \"{second}\"\n      steps: [ wait: 2h ]\n"
        );
        journey("marketing", "{ on: Ping }", &steps)
    };
    let covered = ["journeys/j.yaml:10 covered-arm"];
    for (first, second) in [
        ("profile.points > 5", "profile.points > 10"),
        ("profile.points >= 5", "profile.points == 5"),
        ("profile.points > 5", "profile.vip && 6 <= profile.points"),
        ("profile.vip || profile.points > 5", "profile.points > 5"),
        ("profile.tier in ['a', 'b']", "profile.tier == 'b'"),
        ("profile.tier != 'a'", "profile.tier == 'b'"),
        ("count('Ping', '1d') >= 1", "count('Ping', '1d') >= 3"),
    ] {
        assert_eq!(branch(first, second), covered, "{first} / {second}");
    }
    for (first, second) in [
        ("profile.points > 10", "profile.points > 5"),
        ("profile.points > 5", "profile.points >= 5"),
        ("profile.points > 5 && profile.vip", "profile.points > 6"),
        ("profile.tier in ['a']", "profile.tier == 'b'"),
        ("count('Ping', '1d') >= 1", "count('Ping', '2d') >= 3"),
    ] {
        assert_eq!(branch(first, second), Vec::<String>::new(), "{first} / {second}");
    }
}

#[test]
fn conditions_that_decide_nothing() {
    let when =
        |when: &str| journey("marketing", &format!("{{ on: Ping, when: \"{when}\" }}"), SEND);
    for never in [
        "profile.points > 10 && profile.points < 5",
        "profile.points > 5 && profile.points <= 5",
        "profile.tier == 'a' && profile.tier == 'b'",
        "profile.vip && !profile.vip",
        "1 > 2",
    ] {
        assert_eq!(when(never), ["journeys/j.yaml:3 always-false"], "{never}");
    }
    assert_eq!(when("true"), ["journeys/j.yaml:3 always-true"]);
    for open in ["profile.points >= 5 && profile.points <= 5", "profile.vip || !profile.vip"] {
        assert_eq!(when(open), Vec::<String>::new(), "{open}");
    }
}

#[test]
fn waits_that_an_exit_ends_first() {
    let steps = format!("  - wait_for: {{ on: Order Completed, timeout: 1d }}\n{SEND}");
    let with = |exit: &str| {
        let text =
            format!("journey: j\npurpose: marketing\nentry: {{ on: Ping }}\n{exit}steps:\n{steps}");
        findings(&[("journeys/j.yaml", &text)])
    };
    assert_eq!(
        with("exit_on: [ { on: Order Completed } ]\n"),
        ["journeys/j.yaml:6 wait-after-exit"]
    );
    assert_eq!(
        with("exit_on: [ { on: Order Completed, when: event.properties.total > 9 } ]\n"),
        Vec::<String>::new()
    );
}

#[test]
fn children_are_not_addressed() {
    let plan = format!(
        "{PLAN}  age: {{ type: number }}\n  birthday: {{ type: date }}\n  child_age: {{ type: number }}\n"
    );
    let when = |purpose: &str, when: &str| {
        let text = JOURNEY
            .replace("marketing/reminders", purpose)
            .replace("{ on: Ping }", &format!("{{ on: Ping, when: \"{when}\" }}"));
        findings(&[("tracking-plan.yaml", &plan), ("journeys/j.yaml", &text)])
    };
    let children = ["journeys/j.yaml:4 children"];
    for young in ["profile.age < 16", "17 >= profile.age", "profile.child_age > 3"] {
        assert_eq!(when("marketing", young), children, "{young}");
    }
    assert_eq!(when("marketing", "profile.age >= 18"), Vec::<String>::new());
    assert_eq!(when("service", "profile.age < 16"), Vec::<String>::new());
}

#[test]
fn wording_is_reported_with_its_line_and_passage() {
    let with = |locale: &str, text: &str, purpose: &str| {
        let journey = JOURNEY.replace("marketing/reminders", purpose);
        let body = format!("templates/t/{locale}.txt");
        let head = format!("templates/t/{locale}.yaml");
        let name = format!("subject: S\nbody: {locale}.txt\n");
        let text = format!("{text}\n{{{{ links.unsubscribe }}}} {{{{ company.postal_address }}}}");
        findings(&[("journeys/j.yaml", &journey), (&head, &name), (&body, &text)])
    };
    assert_eq!(
        with("en", "Hello\nHurry up, only 3 left!", "marketing"),
        ["templates/t/en.txt:2 false-scarcity", "templates/t/en.txt:2 false-scarcity"]
    );
    assert_eq!(
        with("pl", "Ostatnia szansa!", "marketing"),
        ["templates/t/pl.txt:1 false-scarcity"]
    );
    assert_eq!(
        with("en", "No thanks, I don’t like saving", "marketing"),
        ["templates/t/en.txt:1 guilt", "templates/t/en.txt:1 guilt"]
    );
    assert_eq!(with("en", "20% off today", "service"), ["templates/t/en.txt:1 service-promotion"]);
    assert_eq!(with("en", "20% off today", "marketing"), Vec::<String>::new());
    assert_eq!(with("en", "Your order is on its way.", "service"), Vec::<String>::new());
}

#[test]
fn offers_that_only_some_see() {
    let arm = |percent: &str| {
        format!(
            "[ send: {{ template: t, channels: [email], expires: 24h, variables: {{ discount: '{percent}' }} }} ]"
        )
    };
    let branch = |when: &str, one: &str, two: &str| {
        let steps = format!(
            "  - branch:\n    - when: \"{when}\"\n      steps: {}\n    - else: {}\n",
            arm(one),
            arm(two)
        );
        journey("marketing", "{ on: Ping }", &steps)
    };
    assert_eq!(branch("profile.vip", "10", "20"), ["journeys/j.yaml:5 unequal-offer"]);
    assert_eq!(branch("profile.vip", "10", "10"), Vec::<String>::new());
    // What people did decides, not who they are.
    assert_eq!(branch("event.properties.n > 3", "10", "20"), Vec::<String>::new());
}

#[test]
fn journeys_that_set_each_other_off() {
    let of = |name: &str, on: &str, emit: &str, more: &str| {
        format!(
            "journey: {name}\npurpose: service\nentry: {{ on: {on}{more} }}\nsteps:\n  - emit: {{ event: {emit} }}\n"
        )
    };
    let one = of("j", "Ping", "Order Completed", "");
    let circle = |more: &str| {
        let two = of("k", "Order Completed", "Ping", more);
        findings(&[("journeys/j.yaml", &one), ("journeys/k.yaml", &two)])
    };
    assert_eq!(circle(""), ["journeys/j.yaml:1 journey-loop"]);
    assert_eq!(circle(", reentry: never"), Vec::<String>::new());
}

#[test]
fn journeys_that_enter_each_other_by_event_and_by_step() {
    let of = |name: &str, on: &str, steps: &str| {
        format!("journey: {name}\npurpose: service\nentry: {on}\nsteps:\n  - {steps}\n")
    };
    let emit = "emit: { event: Order Completed }";
    let circle = |first: &str, entry: &str, back: &str| {
        let (j, k) = (of("j", "{ on: Ping }", first), of("k", entry, back));
        findings(&[("journeys/j.yaml", &j), ("journeys/k.yaml", &k)])
    };
    // One leads by an event, the other by the step.
    let mixed = circle(emit, "{ on: Order Completed }", "enter: { journey: j }");
    assert_eq!(mixed, ["journeys/j.yaml:1 journey-loop"]);
    let ended = circle(emit, "{ on: Order Completed, at_most: 1 per 1d }", "enter: { journey: j }");
    assert_eq!(ended, Vec::<String>::new());
    let no_way_back = circle(emit, "{ on: Ping }", "enter: { journey: j }");
    assert_eq!(no_way_back, Vec::<String>::new());
    // By steps alone it is one finding per step, not a third on top.
    let steps = circle("enter: { journey: k }", "{ api: true }", "enter: { journey: j }");
    assert_eq!(steps, ["journeys/j.yaml:5 enter-circle", "journeys/k.yaml:5 enter-circle"]);
    // Both at once: the event closes the circle that a step could have closed, too.
    let both = circle(
        "enter: { journey: k }\n  - emit: { event: Order Completed }",
        "{ on: Order Completed }",
        "enter: { journey: j }",
    );
    assert!(both.contains(&"journeys/j.yaml:1 journey-loop".to_owned()), "{both:?}");
}

#[test]
fn levels_need_a_known_rule_and_a_reason() {
    let with = |lint: &str| format!("{POLICY}lint:\n  {lint}\n");
    let off = with("no-expiry: { level: off, because: \"Old news is fine here.\" }");
    let journey = JOURNEY.replace(", expires: 24h", ", at_cap: defer");
    let changes = |policy: &str| {
        let changes = [("policy.yaml", policy), ("journeys/j.yaml", journey.as_str())];
        compile(&files(&changes))
    };
    let before = changes(POLICY);
    assert!(before.findings.iter().any(|f| f.rule == "no-expiry"));
    let after = changes(&off);
    assert!(after.definitions.is_some());
    assert!(!after.findings.iter().any(|f| f.rule == "no-expiry"));
    assert_eq!((&*after.levels[0].setting.rule, after.levels[0].findings), ("no-expiry", 1));
    assert_eq!(&*after.levels[0].setting.because, "Old news is fine here.");
    let told = after.findings.iter().find(|f| f.rule == "set-level").expect("it says itself");
    assert_eq!((told.severity, told.line), (Severity::Info, 11));
    assert!(told.message.contains("Old news is fine here."), "{}", told.message);
    let raised = changes(&off.replace("off", "error"));
    assert!(raised.definitions.is_none());
    assert!(raised.findings.iter().any(|f| f.rule == "no-expiry" && f.severity == Severity::Error));
    for (lint, rule) in [
        ("no-expiry: { level: off }", "missing-key"),
        ("no-expiry: { level: off, because: ' ' }", "missing-key"),
        ("no-expirry: { level: off, because: x }", "unknown-rule"),
        ("purpose-limitation: { level: off, because: x }", "fixed-rule"),
        ("yaml-syntax: { level: warning, because: x }", "fixed-rule"),
    ] {
        assert_eq!(
            findings(&[("policy.yaml", &with(lint))]),
            [format!("policy.yaml:11 {rule}")],
            "{lint}"
        );
    }
}

#[test]
fn every_adjustable_rule_is_documented() {
    for rule in crate::lint::adjustable() {
        assert!(rule_section(rule).is_some_and(|text| text.contains("**Remedy:**")), "{rule}");
    }
    assert!(rule_section("no-such-rule").is_none());
}

#[test]
fn cost_of_a_journey() {
    let steps = format!(
        "{SEND}  - split:\n      name: n\n      arms:\n        - {{ arm: a, percent: 50, steps: [] }}\n        - arm: b\n          percent: 50\n          steps:\n          {SEND}  - branch:\n    - when: profile.vip\n      steps: [ exit: x ]\n{SEND}"
    );
    let text = format!("journey: j\npurpose: marketing\nentry: {{ on: Ping }}\nsteps:\n{steps}");
    let definitions = super::sound(&[("journeys/j.yaml", &text)]);
    let cost = crate::sends_per_entry(&definitions.journeys[0]);
    assert!((cost - 2.5).abs() < 1e-9, "{cost}");
}
