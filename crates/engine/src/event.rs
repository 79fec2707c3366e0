//! Events as conditions see them: a touchpoint's text parsed lazily, or what a run kept of one.

use crate::json;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sojourn_model::{Identifier, Name, Timestamp, Value};
use std::borrow::Cow;
use std::cell::OnceCell;

/// When an event happened, in the order that "later" means (semantics 1): by `occurred_at`; at equal
/// times by place in the log. `sub` orders events that one record emits.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Stamp {
    /// When it occurred.
    pub occurred: Timestamp,
    /// Log time.
    pub logged: Timestamp,
    /// Offset in the log.
    pub offset: u64,
    /// Place among the events of one record.
    pub sub: u32,
}

type Members<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

/// A JSON object, split at its top level when first read.
#[derive(Debug)]
pub(crate) enum Object<'a> {
    /// As in the log record.
    Text(&'a str, OnceCell<Members<'a>>),
    /// Made by a step.
    Value(&'a Value),
}

impl<'a> Object<'a> {
    pub(crate) fn text(text: &'a str) -> Self {
        Self::Text(text, OnceCell::new())
    }

    /// Member `key`; a `null` is a value.
    pub(crate) fn get(&self, key: &str) -> Option<Value> {
        match self {
            Self::Text(text, members) => {
                let members = members.get_or_init(|| json::members(text));
                // As in JSON parsers at large, the last of equal keys counts.
                let raw = members.iter().rev().find(|member| member.0 == key)?.1;
                json::parse(raw.get())
            }
            Self::Value(value) => value.get(key).cloned(),
        }
    }

    /// Value at `path`; the whole object for an empty one.
    pub(crate) fn read(&self, path: &[Name]) -> Option<Value> {
        let Some((first, rest)) = path.split_first() else { return Some(self.whole()) };
        descend(self.get(first)?, rest)
    }

    /// Text of member `key`.
    pub(crate) fn text_of(&self, key: &str) -> Option<Name> {
        match self.get(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// All of it, as a map.
    pub(crate) fn whole(&self) -> Value {
        match self {
            Self::Text("", _) => Value::Map(Vec::new()),
            Self::Text(text, _) => json::parse(text).unwrap_or(Value::Map(Vec::new())),
            Self::Value(value) => (*value).clone(),
        }
    }

    fn keep(&self, fields: &Fields) -> Value {
        if fields.all {
            return self.whole();
        }
        let kept = fields.names.iter().filter_map(|name| Some((name.clone(), self.get(name)?)));
        match kept.collect::<Vec<_>>() {
            kept if kept.is_empty() => Value::Null,
            kept => Value::Map(kept),
        }
    }
}

/// Follows `path` below `value`.
pub(crate) fn descend(value: Value, path: &[Name]) -> Option<Value> {
    let mut value = value;
    for name in path {
        let Value::Map(entries) = value else { return None };
        value = entries.into_iter().find(|(key, _)| key == name)?.1;
    }
    Some(value)
}

/// Which top-level members of an object somebody reads.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Fields {
    pub(crate) all: bool,
    pub(crate) names: Vec<Name>,
}

impl Fields {
    pub(crate) fn add(&mut self, path: &[Name]) {
        match path.first() {
            None => self.all = true,
            Some(first) if !self.names.contains(first) => self.names.push(first.clone()),
            Some(_) => {}
        }
    }
}

/// Which parts of an event somebody reads later.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct EventFields {
    pub(crate) properties: Fields,
    pub(crate) context: Fields,
    pub(crate) traits: Fields,
}

/// The event being applied.
#[derive(Debug)]
pub(crate) struct EventView<'a> {
    pub(crate) name: &'a str,
    pub(crate) channel: &'a str,
    pub(crate) source: &'a str,
    pub(crate) message_id: &'a str,
    pub(crate) stamp: Stamp,
    pub(crate) identifiers: &'a [Identifier],
    /// Whose touchpoint it is, should a merge be taken back: see [`mark_of`].
    pub(crate) by: u32,
    pub(crate) imported: bool,
    pub(crate) properties: Object<'a>,
    pub(crate) context: Object<'a>,
    pub(crate) traits: Object<'a>,
}

impl EventView<'_> {
    /// What a run keeps of it.
    pub(crate) fn keep(&self, fields: &EventFields) -> StoredEvent {
        StoredEvent {
            name: self.name.into(),
            channel: self.channel.into(),
            source: self.source.into(),
            stamp: self.stamp,
            properties: self.properties.keep(&fields.properties),
            context: self.context.keep(&fields.context),
            traits: self.traits.keep(&fields.traits),
        }
    }
}

/// An event that a run remembers: only the members that its journey reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[expect(missing_docs, reason = "as in the language's `event`")]
pub struct StoredEvent {
    pub name: Name,
    pub channel: Name,
    pub source: Name,
    pub stamp: Stamp,
    pub properties: Value,
    pub context: Value,
    pub traits: Value,
}

impl StoredEvent {
    /// Value at `path` as `event.…` reads it.
    pub(crate) fn read(&self, path: &[Name]) -> Option<Value> {
        let (first, rest) = path.split_first()?;
        match &**first {
            "properties" => read_below(&self.properties, rest),
            "context" => read_below(&self.context, rest),
            "traits" => read_below(&self.traits, rest),
            "name" => Some(Value::Text(self.name.clone())),
            "channel" => Some(Value::Text(self.channel.clone())),
            "source" => Some(Value::Text(self.source.clone())),
            "timestamp" => Some(Value::Instant(self.stamp.occurred)),
            _ => None,
        }
    }
}

/// Value at `path` below `value`, copied only at the end.
pub(crate) fn read_below(value: &Value, path: &[Name]) -> Option<Value> {
    let mut value = value;
    for name in path {
        value = value.get(name)?;
    }
    Some(value.clone())
}

/// A short mark of the identifier under which a touchpoint came, so that an unmerge can tell whose
/// it was. FNV-1a; a collision gives a touchpoint to the survivor.
pub(crate) fn mark_of(identifier: Option<&Identifier>) -> u32 {
    let Some(identifier) = identifier else { return 0 };
    let mut hash = 0x811C_9DC5_u32;
    let mut mix = |byte: u8| hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let kind = match &identifier.kind {
        sojourn_model::IdentifierKind::CustomerId => 1,
        sojourn_model::IdentifierKind::Email => 2,
        sojourn_model::IdentifierKind::Phone => 3,
        sojourn_model::IdentifierKind::LoyaltyId => 4,
        sojourn_model::IdentifierKind::AnonymousId => 5,
        sojourn_model::IdentifierKind::DeviceId => 6,
        sojourn_model::IdentifierKind::Social(_) => 7,
        sojourn_model::IdentifierKind::Custom(_) => 8,
    };
    mix(kind);
    identifier.value.bytes().for_each(mix);
    hash
}
