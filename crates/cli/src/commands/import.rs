//! `sojourn import`: history from a CSV file. It enters timelines and aggregates, and never triggers.
//!
//! With `--out` it writes a file for `simulate` instead, where every row happens at its own time.

mod map;
mod rows;

use super::Globals;
use crate::admin::Admin;
use crate::exit::{Exit, unreachable, usage};
use crate::term::{self, Ink, Progress, paint};
use crate::{when, workspace};
use anyhow::{Context, Result};
use clap::Args;
use map::Map;
use rows::{Row, Rows};
use serde_json::json;
use sojourn_model::Timestamp;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Import history from a CSV file; it never triggers a journey
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Import {
    /// Folder of the workspace
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Id of the declared source that the history belongs to
    #[arg(long)]
    source: String,
    /// What the columns mean
    #[arg(long, value_name = "MAP.yaml")]
    map: PathBuf,
    /// The rows
    #[arg(value_name = "FILE.csv")]
    file: PathBuf,
    /// Write a file for `simulate` instead of importing
    #[arg(long, value_name = "EVENTS.jsonl")]
    out: Option<PathBuf>,
    /// Go on when a row cannot be read; it is counted and the first ones are shown
    #[arg(long)]
    skip_bad: bool,
}

const HELP: &str = "Example: sojourn import my-shop --source till --map map.yaml orders.csv

map.yaml says what the columns mean:

  delimiter: \",\"            # one character, `tab`, or `whitespace` (any run of blanks)
  header: true              # false: name the columns yourself
  columns: [card, day, total]
  time_zone: Europe/London  # of timestamps that carry none; default: the workspace's
  event: Store Order Completed
  timestamp: { column: day, format: \"%Y-%m-%d %H:%M\" }   # or rfc3339, unix, unix_ms
  userId: { column: card, prefix: \"crm-\" }              # or anonymousId
  messageId: order_no       # default: made from the row, so that a second import counts once
  properties:
    total: { column: total, type: number }               # string, number, boolean
    store_id: { value: york }                            # the same for every row
  traits:
    email: email_address    # short for { column: email_address }";

/// Bad rows that are shown; all are counted.
const BAD_SHOWN_MAX: u64 = 5;
/// Touchpoints handed to the log at once.
const BATCH_MAX: usize = 2_000;

/// What came of an import.
#[derive(Debug, Default)]
struct Count {
    rows: u64,
    bad: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Import {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        let definitions = workspace::definitions(&self.dir)?;
        let source = definitions.workspace.sources.iter().find(|one| *one.id == *self.source);
        if source.is_none() {
            let ids: Vec<_> = definitions.workspace.sources.iter().map(|one| &*one.id).collect();
            return Err(usage(format!(
                "sojourn.yaml has no source `{}`: it has {}",
                self.source,
                ids.join(", ")
            )));
        }
        let zone = definitions.workspace.time_zone.parse().unwrap_or(chrono_tz::Tz::UTC);
        let map = Map::read(&self.map, zone)?;
        let count = match &self.out {
            Some(out) => self.to_file(&map, out)?,
            None => self.to_log(&map)?,
        };
        self.report(&count, globals)
    }

    /// Writes lines for `simulate`: in order of time, each at its own.
    fn to_file(&self, map: &Map, out: &Path) -> Result<Count> {
        let mut lines: Vec<(Timestamp, String)> = Vec::new();
        let count = self.each(map, |row| {
            let mut message = row.message;
            message["source"] = self.source.as_str().into();
            message["receivedAt"] = when::rfc3339(row.at).into();
            lines.push((row.at, message.to_string()));
            Ok(())
        })?;
        // Stable: rows of one instant stay in the order of the file.
        lines.sort_by_key(|(at, _)| *at);
        let file = std::fs::File::create(out)
            .map_err(|error| unreachable(format!("cannot write {}: {error}", out.display())))?;
        let mut writer = BufWriter::new(file);
        for (_, line) in &lines {
            writeln!(writer, "{line}").context("cannot write the events")?;
        }
        writer.flush().context("cannot write the events")?;
        Ok(count)
    }

    /// Hands the rows to the running server, which marks them as imported.
    fn to_log(&self, map: &Map) -> Result<Count> {
        let mut admin = Admin::connect(&self.dir)?;
        let mut batch = Vec::new();
        let mut refused = 0;
        let mut first = None;
        let mut send = |batch: &mut Vec<Vec<u8>>| -> Result<()> {
            let answer = admin.import(&self.source, std::mem::take(batch))?;
            refused += answer.rejected.len() as u64;
            first = first.take().or_else(|| answer.rejected.into_iter().next());
            Ok(())
        };
        let mut count = self.each(map, |row| {
            batch.push(row.message.to_string().into_bytes());
            if batch.len() >= BATCH_MAX { send(&mut batch) } else { Ok(()) }
        })?;
        if !batch.is_empty() {
            send(&mut batch)?;
        }
        if let Some(rejected) = first {
            term::remark(&format!(
                "the server refused {} rows; the first: {} {}",
                term::grouped(refused),
                rejected.field,
                rejected.reason
            ));
        }
        count.rows -= refused;
        count.bad += refused;
        Ok(count)
    }

    /// Hands every row to `take`.
    fn each(&self, map: &Map, mut take: impl FnMut(Row) -> Result<()>) -> Result<Count> {
        let file = std::fs::File::open(&self.file).map_err(|error| {
            unreachable(format!("cannot read {}: {error}", self.file.display()))
        })?;
        let mut progress = Progress::new("rows", None);
        let mut count = Count::default();
        for row in Rows::new(file, map, &self.source)? {
            match row {
                Ok(row) => {
                    count.first = Some(count.first.map_or(row.at, |first| first.min(row.at)));
                    count.last = Some(count.last.map_or(row.at, |last| last.max(row.at)));
                    count.rows += 1;
                    take(row)?;
                }
                Err(bad) => {
                    count.bad += 1;
                    let text = format!("{}:{}: {}", self.file.display(), bad.line, bad.text);
                    if !self.skip_bad {
                        return Err(crate::exit::negative(format!(
                            "{text} (nothing after it was read; --skip-bad goes on)"
                        )));
                    }
                    if count.bad <= BAD_SHOWN_MAX {
                        term::remark(&text);
                    }
                }
            }
            progress.at(count.rows);
        }
        Ok(count)
    }

    fn report(&self, count: &Count, globals: &Globals) -> Result<Exit> {
        let time = |at: Option<Timestamp>| at.map(when::rfc3339);
        if globals.json {
            term::json(&json!({
                "rows": count.rows, "bad": count.bad,
                "first": time(count.first), "last": time(count.last),
            }))?;
        } else {
            let day = |at| time(at).map_or_else(String::new, |at| at[..10].to_owned());
            let to = match &self.out {
                Some(out) => format!("into {}", out.display()),
                None => "as history; it triggers nothing".to_owned(),
            };
            term::line(&format!(
                "{} {} rows of {} to {} {to}",
                paint(Ink::Good, "imported"),
                term::grouped(count.rows),
                day(count.first),
                day(count.last),
            ));
            if count.bad > 0 {
                let text = format!("{} rows could not be read", term::grouped(count.bad));
                term::line(&paint(Ink::Warn, &text));
            }
        }
        Ok(if count.bad > 0 { Exit::Negative } else { Exit::Done })
    }
}
