//! `sojourn up`: every role of a workspace in one process.

use super::{Globals, Workspace};
use crate::exit::Exit;
use crate::pace::nap;
use crate::server::{self, Server};
use crate::term::{self, Ink, paint};
use crate::workspace;
use anyhow::Result;
use clap::Args;
use serde_json::json;
use sojourn_node::{Role, Roles};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Run a workspace: all roles in one process
#[derive(Debug, Args)]
#[command(after_help = "Example: sojourn up my-shop

It prints its addresses when it is ready. Ctrl-C drains: what was taken is finished, then it ends.")]
pub(crate) struct Up {
    #[command(flatten)]
    workspace: Workspace,
    /// Port of the gateway on 127.0.0.1, instead of what sojourn.yaml says
    #[arg(long)]
    port: Option<u16>,
    /// Address of the gateway, instead of what sojourn.yaml says; 0.0.0.0:8080 lets others reach it
    #[arg(long, env = "SOJOURN_LISTEN", value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
}

/// How often the program looks whether it should end.
const TURN: Duration = Duration::from_millis(50);

impl Up {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        // The port is asked for at the terminal; the address may come from the environment.
        let listen = self.port.map(server::loopback).or(self.listen);
        serve(&self.workspace, listen, Roles::all(), None, globals)
    }
}

/// Runs until Ctrl-C.
pub(super) fn serve(
    workspace: &Workspace,
    listen: Option<SocketAddr>,
    roles: Roles,
    channels: Option<String>,
    globals: &Globals,
) -> Result<Exit> {
    let dir = &workspace.dir;
    let definitions = workspace::definitions(dir)?;
    server::log_lines(globals.log, "warn,sojourn=info");
    let stop = server::stop_on_signal()?;
    let mut options = server::options(dir, listen);
    options.roles = roles;
    options.channels = channels;
    let Some(server) = Server::start(options, &stop)? else { return Ok(Exit::Done) };
    let data = workspace::data_dir(dir);
    if globals.json {
        let names: Vec<_> = roles.iter().map(Role::as_str).collect();
        let mut ready = json!({ "roles": names, "health": server.front_url(), "data": data });
        if roles.has(Role::Gateway) {
            ready["gateway"] = server.front_url().into();
            ready["admin"] = server.admin_address().into();
        }
        if let Some(url) = server.channels_url() {
            ready["channels"] = url.into();
        }
        term::line(&ready.to_string());
    } else {
        let name = &definitions.workspace.company.name;
        let name = if name.is_empty() { &definitions.workspace.name } else { name };
        term::line(&format!("{} is up", paint(Ink::Bold, name)));
        let row = |key: &str, value: &str, about: &str| {
            let key = paint(Ink::Dim, &term::fit(key, 9));
            term::line(&format!("  {key} {} {}", term::pad(value, 28), paint(Ink::Dim, about)));
        };
        if !roles.is_all() {
            let names: Vec<_> = roles.iter().map(Role::as_str).collect();
            row("roles", &names.join(", "), "of this process");
        }
        if roles.has(Role::Gateway) {
            row("gateway", &server.front_url(), "touchpoints come in here");
        }
        row("health", &format!("{}/readyz", server.front_url()), "also /livez and /metrics");
        if let Some(url) = server.channels_url() {
            row("channels", &url, "for dispatchers: --channels");
        }
        row("data", &data.display().to_string(), "log, state, and messages of kind `file`");
        if roles.has(Role::Gateway) {
            term::line(&format!(
                "  {} sojourn tail --dir {}",
                paint(Ink::Dim, &term::fit("look", 9)),
                dir.display()
            ));
        }
        term::line(&paint(Ink::Dim, "Ctrl-C drains and ends."));
    }
    let mut told = false;
    while !stop.load(Ordering::SeqCst) {
        nap(TURN);
        let troubles = server.troubles();
        if !troubles.is_empty() && !told {
            told = true;
            let text = format!("not ready: {}", troubles.join("; "));
            term::remark(&paint(Ink::Bad, &text));
        }
    }
    if !globals.json {
        term::remark("draining…");
    }
    server.stop()?;
    Ok(Exit::Done)
}
