//! The JSON Schemas take every workspace that the lint takes, and refuse what an editor should mark.

use super::workspaces::all_files;
use crate::finding::{Findings, Source};
use crate::schema;
use crate::yaml::{self, Kind, Node};
use serde_json::{Value, json};

fn json_of(node: &Node) -> Value {
    match &node.kind {
        _ if node.is_null() => Value::Null,
        Kind::Scalar(text, _) => match (node.boolean(), node.number()) {
            (Some(flag), _) => json!(flag),
            (_, Some(number)) if number.fract() == 0.0 => json!(number.round()),
            (_, Some(number)) => json!(number),
            _ => json!(text),
        },
        Kind::Sequence(items) => items.iter().map(json_of).collect(),
        Kind::Mapping(entries) => entries
            .iter()
            .map(|(key, value)| (key.text().unwrap_or("").to_owned(), json_of(value)))
            .collect(),
    }
}

/// As much of JSON Schema as ours use; the first thing that does not fit.
fn check(schema: &Value, value: &Value, root: &Value, at: &str) -> Result<(), String> {
    let refuse = |why: &str| Err(format!("{at}: {why}: {value}"));
    if let Some(name) = schema["$ref"].as_str() {
        let target = root.pointer(name.trim_start_matches('#')).ok_or(format!("no {name}"))?;
        return check(target, value, root, at);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let failures: Vec<String> =
            any.iter().filter_map(|one| check(one, value, root, at).err()).collect();
        return if failures.len() < any.len() { Ok(()) } else { Err(failures.join("\n  or ")) };
    }
    if schema["enum"].as_array().is_some_and(|values| !values.contains(value)) {
        return refuse("not one of the values");
    }
    if schema.get("const").is_some_and(|constant| constant != value) {
        return refuse("not the value");
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let fits = |kind: &&str| match *kind {
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        _ => value.is_null(),
    };
    if !kinds.is_empty() && !kinds.iter().any(fits) {
        return refuse("wrong type");
    }
    if let (Some(pattern), Some(text)) = (schema["pattern"].as_str(), value.as_str())
        && !regex::Regex::new(pattern).expect("a pattern").is_match(text)
    {
        return refuse("not of the form");
    }
    if let (Some(least), Some(number)) = (schema["minimum"].as_f64(), value.as_f64())
        && number < least
    {
        return refuse("too small");
    }
    for (place, item) in value.as_array().into_iter().flatten().enumerate() {
        check(&schema["items"], item, root, &format!("{at}/{place}"))?;
    }
    for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.get(key).is_none() {
            return refuse(&format!("no `{key}`"));
        }
    }
    for (key, member) in value.as_object().into_iter().flatten() {
        let at = format!("{at}/{key}");
        match (&schema["properties"][key], &schema["additionalProperties"]) {
            (Value::Null, Value::Bool(false)) => return Err(format!("{at}: unknown key")),
            (Value::Null, other) => check(other, member, root, &at)?,
            (known, _) => check(known, member, root, &at)?,
        }
    }
    Ok(())
}

fn check_text(path: &str, text: &str) -> Result<(), String> {
    let findings = Findings::default();
    let node = yaml::read(text, &Source { file: path, findings: &findings }).ok_or("not YAML")?;
    let root: Value =
        serde_json::from_str(schema::of_file(path).ok_or("no schema")?).expect("JSON");
    check(&root, &json_of(&node), &root, path)
}

#[test]
fn every_kept_workspace_fits_its_schemas() {
    let mut checked = 0;
    for files in all_files().into_iter().chain([super::files(&[])]) {
        for (path, text) in files.0.iter().filter(|(path, _)| path.ends_with(".yaml")) {
            check_text(path, text).unwrap_or_else(|error| panic!("{path}: {error}\n{text}"));
            checked += 1;
        }
    }
    assert!(checked > 100);
    check_text("journeys/tree.yaml", super::journeys::TREE).expect("every step");
}

const SCENARIO: &str = "\
scenario: One reminder
journey: cart
day: 2026-03-02
people:
  ada: { email: a@b.c, agrees: [email/marketing, push/marketing/offers], device: d1 }
given:
  - { at: \"10:00\", person: ada, event: Cart Updated, with: { value: 20, tags: [a] } }
  - { at: \"+1d 10:00\", person: ada, refuses: email/marketing }
  - { at: 2026-03-05T10:00:00Z, command: pause, journey: cart }
until: 2026-03-09 10:00
expect:
  - { at: \"11:00\", step: remind, outcome: approve, channel: email, reason: null }
";

#[test]
fn scenarios_fit_alone_and_in_a_list() {
    check_text("tests/cart.yaml", SCENARIO).expect("one");
    let mut list = "scenarios:\n".to_owned();
    for (place, line) in SCENARIO.lines().enumerate() {
        list.push_str(&format!("  {} {line}\n", if place == 0 { "-" } else { " " }));
    }
    check_text("tests/cart.yaml", &list).expect("a list of one");
}

#[test]
fn slips_do_not_fit() {
    for (path, base, from, to) in [
        ("sojourn.yaml", super::SOJOURN, "locales:", "locale:"),
        ("sojourn.yaml", super::SOJOURN, "kind: pos", "kind: poss"),
        ("tracking-plan.yaml", super::PLAN, "type: number", "type: nubmer"),
        ("policy.yaml", super::POLICY, "at_most: 3", "at_most: 0"),
        ("policy.yaml", super::POLICY, "per: local_week", "per: week"),
        ("segments.yaml", super::SEGMENTS, "when:", "wen:"),
        ("journeys/j.yaml", super::JOURNEY, "expires: 24h", "expires: 24 h"),
        ("journeys/j.yaml", super::JOURNEY, "send:", "sned:"),
        ("tests/t.yaml", SCENARIO, "outcome: approve", "outcome: approved"),
        ("tests/t.yaml", SCENARIO, "with:", "wiht:"),
        ("tests/t.yaml", SCENARIO, "at: \"10:00\"", "at: ten"),
    ] {
        assert!(
            base.contains(from) && check_text(path, &base.replacen(from, to, 1)).is_err(),
            "{path}: {to}"
        );
    }
}
