//! Findings: each rule with its place, and nothing else beside it.

use super::{JOURNEY, PLAN, POLICY, SOJOURN, files, findings};
use crate::{Severity, compile};

/// Changes of one file by replacing text, and the findings that must come, all of them.
fn check(file: &str, base: &str, from: &str, to: &str, expected: &[&str]) {
    assert!(base.contains(from), "{from:?} is not in {file}");
    let changed = base.replacen(from, to, 1);
    assert_eq!(findings(&[(file, &changed)]), expected, "{file}: {from:?} → {to:?}");
}

#[test]
fn the_base_has_no_findings() {
    assert_eq!(findings(&[]), Vec::<String>::new());
}

#[test]
fn workspace() {
    let check = |from, to, expected: &[&str]| check("sojourn.yaml", SOJOURN, from, to, expected);
    check("locales:", "locale:", &["sojourn.yaml:5 unknown-key"]);
    check("time_zone: Europe/London", "time_zone: Europe/Lodnon", &["sojourn.yaml:4 unknown-zone"]);
    check("workspace: shop\n", "", &["sojourn.yaml:2 missing-key"]);
    check("id: till", "id: site", &["sojourn.yaml:8 duplicate"]);
    check("write_key: \"${SITE_KEY}\", ", "", &["sojourn.yaml:7 missing-secret"]);
    check("${SITE_KEY}", "${site key}", &["sojourn.yaml:7 bad-placeholder"]);
    check("mode: strict", "mode: strikt", &["sojourn.yaml:7 unknown-value"]);
    check("kind: pos", "kind: poss", &["sojourn.yaml:8 unknown-kind"]);
    check("kind: smtp", "kind: smtpp", &["sojourn.yaml:10 unknown-kind"]);
    check("120/min", "fast", &["sojourn.yaml:10 bad-rate"]);
    check("endpoint: \"http://127.0.0.1:9100\"", "", &["sojourn.yaml:11 missing-key"]);
    check("400d", "400", &["sojourn.yaml:12 bad-duration"]);
    check("shared_devices: true", "shared_devices: 'true'", &["sojourn.yaml:8 wrong-type"]);
    check("storage: {", "storage: [", &["sojourn.yaml:13 yaml-syntax"]);
    let storage = |to: &str, expected: &[&str]| {
        let from = "{ kind: embedded, path: ./data, retention: 400d }";
        self::check("sojourn.yaml", SOJOURN, from, to, expected);
    };
    let on_both = r#"{ kind: kafka+redis, brokers: "k1:9092,k2:9092", redis: "redis+cluster://r1:6379,r2:6379", takeover: 5s, partitions: 8, replication: 3 }"#;
    storage(on_both, &[]);
    storage(r#"{ kind: kafka+redis, brokers: "${BROKERS}", redis: "${REDIS}" }"#, &[]);
    storage(
        "{ kind: kafka+redis }",
        &["sojourn.yaml:12 missing-key", "sojourn.yaml:12 missing-key"],
    );
    for (good, bad, rule) in [
        ("k2:9092", "k2", "bad-address"),
        ("redis+cluster", "http", "bad-address"),
        ("5s", "2m", "bad-duration"),
        ("partitions: 8", "partitions: 0", "bad-limit"),
        ("replication: 3", "replication: many", "bad-limit"),
        ("takeover: 5s", "security: ssl", "unknown-value"),
        ("takeover: 5s", "sync: always", "wrong-storage"),
        ("takeover: 5s", "brokrs: x", "unknown-key"),
    ] {
        storage(&on_both.replace(good, bad), &[&format!("sojourn.yaml:12 {rule}")]);
    }
    storage("{ kind: embedded, brokers: \"k:1\" }", &["sojourn.yaml:12 wrong-storage"]);
    links();
    check(
        "locales: [en, pl]",
        "locales: [en, pl]\nlocales: [en]",
        &["sojourn.yaml:6 duplicate-key"],
    );
    check("locales: [en, pl]", "locales: [de]", &["templates/t/en.yaml:1 missing-locale"]);
    check("postal_address: \"1 Lane, York\", ", "", &["sojourn.yaml:1 postal-address"]);
}

/// What is said of a connection must fit how it is made.
fn links() {
    let from = "storage: { kind: embedded, path: ./data, retention: 400d }";
    let check = |to: &str, expected: &[&str]| {
        check("sojourn.yaml", SOJOURN, from, to, expected);
    };
    let storage = |redis: &str, more: &str| {
        format!("storage: {{ kind: kafka+redis, brokers: \"k:1\", redis: \"{redis}\", {more} }}")
    };
    let logged_in = "security: sasl_tls, username: app, password: \"${KEY}\", brokers_ca: ca.pem";
    check(&storage("rediss://r:1", &format!("{logged_in}, redis_ca: ca.pem")), &[]);
    check(&storage("redis+sentinel://r:1,s:2/shop", "sentinel_password: \"${KEY}\""), &[]);
    for (redis, more) in [
        ("redis://r:1", "brokers_ca: ca.pem"),
        ("redis://r:1", "redis_ca: ca.pem"),
        ("redis://r:1", "sentinel_password: x"),
        ("redis://r:1", "username: a, password: b"),
        ("redis://r:1", "security: sasl_tls"),
        ("rediss://r:1", "redis_certificate: c.pem"),
        ("redis://r:1", "security: tls, brokers_key: k.pem"),
    ] {
        let found: &[&str] = match more {
            "security: sasl_tls" => &["sojourn.yaml:12 missing-key"],
            "username: a, password: b" => &["sojourn.yaml:12 unused-setting"; 2],
            _ => &["sojourn.yaml:12 unused-setting"],
        };
        check(&storage(redis, more), found);
    }
    check(
        &storage("redis://r:1", &logged_in.replace("sasl_tls", "sasl_tls, mechanism: SCRAM")),
        &["sojourn.yaml:12 unknown-value"],
    );
    let tls = |what: &str| format!("{from}\ntls: {{ {what} }}");
    check(
        &tls(
            "gateway: { certificate: c.pem, key: k.pem }, channels: { certificate: c.pem, key: k.pem, clients: ca.pem }, dispatcher: { ca: ca.pem }",
        ),
        &[],
    );
    check(&tls("gateway: { certificate: c.pem }"), &["sojourn.yaml:13 missing-key"]);
    check(&tls("dispatcher: { certificate: c.pem }"), &["sojourn.yaml:13 unused-setting"]);
    check(&tls("portal: { certificate: c.pem }"), &["sojourn.yaml:13 unknown-key"]);
}

#[test]
fn plan() {
    let check = |from, to, expected: &[&str]| check("tracking-plan.yaml", PLAN, from, to, expected);
    check("type: number", "type: nubmer", &["tracking-plan.yaml:9 unknown-value"]);
    check(
        "purposes: [service, marketing]",
        "purposes: [marketin]",
        &["tracking-plan.yaml:9 unknown-purpose"],
    );
    check("kind: customer_id", "kind: customer", &["tracking-plan.yaml:3 unknown-kind"]);
    check("from: userId", "from: user", &["tracking-plan.yaml:3 bad-path"]);
    check("limit: 1", "limit: 0", &["tracking-plan.yaml:3 bad-limit"]);
    check("kind: loyalty_id", "kind: customer_id", &["tracking-plan.yaml:5 duplicate"]);
    check("retention: 90d", "retention: long", &["tracking-plan.yaml:17 bad-duration"]);
    check("required: true", "requierd: true", &["tracking-plan.yaml:20 unknown-key"]);
}

#[test]
fn policy() {
    let check = |from, to, expected: &[&str]| check("policy.yaml", POLICY, from, to, expected);
    check("at_most: 3", "at_most: 0", &["policy.yaml:8 cap-zero"]);
    check("at_most: 3, ", "", &["journeys/j.yaml:7 no-cap", "policy.yaml:8 missing-key"]);
    check(
        "per: local_week",
        "per: week",
        &["journeys/j.yaml:7 no-cap", "policy.yaml:8 bad-duration"],
    );
    check(
        "purpose: marketing }",
        "purpose: marketting }",
        &["journeys/j.yaml:7 no-cap", "policy.yaml:8 unknown-purpose"],
    );
    check(
        "purpose: marketing }",
        "topic: remindes }",
        &["journeys/j.yaml:7 no-cap", "policy.yaml:8 unknown-topic"],
    );
    check(
        "purpose: marketing }",
        "channel: emial }",
        &["journeys/j.yaml:7 no-cap", "policy.yaml:8 unknown-channel"],
    );
    check("purpose: marketing }", "journey: jj }", &["policy.yaml:8 unknown-journey"]);
    check("purpose: marketing }", "step: t }", &["policy.yaml:8 unknown-step"]);
    check("exempt: [caps", "exempt: [cap", &["policy.yaml:5 unknown-value"]);
    check("feedback: {}", "feedback: { exempt: caps }", &["policy.yaml:4 exempt"]);
    check("jurisdictions: none", "jurisdictions: { PL: {} }", &[]);
    let us = "jurisdictions: { base: none, US: { email: opt_out, quiet_hours: [] }, '*': { minimum_age: 0 } }";
    check("jurisdictions: none", us, &[]);
    let christmas = "blackouts: [{ id: x, from: 2026-12-24T18:00, to: 2026-12-26, every: year, countries: [GB, PL], then: drop }]";
    check("jurisdictions: none", christmas, &[]);
    let fatigue = "fatigue: { window: 14d, weights: { dismissed: 3 }, shrink: [{ from: 5, caps: 50 }, { from: 10, caps: 0 }] }";
    check("jurisdictions: none", fatigue, &[]);
    check("jurisdictions: none", "holdout: { percent: 5 }", &["policy.yaml:9 holdout-salt"]);
    check(
        "jurisdictions: none",
        "holdout: { percent: 101, salt: x }",
        &["policy.yaml:9 wrong-type"],
    );
    check("jurisdictions: none", "arbitration: { window: 10m }", &[]);
    check(
        "jurisdictions: none",
        "quiet_hours: [{ from: '21:00', to: '21:00' }]",
        &["policy.yaml:9 quiet-always"],
    );
    check(
        "jurisdictions: none",
        "quiet_hours: [{ from: '25:00', to: 08:00 }]",
        &["policy.yaml:9 bad-time"],
    );
    check(
        "jurisdictions: none",
        "quiet_hours:\n  - { from: '21:00', to: '08:00', then: drop }\n  - { from: '08:00', to: '21:00', then: drop }",
        &["policy.yaml:11 quiet-always"],
    );
    check(
        "topics: [newsletter, offers, reminders]",
        "topics: [newsletter]",
        &["journeys/j.yaml:3 unknown-topic"],
    );
    let all = POLICY.replace("jurisdictions: none", "caps: []");
    assert_eq!(findings(&[("policy.yaml", &all)]), ["policy.yaml:9 duplicate-key"]);
}

#[test]
fn segments() {
    let of = |text: &str| findings(&[("segments.yaml", text)]);
    assert_eq!(
        of("segments: { a: { when: \"in_segment('b')\" }, b: { when: \"in_segment('a')\" } }"),
        ["segments.yaml:1 segment-cycle", "segments.yaml:1 segment-cycle"]
    );
    assert_eq!(
        of("segments: { a: { when: event.properties.n > 1 } }"),
        ["segments.yaml:1 unknown-variable"]
    );
    assert_eq!(of("segments: { a: {} }"), ["segments.yaml:1 missing-key"]);
    assert_eq!(of("segments: [a]"), ["segments.yaml:1 wrong-type"]);
}

#[test]
fn journey_heads() {
    let check = |from, to, expected: &[&str]| check("journeys/j.yaml", JOURNEY, from, to, expected);
    check(
        "purpose: marketing/reminders",
        "purpose: marketin",
        &["journeys/j.yaml:3 unknown-purpose"],
    );
    check(
        "purpose: marketing/reminders",
        "purpose: personalization",
        &["journeys/j.yaml:3 data-purpose", "journeys/j.yaml:7 no-cap"],
    );
    check("purpose: marketing/reminders\n", "", &["journeys/j.yaml:2 missing-key"]);
    check("on: Ping", "on: Pnig", &["journeys/j.yaml:4 unknown-event"]);
    check("{ on: Ping }", "{}", &["journeys/j.yaml:4 entry-form"]);
    check("{ on: Ping }", "{ on: Ping, api: true }", &["journeys/j.yaml:4 entry-form"]);
    check("{ on: Ping }", "{ date: { attribute: birthday } }", &[]);
    check("{ on: Ping }", "{ date: { attribute: points } }", &["journeys/j.yaml:4 type-mismatch"]);
    check(
        "{ on: Ping }",
        "{ schedule: { at: x, audience: regulars } }",
        &["journeys/j.yaml:4 bad-time"],
    );
    check(
        "{ on: Ping }",
        "{ schedule: { cron: '0 9 * *', audience: regulars } }",
        &["journeys/j.yaml:4 bad-time"],
    );
    check(
        "{ on: Ping }",
        "{ schedule: { audience: regulars } }",
        &["journeys/j.yaml:4 schedule-when"],
    );
    check(
        "{ on: Ping }",
        "{ schedule: { at: '2026-12-01T09:00', audience: regulars, pace: 0/min } }",
        &["journeys/j.yaml:4 bad-limit"],
    );
    check(
        "{ on: Ping }",
        "{ api: true, when: event.properties.n > 1 }",
        &["journeys/j.yaml:4 unknown-variable"],
    );
    check("{ on: Ping }", "{ on: Ping, backfill: true }", &["journeys/j.yaml:4 backfill"]);
    check("{ on: Ping }", "{ segment: { enter: x } }", &["journeys/j.yaml:4 unknown-segment"]);
    check(
        "{ on: Ping }",
        "{ attribute: { name: tears } }",
        &["journeys/j.yaml:4 unknown-attribute"],
    );
    check("{ on: Ping }", "{ on: Ping, reentry: allways }", &["journeys/j.yaml:4 unknown-value"]);
    check("{ on: Ping }", "{ on: Ping, at_most: 3 }", &["journeys/j.yaml:4 bad-limit"]);
    check(
        "{ on: Ping }",
        "{ on: Ping, key: event.properties.tags }",
        &["journeys/j.yaml:4 type-mismatch"],
    );
    check("steps:", "goal: { within: 1d }\nsteps:", &["journeys/j.yaml:5 missing-key"]);
    check(
        "steps:",
        "goal: { on: Order Completed, within: 1h }\nsteps:\n  - wait: 2h",
        &["journeys/j.yaml:5 goal-window"],
    );
    check("journey: j", "journey: j\nnam: x", &["journeys/j.yaml:3 unknown-key"]);
}

#[test]
fn journey_steps() {
    let with = |step: &str, expected: &[&str]| {
        let journey = format!("{JOURNEY}{step}");
        assert_eq!(findings(&[("journeys/j.yaml", &journey)]), expected, "{step}");
    };
    with("  - { id: s, wait: 1h }", &["journeys/j.yaml:8 duplicate-step"]);
    with("  - { wiat: 1h }", &["journeys/j.yaml:8 step-kind"]);
    with("  - { wait: 1h, goal: reached }", &["journeys/j.yaml:8 step-kind"]);
    with("  - { wait: 1 h }", &["journeys/j.yaml:8 bad-duration"]);
    with("  - { wait: { until: '9' } }", &["journeys/j.yaml:8 bad-time"]);
    with("  - { wait: { until: '09:00', on: mnday } }", &["journeys/j.yaml:8 unknown-value"]);
    with("  - { wait: { until_date: profile.vip } }", &["journeys/j.yaml:8 type-mismatch"]);
    with("  - { wait: { until: '09:00' }, restart_on: Ping }", &["journeys/j.yaml:8 restart-on"]);
    with("  - { wait_for: { timeout: 1h } }", &["journeys/j.yaml:8 wait-for-what"]);
    with(
        "  - { wait_for: { on: Ping }, timeout: [ { exit: x } ] }",
        &["journeys/j.yaml:8 unreachable"],
    );
    with("  - exit: x\n  - wait: 1h", &["journeys/j.yaml:9 unreachable"]);
    with(
        "  - branch: [ { when: profile.vip, steps: [ exit: a ] }, { else: [ exit: b ] } ]\n  - wait: 1h",
        &["journeys/j.yaml:9 unreachable"],
    );
    with(
        "  - branch: [ { else: [] }, { when: profile.vip, steps: [] } ]",
        &["journeys/j.yaml:8 unreachable"],
    );
    with("  - branch: []", &["journeys/j.yaml:8 missing-key"]);
    with(
        "  - split: { name: n, arms: [ { arm: a, percent: 60 }, { arm: b, percent: 60 } ] }",
        &["journeys/j.yaml:8 split-sum"],
    );
    with("  - update: { color: \"'red'\" }", &["journeys/j.yaml:8 unknown-attribute"]);
    with("  - emit: { event: Pnig }", &["journeys/j.yaml:8 unknown-event"]);
    with("  - throttle: { at_most: 0, per: 1h }", &["journeys/j.yaml:8 cap-zero"]);
    with("  - digest: { window: 4h }", &[]);
    with("  - digest: { max: 10 }", &["journeys/j.yaml:8 missing-key"]);
    with("  - digest: { window: 0s }", &["journeys/j.yaml:8 bad-duration"]);
    with("  - digest: { window: 4h, max: 0 }", &["journeys/j.yaml:8 bad-limit"]);
    with("  - digest: { window: 4h, max: 101 }", &["journeys/j.yaml:8 bad-limit"]);
    with("  - digest: { window: 4h, as: profile }", &["journeys/j.yaml:8 bad-name"]);
    with(
        "  - digest: { window: 4h, key: event.properties.nn }",
        &["journeys/j.yaml:8 unknown-property"],
    );
    with("  - digest: { window: 4h, widnow: 4h }", &["journeys/j.yaml:8 unknown-key"]);
    with("  - enter: { journey: jj }", &["journeys/j.yaml:8 unknown-journey"]);
    with("  - enter: { journey: j }", &["journeys/j.yaml:8 enter-circle"]);
    let send = |settings: &str, expected: &[&str]| {
        with(&format!("  - send: {{ {settings} }}"), expected);
    };
    send("template: tt, channels: [email], expires: 1h", &["journeys/j.yaml:8 unknown-template"]);
    send("template: t, channels: [emial], expires: 1h", &["journeys/j.yaml:8 unknown-channel"]);
    send("template: t, channels: [sms], expires: 1h", &["journeys/j.yaml:8 undeclared-channel"]);
    send("template: t, channels: []", &["journeys/j.yaml:8 missing-key"]);
    send("template: t, channels: [email], at_cap: defer", &["journeys/j.yaml:8 no-expiry"]);
    send(
        "template: t, channels: [email], at_cap: defer, expires: 2d",
        &["journeys/j.yaml:8 short-expiry"],
    );
    send("template: t, channels: [email], best_time: 24h", &[]);
    send("template: t, channels: [email], best_time: 0s", &["journeys/j.yaml:8 bad-duration"]);
    send("template: t, channels: [email], best_time: 8d", &["journeys/j.yaml:8 bad-duration"]);
    send("template: t, channels: [email], at_cap: digest", &["journeys/j.yaml:8 digest-unseen"]);
    send("template: t, channels: [email], purpose: feedback", &["journeys/j.yaml:8 no-cap"]);
}

#[test]
fn purpose_limitation_names_both_lines() {
    let limited = |journey: &str| {
        let compiled = compile(&files(&[("journeys/j.yaml", journey)]));
        let found: Vec<String> = compiled
            .findings
            .iter()
            .filter(|f| ["purpose-limitation", "sensitive"].contains(&f.rule))
            .map(|f| format!("{} {} {}", f.line, f.rule, f.message))
            .collect();
        found.join("\n")
    };
    let entry = |purpose: &str, when: &str| {
        limited(&format!(
            "journey: j\npurpose: {purpose}\nentry:\n  on: Ping\n  when: \"{when}\"\nsteps: []\n"
        ))
    };
    let secret = entry("marketing", "event.properties.secret == 'x'");
    assert!(
        secret.starts_with("5 purpose-limitation") && secret.contains("tracking-plan.yaml:14"),
        "{secret}"
    );
    assert_eq!(entry("service", "event.properties.secret == 'x'"), "");
    assert!(entry("service", "profile.tier == 'x'").contains("tracking-plan.yaml:22"));
    assert!(entry("service", "in_segment('gold')").contains("segment `gold` is for `marketing`"));
    assert!(entry("service", "in_segment('golden-regulars')").contains("through segment `gold`"));
    assert!(
        entry("marketing", "count('Ping', '1d', {'secret': 'x'}) > 1")
            .contains("`secret` of `Ping`")
    );
    assert!(entry("marketing", "profile.skin_type == 'x'").contains("sensitive"));
    // Through the template of a message.
    let service = JOURNEY.replace("marketing/reminders", "service");
    let changes = [("journeys/j.yaml", &*service), ("templates/t/en.txt", "{{ profile.tier }}")];
    assert_eq!(findings(&changes), ["journeys/j.yaml:7 purpose-limitation"]);
}

#[test]
fn templates() {
    let with = |changes: &[(&str, &str)], expected: &[&str]| {
        assert_eq!(findings(changes), expected, "{changes:?}")
    };
    with(
        &[("templates/t/en.yaml", "subject: Hi\nbody: e.txt\n")],
        &["templates/t/en.yaml:2 missing-file"],
    );
    with(
        &[("templates/t/en.yaml", "subject: Hi\nbody: en.doc\n")],
        &["templates/t/en.yaml:2 body-kind"],
    );
    with(&[("templates/t/en.yaml", "body: en.txt\n")], &["templates/t/en.yaml:1 no-subject"]);
    with(
        &[("templates/t/en.yaml", "subject: '{{ x'\nbody: en.txt\n")],
        &["templates/t/en.yaml:1 liquid-syntax"],
    );
    with(&[("templates/t/en.txt", "a\nb {% if x %}")], &["templates/t/en.txt:2 liquid-syntax"]);
    with(&[("templates/t/en.txt", "{{ proflie.tier }}")], &["journeys/j.yaml:7 unknown-variable"]);
    with(
        &[("templates/t/en.txt", "{{ profile.teir | default: '' }}")],
        &["journeys/j.yaml:7 unknown-attribute"],
    );
    let promotional = "subject: Hi\nbody: en.txt\npromotional: true\n";
    let service = JOURNEY.replace("marketing/reminders", "service");
    with(&[("templates/t/en.yaml", promotional)], &[]);
    with(
        &[("templates/t/en.yaml", promotional), ("journeys/j.yaml", &service)],
        &["journeys/j.yaml:7 promotional-service"],
    );
    let compiled = compile(&files(&[("templates/t/en.txt", "Hi")]));
    let info = compiled.findings.iter().find(|f| f.rule == "footer-added").expect("an info");
    assert_eq!(info.severity, Severity::Info);
    assert!(
        info.message.contains("unsubscribe") && info.message.contains("postal"),
        "{}",
        info.message
    );
}

#[test]
fn a_workspace_without_files_says_what_is_missing() {
    let compiled = compile(&crate::Files::default());
    assert!(compiled.definitions.is_none());
    assert_eq!(compiled.findings[0].rule, "missing-file");
}

#[test]
fn all_findings_come_at_once() {
    let broken = "journey: j\npurpose: nope\nentry: { on: Ping, when: profile.x == 1, reentry: z }\nsteps:\n  - wait: x\n  - send: { template: u }\n";
    let found = findings(&[("journeys/j.yaml", broken)]);
    assert!(found.len() >= 6, "{found:?}");
}

#[test]
fn calls() {
    let signed = SOJOURN.replacen("storage:", "calls: { secret: \"${CALLS}\" }\nstorage:", 1);
    let private =
        SOJOURN.replacen("storage:", "calls: { secret: s, allow_private: true }\nstorage:", 1);
    let found = |sojourn: &str, call: &str, expected: &[&str]| {
        let journey = JOURNEY.replacen("steps:\n", &format!("steps:\n  - call: {{ {call} }}\n"), 1);
        let found = findings(&[("sojourn.yaml", sojourn), ("journeys/j.yaml", &journey)]);
        let expected: Vec<String> =
            expected.iter().map(|rule| format!("journeys/j.yaml:6 {rule}")).collect();
        assert_eq!(found, expected, "{call}");
    };
    let call = |call: &str, expected: &[&str]| found(&signed, call, expected);
    call("url: 'https://x.example/{{ run.key }}?n={{ event.properties.n }}', as: stock", &[]);
    call(
        "url: 'https://x.example', method: POST, body: { n: event.properties.n, m: { k: [\"1\"] } }",
        &[],
    );
    call(
        "url: 'https://x.example', headers: { X-A: 'a {{ run.key }}' }, timeout: 5s, on_error: exit",
        &[],
    );
    call("as: stock", &["missing-key"]);
    call("url: 'https://x.example', bdoy: {}", &["unknown-key"]);
    call("url: 'http://x.example'", &["call-plain"]);
    call("url: 'https://localhost:9/'", &["call-private"]);
    call("url: 'https://10.0.0.1/'", &["call-private"]);
    call("url: 'https://[::1]/'", &["call-private"]);
    call("url: 'https://{{ event.properties.id }}/'", &["bad-url"]);
    call("url: 'https://x.example{{ event.properties.id }}'", &["bad-url"]);
    call("url: '{{ event.properties.id }}'", &["bad-url"]);
    call("url: 'https://a@x.example/'", &["bad-url"]);
    call("url: 'ftp://x.example/'", &["bad-url"]);
    call("url: 'stock'", &["bad-url"]);
    call("url: 'https://x.example/{{ run.key'", &["bad-placeholder"]);
    call("url: 'https://x.example/{{ event.properties.secret }}'", &["purpose-limitation"]);
    call(
        "url: 'https://x.example/', body: { n: event.properties.secret }",
        &["purpose-limitation"],
    );
    call("url: 'https://x.example/', method: GET, body: { n: '1' }", &["call-body"]);
    call("url: 'https://x.example/', method: HEAD", &["unknown-value"]);
    call("url: 'https://x.example/', timeout: 0s", &["bad-duration"]);
    call("url: 'https://x.example/', timeout: 2h", &["bad-duration"]);
    call("url: 'https://x.example/', headers: { Host: x }", &["bad-name"]);
    call("url: 'https://x.example/', on_error: retry", &["unknown-value"]);
    found(SOJOURN, "url: 'https://x.example/'", &["call-unsigned"]);
    found(&private, "url: 'http://127.0.0.1:9000/{{ run.key }}'", &[]);
}

#[test]
fn answers_of_calls() {
    let sojourn = SOJOURN.replacen("storage:", "calls: { secret: s }\nstorage:", 1);
    let found = |steps: &str, expected: &[&str]| {
        let (head, _) = JOURNEY.split_once("steps:\n").unwrap();
        let journey = format!("{head}steps:\n{steps}");
        let found = findings(&[("sojourn.yaml", &sojourn), ("journeys/j.yaml", &journey)]);
        assert_eq!(found, expected, "{steps}");
    };
    let ask = "  - call: { url: 'https://x.example/', as: stock }\n";
    let read = "  - branch: [ { when: run.call.stock.n > 1, steps: [ { exit: x } ] } ]\n";
    found(&format!("{ask}{read}"), &[]);
    found(&format!("{read}{ask}"), &["journeys/j.yaml:6 unknown-answer"]);
    found(
        &format!("{ask}{}", read.replace("stock", "stok")),
        &["journeys/j.yaml:7 unknown-answer"],
    );
    found(&format!("{ask}{ask}"), &["journeys/j.yaml:7 duplicate"]);
}

/// Every rule that the code can report has its section, and every section its rule.
#[test]
fn every_rule_has_a_section() {
    let page = include_str!("../../LINTS.md");
    let mut sections: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let sources = [
        include_str!("../cel/mod.rs"),
        include_str!("../cel/lower.rs"),
        include_str!("../cel/calls.rs"),
        include_str!("../cel/operators.rs"),
        include_str!("../cel/reads.rs"),
        include_str!("../lint/data.rs"),
        include_str!("../lint/enters.rs"),
        include_str!("../lint/conditions.rs"),
        include_str!("../lint/flow.rs"),
        include_str!("../lint/hours.rs"),
        include_str!("../lint/levels.rs"),
        include_str!("../lint/loops.rs"),
        include_str!("../lint/mapping.rs"),
        include_str!("../lint/words.rs"),
        include_str!("../lint/policy.rs"),
        include_str!("../lint/steps.rs"),
        include_str!("../lint/templates.rs"),
        include_str!("../load/mod.rs"),
        include_str!("../load/call.rs"),
        include_str!("../load/digest.rs"),
        include_str!("../load/enter.rs"),
        include_str!("../load/entry.rs"),
        include_str!("../load/fatigue.rs"),
        include_str!("../load/hours.rs"),
        include_str!("../load/jurisdictions.rs"),
        include_str!("../load/journey.rs"),
        include_str!("../load/plan.rs"),
        include_str!("../load/pace.rs"),
        include_str!("../load/policy.rs"),
        include_str!("../load/segments.rs"),
        include_str!("../load/steps.rs"),
        include_str!("../load/storage.rs"),
        include_str!("../load/waits.rs"),
        include_str!("../load/template.rs"),
        include_str!("../load/workspace.rs"),
        include_str!("../reader.rs"),
        include_str!("../resolve.rs"),
        include_str!("../yaml.rs"),
        include_str!("../finding.rs"),
    ];
    let mut rules: Vec<&str> = sources.iter().flat_map(|source| rules_in(source)).collect();
    for list in [&mut sections, &mut rules] {
        list.sort_unstable();
        list.dedup();
    }
    assert_eq!(sections, rules);
}

/// The first text literal after each call that reports.
fn rules_in(source: &'static str) -> Vec<&'static str> {
    let calls = [".error(", ".warning(", ".report(", "refuse(", ".warn(", "rule:"];
    let mut rules = Vec::new();
    for call in calls {
        for (at, _) in source.match_indices(call) {
            let rest = &source[at + call.len()..];
            let Some(text) = rest.split('"').nth(1) else { continue };
            // The literal must be an argument of this very call.
            let before = rest.split('"').next().unwrap_or_default();
            let fits =
                text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') && !text.is_empty();
            if fits && before.len() < 60 && !before.contains(';') && !before.contains('{') {
                rules.push(text);
            }
        }
    }
    rules
}
