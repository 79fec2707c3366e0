//! `sojourn run`: some roles of a workspace in this process.

use super::up;
use super::{Globals, Workspace};
use crate::exit::{Exit, usage};
use anyhow::Result;
use clap::{Args, ValueEnum};

/// Run some roles in this process, as part of a larger installation
#[derive(Debug, Args)]
#[command(after_help = "Example: sojourn run gateway,identity,engine,dispatcher,channels my-shop

On embedded storage the roles share one folder, so all of them run in one process; roles in
processes of their own need a log and a store that several processes share.")]
pub(crate) struct Run {
    /// The roles, separated by commas
    #[arg(value_name = "ROLE,…")]
    roles: String,
    #[command(flatten)]
    workspace: Workspace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Role {
    Gateway,
    Identity,
    Engine,
    Dispatcher,
    Channels,
    Portal,
    Console,
}

/// What one process on embedded storage runs.
const EMBEDDED: [Role; 5] =
    [Role::Gateway, Role::Identity, Role::Engine, Role::Dispatcher, Role::Channels];

impl Run {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        let name = |role: &Role| {
            role.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
        };
        let mut roles = Vec::new();
        for text in self.roles.split(',') {
            let role = Role::from_str(text.trim(), false).map_err(|_| {
                let all: Vec<_> = Role::value_variants().iter().map(name).collect();
                usage(format!("`{text}` is no role: it can be {}", all.join(", ")))
            })?;
            if !EMBEDDED.contains(&role) {
                return Err(usage(format!("the role {} is not there yet", name(&role))));
            }
            roles.push(role);
        }
        let missing: Vec<_> =
            EMBEDDED.iter().filter(|role| !roles.contains(role)).map(name).collect();
        if !missing.is_empty() {
            return Err(usage(format!(
                "on embedded storage one process runs every role: add {}, or use `sojourn up`",
                missing.join(",")
            )));
        }
        up::serve(&self.workspace, None, globals)
    }
}
