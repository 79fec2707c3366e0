//! Settings of one channel, read with errors that name key, file and line.

use sojourn_model::Name;
use std::collections::BTreeMap;
use std::time::Duration;

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: channels.{channel}.{key}: {problem}")]
pub struct SettingError {
    /// File.
    pub file: String,
    /// Line, from 1; 0 when the key is absent.
    pub line: u32,
    /// Channel.
    pub channel: Name,
    /// Key.
    pub key: String,
    /// What is wrong and what to do.
    pub problem: String,
}

/// Looks `${NAME}` up.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces every `${NAME}` of `text` by what `lookup` gives; the error is the name that is missing.
pub fn resolve(text: &str, lookup: Lookup<'_>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let Some(end) = rest[at..].find('}') else { break };
        let name = &rest[at + 2..at + end];
        out.push_str(&rest[..at]);
        out.push_str(&lookup(name).ok_or_else(|| name.to_owned())?);
        rest = &rest[at + end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

/// Reader of one channel's settings.
pub struct Settings<'a> {
    channel: &'a sojourn_rules::Channel,
    file: &'a str,
    lookup: Lookup<'a>,
}

impl<'a> Settings<'a> {
    /// Settings of `channel` as they stand in `file`; `${NAME}` is resolved by `lookup`.
    pub fn new(channel: &'a sojourn_rules::Channel, file: &'a str, lookup: Lookup<'a>) -> Self {
        Self { channel, file, lookup }
    }

    /// Error about `key`.
    pub fn error(&self, key: &str, problem: impl Into<String>) -> SettingError {
        let settings: &BTreeMap<Name, (Name, u32)> = &self.channel.settings;
        let line = settings
            .get(key)
            .map(|(_, line)| *line)
            .or_else(|| settings.values().map(|(_, line)| *line).min())
            .unwrap_or(0);
        SettingError {
            file: self.file.to_owned(),
            line,
            channel: self.channel.name.clone(),
            key: key.to_owned(),
            problem: problem.into(),
        }
    }

    /// The value of `key`, resolved; `None`: absent.
    pub fn get(&self, key: &str) -> Result<Option<String>, SettingError> {
        let Some((written, _)) = self.channel.settings.get(key) else { return Ok(None) };
        resolve(written, self.lookup).map(Some).map_err(|name| {
            self.error(key, format!("environment variable {name} (or {name}_FILE) is not set"))
        })
    }

    /// The value of `key`, which must be there.
    pub fn need(&self, key: &str) -> Result<String, SettingError> {
        match self.get(key)? {
            Some(value) if !value.trim().is_empty() => Ok(value),
            _ => Err(self.error(key, format!("kind {} needs `{key}`", self.channel.kind))),
        }
    }

    /// The value of `key` as `true` or `false`; absent: false.
    pub fn flag(&self, key: &str) -> Result<bool, SettingError> {
        match self.get(key)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(self.error(key, "write true or false")),
        }
    }

    /// The value of `key` as a duration such as `15s`; absent: `default`.
    pub fn duration(&self, key: &str, default: Duration) -> Result<Duration, SettingError> {
        let Some(value) = self.get(key)? else { return Ok(default) };
        let split = value.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(value.len());
        let (number, unit) = value.split_at(split);
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => 0,
        };
        match number.trim().parse::<u64>().ok().and_then(|n| n.checked_mul(unit_ms)) {
            Some(ms) if ms > 0 => Ok(Duration::from_millis(ms)),
            _ => Err(self.error(key, "write a duration such as 15s, 2m or 24h")),
        }
    }

    /// The value of `key` as a number in `1..=max`; absent: `default`.
    pub fn count(&self, key: &str, default: u32, max: u32) -> Result<u32, SettingError> {
        let Some(value) = self.get(key)? else { return Ok(default) };
        match value.parse::<u32>() {
            Ok(number) if (1..=max).contains(&number) => Ok(number),
            _ => Err(self.error(key, format!("write a number from 1 to {max}"))),
        }
    }

    /// The kind, as written.
    pub fn kind(&self) -> &str {
        &self.channel.kind
    }

    /// The channel's name.
    pub fn name(&self) -> &Name {
        &self.channel.name
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn channel(kind: &str, settings: &[(&str, &str)]) -> sojourn_rules::Channel {
        sojourn_rules::Channel {
            name: "c".into(),
            kind: kind.into(),
            settings: settings
                .iter()
                .zip(7..)
                .map(|((key, value), line)| (Name::from(*key), (Name::from(*value), line)))
                .collect(),
            rate_per_second: None,
        }
    }

    #[test]
    fn errors_name_key_file_and_line() {
        let channel = channel("smtp", &[("url", "${SMTP_URL}"), ("timeout", "soon")]);
        let none = |_: &str| None;
        let settings = Settings::new(&channel, "sojourn.yaml", &none);
        assert_eq!(
            settings.need("url").unwrap_err().to_string(),
            "sojourn.yaml:7: channels.c.url: environment variable SMTP_URL (or SMTP_URL_FILE) is not set"
        );
        let timeout = settings.duration("timeout", Duration::ZERO).unwrap_err();
        assert_eq!((timeout.line, timeout.key.as_str()), (8, "timeout"));
        assert!(settings.need("from").unwrap_err().to_string().contains("kind smtp needs `from`"));
    }

    #[test]
    fn names_are_resolved_in_place() {
        let lookup = |name: &str| (name == "A").then(|| "x".to_owned());
        assert_eq!(resolve("1${A}2${A}", &lookup), Ok("1x2x".into()));
        assert_eq!(resolve("${B}", &lookup), Err("B".into()));
        assert_eq!(resolve("${A", &lookup), Ok("${A".into()));
    }
}
