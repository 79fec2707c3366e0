//! `simulate`: the engine over recorded touchpoints on a virtual clock. Nothing is sent.
//!
//! One partition, one identity shard, no log: the same converter, resolver and engine as in
//! production, driven by the file's own log times. The same input gives the same bytes.

mod command;
pub mod generate;
mod lines;
mod summary;
mod what_if;

pub use command::{CommandLine, Order};
pub use summary::{Coverage, JourneyCounts, Summary};
pub use what_if::{WHAT_IF_FORMS, WhatIf};

use crate::definitions::compiled;
use anyhow::{Context, Result, bail};
use lines::{BLOCKS_AHEAD, Block, Line, Lines};
use sojourn_engine::{Effect, Effects, Limits, OwnedRecord, Partition};
use sojourn_gateway::message::Converter;
use sojourn_identity::Outcome;
use sojourn_model::{
    Decision, Identifier, IdentifierKind, LogPosition, Note, ProfileId, Record, Timestamp,
};
use sojourn_proto::decode_profile_record;
use sojourn_rules::{Definitions, Files};
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{channel, sync_channel};

/// Bytes of one line; more is an error that names the line (LIM-1).
pub const LINE_BYTES_MAX: usize = 1 << 20;
/// Records that one line may bring about through forwards.
const FORWARDS_MAX: usize = 10_000;

/// What the caller sees while a simulation runs.
pub trait Watch {
    /// A decision, in log order.
    fn decision(&mut self, decision: &Decision) -> Result<()>;
    /// Something else that happened.
    fn note(&mut self, _note: &Note) -> Result<()> {
        Ok(())
    }
    /// After every thousand lines: lines and bytes read.
    fn progress(&mut self, _lines: u64, _bytes: u64) {}
}

/// A running simulation.
pub struct Simulation {
    definitions: Arc<Definitions>,
    partition: Partition,
    effects: Effects,
    forwards: Vec<(ProfileId, OwnedRecord)>,
    offset: u64,
    now: Timestamp,
    base: PathBuf,
    summary: Summary,
}

impl Simulation {
    /// A simulation of `files`; lint errors stop it. `base`: folders in `publish` lines are relative
    /// to it.
    pub fn new(files: &Files, base: &Path) -> Result<Self> {
        Ok(Self::of(compiled(files)?, base))
    }

    /// A simulation of compiled definitions.
    pub fn of(definitions: Arc<Definitions>, base: &Path) -> Self {
        let mut simulation = Self {
            partition: Partition::new(0, 1, Limits::default()),
            definitions: Arc::clone(&definitions),
            effects: Effects::new(),
            forwards: Vec::new(),
            offset: 0,
            now: Timestamp::MIN,
            base: base.to_owned(),
            summary: Summary::default(),
        };
        simulation.publish(definitions);
        simulation
    }

    /// Runs every line of `events`, then to `until`. Reading and resolving run ahead on a thread of
    /// their own.
    pub fn run(
        mut self,
        events: &mut (dyn BufRead + Send),
        until: Option<Timestamp>,
        watch: &mut dyn Watch,
    ) -> Result<Summary> {
        let lines = Lines::new(&self.definitions, self.base.clone());
        std::thread::scope(|scope| {
            let (sender, blocks) = sync_channel(BLOCKS_AHEAD);
            let (give_back, used) = channel();
            scope.spawn(move || lines.run(events, &sender, &used));
            for mut block in blocks {
                self.block(&mut block, watch)?;
                // Nobody takes it any more when that was the last one.
                let _ = give_back.send(block);
            }
            Ok::<_, anyhow::Error>(())
        })?;
        let end = until.map_or(self.now, |until| until.max(self.now));
        if self.summary.lines > 0 || until.is_some() {
            self.apply(&Record::Tick, end, watch)?;
        }
        self.summary.to = Some(end);
        let partition = &self.partition;
        self.summary.finish(|id| partition.profile(id));
        Ok(self.summary)
    }

    fn block(&mut self, block: &mut Block, watch: &mut dyn Watch) -> Result<()> {
        let mut lines = std::mem::take(&mut block.lines);
        let mut records = block.records();
        for line in lines.drain(..) {
            self.summary.lines += 1;
            let number = self.summary.lines;
            self.line(line, &mut records, watch).with_context(|| format!("line {number}"))?;
            if number.is_multiple_of(1_000) {
                watch.progress(number, block.read);
            }
        }
        drop(records);
        block.lines = lines;
        block.wrong.take().map_or(Ok(()), Err)
    }

    fn line(
        &mut self,
        line: Line,
        records: &mut dyn Iterator<Item = &[u8]>,
        watch: &mut dyn Watch,
    ) -> Result<()> {
        let (at, own) = match &line {
            Line::Blank => return Ok(()),
            Line::Refused(why) => {
                *self.summary.rejected.entry(why.clone()).or_default() += 1;
                return Ok(());
            }
            Line::Touchpoint { at, records, .. } | Line::Person { at, records } => (*at, *records),
            Line::All { at, .. } | Line::Publish { at, .. } => (*at, 0),
        };
        self.now = at;
        self.summary.from.get_or_insert(at);
        for bytes in records.take(own) {
            self.apply(&decode_profile_record(bytes)?.record, at, watch)?;
        }
        match line {
            Line::Touchpoint { outcome: Outcome::Person(profile), .. } => {
                self.summary.touchpoints += 1;
                self.summary.person(profile);
            }
            Line::Touchpoint { outcome, .. } => {
                match outcome {
                    Outcome::Duplicate => self.summary.duplicates += 1,
                    Outcome::Nobody => self.summary.nobody += 1,
                    _ => self.summary.erased += 1,
                }
                // Time passes all the same.
                self.apply(&Record::Tick, at, watch)?;
            }
            Line::All { command, .. } => self.apply(&Record::Command(*command), at, watch)?,
            Line::Publish { definitions, .. } => {
                // Timers due by now still belong to the old version.
                self.apply(&Record::Tick, at, watch)?;
                self.publish(definitions);
            }
            _ => {}
        }
        Ok(())
    }

    fn publish(&mut self, definitions: Arc<Definitions>) {
        let version = definitions.version;
        self.partition.install(definitions);
        let position = self.next_position();
        let now = self.now.max(self.partition.now());
        self.partition.apply(position, now, &Record::Publish { version }, &mut self.effects);
        self.effects.clear();
    }

    fn next_position(&mut self) -> LogPosition {
        self.offset += 1;
        LogPosition { partition: 0, offset: self.offset - 1 }
    }

    /// Applies a record, then what it forwards, and shows the effects in order.
    fn apply(&mut self, record: &Record<'_>, at: Timestamp, watch: &mut dyn Watch) -> Result<()> {
        self.apply_one(record, at, watch)?;
        let mut rounds = 0;
        while !self.forwards.is_empty() {
            for (to, record) in std::mem::take(&mut self.forwards) {
                rounds += 1;
                if rounds > FORWARDS_MAX {
                    bail!("one line brought about more than {FORWARDS_MAX} records");
                }
                self.apply_one(&record.addressed_to(to), at, watch)?;
            }
        }
        Ok(())
    }

    fn apply_one(
        &mut self,
        record: &Record<'_>,
        at: Timestamp,
        watch: &mut dyn Watch,
    ) -> Result<()> {
        let position = self.next_position();
        // Everybody stays in memory: who is missing has not been met before.
        let mut missing = Vec::new();
        self.partition.missing(at, record, &mut missing);
        for id in missing {
            self.partition.load(id, None)?;
        }
        self.partition.apply(position, at, record, &mut self.effects);
        for effect in self.effects.drain() {
            match effect {
                Effect::Decision(decision) => {
                    self.summary.decision(&decision);
                    watch.decision(&decision)?;
                }
                Effect::Note(note) => {
                    self.summary.note(&note);
                    watch.note(&note)?;
                }
                Effect::Forward { to, record } => self.forwards.push((to, record)),
                Effect::Action(_) | Effect::Cancel { .. } | Effect::Revoked { .. } => {}
            }
        }
        Ok(())
    }
}

/// A person as a command names them: `email:a@b.c`, or a profile id.
pub(crate) fn named(
    converter: &Converter,
    person: &str,
) -> Result<(Option<Identifier>, Option<ProfileId>)> {
    if let Ok(profile) = person.parse() {
        return Ok((None, Some(profile)));
    }
    let identifier = person.split_once(':').and_then(|(kind, value)| {
        // `social:x:v` and `custom:x:v` have a colon in their kind.
        let (kind, value) = match kind {
            "social" | "custom" => {
                let (name, value) = value.split_once(':')?;
                (format!("{kind}:{name}"), value)
            }
            _ => (kind.to_owned(), value),
        };
        converter.identifier(&IdentifierKind::parse(&kind)?, value)
    });
    match identifier {
        Some(identifier) => Ok((Some(identifier), None)),
        None => {
            bail!("`{person}` is no identifier: write email:a@b.c, customer_id:42 or a profile id")
        }
    }
}
