//! `sojourn-bench`: the figures of `crates/bench/README.md`, and how to get them again.

use clap::Parser;
use sojourn_bench::cli;

/// The system's allocator took a fifth of the engine's time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    cli::run(cli::Cli::parse())
}
