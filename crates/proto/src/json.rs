//! Values of the model as JSON text: the order of a map is kept.
//!
//! A whole number is written without a fraction (`20`, not `20.0`), an instant as RFC 3339 text in
//! UTC with milliseconds (and so reads back as text), a number that JSON lacks as `null`.

use crate::wire::WireError;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sojourn_model::{Name, Timestamp, Value};
use std::fmt;

/// Whole numbers up to this size are exact in a double.
const EXACT_INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

/// A value as JSON text.
pub fn value_to_json(value: &Value) -> Vec<u8> {
    serde_json::to_vec(&Json(value)).expect("values of the model have JSON forms")
}

/// Reads JSON text. Nesting is limited to 128 levels.
pub fn value_from_json(field: &'static str, json: &[u8]) -> Result<Value, WireError> {
    match serde_json::from_slice::<Parsed>(json) {
        Ok(parsed) => Ok(parsed.0),
        Err(error) => Err(WireError::new(field, error.to_string())),
    }
}

struct Json<'a>(&'a Value);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Number(n) if n.fract() == 0.0 && n.abs() <= EXACT_INTEGER_MAX => {
                serializer.serialize_i64(*n as i64)
            }
            Value::Number(n) => serializer.serialize_f64(*n),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Instant(at) => serializer.serialize_str(&rfc3339(*at)),
            Value::List(values) => {
                let mut list = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    list.serialize_element(&Json(value))?;
                }
                list.end()
            }
            Value::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(&**key, &Json(value))?;
                }
                map.end()
            }
        }
    }
}

/// RFC 3339 in UTC with milliseconds. Days to civil date: Howard Hinnant's `civil_from_days`.
fn rfc3339(at: Timestamp) -> String {
    let (days, ms) = (at.0.div_euclid(86_400_000), at.0.rem_euclid(86_400_000));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

struct Parsed(Value);

impl<'de> Deserialize<'de> for Parsed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Parsed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Parsed, E> {
        Ok(Parsed(Value::Null))
    }
    fn visit_bool<E>(self, value: bool) -> Result<Parsed, E> {
        Ok(Parsed(Value::Bool(value)))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Parsed, E> {
        Ok(Parsed(Value::Number(value as f64)))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Parsed, E> {
        Ok(Parsed(Value::Number(value as f64)))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Parsed, E> {
        Ok(Parsed(Value::Number(value)))
    }
    fn visit_str<E>(self, value: &str) -> Result<Parsed, E> {
        Ok(Parsed(Value::text(value)))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Parsed, A::Error> {
        let mut values = Vec::new();
        while let Some(Parsed(value)) = access.next_element()? {
            values.push(value);
        }
        Ok(Parsed(Value::List(values)))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Parsed, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, Parsed(value))) = access.next_entry::<String, Parsed>()? {
            entries.push((Name::from(key), value));
        }
        Ok(Parsed(Value::Map(entries)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_a_template_expects() {
        let value = Value::Map(vec![
            ("z".into(), Value::Number(20.0)),
            ("a".into(), Value::List(vec![Value::Number(-0.5), Value::Null, Value::Bool(true)])),
            ("at".into(), Value::Instant(Timestamp(1_772_445_600_123))),
            ("old".into(), Value::Instant(Timestamp(-1))),
            ("nan".into(), Value::Number(f64::NAN)),
        ]);
        let json = String::from_utf8(value_to_json(&value)).expect("JSON is text");
        assert_eq!(
            json,
            r#"{"z":20,"a":[-0.5,null,true],"at":"2026-03-02T10:00:00.123Z","old":"1969-12-31T23:59:59.999Z","nan":null}"#
        );
        let back = value_from_json("variables_json", json.as_bytes()).expect("well-formed");
        assert_eq!(back.get("z"), Some(&Value::Number(20.0)));
        let Value::Map(entries) = back else { panic!("a map") };
        assert_eq!(&*entries[0].0, "z", "the order is kept");
    }

    #[test]
    fn malformed_text_names_the_field() {
        let error = value_from_json("variables_json", b"{\"a\":").expect_err("cut off");
        assert_eq!(error.field, "variables_json");
        assert!(value_from_json("variables_json", "[".repeat(4000).as_bytes()).is_err());
    }
}
