//! JSON text to [`Value`] and back, without a tree in between.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use sojourn_model::{Name, Value};
use std::borrow::Cow;
use std::fmt::{self, Write};

struct Parsed(Value);

impl<'de> Deserialize<'de> for Parsed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor).map(Parsed)
    }
}

struct AnyVisitor;

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    #[expect(clippy::cast_precision_loss, reason = "numbers are one type, exact to 2^53")]
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }
    #[expect(clippy::cast_precision_loss, reason = "numbers are one type, exact to 2^53")]
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::text(value))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Parsed(value)) = seq.next_element()? {
            list.push(value);
        }
        Ok(Value::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries: Vec<(Name, Value)> = Vec::new();
        while let Some((key, Parsed(value))) = map.next_entry::<Cow<'_, str>, Parsed>()? {
            match entries.iter_mut().find(|entry| *entry.0 == *key) {
                Some(entry) => entry.1 = value,
                None => entries.push((Name::from(&*key), value)),
            }
        }
        Ok(Value::Map(entries))
    }
}

/// Reads one JSON value; `None` when the text is not JSON.
pub(crate) fn parse(text: &str) -> Option<Value> {
    serde_json::from_str::<Parsed>(text).ok().map(|parsed| parsed.0)
}

/// Top-level members of a JSON object, unparsed; empty when the text is not an object.
pub(crate) fn members(text: &str) -> Vec<(Cow<'_, str>, &serde_json::value::RawValue)> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(Cow<'de, str>, &'de serde_json::value::RawValue)>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some((BorrowedKey(key), value)) = map.next_entry()? {
                members.push((key, value));
            }
            Ok(members)
        }
    }
    if text.is_empty() {
        return Vec::new();
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_map(Members).unwrap_or_default()
}

/// A key that borrows where the text has no escapes; `Cow`'s own impl always copies.
struct BorrowedKey<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for BorrowedKey<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = BorrowedKey<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
                Ok(BorrowedKey(Cow::Borrowed(key)))
            }
            fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
                Ok(BorrowedKey(Cow::Owned(key.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// Writes `text` as a JSON string.
pub(crate) fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => {
                write!(out, "\\u{:04x}", u32::from(control)).expect("a String takes all");
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// A number as JSON writes it: integers without a point. Not a number becomes `null`.
pub(crate) fn number_text(number: f64) -> String {
    if !number.is_finite() {
        "null".to_owned()
    } else if number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0 {
        format!("{number:.0}")
    } else {
        format!("{number}")
    }
}

/// An instant as RFC 3339 in UTC with milliseconds.
pub(crate) fn instant_text(at: sojourn_model::Timestamp) -> String {
    match chrono::DateTime::from_timestamp_millis(at.0) {
        Some(at) => at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        None => at.0.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_values_and_members() {
        let value =
            parse(r#"{"a":[1,2.5,true,null,"x"],"b":{"c":"\u00e9"},"a2":-3,"a":7}"#).unwrap();
        assert_eq!(value.get("a"), Some(&Value::Number(7.0)));
        assert_eq!(value.get("b").and_then(|b| b.get("c")), Some(&Value::text("é")));
        let members = members(r#"{"cart_id":"c1","n\"x":{"deep":1}}"#);
        assert_eq!(members.len(), 2);
        assert!(matches!(members[0].0, Cow::Borrowed("cart_id")));
        assert_eq!(members[1].1.get(), r#"{"deep":1}"#);
        assert!(super::members("[1]").is_empty());
        assert!(parse("{").is_none());
    }

    #[test]
    fn writes_numbers_and_text() {
        assert_eq!(number_text(20.0), "20");
        assert_eq!(number_text(-0.5), "-0.5");
        assert_eq!(number_text(f64::NAN), "null");
        let mut out = String::new();
        write_text("a\"\\\n\u{1}é", &mut out);
        assert_eq!(out, "\"a\\\"\\\\\\n\\u0001é\"");
    }
}
