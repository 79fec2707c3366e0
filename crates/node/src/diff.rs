//! What a publish would change: files line by line, and the journeys with people inside.

use serde_json::{Value, json};
use similar::TextDiff;
use sojourn_rules::Files;
use std::collections::{BTreeMap, BTreeSet};

fn change(old: Option<&String>, new: Option<&String>) -> Option<&'static str> {
    match (old, new) {
        (None, Some(_)) => Some("added"),
        (Some(_), None) => Some("removed"),
        (Some(old), Some(new)) if old != new => Some("changed"),
        _ => None,
    }
}

/// Files that differ, with a unified diff.
pub(crate) fn files(old: &Files, new: &Files) -> Value {
    let paths: BTreeSet<&String> = old.0.keys().chain(new.0.keys()).collect();
    paths
        .into_iter()
        .filter_map(|path| {
            let (before, after) = (old.0.get(path), new.0.get(path));
            let change = change(before, after)?;
            let (before, after) = (before.map_or("", |t| t), after.map_or("", |t| t));
            let diff =
                TextDiff::from_lines(before, after).unified_diff().context_radius(2).to_string();
            Some(json!({"path": path, "change": change, "diff": diff}))
        })
        .collect()
}

/// Journeys whose file differs, with the runs that go on in the version they entered.
pub(crate) fn journeys(old: &Files, new: &Files, runs: &BTreeMap<String, u64>) -> Value {
    let of = |files: &Files| -> BTreeMap<String, String> {
        let journeys = files.0.iter().filter(|(path, _)| path.starts_with("journeys/"));
        journeys.map(|(path, text)| (name(path, text), text.clone())).collect()
    };
    let (before, after) = (of(old), of(new));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .filter_map(|name| {
            let change = change(before.get(name), after.get(name))?;
            Some(json!({"journey": name, "change": change, "runs": runs.get(name).unwrap_or(&0)}))
        })
        .collect()
}

/// The journey's name: its first line says it; else the file's.
fn name(path: &str, text: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix("journey:"));
    let stem = path.trim_start_matches("journeys/").trim_end_matches(".yaml");
    line.map_or(stem, |name| name.trim().trim_matches(['"', '\''])).to_owned()
}
