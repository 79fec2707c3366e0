//! What a server's settings mean for the house.

use crate::client::{Client, OpenError};
use redis::Value;
use std::fmt;

/// A setting that loses data or weakens durability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Name of the setting.
    pub setting: &'static str,
    /// What it is.
    pub value: String,
    /// What follows, and the remedy.
    pub meaning: &'static str,
    /// The house does not start on it.
    pub refused: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {:?}: {}", self.setting, self.value, self.meaning)
    }
}

/// Asks every node that answers.
pub(crate) fn look(client: &Client) -> Result<Vec<Finding>, OpenError> {
    let answer: Value = client.ask(&redis::cmd("INFO")).map_err(OpenError::Unreachable)?;
    let mut pages = Vec::new();
    texts(&answer, &mut pages);
    let mut findings: Vec<Finding> =
        pages.iter().flat_map(|page| judge(page, client.is_cluster())).collect();
    // A managed server may forbid the question; then nothing is known of it.
    if let Ok(answer) = client.ask::<Value>(redis::cmd("CONFIG").arg("GET").arg("appendfsync")) {
        let mut words = Vec::new();
        texts(&answer, &mut words);
        let no_file = findings.iter().any(|finding| finding.setting == "appendonly");
        findings.extend(words.iter().filter(|_| !no_file).filter_map(|word| judge_sync(word)));
    }
    findings.sort_by_key(|finding| (!finding.refused, finding.setting));
    findings.dedup();
    Ok(findings)
}

/// A cluster answers with a map from node to text.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::BulkString(bytes) => found.push(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => found.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
        Value::Map(pairs) => pairs.iter().for_each(|(_, value)| texts(value, found)),
        _ => {}
    }
}

/// What `appendfsync` means: a checkpoint that is lost is replayed from the log, a mark is not.
fn judge_sync(value: &str) -> Option<Finding> {
    matches!(value, "everysec" | "no").then(|| Finding {
        setting: "appendfsync",
        value: value.to_owned(),
        meaning: "a revocation that was acknowledged in the last second before a crash may not hold \
                  for what is on its way just then; set it to always",
        refused: false,
    })
}

fn judge(info: &str, cluster: bool) -> Vec<Finding> {
    let field = |name: &str| {
        info.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'))
    };
    let mut findings = Vec::new();
    let mut add = |setting, value: &str, meaning, refused| {
        findings.push(Finding { setting, value: value.to_owned(), meaning, refused });
    };
    let limited = field("maxmemory").is_some_and(|bytes| bytes != "0");
    if let Some(policy) = field("maxmemory_policy").filter(|policy| *policy != "noeviction") {
        let meaning = "it may drop parts of the state; set it to noeviction";
        add("maxmemory-policy", policy, meaning, limited);
    }
    if field("aof_enabled") == Some("0") {
        let meaning = "a restart loses what came since the last dump and replays it from the log; \
                       set it to yes";
        add("appendonly", "no", meaning, false);
    }
    if let Some(role) = field("role").filter(|role| !cluster && *role != "master") {
        add("role", role, "a replica cannot be written; name the master", true);
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eviction_is_refused_only_where_it_can_happen() {
        let page = |maxmemory: u64| {
            format!(
                "role:master\r\nmaxmemory:{maxmemory}\r\nmaxmemory_policy:allkeys-lru\r\naof_enabled:1\r\n"
            )
        };
        assert!(!judge(&page(0), false)[0].refused);
        assert!(judge(&page(1 << 30), false)[0].refused);
    }

    #[test]
    fn a_file_that_is_not_written_at_once_is_named() {
        assert_eq!(judge_sync("always"), None);
        assert_eq!(judge_sync("appendfsync"), None, "the key stands in the answer, too");
        assert!(judge_sync("everysec").is_some_and(|finding| !finding.refused));
    }

    #[test]
    fn a_replica_is_refused_and_a_missing_file_named() {
        let found = judge("role:slave\r\nmaxmemory_policy:noeviction\r\naof_enabled:0\r\n", false);
        assert_eq!(found.len(), 2);
        assert!(!found[0].refused && found[0].setting == "appendonly");
        assert!(found[1].refused && found[1].to_string().contains("master"));
        assert!(
            judge("role:master\naof_enabled:1\nmaxmemory_policy:noeviction\n", false).is_empty()
        );
    }
}
