//! JSON objects as text: checked and edited at their top level only, the values copied as written.

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Deepest nesting of a message. Readers behind the gateway parse with a stack of 128.
pub const DEPTH_MAX: usize = 100;

/// The members of one object, in the order of its text. Keys keep their quotes and escapes.
#[derive(Debug, Default)]
pub(super) struct Members<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Members<'a> {
    /// Members of `text`, which is a well-formed object or empty.
    pub(super) fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members = Vec::with_capacity(8);
                while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                    members.push((Cow::Borrowed(key.get()), Cow::Borrowed(value.get())));
                }
                Ok(Members(members))
            }
        }
        if text.is_empty() {
            return Ok(Self::default());
        }
        serde_json::Deserializer::from_str(text).deserialize_map(Object)
    }

    /// The value of `key` as text.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(quoted, _)| same_key(quoted, key)).map(|(_, value)| &**value)
    }

    /// Adds `key` with the JSON text `value`, unless the object has it.
    pub(super) fn add(&mut self, key: &str, value: impl Into<Cow<'a, str>>) {
        if self.get(key).is_none() {
            let quoted = serde_json::to_string(key).expect("a string is always JSON");
            self.0.push((quoted.into(), value.into()));
        }
    }

    /// Adds the members of `below` that the object does not have.
    pub(super) fn add_all(&mut self, below: Members<'a>) {
        for (quoted, value) in below.0 {
            if !self.0.iter().any(|(key, _)| *key == quoted) {
                self.0.push((quoted, value));
            }
        }
    }

    /// Keeps the members whose key `keep` wants; tells whether any was dropped.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) -> bool {
        let before = self.0.len();
        self.0.retain(|(quoted, _)| keep(&plain_key(quoted)));
        self.0.len() < before
    }

    /// The object as text; empty when it has no members.
    pub(super) fn text(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let length = self.0.iter().map(|(key, value)| key.len() + value.len() + 2).sum::<usize>();
        let mut out = String::with_capacity(length + 1);
        let mut open = '{';
        for (key, value) in &self.0 {
            out.push(open);
            out.push_str(key);
            out.push(':');
            out.push_str(value);
            open = ',';
        }
        out.push('}');
        out
    }
}

fn plain_key(quoted: &str) -> Cow<'_, str> {
    let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or("");
    if inner.contains('\\') {
        serde_json::from_str::<String>(quoted).map_or(Cow::Borrowed(inner), Cow::Owned)
    } else {
        Cow::Borrowed(inner)
    }
}

fn same_key(quoted: &str, key: &str) -> bool {
    plain_key(quoted) == key
}

/// Whether brackets nest deeper than [`DEPTH_MAX`]. Text that has fewer brackets than that is not
/// looked at twice.
pub(super) fn too_deep(json: &str) -> bool {
    let brackets = memchr::memchr2_iter(b'{', b'[', json.as_bytes()).take(DEPTH_MAX + 1).count();
    if brackets <= DEPTH_MAX {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for &byte in json.as_bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return true;
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Replaces lone surrogates (`\ud83d` without its other half) by U+FFFD. Browsers write them for a
/// text that was cut inside an emoji, and no JSON reader behind the gateway takes them.
pub fn repair_surrogates(json: &str) -> Cow<'_, str> {
    let bytes = json.as_bytes();
    let escape = |at: usize| -> Option<u16> {
        let hex = json.get(at..at + 6)?.strip_prefix("\\u")?;
        hex.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u16::from_str_radix(hex, 16).ok())?
    };
    let mut out: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(next) = memchr::memchr(b'\\', &bytes[at..]).map(|offset| at + offset) {
        at = match escape(next) {
            Some(0xD800..=0xDBFF) if matches!(escape(next + 6), Some(0xDC00..=0xDFFF)) => next + 12,
            Some(0xD800..=0xDFFF) => {
                let fixed = out.get_or_insert_with(|| bytes.to_vec());
                fixed[next..next + 6].copy_from_slice(b"\\ufffd");
                next + 6
            }
            // Any other escape: skip the backslash and what it escapes.
            _ => (next + 2).min(bytes.len()),
        };
    }
    match out {
        // Only ASCII was written over ASCII.
        Some(fixed) => String::from_utf8(fixed).map_or(Cow::Borrowed(json), Cow::Owned),
        None => Cow::Borrowed(json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn edits_the_top_level_and_copies_the_rest_as_written() {
        let mut members =
            Members::parse(r#" {"a" : {"x": 1.50}, "b\u0063":[1, 2],"c":null} "#).unwrap();
        assert_eq!(members.get("bc"), Some("[1, 2]"));
        members.add("a", "7");
        members.add("d\"", "8");
        assert!(members.retain(|key| key != "c"));
        assert!(!members.retain(|_| true));
        members.add_all(Members::parse(r#"{"a":0,"e":true}"#).unwrap());
        let text = members.text();
        assert_eq!(text, r#"{"a":{"x": 1.50},"b\u0063":[1, 2],"d\"":8,"e":true}"#);
        assert_eq!(Members::default().text(), "");
    }

    #[test]
    fn depth_counts_brackets_outside_strings() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(!too_deep(&nested(DEPTH_MAX)));
        assert!(too_deep(&nested(DEPTH_MAX + 1)));
        assert!(!too_deep(&format!("\"\\\"{}\"", "[".repeat(300))));
        assert!(!too_deep(&"[]".repeat(300)));
        assert!(too_deep(&"{".repeat(100_000)));
    }

    #[test]
    fn lone_surrogates_are_replaced() {
        for (json, repaired) in [
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\ud83d""#, r#""\ufffd""#),
            (r#""\ude00\uD83Dx""#, r#""\ufffd\ufffdx""#),
            (r#""\\ud83d""#, r#""\\ud83d""#),
            (r#""\ud83"#, r#""\ud83"#),
        ] {
            assert_eq!(repair_surrogates(json), repaired);
        }
    }

    proptest! {
        #[test]
        fn repaired_text_is_json_for_everyone(units in prop::collection::vec(any::<u16>(), 0..8)) {
            let escaped: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let text = format!("\"{escaped}\"");
            prop_assert!(serde_json::from_str::<String>(&repair_surrogates(&text)).is_ok());
        }

        #[test]
        fn never_panics(text in "[\\\\ud8f\"{}\\[\\]é]{0,40}") {
            let _ = (repair_surrogates(&text), too_deep(&text), Members::parse(&text));
        }
    }
}
