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
    "mechanism",
    "username",
    "password",
    "brokers_ca",
    "brokers_certificate",
    "brokers_key",
    "redis_username",
    "redis_password",
    "redis_ca",
    "redis_certificate",
    "redis_key",
    "sentinel_username",
    "sentinel_password",
    "topic_prefix",
    "key_prefix",
];
/// Settings of `embedded` beside them.
const EMBEDDED: &[&str] = &["memory", "sync", "segment_size", "shards"];

/// Schemes of an address of Redis.
const REDIS_SCHEMES: &[&str] =
    &["redis", "rediss", "redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel"];
/// How Kafka may be spoken to.
const SECURITY: &[&str] = &["plaintext", "sasl_plaintext", "tls", "sasl_tls"];
/// How to log in at Kafka.
const MECHANISMS: &[&str] = &["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];
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
        belongings(table, &read, &storage);
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
                    "write redis://host:6379, redis+cluster://host:6379,host:6379 with some nodes of a cluster, \
                 or redis+sentinel://host:26379,host:26379/name; rediss for TLS",
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
        "mechanism" if !MECHANISMS.contains(&text) => refuse(
            "unknown-value",
            format!("`mechanism` is {text}"),
            "write SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN",
        ),
        "security" if !SECURITY.contains(&text) => refuse(
            "unknown-value",
            format!("`security` is {text}"),
            "write plaintext, sasl_plaintext, tls or sasl_tls",
        ),
        _ => {}
    }
}

/// What is said of a connection must fit how it is made: a certificate that nobody asks for, or a
/// password that is sent to nobody, is a mistake that would pass unseen.
fn belongings(table: &Table<'_>, read: &Table<'_>, storage: &Storage) {
    let said = |key: &str| storage.settings.get(key).map(|(text, _)| &**text);
    // What stands in the environment is known at the start only.
    let known = |key: &str| said(key).is_some_and(|text| text.contains("${"));
    let security = said("security").unwrap_or("plaintext");
    let tls = matches!(security, "tls" | "sasl_tls") || known("security");
    let sasl = matches!(security, "sasl_plaintext" | "sasl_tls") || known("security");
    let redis = said("redis").unwrap_or_default();
    let redis_tls = redis.starts_with("rediss") || known("redis");
    let sentinel = redis.contains("+sentinel://") || known("redis");
    let rules = [
        ("brokers_ca", tls, "write `security: tls` or `security: sasl_tls`"),
        ("brokers_certificate", tls, "write `security: tls` or `security: sasl_tls`"),
        ("mechanism", sasl, "write `security: sasl_tls`"),
        ("username", sasl, "write `security: sasl_tls`"),
        ("password", sasl, "write `security: sasl_tls`"),
        ("redis_ca", redis_tls, "write rediss:// in `redis`"),
        ("redis_certificate", redis_tls, "write rediss:// in `redis`"),
        ("sentinel_username", sentinel, "write redis+sentinel:// in `redis`"),
        ("sentinel_password", sentinel, "write redis+sentinel:// in `redis`"),
    ];
    let unfit = |key: &str, what: String, remedy: String| {
        table.source.error("unused-setting", read.key_place(key), what, remedy);
    };
    for (key, used, remedy) in rules {
        if said(key).is_some() && !used {
            unfit(key, format!("`{key}` has no use here"), format!("remove it, or {remedy}"));
        }
    }
    for (one, other) in [
        ("brokers_certificate", "brokers_key"),
        ("brokers_key", "brokers_certificate"),
        ("redis_certificate", "redis_key"),
        ("redis_key", "redis_certificate"),
        ("username", "password"),
        ("password", "username"),
    ] {
        if said(one).is_some() && said(other).is_none() {
            unfit(one, format!("`{one}` is nothing without `{other}`"), format!("add `{other}`"));
        }
    }
    if matches!(security, "sasl_plaintext" | "sasl_tls") && said("username").is_none() {
        table.source.error(
            "missing-key",
            read.key_place("security"),
            "a log-in needs `username` and `password`",
            "add `username` and `password: \"${NAME}\"`",
        );
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
