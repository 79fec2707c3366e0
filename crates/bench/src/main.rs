//! `sojourn-bench`: the figures of `crates/bench/README.md`, and how to get them again.

use clap::Parser;
use sojourn_bench::cli;

fn main() -> anyhow::Result<()> {
    cli::run(cli::Cli::parse())
}
