//! `sojourn person`: everything that is held on one person.

use super::{Globals, WorkspaceOption};
use crate::admin::Admin;
use crate::exit::Exit;
use crate::pages;
use crate::term;
use anyhow::Result;
use clap::{Args, Subcommand};

/// What is known of one person, and what happened
#[derive(Debug, Args)]
#[command(
    after_help = "Examples: sojourn person show email:ada@example.com --dir my-shop\n          sojourn person timeline customer_id:42\n          sojourn person consents p1f"
)]
pub(crate) struct Person {
    #[command(subcommand)]
    view: View,
}

#[derive(Debug, Subcommand)]
enum View {
    /// Who they are: identifiers, attributes, segments, live runs, consents
    #[command(after_help = "Example: sojourn person show email:ada@example.com")]
    Show(Whom),
    /// Everything that happened, in order: touchpoints, journeys, decisions, deliveries
    #[command(after_help = "Example: sojourn person timeline email:ada@example.com --limit 50")]
    Timeline(Whom),
    /// Every decision about them, and why
    #[command(after_help = "Example: sojourn person decisions customer_id:42")]
    Decisions(Whom),
    /// What they agreed to and what they refused, with the evidence
    #[command(after_help = "Example: sojourn person consents email:ada@example.com")]
    Consents(Whom),
}

#[derive(Debug, Args)]
struct Whom {
    /// `email:a@b.c`, `customer_id:42`, `loyalty_id:…`, or a profile id
    #[arg(value_name = "IDENTIFIER")]
    person: String,
    #[command(flatten)]
    workspace: WorkspaceOption,
    /// The newest so many rows
    #[arg(long, default_value_t = 100)]
    limit: u32,
}

impl Person {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        let (view, whom) = match self.view {
            View::Show(whom) => ("show", whom),
            View::Timeline(whom) => ("timeline", whom),
            View::Decisions(whom) => ("decisions", whom),
            View::Consents(whom) => ("consents", whom),
        };
        let mut admin = Admin::connect(&whom.workspace.dir)?;
        let answer = admin.person(&whom.person, view, whom.limit)?;
        if globals.json {
            term::json(&answer)?;
            return Ok(Exit::Done);
        }
        let zone = crate::workspace::zone(&whom.workspace.dir);
        for line in pages::person_page(view, &answer, zone, term::width()) {
            term::line(&line);
        }
        Ok(Exit::Done)
    }
}
