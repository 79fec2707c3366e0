//! `sojourn completions`: what the shell needs to complete commands and options.

use super::Cli;
use crate::exit::Exit;
use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::io::Write;

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(
    after_help = "Example: sojourn completions bash > ~/.local/share/bash-completion/completions/sojourn"
)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Result<Exit> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "sojourn", &mut script);
        // A reader that went away needs no completions.
        let _ = std::io::stdout().write_all(&script);
        Ok(Exit::Done)
    }
}
