//! `sojourn lint`: every finding of a workspace.

use super::{Globals, Workspace};
use crate::exit::Exit;
use crate::findings::{self, Format};
use crate::term::{self, Ink, paint};
use crate::workspace;
use anyhow::Result;
use clap::Args;
use sojourn_rules::{Compiled, Files, Severity};

/// Check a workspace: every finding with its place, reason and remedy
#[derive(Debug, Args)]
#[command(
    after_help = "Examples: sojourn lint my-shop --format github\n          sojourn lint --explain purpose-limitation\n\nExits with 1 when there is an error; warnings do not fail."
)]
pub(crate) struct Lint {
    #[command(flatten)]
    workspace: Workspace,
    /// How findings are shown
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Show what a rule means and what to do about it
    #[arg(long, value_name = "RULE")]
    explain: Option<String>,
}

impl Lint {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        if let Some(rule) = &self.explain {
            return Ok(explain(rule));
        }
        let (files, compiled) = workspace::compile(&self.workspace.dir)?;
        let format = if globals.json { Format::Json } else { self.format };
        let text = findings::render(&compiled.findings, &compiled.levels, &files, format);
        if !text.is_empty() {
            term::line(&text);
        }
        if format == Format::Human {
            term::line(&summary(&compiled, &files));
            findings::levels(&compiled.levels).iter().for_each(|line| term::line(line));
        }
        let errors = findings::count(&compiled.findings, Severity::Error);
        Ok(if errors > 0 { Exit::Negative } else { Exit::Done })
    }
}

fn explain(rule: &str) -> Exit {
    match sojourn_rules::rule_section(rule) {
        Some(section) => {
            term::line(section.trim_start_matches("## "));
            Exit::Done
        }
        None => {
            term::remark(&format!(
                "there is no rule `{}`; a finding names its rule in brackets",
                term::clean(rule)
            ));
            Exit::Usage
        }
    }
}

fn summary(compiled: &Compiled, files: &Files) -> String {
    let errors = findings::count(&compiled.findings, Severity::Error);
    let warnings = findings::count(&compiled.findings, Severity::Warning);
    let number =
        |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    if errors > 0 {
        let text = format!("{}, {}", number(errors, "error"), number(warnings, "warning"));
        return paint(Ink::Bad, &text);
    }
    let what = match &compiled.definitions {
        Some(definitions) => format!(
            "{}, {}, {}",
            number(definitions.journeys.len(), "journey"),
            number(definitions.templates.len(), "template"),
            number(definitions.policy.caps.len(), "cap"),
        ),
        None => number(files.0.len(), "file"),
    };
    if warnings > 0 {
        format!("{} ({what})", paint(Ink::Warn, &number(warnings, "warning")))
    } else {
        format!("{} {what}", paint(Ink::Good, "all good:"))
    }
}
