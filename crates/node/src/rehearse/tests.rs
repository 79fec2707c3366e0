//! Scenarios that hold, scenarios that do not, and what is said of either.

use super::*;
use sojourn_rules::Files;

const JOURNEY: &str = "\
journey: cart
purpose: marketing
entry: { on: Cart Updated, key: event.properties.cart_id }
exit_on: [ { on: Order Completed } ]
steps:
  - id: settle
    wait: 1h
  - id: remind
    send: { template: t, channels: [email, push], expires: 24h }
";

fn workspace(scenario: &str) -> Files {
    let files = [
        (
            "sojourn.yaml",
            "workspace: w\ncompany: { name: W, postal_address: A, privacy_contact: p@w.example }\n\
             time_zone: Europe/London\nlocales: [en]\n\
             sources:\n  - { id: site, channel: web, kind: segment, write_key: k, mode: strict }\n\
             channels:\n  email: { kind: file, path: ./out, from: \"W <w@w.example>\" }\n  \
             push: { kind: file, path: ./out }\n\
             storage: { kind: embedded, path: ./data, retention: 400d }\n",
        ),
        (
            "tracking-plan.yaml",
            "events:\n  Cart Updated:\n    channel: web\n    properties:\n      \
             cart_id: { type: string, required: true, purposes: [marketing] }\n  \
             Order Completed: { channel: web }\n",
        ),
        (
            "policy.yaml",
            "purposes:\n  marketing: { topics: [offers] }\ncaps:\n  \
             - { id: daily, at_most: 1, per: 24h, scope: { purpose: marketing }, at_cap: drop }\n\
             jurisdictions: none\n",
        ),
        ("journeys/cart.yaml", JOURNEY),
        ("templates/t/en.yaml", "subject: S\nbody: en.txt\n"),
        ("templates/t/en.txt", "{{ links.unsubscribe }} {{ company.postal_address }}\n"),
        ("tests/cart.yaml", scenario),
    ];
    Files(files.map(|(path, text)| (path.to_owned(), text.to_owned())).into())
}

fn read_one(scenario: &str) -> Result<(Vec<Scenario>, Arc<Definitions>), Vec<String>> {
    let mut files = workspace(scenario);
    let mut tests = files.0.clone();
    tests.retain(|path, _| path.starts_with("tests/"));
    files.0.retain(|path, _| !path.starts_with("tests/"));
    let compiled = sojourn_rules::compile(&files);
    let definitions = compiled.definitions.unwrap_or_else(|| panic!("{:#?}", compiled.findings));
    match read(&Files(tests), &definitions) {
        Ok(scenarios) => Ok((scenarios, definitions)),
        Err(findings) => Err(findings.iter().map(ToString::to_string).collect()),
    }
}

fn verdict(expect: &str) -> Verdict {
    let text = format!(
        "scenario: s\nday: 2026-07-01\npeople:\n  Ada: {{ email: ada@w.example, agrees: email/marketing }}\n\
         given:\n  - {{ at: \"10:00\", person: Ada, event: Cart Updated, with: {{ cart_id: c1 }} }}\n  \
         - {{ at: \"12:00\", person: Ada, event: Cart Updated, with: {{ cart_id: c2 }} }}\nexpect:\n{expect}"
    );
    let (scenarios, definitions) = read_one(&text).unwrap_or_else(|errors| panic!("{errors:#?}"));
    run(&scenarios[0], &definitions, Path::new("."))
}

const SENT: &str = "  - { at: \"11:00\", person: Ada, step: remind, outcome: approve, channel: email, run_key: c1 }\n";
const CAPPED: &str =
    "  - { at: \"13:00\", person: Ada, step: remind, outcome: suppress, reason: cap }\n";

fn kinds(verdict: &Verdict) -> Vec<RowKind> {
    verdict.rows.iter().map(|row| row.kind).collect()
}

#[test]
fn what_comes_as_expected_passes_in_the_workspaces_own_time() {
    let verdict = verdict(&format!("{SENT}{CAPPED}"));
    assert!(verdict.passed, "{verdict:#?}");
    // 11:00 in London in July.
    let at = verdict.rows[0].got.as_ref().map(|got| got["at"].clone());
    assert_eq!(at, Some("2026-07-01T10:00:00.000Z".into()));
}

#[test]
fn a_decision_with_another_outcome_is_shown_beside_it_with_its_reason() {
    let verdict = verdict(&format!("{SENT}{}", CAPPED.replace("suppress, reason: cap", "approve")));
    assert!(!verdict.passed);
    assert_eq!(kinds(&verdict), [RowKind::Same, RowKind::Differs]);
    let row = &verdict.rows[1];
    assert_eq!(row.fields.len(), 1);
    assert_eq!((&*row.fields[0].expected, &*row.fields[0].got), ("approve", "suppress"));
    assert!(row.why.as_ref().is_some_and(|why| why.contains("1 of 1")), "{row:#?}");
}

#[test]
fn decisions_too_few_and_too_many_are_named() {
    let missing = verdict(&format!(
        "{SENT}{CAPPED}  - {{ step: remind, person: Ada, at: \"14:00\", outcome: defer }}\n"
    ));
    assert_eq!(kinds(&missing), [RowKind::Same, RowKind::Same, RowKind::Missing]);
    let unexpected = verdict(CAPPED);
    assert_eq!(kinds(&unexpected), [RowKind::Unexpected, RowKind::Same]);
    let nothing = verdict("  []\n");
    assert_eq!(kinds(&nothing), [RowKind::Unexpected; 2]);
    assert!(!missing.passed && !unexpected.passed && !nothing.passed);
}

#[test]
fn slips_are_named_with_their_line_and_a_remedy() {
    for (line, message) in [
        ("given: [{ at: ten, person: a, event: Cart Updated }]", "is no time"),
        ("given: [{ at: \"10:00\", person: a, event: Cart Updated }]", "cart_id"),
        ("given: [{ at: \"10:00\", persn: a, event: Cart Updated }]", "no key `persn`"),
        ("given: [{ at: \"10:00\", person: a, agrees: email }]", "is no consent"),
        ("given: [{ at: \"10:00\", person: a, agrees: email/marketing/x }]", "no topic `x`"),
        ("given: [{ at: \"10:00\", command: dance }]", "unknown command"),
        ("given: [{ person: a, event: Cart Updated }]", "has no time"),
    ] {
        let text = format!("scenario: s\nday: 2026-07-01\n{line}\nexpect: []\n");
        let errors = read_one(&text).map(|_| ()).unwrap_err().join("\n");
        assert!(
            errors.contains(message) && errors.contains("tests/cart.yaml:3"),
            "{line}: {errors}"
        );
    }
    for (line, message) in [
        ("  - { outcome: approved }", "no `approved`"),
        ("  - { step: remind }", "no `outcome`"),
        ("  - { step: remnd, outcome: approve }", "no journey of this scenario has a step"),
        ("  - { journey: crat, outcome: approve }", "no journey `crat`"),
        ("  - { outcome: suppress, reason: caps }", "no `caps`"),
    ] {
        let text = format!("scenario: s\nday: 2026-07-01\ngiven: []\nexpect:\n{line}\n");
        let errors = read_one(&text).map(|_| ()).unwrap_err().join("\n");
        assert!(
            errors.contains(message) && errors.contains("tests/cart.yaml:5"),
            "{line}: {errors}"
        );
    }
}
