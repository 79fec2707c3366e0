//! The owner of a touchpoint shard: reads, resolves, publishes, commits.
//!
//! LOG-2: the graph and the position are committed together, after the published records are
//! durable. A crash replays from the last commit; the nodes are then as they were, so the same
//! records come out, and their readers skip what they have.

use crate::commands;
use crate::limits;
use crate::metric_names as names;
use crate::node::held_key;
use crate::nodes::{Nodes, read_one};
use crate::planted::{Mutation, planted};
use crate::resolve::{Context, Outcome, Resolution, resolve};
use crate::rules::IdentityRules;
use bytes::Bytes;
use metrics::{counter, gauge};
use serde::{Deserialize, Serialize};
use sojourn_model::{DurationMs, Record, Timestamp};
use sojourn_ports::{
    Append, Aside, AtOnce, Clock, Entry, Errand, GraphCommit, GraphError, GraphWrite,
    IdentityGraph, Log, LogError, ReadLimit, Topic,
};
use sojourn_proto::{
    DeadLetter, Origin, TouchpointRecord, dead_letter, decode_touchpoint_record,
    encode_person_touchpoint, encode_profile_record, raw_touchpoint,
};
use std::sync::Arc;

/// Settings of a shard.
#[derive(Debug, Clone)]
pub struct ShardOptions {
    /// Which shard.
    pub shard: u16,
    /// Rules of the workspace.
    pub rules: IdentityRules,
    /// Commit at the latest after so many records.
    pub commit_records: u64,
    /// Commit at the latest when so many nodes wait.
    pub commit_nodes: usize,
    /// Commit at the latest after so long.
    pub commit_every: DurationMs,
    /// Identifiers, and persons, that each of the cache's two generations holds.
    pub cache_nodes: usize,
}

impl ShardOptions {
    /// Shard `shard` with the usual intervals.
    pub fn new(shard: u16, rules: IdentityRules) -> Self {
        Self {
            shard,
            rules,
            commit_records: 200_000,
            commit_nodes: 50_000,
            commit_every: DurationMs(500),
            cache_nodes: limits::CACHE_NODES_MAX,
        }
    }
}

/// What can go wrong. The shard has dropped its memory then; the next turn claims anew.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The log.
    #[error("identity shard {shard}: {source}")]
    Log {
        /// Shard.
        shard: u16,
        /// What.
        source: LogError,
    },
    /// The graph.
    #[error("identity shard {shard}: {source}")]
    Graph {
        /// Shard.
        shard: u16,
        /// What.
        source: GraphError,
    },
    /// The graph is empty while the log no longer begins at its beginning.
    #[error(
        "identity shard {shard}: the identity graph is empty but the log begins at offset {first}; \
         load a snapshot of identity/{shard} at {first} or later with `sojourn restore`"
    )]
    Empty {
        /// Shard.
        shard: u16,
        /// Oldest offset.
        first: u64,
    },
    /// The graph's position is outside the log.
    #[error(
        "identity shard {shard}: the identity graph stands at offset {position}, the log holds \
         {first}..{next}; load a snapshot of identity/{shard} at {first} to {next} with \
         `sojourn restore`"
    )]
    Position {
        /// Shard.
        shard: u16,
        /// Where the graph stands.
        position: u64,
        /// Oldest offset.
        first: u64,
        /// Next offset.
        next: u64,
    },
    /// The graph has come back older while this owner ran (a stale replica took over). Claiming anew
    /// replays from where it stands.
    #[error(
        "identity shard {shard}: the graph stood at offset {position} and came back at {found:?}"
    )]
    Older {
        /// Shard.
        shard: u16,
        /// Where this owner left it.
        position: u64,
        /// Where it stands now; `None`: it is empty.
        found: Option<u64>,
    },
    /// Several shards would write one graph without telling each other.
    #[error("the log has {shards} touchpoint shards; this graph takes one")]
    Shards {
        /// How many.
        shards: u16,
    },
}

/// What a turn did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// So many records were resolved.
    Worked(usize),
    /// Nothing to read.
    Idle,
    /// An outcome was unknown: memory dropped, the next turn claims anew.
    Recovering,
}

/// Who committed last, and where the graph stands since: as long as that is this owner, what it
/// reads from the graph is as of its own last commit. After a successor's commit the nodes are newer
/// than the record being resolved, after a roll-back older.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    /// Epoch of publication (see [`Origin`]).
    epoch: u64,
    position: u64,
}

impl Held {
    fn write(self, shard: u16) -> GraphWrite {
        let value = postcard::to_stdvec(&self).expect("two numbers encode");
        GraphWrite { key: held_key(shard), value: Some(value.into()) }
    }

    /// Fails unless the graph stands here, or already at the commit that is on its way.
    fn verify(
        self,
        graph: &dyn IdentityGraph,
        shard: u16,
        on_its_way: Option<Self>,
    ) -> Result<(), IdentityError> {
        let found = read_one(graph, held_key(shard))
            .map_err(|source| IdentityError::Graph { shard, source })?;
        match found.and_then(|row| postcard::from_bytes::<Self>(&row).ok()) {
            Some(held) if held == self || Some(held) == on_its_way => Ok(()),
            // Only another owner moves the graph on.
            Some(held) if held.epoch > self.epoch || held.position > self.position => {
                let source = GraphError::Fenced { shard, mine: self.epoch };
                Err(IdentityError::Graph { shard, source })
            }
            older => Err(IdentityError::Older {
                shard,
                position: self.position,
                found: older.map(|held| held.position),
            }),
        }
    }
}

/// Offset of the next touchpoint after a shard's last commit; `None`: there was none. For those who
/// own nothing.
pub fn committed(graph: &dyn IdentityGraph, shard: u16) -> Result<Option<u64>, GraphError> {
    let Some(row) = read_one(graph, held_key(shard))? else { return Ok(None) };
    let held: Held =
        postcard::from_bytes(&row).map_err(|error| GraphError::Failed(error.to_string()))?;
    Ok(Some(held.position))
}

struct Owned {
    /// The graph's epoch: fences commits.
    epoch: u64,
    /// What the last commit says of this owner. Its epoch fences what is published.
    held: Held,
    nodes: Nodes,
    /// Offset of the next record.
    next: u64,
    /// Position of the last commit.
    committed: u64,
    committed_at: Timestamp,
    /// A commit on its way.
    saving: Option<Saving>,
}

/// A commit that is being written while the shard goes on. What makes that safe for the owner of a
/// partition makes it safe here: it was taken at one position after everything below was published,
/// it is one at a time, and until it is known to be stored no node that it holds leaves memory.
struct Saving {
    errand: Arc<Errand<Result<(), IdentityError>>>,
    /// What the graph says once it is written.
    held: Held,
    began: Timestamp,
}

impl Owned {
    /// Where the first record published for the one at `offset` comes from.
    fn origin(&self, shard: u16, offset: u64) -> Origin {
        Origin { partition: shard, epoch: self.held.epoch, offset, index: 0 }
    }
}

/// The owner of one touchpoint shard. Drive it by [`Self::turn`] on one thread.
pub struct IdentityShard {
    log: Arc<dyn Log>,
    graph: Arc<dyn IdentityGraph>,
    clock: Arc<dyn Clock>,
    options: ShardOptions,
    owned: Option<Owned>,
    entries: Vec<Entry>,
    output: Output,
    resolution: Resolution,
    aside: Arc<dyn Aside>,
}

impl IdentityShard {
    /// A shard that has claimed nothing yet.
    pub fn new(
        log: Arc<dyn Log>,
        graph: Arc<dyn IdentityGraph>,
        clock: Arc<dyn Clock>,
        options: ShardOptions,
    ) -> Result<Self, IdentityError> {
        let shards = log.partitions(Topic::Touchpoints);
        if shards != 1 {
            return Err(IdentityError::Shards { shards });
        }
        let output = Output::new(log.partitions(Topic::Profiles));
        let resolution = Resolution::default();
        let aside = Arc::new(AtOnce);
        let entries = Vec::new();
        Ok(Self { log, graph, clock, options, owned: None, entries, output, resolution, aside })
    }

    /// Has commits written there, so that the shard need not wait for the graph. Without it they
    /// are written within a turn.
    #[must_use]
    pub fn with_aside(mut self, aside: Arc<dyn Aside>) -> Self {
        self.aside = aside;
        self
    }

    /// Whether a commit is on its way: then look again soon.
    pub fn is_saving(&self) -> bool {
        self.owned.as_ref().is_some_and(|owned| owned.saving.is_some())
    }

    /// Other rules from here on (a publication).
    pub fn set_rules(&mut self, rules: IdentityRules) {
        self.options.rules = rules;
    }

    /// Offset of the next record to resolve; `None` before the first turn.
    pub fn position(&self) -> Option<u64> {
        self.owned.as_ref().map(|owned| owned.next)
    }

    /// Position of the last commit: what lies below it may be trimmed.
    pub fn committed(&self) -> Option<u64> {
        self.owned.as_ref().map(|owned| owned.committed)
    }

    /// Reads, resolves and publishes one batch, and commits when it is time.
    ///
    /// After an error the shard has dropped its memory; the next turn claims the shard anew, which
    /// takes it from whoever has it. On [`GraphError::Fenced`] the caller should not go on.
    pub fn turn(&mut self) -> Result<Progress, IdentityError> {
        match self.try_turn() {
            Ok(progress) => Ok(progress),
            Err(error) => {
                self.owned = None;
                self.output.clear();
                match error {
                    IdentityError::Older { .. }
                    | IdentityError::Log { source: LogError::Unknown { .. }, .. }
                    | IdentityError::Graph { source: GraphError::Unknown(_), .. } => {
                        tracing::warn!(%error, "claiming the shard anew");
                        Ok(Progress::Recovering)
                    }
                    error => Err(error),
                }
            }
        }
    }

    /// Commits what is not committed; for a clean stop.
    pub fn finish(&mut self) -> Result<(), IdentityError> {
        let result = self.commit();
        if result.is_err() {
            self.owned = None;
        }
        result
    }

    fn log_error(&self) -> impl Fn(LogError) -> IdentityError + use<> {
        let shard = self.options.shard;
        move |source| IdentityError::Log { shard, source }
    }

    fn graph_error(&self) -> impl Fn(GraphError) -> IdentityError + use<> {
        let shard = self.options.shard;
        move |source| IdentityError::Graph { shard, source }
    }

    fn try_turn(&mut self) -> Result<Progress, IdentityError> {
        if self.owned.is_none() {
            self.claim()?;
        }
        let owned = self.owned.as_mut().expect("claimed");
        let limit = ReadLimit {
            records: limits::READ_RECORDS_MAX,
            bytes: limits::READ_BYTES_MAX,
            durable_only: false,
        };
        let shard = self.options.shard;
        self.entries.clear();
        self.log
            .read(Topic::Touchpoints, shard, owned.next, limit, &mut self.entries)
            .map_err(|source| IdentityError::Log { shard, source })?;
        // A log may give records again after a rebalance.
        let next = owned.next;
        self.entries.retain(|entry| entry.offset >= next);
        let count = self.entries.len();
        if count > 0 {
            self.resolve_batch()?;
        }
        self.committed_by_now(false)?;
        if self.commit_due(count == 0) {
            if self.is_saving() && self.overdue() {
                // The graph is slower than the log: what it has not taken stays bounded (LIM-1).
                self.committed_by_now(true)?;
            }
            if !self.is_saving() {
                self.begin_commit();
                self.committed_by_now(false)?;
            }
        }
        Ok(if count > 0 { Progress::Worked(count) } else { Progress::Idle })
    }

    fn claim(&mut self) -> Result<(), IdentityError> {
        let shard = self.options.shard;
        let (epoch, position) = self.graph.claim(shard).map_err(self.graph_error())?;
        let bounds = self.log.bounds(Topic::Touchpoints, shard).map_err(self.log_error())?;
        let next = match position {
            None if bounds.first > 0 => {
                return Err(IdentityError::Empty { shard, first: bounds.first });
            }
            None => 0,
            Some(position) if position < bounds.first || position > bounds.next => {
                let (first, next) = (bounds.first, bounds.next);
                return Err(IdentityError::Position { shard, position, first, next });
            }
            Some(position) => position,
        };
        let nodes = Nodes::over(self.graph.clone(), self.options.cache_nodes)
            .map_err(self.graph_error())?;
        let committed_at = self.clock.now();
        // As the owner of a partition does it: the log's end, read after the claim, and an empty
        // commit which proves that nobody had claimed when it was read.
        let held = Held { epoch: bounds.next, position: next };
        let commit =
            GraphCommit { guards: vec![], writes: vec![held.write(shard)], position: next };
        self.graph.commit(shard, epoch, commit).map_err(self.graph_error())?;
        let (committed, saving) = (next, None);
        self.owned = Some(Owned { epoch, held, nodes, next, committed, committed_at, saving });
        Ok(())
    }

    fn resolve_batch(&mut self) -> Result<(), IdentityError> {
        let entries = std::mem::take(&mut self.entries);
        let records: Vec<_> =
            entries.iter().map(|entry| decode_touchpoint_record(&entry.value)).collect();
        let graph_error = self.graph_error();
        let owned = self.owned.as_mut().expect("claimed");
        let touchpoints = || {
            records.iter().filter_map(|record| match record {
                Ok(TouchpointRecord::Touchpoint(touchpoint)) => Some(touchpoint),
                _ => None,
            })
        };
        owned
            .nodes
            .prefetch(
                touchpoints().flat_map(|touchpoint| &touchpoint.identifiers),
                touchpoints().filter_map(|touchpoint| touchpoint.profile),
            )
            .map_err(&graph_error)?;
        for (entry, record) in entries.iter().zip(&records) {
            assert_eq!(entry.offset, self.owned.as_ref().expect("claimed").next, "no holes");
            match record {
                Ok(TouchpointRecord::Touchpoint(touchpoint)) => {
                    self.touchpoint(entry, touchpoint)?;
                }
                Ok(TouchpointRecord::Command(command)) => self.command(entry, command)?,
                Err(error) => {
                    let detail = error.to_string();
                    self.output.letter(entry, "malformed", "", &detail, entry.value.clone());
                }
            }
            self.owned.as_mut().expect("claimed").next = entry.offset + 1;
            if self.output.is_full() {
                self.flush()?;
            }
        }
        counter!(names::TOUCHPOINTS).increment(entries.len() as u64);
        drop(records);
        self.entries = entries;
        self.flush()
    }

    /// Publishes, unless what it was made from may have been another owner's nodes.
    fn flush(&mut self) -> Result<(), IdentityError> {
        if let Some(owned) = &mut self.owned
            && owned.nodes.take_asked()
        {
            let on_its_way = owned.saving.as_ref().map(|saving| saving.held);
            owned.held.verify(&*self.graph, self.options.shard, on_its_way)?;
        }
        self.output.flush(&*self.log).map_err(self.log_error())
    }

    fn touchpoint(
        &mut self,
        entry: &Entry,
        touchpoint: &sojourn_model::Touchpoint<'_>,
    ) -> Result<(), IdentityError> {
        let shard = self.options.shard;
        let owned = self.owned.as_mut().expect("claimed");
        let context = Context {
            rules: &self.options.rules,
            shard,
            offset: entry.offset,
            log_time: entry.log_time,
        };
        resolve(&mut owned.nodes, context, touchpoint, &mut self.resolution)
            .map_err(|source| IdentityError::Graph { shard, source })?;
        let origin = owned.origin(shard, entry.offset);
        let resolution = &self.resolution;
        for refusal in &resolution.refusals {
            let reason = refusal.kind.as_str();
            counter!(names::REFUSALS, "reason" => reason).increment(1);
            let kind = refusal.identifier.to_string();
            self.output.letter(entry, reason, touchpoint.source, &kind, Bytes::new());
        }
        match resolution.outcome {
            Outcome::Nobody => {
                counter!(names::NOBODY).increment(1);
                let body = entry.value.clone();
                self.output.letter(entry, "no_identifier", touchpoint.source, "", body);
            }
            Outcome::Duplicate => counter!(names::DUPLICATES).increment(1),
            Outcome::Erased => {
                // Nothing of the person is kept, not even here (ERA-1).
                self.output.letter(entry, "erased", touchpoint.source, "", Bytes::new());
            }
            Outcome::Person(profile) => {
                let profile = if planted(Mutation::StaleMapping) {
                    let person = owned.nodes.person(profile);
                    let person = person.map_err(|source| IdentityError::Graph { shard, source })?;
                    let last = person.node.as_ref().and_then(|node| node.unions.last());
                    last.map_or(profile, |union| union.from)
                } else {
                    profile
                };
                let mut origin = origin;
                for addressed in resolution.precursors() {
                    let to = addressed.to.partition(self.output.partitions());
                    self.output.push(to, |out| {
                        encode_profile_record(Some(origin), false, &addressed.record, out);
                    });
                    origin.index += 1;
                }
                let to = profile.partition(self.output.partitions());
                match (&resolution.identifiers, raw_touchpoint(&entry.value)) {
                    (None, Ok(raw)) => self.output.push(to, |out| {
                        encode_person_touchpoint(Some(origin), profile, raw, out);
                    }),
                    _ => {
                        let touchpoint = resolution.forwarded(touchpoint);
                        let record = Record::Touchpoint { profile, touchpoint };
                        self.output.push(to, |out| {
                            encode_profile_record(Some(origin), false, &record, out);
                        });
                    }
                }
                if resolution.created {
                    counter!(names::CREATED).increment(1);
                }
                if !resolution.unions.is_empty() {
                    counter!(names::UNIONS).increment(resolution.unions.len() as u64);
                }
                if !resolution.moves.is_empty() {
                    counter!(names::MOVES).increment(resolution.moves.len() as u64);
                }
            }
        }
        Ok(())
    }

    fn command(
        &mut self,
        entry: &Entry,
        command: &sojourn_proto::IdentifiedCommand,
    ) -> Result<(), IdentityError> {
        let shard = self.options.shard;
        let owned = self.owned.as_mut().expect("claimed");
        let context = Context {
            rules: &self.options.rules,
            shard,
            offset: entry.offset,
            log_time: entry.log_time,
        };
        let found = commands::command(&mut owned.nodes, context, command)
            .map_err(|source| IdentityError::Graph { shard, source })?;
        match found {
            Some(profile) => {
                let origin = owned.origin(shard, entry.offset);
                let record = Record::PersonCommand { profile, command: command.command.clone() };
                let to = profile.partition(self.output.partitions());
                self.output.push(to, |out| {
                    encode_profile_record(Some(origin), false, &record, out);
                });
            }
            None => self.output.letter(entry, "unknown_person", "", "", Bytes::new()),
        }
        Ok(())
    }

    fn commit_due(&self, idle: bool) -> bool {
        let Some(owned) = &self.owned else { return false };
        owned.next > owned.committed
            && (self.overdue()
                || (idle && owned.nodes.dirty() == 0)
                || self.clock.now().since(owned.committed_at) >= self.options.commit_every)
    }

    /// Whether so much has changed since the last commit began that no more may gather.
    fn overdue(&self) -> bool {
        let Some(owned) = &self.owned else { return false };
        let begun = owned.saving.as_ref().map_or(owned.committed, |saving| saving.held.position);
        owned.next - begun >= self.options.commit_records
            || owned.nodes.dirty() >= self.options.commit_nodes
    }

    /// Commits what is resolved and waits for it.
    fn commit(&mut self) -> Result<(), IdentityError> {
        self.committed_by_now(true)?;
        self.begin_commit();
        self.committed_by_now(true)
    }

    /// Sends what changed with the position on its way.
    fn begin_commit(&mut self) {
        let now = self.clock.now();
        let Some(owned) = &mut self.owned else { return };
        if owned.next == owned.committed {
            return;
        }
        assert!(owned.saving.is_none(), "one commit at a time");
        let shard = self.options.shard;
        let (before, held) = (owned.held, Held { position: owned.next, ..owned.held });
        let mut writes = owned.nodes.take_writes();
        writes.push(held.write(shard));
        let commit = GraphCommit { guards: vec![], writes, position: owned.next };
        let (log, graph, epoch) = (self.log.clone(), self.graph.clone(), owned.epoch);
        let errand = Errand::new(move || {
            // What was published must be durable before the graph says so.
            log.sync().map_err(|source| IdentityError::Log { shard, source })?;
            // A graph that came back older lacks what was written before and is not dirty any more.
            before.verify(&*graph, shard, None)?;
            graph
                .commit(shard, epoch, commit)
                .map_err(|source| IdentityError::Graph { shard, source })
        });
        self.aside.take(errand.clone());
        owned.saving = Some(Saving { errand, held, began: now });
    }

    /// Takes note of the commit that was on its way, if it is written by now or when `wait`.
    fn committed_by_now(&mut self, wait: bool) -> Result<(), IdentityError> {
        let Some(owned) = &mut self.owned else { return Ok(()) };
        let Some(saving) = &owned.saving else { return Ok(()) };
        let outcome = if wait { Some(saving.errand.wait()) } else { saving.errand.poll() };
        let Some(outcome) = outcome else { return Ok(()) };
        outcome?;
        owned.held = saving.held;
        owned.committed = saving.held.position;
        owned.committed_at = saving.began;
        owned.saving = None;
        owned.nodes.committed();
        counter!(names::COMMITS).increment(1);
        gauge!(names::CACHED).set(owned.nodes.cached() as f64);
        if let Ok(bounds) = self.log.bounds(Topic::Touchpoints, self.options.shard) {
            gauge!(names::LAG).set(bounds.next.saturating_sub(owned.next) as f64);
        }
        Ok(())
    }
}

/// Records to publish: one buffer, cut into shared slices when it is flushed.
struct Output {
    buffer: Vec<u8>,
    /// Per partition of `profiles`, ends and starts in the buffer.
    ranges: Vec<Vec<(usize, usize)>>,
    letters: Vec<Bytes>,
    letter_bytes: usize,
    records: usize,
}

impl Output {
    fn new(partitions: u16) -> Self {
        Self {
            buffer: vec![],
            ranges: vec![vec![]; usize::from(partitions)],
            letters: vec![],
            letter_bytes: 0,
            records: 0,
        }
    }

    fn partitions(&self) -> u16 {
        u16::try_from(self.ranges.len()).expect("made from a u16")
    }

    fn push(&mut self, partition: u16, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.buffer.len();
        write(&mut self.buffer);
        self.ranges[usize::from(partition)].push((start, self.buffer.len()));
        self.records += 1;
    }

    fn letter(&mut self, entry: &Entry, reason: &str, source: &str, detail: &str, body: Bytes) {
        let letter = dead_letter(&DeadLetter {
            reason: reason.into(),
            source: source.into(),
            at: entry.log_time,
            body: body.slice(..body.len().min(limits::LETTER_BYTES_MAX)),
            detail: detail.into(),
        });
        self.letter_bytes += letter.len();
        self.letters.push(letter);
        self.records += 1;
    }

    fn is_full(&self) -> bool {
        self.records >= limits::APPEND_RECORDS_MAX - 2 * limits::IDENTIFIERS_MAX - 1
            || self.buffer.len() + self.letter_bytes >= limits::APPEND_BYTES_MAX
    }

    fn clear(&mut self) {
        self.buffer.clear();
        self.ranges.iter_mut().for_each(Vec::clear);
        self.letters.clear();
        self.letter_bytes = 0;
        self.records = 0;
    }

    fn flush(&mut self, log: &dyn Log) -> Result<(), LogError> {
        if self.records == 0 {
            return Ok(());
        }
        let capacity = self.buffer.capacity();
        let shared = Bytes::from(std::mem::take(&mut self.buffer));
        self.buffer.reserve(capacity.min(limits::READ_BYTES_MAX));
        let mut appends = Vec::new();
        for (partition, ranges) in self.ranges.iter_mut().enumerate() {
            if !ranges.is_empty() {
                let values = ranges.drain(..).map(|(from, to)| shared.slice(from..to)).collect();
                let partition = u16::try_from(partition).expect("made from a u16");
                appends.push(Append { topic: Topic::Profiles, partition, values });
            }
        }
        if !self.letters.is_empty() {
            let values = std::mem::take(&mut self.letters);
            appends.push(Append { topic: Topic::DeadLetters, partition: 0, values });
        }
        self.clear();
        log.append(appends, None)
    }
}
