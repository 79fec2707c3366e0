//! `sojourn doctor`: is everything well, and what to do when it is not.

use super::{Globals, Workspace};
use crate::admin::Admin;
use crate::exit::Exit;
use crate::table::{self, Cell, cell, inked};
use crate::term::{self, Ink};
use crate::workspace;
use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use sojourn_rules::Severity;

/// Check a workspace and what runs on it
#[derive(Debug, Args)]
#[command(after_help = "Example: sojourn doctor my-shop\n\nExits with 1 when something is wrong.")]
pub(crate) struct Doctor {
    #[command(flatten)]
    workspace: Workspace,
}

impl Doctor {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        let dir = &self.workspace.dir;
        let mut checks = files(dir)?;
        let mut report = Value::Null;
        match Admin::connect(dir) {
            Ok(mut admin) => {
                checks.push(check("server", true, "answers", ""));
                report = admin.doctor()?;
                checks.extend(report["checks"].as_array().cloned().unwrap_or_default());
            }
            Err(error) => checks.push(check("server", true, &format!("{error:#}"), "")),
        }
        let healthy = checks.iter().all(|check| check["ok"] == json!(true));
        if globals.json {
            term::json(&json!({ "ok": healthy, "checks": checks, "server": report }))?;
        } else {
            show(&checks, &report);
        }
        Ok(if healthy { Exit::Done } else { Exit::Negative })
    }
}

fn check(name: &str, ok: bool, detail: &str, remedy: &str) -> Value {
    json!({ "name": name, "ok": ok, "detail": detail, "remedy": remedy })
}

/// What the files say, whether anything runs or not.
fn files(dir: &std::path::Path) -> Result<Vec<Value>> {
    let (_, compiled) = workspace::compile(dir)?;
    let errors = crate::findings::count(&compiled.findings, Severity::Error);
    let warnings = crate::findings::count(&compiled.findings, Severity::Warning);
    let data = workspace::data_dir(dir);
    let writable = match std::fs::metadata(&data) {
        Ok(metadata) if metadata.is_dir() && !metadata.permissions().readonly() => {
            check("data", true, &data.display().to_string(), "")
        }
        Ok(_) => check(
            "data",
            false,
            &format!("{} cannot be written", data.display()),
            "give this user the right to write there, or change storage.path",
        ),
        Err(_) => check("data", true, "made at the first start", ""),
    };
    Ok(vec![
        check(
            "definitions",
            errors == 0,
            &format!("{errors} errors, {warnings} warnings"),
            if errors > 0 { "see them with `sojourn lint`" } else { "" },
        ),
        writable,
    ])
}

/// When the last checkpoint was, or that the partition is refused.
fn checkpoint(row: &Value) -> Cell {
    if row["refused"].is_string() {
        return inked(Ink::Bad, "refused");
    }
    match row["checkpoint_age_ms"].as_i64() {
        Some(age) => cell(ago(age)),
        None => cell(""),
    }
}

/// `800 ms ago`, `12 s ago`, `3 h ago`.
fn ago(ms: i64) -> String {
    let steps = [(86_400_000, "days"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
    let found = steps.into_iter().find(|(unit, _)| ms >= 2 * unit);
    let (unit, name) = found.unwrap_or((1, "ms"));
    format!("{} {name} ago", ms / unit)
}

fn show(checks: &[Value], report: &Value) {
    let text = |value: &Value, key: &str| term::clean(value[key].as_str().unwrap_or(""));
    let rows: Vec<_> = checks
        .iter()
        .map(|check| {
            let ok = check["ok"] == json!(true);
            let mut detail = text(check, "detail");
            let remedy = text(check, "remedy");
            if !remedy.is_empty() {
                detail = format!("{detail}: {remedy}");
            }
            vec![
                if ok { inked(Ink::Good, "ok") } else { inked(Ink::Bad, "bad") },
                cell(text(check, "name")),
                cell(detail),
            ]
        })
        .collect();
    for line in table::lines(&["", "what", "how"], &rows, term::width()) {
        term::line(&line);
    }
    let partitions = report["partitions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if partitions.is_empty() {
        return;
    }
    term::line("");
    let rows: Vec<_> = partitions
        .iter()
        .map(|row| {
            let number = |key: &str| term::grouped(row[key].as_u64().unwrap_or(0));
            let lag = row["lag"].as_u64().unwrap_or(0);
            vec![
                cell(text(row, "role")),
                cell(number("partition")),
                cell(number("position")),
                cell(number("end")),
                if lag == 0 { cell("0") } else { inked(Ink::Warn, number("lag")) },
                checkpoint(row),
                cell(text(row, "owner")),
                cell(row["epoch"].as_u64().map(|epoch| epoch.to_string()).unwrap_or_default()),
            ]
        })
        .collect();
    let header =
        ["role", "partition", "position", "end", "behind by", "checkpoint", "owner", "epoch"];
    // On embedded storage this process owns everything.
    let named = partitions.iter().any(|row| row["owner"].is_string());
    let columns = if named { header.len() } else { header.len() - 2 };
    let rows: Vec<_> = rows
        .into_iter()
        .map(|mut row| {
            row.truncate(columns);
            row
        })
        .collect();
    for line in table::lines(&header[..columns], &rows, term::width()) {
        term::line(&line);
    }
}
