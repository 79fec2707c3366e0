//! The functions of conditions that work on values alone: which there are, and what they give.

use crate::duration;
use crate::expr::Missing;
use crate::limits;
use chrono::{DateTime, Datelike, NaiveDate, TimeZone, Timelike, Utc};
use sojourn_model::{Timestamp, Value};
use std::borrow::Cow;

/// What a value is, as far as the text of an expression tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    /// Not known before the data.
    Any,
    Null,
    Bool,
    Number,
    /// A number of milliseconds.
    Duration,
    Text,
    /// Text of the form `2026-12-31`.
    Date,
    /// Text in RFC 3339, from a field that the plan declares a `timestamp`.
    TimestampText,
    Instant,
    List,
    Map,
}

/// A function: its name, whether it has a receiver, its arguments (receiver first), its result.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// `x.f(…)`; a global one is `f(…)`.
    pub(crate) receiver: bool,
    /// `f(x)` is also allowed.
    pub(crate) both: bool,
    pub(crate) arguments: &'static [&'static [Type]],
    /// Arguments at the end that may be left out.
    pub(crate) optional: usize,
    pub(crate) result: Type,
}

const TEXT: &[Type] = &[Type::Text, Type::Date, Type::TimestampText];
const WHEN: &[Type] = &[Type::Instant, Type::Date, Type::TimestampText, Type::Text];
const SIZED: &[Type] = &[Type::Text, Type::Date, Type::TimestampText, Type::List, Type::Map];
const SCALAR: &[Type] = &[
    Type::Text,
    Type::Date,
    Type::TimestampText,
    Type::Number,
    Type::Duration,
    Type::Bool,
    Type::Instant,
];

const fn method(
    name: &'static str,
    arguments: &'static [&'static [Type]],
    optional: usize,
    result: Type,
) -> Function {
    Function { name, receiver: true, both: false, arguments, optional, result }
}

const fn global(
    name: &'static str,
    arguments: &'static [&'static [Type]],
    result: Type,
) -> Function {
    Function { name, receiver: false, both: false, arguments, optional: 0, result }
}

/// All functions but the history ones, `in_segment`, `has` and the macros.
pub(crate) const FUNCTIONS: &[Function] = &[
    Function {
        name: "size",
        receiver: true,
        both: true,
        arguments: &[SIZED],
        optional: 0,
        result: Type::Number,
    },
    Function {
        name: "matches",
        receiver: true,
        both: true,
        arguments: &[TEXT, TEXT],
        optional: 0,
        result: Type::Bool,
    },
    method("startsWith", &[TEXT, TEXT], 0, Type::Bool),
    method("endsWith", &[TEXT, TEXT], 0, Type::Bool),
    method("contains", &[TEXT, TEXT], 0, Type::Bool),
    method("lowerAscii", &[TEXT], 0, Type::Text),
    method("upperAscii", &[TEXT], 0, Type::Text),
    method("trim", &[TEXT], 0, Type::Text),
    method("getFullYear", &[WHEN, TEXT], 1, Type::Number),
    method("getMonth", &[WHEN, TEXT], 1, Type::Number),
    method("getDate", &[WHEN, TEXT], 1, Type::Number),
    method("getDayOfMonth", &[WHEN, TEXT], 1, Type::Number),
    method("getDayOfWeek", &[WHEN, TEXT], 1, Type::Number),
    method("getDayOfYear", &[WHEN, TEXT], 1, Type::Number),
    method("getHours", &[WHEN, TEXT], 1, Type::Number),
    method("getMinutes", &[WHEN, TEXT], 1, Type::Number),
    method("getSeconds", &[WHEN, TEXT], 1, Type::Number),
    global("timestamp", &[WHEN], Type::Instant),
    global("duration", &[&[Type::Text, Type::Duration]], Type::Duration),
    global("int", &[SCALAR], Type::Number),
    global("uint", &[SCALAR], Type::Number),
    global("double", &[SCALAR], Type::Number),
    global("string", &[SCALAR], Type::Text),
    global("bool", &[&[Type::Text, Type::Bool]], Type::Bool),
];

/// The function named `name`.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

/// Calls `function` on evaluated arguments. Unknown names, wrong kinds: missing.
pub(crate) fn call(function: &str, arguments: &[Cow<'_, Value>]) -> Result<Value, Missing> {
    let first: &Value = arguments.first().ok_or(Missing)?;
    let text = || first.as_text().ok_or(Missing);
    let second = || arguments.get(1).and_then(|value| value.as_text()).ok_or(Missing);
    Ok(match function {
        "size" => number(match first {
            Value::Text(text) => text.chars().count(),
            Value::List(items) => items.len(),
            Value::Map(entries) => entries.len(),
            _ => return Err(Missing),
        }),
        "startsWith" => Value::Bool(text()?.starts_with(second()?)),
        "endsWith" => Value::Bool(text()?.ends_with(second()?)),
        "contains" => Value::Bool(text()?.contains(second()?)),
        "lowerAscii" => Value::Text(text()?.to_ascii_lowercase().into()),
        "upperAscii" => Value::Text(text()?.to_ascii_uppercase().into()),
        "trim" => Value::text(text()?.trim()),
        "timestamp" => Value::Instant(instant(first)?),
        "duration" => match first {
            Value::Number(ms) => Value::Number(*ms),
            _ => milliseconds(text()?)?,
        },
        "int" | "uint" => Value::Number(to_number(first)?.trunc()),
        "double" => Value::Number(to_number(first)?),
        "string" => to_text(first)?,
        "bool" => match first {
            Value::Bool(yes) => Value::Bool(*yes),
            Value::Text(text) if &**text == "true" => Value::Bool(true),
            Value::Text(text) if &**text == "false" => Value::Bool(false),
            _ => return Err(Missing),
        },
        _ => part(function, instant(first)?, arguments.get(1).map(|zone| &**zone))?,
    })
}

/// A part of an instant in a zone (UTC when none is named), counted as CEL counts.
fn part(function: &str, at: Timestamp, zone: Option<&Value>) -> Result<Value, Missing> {
    let utc = DateTime::<Utc>::from_timestamp_millis(at.0).ok_or(Missing)?;
    let zone = match zone {
        None => chrono_tz::UTC,
        Some(zone) => zone.as_text().ok_or(Missing)?.parse().map_err(|_| Missing)?,
    };
    let local = zone.from_utc_datetime(&utc.naive_utc());
    let part = match function {
        "getFullYear" => return Ok(Value::Number(f64::from(local.year()))),
        "getMonth" => local.month0(),
        "getDate" => local.day(),
        "getDayOfMonth" => local.day0(),
        "getDayOfWeek" => local.weekday().num_days_from_sunday(),
        "getDayOfYear" => local.ordinal0(),
        "getHours" => local.hour(),
        "getMinutes" => local.minute(),
        "getSeconds" => local.second(),
        _ => return Err(Missing),
    };
    Ok(Value::Number(f64::from(part)))
}

/// An instant from itself, from RFC 3339, or from a date (its midnight in UTC).
fn instant(value: &Value) -> Result<Timestamp, Missing> {
    match value {
        Value::Instant(at) => Ok(*at),
        Value::Text(text) => parse_instant(text).ok_or(Missing),
        _ => Err(Missing),
    }
}

/// Reads RFC 3339 or `2026-12-31`.
pub(crate) fn parse_instant(text: &str) -> Option<Timestamp> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(Timestamp(at.timestamp_millis()));
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(Timestamp(date.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis()))
}

#[expect(clippy::cast_precision_loss, reason = "durations are far below 2^53 ms")]
fn milliseconds(text: &str) -> Result<Value, Missing> {
    duration::parse_cel(text).map(|duration| Value::Number(duration.0 as f64)).ok_or(Missing)
}

#[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^53")]
fn number(count: usize) -> Value {
    Value::Number(count as f64)
}

#[expect(clippy::cast_precision_loss, reason = "CEL gives seconds, exact for all times here")]
fn to_number(value: &Value) -> Result<f64, Missing> {
    match value {
        Value::Number(number) => Ok(*number),
        Value::Bool(yes) => Ok(f64::from(u8::from(*yes))),
        Value::Instant(at) => Ok(at.0.div_euclid(1_000) as f64),
        Value::Text(text) => {
            let number: f64 = text.trim().parse().map_err(|_| Missing)?;
            if number.is_finite() { Ok(number) } else { Err(Missing) }
        }
        _ => Err(Missing),
    }
}

fn to_text(value: &Value) -> Result<Value, Missing> {
    Ok(match value {
        Value::Text(text) => {
            if text.len() > limits::EVAL_LENGTH_MAX {
                return Err(Missing);
            }
            Value::Text(text.clone())
        }
        Value::Number(number) => Value::Text(format!("{number}").into()),
        Value::Bool(yes) => Value::text(if *yes { "true" } else { "false" }),
        Value::Instant(at) => {
            let at = DateTime::<Utc>::from_timestamp_millis(at.0).ok_or(Missing)?;
            Value::Text(at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true).into())
        }
        _ => return Err(Missing),
    })
}
