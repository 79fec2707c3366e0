//! Who may send: write keys and secrets of the declared sources.

use crate::limits::SECRETS_MAX;
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sojourn_model::Name;
use sojourn_rules::Workspace;
use std::collections::{BTreeMap, HashMap};

/// Resolved secrets: by source id, then by the key in sojourn.yaml (`write_key`, `secret`, …).
/// A value may list several, parted by blanks or commas, while a secret is being rotated.
pub type Secrets = BTreeMap<Name, BTreeMap<Name, String>>;

/// Something is wrong with the sources' secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Two sources have one key: nobody could tell them apart.
    #[error("sources {0} and {1} have the same write key: give each its own")]
    Shared(Name, Name),
    /// More secrets than anybody rotates.
    #[error("source {0} lists more than {SECRETS_MAX} secrets: remove those that are retired")]
    TooMany(Name),
}

/// Write keys and the sources they belong to.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    by_key: HashMap<String, usize>,
    /// For hooks: secrets by source, the current one first.
    secrets: Vec<Vec<String>>,
}

/// Whether a source is spoken to by signed webhooks rather than by a key.
pub(crate) fn is_hook(kind: &str) -> bool {
    matches!(kind, "hook" | "webhook")
}

impl Keys {
    pub(crate) fn new(workspace: &Workspace, secrets: &Secrets) -> Result<Self, KeyError> {
        let mut keys = Self::default();
        for (index, source) in workspace.sources.iter().enumerate() {
            let mut own = Vec::new();
            for (name, value) in secrets.get(&source.id).into_iter().flatten() {
                let parts: Vec<&str> = value
                    .split(|c: char| c.is_whitespace() || c == ',')
                    .filter(|part| !part.is_empty())
                    .collect();
                if own.len() + parts.len() > SECRETS_MAX {
                    return Err(KeyError::TooMany(source.id.clone()));
                }
                let opens = matches!(&**name, "write_key" | "secret") && !is_hook(&source.kind);
                for part in parts {
                    own.push(part.to_string());
                    if !opens {
                        continue;
                    }
                    if let Some(other) = keys.by_key.insert(part.to_string(), index)
                        && other != index
                    {
                        let other = workspace.sources[other].id.clone();
                        return Err(KeyError::Shared(other, source.id.clone()));
                    }
                }
            }
            keys.secrets.push(own);
        }
        Ok(keys)
    }

    /// The source whose key this is.
    pub(crate) fn source(&self, key: &str) -> Option<usize> {
        self.by_key.get(key).copied()
    }

    /// Secrets of a source.
    pub(crate) fn secrets(&self, source: usize) -> &[String] {
        self.secrets.get(source).map_or(&[], Vec::as_slice)
    }

    /// The source that the `Authorization` header names, in the order in which SDKs are known to
    /// use it: Basic (the key as the user name; tills may send it as the password), then Bearer.
    pub(crate) fn by_header(&self, headers: &HeaderMap) -> Option<usize> {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, rest) = value.split_once(' ')?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("basic") {
            let decoded = STANDARD.decode(rest).ok()?;
            let decoded = std::str::from_utf8(&decoded).ok()?;
            let (user, password) = decoded.split_once(':').unwrap_or((decoded, ""));
            self.source(user).or_else(|| self.source(password))
        } else if scheme.eq_ignore_ascii_case("bearer") {
            self.source(rest)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sojourn_rules::Source;

    fn workspace(kinds: &[(&str, &str)]) -> Workspace {
        let source = |(id, kind): &(&str, &str)| Source {
            id: (*id).into(),
            channel: "web".into(),
            kind: (*kind).into(),
            secrets: BTreeMap::new(),
            strict: false,
            shared_devices: false,
        };
        Workspace { sources: kinds.iter().map(source).collect(), ..Workspace::default() }
    }

    fn secrets(rows: &[(&str, &str, &str)]) -> Secrets {
        let mut all = Secrets::new();
        for (source, key, value) in rows {
            all.entry((*source).into()).or_default().insert((*key).into(), (*value).to_string());
        }
        all
    }

    #[test]
    fn a_key_opens_its_source_in_every_form() {
        let workspace = workspace(&[("site", "segment"), ("till", "pos"), ("shop", "hook")]);
        let secrets = secrets(&[
            ("site", "write_key", "wk old"),
            ("till", "secret", "ts"),
            ("shop", "secret", "whsec_x"),
        ]);
        let keys = Keys::new(&workspace, &secrets).unwrap();
        for (header, source) in [
            (format!("Basic {}", STANDARD.encode("wk:")), Some(0)),
            (format!("basic {}", STANDARD.encode("old:")), Some(0)),
            (format!("Basic {}", STANDARD.encode("wk")), Some(0)),
            (format!("Basic {}", STANDARD.encode("till:ts")), Some(1)),
            ("Bearer ts".to_string(), Some(1)),
            ("Bearer whsec_x".to_string(), None),
            ("Bearer nope".to_string(), None),
            ("Basic !!!".to_string(), None),
            (format!("Basic {}", STANDARD.encode(":")), None),
            ("Basic".to_string(), None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, header.parse().unwrap());
            assert_eq!(keys.by_header(&headers), source, "{header}");
        }
        assert_eq!(keys.secrets(2), ["whsec_x"]);
    }

    #[test]
    fn a_key_belongs_to_one_source() {
        let workspace = workspace(&[("a", "segment"), ("b", "pos")]);
        let secrets = secrets(&[("a", "write_key", "k"), ("b", "secret", "k")]);
        let error = Keys::new(&workspace, &secrets).unwrap_err();
        assert_eq!(error, KeyError::Shared("a".into(), "b".into()));
    }
}
