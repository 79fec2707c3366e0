//! `sojourn explain`: why a message was sent, put off or refused.

use super::{Globals, WorkspaceOption};
use crate::admin::Admin;
use crate::exit::Exit;
use crate::pages;
use crate::term;
use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::json;

/// Say in a sentence why a message was sent, put off or refused
#[derive(Debug, Args)]
#[command(
    after_help = "Examples: sojourn explain d0-1234-0 --dir my-shop\n          sojourn explain a2f-1-2-0 --for customer\n          sojourn explain --why-not email:ada@example.com abandoned-cart\n\nIds of decisions are in `sojourn person decisions` and `sojourn tail`."
)]
pub(crate) struct Explain {
    /// Id of a decision (`d…`) or of an action (`a…`)
    #[arg(value_name = "DECISION|ACTION", required_unless_present = "why_not")]
    id: Option<String>,
    /// Why this person did not get this journey
    #[arg(long, num_args = 2, value_names = ["PERSON", "JOURNEY"], conflicts_with = "id")]
    why_not: Option<Vec<String>>,
    #[command(flatten)]
    workspace: WorkspaceOption,
    /// Who asks
    #[arg(long = "for", value_enum, default_value_t = Reader::Marketer)]
    reader: Reader,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Reader {
    /// Somebody who works with journeys.
    Marketer,
    /// The person whom it concerns.
    Customer,
}

impl Explain {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        let mut admin = Admin::connect(&self.workspace.dir)?;
        if let Some([person, journey]) = self.why_not.as_deref() {
            return why_not(&admin.why_not(person, journey)?, globals);
        }
        let id = self.id.as_deref().unwrap_or_default();
        let (sentence, decision) = admin.decision(id, self.reader == Reader::Customer)?;
        if globals.json {
            term::json(&json!({ "sentence": sentence, "decision": decision }))?;
        } else if self.reader == Reader::Customer {
            term::line(&term::clean(&sentence));
        } else {
            for line in pages::decision_page(&sentence, &decision) {
                term::line(&line);
            }
        }
        Ok(Exit::Done)
    }
}

/// The sentence, and the page of the decision where there is one.
fn why_not(answer: &serde_json::Value, globals: &Globals) -> Result<Exit> {
    if globals.json {
        term::json(answer)?;
        return Ok(Exit::Done);
    }
    let sentence = answer["sentence"].as_str().unwrap_or_default();
    if answer["decision"].is_object() {
        for line in pages::decision_page(sentence, &answer["decision"]) {
            term::line(&line);
        }
    } else {
        for line in term::wrap(&term::clean(sentence), term::width(), term::width(), usize::MAX) {
            term::line(&line);
        }
    }
    Ok(Exit::Done)
}
