//! `sojourn run`: some roles of a workspace in this process.

use super::up;
use super::{Globals, Workspace};
use crate::exit::{Exit, usage};
use anyhow::Result;
use clap::Args;
use sojourn_node::{Role, Roles};
use std::net::SocketAddr;

/// Run some roles in this process, as part of a larger installation
#[derive(Debug, Args)]
#[command(after_help = "Examples: sojourn run gateway my-shop
          sojourn run identity,engine my-shop
          sojourn run dispatcher my-shop --channels http://10.0.0.7:9200

Several processes need `storage: { kind: kafka+redis, … }`; on embedded storage one process runs every
role. Start a gateway first: it publishes its folder where nothing was published yet. Any number of
processes may run a role: they share its partitions, and take over those of one that is silent.")]
pub(crate) struct Run {
    /// The roles, separated by commas: gateway, identity, engine, dispatcher, channels
    #[arg(value_name = "ROLE,…")]
    roles: String,
    #[command(flatten)]
    workspace: Workspace,
    /// Address of the gateway, or of health and metrics where there is no gateway
    #[arg(long, env = "SOJOURN_LISTEN", value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Where another process serves the channels; without it the dispatcher has them itself
    #[arg(long, env = "SOJOURN_CHANNELS", value_name = "URL")]
    channels: Option<String>,
}

/// Roles that are designed and not built.
const NOT_YET: [&str; 2] = ["portal", "console"];

impl Run {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        let roles = parse(&self.roles)?;
        up::serve(&self.workspace, self.listen, roles, self.channels, globals)
    }
}

fn parse(text: &str) -> Result<Roles> {
    let one = |name: &str| {
        let name = name.trim();
        if NOT_YET.contains(&name) {
            return Err(usage(format!("the role {name} is not there yet")));
        }
        Role::ALL.into_iter().find(|role| role.as_str() == name).ok_or_else(|| {
            let all: Vec<_> = Role::ALL.iter().map(|role| role.as_str()).collect();
            usage(format!("`{name}` is no role: it can be {}", all.join(", ")))
        })
    };
    text.split(',').map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_named() {
        let some = parse("engine, gateway").unwrap();
        assert!(some.has(Role::Engine) && some.has(Role::Gateway) && !some.has(Role::Identity));
        assert!(parse("gateway,identity,engine,dispatcher,channels").unwrap().is_all());
        assert!(parse("engin").unwrap_err().to_string().contains("it can be gateway, identity"));
        assert!(parse("portal").unwrap_err().to_string().contains("not there yet"));
    }
}
