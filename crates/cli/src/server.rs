//! The whole product in this process, and when it ends.

use crate::commands::LogFormat;
use crate::exit::unreachable;
use crate::pace::{instant, nap};
use anyhow::{Context, Result};
use sojourn_node::{Node, NodeOptions};
use sojourn_ports::Clock;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// A running server.
pub(crate) struct Server {
    node: Node,
}

/// A role that fails for longer than this ends the process; one that only takes longer is named.
const READY_MAX: Duration = Duration::from_secs(60);
/// How often readiness is looked at.
const READY_EVERY: Duration = Duration::from_millis(10);

impl Server {
    /// Starts every role, and returns when all of them are ready; `None`: `stop` came first.
    pub(crate) fn start(options: NodeOptions, stop: &AtomicBool) -> Result<Option<Self>> {
        let node = Node::start(options).map_err(|error| unreachable(format!("{error:#}")))?;
        let server = Self { node };
        let mut began = instant();
        loop {
            let reasons = server.node.health().reasons();
            if reasons.is_empty() {
                return Ok(Some(server));
            }
            if stop.load(Ordering::SeqCst) {
                server.stop()?;
                return Ok(None);
            }
            if began.elapsed() > READY_MAX && !server.node.health().has_failed() {
                tracing::warn!(waits_for = reasons.join("; "), "not ready yet");
                began = instant();
            } else if began.elapsed() > READY_MAX {
                server.node.stop()?;
                return Err(unreachable(format!("it does not come up: {}", reasons.join("; "))));
            }
            nap(READY_EVERY);
        }
    }

    /// `http://127.0.0.1:8080`: the gateway, or health and metrics where there is none.
    pub(crate) fn front_url(&self) -> String {
        self.node.addresses().front_url()
    }

    /// `127.0.0.1:4321`; empty without a gateway.
    pub(crate) fn admin_address(&self) -> String {
        self.node.addresses().admin.map(|address| address.to_string()).unwrap_or_default()
    }

    /// Where the channels are served to other processes.
    pub(crate) fn channels_url(&self) -> Option<String> {
        self.node.addresses().channels_url()
    }

    /// What stands against readiness; empty: all is well.
    pub(crate) fn troubles(&self) -> Vec<String> {
        self.node.health().reasons()
    }

    /// Finishes what was taken, checkpoints, ends.
    pub(crate) fn stop(self) -> Result<()> {
        self.node.stop().context("stopping")
    }
}

/// A node on the wall's clock; `listen`: another address than sojourn.yaml says.
pub(crate) fn options(dir: &Path, listen: Option<SocketAddr>) -> NodeOptions {
    let mut options = NodeOptions::new(dir);
    options.listen = listen;
    options
}

/// A node on a clock that runs `speed` times faster.
pub(crate) fn demo_options(
    dir: &Path,
    port: u16,
    clock: Arc<dyn Clock>,
    speed: f64,
) -> NodeOptions {
    let mut options = NodeOptions::new(dir);
    options.clock = clock;
    options.speed = speed;
    options.listen = Some(loopback(port));
    options.any_port = true;
    options
}

pub(crate) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// A flag that Ctrl-C and SIGTERM set. A second one ends the program at once: the log can take it.
pub(crate) fn stop_on_signal() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&flag);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("a runtime")?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (
            signal(SignalKind::interrupt()).context("cannot watch for Ctrl-C")?,
            signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?,
        )
    };
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                    }
                    if set.swap(true, Ordering::SeqCst) {
                        end_at_once();
                    }
                }
            });
        })
        .context("cannot start a thread")?;
    Ok(flag)
}

#[expect(clippy::disallowed_methods, reason = "asked for twice: the log can take a crash")]
fn end_at_once() -> ! {
    std::process::exit(130)
}

/// Log lines to stderr: `level` unless RUST_LOG says otherwise.
pub(crate) fn log_lines(format: LogFormat, level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(crate::term::is_colored_stderr())
        .with_writer(std::io::stderr);
    // Set once per process; a second call can only come from a test.
    let _ = match format {
        LogFormat::Json => lines.json().try_init(),
        LogFormat::Text => lines.try_init(),
    };
}
