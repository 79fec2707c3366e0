//! Storage that several processes share: the log in Kafka, everything else in Redis.

use crate::links;
use anyhow::{Result, anyhow, bail};
use sojourn_dispatcher::limits;
use sojourn_kafka::topics::{self, Difference};
use sojourn_kafka::{KafkaFault, KafkaLog, KafkaOptions};
use sojourn_ports::{Clock, Layout};
use sojourn_redis::{OpenError, Redis, RedisGate, RedisOptions};
use sojourn_rules::{Storage, duration};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Partitions of `profiles` when nobody says how many.
pub const PARTITIONS_DEFAULT: u16 = 64;
/// Copies of each record when nobody says how many.
pub const REPLICATION_DEFAULT: u16 = 3;
/// Shards of `touchpoints`: the identity graph has one writer.
const SHARDS: u16 = 1;
/// After so long another process takes the partitions of one that is silent.
const TAKEOVER_DEFAULT: Duration = Duration::from_secs(3);

/// Kafka and Redis of a workspace, open.
pub struct Distributed {
    /// The log.
    pub log: Arc<KafkaLog>,
    /// State, graph, gate.
    pub redis: Redis,
    /// After so long another process takes the partitions of one that is silent.
    pub takeover: Duration,
    /// A delivery that takes longer is unknown; a dispatcher that takes over waits as long before it
    /// decides about what its predecessor had begun.
    pub longest_call: Duration,
    /// Name of this process among the members of its roles: another one after each start.
    pub member: String,
}

impl Distributed {
    /// Connects, and looks whether topics and settings are as the promises need them.
    pub(crate) fn open(dir: &Path, storage: &Storage, clock: Arc<dyn Clock>) -> Result<Self> {
        let log = open_log(dir, storage, clock)?;
        let mut options = RedisOptions::new(&*setting(storage, "redis"));
        crate::serve::crypto();
        links::redis(&mut options, dir, storage)?;
        if let Some((prefix, _)) = storage.settings.get("key_prefix") {
            options.prefix = prefix.to_string();
        }
        let redis = Redis::open(&options).map_err(|error| match error {
            OpenError::Unreachable(text) => links::redis_trouble(storage, &text),
            error => anyhow!("{}: {error}", place(storage, "redis")),
        })?;
        Ok(Self {
            log,
            redis,
            takeover: time(storage, "takeover").unwrap_or(TAKEOVER_DEFAULT),
            longest_call: time(storage, "longest_call").unwrap_or(limits::DELIVERY_WALL_MAX),
            member: member(),
        })
    }

    /// The gate of all processes.
    pub(crate) fn gate(&self, clock: Arc<dyn Clock>) -> Result<RedisGate> {
        self.redis.gate(clock).map_err(|error| anyhow!("the gate in Redis: {error}"))
    }
}

fn open_log(dir: &Path, storage: &Storage, clock: Arc<dyn Clock>) -> Result<Arc<KafkaLog>> {
    let fault = |error: KafkaFault| told(dir, storage, error);
    let mut options = kafka_options(dir, storage)?;
    let found = topics::find(&options).map_err(fault)?;
    let declared = number(storage, "partitions");
    options.layout = match (declared, found.layout) {
        (Some(partitions), _) => Layout::new(SHARDS, partitions),
        (None, Some(layout)) => layout,
        (None, None) => Layout::new(SHARDS, PARTITIONS_DEFAULT),
    };
    replicate(&mut options, number(storage, "replication").unwrap_or(found.replicas.max(1)));
    let log = KafkaLog::open(options.clone(), clock).map_err(fault)?;
    if found.replicas < 2 {
        tracing::warn!(
            replicas = found.replicas,
            "each record is on one broker: if its disk is lost, so is what was acknowledged; \
             make the topics with --replication 3"
        );
    }
    Ok(Arc::new(log))
}

/// An error of Kafka with the place in sojourn.yaml and what to do.
fn told(dir: &Path, storage: &Storage, error: KafkaFault) -> anyhow::Error {
    let at = place(storage, "brokers");
    if let KafkaFault::Topics { differences } = &error {
        let missing = differences.iter().filter(|one| one.found == "missing").count();
        if missing == sojourn_ports::Topic::ALL.len() {
            return anyhow!(
                "{at}: the topics are not there; make them with `sojourn topics {}`",
                dir.display()
            );
        }
        return anyhow!("{at}: the topics are not as they must be:\n{error}");
    }
    match &error {
        KafkaFault::Unreachable { .. } => links::kafka_trouble(storage, &error.to_string()),
        _ => anyhow!("{at}: {error}"),
    }
}

/// `sojourn.yaml:12: storage.brokers`
pub(crate) fn place(storage: &Storage, key: &str) -> String {
    match storage.settings.get(key) {
        Some((_, line)) => format!("sojourn.yaml:{line}: storage.{key}"),
        None => format!("sojourn.yaml: storage.{key}"),
    }
}

pub(crate) fn setting(storage: &Storage, key: &str) -> String {
    storage.settings.get(key).map(|(value, _)| value.to_string()).unwrap_or_default()
}

fn number(storage: &Storage, key: &str) -> Option<u16> {
    storage.settings.get(key)?.0.parse().ok().filter(|&number| number > 0)
}

fn time(storage: &Storage, key: &str) -> Option<Duration> {
    let time = duration::parse(&setting(storage, key))?;
    u64::try_from(time.0).ok().map(Duration::from_millis)
}

/// `shop-1:4711:9f3a`: machine, process, and something that no other start has.
fn member() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host.split_whitespace().collect();
    let host = if host.is_empty() { "host" } else { &host };
    let start = uuid::Uuid::new_v4().simple().to_string();
    format!("{host}:{}:{}", std::process::id(), &start[..6])
}

/// Copies, and how many of them must have a record before it is acknowledged: two wherever there are
/// two, so that no single loss takes what was acknowledged (LOG-1).
fn replicate(options: &mut KafkaOptions, replicas: u16) {
    options.replicas = replicas;
    options.min_insync = replicas.min(2);
}

fn kafka_options(dir: &Path, storage: &Storage) -> Result<KafkaOptions> {
    let mut options =
        KafkaOptions::new(setting(storage, "brokers"), Layout::new(SHARDS, PARTITIONS_DEFAULT));
    if let Some((prefix, _)) = storage.settings.get("topic_prefix") {
        options.prefix = prefix.to_string();
    }
    options.retention = storage.retention;
    options.security = links::kafka(dir, storage)?;
    Ok(options)
}

/// What `sojourn topics` asks for.
#[derive(Debug, Clone, Copy, Default)]
pub struct TopicOrder {
    /// Partitions of `profiles`; `None`: as declared, as they are, or [`PARTITIONS_DEFAULT`].
    pub partitions: Option<u16>,
    /// Copies of each record; `None`: as declared, as they are, or [`REPLICATION_DEFAULT`].
    pub replication: Option<u16>,
    /// Only look.
    pub check: bool,
}

/// What `sojourn topics` found and did.
#[derive(Debug)]
pub struct TopicReport {
    /// Topics that were made now.
    pub made: Vec<String>,
    /// What is not as it must be.
    pub differences: Vec<Difference>,
    /// Partitions of `profiles`.
    pub partitions: u16,
    /// Copies of each record.
    pub replication: u16,
}

/// Makes the topics of a workspace, or only says what differs.
pub fn make_topics(dir: &Path, storage: &Storage, order: TopicOrder) -> Result<TopicReport> {
    if &*storage.kind != "kafka+redis" {
        bail!("storage.kind is `{}`: it needs no topics", storage.kind);
    }
    let storage = crate::backend::filled(storage)?;
    let fault = |error: KafkaFault| told(dir, &storage, error);
    let mut options = kafka_options(dir, &storage)?;
    let found = topics::find(&options).map_err(fault)?;
    let partitions = order
        .partitions
        .or_else(|| number(&storage, "partitions"))
        .or_else(|| found.layout.map(|one| one.partitions(sojourn_ports::Topic::Profiles)))
        .unwrap_or(PARTITIONS_DEFAULT);
    let replication = order
        .replication
        .or_else(|| number(&storage, "replication"))
        .or(Some(found.replicas).filter(|&replicas| replicas > 0))
        .unwrap_or(REPLICATION_DEFAULT);
    options.layout = Layout::new(SHARDS, partitions);
    replicate(&mut options, replication);
    let made = if order.check { Vec::new() } else { topics::create(&options).map_err(fault)? };
    let mut differences = topics::check(&options).map_err(fault)?;
    // A broker may learn of a new topic a moment later.
    differences.retain(|one| one.found != "missing" || !made.contains(&one.topic));
    Ok(TopicReport { made, differences, partitions, replication })
}
