//! The commands: their arguments, and which file does which.

mod completions;
mod demo;
mod doctor;
mod explain;
mod import;
mod init;
mod ledger;
mod lint;
mod order;
mod person;
mod publish;
mod run;
mod simulate;
mod snapshot;
mod tail;
mod test;
mod topics;
mod up;

use crate::exit::{self, Exit};
use crate::term::{self, Color, Ink, paint};
use anyhow::Result;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Recognise every customer on every channel, and decide what to send, when, and whether at all.
#[derive(Debug, Parser)]
#[command(name = "sojourn", version, after_help = exit::HELP, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Globals {
    /// Answer as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// How services write their log lines (to stderr)
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub(crate) log: LogFormat,
    /// Colour; NO_COLOR is respected
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub(crate) color: Color,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    // No doc comments: they would make `--help` twice as long.
    Text,
    Json,
}

/// The workspace that a command is about.
#[derive(Debug, Clone, Args)]
pub(crate) struct Workspace {
    /// Folder of the workspace
    #[arg(default_value = ".", value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

/// The same, for commands whose first argument is something else.
#[derive(Debug, Clone, Args)]
pub(crate) struct WorkspaceOption {
    /// Folder of the workspace
    #[arg(long, default_value = ".", value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Init(init::Init),
    Up(up::Up),
    Run(run::Run),
    Lint(lint::Lint),
    Publish(publish::Publish),
    Approve(publish::Approve),
    Rollback(publish::Rollback),
    Versions(ledger::Versions),
    Audit(ledger::Audit),
    Simulate(simulate::Simulate),
    Test(test::Test),
    Import(import::Import),
    Person(person::Person),
    Explain(explain::Explain),
    Tail(tail::Tail),
    Pause(order::Pause),
    Resume(order::Resume),
    Stop(order::Stop),
    Kill(order::Kill),
    Release(order::Release),
    Enter(order::Enter),
    Snapshot(snapshot::Snapshot),
    Restore(snapshot::Restore),
    Topics(topics::Topics),
    Doctor(doctor::Doctor),
    Completions(completions::Completions),
}

/// Runs the command; without one a short help.
pub(crate) fn run(cli: Cli) -> Result<Exit> {
    let globals = &cli.globals;
    match cli.command {
        None => Ok(greet()),
        Some(Command::Demo(args)) => args.run(globals),
        Some(Command::Init(args)) => args.run(globals),
        Some(Command::Up(args)) => args.run(globals),
        Some(Command::Run(args)) => args.run(globals),
        Some(Command::Lint(args)) => args.run(globals),
        Some(Command::Publish(args)) => args.run(globals),
        Some(Command::Approve(args)) => args.run(globals),
        Some(Command::Rollback(args)) => args.run(globals),
        Some(Command::Versions(args)) => args.run(globals),
        Some(Command::Audit(args)) => args.run(globals),
        Some(Command::Simulate(args)) => args.run(globals),
        Some(Command::Test(args)) => args.run(globals),
        Some(Command::Import(args)) => args.run(globals),
        Some(Command::Person(args)) => args.run(globals),
        Some(Command::Explain(args)) => args.run(globals),
        Some(Command::Tail(args)) => args.run(globals),
        Some(Command::Pause(args)) => args.run(globals),
        Some(Command::Resume(args)) => args.run(globals),
        Some(Command::Stop(args)) => args.run(globals),
        Some(Command::Kill(args)) => args.run(globals),
        Some(Command::Release(args)) => args.run(globals),
        Some(Command::Enter(args)) => args.run(globals),
        Some(Command::Snapshot(args)) => args.run(globals),
        Some(Command::Restore(args)) => args.run(globals),
        Some(Command::Topics(args)) => args.run(globals),
        Some(Command::Doctor(args)) => args.run(globals),
        Some(Command::Completions(args)) => args.run(),
    }
}

/// `sojourn` alone: where to begin.
fn greet() -> Exit {
    let command = |text: &str| paint(Ink::Bold, &term::pad(text, 46));
    term::line(
        "Sojourn recognises every customer on every channel, and decides what to send, when,",
    );
    term::line(
        "and whether at all: with consent, frequency caps and quiet hours in the same decision.",
    );
    term::line("");
    for (what, about) in [
        ("sojourn demo", "a sample shop comes to life in this terminal"),
        ("sojourn init my-shop --template shop", "write a workspace to begin with"),
        ("sojourn up my-shop", "run it: everything in one process"),
        ("sojourn person timeline email:ada@example.com", "what happened with one customer"),
        ("sojourn explain DECISION", "why a message was sent, or not"),
        ("sojourn help", "every command"),
    ] {
        term::line(&format!("  {} {}", command(what), paint(Ink::Dim, about)));
    }
    Exit::Done
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("sojourn "), "{} has no example", command.get_name());
        }
    }
}
