//! Conditions: compiled as the entry of a journey and, where they compile, evaluated over values of
//! every kind.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sojourn_fuzz::{NOW, compile_checked};
use sojourn_model::{Timestamp, Value};
use sojourn_rules::{HistoryCall, Missing, Path, Root, Scope, eval, holds};

/// Gives a value of another kind for each name.
struct Values;

impl Scope for Values {
    fn read(&self, root: Root, path: &Path) -> Result<Value, Missing> {
        if root == Root::Local {
            return Err(Missing);
        }
        Ok(match path.last().map_or("", |name| &**name) {
            "n" | "points" | "total" => Value::Number(-0.5),
            "vip" => Value::Bool(true),
            "tags" => Value::List(vec![Value::text("é"), Value::Number(f64::MAX), Value::Null]),
            "at" | "renews" => Value::Instant(NOW),
            "place" | "address" | "" => Value::Map(vec![("n".into(), Value::Number(1e300))]),
            "secret" => return Err(Missing),
            _ => Value::text("gold"),
        })
    }
    fn history(&self, _: &HistoryCall, filter: &[Value]) -> Result<Value, Missing> {
        filter.first().cloned().ok_or(Missing).or(Ok(Value::Number(3.0)))
    }
    fn in_segment(&self, segment: &str) -> Result<bool, Missing> {
        Ok(segment == "regulars")
    }
    fn now(&self) -> Timestamp {
        NOW
    }
}

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let quoted = text.replace('\'', "''");
    let journey = format!(
        "journey: j\npurpose: service\nentry: {{ on: Ping, when: '{quoted}' }}\nsteps: []\n"
    );
    let compiled = compile_checked(&[("journeys/j.yaml", &journey)]);
    let Some(definitions) = compiled.definitions else { return };
    for condition in definitions.journeys.iter().filter_map(|j| j.entry.when.as_ref()) {
        let value = eval(&condition.expr, &Values);
        assert_eq!(holds(condition, &Values), value == Ok(Value::Bool(true)));
    }
});
