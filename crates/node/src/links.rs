//! How Kafka and Redis are spoken to: log-in and certificates of `storage`, and, when a connection
//! does not come about, which setting to look at.

use crate::distributed::{place, setting};
use anyhow::{Context, Result, anyhow};
use sojourn_kafka::{Sasl, Security, Tls};
use sojourn_ports::LinkTrouble;
use sojourn_redis::{Login, RedisOptions, RedisTls};
use sojourn_rules::Storage;
use std::path::{Path, PathBuf};

/// Log-in and encryption of Kafka.
pub(crate) fn kafka(dir: &Path, storage: &Storage) -> Result<Security> {
    let security = setting(storage, "security");
    let (tls, sasl) = match &*security {
        "" | "plaintext" => (false, false),
        "sasl_plaintext" => (false, true),
        "tls" => (true, false),
        "sasl_tls" => (true, true),
        other => {
            return Err(anyhow!(
                "{}: `{other}` is none; write plaintext, sasl_plaintext, tls or sasl_tls",
                place(storage, "security")
            ));
        }
    };
    if tls && !cfg!(feature = "kafka-tls") {
        return Err(anyhow!(
            "{}: this binary speaks no TLS to Kafka; take the image, or build it with `cargo build \
             --release --features kafka-tls`",
            place(storage, "security")
        ));
    }
    let mechanism = match setting(storage, "mechanism") {
        // A password in the clear is for brokers that know nothing else.
        none if none.is_empty() => (if tls { "SCRAM-SHA-512" } else { "PLAIN" }).to_owned(),
        mechanism => mechanism,
    };
    if sasl && mechanism != "PLAIN" && !cfg!(feature = "kafka-tls") {
        return Err(anyhow!(
            "{}: this binary has no {mechanism}; take the image, or build it with `cargo build \
             --release --features kafka-tls`",
            place(storage, "mechanism")
        ));
    }
    let file = |key: &str| -> Result<Option<String>> {
        let Some(path) = readable(dir, storage, key)? else { return Ok(None) };
        let text = path.to_str().with_context(|| format!("{}: no text", place(storage, key)))?;
        Ok(Some(text.to_owned()))
    };
    let tls = if tls {
        let identity = file("brokers_certificate")?.zip(file("brokers_key")?);
        Some(Tls { authorities: file("brokers_ca")?, identity })
    } else {
        None
    };
    let sasl = sasl.then(|| Sasl {
        mechanism,
        user: setting(storage, "username"),
        password: setting(storage, "password"),
    });
    Ok(Security { tls, sasl })
}

/// Log-in and encryption of Redis.
pub(crate) fn redis(options: &mut RedisOptions, dir: &Path, storage: &Storage) -> Result<()> {
    let text = |key: &str| storage.settings.get(key).map(|(value, _)| value.to_string());
    options.login = Login { username: text("redis_username"), password: text("redis_password") };
    options.sentinel_login =
        Login { username: text("sentinel_username"), password: text("sentinel_password") };
    let read = |key: &str| -> Result<Option<Vec<u8>>> {
        let Some(path) = readable(dir, storage, key)? else { return Ok(None) };
        Ok(Some(std::fs::read(path)?))
    };
    let tls = RedisTls {
        authorities: read("redis_ca")?,
        identity: read("redis_certificate")?.zip(read("redis_key")?),
    };
    if tls.authorities.is_some() || tls.identity.is_some() {
        options.tls = Some(tls);
    }
    Ok(())
}

/// The file that a setting names, which must be there.
fn readable(dir: &Path, storage: &Storage, key: &str) -> Result<Option<PathBuf>> {
    let Some((text, _)) = storage.settings.get(key) else { return Ok(None) };
    // An absolute path stands for itself.
    let path = dir.join(&**text);
    std::fs::File::open(&path)
        .with_context(|| format!("{}: cannot read {}", place(storage, key), path.display()))?;
    Ok(Some(path))
}

/// A connection to Kafka that did not come about: place, words, remedy.
pub(crate) fn kafka_trouble(storage: &Storage, text: &str) -> anyhow::Error {
    let trouble = sojourn_kafka::trouble(text);
    let (key, remedy) = match trouble {
        LinkTrouble::UnknownAuthority => (
            "brokers_ca",
            "name the file with the certificate of the authority that signed the brokers' own; if it \
             is named, their certificate has expired or is for another name than the address",
        ),
        LinkTrouble::PlainPort => (
            "security",
            "that port speaks no TLS: take the brokers' TLS port, or another `security`",
        ),
        LinkTrouble::TlsPort => {
            ("security", "if that port speaks TLS, write `security: tls` or `security: sasl_tls`")
        }
        LinkTrouble::ClientCertificate => (
            "brokers_certificate",
            "the brokers ask for a certificate that they know: set brokers_certificate and brokers_key",
        ),
        LinkTrouble::LogIn => {
            ("password", "see whether username, password and `mechanism` are those of the brokers")
        }
        LinkTrouble::Permission => {
            ("username", "let this user describe, read, write and delete records of the topics")
        }
        LinkTrouble::Silent if !setting(storage, "security").ends_with("tls") => (
            "brokers",
            "see whether it is running, and whether the address is right; a port that speaks TLS hangs \
             up without a word: then write `security: tls` or `security: sasl_tls`",
        ),
        other => ("brokers", certificate(other)),
    };
    anyhow!("{}: {text}; {remedy}", place(storage, key))
}

/// A connection to Redis that did not come about: place, words, remedy.
pub(crate) fn redis_trouble(storage: &Storage, text: &str) -> anyhow::Error {
    let trouble = sojourn_redis::trouble(text);
    let silent_tls =
        trouble == LinkTrouble::Silent && setting(storage, "redis").starts_with("rediss");
    let (key, remedy) = match trouble {
        _ if silent_tls => (
            "redis",
            "see whether it is running; a port that speaks no TLS does not answer either: then write redis://",
        ),
        LinkTrouble::UnknownAuthority => (
            "redis_ca",
            "name the file with the certificate of the authority that signed the server's own",
        ),
        LinkTrouble::PlainPort => {
            ("redis", "that port speaks no TLS: take the server's TLS port, or write redis://")
        }
        LinkTrouble::TlsPort => {
            ("redis", "the server hung up: if that port speaks TLS, write rediss://")
        }
        LinkTrouble::ClientCertificate => (
            "redis_certificate",
            "the server asks for a certificate that it knows: set redis_certificate and redis_key",
        ),
        LinkTrouble::LogIn => {
            ("redis_password", "see whether redis_username and redis_password are the server's")
        }
        LinkTrouble::Permission => (
            "redis_username",
            "let this user do what it needs: ACL SETUSER NAME on >PASSWORD ~PREFIX:* +@all -@dangerous +info +role +config|get",
        ),
        other => ("redis", certificate(other)),
    };
    anyhow!("{}: redis: no answer: {text}; {remedy}", place(storage, key))
}

fn certificate(trouble: LinkTrouble) -> &'static str {
    match trouble {
        LinkTrouble::Expired => {
            "the server's certificate does not hold today: renew it, or set the clock right"
        }
        LinkTrouble::WrongName => {
            "the server's certificate is for another name: use a name that stands in it"
        }
        _ => "see whether it is running, and whether the address is right",
    }
}
