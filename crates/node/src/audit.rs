//! The audit log: who published, approved, rolled back and ordered what, and when.
//!
//! An entry is a command in the log, beside what it tells of; the indexer keeps it whole, so that it
//! outlives the log's retention.

use crate::node::append_to_all;
use crate::rows::rfc3339;
use anyhow::Result;
use serde_json::{Value, json};
use sojourn_model::{Command, Record, Timestamp};
use sojourn_ports::{Clock, Log};

/// Bytes of an entry; of longer ones the list of what changed is cut (LIM-1).
const ENTRY_BYTES_MAX: usize = 64 << 10;

/// Writes an entry; durable on return.
pub(crate) fn record(log: &dyn Log, clock: &dyn Clock, actor: &str, entry: &Value) -> Result<()> {
    let text = bounded(entry).to_string();
    let (actor, at) = (actor.into(), clock.now());
    let audit = Command::Audit { actor, at, text: text.as_str().into() };
    append_to_all(log, &Record::Command(audit)).map(drop)
}

/// The entry with as many sentences as have room.
fn bounded(entry: &Value) -> Value {
    let mut entry = entry.clone();
    while entry.to_string().len() > ENTRY_BYTES_MAX {
        let Some(words) = entry["words"].as_array_mut().filter(|words| !words.is_empty()) else {
            break;
        };
        let keep = words.len() / 2;
        words.truncate(keep);
        entry["words_cut"] = json!(true);
    }
    entry
}

/// An entry as `sojourn audit` gives it.
pub(crate) fn row(at: Timestamp, actor: &str, text: &str) -> Value {
    let mut row = match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(entry)) => Value::Object(entry),
        // As builds before wrote it.
        _ => json!({ "what": "order", "said": text }),
    };
    row["at"] = rfc3339(at).into();
    row["actor"] = actor.into();
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_entries_lose_sentences_and_say_so() {
        let words: Vec<String> =
            (0..5_000).map(|n| format!("cart: wait of s{n} 1h → 2h")).collect();
        let cut = bounded(&json!({ "what": "publish", "words": words }));
        assert!(cut.to_string().len() <= ENTRY_BYTES_MAX);
        assert!(cut["words"].as_array().unwrap().len() > 500);
        assert_eq!(cut["words_cut"], true);
        let short = json!({ "what": "publish", "words": ["one"] });
        assert_eq!(bounded(&short), short);
    }

    #[test]
    fn rows_say_who_and_when_also_of_plain_text() {
        let row = |text: &str| super::row(Timestamp(0), "ada", text);
        let plain = row("welcome is paused");
        assert_eq!((&plain["what"], &plain["actor"]), (&json!("order"), &json!("ada")));
        assert_eq!(plain["at"], "1970-01-01T00:00:00.000Z");
        assert_eq!(row(r#"{"what":"publish","version":"v"}"#)["version"], "v");
    }
}
