//! `sojourn versions | audit`: what was published, and who did what.

use super::{Globals, Workspace};
use crate::admin::Admin;
use crate::exit::Exit;
use crate::term::{self, Ink, paint};
use crate::{when, workspace};
use anyhow::Result;
use chrono_tz::Tz;
use clap::Args;
use serde_json::{Value, json};

/// List the versions that ran here: when, by whom, how, and what they changed
#[derive(Debug, Args)]
#[command(
    after_help = "Examples: sojourn versions my-shop\n          sojourn versions my-shop --proposals"
)]
pub(crate) struct Versions {
    #[command(flatten)]
    workspace: Workspace,
    /// What waits for another person's approval
    #[arg(long)]
    proposals: bool,
    /// The newest so many
    #[arg(long, default_value_t = 20)]
    limit: u32,
}

/// Show who published, approved, rolled back, paused, stopped or killed what
#[derive(Debug, Args)]
#[command(
    after_help = "Example: sojourn audit my-shop --limit 500 --json\n\nNames are those that people gave with --as or --actor: Sojourn takes them at their word."
)]
pub(crate) struct Audit {
    #[command(flatten)]
    workspace: Workspace,
    /// The newest so many
    #[arg(long, default_value_t = 100)]
    limit: u32,
}

impl Versions {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        let view = if self.proposals { "proposals" } else { "versions" };
        let rows = Admin::connect(&self.workspace.dir)?.ledger(view, self.limit)?;
        if globals.json {
            term::json(&json!({ view: rows }))?;
            return Ok(Exit::Done);
        }
        if rows.is_empty() {
            term::line(if self.proposals {
                "nothing waits for approval"
            } else {
                "no version yet"
            });
        }
        let zone = workspace::zone(&self.workspace.dir);
        for row in &rows {
            if self.proposals {
                proposal(row, zone);
            } else {
                entry(row, zone);
            }
        }
        Ok(Exit::Done)
    }
}

impl Audit {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        let rows = Admin::connect(&self.workspace.dir)?.ledger("audit", self.limit)?;
        if globals.json {
            term::json(&json!({ "audit": rows }))?;
            return Ok(Exit::Done);
        }
        let zone = workspace::zone(&self.workspace.dir);
        rows.iter().for_each(|row| entry(row, zone));
        Ok(Exit::Done)
    }
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or("")
}

fn at(row: &Value, zone: Tz) -> String {
    let at = when::from_json(&row["at"]).map(|at| when::full(at, zone));
    paint(Ink::Dim, &at.unwrap_or_default())
}

/// One entry: who, when, what; below it what changed and why rules were set aside.
fn entry(row: &Value, zone: Tz) {
    let mut said = term::clean(text(row, "said"));
    let approved: Vec<&str> =
        row["approved_by"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !approved.is_empty() {
        said.push_str(&format!(", approved by {}", term::clean(&approved.join(", "))));
    }
    let mut modes = Vec::new();
    if let Some(existing) = row["existing"].as_str() {
        modes.push(existing.to_owned());
    }
    for (journey, existing) in row["journeys"].as_object().into_iter().flatten() {
        modes.push(format!("{journey}: {}", existing.as_str().unwrap_or("")));
    }
    if !modes.is_empty() {
        said.push_str(&format!(" ({})", term::clean(&modes.join(", "))));
    }
    if row["current"] == json!(true) {
        said.push_str(&format!("  {}", paint(Ink::Good, "runs now")));
    }
    let actor = paint(Ink::Bold, &term::clean(text(row, "actor")));
    term::line(&format!("{}  {actor} {said}", at(row, zone)));
    changes(row);
}

fn changes(row: &Value) {
    for sentence in row["words"].as_array().into_iter().flatten() {
        term::line(&format!("    {}", term::clean(sentence.as_str().unwrap_or(""))));
    }
    for level in row["levels"].as_array().into_iter().flatten() {
        term::line(&format!(
            "    lint {} is {}: {}",
            term::clean(text(level, "rule")),
            term::clean(text(level, "level")),
            term::clean(text(level, "because"))
        ));
    }
}

fn proposal(row: &Value, zone: Tz) {
    let state = if row["open"] == json!(true) {
        paint(Ink::Good, "open")
    } else {
        paint(Ink::Warn, "outdated: another version runs since")
    };
    term::line(&format!(
        "{}  {} {} proposes version {} ({})  {state}",
        at(row, zone),
        paint(Ink::Bold, &term::clean(text(row, "id"))),
        term::clean(text(row, "author")),
        term::clean(text(row, "version")),
        term::clean(text(row, "existing")),
    ));
    changes(row);
}
