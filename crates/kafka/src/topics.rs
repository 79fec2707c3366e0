//! The topics: made with the settings that the log's promises rest on, and checked for them.

use crate::options::{BATCH_OVERHEAD_BYTES, KafkaOptions};
use crate::{KafkaFault, context::Teller};
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::{Metadata, MetadataTopic};
use sojourn_ports::log::limits;
use sojourn_ports::{Layout, LinkTrouble, Topic};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// A topic that is not as the log needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Name of the topic at the brokers.
    pub topic: String,
    /// What differs.
    pub what: &'static str,
    /// As it should be.
    pub wanted: String,
    /// As it is.
    pub found: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, what, wanted, found, remedy } = self;
        write!(f, "topic {topic}: {what} is {found}, must be {wanted}; {remedy}")
    }
}

/// How a setting's value must be.
enum Wanted {
    Is(String),
    AtLeast(i64),
}

/// Settings of a topic, with the reason why each matters standing beside it.
fn settings(options: &KafkaOptions, topic: Topic) -> Vec<(&'static str, Wanted)> {
    let is = |value: &str| Wanted::Is(value.to_owned());
    let largest = (limits::RECORD_BYTES_MAX + BATCH_OVERHEAD_BYTES) as i64;
    vec![
        // Log time is the brokers', whoever appends.
        ("message.timestamp.type", is("LogAppendTime")),
        // Definitions are found by their content; everything else is kept until `trim`.
        ("cleanup.policy", is(if compacted(topic) { "compact" } else { "delete" })),
        // Only `trim` deletes: what a reader still needs must not go by age, and log time must not
        // lose its maximum.
        ("retention.ms", is("-1")),
        ("retention.bytes", is("-1")),
        // LOG-1: an acknowledged record is on so many brokers, and an old copy never leads.
        ("min.insync.replicas", Wanted::AtLeast(i64::from(options.min_insync))),
        ("unclean.leader.election.enable", is("false")),
        ("max.message.bytes", Wanted::AtLeast(largest)),
    ]
}

/// Whether a topic keeps one of equal records instead of all.
pub(crate) fn compacted(topic: Topic) -> bool {
    topic == Topic::Definitions
}

/// A client for questions about topics, and what it last complained of.
struct Desk<'a> {
    options: &'a KafkaOptions,
    client: BaseConsumer<Teller>,
}

impl<'a> Desk<'a> {
    fn open(options: &'a KafkaOptions) -> Result<Self, KafkaFault> {
        if let Some(reason) = options.refusal() {
            return Err(KafkaFault::Settings { reason });
        }
        let client = options.asker().create_with_context(Teller::default());
        let client = client.map_err(|error| KafkaFault::Settings { reason: error.to_string() })?;
        Ok(Self { options, client })
    }

    /// The topics that there are. Also tells whether the cluster can be reached at all.
    fn metadata(&self) -> Result<Metadata, KafkaFault> {
        let mut left = self.options.request_timeout;
        loop {
            let step = left.min(LOOK);
            left -= step;
            let error = match self.client.client().fetch_metadata(None, step) {
                Ok(metadata) => return Ok(metadata),
                Err(error) => error,
            };
            // The reason lies in the client's events.
            for _ in 0..EVENTS_MAX {
                let _ = self.client.poll(Duration::ZERO);
            }
            let reason = self.client.context().complaint.beside(&error.to_string());
            // A wrong password or certificate is not mended by waiting.
            if left.is_zero() || is_final(crate::trouble(&reason)) {
                return Err(KafkaFault::Unreachable {
                    brokers: self.options.brokers.clone(),
                    reason,
                });
            }
        }
    }

    fn admin(&self) -> Result<AdminClient<Teller>, KafkaFault> {
        let created = self.options.asker().create_with_context((**self.client.context()).clone());
        created.map_err(|error: KafkaError| KafkaFault::Settings { reason: error.to_string() })
    }

    fn unanswered(&self, error: &KafkaError) -> KafkaFault {
        let (brokers, reason) = (self.options.brokers.clone(), error.to_string());
        KafkaFault::Unreachable { brokers, reason }
    }

    fn patience(&self) -> AdminOptions {
        let timeout = Some(self.options.request_timeout);
        AdminOptions::new().request_timeout(timeout).operation_timeout(timeout)
    }
}

/// Whether what stands against a connection stays when one waits.
fn is_final(trouble: LinkTrouble) -> bool {
    !matches!(trouble, LinkTrouble::Silent | LinkTrouble::TlsPort)
}

/// How often it is looked whether an answer will come at all.
const LOOK: Duration = Duration::from_secs(1);
/// Events of a client that are looked through for a reason (LIM-1).
const EVENTS_MAX: usize = 20;

/// Makes the topics that are missing; says which. Those that exist are left as they are:
/// [`check`] tells what is wrong with them.
pub fn create(options: &KafkaOptions) -> Result<Vec<String>, KafkaFault> {
    let desk = Desk::open(options)?;
    let brokers = desk.metadata()?.brokers().len();
    let admin = desk.admin()?;
    let names: Vec<String> = Topic::ALL.iter().map(|&topic| options.topic_name(topic)).collect();
    let values: Vec<Vec<(&str, String)>> = Topic::ALL
        .iter()
        .map(|&topic| {
            let value = |wanted| match wanted {
                Wanted::Is(value) => value,
                Wanted::AtLeast(least) => least.to_string(),
            };
            settings(options, topic).into_iter().map(|(key, wanted)| (key, value(wanted))).collect()
        })
        .collect();
    let new: Vec<NewTopic<'_>> = Topic::ALL
        .iter()
        .zip(names.iter().zip(&values))
        .map(|(&topic, (name, values))| {
            let partitions = i32::from(options.layout.partitions(topic));
            let copies = TopicReplication::Fixed(i32::from(options.replicas));
            let new = NewTopic::new(name, partitions, copies);
            values.iter().fold(new, |new, (key, value)| new.set(key, value))
        })
        .collect();
    let results = futures::executor::block_on(admin.create_topics(&new, &desk.patience()));
    let mut made = Vec::new();
    for result in results.map_err(|error| desk.unanswered(&error))? {
        match result {
            Ok(name) => made.push(name),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, RDKafkaErrorCode::InvalidReplicationFactor)) => {
                let wanted = options.replicas;
                return Err(KafkaFault::Settings {
                    reason: format!(
                        "topic {name} should have {wanted} copies and the cluster has {brokers} \
                         brokers: ask for fewer copies (replication), or add brokers"
                    ),
                });
            }
            Err((name, code)) => {
                let reason = format!("topic {name} could not be made: {code}");
                return Err(KafkaFault::Refused { reason });
            }
        }
    }
    Ok(made)
}

/// What the brokers have of our topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Partitions of the topics. `None`: one of them is missing, or they do not fit together.
    pub layout: Option<Layout>,
    /// Copies of each partition, the least of all topics; 0 without any topic.
    pub replicas: u16,
}

/// Looks what there is, for a workspace that does not say how many partitions it has: the number is
/// fixed when the topics are made.
pub fn find(options: &KafkaOptions) -> Result<Found, KafkaFault> {
    let desk = Desk::open(options)?;
    let metadata = desk.metadata()?;
    let existing = existing(&metadata);
    let mut counts = [0; Topic::ALL.len()];
    let mut replicas: Option<usize> = None;
    for topic in Topic::ALL {
        if let Some(found) = existing.get(options.topic_name(topic).as_str()) {
            counts[topic as usize] = u16::try_from(found.partitions().len()).unwrap_or(u16::MAX);
            let copies = found.partitions().iter().map(|one| one.replicas().len()).min();
            replicas = replicas.into_iter().chain(copies).min();
        }
    }
    let shards = counts[Topic::Touchpoints as usize];
    let partitions = counts[Topic::Profiles as usize];
    let layout = Layout::from_counts(counts)
        .filter(|layout| *layout == Layout::new(shards.max(1), partitions.max(1)));
    Ok(Found { layout, replicas: u16::try_from(replicas.unwrap_or(0)).unwrap_or(u16::MAX) })
}

fn existing(metadata: &Metadata) -> BTreeMap<&str, &MetadataTopic> {
    metadata
        .topics()
        .iter()
        .filter(|topic| topic.error().is_none() && !topic.partitions().is_empty())
        .map(|topic| (topic.name(), topic))
        .collect()
}

/// What differs from what the log needs; empty when everything is as it should be.
pub fn check(options: &KafkaOptions) -> Result<Vec<Difference>, KafkaFault> {
    let desk = Desk::open(options)?;
    let metadata = desk.metadata()?;
    let existing = existing(&metadata);
    let mut differences = Vec::new();
    let mut present = Vec::new();
    for topic in Topic::ALL {
        let name = options.topic_name(topic);
        match existing.get(name.as_str()) {
            Some(found) => {
                differences.extend(check_shape(options, topic, &name, found));
                present.push((topic, name));
            }
            None => differences.push(Difference {
                topic: name,
                what: "the topic",
                wanted: format!("there, with {} partitions", options.layout.partitions(topic)),
                found: "missing".to_owned(),
                remedy: "make it with `sojourn topics`".to_owned(),
            }),
        }
    }
    let asked: Vec<ResourceSpecifier<'_>> =
        present.iter().map(|(_, name)| ResourceSpecifier::Topic(name)).collect();
    if asked.is_empty() {
        return Ok(differences);
    }
    let admin = desk.admin()?;
    let answers = futures::executor::block_on(admin.describe_configs(&asked, &desk.patience()));
    let answers = answers.map_err(|error| desk.unanswered(&error))?;
    for ((topic, name), answer) in present.iter().zip(answers) {
        let found = answer.map_err(|code| KafkaFault::Refused {
            reason: format!("settings of topic {name} cannot be read: {code}"),
        })?;
        differences.extend(check_settings(options, *topic, name, &found));
    }
    Ok(differences)
}

fn check_shape(
    options: &KafkaOptions,
    topic: Topic,
    name: &str,
    found: &MetadataTopic,
) -> Vec<Difference> {
    let mut differences = Vec::new();
    let wanted = usize::from(options.layout.partitions(topic));
    let count = found.partitions().len();
    if count != wanted {
        let remedy = if count < wanted {
            "people's partition is computed from the count, so it is fixed: take the workspace's \
             count from the topic, or delete the topic if it is empty"
        } else {
            "a count cannot be lowered: take the workspace's count from the topic, or delete the \
             topic if it is empty"
        };
        differences.push(Difference {
            topic: name.to_owned(),
            what: "the number of partitions",
            wanted: wanted.to_string(),
            found: count.to_string(),
            remedy: remedy.to_owned(),
        });
    }
    let copies = found.partitions().iter().map(|partition| partition.replicas().len()).min();
    let copies = copies.unwrap_or(0);
    if copies < usize::from(options.replicas) {
        differences.push(Difference {
            topic: name.to_owned(),
            what: "the number of replicas",
            wanted: format!("at least {}", options.replicas),
            found: copies.to_string(),
            remedy: "reassign its partitions with kafka-reassign-partitions".to_owned(),
        });
    }
    differences
}

fn check_settings(
    options: &KafkaOptions,
    topic: Topic,
    name: &str,
    found: &ConfigResource,
) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (key, wanted) in settings(options, topic) {
        let value = found.get(key).and_then(|entry| entry.value.clone()).unwrap_or_default();
        let (good, wanted, set) = match wanted {
            Wanted::Is(wanted) => (value == wanted, wanted.clone(), wanted),
            Wanted::AtLeast(least) => {
                let good = value.parse::<i64>().is_ok_and(|value| value >= least);
                (good, format!("at least {least}"), least.to_string())
            }
        };
        if !good {
            differences.push(Difference {
                topic: name.to_owned(),
                what: key,
                wanted,
                found: if value.is_empty() { "not set".to_owned() } else { value },
                remedy: format!("kafka-configs --alter --topic {name} --add-config {key}={set}"),
            });
        }
    }
    differences
}
