//! The values that conditions, attributes and properties hold.

use crate::{Name, Timestamp};
use serde::{Deserialize, Serialize};

/// A value of JSON, with one kind of number (`20 == 20.0`) and instants as their own kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub enum Value {
    /// JSON `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Any number; integers are exact to 2^53.
    Number(f64),
    /// Text. Dates stay text; the rules know which attribute is a date.
    Text(Name),
    /// An instant, from `event.timestamp`, `run.entered_at` or `timestamp('…')`.
    Instant(Timestamp),
    /// A JSON array.
    List(Vec<Value>),
    /// A JSON object, in the order of its text.
    Map(Vec<(Name, Value)>),
}

impl Value {
    /// Text of this value.
    pub fn text(text: &str) -> Self {
        Self::Text(Name::from(text))
    }

    /// The member `key` of a map.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.iter().find(|(name, _)| &**name == key).map(|e| &e.1),
            _ => None,
        }
    }

    /// The text, when this is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, when this is one.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }
}
