//! `simulate`: the engine over recorded touchpoints on a virtual clock. Nothing is sent.
//!
//! One partition, one identity shard, no log: the same converter, resolver and engine as in
//! production, driven by the file's own log times. The same input gives the same bytes.

mod command;
mod summary;
mod what_if;

pub use command::{CommandLine, Order};
pub use summary::{Coverage, JourneyCounts, Summary};
pub use what_if::{WHAT_IF_FORMS, WhatIf};

use crate::definitions::compiled;
use crate::transition;
use crate::workspace::read_workspace;
use anyhow::{Context, Result, bail};
use sojourn_engine::{Effect, Effects, Limits, OwnedRecord, Partition};
use sojourn_gateway::message::{Converter, parse_rfc3339, repair_surrogates};
use sojourn_identity::{IdentityRules, Outcome, Resolver};
use sojourn_model::{
    Decision, Identifier, IdentifierKind, LogPosition, Note, ProfileId, Record, Timestamp,
    Touchpoint, Transition, VersionId,
};
use sojourn_proto::{IdentifiedCommand, TouchpointRecord};
use sojourn_rules::{Definitions, Files, Severity};
use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    /// Every version that was published.
    versions: BTreeMap<VersionId, Arc<Definitions>>,
    converter: Converter,
    resolver: Resolver,
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
            converter: Converter::new(&definitions),
            resolver: Resolver::new(IdentityRules::of(&definitions)),
            partition: Partition::new(0, 1, Limits::default()),
            definitions: Arc::clone(&definitions),
            versions: BTreeMap::new(),
            effects: Effects::new(),
            forwards: Vec::new(),
            offset: 0,
            now: Timestamp::MIN,
            base: base.to_owned(),
            summary: Summary::default(),
        };
        simulation.publish(definitions, Transition::default());
        simulation
    }

    /// Runs every line of `events`, then to `until`.
    pub fn run(
        mut self,
        events: &mut dyn BufRead,
        until: Option<Timestamp>,
        watch: &mut dyn Watch,
    ) -> Result<Summary> {
        let mut line = String::new();
        let mut bytes = 0;
        loop {
            line.clear();
            let read = read_line(events, &mut line, self.summary.lines + 1)?;
            if read == 0 {
                break;
            }
            bytes += read as u64;
            self.summary.lines += 1;
            let number = self.summary.lines;
            if line.trim().is_empty() {
                continue;
            }
            self.line(line.trim_end(), watch).with_context(|| format!("line {number}"))?;
            if number.is_multiple_of(1_000) {
                watch.progress(number, bytes);
            }
        }
        let end = until.map_or(self.now, |until| until.max(self.now));
        if self.summary.lines > 0 || until.is_some() {
            self.apply(&Record::Tick, end, watch)?;
        }
        self.summary.to = Some(end);
        let partition = &self.partition;
        self.summary.finish(|id| partition.profile(id));
        Ok(self.summary)
    }

    fn line(&mut self, text: &str, watch: &mut dyn Watch) -> Result<()> {
        if is_command(text) {
            return self.command(text, watch);
        }
        let repaired = repair_surrogates(text);
        let number = self.summary.lines;
        let make_id = move || format!("line-{number}");
        let converter = std::mem::replace(&mut self.converter, Converter::new(&self.definitions));
        let result = converter.convert_line(&repaired, &make_id);
        let outcome = match result {
            Ok(converted) => {
                let at = converted.received_at;
                self.order(at).and_then(|()| self.touchpoint(&converted.touchpoint(), at, watch))
            }
            Err(rejected) if rejected.field == "receivedAt" || rejected.field == "body" => {
                Err(rejected.into())
            }
            Err(rejected) => {
                let why = format!("{} {}", rejected.field, rejected.reason);
                *self.summary.rejected.entry(why).or_default() += 1;
                Ok(())
            }
        };
        self.converter = converter;
        outcome
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
        self.summary.from.get_or_insert(at);
        Ok(())
    }

    fn touchpoint(
        &mut self,
        touchpoint: &Touchpoint<'_>,
        at: Timestamp,
        watch: &mut dyn Watch,
    ) -> Result<()> {
        let record = TouchpointRecord::Touchpoint(touchpoint.clone());
        match self.resolve(&record, at, watch)? {
            Outcome::Duplicate => self.summary.duplicates += 1,
            Outcome::Nobody => self.summary.nobody += 1,
            Outcome::Erased => self.summary.erased += 1,
            Outcome::Person(profile) => {
                self.summary.touchpoints += 1;
                self.summary.person(profile);
                return Ok(());
            }
        }
        // Time passes all the same.
        self.apply(&Record::Tick, at, watch)
    }

    fn resolve(
        &mut self,
        record: &TouchpointRecord<'_>,
        at: Timestamp,
        watch: &mut dyn Watch,
    ) -> Result<Outcome> {
        // A number of its own for each record: a profile's id is the place of its first touchpoint.
        let place = LogPosition { partition: 0, offset: self.summary.lines };
        let mut addressed = Vec::new();
        let outcome = self.resolver.apply(place, at, record, &mut addressed);
        for one in &addressed {
            self.apply(&one.record, at, watch)?;
        }
        Ok(outcome)
    }

    fn command(&mut self, text: &str, watch: &mut dyn Watch) -> Result<()> {
        let line = CommandLine::parse(text)?;
        let at = line.received_at.as_deref().context("a command needs `receivedAt`")?;
        let at = parse_rfc3339(at).context("receivedAt is not an RFC 3339 time")?;
        self.order(at)?;
        match line.order()? {
            Order::All(command) => self.apply(&Record::Command(command), at, watch),
            Order::Person(person, command) => {
                let (identifier, profile) = named(&self.converter, &person)?;
                let command = IdentifiedCommand { identifier, profile, command };
                match self.resolve(&TouchpointRecord::Command(command), at, watch)? {
                    Outcome::Person(_) => Ok(()),
                    _ => bail!("nobody is known as `{person}` yet"),
                }
            }
            Order::Publish(dir, transition) => {
                let files = read_workspace(&self.base.join(dir))?;
                let definitions = compiled(&files)?;
                // Timers due by now still belong to the old version.
                self.apply(&Record::Tick, at, watch)?;
                self.mapping(&files, &definitions, &transition)?;
                self.publish(definitions, transition);
                Ok(())
            }
        }
    }

    /// Refuses a publish that would refuse itself in production: people have no place to go on.
    fn mapping(
        &self,
        files: &Files,
        new: &Arc<Definitions>,
        transition: &Transition,
    ) -> Result<()> {
        let standing = self.partition.standing();
        let version = |version| self.versions.get(&version).cloned();
        let outlook = transition::Outlook::of(&standing, files, new, transition, &version);
        match outlook.findings.iter().find(|finding| finding.severity == Severity::Error) {
            Some(finding) => bail!("{}", crate::definitions::describe(finding)),
            None => Ok(transition::check_names(transition, &standing, new)?),
        }
    }

    fn publish(&mut self, definitions: Arc<Definitions>, transition: Transition) {
        let version = definitions.version;
        self.versions.insert(version, Arc::clone(&definitions));
        self.partition.install(Arc::clone(&definitions));
        self.converter = Converter::new(&definitions);
        self.resolver.set_rules(IdentityRules::of(&definitions));
        self.definitions = definitions;
        let position = self.next_position();
        let now = self.now.max(self.partition.now());
        self.partition.apply(
            position,
            now,
            &Record::Publish { version, transition },
            &mut self.effects,
        );
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
