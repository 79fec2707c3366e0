//! `sojourn simulate`: the engine over recorded touchpoints on a virtual clock. Nothing is sent.

mod summary;

use super::Globals;
use crate::exit::{Exit, negative, unreachable, usage};
use crate::findings::{self, Format};
use crate::term::{self, Progress};
use crate::{when, workspace};
use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use sojourn_model::{Decision, Timestamp};
use sojourn_node::simulate::generate::{self, History, Recipe};
use sojourn_node::simulate::{Simulation, Summary, Watch, WhatIf};
use sojourn_rules::{Definitions, Severity};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Run journeys over recorded touchpoints: what would have been sent, and what not, and why
#[derive(Debug, Args)]
#[command(after_help = "Examples: sojourn simulate my-shop --events events.jsonl
          sojourn simulate my-shop --events events.jsonl --decisions out.jsonl --until 2026-12-01
          sojourn simulate my-shop --events events.jsonl --compare my-shop-draft
          sojourn simulate my-shop --events events.jsonl --what-if cap.weekly=2
          sojourn simulate my-shop --generate 1000 --days 90

--generate rehearses without recordings: so many people who do what the tracking plan declares and
the journeys ask for (visits on every channel, purchases, answers, consents given and taken back,
bounces, tills that report a day late, messages that come twice). The same workspace, people, days
and seed give the same bytes; --keep writes them, to look at or to run again with --events.

--what-if changes a number of the policy for this run only, and shows what would be different:
cap.ID=3, cap.ID=off, holdout.percent=10, arbitration.window=2h, quiet_hours=off.

Nothing is sent. The same files give the same bytes. One JSON object per line, in order of
`receivedAt`; lint errors stop it, warnings do not.")]
pub(crate) struct Simulate {
    /// Folder of the workspace
    #[arg(default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    /// Touchpoints, one JSON object per line
    #[arg(long, value_name = "FILE.jsonl", required_unless_present = "generate")]
    events: Option<PathBuf>,
    #[command(flatten)]
    generated: Generated,
    /// Write every decision, one JSON object per line
    #[arg(long, value_name = "OUT.jsonl")]
    decisions: Option<PathBuf>,
    /// Go on to this time after the last touchpoint
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// A second workspace over the same touchpoints: what would be different
    #[arg(long, value_name = "DIR2")]
    compare: Option<PathBuf>,
    /// The same workspace with a number of its policy changed: what would be different
    #[arg(long, value_name = "KEY=VALUE")]
    what_if: Vec<WhatIf>,
}

/// A history that is made up instead of read.
#[derive(Debug, Args)]
struct Generated {
    /// Make up a history of so many people instead of reading one
    #[arg(long, value_name = "PEOPLE", conflicts_with = "events")]
    generate: Option<u32>,
    /// Days of the made-up history
    #[arg(long, value_name = "N", default_value_t = 60, requires = "generate")]
    days: u32,
    /// Another seed, another history
    #[arg(long, value_name = "S", default_value_t = 1, requires = "generate")]
    seed: u64,
    /// First day of the made-up history
    #[arg(long, value_name = "DATE", default_value = generate::FIRST_DAY, requires = "generate")]
    from: String,
    /// Write the made-up touchpoints
    #[arg(long, value_name = "FILE.jsonl", requires = "generate")]
    keep: Option<PathBuf>,
}

impl Generated {
    fn recipe(&self) -> Result<Option<Recipe>> {
        let Some(people) = self.generate else { return Ok(None) };
        let from = when::parse(&self.from)?;
        Ok(Some(Recipe { people, days: self.days, seed: self.seed, from }))
    }
}

/// Where the touchpoints come from.
enum Source<'a> {
    File(&'a Path),
    Generated(Arc<Definitions>, Recipe),
}

impl Source<'_> {
    /// The lines, and their bytes when that is known.
    fn open(&self) -> Result<(Box<dyn BufRead + Send>, Option<u64>)> {
        match self {
            Self::File(path) => {
                let events = File::open(path).map_err(|error| cannot_open(path, &error))?;
                let bytes = events.metadata().map(|metadata| metadata.len()).ok();
                Ok((Box::new(BufReader::with_capacity(BUFFER_BYTES, events)), bytes))
            }
            Self::Generated(definitions, recipe) => {
                let history = History::new(definitions, *recipe);
                Ok((Box::new(history.map_err(|error| usage(error.to_string()))?), None))
            }
        }
    }

    fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Generated(..) => "the generated history".to_owned(),
        }
    }
}

fn cannot_open(path: &Path, error: &std::io::Error) -> anyhow::Error {
    unreachable(format!("cannot open {}: {error}", path.display()))
}

impl Simulate {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        let recipe = self.generated.recipe()?;
        let until = self.until.as_deref().map(when::parse).transpose()?;
        let until = until.or(recipe.map(|recipe| recipe.end()));
        let Some(here) = linted(&self.dir)? else { return Ok(Exit::Negative) };
        let other = match &self.compare {
            Some(dir) => match linted(dir)? {
                Some(definitions) => Some((dir.as_path(), definitions)),
                None => return Ok(Exit::Negative),
            },
            None if !self.what_if.is_empty() => {
                linted(&self.dir)?.map(|definitions| (self.dir.as_path(), definitions))
            }
            None => None,
        };
        let other = other.map(|(dir, definitions)| Ok((dir, self.changed(definitions)?)));
        let other = other.transpose().map_err(|error: anyhow::Error| usage(error.to_string()))?;
        let source = match (&self.events, recipe) {
            (Some(path), _) => Source::File(path),
            (None, Some(recipe)) => Source::Generated(Arc::clone(&here), recipe),
            (None, None) => return Err(usage("name the touchpoints with --events".to_owned())),
        };
        if let Some(path) = &self.generated.keep {
            keep(&source, path)?;
        }
        let out = self.decisions.as_deref();
        let source = &source;
        // Both at once: two versions take little longer than one.
        let (summary, compared) = std::thread::scope(|scope| {
            let second = other.map(|(dir, definitions)| {
                scope.spawn(move || simulate(source, dir, definitions, until, None, false))
            });
            let first = simulate(source, &self.dir, here, until, out, true);
            (first, second.map(|thread| thread.join()))
        });
        let summary = summary?;
        let compared = match compared {
            Some(Ok(compared)) => Some(compared?),
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => None,
        };
        if globals.json {
            term::json(&json!({ "summary": summary, "compared": compared }))?;
            return Ok(Exit::Done);
        }
        for line in summary::page(&summary, term::width()) {
            term::line(&line);
        }
        if let Some(compared) = &compared {
            let names = self.names();
            for line in summary::difference(&summary, compared, &names, term::width()) {
                term::line(&line);
            }
        }
        Ok(Exit::Done)
    }

    /// The definitions with every `--what-if`.
    fn changed(&self, mut definitions: Arc<Definitions>) -> Result<Arc<Definitions>> {
        if !self.what_if.is_empty() {
            let own = Arc::get_mut(&mut definitions).context("the definitions are in use")?;
            for one in &self.what_if {
                one.apply(own)?;
            }
        }
        Ok(definitions)
    }

    /// What the two columns of a comparison are called.
    fn names(&self) -> (String, String) {
        let here = self.dir.display().to_string();
        let changes: Vec<_> = self.what_if.iter().map(ToString::to_string).collect();
        let changes = changes.join(" ");
        match &self.compare {
            Some(dir) if changes.is_empty() => (here, dir.display().to_string()),
            Some(dir) => (here, format!("{} {changes}", dir.display())),
            None => ("as it is".to_owned(), changes),
        }
    }
}

/// Writes what would be read.
fn keep(source: &Source<'_>, path: &Path) -> Result<()> {
    let (mut events, _) = source.open()?;
    let file = File::create(path).map_err(|error| cannot_open(path, &error))?;
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, file);
    std::io::copy(&mut events, &mut out).context("cannot write the touchpoints")?;
    out.flush().context("cannot write the touchpoints")
}

fn simulate(
    source: &Source<'_>,
    dir: &Path,
    definitions: Arc<Definitions>,
    until: Option<Timestamp>,
    decisions: Option<&Path>,
    show_progress: bool,
) -> Result<Summary> {
    let (mut events, bytes) = source.open()?;
    let out = match decisions {
        Some(path) => Some(BufWriter::with_capacity(
            BUFFER_BYTES,
            File::create(path).map_err(|error| cannot_open(path, &error))?,
        )),
        None => None,
    };
    let mut watch = Watcher { out, progress: show_progress.then(|| Progress::new("bytes", bytes)) };
    let simulation = Simulation::of(definitions, dir);
    let summary = simulation
        .run(&mut *events, until, &mut watch)
        .map_err(|error| negative(format!("{}: {error:#}", source.name())))?;
    if let Some(out) = &mut watch.out {
        out.flush().context("cannot write the decisions")?;
    }
    Ok(summary)
}

/// Buffer of the files that are read and written.
const BUFFER_BYTES: usize = 1 << 20;

/// The definitions, when no finding is an error; else the findings are shown.
fn linted(dir: &Path) -> Result<Option<Arc<Definitions>>> {
    let (files, compiled) = workspace::compile(dir)?;
    if let Some(definitions) = compiled.definitions
        && findings::count(&compiled.findings, Severity::Error) == 0
    {
        return Ok(Some(definitions));
    }
    let errors: Vec<_> = compiled
        .findings
        .into_iter()
        .filter(|finding| finding.severity == Severity::Error)
        .collect();
    eprintln!("{}", findings::render(&errors, &[], &files, Format::Human));
    term::remark("nothing was simulated: mend the errors first");
    Ok(None)
}

struct Watcher {
    out: Option<BufWriter<File>>,
    progress: Option<Progress>,
}

impl Watch for Watcher {
    fn decision(&mut self, decision: &Decision) -> Result<()> {
        if let Some(out) = &mut self.out {
            writeln!(out, "{}", sojourn_engine::decision_line(decision))
                .context("cannot write the decisions")?;
        }
        Ok(())
    }

    fn progress(&mut self, _lines: u64, bytes: u64) {
        if let Some(progress) = &mut self.progress {
            progress.at(bytes);
        }
    }
}
