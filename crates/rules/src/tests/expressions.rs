//! Expressions: what is lowered to what, what is refused and how it is said.

use super::{PLAN, findings, sound};
use crate::{Condition, Expr, Files, HistoryFunction, Root, StepKind, Trigger, compile};
use sojourn_model::DurationMs;

/// The condition of a branch in a journey that `Ping` enters.
pub(super) fn condition(text: &str) -> Condition {
    let definitions = sound(&[("journeys/j.yaml", &journey("steps", text))]);
    match &definitions.journeys[0].steps[0].kind {
        StepKind::Update(values) => values[0].1.clone(),
        other => panic!("{other:?}"),
    }
}

pub(super) fn expression(text: &str) -> Expr {
    condition(text).expr
}

fn journey(place: &str, text: &str) -> String {
    let quoted = text.replace('\'', "''");
    let head = "journey: j\npurpose: service\n";
    match place {
        "entry" => format!("{head}entry: {{ on: Ping, when: '{quoted}' }}\nsteps: []\n"),
        _ => format!(
            "journey: j\npurpose: marketing\nentry: {{ on: Ping }}\nsteps:\n  - update: {{ points: '{quoted}' }}\n"
        ),
    }
}

/// Rule, line, column and message of the findings on one expression.
fn problems(text: &str) -> Vec<(String, u32, String)> {
    let compiled = compile(&super::files(&[("journeys/j.yaml", &journey("entry", text))]));
    let here = compiled
        .findings
        .iter()
        .filter(|finding| finding.file == "journeys/j.yaml" && finding.rule != "no-steps");
    here.map(|f| (f.rule.to_owned(), f.column, format!("{}; {}", f.message, f.remedy))).collect()
}

#[test]
fn names_what_it_refuses() {
    for (text, rule, said) in [
        ("event.properties.m == 1", "unknown-property", "did you mean `n`?"),
        ("event.properties.totel == 1", "unknown-property", "`Ping`"),
        ("profile.teir == 'gold'", "unknown-property", "did you mean `tier`?"),
        ("profile.locale == 'en' && profile.x > 1", "unknown-property", "`x`"),
        ("count('Ping', '1d', {'idd': 'a'}) > 1", "unknown-property", "did you mean `id`?"),
        ("sum('Order Completed', 'totl') > 1", "unknown-property", "did you mean `total`?"),
        ("evnt.properties.n == 1", "unknown-variable", "did you mean `event`?"),
        ("tier == 'gold'", "unknown-variable", "did you mean `profile.tier`?"),
        ("event.n == 1", "unknown-variable", "did you mean `event.properties.n`?"),
        ("event.nmae == 'x'", "unknown-variable", "did you mean `name`?"),
        ("run.key == 'a'", "unknown-variable", "there is no run here"),
        ("gold", "unknown-variable", "text needs quotes"),
        ("in_segment('regular')", "unknown-segment", "did you mean `regulars`?"),
        ("in_segment(profile.tier)", "unsupported", "quotes"),
        ("size(1) == 1", "type-mismatch", "`size` does not take a number"),
        ("event.properties.n == 'a'", "type-mismatch", "a number and a text"),
        ("event.properties.id < 5", "type-mismatch", "`<` between a text and a number"),
        ("event.timestamp > '2026-01-01'", "type-mismatch", "timestamp('"),
        ("event.timestamp - 5 > event.timestamp", "type-mismatch", "duration('24h')"),
        ("event.properties.n", "type-mismatch", "true or false"),
        ("!event.properties.n", "type-mismatch", "a condition is needed"),
        ("event.properties.n && true", "type-mismatch", "a condition is needed"),
        ("count('Ping', 'soon') > 1", "wrong-arguments", "count('Event'"),
        ("count('Ping', '0s') > 1", "wrong-arguments", "greater than 0"),
        ("count() > 1", "wrong-arguments", "event's name is missing"),
        ("count(event.name) > 1", "wrong-arguments", "in quotes"),
        ("sum('Ping') > 1", "wrong-arguments", "property's name is missing"),
        ("sum('Ping', 'id') > 1", "type-mismatch", "needs a number"),
        ("last('Ping', 'n', '1d', {'id': 'x'}) > 1", "wrong-arguments", "one too many"),
        ("cuont('Ping') > 1", "unknown-function", "did you mean `count`?"),
        ("event.properties.id.startswith('a')", "unknown-function", "did you mean `startsWith`?"),
        ("startsWith('a', 'b')", "wrong-arguments", "x.startsWith(…)"),
        ("event.properties.id.matches('[')", "bad-pattern", "regular expression"),
        ("event.properties.id.matches(profile.tier)", "unsupported", "pattern"),
        ("event.timestamp > timestamp('tomorrow')", "bad-time", "tomorrow"),
        ("event.timestamp - duration('soon') > event.timestamp", "bad-duration", "soon"),
        ("b'x' == b'x'", "unsupported", "byte string"),
        ("Ping{n: 1} == 1", "unsupported", "message literal"),
        ("has(event.properties.tags[0].x)", "unsupported", "`has()`"),
        ("{1: 2} == {}", "type-mismatch", "text in quotes"),
        ("event.properties.n >= ", "expression-syntax", "not an expression"),
        ("event.properties.n = 5", "expression-syntax", "not an expression"),
        ("", "limit", "empty"),
    ] {
        let found = problems(text);
        assert!(
            found.iter().any(|(found, _, message)| found == rule && message.contains(said)),
            "{text}: {found:#?}"
        );
    }
}

#[test]
fn says_where_in_the_expression() {
    // entry: { on: Ping, when: '…' }
    let start = u32::try_from("entry: { on: Ping, when: '".len()).expect("short") + 1;
    let text = "event.properties.n >= 1 && profile.teir == \"x\"";
    let found = problems(text);
    let column = start + u32::try_from(text.find("profile").expect("there")).expect("short");
    // The parser places a selection at its last dot.
    assert!((column..column + 8).contains(&found[0].1), "{found:?}, not {column}");
}

#[test]
fn lowers_reads_and_calls() {
    let path = |names: &[&str]| -> crate::Path {
        names.iter().map(|name| sojourn_model::Name::from(*name)).collect::<Vec<_>>().into()
    };
    assert_eq!(
        expression("event.properties['n']"),
        Expr::Read(Root::EventProperties, path(&["n"]))
    );
    assert_eq!(
        expression("profile.address.country"),
        Expr::Read(Root::Profile, path(&["address", "country"]))
    );
    assert_eq!(
        expression("profile.preferences.diet"),
        Expr::Read(Root::Profile, path(&["preferences", "diet"]))
    );
    assert_eq!(
        expression("run.events['a-b'].properties.n"),
        Expr::Read(Root::Run, path(&["events", "a-b", "properties", "n"]))
    );
    assert_eq!(expression("has(event.context.ip)"), Expr::Has(Root::EventContext, path(&["ip"])));
    let Expr::History(call) = expression("count('Ping', '24h', {'place.city': 'York'})") else {
        panic!("a history call");
    };
    assert_eq!(call.function, HistoryFunction::Count);
    assert_eq!(call.window, Some(DurationMs::hours(24)));
    assert_eq!(call.filter[0].0, path(&["place", "city"]));
    assert_eq!(expression("10"), Expr::Literal(sojourn_model::Value::Number(10.0)));
}

#[test]
fn knows_what_time_alone_can_change() {
    for (text, windowed) in [
        ("count('Ping', '24h') > 1", true),
        ("count('Ping') > 1", false),
        ("in_segment('regulars')", true),
        ("in_segment('golden-regulars')", true),
        ("in_segment('gold')", false),
        ("event.properties.n > 1", false),
    ] {
        assert_eq!(condition(text).windowed, windowed, "{text}");
    }
}

#[test]
fn reserved_names_need_no_plan() {
    for text in [
        "profile.time_zone == 'a'",
        "profile.timezone == 'a'",
        "profile.locale == 'a'",
        "profile.preferred_channel == 'a'",
        "profile.address.country == 'PL'",
        "profile.birthday > '2000-01-01'",
        "profile.household_id == 'a'",
        "profile.preferences.diet == 'vegan'",
        "profile.insight.clv_12m >= 300",
        "count('Email Link Clicked', '7d', {'link': 'x'}) > 0",
    ] {
        condition(text);
    }
    // Without a plan there is nothing to be typed against but the reserved names.
    let journey = "journey: j\npurpose: service\nentry: { on: Page Viewed, when: event.properties.path == '/x' }\nsteps: []\n";
    let found = findings(&[
        ("journeys/j.yaml", journey),
        ("tracking-plan.yaml", ""),
        ("segments.yaml", ""),
    ]);
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn an_unreadable_plan_hides_nothing_else() {
    let broken = format!("{PLAN}\n  - [");
    let journey = "journey: j\npurpose: service\nentry: { on: Anything, when: event.properties.x == 1 && size(1) == 1 }\nsteps: []\n";
    let found = findings(&[("tracking-plan.yaml", &broken), ("journeys/j.yaml", journey)]);
    assert!(
        found.iter().any(|f| f.starts_with("tracking-plan.yaml") && f.ends_with("yaml-syntax")),
        "{found:?}"
    );
    assert!(found.contains(&"journeys/j.yaml:3 type-mismatch".to_owned()), "{found:?}");
    assert!(!found.iter().any(|f| f.contains("unknown")), "{found:?}");
}

#[test]
fn refuses_what_is_too_large() {
    let deep = format!("{}1{} == 1", "(".repeat(200), ")".repeat(200));
    let long = format!("1 == {}", vec!["1"; 3_000].join(" + "));
    let chain = format!("event.properties.n > {}", "true ? 1 : ".repeat(100) + "2");
    let lists = format!("{}{} == []", "[".repeat(500), "]".repeat(500));
    let signs = format!("{}1 == 1", "-".repeat(500));
    for text in [deep, long, chain, lists, signs, "x".repeat(10_000)] {
        let found = problems(&text);
        assert!(found.iter().any(|(rule, ..)| rule == "limit"), "{found:?}");
    }
    // Well within the limits: a long list of alternatives.
    let many = vec!["event.properties.n == 1"; 60].join(" || ");
    assert!(matches!(expression(&many), Expr::Binary(..)));
    assert!(matches!(sound(&[]).journeys[0].entry.trigger, Trigger::Event(_)));
    assert!(Files::default().0.is_empty());
}

#[test]
fn brackets_hidden_by_odd_texts_are_counted() {
    let deep = "(".repeat(40);
    for text in [
        format!("// ' \n{deep}1"),
        format!("r'\\' == {deep}1"),
        format!("'\\q{deep}'"),
        format!("'''a'b''' == {deep}1"),
        format!("'unclosed {deep}"),
    ] {
        let journey = format!(
            "journey: j\npurpose: service\nentry:\n  on: Ping\n  when: {}\nsteps: []\n",
            serde_json::Value::from(text.as_str())
        );
        let found = findings(&[("journeys/j.yaml", &journey)]);
        assert!(found.contains(&"journeys/j.yaml:5 limit".to_owned()), "{text}: {found:?}");
    }
    // Brackets in an ordinary text do not count.
    let brackets = format!("event.properties.id == '{deep}'");
    assert!(matches!(expression(&brackets), Expr::Binary(..)));
}
