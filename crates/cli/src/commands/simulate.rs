//! `sojourn simulate`: the engine over recorded touchpoints on a virtual clock. Nothing is sent.

mod summary;

use super::Globals;
use crate::exit::{Exit, negative, unreachable};
use crate::findings::{self, Format};
use crate::term::{self, Progress};
use crate::{when, workspace};
use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use sojourn_model::{Decision, Timestamp};
use sojourn_node::simulate::{Simulation, Summary, Watch};
use sojourn_rules::{Files, Severity};
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Run journeys over recorded touchpoints: what would have been sent, and what not, and why
#[derive(Debug, Args)]
#[command(after_help = "Examples: sojourn simulate my-shop --events events.jsonl
          sojourn simulate my-shop --events events.jsonl --decisions out.jsonl --until 2026-12-01
          sojourn simulate my-shop --events events.jsonl --compare my-shop-draft

Nothing is sent. The same files give the same bytes. One JSON object per line, in order of
`receivedAt`; lint errors stop it, warnings do not.")]
pub(crate) struct Simulate {
    /// Folder of the workspace
    #[arg(default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    /// Touchpoints, one JSON object per line
    #[arg(long, value_name = "FILE.jsonl")]
    events: PathBuf,
    /// Write every decision, one JSON object per line
    #[arg(long, value_name = "OUT.jsonl")]
    decisions: Option<PathBuf>,
    /// Go on to this time after the last touchpoint
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// A second workspace over the same touchpoints: what would be different
    #[arg(long, value_name = "DIR2")]
    compare: Option<PathBuf>,
}

impl Simulate {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        let until = self.until.as_deref().map(when::parse).transpose()?;
        let Some(files) = linted(&self.dir)? else { return Ok(Exit::Negative) };
        let other = match &self.compare {
            Some(dir) => match linted(dir)? {
                Some(files) => Some((dir, files)),
                None => return Ok(Exit::Negative),
            },
            None => None,
        };
        let summary = self.simulate(&self.dir, &files, until, self.decisions.as_deref())?;
        let compared = match &other {
            Some((dir, files)) => Some(self.simulate(dir, files, until, None)?),
            None => None,
        };
        if globals.json {
            term::json(&json!({ "summary": summary, "compared": compared }))?;
            return Ok(Exit::Done);
        }
        for line in summary::page(&summary, term::width()) {
            term::line(&line);
        }
        if let (Some(compared), Some((dir, _))) = (&compared, &other) {
            let names = (self.dir.display().to_string(), dir.display().to_string());
            for line in summary::difference(&summary, compared, &names, term::width()) {
                term::line(&line);
            }
        }
        Ok(Exit::Done)
    }

    fn simulate(
        &self,
        dir: &Path,
        files: &Files,
        until: Option<Timestamp>,
        decisions: Option<&Path>,
    ) -> Result<Summary> {
        let cannot =
            |path: &Path, error| unreachable(format!("cannot open {}: {error}", path.display()));
        let events = File::open(&self.events).map_err(|error| cannot(&self.events, error))?;
        let bytes = events.metadata().map(|metadata| metadata.len()).unwrap_or(0);
        let out = match decisions {
            Some(path) => Some(BufWriter::with_capacity(
                BUFFER_BYTES,
                File::create(path).map_err(|error| cannot(path, error))?,
            )),
            None => None,
        };
        let mut watch = Watcher { out, progress: Progress::new("bytes", Some(bytes)) };
        let mut reader = BufReader::with_capacity(BUFFER_BYTES, events);
        let simulation = Simulation::new(files, dir)?;
        let summary = simulation
            .run(&mut reader, until, &mut watch)
            .map_err(|error| negative(format!("{}: {error:#}", self.events.display())))?;
        if let Some(out) = &mut watch.out {
            out.flush().context("cannot write the decisions")?;
        }
        Ok(summary)
    }
}

/// Buffer of the files that are read and written.
const BUFFER_BYTES: usize = 1 << 20;

/// The files, when no finding is an error; else the findings are shown.
fn linted(dir: &Path) -> Result<Option<Files>> {
    let (files, compiled) = workspace::compile(dir)?;
    if findings::count(&compiled.findings, Severity::Error) == 0 {
        return Ok(Some(files));
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
    progress: Progress,
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
        self.progress.at(bytes);
    }
}
