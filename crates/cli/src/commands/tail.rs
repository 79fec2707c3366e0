//! `sojourn tail`: what happens, as it happens.

use super::{Globals, WorkspaceOption};
use crate::admin::Admin;
use crate::exit::Exit;
use crate::lines::{Memory, Teller};
use crate::term;
use anyhow::Result;
use clap::Args;

/// Follow touchpoints, journeys, decisions and deliveries as they happen
#[derive(Debug, Args)]
#[command(
    after_help = "Examples: sojourn tail --dir my-shop\n          sojourn tail --journey abandoned-cart --json | jq .why\n          sojourn tail --person email:ada@example.com --from-start"
)]
pub(crate) struct Tail {
    #[command(flatten)]
    workspace: WorkspaceOption,
    /// Only this person: `email:a@b.c`, `customer_id:42`, or a profile id
    #[arg(long, value_name = "IDENTIFIER")]
    person: Option<String>,
    /// Only this journey
    #[arg(long)]
    journey: Option<String>,
    /// From the beginning of what is kept, not from now
    #[arg(long)]
    from_start: bool,
    /// Stop after so many lines
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

impl Tail {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        let mut admin = Admin::connect(&self.workspace.dir)?;
        let mut teller = Teller::new(crate::workspace::zone(&self.workspace.dir), term::width());
        let mut memory = Memory::default();
        let mut left = self.count.unwrap_or(u64::MAX);
        let person = self.person.as_deref().unwrap_or("");
        let journey = self.journey.as_deref().unwrap_or("");
        admin.tail(person, journey, self.from_start, &mut |kind, mut record| {
            if left == 0 {
                return false;
            }
            memory.complete(kind, &mut record);
            if globals.json {
                record["kind"] = kind.into();
                term::line(&record.to_string());
            } else if let Some(line) = teller.line(kind, &record) {
                term::line(&line);
            } else {
                return true;
            }
            left -= 1;
            left > 0
        })?;
        Ok(Exit::Done)
    }
}
