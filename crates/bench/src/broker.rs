//! J1 on the short clock over Kafka and Redis, each role a process of its own, so that the CPU time
//! of a role is that of its process; beside it what the client library needs for the same records
//! without deciding anything.
//!
//! The brokers are those of `KAFKA_BOOTSTRAP` and `REDIS_URL`. Topics and keys get a name of their
//! own, and stay: the brokers are for the run.

use crate::j1::{Generator, Message, Settings, files};
use crate::process::Sojourn;
use crate::{cpu, raw};
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use sojourn_gateway::message::{Converter, Envelope};
use sojourn_model::Timestamp;
use sojourn_node::{Backend, WallClock};
use sojourn_ports::{Append, Clock as _, Topic};
use sojourn_proto::encode_touchpoint_record;
use sojourn_rules::{Definitions, Files};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What to run.
pub struct Run {
    /// The program `sojourn`.
    pub program: PathBuf,
    /// Partitions of the topics.
    pub partitions: u16,
    /// The job's people and touchpoints.
    pub settings: Settings,
}

/// Touchpoints that are appended at once.
const BATCH: usize = 1_000;
/// Pause between two looks at how far the roles are.
const LOOK: Duration = Duration::from_millis(100);
/// How long a stage may take.
const STAGE_MAX: Duration = Duration::from_secs(900);
/// The short clock: an hour lasts a second.
const DIVIDE: u32 = 3_600;

/// Addresses of the brokers.
pub struct Brokers {
    /// Kafka.
    pub kafka: String,
    /// Redis.
    pub redis: String,
}

impl Brokers {
    /// From the environment.
    pub fn from_env() -> Result<Self> {
        let of = |name: &str| {
            std::env::var(name).with_context(|| {
                format!(
                    "{name} names the brokers: `tests/brokers/brokers.sh up DIR 1 1; . DIR/env`"
                )
            })
        };
        Ok(Self { kafka: of("KAFKA_BOOTSTRAP")?, redis: of("REDIS_URL")? })
    }

    /// The storage of a workspace, with topics and keys called `name`.
    pub fn storage(&self, name: &str) -> String {
        let Self { kafka, redis } = self;
        format!(
            "storage: {{ kind: kafka+redis, brokers: \"{kafka}\", redis: \"{redis}\", path: ./data, topic_prefix: \"{name}.\", key_prefix: {name} }}"
        )
    }
}

/// Replaces the storage in a workspace's settings.
pub fn with_storage(settings: &str, storage: &str) -> String {
    let line = |line: &str| {
        if line.starts_with("storage:") { storage.to_owned() } else { line.to_owned() }
    };
    settings.lines().map(|one| line(one) + "\n").collect()
}

/// A name that no other run has.
pub fn own_name() -> String {
    format!("j1-{}", WallClock::real().now().0)
}

/// Makes the topics of the workspace in `folder`.
pub fn make_topics(program: &Path, folder: &Path, partitions: u16) -> Result<()> {
    let made = Command::new(program)
        .arg("topics")
        .arg(folder)
        .args(["--partitions", &partitions.to_string(), "--replication", "1"])
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    if !made.status.success() {
        bail!("no topics: {}", String::from_utf8_lossy(&made.stderr));
    }
    Ok(())
}

/// Runs and prints the figures.
pub fn run(folder: &Path, run: &Run) -> Result<()> {
    let brokers = Brokers::from_env()?;
    let name = own_name();
    let Files(mut all) = files(DIVIDE);
    let settings = all.get_mut("sojourn.yaml").context("there is one")?;
    *settings = with_storage(settings, &brokers.storage(&name));
    let files = Files(all);
    let definitions = sojourn_node::compiled(&files)?;
    for (path, text) in &files.0 {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().context("below the folder")?)?;
        std::fs::write(path, text)?;
    }
    make_topics(&run.program, folder, run.partitions)?;
    // It publishes the definitions and answers `doctor`.
    let gateway = Sojourn::start(&run.program, &["run", "gateway"], folder)?;
    let clock = Arc::new(WallClock::real());
    let backend = Backend::open(folder, &definitions.workspace.storage, clock)?;
    let mut generator = Generator::new(run.settings);

    let known = {
        let mut known = Vec::new();
        while let Some(messages) = generator.prelude() {
            known.extend(messages);
        }
        known
    };
    let mut identity = Sojourn::start(&run.program, &["run", "identity"], folder)?;
    let mut engine = Sojourn::start(&run.program, &["run", "engine"], folder)?;
    append(&backend, &definitions, known)?;
    caught_up(&run.program, folder, "identity")?;
    caught_up(&run.program, folder, "engine")?;
    engine.terminate()?;
    identity.terminate()?;
    println!("{} people are known", run.settings.people);

    let before = Ends::of(&backend)?;
    let (count, convert) = {
        let from = cpu::thread();
        let count = append(&backend, &definitions, &mut generator)?;
        (count, cpu::thread() - from)
    };
    println!(
        "{count} touchpoints in the log ({:.2} µs each to generate, convert, append)",
        micros(convert, count)
    );
    let stores = Stores::look();
    identity = Sojourn::start(&run.program, &["run", "identity"], folder)?;
    let row = stage(run, folder, "identity", &identity, count)?;
    identity.terminate()?;
    Stores::look().since(&stores, count);
    println!("{row}");

    let stores = Stores::look();
    engine = Sojourn::start(&run.program, &["run", "engine"], folder)?;
    let row = stage(run, folder, "engine", &engine, count)?;
    println!("{row}");
    threads(&engine, count);
    Stores::look().since(&stores, count);
    let after = Ends::of(&backend)?;
    println!(
        "decisions and notes {}, actions {}",
        after.sum(Topic::Decisions) - before.sum(Topic::Decisions),
        after.sum(Topic::Actions) - before.sum(Topic::Actions)
    );
    recovery(run, folder, &mut engine)?;
    engine.terminate()?;
    drop(gateway);

    let names = |topic: Topic| format!("{name}.{}", topic.as_str());
    let raw = raw::run(&raw::Run {
        brokers: &brokers.kafka,
        source: &names(Topic::Profiles),
        results: &[names(Topic::Decisions), names(Topic::Actions)],
        copy_to: &names(Topic::Dispatch),
        from: before.places(Topic::Profiles),
        to: after.places(Topic::Profiles),
        results_from: [before.places(Topic::Decisions), before.places(Topic::Actions)],
        results_to: [after.places(Topic::Decisions), after.places(Topic::Actions)],
    })?;
    println!(
        "raw: the library alone reads {} records and writes {}: {:.2} µs of CPU for each touchpoint, {:.0} per core-second, wall {:.1?}",
        raw.read,
        raw.written,
        micros(raw.cpu, count),
        per(raw.cpu, count),
        raw.wall
    );
    Ok(())
}

/// One role, from its start to the end of its input.
fn stage(run: &Run, folder: &Path, role: &str, process: &Sojourn, count: u64) -> Result<String> {
    let began = Instant::now();
    caught_up(&run.program, folder, role)?;
    let (wall, cpu) = (began.elapsed(), process.cpu()?);
    Ok(format!(
        "{role:<10} {:.2} µs of CPU each, {:.0} per core-second; wall {wall:.1?}, {:.0} per second; {} MB",
        micros(cpu, count),
        per(cpu, count),
        per(wall, count),
        process.resident()? >> 20
    ))
}

/// kill -9 of the engine; how long until another has all its partitions and is ready.
fn recovery(run: &Run, folder: &Path, engine: &mut Sojourn) -> Result<()> {
    let began = Instant::now();
    engine.kill()?;
    let next = Sojourn::start(&run.program, &["run", "engine"], folder)?;
    let pid = next.pid().to_string();
    look(&run.program, folder, "engine", |row| {
        // A member is called `host:pid:…`.
        let owner = row["owner"].as_str().unwrap_or_default();
        owner.split(':').nth(1) == Some(&pid) && row["lag"] == 0
    })?;
    println!(
        "kill -9 of the engine: another one has every partition of {} people and is at the end of the log after {:.2?}, of which up to 3 s until the lease has ended",
        run.settings.people,
        began.elapsed()
    );
    *engine = next;
    Ok(())
}

fn threads(process: &Sojourn, count: u64) {
    let Some(threads) = cpu::of_threads(process.pid()) else { return };
    for (name, time) in threads {
        if time > Duration::from_millis(50) {
            println!("    {name:<18}{:.2} µs", micros(time, count));
        }
    }
}

fn micros(time: Duration, count: u64) -> f64 {
    time.as_secs_f64() * 1e6 / count as f64
}

fn per(time: Duration, count: u64) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// Appends what the gateway would have, and waits until it is durable.
fn append(
    backend: &Backend,
    definitions: &Arc<Definitions>,
    messages: impl IntoIterator<Item = Message>,
) -> Result<u64> {
    let converter = Converter::new(definitions);
    let mut messages = messages.into_iter().peekable();
    let mut count = 0;
    while messages.peek().is_some() {
        let mut values = Vec::with_capacity(BATCH);
        for message in messages.by_ref().take(BATCH) {
            let envelope = Envelope {
                source: converter.source(message.source).context("a declared source")?,
                received_at: Timestamp(message.at_ms),
                sent_at: None,
                context: "",
                call: None,
                imported: false,
                make_id: &String::new,
            };
            let converted = converter.convert(&message.json, &envelope)?;
            let mut record = Vec::with_capacity(512);
            encode_touchpoint_record(&converted.touchpoint(), &mut record);
            values.push(Bytes::from(record));
        }
        count += values.len() as u64;
        backend
            .log
            .append(vec![Append { topic: Topic::Touchpoints, partition: 0, values }], None)?;
    }
    backend.log.sync()?;
    Ok(count)
}

/// Waits until every partition of a role has a checkpoint at the end of the log.
fn caught_up(program: &Path, folder: &Path, role: &str) -> Result<()> {
    look(program, folder, role, |row| row["lag"] == 0)
}

/// Waits until `doctor` says `holds` of every partition of a role.
fn look(
    program: &Path,
    folder: &Path,
    role: &str,
    holds: impl Fn(&serde_json::Value) -> bool,
) -> Result<()> {
    let began = Instant::now();
    while began.elapsed() < STAGE_MAX {
        std::thread::sleep(LOOK);
        let said = Command::new(program).args(["--json", "doctor"]).arg(folder).output()?;
        let report: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap_or_default();
        let rows = report["server"]["partitions"].as_array().cloned().unwrap_or_default();
        let own: Vec<_> = rows.iter().filter(|row| row["role"] == role).collect();
        if !own.is_empty() && own.into_iter().all(&holds) {
            return Ok(());
        }
    }
    bail!("{role} has not read its input within {STAGE_MAX:?}")
}

/// Ends of all partitions of the topics that an owner writes.
struct Ends(Vec<(Topic, Vec<u64>)>);

impl Ends {
    fn of(backend: &Backend) -> Result<Self> {
        let mut ends = Vec::new();
        for topic in [Topic::Profiles, Topic::Decisions, Topic::Actions] {
            let of = |partition| Ok(backend.log.bounds(topic, partition)?.next);
            let partitions: Result<Vec<u64>> = (0..backend.log.partitions(topic)).map(of).collect();
            ends.push((topic, partitions?));
        }
        Ok(Self(ends))
    }

    fn of_topic(&self, topic: Topic) -> &[u64] {
        self.0.iter().find(|(one, _)| *one == topic).map_or(&[], |(_, ends)| ends)
    }

    fn places(&self, topic: Topic) -> Vec<u64> {
        self.of_topic(topic).to_vec()
    }

    fn sum(&self, topic: Topic) -> u64 {
        self.of_topic(topic).iter().sum()
    }
}

/// CPU time of the brokers' own processes, where `BROKERS_DIR` says which they are.
struct Stores(Vec<(String, Duration)>);

impl Stores {
    fn look() -> Self {
        let Ok(dir) = std::env::var("BROKERS_DIR") else { return Self(Vec::new()) };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let pid = std::fs::read_to_string(entry.path().join("pid")).unwrap_or_default();
            let pid = pid.split(' ').next().and_then(|pid| pid.trim().parse().ok());
            if let Some(cpu) = pid.and_then(cpu::of_process) {
                found.push((entry.file_name().to_string_lossy().into_owned(), cpu));
            }
        }
        Self(found)
    }

    fn since(&self, before: &Self, count: u64) {
        for ((name, now), (_, then)) in self.0.iter().zip(&before.0) {
            println!("    {name:<18}{:.2} µs (a process of its own)", micros(*now - *then, count));
        }
    }
}
