//! sojourn.yaml

use super::names::{CHANNEL_KINDS, SOURCE_SECRETS};
use crate::definitions::{Calls, Channel, Company, Source as Declared, Workspace};
use crate::duration;
use crate::finding::{Source, suggest};
use crate::reader::{Table, checked_name};
use crate::yaml::{Node, Place};
use sojourn_model::Name;
use std::collections::BTreeMap;

/// Settings of channels beside `kind` and `rate`: exactly those that the channels read.
const CHANNEL_SETTINGS: &[&str] = &[
    "url",
    "from",
    "reply_to",
    "unsubscribe_mailto",
    "hello",
    "connections",
    "endpoint",
    "in_flight",
    "secret",
    "allow_private",
    "idempotency_window",
    "path",
    "timeout",
    "ca",
    "certificate",
    "key",
];
/// Secrets of sources.
const SECRETS: &[&str] =
    &["write_key", "secret", "verify_key", "app_secret", "verify_token", "public_key", "api_key"];

pub(super) fn load(source: Source<'_>, root: &Node) -> Workspace {
    let mut workspace = Workspace::default();
    let Some(table) = Table::new(source, root, "sojourn.yaml") else { return workspace };
    if let Some(name) = table.required_text("workspace") {
        checked_name(&source, table.key_place("workspace"), &name, "the workspace");
        workspace.name = name;
    }
    workspace.company = company(&table);
    workspace.time_zone = time_zone(&table);
    workspace.locales = table.names("locales");
    if workspace.locales.is_empty() {
        workspace.locales.push("en".into());
    }
    if let Some(sources) = table.get("sources") {
        let items = crate::reader::items(&source, sources, "sources");
        for item in items {
            if let Some(declared) = declared_source(source, item) {
                if workspace.sources.iter().any(|other| other.id == declared.id) {
                    source.error(
                        "duplicate",
                        item.place,
                        format!("source `{}` is declared twice", declared.id),
                        "give each source its own id",
                    );
                }
                workspace.sources.push(declared);
            }
        }
    }
    if let Some(channels) = table.table("channels", "`channels`") {
        for (name, place, node) in channels.entries() {
            if checked_name(&source, place, &name, "a channel")
                && let Some(channel) = channel(source, &name, node)
            {
                workspace.channels.insert(name, channel);
            }
        }
    }
    workspace.storage = super::storage::load(&table);
    workspace.calls = calls(&table);
    if let Some(url) = table.get("public_url")
        && let Some(text) = crate::reader::name(&source, url, "public_url")
    {
        placeholder(&source, url.place, &text);
        workspace.settings.insert("public_url".into(), (text, url.place.line));
    }
    if let Some(listen) = table.table("listen", "`listen`") {
        for role in ["gateway", "admin", "channels", "console", "portal", "metrics", "grpc"] {
            if let Some(node) = listen.get(role)
                && let Some(text) = crate::reader::name(&source, node, role)
            {
                workspace.settings.insert(format!("listen.{role}").into(), (text, node.place.line));
            }
        }
        listen.finish();
    }
    tls(&table, &mut workspace);
    table.finish();
    workspace
}

/// Certificates of what this workspace serves and calls: files, beside sojourn.yaml or absolute.
const TLS: &[(&str, &str, &[&str], &[&str])] = &[
    ("admin", "`tls.admin`", &["certificate", "key"], &["clients"]),
    ("gateway", "`tls.gateway`", &["certificate", "key"], &[]),
    ("channels", "`tls.channels`", &["certificate", "key"], &["clients"]),
    ("dispatcher", "`tls.dispatcher`", &[], &["ca", "certificate", "key"]),
];

/// `tls`: read into the settings as `tls.gateway.certificate` and so on.
fn tls(table: &Table<'_>, workspace: &mut Workspace) {
    let Some(read) = table.table("tls", "`tls`") else { return };
    for (role, what, needed, others) in TLS {
        let Some(files) = read.table(role, what) else { continue };
        for key in needed.iter().chain(*others) {
            if let Some(node) = files.get(key)
                && let Some(text) = crate::reader::name(&table.source, node, key)
            {
                placeholder(&table.source, node.place, &text);
                let setting = format!("tls.{role}.{key}").into();
                workspace.settings.insert(setting, (text, node.place.line));
            } else if needed.contains(key) {
                files.required(key);
            }
        }
        for (one, other) in [("certificate", "key"), ("key", "certificate")] {
            if files.get(one).is_some() && files.get(other).is_none() && needed.is_empty() {
                table.source.error(
                    "unused-setting",
                    files.key_place(one),
                    format!("`{one}` is nothing without `{other}`"),
                    format!("add `{other}`"),
                );
            }
        }
        files.finish();
    }
    read.finish();
}

fn company(table: &Table<'_>) -> Company {
    let Some(company) = table.table("company", "`company`") else { return Company::default() };
    let read = Company {
        name: company.text("name").unwrap_or_default(),
        postal_address: company.text("postal_address").unwrap_or_default(),
        privacy_contact: company.text("privacy_contact").unwrap_or_default(),
    };
    company.finish();
    read
}

fn calls(table: &Table<'_>) -> Calls {
    let mut calls = Calls::default();
    let Some(read) = table.table("calls", "`calls`") else { return calls };
    if let Some(node) = read.get("secret")
        && let Some(text) = crate::reader::name(&table.source, node, "secret")
    {
        placeholder(&table.source, node.place, &text);
        calls.secret = Some((text, node.place.line));
    }
    calls.allow_private = read.flag("allow_private").unwrap_or(false);
    read.finish();
    calls
}

fn time_zone(table: &Table<'_>) -> Name {
    let Some(node) = table.required("time_zone") else { return "UTC".into() };
    let written = node.text().unwrap_or_default();
    if written.parse::<chrono_tz::Tz>().is_ok() {
        return written.into();
    }
    table.source.error(
        "unknown-zone",
        node.place,
        format!("{} is not a time zone", node.describe()),
        suggest(
            written,
            chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()),
            "write an IANA name such as Europe/London",
        ),
    );
    "UTC".into()
}

fn declared_source(source: Source<'_>, node: &Node) -> Option<Declared> {
    let table = Table::new(source, node, "this source")?;
    let id = table.required_text("id");
    let channel = table.required_text("channel");
    let kind = table.text("kind").unwrap_or_else(|| "segment".into());
    if let Some(id) = &id {
        checked_name(&source, table.key_place("id"), id, "a source");
    }
    let mut secrets = BTreeMap::new();
    for key in SECRETS {
        if let Some(value) = table.get(key)
            && let Some(text) = crate::reader::name(&source, value, key)
        {
            placeholder(&source, value.place, &text);
            secrets.insert(Name::from(*key), (text, value.place.line));
        }
    }
    match SOURCE_SECRETS.iter().find(|(known, _)| **known == *kind) {
        Some((_, Some(secret))) if !secrets.contains_key(*secret) => source.error(
            "missing-secret",
            table.place(),
            format!("a source of kind `{kind}` needs `{secret}`, without which anybody could write to it"),
            format!("add `{secret}: \"${{NAME}}\"` and put the value into the environment"),
        ),
        Some(_) => {}
        None => source.warning(
            "unknown-kind",
            table.key_place("kind"),
            format!("there is no source of kind `{kind}`"),
            suggest(&kind, SOURCE_SECRETS.iter().map(|(kind, _)| *kind), "choose a known kind"),
        ),
    }
    let strict = table.choice("mode", &[("open", false), ("strict", true)]).unwrap_or(false);
    let shared_devices = table.flag("shared_devices").unwrap_or(false);
    table.finish();
    Some(Declared { id: id?, channel: channel?, kind, secrets, strict, shared_devices })
}

fn channel(source: Source<'_>, name: &Name, node: &Node) -> Option<Channel> {
    let table = Table::new(source, node, "this channel")?;
    let kind = table.required_text("kind");
    if let Some(kind) = &kind
        && !CHANNEL_KINDS.contains(&&**kind)
    {
        source.error(
            "unknown-kind",
            table.key_place("kind"),
            format!("there is no channel of kind `{kind}`"),
            suggest(kind, CHANNEL_KINDS.iter().copied(), "use grpc for a process of your own"),
        );
    }
    let needed: &[&str] = match kind.as_deref() {
        Some("smtp") => &["url", "from"],
        Some("grpc") => &["endpoint"],
        Some("webhook") => &["url"],
        Some("file") => &["path"],
        _ => &[],
    };
    let mut settings = BTreeMap::new();
    for key in CHANNEL_SETTINGS {
        let value = table.get(key);
        if let Some(value) = value
            && let Some(text) = crate::reader::name(&source, value, key)
        {
            placeholder(&source, value.place, &text);
            settings.insert(Name::from(*key), (text, value.place.line));
        }
        if value.is_none() && needed.contains(key) {
            table.required(key);
        }
    }
    let rate_per_second = table.get("rate").and_then(|node| {
        let rate = node.text().and_then(duration::parse_rate);
        if rate.is_none() {
            source.error(
                "bad-rate",
                node.place,
                format!("`rate` is {}, not a rate", node.describe()),
                "write a number per unit of time, such as 20/s or 500/min",
            );
        }
        rate
    });
    table.finish();
    Some(Channel { name: name.clone(), kind: kind?, settings, rate_per_second })
}

/// Checks the form of `${NAME}`; whether it has a value is found out at start.
pub(super) fn placeholder(source: &Source<'_>, place: Place, text: &str) {
    if let Err(bad) = crate::resolve::names_in(text) {
        source.error(
            "bad-placeholder",
            place,
            format!("`{bad}` is not a placeholder"),
            "write ${NAME}, in capitals, digits and underscores",
        );
    }
}
