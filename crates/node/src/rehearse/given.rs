//! What happens in a scenario, as lines of a `simulate` file.
//!
//! A line is a Segment message with shorter names for what is written most: `at`, `person`,
//! `agrees`, `refuses`. What the gateway would refuse is a finding with its place.

use super::scenario::Reader;
use super::time::Calendar;
use crate::rows::rfc3339;
use crate::simulate::CommandLine;
use serde_json::{Map, Value, json};
use sojourn_model::Timestamp;
use sojourn_rules::yaml::{Kind, Node};

/// A line and its log time.
pub(super) struct Given {
    pub(super) at: Timestamp,
    pub(super) json: String,
}

/// Somebody whom a scenario introduces.
pub(super) struct Person<'n> {
    name: &'n str,
    traits: Map<String, Value>,
    device: Option<String>,
    agrees: Vec<Consent>,
}

/// `email/marketing` or `email/marketing/offers`.
struct Consent {
    channel: String,
    purpose: String,
    topic: Option<String>,
}

impl Consent {
    fn properties(&self, granted: bool) -> Value {
        let state = if granted { "granted" } else { "denied" };
        let mut object = json!({
            "channel": self.channel, "purpose": self.purpose, "state": state,
        });
        if let Some(topic) = &self.topic {
            object["topic"] = json!(topic);
        }
        object
    }
}

/// `people:`: who they are before anything happens.
pub(super) fn people<'n>(reader: &Reader<'_>, node: &'n Node) -> Vec<Person<'n>> {
    let entries = reader.entries(node, "`people`", &[]).unwrap_or_default();
    entries.into_iter().filter_map(|(name, about)| person(reader, name, about)).collect()
}

fn person<'n>(reader: &Reader<'_>, name: &'n str, about: &'n Node) -> Option<Person<'n>> {
    let mut person = Person { name, traits: Map::new(), device: None, agrees: Vec::new() };
    if about.is_null() {
        return Some(person);
    }
    for (key, value) in reader.entries(about, "a person", &[])? {
        match key {
            "agrees" => person.agrees = consents(reader, value),
            "device" => person.device = Some(reader.text(value, "`device`")?.to_owned()),
            _ => {
                person.traits.insert(key.to_owned(), plain(value));
            }
        }
    }
    Some(person)
}

/// The lines that make people known: at the first instant of the day, before anything else.
pub(super) fn introduced(people: &[Person<'_>], calendar: &Calendar) -> Vec<Given> {
    let at = calendar.dawn();
    let mut lines = Vec::new();
    let mut put = |message: Value| lines.push(Given { at, json: message.to_string() });
    for person in people {
        let mut message = json!({
            "type": "identify", "userId": person.name, "receivedAt": rfc3339(at),
            "messageId": format!("person-{}", person.name), "traits": person.traits,
        });
        if let Some(device) = &person.device {
            message["context"] = json!({ "device": { "id": device } });
        }
        put(message);
        for (place, consent) in person.agrees.iter().enumerate() {
            let id = format!("agrees-{}-{place}", person.name);
            put(consent_message(person.name, at, &id, consent, true));
        }
    }
    lines
}

fn consent_message(
    person: &str,
    at: Timestamp,
    id: &str,
    consent: &Consent,
    granted: bool,
) -> Value {
    json!({
        "type": "track", "event": "Consent Changed", "userId": person, "messageId": id,
        "receivedAt": rfc3339(at), "properties": consent.properties(granted),
    })
}

/// One name or several, each `channel/purpose` or `channel/purpose/topic`.
fn consents(reader: &Reader<'_>, node: &Node) -> Vec<Consent> {
    let list = match &node.kind {
        Kind::Sequence(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    list.iter().filter_map(|one| consent(reader, one)).collect()
}

fn consent(reader: &Reader<'_>, node: &Node) -> Option<Consent> {
    let text = reader.text(node, "a consent")?;
    let mut parts = text.split('/').map(str::to_owned);
    let (Some(channel), Some(purpose), topic, None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        let remedy = "write email/marketing, or email/marketing/offers for one topic";
        return reader.wrong(node, format!("`{text}` is no consent"), remedy);
    };
    let policy = &reader.definitions.policy;
    let Some((_, declared)) = policy.purpose(&purpose) else {
        let names: Vec<_> = policy.purposes.iter().map(|one| &*one.name).collect();
        let remedy = format!("take one of {}", names.join(", "));
        return reader.wrong(node, format!("there is no purpose `{purpose}`"), &remedy);
    };
    if let Some(topic) = &topic
        && !declared.topics.iter().any(|one| **one == **topic)
    {
        let message = format!("the purpose `{purpose}` has no topic `{topic}`");
        return reader.wrong(node, message, "take one that policy.yaml lists");
    }
    Some(Consent { channel, purpose, topic })
}

const KEYS: [&str; 20] = [
    "at",
    "person",
    "event",
    "properties",
    "agrees",
    "refuses",
    "traits",
    "source",
    "context",
    "type",
    "userId",
    "anonymousId",
    "previousId",
    "groupId",
    "name",
    "messageId",
    "timestamp",
    "note",
    "with",
    "imported",
];
const COMMAND_KEYS: [&str; 10] =
    ["at", "command", "journey", "channel", "class", "person", "key", "dir", "endpoint", "reason"];

/// One line of `given:`; none when it is wrong, which is then a finding.
pub(super) fn line(
    reader: &Reader<'_>,
    node: &Node,
    calendar: &Calendar,
    people: &[Person<'_>],
) -> Vec<Given> {
    read(reader, node, calendar, people).unwrap_or_default()
}

fn read(
    reader: &Reader<'_>,
    node: &Node,
    calendar: &Calendar,
    people: &[Person<'_>],
) -> Option<Vec<Given>> {
    let Some(at) = node.get("at") else {
        let remedy = "add `at:`, such as at: \"10:00\"";
        return reader.wrong(node, "this line has no time".to_owned(), remedy);
    };
    let at = reader.instant(at, calendar)?;
    if node.get("command").is_some() {
        return command(reader, node, at).map(|line| vec![line]);
    }
    let mut message = Map::new();
    message.insert("receivedAt".into(), rfc3339(at).into());
    let id = format!("given-{}-{}", node.place.line, node.place.column);
    message.insert("messageId".into(), id.clone().into());
    let mut consent_lines = Vec::new();
    let mut who = None;
    for (key, value) in reader.entries(node, "a line of `given`", &KEYS)? {
        match key {
            "at" | "note" => {}
            "person" => {
                let name = reader.text(value, "`person`")?;
                message.insert("userId".into(), name.into());
                if let Some(device) =
                    people.iter().find(|one| one.name == name).and_then(|one| one.device.as_ref())
                {
                    message.insert("context".into(), json!({ "device": { "id": device } }));
                }
                who = Some(name);
            }
            "agrees" | "refuses" => {
                consent_lines.push((consents(reader, value), key == "agrees"));
            }
            "with" => {
                message.insert("properties".into(), plain(value));
            }
            "timestamp" => {
                let occurred = reader.instant(value, calendar)?;
                message.insert("timestamp".into(), rfc3339(occurred).into());
            }
            _ => {
                message.insert(key.into(), plain(value));
            }
        }
    }
    let mut lines = Vec::new();
    let is_consent_only = !consent_lines.is_empty() && !message.contains_key("event");
    for (place, (consent, granted)) in consent_lines
        .iter()
        .flat_map(|(list, granted)| list.iter().map(move |one| (one, *granted)))
        .enumerate()
    {
        let Some(person) = who else {
            let remedy = "add `person:`";
            return reader.wrong(node, "nobody is named who agrees".to_owned(), remedy);
        };
        let id = format!("{id}-{place}");
        let json = consent_message(person, at, &id, consent, granted).to_string();
        lines.push(Given { at, json });
    }
    if !is_consent_only {
        if !message.contains_key("type") {
            let kind = if message.contains_key("event") { "track" } else { "identify" };
            message.insert("type".into(), kind.into());
        }
        lines.push(Given { at, json: Value::Object(message).to_string() });
    }
    for line in &lines {
        if let Err(rejected) = reader.converter.convert_line(&line.json, &|| id.clone()) {
            let field = if rejected.field == "body" { "this line" } else { &rejected.field };
            let message = format!("{field} {}", rejected.reason);
            return reader.wrong(node, message, &rejected.remedy);
        }
    }
    Some(lines)
}

/// An operator's command.
fn command(reader: &Reader<'_>, node: &Node, at: Timestamp) -> Option<Given> {
    let mut object = Map::new();
    for (key, value) in reader.entries(node, "a command", &COMMAND_KEYS)? {
        if key != "at" {
            object.insert(key.into(), plain(value));
        }
    }
    // A person is written as elsewhere in the file.
    if let Some(Value::String(person)) = object.get_mut("person")
        && !person.contains(':')
    {
        person.insert_str(0, "customer_id:");
    }
    object.insert("type".into(), "command".into());
    object.insert("receivedAt".into(), rfc3339(at).into());
    let json = Value::Object(object).to_string();
    match CommandLine::parse(&json).and_then(|line| line.order()) {
        Ok(_) => Some(Given { at, json }),
        Err(error) => reader.wrong(node, format!("{error:#}"), "see `sojourn simulate --help`"),
    }
}

/// A YAML value as JSON.
fn plain(node: &Node) -> Value {
    match &node.kind {
        _ if node.is_null() => Value::Null,
        Kind::Scalar(text, _) => match (node.boolean(), node.number()) {
            (Some(flag), _) => json!(flag),
            (_, Some(number)) => {
                // Whole numbers keep their digits.
                text.parse::<i64>().map_or_else(|_| json!(number), |whole| json!(whole))
            }
            _ => json!(text),
        },
        Kind::Sequence(items) => items.iter().map(plain).collect(),
        Kind::Mapping(entries) => entries
            .iter()
            .map(|(key, value)| (key.text().unwrap_or("").to_owned(), plain(value)))
            .collect(),
    }
}
