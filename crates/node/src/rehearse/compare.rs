//! Expected and actual decisions, laid side by side.

use super::Got;
use super::scenario::{Expected, Want};
use crate::rows::rfc3339;
use serde::Serialize;
use serde_json::{Map, Value};
use sojourn_gateway::message::parse_rfc3339;

/// How a row came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RowKind {
    /// As expected.
    Same,
    /// It came, with other values.
    Differs,
    /// Expected, and did not come.
    Missing,
    /// Came, and was not expected.
    Unexpected,
}

/// A field with another value than expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldDifference {
    /// Its name.
    pub field: String,
    /// As the file says.
    pub expected: String,
    /// As it came.
    pub got: String,
}

/// An expected decision, an actual one, or both.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// How it came out.
    pub kind: RowKind,
    /// Line of the expected decision.
    pub line: Option<u32>,
    /// What the file says.
    pub expected: Option<Value>,
    /// The line of `simulate --decisions`.
    pub got: Option<Value>,
    /// Why the engine decided so.
    pub why: Option<String>,
    /// Where the two differ.
    pub fields: Vec<FieldDifference>,
}

/// Pairs the two lists, both in order, so that as much as possible agrees.
pub(super) fn rows(expected: &[Expected], got: Vec<Got>) -> Vec<Row> {
    let scores: Vec<Vec<u32>> = expected
        .iter()
        .map(|one| got.iter().map(|other| likeness(one, &other.row)).collect())
        .collect();
    // best[i][j]: the most that the first i and the first j can agree.
    let mut best = vec![vec![0u32; got.len() + 1]; expected.len() + 1];
    for i in 1..=expected.len() {
        for j in 1..=got.len() {
            let paired = match scores[i - 1][j - 1] {
                0 => 0,
                score => best[i - 1][j - 1] + score,
            };
            best[i][j] = paired.max(best[i - 1][j]).max(best[i][j - 1]);
        }
    }
    let (mut i, mut j) = (expected.len(), got.len());
    let mut rows = Vec::with_capacity(i.max(j));
    while i > 0 || j > 0 {
        let score = if i > 0 && j > 0 { scores[i - 1][j - 1] } else { 0 };
        if score > 0 && best[i][j] == best[i - 1][j - 1] + score {
            rows.push(pair(Some(&expected[i - 1]), Some(&got[j - 1])));
            (i, j) = (i - 1, j - 1);
        } else if j > 0 && (i == 0 || best[i][j] == best[i][j - 1]) {
            rows.push(pair(None, Some(&got[j - 1])));
            j -= 1;
        } else {
            rows.push(pair(Some(&expected[i - 1]), None));
            i -= 1;
        }
    }
    rows.reverse();
    rows
}

/// What a full match counts more than any number of half ones.
const SAME: u32 = 1_000;

/// 0: not the same thing at all; `SAME`: in everything that is named.
fn likeness(expected: &Expected, row: &Value) -> u32 {
    let agree = |(field, want): &(String, Want)| agrees(field, want, row);
    if expected.fields.iter().all(agree) {
        return SAME;
    }
    let names_it = |field: &str| matches!(field, "person" | "journey" | "step");
    if !expected.fields.iter().filter(|(field, _)| names_it(field)).all(agree) {
        return 0;
    }
    let agreeing = expected.fields.iter().filter(|field| agree(field)).count();
    u32::try_from(agreeing + 1).unwrap_or(SAME).min(SAME - 1)
}

fn agrees(field: &str, want: &Want, row: &Value) -> bool {
    match want {
        Want::At(at) => row[field].as_str().and_then(parse_rfc3339) == Some(*at),
        Want::Text(None) => row[field].is_null(),
        Want::Text(Some(name)) if field == "person" => {
            row["profile"] == **name
                || row["identifiers"].as_array().into_iter().flatten().any(|one| {
                    one["value"].as_str().is_some_and(|value| value.eq_ignore_ascii_case(name))
                })
        }
        Want::Text(Some(text)) => shown(&row[field]) == *text,
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "nothing".to_owned(),
        other => other.to_string(),
    }
}

fn written(want: &Want) -> String {
    match want {
        Want::At(at) => rfc3339(*at),
        Want::Text(Some(text)) => text.clone(),
        Want::Text(None) => "nothing".to_owned(),
    }
}

fn pair(expected: Option<&Expected>, got: Option<&Got>) -> Row {
    let mut fields = Vec::new();
    if let (Some(expected), Some(got)) = (expected, got) {
        for (field, want) in &expected.fields {
            if !agrees(field, want, &got.row) {
                let came = if field == "person" { who(&got.row) } else { shown(&got.row[field]) };
                fields.push(FieldDifference {
                    field: field.clone(),
                    expected: written(want),
                    got: came,
                });
            }
        }
    }
    let kind = match (expected, got) {
        (Some(_), Some(_)) if fields.is_empty() => RowKind::Same,
        (Some(_), Some(_)) => RowKind::Differs,
        (Some(_), None) => RowKind::Missing,
        (None, _) => RowKind::Unexpected,
    };
    let as_json = |one: &Expected| {
        let fields = one.fields.iter().map(|(key, want)| {
            let value = match want {
                Want::Text(None) => Value::Null,
                want => written(want).into(),
            };
            (key.clone(), value)
        });
        Value::Object(fields.collect::<Map<_, _>>())
    };
    Row {
        kind,
        line: expected.map(|one| one.line),
        expected: expected.map(as_json),
        got: got.map(|one| one.row.clone()),
        why: got.map(|one| one.why.clone()),
        fields,
    }
}

/// The strongest identifier on a line.
fn who(row: &Value) -> String {
    row["identifiers"][0]["value"].as_str().unwrap_or("somebody").to_owned()
}
