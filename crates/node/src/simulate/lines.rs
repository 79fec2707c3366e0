//! The first half of a simulation: lines become records, on a thread of their own.
//!
//! Reading, converting and resolving who somebody is depend on nothing that the engine does, so
//! they run ahead of it by a few blocks. What the engine gets, and in which order, is the same as
//! if one thread did both.

use super::{CommandLine, LINE_BYTES_MAX, Order, named};
use crate::definitions::compiled;
use crate::workspace::read_workspace;
use anyhow::{Context, Result, bail};
use sojourn_gateway::message::{Converter, parse_rfc3339, repair_surrogates};
use sojourn_identity::{Addressed, IdentityRules, Outcome, Resolver};
use sojourn_model::{Command, LogPosition, Timestamp, Transition};
use sojourn_proto::{IdentifiedCommand, TouchpointRecord, encode_profile_record};
use sojourn_rules::{Definitions, Files};
use std::io::BufRead;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};

/// Lines of one block at most.
const BLOCK_LINES_MAX: usize = 256;
/// Bytes of one block's records; the line that passes it is the block's last.
const BLOCK_BYTES_MAX: usize = 1 << 20;
/// Blocks that wait for the engine at most.
pub(super) const BLOCKS_AHEAD: usize = 4;

/// What one line came to.
pub(super) enum Line {
    /// Nothing stands there.
    Blank,
    /// Somebody's touchpoint, or none's; its records are the next ones of the block.
    Touchpoint { at: Timestamp, outcome: Outcome, records: usize },
    /// A command about a person, likewise.
    Person { at: Timestamp, records: usize },
    /// A command to all.
    All { at: Timestamp, command: Box<Command> },
    /// A version goes live.
    Publish { at: Timestamp, definitions: Arc<Definitions>, by: Box<(Files, Transition)> },
    /// A message that the gateway would refuse, and why.
    Refused(String),
}

/// Lines one after the other, with their records.
#[derive(Default)]
pub(super) struct Block {
    pub(super) lines: Vec<Line>,
    /// What ends the run after them.
    pub(super) wrong: Option<anyhow::Error>,
    /// Bytes of the file up to its end.
    pub(super) read: u64,
    bytes: Vec<u8>,
    /// Where each record ends.
    ends: Vec<usize>,
}

impl Block {
    /// The encoded records, in order.
    pub(super) fn records(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts.zip(&self.ends).map(|(from, to)| &self.bytes[*from..*to])
    }

    fn clear(&mut self) {
        self.lines.clear();
        self.bytes.clear();
        self.ends.clear();
    }

    fn is_full(&self) -> bool {
        self.lines.len() >= BLOCK_LINES_MAX || self.bytes.len() >= BLOCK_BYTES_MAX
    }
}

/// Reads lines and makes records of them.
pub(super) struct Lines {
    converter: Arc<Converter>,
    resolver: Resolver,
    base: PathBuf,
    now: Timestamp,
    number: u64,
}

impl Lines {
    pub(super) fn new(definitions: &Arc<Definitions>, base: PathBuf) -> Self {
        Self {
            converter: Arc::new(Converter::new(definitions)),
            resolver: Resolver::new(IdentityRules::of(definitions)),
            base,
            now: Timestamp::MIN,
            number: 0,
        }
    }

    /// Reads to the end, to the first wrong line, or until nobody takes the blocks any more.
    /// `used`: blocks to write anew.
    pub(super) fn run(
        mut self,
        events: &mut dyn BufRead,
        blocks: &SyncSender<Block>,
        used: &Receiver<Block>,
    ) {
        let mut text = String::new();
        let mut read = 0;
        loop {
            let mut block = used.try_recv().unwrap_or_default();
            block.clear();
            let ended = loop {
                text.clear();
                match read_line(events, &mut text, self.number + 1) {
                    Ok(0) => break true,
                    Ok(bytes) => read += bytes as u64,
                    Err(error) => {
                        block.wrong = Some(error);
                        break true;
                    }
                }
                self.number += 1;
                match self.line(text.trim_end(), &mut block) {
                    Ok(line) => block.lines.push(line),
                    Err(error) => {
                        block.wrong = Some(error.context(format!("line {}", self.number)));
                        break true;
                    }
                }
                if block.is_full() {
                    break false;
                }
            };
            block.read = read;
            if blocks.send(block).is_err() || ended {
                return;
            }
        }
    }

    fn line(&mut self, text: &str, block: &mut Block) -> Result<Line> {
        if text.trim().is_empty() {
            return Ok(Line::Blank);
        }
        if is_command(text) {
            return self.command(text, block);
        }
        let repaired = repair_surrogates(text);
        let number = self.number;
        let make_id = move || format!("line-{number}");
        let converter = Arc::clone(&self.converter);
        match converter.convert_line(&repaired, &make_id) {
            Ok(converted) => {
                let at = converted.received_at;
                self.order(at)?;
                let record = TouchpointRecord::Touchpoint(converted.touchpoint());
                let (outcome, records) = self.resolve(&record, at, block);
                Ok(Line::Touchpoint { at, outcome, records })
            }
            Err(rejected) if rejected.field == "receivedAt" || rejected.field == "body" => {
                Err(rejected.into())
            }
            Err(rejected) => Ok(Line::Refused(format!("{} {}", rejected.field, rejected.reason))),
        }
    }

    /// Log time must not run backwards.
    fn order(&mut self, at: Timestamp) -> Result<()> {
        if at < self.now {
            bail!(
                "receivedAt {} is before the line above it ({}): sort the file by receivedAt",
                crate::rows::rfc3339(at),
                crate::rows::rfc3339(self.now)
            );
        }
        self.now = at;
        Ok(())
    }

    /// Puts what the engine must get into the block; gives how many records that is.
    fn resolve(
        &mut self,
        record: &TouchpointRecord<'_>,
        at: Timestamp,
        block: &mut Block,
    ) -> (Outcome, usize) {
        // A number of its own for each record: a profile's id is the place of its first touchpoint.
        let place = LogPosition { partition: 0, offset: self.number };
        let mut addressed: Vec<Addressed<'_>> = Vec::new();
        let outcome = self.resolver.apply(place, at, record, &mut addressed);
        for one in &addressed {
            encode_profile_record(None, false, &one.record, &mut block.bytes);
            block.ends.push(block.bytes.len());
        }
        (outcome, addressed.len())
    }

    fn command(&mut self, text: &str, block: &mut Block) -> Result<Line> {
        let line = CommandLine::parse(text)?;
        let at = line.received_at.as_deref().context("a command needs `receivedAt`")?;
        let at = parse_rfc3339(at).context("receivedAt is not an RFC 3339 time")?;
        self.order(at)?;
        match line.order()? {
            Order::All(command) => Ok(Line::All { at, command: Box::new(command) }),
            Order::Person(person, command) => {
                let (identifier, profile) = named(&self.converter, &person)?;
                let command = IdentifiedCommand { identifier, profile, command };
                match self.resolve(&TouchpointRecord::Command(command), at, block) {
                    (Outcome::Person(_), records) => Ok(Line::Person { at, records }),
                    _ => bail!("nobody is known as `{person}` yet"),
                }
            }
            Order::Publish(dir, transition) => {
                let files = read_workspace(&self.base.join(dir))?;
                let definitions = compiled(&files)?;
                self.converter = Arc::new(Converter::new(&definitions));
                self.resolver.set_rules(IdentityRules::of(&definitions));
                Ok(Line::Publish { at, definitions, by: Box::new((files, transition)) })
            }
        }
    }
}

/// Whether a line is an operator's command: its `type` says so.
fn is_command(text: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Kind<'a> {
        #[serde(rename = "type", borrow, default)]
        kind: Option<std::borrow::Cow<'a, str>>,
    }
    // Parsing every line twice would cost as much as converting it.
    text.contains("\"command\"")
        && serde_json::from_str::<Kind<'_>>(text)
            .is_ok_and(|line| line.kind.as_deref() == Some("command"))
}

fn read_line(events: &mut dyn BufRead, line: &mut String, number: u64) -> Result<usize> {
    let mut limited = std::io::Read::take(events, LINE_BYTES_MAX as u64 + 1);
    let read = limited.read_line(line).with_context(|| format!("line {number} is not UTF-8"))?;
    if read > LINE_BYTES_MAX {
        bail!("line {number} is longer than {LINE_BYTES_MAX} bytes");
    }
    Ok(read)
}
