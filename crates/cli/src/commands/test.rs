//! `sojourn test`: the scenarios of a workspace, run through the engine.

use super::Globals;
use crate::exit::Exit;
use crate::findings::{self, Format};
use crate::term::{self, Ink, fit, paint, wrap};
use crate::{when, workspace};
use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use sojourn_node::rehearse::{self, Row, RowKind, Scenario, Verdict};
use sojourn_rules::Severity;
use std::path::{Path, PathBuf};

/// Run the scenarios in DIR/tests: what is given, and which decisions must come of it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples: sojourn test my-shop
          sojourn test my-shop cart          (scenarios with `cart` in name or file)
          sojourn test my-shop --show        (every decision, also where all is well)

A scenario in my-shop/tests/cart.yaml:

  scenario: A cart that is left alone is followed by one reminder
  journey: abandoned-cart            # compare decisions of this journey only
  day: 2026-03-02                    # a Monday; times are in the workspace's time zone
  people:
    ada: { email: ada@example.com, first_name: Ada, agrees: email/marketing }
  given:
    - { at: \"10:00\", person: ada, event: Cart Updated, with: { cart_id: c1, value: 24.5 } }
    - { at: \"+1d 09:00\", person: ada, event: Email Link Clicked }
  until: \"+3d 00:00\"                 # default: 30 days after the last line
  expect:
    - { at: \"11:00\", person: ada, step: remind, outcome: approve, channel: email }

`expect` lists every decision in order; only what a line names is compared. Nothing is sent.
Exit code 1 when a scenario does not hold.")]
pub(crate) struct Test {
    /// Folder of the workspace
    #[arg(default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    /// Only scenarios with one of these words in their name or file
    #[arg(value_name = "WORD")]
    words: Vec<String>,
    /// Show every decision, also where all is well
    #[arg(long)]
    show: bool,
}

impl Test {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        let definitions = workspace::definitions(&self.dir)?;
        let files = sojourn_node::read_tests(&self.dir)?;
        let scenarios = match rehearse::read(&files, &definitions) {
            Ok(scenarios) => scenarios,
            Err(found) => {
                let format = if globals.json { Format::Json } else { Format::Human };
                term::line(&findings::render(&found, &[], &files, format));
                let errors = findings::count(&found, Severity::Error);
                term::remark(&format!("nothing was run: mend the {} first", many(errors, "error")));
                return Ok(Exit::Negative);
            }
        };
        let total = scenarios.len();
        let chosen = scenarios.into_iter().filter(|one| self.wants(one));
        let verdicts: Vec<Verdict> =
            chosen.map(|scenario| rehearse::run(&scenario, &definitions, &self.dir)).collect();
        let failed = verdicts.iter().filter(|verdict| !verdict.passed).count();
        let exit = if failed == 0 && !verdicts.is_empty() { Exit::Done } else { Exit::Negative };
        if globals.json {
            term::json(&json!({
                "scenarios": verdicts, "passed": verdicts.len() - failed, "failed": failed,
            }))?;
            return Ok(exit);
        }
        if verdicts.is_empty() {
            term::line(&nothing(total, &self.dir));
            return Ok(exit);
        }
        let zone = definitions.workspace.time_zone.parse().unwrap_or(chrono_tz::Tz::UTC);
        let page = Page { zone, width: term::width(), show: self.show };
        let mut file = "";
        for verdict in &verdicts {
            if verdict.file != file {
                file = &verdict.file;
                term::line(&paint(Ink::Dim, file));
            }
            for line in page.verdict(verdict) {
                term::line(&line);
            }
        }
        term::line("");
        term::line(&last(verdicts.len(), failed));
        Ok(exit)
    }

    fn wants(&self, scenario: &Scenario) -> bool {
        let has = |text: &str, word: &String| text.to_lowercase().contains(&word.to_lowercase());
        self.words.is_empty()
            || self.words.iter().any(|word| has(&scenario.name, word) || has(&scenario.file, word))
    }
}

fn nothing(total: usize, dir: &Path) -> String {
    if total == 0 {
        format!(
            "no scenarios in {}: `sojourn test --help` shows one to begin with",
            dir.join("tests").display()
        )
    } else {
        format!("none of the {} has that word", many(total, "scenario"))
    }
}

fn last(total: usize, failed: usize) -> String {
    if failed == 0 {
        return paint(Ink::Good, &format!("all good: {}", many(total, "scenario")));
    }
    let text = format!("{failed} of {} did not come out as expected", many(total, "scenario"));
    paint(Ink::Bad, &text)
}

fn many(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// How scenarios are laid out.
struct Page {
    zone: chrono_tz::Tz,
    width: usize,
    show: bool,
}

/// Before everything that belongs to a scenario.
const INDENT: &str = "      ";
/// Width of the word before a decision.
const WORD_WIDTH: usize = 13;

impl Page {
    fn verdict(&self, verdict: &Verdict) -> Vec<String> {
        let came = verdict.rows.iter().filter(|row| row.kind == RowKind::Same).count();
        if verdict.passed {
            let note = match came {
                0 => "(nothing is decided)".to_owned(),
                count => format!("({} as expected)", many(count, "decision")),
            };
            let name = paint(Ink::Bold, &verdict.scenario);
            let mut lines =
                vec![format!("  {} {name} {}", paint(Ink::Good, "✓"), paint(Ink::Dim, &note))];
            if self.show {
                lines.extend(verdict.rows.iter().flat_map(|row| self.row(row)));
            }
            return lines;
        }
        let place = format!("{}:{}", verdict.file, verdict.line);
        let name = paint(Ink::Bold, &verdict.scenario);
        let mut lines = vec![format!(
            "  {} {name} {}",
            paint(Ink::Bad, "✗"),
            paint(Ink::Dim, &format!("({place})"))
        )];
        for problem in &verdict.problems {
            lines.extend(self.said("stopped", Ink::Bad, problem));
        }
        lines.extend(verdict.rows.iter().flat_map(|row| self.row(row)));
        lines
    }

    fn row(&self, row: &Row) -> Vec<String> {
        let (word, ink) = match row.kind {
            RowKind::Same => ("as expected", Ink::Good),
            RowKind::Differs => ("different", Ink::Bad),
            RowKind::Missing => ("did not come", Ink::Bad),
            RowKind::Unexpected => ("not expected", Ink::Bad),
        };
        let decision = row.got.as_ref().or(row.expected.as_ref());
        let mut what = decision.map_or_else(String::new, |decision| self.decision(decision));
        if let (RowKind::Missing, Some(line)) = (row.kind, row.line) {
            what.push_str(&format!(" (line {line})"));
        }
        let mut lines = self.said(word, ink, &what);
        for field in &row.fields {
            let text = format!(
                "{}: expected {}, got {}",
                field.field,
                self.value(&field.expected),
                self.value(&field.got)
            );
            lines.extend(self.said("", Ink::Bad, &text));
        }
        if let Some(why) = row.why.as_ref().filter(|_| self.show || row.kind != RowKind::Same) {
            lines.extend(self.said("", Ink::Dim, &format!("why: {why}")));
        }
        lines
    }

    /// A word in its column and a text that goes on below itself.
    fn said(&self, word: &str, ink: Ink, text: &str) -> Vec<String> {
        let room = self.width.saturating_sub(INDENT.len() + WORD_WIDTH + 1);
        let mut head = paint(ink, &fit(word, WORD_WIDTH));
        let mut lines = Vec::new();
        for part in wrap(&term::clean(text), room, room, usize::MAX) {
            lines.push(format!("{INDENT}{head} {part}").trim_end().to_owned());
            head = " ".repeat(WORD_WIDTH);
        }
        lines
    }

    /// `Mon 2 Mar 11:00 · ada · abandoned-cart/remind · approve by email`
    fn decision(&self, row: &Value) -> String {
        let text = |field: &str| row[field].as_str().unwrap_or("");
        let person = row["person"].as_str().or_else(|| row["identifiers"][0]["value"].as_str());
        let step = [text("journey"), text("step")].join("/");
        let mut parts = vec![self.value(text("at")), person.unwrap_or("").to_owned()];
        parts.push(step.trim_matches('/').to_owned());
        let reason = match text("reason") {
            "" => String::new(),
            reason => format!(": {reason}"),
        };
        let channel = match text("channel") {
            "" => String::new(),
            channel => format!(" by {channel}"),
        };
        parts.push(format!("{}{channel}{reason}", text("outcome")));
        if row["outcome"] == "defer" && !text("until").is_empty() {
            parts.push(format!("until {}", self.value(text("until"))));
        }
        parts.retain(|part| !part.is_empty());
        parts.join(" · ")
    }

    /// A value as people read it: an instant in the workspace's zone, anything else as it is.
    fn value(&self, text: &str) -> String {
        use chrono::TimeZone;
        if text.len() < 20 {
            return text.to_owned();
        }
        let at = when::parse(text).ok();
        match at.and_then(|at| self.zone.timestamp_millis_opt(at.0).single()) {
            Some(local) if at.is_some_and(|at| at.0 % 60_000 != 0) => {
                local.format("%a %-d %b %H:%M:%S").to_string()
            }
            Some(local) => local.format("%a %-d %b %H:%M").to_string(),
            None => text.to_owned(),
        }
    }
}
