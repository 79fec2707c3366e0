//! Settings of the log, and what they mean to the client library.

use rdkafka::ClientConfig;
use sojourn_model::DurationMs;
use sojourn_ports::log::limits;
use sojourn_ports::{Layout, Topic};
use std::fmt;
use std::time::Duration;

/// Bytes of records that have been appended and not been acknowledged; beyond it `append` waits
/// for room, and refuses when there is none in [`KafkaOptions::request_timeout`] (LIM-1).
pub(crate) const PENDING_BYTES_MAX: usize = 64 << 20;
/// The client library's own limit lies above ours, so that it never refuses half a call.
const LIBRARY_QUEUE_KBYTES: usize = 4 * PENDING_BYTES_MAX / 1024;
/// What a batch may hold beside its records.
pub(crate) const BATCH_OVERHEAD_BYTES: usize = 64 << 10;
/// Longest time that a broker holds back the answer to a reader at the end of a partition. A cursor
/// that is moved waits for it at most once.
const FETCH_WAIT_MS: u64 = 100;
/// Kilobytes that the client library reads ahead per cursor (LIM-1).
const READ_AHEAD_KBYTES: usize = 1024;
/// Records that the client library reads ahead per cursor (LIM-1).
const READ_AHEAD_RECORDS: usize = 10_000;

/// How to open a [`crate::KafkaLog`].
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// `host:port`, separated by commas; two or three of the cluster's brokers are enough.
    pub brokers: String,
    /// What the names of our topics begin with.
    pub prefix: String,
    /// Partitions; must be those that the topics were created with.
    pub layout: Layout,
    /// Copies of each partition.
    pub replicas: u16,
    /// Copies that must have a record before it is acknowledged.
    pub min_insync: u16,
    /// Encryption and log-in.
    pub security: Security,
    /// How long a record waits for company before it is sent.
    pub linger: Duration,
    /// How batches are compressed.
    pub compression: Compression,
    /// How long records stay after `trim` has allowed them to go.
    pub retention: DurationMs,
    /// How long one question to the brokers may take, and how long `append` waits for room.
    pub request_timeout: Duration,
    /// How long `sync` waits before it answers `Unknown`, and how long closing waits.
    pub sync_timeout: Duration,
    /// How long a record may stay unacknowledged before the log stops. `None`: for ever, so that a
    /// log outlives any outage of the brokers. A short time buys nothing: what has timed out may be
    /// in the log all the same.
    pub delivery_timeout: Option<Duration>,
    /// Name in the brokers' logs and quotas.
    pub client_id: String,
}

/// How batches are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// LZ4: cheap, and records of one topic are alike.
    Lz4,
}

/// Encryption and log-in. Both need the cargo feature `tls`, but for the mechanism `PLAIN`.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// TLS to the brokers.
    pub tls: Option<Tls>,
    /// Log-in by SASL.
    pub sasl: Option<Sasl>,
}

/// TLS to the brokers.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// File of the authorities that signed the brokers' certificates; `None`: the system's.
    pub authorities: Option<String>,
    /// Files of our own certificate and its key, where brokers ask for one.
    pub identity: Option<(String, String)>,
}

/// Log-in by SASL.
#[derive(Clone)]
pub struct Sasl {
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub mechanism: String,
    /// User.
    pub user: String,
    /// Password.
    pub password: String,
}

impl fmt::Debug for Sasl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mechanism, user, password: _ } = self;
        f.debug_struct("Sasl").field("mechanism", mechanism).field("user", user).finish()
    }
}

impl KafkaOptions {
    /// The product's settings.
    pub fn new(brokers: impl Into<String>, layout: Layout) -> Self {
        Self {
            brokers: brokers.into(),
            prefix: "sojourn.".to_owned(),
            layout,
            replicas: 3,
            min_insync: 2,
            security: Security::default(),
            linger: Duration::from_millis(2),
            compression: Compression::Lz4,
            retention: DurationMs::days(7),
            request_timeout: Duration::from_secs(10),
            sync_timeout: Duration::from_secs(30),
            delivery_timeout: None,
            client_id: "sojourn".to_owned(),
        }
    }

    /// Name of a topic at the brokers.
    pub fn topic_name(&self, topic: Topic) -> String {
        format!("{}{}", self.prefix, topic.as_str())
    }

    /// What is wrong with the settings by themselves.
    pub(crate) fn refusal(&self) -> Option<String> {
        if self.brokers.trim().is_empty() {
            return Some("brokers: none is named; give host:port of at least one".to_owned());
        }
        if self.min_insync == 0 || self.min_insync > self.replicas {
            let Self { replicas, min_insync, .. } = self;
            return Some(format!(
                "min_insync is {min_insync} and replicas {replicas}: take 1 to {replicas}"
            ));
        }
        let scram = self.security.sasl.as_ref().is_some_and(|sasl| sasl.mechanism != "PLAIN");
        let needs_tls = self.security.tls.is_some() || scram;
        (needs_tls && !cfg!(feature = "tls")).then(|| {
            "security: TLS and SCRAM need a build with the cargo feature `tls` of sojourn-kafka"
                .to_owned()
        })
    }

    /// What every client has.
    fn common(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", &self.client_id)
            .set("socket.nagle.disable", "true")
            .set("socket.keepalive.enable", "true")
            // A cluster that was down is found again within a second.
            .set("reconnect.backoff.max.ms", "1000")
            .set("topic.metadata.refresh.interval.ms", "60000");
        let Security { tls, sasl } = &self.security;
        let protocol = match (tls.is_some(), sasl.is_some()) {
            (false, false) => "plaintext",
            (true, false) => "ssl",
            (false, true) => "sasl_plaintext",
            (true, true) => "sasl_ssl",
        };
        config.set("security.protocol", protocol);
        if let Some(Tls { authorities, identity }) = tls {
            if let Some(file) = authorities {
                config.set("ssl.ca.location", file);
            }
            if let Some((certificate, key)) = identity {
                config.set("ssl.certificate.location", certificate).set("ssl.key.location", key);
            }
        }
        if let Some(Sasl { mechanism, user, password }) = sasl {
            config.set("sasl.mechanism", mechanism);
            config.set("sasl.username", user).set("sasl.password", password);
        }
        config
    }

    /// The client that asks about topics and ends: nothing that waits shares its connections.
    pub(crate) fn asker(&self) -> ClientConfig {
        let mut config = self.common();
        config.set("isolation.level", "read_uncommitted");
        config
    }

    /// The client that appends.
    pub(crate) fn producer(&self) -> ClientConfig {
        let mut config = self.common();
        let message_bytes = limits::RECORD_BYTES_MAX + BATCH_OVERHEAD_BYTES;
        let timeout = self.delivery_timeout.map_or(0, |time| time.as_millis());
        config
            .set("enable.idempotence", "true")
            // A record that cannot be stored stops the producer: what follows it is not stored
            // either, so a partition holds a prefix of what was appended.
            .set("enable.gapless.guarantee", "true")
            .set("acks", "all")
            .set("message.timeout.ms", timeout.to_string())
            .set("message.max.bytes", message_bytes.to_string())
            .set("linger.ms", self.linger.as_millis().to_string())
            .set("queue.buffering.max.messages", "0")
            .set("queue.buffering.max.kbytes", LIBRARY_QUEUE_KBYTES.to_string())
            .set(
                "compression.type",
                match self.compression {
                    Compression::None => "none",
                    Compression::Lz4 => "lz4",
                },
            );
        config
    }

    /// A client that reads: partitions are assigned by us, nothing is committed.
    pub(crate) fn consumer(&self) -> ClientConfig {
        let mut config = self.common();
        config
            .set("group.id", format!("{}{}", self.prefix, "readers"))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("isolation.level", "read_uncommitted")
            // By default a reader whose place is gone jumps to the end, silently.
            .set("auto.offset.reset", "error")
            .set("fetch.wait.max.ms", FETCH_WAIT_MS.to_string())
            .set("fetch.queue.backoff.ms", "5")
            .set("queued.min.messages", READ_AHEAD_RECORDS.to_string())
            .set("queued.max.messages.kbytes", READ_AHEAD_KBYTES.to_string());
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_are_named() {
        let good = KafkaOptions::new("localhost:9092", Layout::new(1, 1));
        assert_eq!(good.refusal(), None);
        let none = KafkaOptions { brokers: " ".to_owned(), ..good.clone() };
        assert!(none.refusal().unwrap().contains("brokers"));
        let more = KafkaOptions { replicas: 1, min_insync: 2, ..good.clone() };
        assert!(more.refusal().unwrap().contains("min_insync is 2 and replicas 1"));
        let mut scram = good;
        let sasl = Sasl {
            mechanism: "SCRAM-SHA-256".to_owned(),
            user: "app".to_owned(),
            password: "secret".to_owned(),
        };
        assert!(!format!("{sasl:?}").contains("secret"));
        scram.security.sasl = Some(sasl);
        assert_eq!(scram.refusal().is_some(), !cfg!(feature = "tls"));
    }
}
