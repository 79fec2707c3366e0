//! `sojourn pause | resume | stop | kill | release | enter`: an operator's commands. Each is a record
//! in the log, takes effect at its place, and is audited with who gave it.

use super::{Globals, WorkspaceOption};
use crate::admin::Admin;
use crate::exit::Exit;
use crate::term::{self, Ink, paint};
use crate::workspace;
use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

/// Hold every run of a journey at its next step, and let nobody in
#[derive(Debug, Args)]
#[command(after_help = "Example: sojourn pause abandoned-cart --dir my-shop")]
pub(crate) struct Pause {
    #[command(flatten)]
    order: JourneyOrder,
}

/// Let a paused journey go on
#[derive(Debug, Args)]
#[command(after_help = "Example: sojourn resume abandoned-cart --dir my-shop")]
pub(crate) struct Resume {
    #[command(flatten)]
    order: JourneyOrder,
}

/// End every run of a journey, and let nobody in
#[derive(Debug, Args)]
#[command(after_help = "Example: sojourn stop abandoned-cart --dir my-shop")]
pub(crate) struct Stop {
    #[command(flatten)]
    order: JourneyOrder,
}

/// Refuse messages at once: of a class, of a channel, or all of them
#[derive(Debug, Args)]
#[command(
    after_help = "Examples: sojourn kill email --dir my-shop\n          sojourn kill marketing\n          sojourn kill all"
)]
pub(crate) struct Kill {
    #[command(flatten)]
    order: TargetOrder,
}

/// Take a kill switch back
#[derive(Debug, Args)]
#[command(after_help = "Example: sojourn release email --dir my-shop")]
pub(crate) struct Release {
    #[command(flatten)]
    order: TargetOrder,
}

/// Begin a journey that says `api: true` for one person
#[derive(Debug, Args)]
#[command(
    after_help = "Example: sojourn enter welcome email:ada@example.com --key order-42 --dir my-shop"
)]
pub(crate) struct Enter {
    /// Name of the journey
    journey: String,
    /// Who: `email:a@b.c`, `customer_id:42`, or a profile id
    person: String,
    /// Instance key of the run; default: what the journey's `key` says
    #[arg(long)]
    key: Option<String>,
    #[command(flatten)]
    workspace: WorkspaceOption,
    /// Who gives the order, for the audit
    #[arg(long, env = "USER", default_value = "operator")]
    actor: String,
}

#[derive(Debug, Args)]
struct JourneyOrder {
    /// Name of the journey
    journey: String,
    #[command(flatten)]
    workspace: WorkspaceOption,
    /// Who gives the order, for the audit
    #[arg(long, env = "USER", default_value = "operator")]
    actor: String,
}

#[derive(Debug, Args)]
struct TargetOrder {
    /// A channel (`email`), a class (`marketing`), a journey (`journey:welcome`), or `all`
    target: String,
    #[command(flatten)]
    workspace: WorkspaceOption,
    /// Who gives the order, for the audit
    #[arg(long, env = "USER", default_value = "operator")]
    actor: String,
}

impl Pause {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        self.order.send("pause", globals)
    }
}

impl Resume {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        self.order.send("resume", globals)
    }
}

impl Stop {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        self.order.send("stop", globals)
    }
}

impl Kill {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        self.order.send("kill", globals)
    }
}

impl Release {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        self.order.send("release", globals)
    }
}

impl Enter {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        let definitions = workspace::definitions(&self.workspace.dir)?;
        if let Some(journey) = definitions.journey(&self.journey)
            && journey.entry.trigger != sojourn_rules::Trigger::Api
        {
            return Err(crate::exit::usage(format!(
                "`{}` cannot be entered by command: its `entry` does not say `api: true`",
                self.journey
            )));
        }
        let mut order =
            json!({ "command": "enter", "journey": self.journey, "person": self.person });
        if let Some(key) = &self.key {
            order["key"] = json!(key);
        }
        send(&self.workspace, &order, &self.actor, globals)
    }
}

impl JourneyOrder {
    fn send(&self, command: &str, globals: &Globals) -> Result<Exit> {
        let definitions = workspace::definitions(&self.workspace.dir)?;
        if definitions.journey(&self.journey).is_none() {
            // The running version may hold a journey that the files no longer have.
            term::remark(&format!("note: the files have no journey `{}`", self.journey));
        }
        let order = json!({ "command": command, "journey": self.journey });
        send(&self.workspace, &order, &self.actor, globals)
    }
}

impl TargetOrder {
    fn send(&self, command: &str, globals: &Globals) -> Result<Exit> {
        let definitions = workspace::definitions(&self.workspace.dir)?;
        let mut order = json!({ "command": command });
        if let Some((key, name)) = target(&self.target, &definitions)? {
            order[key] = json!(name);
        }
        send(&self.workspace, &order, &self.actor, globals)
    }
}

/// Key and name in the command's line; `None`: everything. A channel goes before a class of the
/// same name, `class:`, `channel:` and `journey:` say which is meant.
fn target<'a>(
    text: &'a str,
    definitions: &sojourn_rules::Definitions,
) -> Result<Option<(&'static str, &'a str)>> {
    if text == "all" {
        return Ok(None);
    }
    match text.split_once(':') {
        Some(("channel", name)) => return Ok(Some(("channel", name))),
        Some(("class", name)) => return Ok(Some(("class", name))),
        Some(("journey", name)) => return Ok(Some(("journey", name))),
        _ => {}
    }
    if definitions.workspace.channels.contains_key(text) {
        return Ok(Some(("channel", text)));
    }
    if definitions.policy.purpose(text).is_some() {
        return Ok(Some(("class", text)));
    }
    if definitions.journey(text).is_some() {
        return Ok(Some(("journey", text)));
    }
    let channels: Vec<_> = definitions.workspace.channels.keys().map(|name| &**name).collect();
    let classes: Vec<_> =
        definitions.policy.purposes.iter().map(|purpose| &*purpose.name).collect();
    Err(crate::exit::usage(format!(
        "`{text}` is no channel ({}) and no class ({}): name one of them, `journey:NAME`, or `all`",
        channels.join(", "),
        classes.join(", ")
    )))
}

fn send(
    workspace: &WorkspaceOption,
    order: &Value,
    actor: &str,
    globals: &Globals,
) -> Result<Exit> {
    let mut admin = Admin::connect(&workspace.dir)?;
    let answer = admin.order(order, actor)?;
    if globals.json {
        term::json(&json!({ "order": order, "answer": answer }))?;
    } else {
        let answer = if answer.is_empty() { "durable in the log" } else { &answer };
        term::line(&format!("{} {}", paint(Ink::Good, "done:"), term::clean(answer)));
    }
    Ok(Exit::Done)
}
