//! The product as a process of its own.

use crate::cpu;
use anyhow::{Context, Result, bail};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a process may take until it serves.
const READY_MAX: Duration = Duration::from_secs(120);

/// `sojourn …` on a workspace; killed when dropped.
pub(crate) struct Sojourn {
    child: Child,
    address: String,
}

impl Sojourn {
    /// Starts `words` on the workspace in `dir`, on a port that is free, and waits until it listens.
    pub(crate) fn start(program: &Path, words: &[&str], dir: &Path) -> Result<Self> {
        let mut child = Command::new(program)
            .arg("--json")
            .args(words)
            .arg(dir)
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| {
                format!("cannot run {}; build it, or name it with --program", program.display())
            })?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("a pipe")?).read_line(&mut line)?;
        let said: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        let named = said["gateway"].as_str().or(said["health"].as_str()).unwrap_or_default();
        let address = named.trim_start_matches("http://").to_owned();
        // Made first: what did not come up is stopped as well.
        let process = Self { child, address };
        if process.address.is_empty() {
            bail!("{} {} did not come up: {line}", program.display(), words.join(" "));
        }
        Ok(process)
    }

    /// Address of the gateway, or of health where there is none.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU time since its start.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        cpu::of_process(self.pid()).context("the process has gone")
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        cpu::resident_of(self.pid()).context("the process has gone")
    }

    /// Waits until `/readyz` says yes.
    pub(crate) fn ready(&self) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < READY_MAX {
            if self.says_ready().unwrap_or(false) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("not ready within {READY_MAX:?}")
    }

    fn says_ready(&self) -> Result<bool> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.starts_with("HTTP/1.1 200"))
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits for the end.
    pub(crate) fn terminate(&mut self) -> Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.context("a process id")?, rustix::process::Signal::TERM)?;
        let ended = self.child.wait()?;
        if !ended.success() {
            bail!("the process ended with {ended}");
        }
        Ok(())
    }
}

impl Drop for Sojourn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
