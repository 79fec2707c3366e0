//! Bad input: no text, whatever it holds, makes a parser panic or recurse without end.

use super::{JOURNEY, PLAN, POLICY, SEGMENTS, SOJOURN, files};
use crate::compile;
use proptest::prelude::*;

const FILES: &[(&str, &str)] = &[
    ("sojourn.yaml", SOJOURN),
    ("tracking-plan.yaml", PLAN),
    ("policy.yaml", POLICY),
    ("segments.yaml", SEGMENTS),
    ("journeys/j.yaml", JOURNEY),
    ("templates/t/en.yaml", "subject: Hello {{ profile.tier }}\nbody: en.txt\n"),
    (
        "templates/t/en.txt",
        "{% for x in event.properties.tags %}{{ x.y | default: 'z' }}{% endfor %}{% if a %}b{% endif %}",
    ),
];

/// Cuts, doubles or replaces a piece of a text, at borders of characters.
fn mutate(text: &str, at: usize, length: usize, put: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let start = at % (characters.len() + 1);
    let end = (start + length).min(characters.len());
    let mut mutated: String = characters[..start].iter().collect();
    mutated.push_str(put);
    mutated.extend(&characters[end..]);
    mutated
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, ..ProptestConfig::default() })]

    #[test]
    fn mutated_files_never_panic(
        which in 0..FILES.len(),
        edits in proptest::collection::vec((any::<usize>(), 0usize..12, "[\\[\\]{}:,&*|>'\"!%#\\-\n \ta-z0-9.?(é\u{0}]{0,6}"), 1..4),
    ) {
        let (path, base) = FILES[which];
        let text = edits.iter().fold(base.to_owned(), |text, (at, length, put)| mutate(&text, *at, *length, put));
        let compiled = compile(&files(&[(path, &text)]));
        let failed = compiled.errors().count() > 0;
        prop_assert_eq!(compiled.definitions.is_none(), failed);
        for finding in &compiled.findings {
            prop_assert!(finding.line > 0 && finding.column > 0 && !finding.message.is_empty() && !finding.remedy.is_empty());
        }
    }

    #[test]
    fn any_text_never_panics(which in 0..FILES.len(), text in "\\PC{0,80}|[ \\n:{}\\[\\],&*!|>'\"%@`a-c0-9-]{0,80}") {
        let (path, _) = FILES[which];
        let _ = compile(&files(&[(path, &text)]));
    }

    #[test]
    fn any_expression_never_panics(text in "[a-z.()\\[\\]{}!&|=<>?:'\"+*/% 0-9,-]{0,60}|(event|profile|\\.n|count|\\(|\\)|'|,|&&|\\|\\||==|>|1|!| |\\?|:|in|has|\\.all|\\[|\\]|x){0,20}") {
        let quoted = text.replace('\'', "''");
        let journey = format!("journey: j\npurpose: service\nentry: {{ on: Ping, when: '{quoted}' }}\nsteps: []\n");
        let _ = compile(&files(&[("journeys/j.yaml", &journey)]));
    }
}

/// Compiles on a small stack, as a program's worker thread might.
fn on_a_small_stack(changes: Vec<(&'static str, String)>) -> Vec<&'static str> {
    let work = move || {
        let changes: Vec<(&str, &str)> =
            changes.iter().map(|(path, text)| (*path, text.as_str())).collect();
        compile(&files(&changes)).findings.iter().map(|finding| finding.rule).collect()
    };
    std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(work)
        .expect("a thread")
        .join()
        .expect("no overflow")
}

#[test]
fn deep_and_large_files_are_refused() {
    let flow = format!("a: {}{}", "[".repeat(100_000), "]".repeat(100_000));
    let block: String = (0..5_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    let mut laughs = "a0: &a0 [x, x]\n".to_owned();
    for n in 1..40 {
        laughs.push_str(&format!("a{n}: &a{n} [*a{}, *a{}]\n", n - 1, n - 1));
    }
    let large = "# x\n".repeat(400_000);
    for text in [flow, block, laughs, large] {
        let rules = on_a_small_stack(vec![("policy.yaml", text)]);
        assert!(rules.contains(&"limit") || rules.contains(&"yaml-syntax"), "{rules:?}");
    }
    let steps = format!("{JOURNEY}{}", "  - wait: 1h\n".repeat(1_100));
    assert!(on_a_small_stack(vec![("journeys/j.yaml", steps)]).contains(&"limit"));
    let mut nested = "[ { exit: x } ]".to_owned();
    for _ in 0..40 {
        nested = format!("[ {{ branch: [ {{ else: {nested} }} ] }} ]");
    }
    let nested = format!("journey: j\npurpose: service\nentry: {{ on: Ping }}\nsteps: {nested}\n");
    assert!(on_a_small_stack(vec![("journeys/j.yaml", nested)]).contains(&"limit"));
    let ifs = format!("{}{}", "{% if x %}".repeat(20_000), "{% endif %}".repeat(20_000));
    assert!(on_a_small_stack(vec![("templates/t/en.txt", ifs)]).contains(&"limit"));
    let indexes = format!("{{{{ a{}{} }}}}", "[a".repeat(20_000), "]".repeat(20_000));
    assert!(on_a_small_stack(vec![("templates/t/en.txt", indexes)]).contains(&"limit"));
}

#[test]
fn expressions_at_their_limits_fit_a_small_stack() {
    for text in [
        format!("{}1{} == 1", "(".repeat(10), ")".repeat(10)),
        vec!["event.properties.n == 1"; 240].join(" && "),
        vec!["1"; 900].join("+"),
        format!("profile{} == 1", ".preferences".repeat(600)),
        format!("{}'a'{} == []", "[".repeat(10), "]".repeat(10)),
        "!true || ".repeat(400) + "true",
        "a".repeat(8_000),
        "true ? 1 : ".repeat(23) + "1",
    ] {
        let quoted = text.replace('\'', "''");
        let journey = format!(
            "journey: j\npurpose: service\nentry: {{ on: Ping, when: '{quoted}' }}\nsteps: []\n"
        );

        let _ = on_a_small_stack(vec![("journeys/j.yaml", journey)]);
    }
}
