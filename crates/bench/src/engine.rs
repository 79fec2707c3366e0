//! J1 on the day clock over the durable embedded log: identity, engine, checkpoints, everything but
//! the network.
//!
//! One thread drives the turns, so that each stage's CPU time is its own; the journal's and the
//! store's threads show in the process's total.

use crate::cpu;
use crate::j1::{Generator, Message, Settings, files_with};
use anyhow::{Context, Result};
use bytes::Bytes;
use sojourn_embedded::{FjallStore, Journal, JournalOptions, StoreOptions};
use sojourn_gateway::message::{Converter, Envelope};
use sojourn_identity::{IdentityRules, IdentityShard, ShardOptions};
use sojourn_memory::{ManualClock, MemoryGate};
use sojourn_model::{DurationMs, Outcome, Record, Timestamp, VersionId};
use sojourn_ports::{Append, Layout, Log, ReadLimit, Topic};
use sojourn_proto::{
    DecisionRecord, decode_decision_record, encode_profile_record, encode_touchpoint_record,
};
use sojourn_rules::Definitions;
use sojourn_worker::{DefinitionsSource, OwnerOptions, PartitionOwner, Progress};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Touchpoints that the pipeline takes at once.
const BATCH: usize = 1_000;

/// Nodes of a generation of identity's cache where caches are small.
const SMALL_CACHE_NODES: usize = 20_000;

struct One(Arc<Definitions>);

impl DefinitionsSource for One {
    fn get(&self, version: VersionId) -> Result<Arc<Definitions>, String> {
        if version == self.0.version { Ok(self.0.clone()) } else { Err("unknown version".into()) }
    }
}

/// CPU time of the stages.
#[derive(Debug, Default, Clone, Copy)]
struct Stages {
    convert: Duration,
    append: Duration,
    identity: Duration,
    engine: Duration,
}

struct Bench {
    clock: Arc<ManualClock>,
    log: Arc<Journal>,
    converter: Converter,
    identity: IdentityShard,
    owners: Vec<PartitionOwner>,
    stages: Stages,
    touchpoints: u64,
}

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Input.
    pub settings: Settings,
    /// Partitions of `profiles`.
    pub partitions: u16,
    /// Profiles kept in memory, all partitions together.
    pub resident: usize,
    /// Notes beside decisions.
    pub notes: bool,
    /// Journeys in all; nothing in the input concerns those beyond the job's own.
    pub journeys: usize,
    /// Whether the other caches are small as well, so that they are full soon and memory shows what
    /// each further person costs.
    pub small_caches: bool,
}

/// Runs the job in `folder` and prints the figures.
pub fn run(folder: &std::path::Path, run: Run) -> Result<()> {
    let mut bench = Bench::new(folder, run)?;
    let mut generator = Generator::new(run.settings);
    let mut batch = Vec::with_capacity(BATCH);
    let began = Instant::now();
    let mut known = Known::new(u64::from(run.settings.people));
    while let Some(messages) = generator.prelude() {
        batch.extend(messages);
        if batch.len() >= BATCH {
            bench.take(&mut batch)?;
        }
        known.one_more();
    }
    bench.take(&mut batch)?;
    bench.finish()?;
    known.report();
    println!("prelude: {} records in {:.1?}", bench.touchpoints, began.elapsed());
    let (before, resident_before) = (bench.log.stats(), cpu::resident());
    (bench.stages, bench.touchpoints) = (Stages::default(), 0);
    let (began, cpu_began) = (Instant::now(), cpu::process());
    let mut generating = Duration::ZERO;
    loop {
        let from = cpu::thread();
        batch.extend(generator.by_ref().take(BATCH));
        generating += cpu::thread() - from;
        if batch.is_empty() {
            break;
        }
        bench.take(&mut batch)?;
    }
    bench.finish()?;
    let cpu = cpu::process() - cpu_began - generating - bench.stages.convert;
    bench.report(began.elapsed() - generating, cpu, (before.bytes, resident_before))
}

/// Memory as people become known: what each of them adds once the caches are full.
struct Known {
    people: u64,
    known: u64,
    /// Bytes resident after each share of the people.
    points: Vec<(u64, u64)>,
}

impl Known {
    /// Shares of the people after which memory is looked at.
    const SHARES: u64 = 8;

    fn new(people: u64) -> Self {
        Self { people, known: 0, points: vec![(0, cpu::resident())] }
    }

    fn one_more(&mut self) {
        self.known += 1;
        let next = self.people * self.points.len() as u64 / Self::SHARES;
        if self.known == next {
            self.points.push((self.known, cpu::resident()));
        }
    }

    fn report(&self) {
        for pair in self.points.windows(2) {
            let [(from, before), (to, after)] = pair else { continue };
            println!(
                "known: {to} people, {} MB resident, {} bytes for each of the last {}",
                after >> 20,
                after.saturating_sub(*before) / (to - from).max(1),
                to - from
            );
        }
        let half = self.points.iter().find(|(known, _)| known * 2 >= self.people);
        if let (Some((from, before)), Some((to, after))) = (half, self.points.last()) {
            println!(
                "known: each of the second half added {} bytes",
                after.saturating_sub(*before) / (to - from).max(1)
            );
        }
    }
}

impl Bench {
    fn new(folder: &std::path::Path, run: Run) -> Result<Self> {
        let definitions = sojourn_node::compiled(&files_with(run.journeys))?;
        let clock = Arc::new(ManualClock::new(Timestamp(run.settings.start_ms - 3_600_000)));
        let mut options = JournalOptions::new(Layout::new(1, run.partitions));
        options.retention = DurationMs::days(400);
        let log = Arc::new(Journal::open(&folder.join("log"), options, clock.clone())?);
        let mut of_store = StoreOptions::default();
        if run.small_caches {
            of_store = StoreOptions {
                cache_bytes: 32 << 20,
                memtable_bytes: 4 << 20,
                node_cache_bytes: 8 << 20,
            };
        }
        let store = Arc::new(FjallStore::open(&folder.join("state"), of_store)?);
        let mut record = Vec::new();
        let publish = Record::publish(definitions.version);
        encode_profile_record(None, false, &publish, &mut record);
        let appends = (0..run.partitions)
            .map(|partition| Append {
                topic: Topic::Profiles,
                partition,
                values: vec![Bytes::from(record.clone())],
            })
            .collect();
        log.append(appends, None)?;
        // Checkpoints by changed profiles and records: the virtual clock says nothing of real time.
        let mut shard = ShardOptions::new(0, IdentityRules::of(&definitions));
        shard.commit_every = DurationMs(i64::MAX / 4);
        shard.commit_records = 1_000_000;
        shard.commit_nodes = 500_000;
        if run.small_caches {
            shard.cache_nodes = SMALL_CACHE_NODES;
            shard.commit_nodes = SMALL_CACHE_NODES;
        }
        let identity = IdentityShard::new(log.clone(), store.clone(), clock.clone(), shard)?;
        let source: Arc<dyn DefinitionsSource> = Arc::new(One(definitions.clone()));
        let owners = (0..run.partitions)
            .map(|partition| {
                let mut options = OwnerOptions::new(partition);
                options.checkpoint_every = DurationMs(i64::MAX / 4);
                options.checkpoint_records = 2_000_000 / u64::from(run.partitions);
                let dirty = if run.small_caches { run.resident } else { 200_000 };
                options.checkpoint_profiles = dirty / usize::from(run.partitions);
                options.resident_profiles = run.resident / usize::from(run.partitions);
                options.limits.notes = run.notes;
                let gate = Arc::new(MemoryGate::new(clock.clone()));
                PartitionOwner::new(
                    log.clone(),
                    store.clone(),
                    gate,
                    clock.clone(),
                    source.clone(),
                    options,
                )
            })
            .collect();
        Ok(Self {
            converter: Converter::new(&definitions),
            stages: Stages::default(),
            touchpoints: 0,
            clock,
            log,
            identity,
            owners,
        })
    }

    /// One batch from JSON to decisions.
    fn take(&mut self, batch: &mut Vec<Message>) -> Result<()> {
        let Some(last) = batch.last() else { return Ok(()) };
        self.clock.set(Timestamp(last.at_ms));
        let from = cpu::thread();
        let mut values = Vec::with_capacity(batch.len());
        for message in batch.iter() {
            let envelope = Envelope {
                source: self.converter.source(message.source).context("a declared source")?,
                received_at: Timestamp(message.at_ms),
                sent_at: None,
                context: "",
                call: None,
                imported: false,
                make_id: &String::new,
            };
            let converted = self.converter.convert(&message.json, &envelope)?;
            let mut record = Vec::with_capacity(512);
            encode_touchpoint_record(&converted.touchpoint(), &mut record);
            values.push(Bytes::from(record));
        }
        self.touchpoints += batch.len() as u64;
        batch.clear();
        let converted = cpu::thread();
        self.log.append(vec![Append { topic: Topic::Touchpoints, partition: 0, values }], None)?;
        let appended = cpu::thread();
        while self.identity.turn()? != sojourn_identity::Progress::Idle {}
        let resolved = cpu::thread();
        for owner in &mut self.owners {
            while owner.turn()? != Progress::Idle {}
        }
        let stages = &mut self.stages;
        stages.convert += converted - from;
        stages.append += appended - converted;
        stages.identity += resolved - appended;
        stages.engine += cpu::thread() - resolved;
        Ok(())
    }

    /// Everything durable and checkpointed.
    fn finish(&mut self) -> Result<()> {
        let from = cpu::thread();
        self.identity.finish()?;
        let resolved = cpu::thread();
        for owner in &mut self.owners {
            owner.finish()?;
        }
        self.log.sync()?;
        self.stages.identity += resolved - from;
        self.stages.engine += cpu::thread() - resolved;
        Ok(())
    }

    fn report(&self, wall: Duration, cpu: Duration, (bytes, resident): (u64, u64)) -> Result<()> {
        let count = self.touchpoints;
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let per = |time: Duration| count as f64 / time.as_secs_f64();
        let micros = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;
        let Stages { convert, append, identity, engine } = self.stages;
        println!("touchpoints              {count}");
        println!("wall                     {wall:.1?}   {:.0} per second", per(wall));
        println!(
            "JSON to record           {:.2} µs each, {:.0} per core-second",
            micros(convert),
            per(convert)
        );
        println!("append                   {:.2} µs each", micros(append));
        println!(
            "identity                 {:.2} µs each, {:.0} per core-second",
            micros(identity),
            per(identity)
        );
        println!(
            "engine (owner's thread)  {:.2} µs each, {:.0} per core-second",
            micros(engine),
            per(engine)
        );
        println!(
            "log to decisions, whole process (append, identity, engine, journal, store, fsync)"
        );
        println!(
            "                         {:.2} µs each, {:.0} per core-second",
            micros(cpu),
            per(cpu)
        );
        let written = self.log.stats().bytes - bytes;
        println!(
            "journal                  {:.0} bytes per touchpoint",
            written as f64 / count as f64
        );
        let resident_now = cpu::resident();
        println!(
            "resident                 {} MB (+{} MB in the run)",
            resident_now >> 20,
            resident_now.saturating_sub(resident) >> 20
        );
        println!(
            "profiles in memory       {}",
            self.owners.iter().map(PartitionOwner::resident).sum::<usize>()
        );
        for (verdict, number) in self.verdicts()? {
            println!("  {verdict:<28} {number}");
        }
        Ok(())
    }

    /// Counts to compare between engines.
    fn verdicts(&self) -> Result<BTreeMap<String, u64>> {
        let mut counts = BTreeMap::new();
        for partition in 0..self.log.partitions(Topic::Decisions) {
            let mut next = self.log.bounds(Topic::Decisions, partition)?.first;
            loop {
                let mut entries = Vec::new();
                let limit = ReadLimit { records: 10_000, bytes: 8 << 20, durable_only: true };
                self.log.read(Topic::Decisions, partition, next, limit, &mut entries)?;
                let Some(last) = entries.last() else { break };
                next = last.offset + 1;
                for entry in &entries {
                    if let DecisionRecord::Decision(decision) =
                        decode_decision_record(&entry.value)?.1
                    {
                        let reason = match (decision.outcome, decision.reason) {
                            (Outcome::Approve, _) => String::new(),
                            (_, reason) => {
                                reason.map_or(String::new(), |r| format!(": {}", r.as_str()))
                            }
                        };
                        *counts
                            .entry(format!(
                                "{} {}{reason}",
                                decision.journey,
                                decision.outcome.as_str()
                            ))
                            .or_default() += 1;
                    }
                }
            }
        }
        Ok(counts)
    }
}
