//! sojourn.yaml: who we are, sources, channels, storage.

use sojourn_model::{DurationMs, Name};
use std::collections::BTreeMap;

/// sojourn.yaml. `${NAME}` is kept as written here; programs resolve it at start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Workspace {
    /// Name of the workspace.
    pub name: Name,
    /// Company.
    pub company: Company,
    /// Zone used when a person's own is not known.
    pub time_zone: Name,
    /// The first is the fallback.
    pub locales: Vec<Name>,
    /// Sources in the file's order.
    pub sources: Vec<Source>,
    /// Channels by name.
    pub channels: BTreeMap<Name, Channel>,
    /// Storage.
    pub storage: Storage,
    /// How `call` steps are made.
    pub calls: Calls,
    /// Other settings, as written, with the line: `public_url` (base of links in messages) and
    /// `listen.gateway`, `listen.console`, … (addresses).
    pub settings: BTreeMap<Name, (Name, u32)>,
}

/// Who sends.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "named as in the file")]
pub struct Company {
    pub name: Name,
    pub postal_address: Name,
    pub privacy_contact: Name,
}

/// A declared source.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Id.
    pub id: Name,
    /// Channel of its touchpoints.
    pub channel: Name,
    /// `segment`, `pos`, `hook`, `sendgrid`, `meta`, …
    pub kind: Name,
    /// `write_key`, `secret`, `verify_key`, `app_secret`: by key, as written, with its line.
    pub secrets: BTreeMap<Name, (Name, u32)>,
    /// Properties not in the tracking plan are dropped, required ones demanded.
    pub strict: bool,
    /// Kiosk, till, tablet: its device and anonymous ids do not join.
    pub shared_devices: bool,
}

/// A channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    /// Name: `email`, `push`, …
    pub name: Name,
    /// `smtp`, `grpc`, `webhook`, `in_store`, `file`.
    pub kind: Name,
    /// Other settings by key, as written (`url`, `from`, `endpoint`, `secret`, …), with the line.
    pub settings: BTreeMap<Name, (Name, u32)>,
    /// Messages per second; `None`: unlimited.
    pub rate_per_second: Option<f64>,
}

/// How `call` steps are made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Calls {
    /// Secret of their signature, as written, with its line.
    pub secret: Option<(Name, u32)>,
    /// Whether they may go to addresses inside the own network, and without https.
    pub allow_private: bool,
}

/// Where log and state live.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "named as in the file")]
pub struct Storage {
    pub kind: Name,
    pub path: Name,
    pub retention: DurationMs,
    pub settings: BTreeMap<Name, (Name, u32)>,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            kind: "embedded".into(),
            path: "./data".into(),
            retention: DurationMs::days(400),
            settings: BTreeMap::new(),
        }
    }
}
