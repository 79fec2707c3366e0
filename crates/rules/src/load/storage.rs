//! `storage` of sojourn.yaml: which log and state, and where.

use super::workspace::placeholder;
use crate::definitions::Storage;
use crate::duration;
use crate::reader::Table;
use crate::yaml::Node;
use sojourn_model::Name;

/// Settings of `kafka+redis` beside `kind`, `path` and `retention`.
const DISTRIBUTED: &[&str] = &[
    "brokers",
    "redis",
    "partitions",
    "replication",
    "takeover",
    "longest_call",
    "security",
    "username",
    "password",
    "topic_prefix",
    "key_prefix",
];
/// Settings of `embedded` beside them.
const EMBEDDED: &[&str] = &["memory", "sync", "segment_size", "shards"];

/// Schemes of an address of Redis.
const REDIS_SCHEMES: &[&str] = &["redis", "rediss", "redis+cluster", "rediss+cluster"];
/// How Kafka may be spoken to.
const SECURITY: &[&str] = &["plaintext", "sasl_plaintext", "tls", "sasl_tls"];
/// Partitions at most: a person's number is 16 bits, and each costs threads and files at the brokers.
const PARTITIONS_MAX: u32 = 1_024;
/// Copies of a partition at most.
const REPLICATION_MAX: u32 = 9;
/// Shortest and longest time after which a silent process loses its partitions.
const TAKEOVER_SECONDS: std::ops::RangeInclusive<i64> = 1..=60;
/// Shortest and longest time after which a delivery without an answer is unknown.
const LONGEST_CALL_SECONDS: std::ops::RangeInclusive<i64> = 5..=600;

pub(super) fn load(table: &Table<'_>) -> Storage {
    let mut storage = Storage::default();
    let Some(read) = table.table("storage", "`storage`") else { return storage };
    let kinds = [("embedded", "embedded"), ("kafka+redis", "kafka+redis"), ("memory", "memory")];
    if let Some(kind) = read.choice("kind", &kinds) {
        storage.kind = kind.into();
    }
    let distributed = &*storage.kind == "kafka+redis";
    if let Some(node) = read.get("path")
        && let Some(path) = crate::reader::name(&table.source, node, "path")
    {
        placeholder(&table.source, node.place, &path);
        storage.settings.insert("path".into(), (path.clone(), node.place.line));
        storage.path = path;
    }
    if let Some(retention) = read.duration("retention") {
        storage.retention = retention;
    }
    for key in DISTRIBUTED.iter().chain(EMBEDDED) {
        let Some(node) = read.get(key) else { continue };
        let Some(text) = crate::reader::name(&table.source, node, key) else { continue };
        placeholder(&table.source, node.place, &text);
        if DISTRIBUTED.contains(key) != distributed {
            let (kind, other) =
                (&storage.kind, if distributed { "embedded" } else { "kafka+redis" });
            table.source.error(
                "wrong-storage",
                node.place,
                format!("storage of kind `{kind}` has no `{key}`"),
                format!("remove it, or write `kind: {other}`"),
            );
            continue;
        }
        if distributed && !text.contains("${") {
            check(table, node, key, &text);
        }
        storage.settings.insert(Name::from(*key), (text, node.place.line));
    }
    if distributed {
        for key in ["brokers", "redis"] {
            read.required(key);
        }
    }
    read.finish();
    storage
}

/// The form of one setting of `kafka+redis` that is written out.
fn check(table: &Table<'_>, node: &Node, key: &str, text: &str) {
    let refuse = |rule: &'static str, what: String, remedy: &str| {
        table.source.error(rule, node.place, what, remedy);
    };
    let count = |max: u32| text.parse().is_ok_and(|number: u32| (1..=max).contains(&number));
    match key {
        "brokers" => {
            if let Some(wrong) = text.split(',').map(str::trim).find(|one| !is_host_port(one)) {
                refuse(
                    "bad-address",
                    format!("`{wrong}` of `brokers` is not host:port"),
                    "write \"k1:9092,k2:9092\": two or three brokers of the cluster",
                );
            }
        }
        "redis" => {
            let scheme = text.split_once("://").map(|(scheme, _)| scheme);
            if !scheme.is_some_and(|scheme| REDIS_SCHEMES.contains(&scheme)) {
                refuse(
                    "bad-address",
                    format!("`{text}` is no address of Redis"),
                    "write redis://host:6379, or redis+cluster://host:6379,host:6379 with some nodes of a cluster",
                );
            }
        }
        "partitions" if !count(PARTITIONS_MAX) => refuse(
            "bad-limit",
            format!("`partitions` is {text}"),
            "write a number from 1 to 1024; it is fixed when the topics are made",
        ),
        "replication" if !count(REPLICATION_MAX) => refuse(
            "bad-limit",
            format!("`replication` is {text}"),
            "write a number from 1 to 9: how many brokers hold each record",
        ),
        "takeover" if !seconds_in(text, TAKEOVER_SECONDS) => refuse(
            "bad-duration",
            format!("`takeover` is {text}"),
            "write 1s to 60s: after so long another process takes the partitions of one that is silent",
        ),
        "longest_call" if !seconds_in(text, LONGEST_CALL_SECONDS) => refuse(
            "bad-duration",
            format!("`longest_call` is {text}"),
            "write 5s to 10m: a delivery that has not been answered by then is unknown",
        ),
        "security" if !SECURITY.contains(&text) => refuse(
            "unknown-value",
            format!("`security` is {text}"),
            "write plaintext, sasl_plaintext, tls or sasl_tls",
        ),
        _ => {}
    }
}

fn seconds_in(text: &str, range: std::ops::RangeInclusive<i64>) -> bool {
    duration::parse(text).is_some_and(|time| range.contains(&(time.0 / 1_000)))
}

fn is_host_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains("://") && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}
