//! `sojourn publish`: makes the files the running version, or shows what that would change.

use super::{Globals, Workspace};
use crate::admin::Admin;
use crate::exit::Exit;
use crate::findings::{self, Format};
use crate::term::{self, Ink, paint};
use crate::workspace;
use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use sojourn_rules::Severity;

/// Make the files of a workspace the running version
#[derive(Debug, Args)]
#[command(
    after_help = "Examples: sojourn publish my-shop --plan\n          sojourn publish my-shop --author ada --approver bo\n\nRuns that are on their way keep the version they entered with."
)]
pub(crate) struct Publish {
    #[command(flatten)]
    workspace: Workspace,
    /// Only show what would change, and how many runs it touches
    #[arg(long)]
    plan: bool,
    /// Who wrote it
    #[arg(long, env = "USER", default_value = "author")]
    author: String,
    /// Who approved it, where the policy asks for two
    #[arg(long, default_value = "", hide_default_value = true)]
    approver: String,
}

impl Publish {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        let (files, compiled) = workspace::compile(&self.workspace.dir)?;
        let errors = findings::count(&compiled.findings, Severity::Error);
        if errors > 0 {
            let format = if globals.json { Format::Json } else { Format::Human };
            term::line(&findings::render(&compiled.findings, &compiled.levels, &files, format));
            term::remark("nothing was published: mend the errors first");
            return Ok(Exit::Negative);
        }
        let mut admin = Admin::connect(&self.workspace.dir)?;
        let (version, report) = admin.publish(&files, self.plan, &self.author, &self.approver)?;
        let published = report["published"] == json!(true);
        if globals.json {
            term::json(&json!({ "version": version, "report": report }))?;
        } else {
            show(&version, &report, self.plan);
        }
        Ok(if published || self.plan { Exit::Done } else { Exit::Negative })
    }
}

fn show(version: &str, report: &Value, plan: bool) {
    let list = |key: &str| report[key].as_array().cloned().unwrap_or_default();
    let text = |value: &Value, key: &str| term::clean(value[key].as_str().unwrap_or(""));
    let files = list("files");
    for file in &files {
        let (ink, sign) = match file["change"].as_str() {
            Some("added") => (Ink::Good, "+"),
            Some("removed") => (Ink::Bad, "-"),
            _ => (Ink::Warn, "~"),
        };
        term::line(&format!("{} {}", paint(ink, sign), paint(Ink::Bold, &text(file, "path"))));
        for line in file["diff"].as_str().unwrap_or("").lines() {
            let ink = match line.as_bytes().first() {
                Some(b'+') => Some(Ink::Good),
                Some(b'-') => Some(Ink::Bad),
                Some(b'@') => Some(Ink::Place),
                _ => None,
            };
            let line = term::clean(line);
            term::line(&format!(
                "    {}",
                ink.map_or_else(|| line.clone(), |ink| paint(ink, &line))
            ));
        }
    }
    for journey in list("journeys") {
        let runs = journey["runs"].as_u64().unwrap_or(0);
        term::line(&format!(
            "  journey {}: {}, {} run{} on the way keep their version",
            paint(Ink::Journey, &text(&journey, "journey")),
            text(&journey, "change"),
            term::grouped(runs),
            if runs == 1 { "" } else { "s" },
        ));
    }
    for sentence in list("words") {
        term::line(&format!("  {}", term::clean(sentence.as_str().unwrap_or_default())));
    }
    if plan && let Some(costs) = report["messages_per_entry"].as_object() {
        for (journey, cost) in costs {
            let cost = cost.as_f64().unwrap_or_default();
            term::line(&format!(
                "  {}: up to {} message{} per entry",
                paint(Ink::Journey, &term::clean(journey)),
                cost,
                if (cost - 1.0).abs() < 1e-9 { "" } else { "s" },
            ));
        }
    }
    for level in list("levels") {
        let to = level["level"].as_str().unwrap_or("off");
        term::line(&format!(
            "  lint {} is {to}: {}",
            paint(Ink::Bold, &text(&level, "rule")),
            text(&level, "because")
        ));
    }
    if files.is_empty() {
        term::line("nothing changes: the running version has the same files");
    }
    for finding in list("findings") {
        term::line(&format!(
            "  {} {}",
            paint(Ink::Warn, &text(&finding, "rule")),
            text(&finding, "message")
        ));
    }
    let verb = match (plan, report["published"] == json!(true)) {
        (true, _) => paint(Ink::Place, "would be"),
        (false, true) => paint(Ink::Good, "published"),
        (false, false) => paint(Ink::Bad, "not published"),
    };
    let from = report["from"].as_str().map(|from| format!(" (was {from})")).unwrap_or_default();
    term::line(&format!("{verb} version {version}{from}"));
    if let Some(why) = report["why"].as_str() {
        term::line(&term::clean(why));
    }
}
