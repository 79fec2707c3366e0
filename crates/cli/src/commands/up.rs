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
        serve(&self.workspace, listen, globals)
    }
}

/// Runs until Ctrl-C.
pub(super) fn serve(
    workspace: &Workspace,
    listen: Option<SocketAddr>,
    globals: &Globals,
) -> Result<Exit> {
    let dir = &workspace.dir;
    let definitions = workspace::definitions(dir)?;
    server::log_lines(globals.log, "warn,sojourn=info");
    let stop = server::stop_on_signal()?;
    let server = Server::start(server::options(dir, listen))?;
    let data = workspace::data_dir(dir);
    if globals.json {
        let ready = json!({
            "gateway": server.gateway_url(), "admin": server.admin_address(), "data": data,
        });
        term::line(&ready.to_string());
    } else {
        let name = &definitions.workspace.company.name;
        let name = if name.is_empty() { &definitions.workspace.name } else { name };
        term::line(&format!("{} is up", paint(Ink::Bold, name)));
        let row = |key: &str, value: &str, about: &str| {
            let key = paint(Ink::Dim, &term::fit(key, 9));
            term::line(&format!("  {key} {} {}", term::pad(value, 28), paint(Ink::Dim, about)));
        };
        row("gateway", &server.gateway_url(), "touchpoints come in here");
        row("health", &format!("{}/readyz", server.gateway_url()), "also /livez and /metrics");
        row("data", &data.display().to_string(), "log, state, and messages of kind `file`");
        term::line(&format!(
            "  {} sojourn tail --dir {}",
            paint(Ink::Dim, &term::fit("look", 9)),
            dir.display()
        ));
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
