//! The variables of an action as Liquid and JSON see them.

use super::RenderError;
use super::links::SignedLinks;
use chrono::SecondsFormat;
use liquid::model::{DateTime, Object, Value as LiquidValue};
use sojourn_model::{Action, Timestamp, Value};
use sojourn_rules::{Company, Localized};

/// Largest number that is shown as an integer: exact in a double.
const INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

/// What the template sees: the action's variables, `links`, `company`, and nil where an optional one
/// is absent.
///
/// A path with no default that is absent (or null) is an error here, before anything is rendered.
pub(super) fn globals(
    action: &Action,
    localized: &Localized,
    company: &Company,
    links: &SignedLinks,
) -> Result<Object, RenderError> {
    let mut globals = match to_liquid(&action.variables) {
        LiquidValue::Object(object) => object,
        _ => Object::new(),
    };
    let link_texts = [
        ("unsubscribe", &*links.unsubscribe),
        ("preferences", &*links.preferences),
        ("why", &*links.why),
    ];
    globals.insert("links".into(), texts(link_texts));
    let company_texts = [
        ("name", &*company.name),
        ("postal_address", &*company.postal_address),
        ("privacy_contact", &*company.privacy_contact),
    ];
    globals.insert("company".into(), texts(company_texts));
    for path in &localized.required {
        if lookup(&globals, path).is_none_or(|value| matches!(value, LiquidValue::Nil)) {
            return Err(RenderError::Missing(path.join(".")));
        }
    }
    // Liquid takes an absent member for an error also where the template has a default for it.
    for path in &localized.variables {
        fill(&mut globals, path);
    }
    Ok(globals)
}

fn texts(entries: [(&'static str, &str); 3]) -> LiquidValue {
    let entry = |(name, text): (&'static str, &str)| {
        (liquid::model::KString::from_static(name), LiquidValue::scalar(text.to_owned()))
    };
    LiquidValue::Object(entries.into_iter().map(entry).collect())
}

fn lookup<'a>(object: &'a Object, path: &[sojourn_model::Name]) -> Option<&'a LiquidValue> {
    let (first, rest) = path.split_first()?;
    let value = object.get(&**first)?;
    if rest.is_empty() {
        return Some(value);
    }
    match value {
        LiquidValue::Object(inner) => lookup(inner, rest),
        _ => None,
    }
}

fn fill(object: &mut Object, path: &[sojourn_model::Name]) {
    let Some((first, rest)) = path.split_first() else { return };
    let absent =
        if rest.is_empty() { LiquidValue::Nil } else { LiquidValue::Object(Object::new()) };
    let key = liquid::model::KString::from_ref(first);
    let value = object.entry(key).or_insert(absent);
    if !rest.is_empty() {
        if matches!(value, LiquidValue::Nil) {
            *value = LiquidValue::Object(Object::new());
        }
        if let LiquidValue::Object(inner) = value {
            fill(inner, rest);
        }
    }
}

fn to_liquid(value: &Value) -> LiquidValue {
    match value {
        Value::Null => LiquidValue::Nil,
        Value::Bool(bool) => LiquidValue::scalar(*bool),
        Value::Number(number) => match as_integer(*number) {
            Some(integer) => LiquidValue::scalar(integer),
            None => LiquidValue::scalar(*number),
        },
        Value::Text(text) => LiquidValue::scalar(text.to_string()),
        Value::Instant(at) => match instant(*at).and_then(|text| DateTime::from_str(&text)) {
            Some(date_time) => LiquidValue::scalar(date_time),
            None => LiquidValue::Nil,
        },
        Value::List(items) => LiquidValue::Array(items.iter().map(to_liquid).collect()),
        Value::Map(entries) => LiquidValue::Object(
            entries
                .iter()
                .map(|(key, value)| (liquid::model::KString::from_ref(key), to_liquid(value)))
                .collect(),
        ),
    }
}

/// The same as JSON, for channels that render themselves.
pub(super) fn to_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(bool) => (*bool).into(),
        Value::Number(number) => match as_integer(*number) {
            Some(integer) => integer.into(),
            None => (*number).into(),
        },
        Value::Text(text) => (&**text).into(),
        Value::Instant(at) => match chrono::DateTime::from_timestamp_millis(at.0) {
            Some(at) => at.to_rfc3339_opts(SecondsFormat::Millis, true).into(),
            None => serde_json::Value::Null,
        },
        Value::List(items) => items.iter().map(to_json).collect(),
        Value::Map(entries) => serde_json::Value::Object(
            entries.iter().map(|(key, value)| (key.to_string(), to_json(value))).collect(),
        ),
    }
}

fn as_integer(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() <= INTEGER_MAX).then_some(number as i64)
}

/// An instant as liquid's date filter reads it, in UTC.
fn instant(at: Timestamp) -> Option<String> {
    Some(
        chrono::DateTime::from_timestamp_millis(at.0)?
            .format("%Y-%m-%d %H:%M:%S +0000")
            .to_string(),
    )
}
