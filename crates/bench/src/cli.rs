//! Arguments of `sojourn-bench`.

use crate::{broker, engine, http, j1, latency};
use anyhow::Result;
use clap::{Parser, Subcommand};

/// Benchmarks of job J1.
#[derive(Parser)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// From the log to decisions over the durable embedded log
    Engine {
        /// Touchpoints of the run
        #[arg(long, default_value_t = 2_000_000)]
        touchpoints: u64,
        /// People
        #[arg(long, default_value_t = 100_000)]
        people: u32,
        /// Partitions of `profiles`
        #[arg(long, default_value_t = 4)]
        partitions: u16,
        /// Profiles kept in memory
        #[arg(long, default_value_t = 1_000_000)]
        resident: usize,
        /// Leave notes out
        #[arg(long)]
        no_notes: bool,
        /// Journeys in all; nothing in the input concerns those beyond the job's own
        #[arg(long, default_value_t = 3)]
        journeys: usize,
        /// Small caches everywhere: shows sooner what each further person costs in memory
        #[arg(long)]
        small_caches: bool,
    },
    /// Posts the job's touchpoints to a running gateway and reads the server's CPU time
    Http {
        /// Address, such as 127.0.0.1:8080
        address: String,
        /// Write key
        #[arg(long, default_value = "bench")]
        key: String,
        /// Process id of the server
        #[arg(long)]
        pid: u32,
        /// Touchpoints per request
        #[arg(long, default_value_t = 100)]
        batch: usize,
        /// Requests
        #[arg(long, default_value_t = 5_000)]
        requests: usize,
        /// Connections
        #[arg(long, default_value_t = 16)]
        connections: usize,
    },
    /// Starts `sojourn up` and measures from an accepted touchpoint to `Deliver`, by open loop
    Latency {
        /// The program; default: `sojourn` beside this one
        #[arg(long)]
        program: Option<std::path::PathBuf>,
        /// Touchpoints per second
        #[arg(long, default_value_t = 5_000)]
        rate: u32,
        /// Touchpoints per request
        #[arg(long, default_value_t = 10)]
        batch: usize,
        /// Seconds of load
        #[arg(long, default_value_t = 20)]
        seconds: u32,
        /// Connections
        #[arg(long, default_value_t = 16)]
        connections: usize,
        /// People
        #[arg(long, default_value_t = 10_000)]
        people: u32,
        /// Over the Kafka and Redis of `KAFKA_BOOTSTRAP` and `REDIS_URL`
        #[arg(long)]
        brokers: bool,
        /// Partitions over the brokers
        #[arg(long, default_value_t = 4)]
        partitions: u16,
    },
    /// Each role a process of its own, over the Kafka and Redis of `KAFKA_BOOTSTRAP` and `REDIS_URL`
    Broker {
        /// The program; default: `sojourn` beside this one
        #[arg(long)]
        program: Option<std::path::PathBuf>,
        /// Touchpoints of the run
        #[arg(long, default_value_t = 1_000_000)]
        touchpoints: u64,
        /// People
        #[arg(long, default_value_t = 100_000)]
        people: u32,
        /// Partitions
        #[arg(long, default_value_t = 4)]
        partitions: u16,
    },
    /// Writes the job's input as a file for `simulate`, and its workspace
    Events {
        /// Folder to write `ws/` and `events.jsonl` to
        folder: std::path::PathBuf,
        /// Touchpoints
        #[arg(long, default_value_t = 1_000_000)]
        touchpoints: u64,
        /// People
        #[arg(long, default_value_t = 100_000)]
        people: u32,
        /// Journeys in all; nothing in the input concerns those beyond the job's own
        #[arg(long, default_value_t = 3)]
        journeys: usize,
    },
}

/// Runs a benchmark.
pub fn run(cli: Cli) -> Result<()> {
    let settings = |people, touchpoints| j1::Settings {
        seed: 1,
        people,
        touchpoints,
        start_ms: 1_772_409_600_000,
        span_ms: 86_400_000,
    };
    match cli.command {
        Command::Engine {
            touchpoints,
            people,
            partitions,
            resident,
            no_notes,
            journeys,
            small_caches,
        } => {
            let folder = tempfile::Builder::new().prefix("sojourn-bench-").tempdir_in(".")?;
            let settings = settings(people, touchpoints);
            let notes = !no_notes;
            let run = engine::Run { settings, partitions, resident, notes, journeys, small_caches };
            engine::run(folder.path(), run)
        }
        Command::Http { address, key, pid, batch, requests, connections } => {
            let load = http::Load { address, key, pid, batch, requests, connections };
            http::run(&load, settings(10_000, (batch * requests) as u64))
        }
        Command::Latency {
            program,
            rate,
            batch,
            seconds,
            connections,
            people,
            brokers,
            partitions,
        } => {
            let program = beside(program)?;
            let folder = tempfile::Builder::new().prefix("sojourn-bench-").tempdir_in(".")?;
            let settings = j1::Settings {
                start_ms: now()?,
                span_ms: i64::from(seconds) * 1_000,
                ..settings(people, u64::from(rate) * u64::from(seconds))
            };
            let brokers = brokers.then_some(partitions);
            let run =
                latency::Run { program, rate, batch, seconds, connections, settings, brokers };
            latency::run(folder.path(), &run)
        }
        Command::Broker { program, touchpoints, people, partitions } => {
            let program = beside(program)?;
            let folder = tempfile::Builder::new().prefix("sojourn-bench-").tempdir_in(".")?;
            let settings =
                j1::Settings { start_ms: now()?, span_ms: 60_000, ..settings(people, touchpoints) };
            broker::run(folder.path(), &broker::Run { program, partitions, settings })
        }
        Command::Events { folder, touchpoints, people, journeys } => {
            j1::write_events(&folder, settings(people, touchpoints), journeys)
        }
    }
}

fn beside(program: Option<std::path::PathBuf>) -> Result<std::path::PathBuf> {
    Ok(match program {
        Some(program) => program,
        None => std::env::current_exe()?.with_file_name("sojourn"),
    })
}

/// Now, not a recorded day: what is long past starts no journey.
fn now() -> Result<i64> {
    Ok(i64::try_from(std::time::UNIX_EPOCH.elapsed()?.as_millis())?)
}
