//! The binary `sojourn`: what a person at a terminal meets.
//!
//! One file per command under `commands/`; a command parses its arguments, calls the library that
//! does the work, and prints. Exit codes are in [`exit`].

mod admin;
mod commands;
mod exit;
mod findings;
mod lines;
mod pace;
mod pages;
mod server;
mod table;
mod templates;
mod term;
mod when;
mod workspace;

use clap::Parser;
use exit::Exit;
use std::process::ExitCode;

/// The system's allocator took a fifth of the engine's time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = commands::Cli::parse();
    term::init(cli.globals.color);
    let exit = match commands::run(cli) {
        Ok(exit) => exit,
        Err(error) => {
            term::error(&error);
            Exit::of(&error)
        }
    };
    ExitCode::from(exit.code())
}
