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
    after_help = "Example: sojourn lint my-shop --format github\n\nExits with 1 when there is an error; warnings do not fail."
)]
pub(crate) struct Lint {
    #[command(flatten)]
    workspace: Workspace,
    /// How findings are shown
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

impl Lint {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        let (files, compiled) = workspace::compile(&self.workspace.dir)?;
        let format = if globals.json { Format::Json } else { self.format };
        let text = findings::render(&compiled.findings, &files, format);
        if !text.is_empty() {
            term::line(&text);
        }
        if format == Format::Human {
            term::line(&summary(&compiled, &files));
        }
        let errors = findings::count(&compiled.findings, Severity::Error);
        Ok(if errors > 0 { Exit::Negative } else { Exit::Done })
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
