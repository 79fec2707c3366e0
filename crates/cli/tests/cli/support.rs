//! Runs the binary and keeps what it said.

use std::process::Command;

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
