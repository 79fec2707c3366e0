//! Runs the binary and keeps what it said.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What a run of the binary said.
pub(crate) struct Run {
    /// Its stdout.
    pub(crate) out: String,
    /// Its stderr.
    pub(crate) err: String,
    /// Its exit code; -1: killed.
    pub(crate) code: i32,
}

/// Runs `sojourn` with `args`, without colour.
pub(crate) fn sojourn(args: &[&str]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_sojourn"))
        .args(args)
        .env("NO_COLOR", "1")
        .env("COLUMNS", "100")
        .env("USER", "tester")
        .output()
        .expect("the binary runs");
    Run {
        out: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
        err: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        code: output.status.code().unwrap_or(-1),
    }
}

/// A running `sojourn up`; killed when dropped.
pub(crate) struct Up {
    child: Child,
    /// `127.0.0.1:1234`
    pub(crate) gateway: String,
}

/// Starts `sojourn up DIR` on a free port and waits until it says that it is ready.
pub(crate) fn up(dir: &Path) -> Up {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sojourn"))
        .args(["up", "--json", "--port", "0"])
        .arg(dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("piped");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    let ready: serde_json::Value = serde_json::from_str(&line).expect("the ready line is JSON");
    let gateway = ready["gateway"].as_str().expect("an address").replace("http://", "");
    Up { child, gateway }
}

impl Up {
    /// Posts JSON with a write key; gives the status line.
    pub(crate) fn post(&self, path: &str, key: &str, body: &str) -> String {
        use base64::Engine as _;
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{key}:"));
        let mut stream = TcpStream::connect(&self.gateway).expect("the gateway listens");
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Basic {basic}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("the gateway reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the gateway answers");
        answer.lines().next().unwrap_or("").to_owned()
    }

    /// Asks it to drain, as systemd would; gives its exit code.
    pub(crate) fn terminate(mut self) -> i32 {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        assert!(asked.success());
        self.child.wait().expect("it ends").code().unwrap_or(-1)
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // Gone already after `terminate`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
