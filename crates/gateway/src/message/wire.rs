//! The JSON of one Segment-specification message, read without copying.
//!
//! Every member is first taken as raw text, so that a member of a wrong type is an error with its
//! name rather than a failure of the whole message.

use super::Rejected;
use serde::Deserialize;
use serde_json::value::RawValue;
use sojourn_model::Timestamp;
use std::borrow::Cow;

/// Members that mean something to us; others (`integrations`, `_metadata`, …) are skipped.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Message<'m> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<&'m RawValue>,
    #[serde(borrow)]
    pub(super) event: Option<&'m RawValue>,
    #[serde(borrow)]
    pub(super) name: Option<&'m RawValue>,
    #[serde(borrow)]
    pub(super) category: Option<&'m RawValue>,
    #[serde(borrow)]
    pub(super) message_id: Option<&'m RawValue>,
    #[serde(borrow)]
    pub(super) user_id: Option<&'m RawValue>,
    #[serde(borrow)]
    pub(super) anonymous_id: Option<&'m RawValue>,
    #[serde(borrow)]
    pub(super) previous_id: Option<&'m RawValue>,
    #[serde(borrow)]
    pub(super) group_id: Option<&'m RawValue>,
    #[serde(borrow)]
    pub(super) timestamp: Option<&'m RawValue>,
    #[serde(borrow)]
    pub(super) original_timestamp: Option<&'m RawValue>,
    #[serde(borrow)]
    pub(super) sent_at: Option<&'m RawValue>,
    #[serde(borrow)]
    pub(super) received_at: Option<&'m RawValue>,
    #[serde(borrow)]
    pub(super) source: Option<&'m RawValue>,
    /// Of a recorded line only: whoever sends a message cannot say so.
    #[serde(borrow)]
    pub(super) imported: Option<&'m RawValue>,
    #[serde(borrow)]
    pub(super) properties: Option<&'m RawValue>,
    #[serde(borrow)]
    pub(super) traits: Option<&'m RawValue>,
    #[serde(borrow)]
    pub(super) context: Option<&'m RawValue>,
    #[serde(borrow)]
    pub(super) merge_properties: Option<&'m RawValue>,
}

impl<'m> Message<'m> {
    pub(super) fn parse(json: &'m str) -> Result<Self, Rejected> {
        if !json.trim_start().starts_with('{') {
            return Err(Rejected::new(
                "body",
                "is not a JSON object",
                "send one message as an object",
            ));
        }
        serde_json::from_str(json).map_err(|error| {
            // The text of serde's message may quote the input, which may hold personal data.
            let what = if error.to_string().starts_with("duplicate field") {
                "names a member twice"
            } else {
                "is not well-formed JSON"
            };
            let reason = format!("{what} (line {}, column {})", error.line(), error.column());
            Rejected::new("body", reason, "send one message as an object")
        })
    }
}

/// A text or a number as text; `null`, absent and blank are `None`.
pub(crate) fn text<'m>(
    field: &'static str,
    raw: Option<&'m RawValue>,
) -> Result<Option<Cow<'m, str>>, Rejected> {
    let Some(raw) = raw else { return Ok(None) };
    let json = raw.get();
    let value = match json.as_bytes().first() {
        Some(b'"') => {
            let inner = &json[1..json.len() - 1];
            if inner.contains('\\') {
                let text = serde_json::from_str::<String>(json);
                Cow::Owned(text.map_err(|_| wrong_type(field, "a text"))?)
            } else {
                Cow::Borrowed(inner)
            }
        }
        Some(b'-' | b'0'..=b'9') => Cow::Borrowed(json),
        Some(b'n') => return Ok(None),
        _ => return Err(wrong_type(field, "a text")),
    };
    Ok((!value.trim().is_empty()).then_some(value))
}

/// An object as text; `null`, absent and `{}` are empty.
pub(crate) fn object<'m>(
    field: &'static str,
    raw: Option<&'m RawValue>,
) -> Result<&'m str, Rejected> {
    let json = raw.map_or("", RawValue::get);
    match json.as_bytes().first() {
        Some(b'{') if json[1..].trim_start() == "}" => Ok(""),
        Some(b'{') => Ok(json),
        None | Some(b'n') => Ok(""),
        _ => Err(wrong_type(field, "an object")),
    }
}

/// A yes or no; `null` and absent are no.
pub(crate) fn flag(field: &'static str, raw: Option<&RawValue>) -> Result<bool, Rejected> {
    match raw.map(RawValue::get) {
        Some("true") => Ok(true),
        None | Some("false" | "null") => Ok(false),
        Some(_) => Err(wrong_type(field, "true or false")),
    }
}

/// A time, in text or as a number.
pub(crate) fn time(
    field: &'static str,
    raw: Option<&RawValue>,
) -> Result<Option<Timestamp>, Rejected> {
    let Some(value) = text(field, raw)? else { return Ok(None) };
    let is_number = raw.is_some_and(|raw| !raw.get().starts_with('"'));
    let time = if is_number {
        value.parse().ok().and_then(super::time::from_number)
    } else {
        super::time::parse_rfc3339(value.trim())
    };
    match time {
        Some(time) => Ok(Some(time)),
        None => Err(Rejected::new(
            field,
            "is not a time",
            "write it as RFC 3339, such as 2026-11-22T01:45:55.112Z",
        )),
    }
}

fn wrong_type(field: &'static str, wanted: &str) -> Rejected {
    Rejected::new(field, format!("is not {wanted}"), format!("send {wanted} or leave it out"))
}
