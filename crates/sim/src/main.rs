//! `sojourn-sim`: runs seeds of the simulator and tells what did not hold.

use clap::Parser;
use sojourn_sim::coverage;
use sojourn_sim::run::{STEPS, difference, many, run};
use sojourn_sim::sightings::{WANTED, wanted};
use std::process::ExitCode;

/// Threads that run seeds.
const THREADS: usize = 2;
/// Fewer seeds than these cannot be expected to see every rare event.
const SEEDS_FOR_SIGHTINGS: u64 = 200;
/// Seeds per planted bug.
const SEEDS_PER_BUG: u64 = 150;
/// Violations shown per seed.
const SHOWN: usize = 3;

/// The whole system on one thread under a virtual clock, with faults.
#[derive(Parser)]
struct Options {
    /// Runs the seeds 1 to N.
    #[arg(long, default_value_t = 300)]
    seeds: u64,
    /// Runs one seed and prints its trace.
    #[arg(long)]
    seed: Option<u64>,
    /// Switches each planted bug on (those whose name contains NAME) and wants it caught.
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    planted_bugs: Option<String>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let (passed, failed) = match (options.seed, options.planted_bugs) {
        (Some(seed), _) => one(seed),
        (None, Some(only)) => planted(&only),
        (None, None) => all(options.seeds),
    };
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one(seed: u64) -> (u64, u64) {
    let report = run(seed, true, STEPS);
    report.trace.iter().for_each(|line| println!("{line}"));
    report.violations.iter().for_each(|violation| println!("{}: {}", violation.id, violation.what));
    if report.violations.is_empty() { (1, 0) } else { (0, 1) }
}

fn all(seeds: u64) -> (u64, u64) {
    let (failed, sightings) = many(seeds, THREADS, |report| {
        if report.seed % 50 == 0 {
            println!("seed {} done", report.seed);
        }
        if !report.violations.is_empty() {
            println!("seed {} failed; see it with: just sim {}", report.seed, report.seed);
        }
        for violation in report.violations.iter().take(SHOWN) {
            println!("  {}: {}", violation.id, violation.what);
        }
    });
    println!("\nseen, over all seeds:");
    let times = |what: &str| sightings.get(what).copied().unwrap_or(0);
    WANTED.iter().for_each(|what| println!("  {:>8}  {what}", times(what)));
    print!("{}", coverage::table(&sightings));
    let wanted = wanted();
    let unseen = wanted.iter().filter(|what| times(what) == 0).count() as u64;
    let unseen = if seeds >= SEEDS_FOR_SIGHTINGS { unseen } else { 0 };
    let mut differing = 0;
    for seed in [1, 2] {
        if let Some((a, b)) = difference(seed) {
            println!("seed {seed} differs from itself:\n  {a}\n  {b}");
            differing += 1;
        }
    }
    let seen = wanted.len() as u64 - unseen;
    (seeds - failed + seen + 2 - differing, failed + unseen + differing)
}

#[cfg(feature = "planted-bugs")]
fn planted(only: &str) -> (u64, u64) {
    // Panics of planted bugs are expected: they count as caught.
    std::panic::set_hook(Box::new(|_| {}));
    let caught =
        sojourn_sim::planted::hunt(SEEDS_PER_BUG, THREADS, only, |caught| match caught.by {
            Some((id, seed)) => println!("{:<26} {id:<9} seed {seed}", caught.mutation),
            None => println!("{:<26} NOT CAUGHT in {SEEDS_PER_BUG} seeds", caught.mutation),
        });
    let missed = caught.iter().filter(|caught| caught.by.is_none()).count() as u64;
    (caught.len() as u64 - missed, missed)
}

#[cfg(not(feature = "planted-bugs"))]
fn planted(_only: &str) -> (u64, u64) {
    let _ = SEEDS_PER_BUG;
    println!("this build has no planted bugs: build with --features planted-bugs");
    (0, 1)
}
