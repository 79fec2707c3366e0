//! Published definitions: their text in the state store by version, compiled once and shared.
//!
//! Content is stored first (owner `definitions`, space `Content`), then a `Publish` record is
//! appended to every partition: a version named by a record can always be compiled (DET-1).
//!
//! On shared storage the store may be emptied, and the log must hold all of it: there the content goes
//! to the topic `definitions` before it goes to the store, and what the store lacks is read from it.
//! The last version in that topic is the one that holds. Proposals that wait for somebody's approval
//! stand there, too.

use crate::role::{Role, Roles};
use crate::workspace::secret;
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sojourn_model::VersionId;
use sojourn_ports::{Append, Checkpoint, Log, ReadLimit, Space, StateStore, Topic, Write};
use sojourn_rules::{Definitions, Files, Finding, Severity, Workspace, compile};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Owner of the stored content.
const OWNER: &str = "definitions";
/// Records and bytes of one read of the topic `definitions` (LIM-1).
const READ_RECORDS_MAX: usize = 64;
const READ_BYTES_MAX: usize = 16 << 20;
/// Key of the version that is current, in space `Meta`.
const CURRENT: &[u8] = b"current";

/// Every version ever published, and the one that holds now.
pub struct DefinitionStore {
    store: Arc<dyn StateStore>,
    /// Keeps the content, too, where the store may lose it.
    log: Option<Arc<dyn Log>>,
    compiled: Mutex<BTreeMap<VersionId, Arc<Definitions>>>,
}

/// What a publish did.
pub enum Published {
    /// Lint errors: nothing changed.
    Refused(Vec<Finding>),
    /// This version is current; warnings beside it.
    Version(Arc<Definitions>, Vec<Finding>),
}

impl DefinitionStore {
    /// The versions in the store, and in the log if it keeps them.
    pub fn open(store: Arc<dyn StateStore>, log: Option<Arc<dyn Log>>) -> Self {
        Self { store, log, compiled: Mutex::default() }
    }

    /// Writes one row. Claimed for each: several processes may publish, one after the other.
    fn write(&self, space: Space, key: Bytes, value: Option<Bytes>) -> Result<()> {
        let claim = self.store.claim(OWNER)?;
        let writes = vec![Write { space, key, value }];
        let position = claim.position.unwrap_or(0);
        self.store.checkpoint(OWNER, claim.epoch, Checkpoint { position, writes })?;
        Ok(())
    }

    /// The records of the topic `definitions`, oldest first.
    fn logged(&self) -> Result<Vec<Bytes>> {
        let Some(log) = &self.log else { return Ok(Vec::new()) };
        let bounds = log.bounds(Topic::Definitions, 0)?;
        let (mut at, mut values) = (bounds.first, Vec::new());
        let limit =
            ReadLimit { records: READ_RECORDS_MAX, bytes: READ_BYTES_MAX, durable_only: true };
        while at < bounds.next {
            let mut entries = Vec::new();
            log.read(Topic::Definitions, 0, at, limit, &mut entries)?;
            match entries.last() {
                Some(last) => at = last.offset + 1,
                // The end of a compacted topic may be a hole.
                None if log.bounds(Topic::Definitions, 0)?.next <= bounds.next => break,
                None => {}
            }
            values.extend(entries.into_iter().map(|entry| entry.value));
        }
        Ok(values)
    }

    /// Writes a record to the topic `definitions`, where there is one; durable on return.
    fn append(&self, value: Bytes) -> Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        let values = vec![value];
        log.append(vec![Append { topic: Topic::Definitions, partition: 0, values }], None)?;
        log.sync()?;
        Ok(())
    }

    /// The version that holds now, if any was published.
    pub fn current(&self) -> Result<Option<VersionId>> {
        let found = self.store.get(OWNER, Space::Meta, &[Bytes::from_static(CURRENT)])?;
        let Some(value) = found.into_iter().next().flatten() else {
            let last = self.logged()?.into_iter().rfind(|record| !is_kept(record));
            return last.map(|json| Ok(decoded(&json)?.version())).transpose();
        };
        let bytes: [u8; 8] = value[..].try_into().context("the current version's id is damaged")?;
        Ok(Some(VersionId(u64::from_be_bytes(bytes))))
    }

    /// The files of a version.
    pub fn files(&self, version: VersionId) -> Result<Files> {
        let key = Bytes::copy_from_slice(&version.0.to_be_bytes());
        let found = self.store.get(OWNER, Space::Content, &[key])?;
        let Some(value) = found.into_iter().next().flatten() else {
            for json in self.logged()?.iter().rev().filter(|record| !is_kept(record)) {
                let files = decoded(json)?;
                if files.version() == version {
                    return Ok(files);
                }
            }
            bail!("version {version} is not in the store: restore a snapshot that holds it");
        };
        decoded(&value).with_context(|| format!("version {version} is damaged"))
    }

    /// A version, compiled. Compiling is deterministic, so every process gets the same.
    pub fn get(&self, version: VersionId) -> Result<Arc<Definitions>> {
        if let Some(known) = self.compiled.lock().get(&version) {
            return Ok(Arc::clone(known));
        }
        let definitions = compiled(&self.files(version)?)
            .with_context(|| format!("version {version} was published and no longer compiles"))?;
        self.compiled.lock().insert(version, Arc::clone(&definitions));
        Ok(definitions)
    }

    /// Lints, compiles and stores `files`. The caller then appends `Publish` to every partition and
    /// calls [`Self::set_current`].
    pub fn store(&self, files: &Files) -> Result<Published> {
        let result = compile(files);
        let errors = result.findings.iter().any(|finding| finding.severity == Severity::Error);
        let Some(definitions) = result.definitions.filter(|_| !errors) else {
            return Ok(Published::Refused(result.findings));
        };
        let json = Bytes::from(serde_json::to_vec(files)?);
        self.append(json.clone())
            .context("the files of the workspace do not fit into one record of the log")?;
        let key = Bytes::copy_from_slice(&definitions.version.0.to_be_bytes());
        self.write(Space::Content, key, Some(json))?;
        self.compiled.lock().insert(definitions.version, Arc::clone(&definitions));
        Ok(Published::Version(definitions, result.findings))
    }

    /// Keeps something in JSON beside the versions under a name, or forgets it.
    pub(crate) fn keep(&self, name: &str, value: Option<&serde_json::Value>) -> Result<()> {
        if self.log.is_some() {
            let kept = Kept { name: name.to_owned(), value: value.cloned() };
            self.append(Bytes::from(serde_json::to_vec(&KeptRecord { kept })?))
                .context("it does not fit into one record of the log")?;
        }
        let key = Bytes::copy_from_slice(name.as_bytes());
        let value = value.map(serde_json::to_vec).transpose()?;
        self.write(Space::Meta, key, value.map(Bytes::from))
    }

    /// What is kept under names that begin so, in their order. Where there is a log, it decides: a
    /// store that was emptied lacks nothing.
    pub(crate) fn kept(&self, prefix: &str) -> Result<Vec<Vec<u8>>> {
        let mut found = BTreeMap::new();
        self.store.scan(OWNER, Space::Meta, prefix.as_bytes(), None, &mut |key, value| {
            let ours = key.starts_with(prefix.as_bytes());
            if ours {
                found.insert(key.to_vec(), Some(value.to_vec()));
            }
            ours
        })?;
        for record in self.logged()?.iter().filter(|record| is_kept(record)) {
            let KeptRecord { kept } =
                serde_json::from_slice(record).context("the topic `definitions` is damaged")?;
            if kept.name.starts_with(prefix) {
                let value = kept.value.as_ref().map(serde_json::to_vec).transpose()?;
                found.insert(kept.name.into_bytes(), value);
            }
        }
        Ok(found.into_values().flatten().collect())
    }

    /// Notes which version holds from now on, for roles that start later.
    pub fn set_current(&self, version: VersionId) -> Result<()> {
        let value = Bytes::copy_from_slice(&version.0.to_be_bytes());
        self.write(Space::Meta, Bytes::from_static(CURRENT), Some(value))
    }
}

/// Something kept beside the versions, as it stands in the log: the last record of a name holds.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    name: String,
    /// `None`: forgotten.
    value: Option<serde_json::Value>,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptRecord {
    kept: Kept,
}

/// Whether a record of the topic `definitions` is such a thing; the files of a version are texts by
/// name.
fn is_kept(record: &[u8]) -> bool {
    record.starts_with(br#"{"kept":{"#)
}

fn decoded(json: &[u8]) -> Result<Files> {
    serde_json::from_slice(json).context("stored files of a workspace cannot be read")
}

/// Compiles files that must be free of errors; the error lists the findings.
pub fn compiled(files: &Files) -> Result<Arc<Definitions>> {
    let result = compile(files);
    let errors: Vec<String> = result
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(describe)
        .collect();
    match result.definitions {
        Some(definitions) if errors.is_empty() => Ok(definitions),
        _ => bail!("the definitions have errors:\n{}", errors.join("\n")),
    }
}

/// The workspace with `${NAME}` replaced from the environment or files, as far as these roles need it:
/// a gateway has no passwords of channels, a dispatcher no keys of sources.
pub fn resolved_for(definitions: &Definitions, roles: Roles) -> Result<Workspace> {
    let mut workspace = definitions.workspace.clone();
    if !roles.has(Role::Gateway) {
        workspace.sources.iter_mut().for_each(|source| source.secrets.clear());
    }
    if !roles.has(Role::Dispatcher) && !roles.has(Role::Channels) {
        workspace.channels.clear();
    }
    sojourn_rules::resolve(&workspace, &secret).map_err(|findings| {
        anyhow::anyhow!(findings.iter().map(describe).collect::<Vec<_>>().join("\n"))
    })
}

/// A finding on one line, as errors print it.
pub fn describe(finding: &Finding) -> String {
    format!(
        "{}:{}:{}: {} ({}); {}",
        finding.file, finding.line, finding.column, finding.message, finding.rule, finding.remedy
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use sojourn_memory::{ManualClock, MemoryLog, MemoryStore};
    use sojourn_model::Timestamp;
    use sojourn_ports::Layout;

    #[test]
    fn what_is_kept_survives_a_store_that_was_emptied_and_is_no_version() {
        let clock = Arc::new(ManualClock::new(Timestamp(0)));
        let log: Arc<dyn Log> = Arc::new(MemoryLog::new(Layout::new(1, 1), clock));
        let open = || DefinitionStore::open(Arc::new(MemoryStore::new()), Some(Arc::clone(&log)));
        let first = open();
        let files = Files([("a.yaml".to_owned(), "a: 1".to_owned())].into());
        first.append(Bytes::from(serde_json::to_vec(&files).unwrap())).unwrap();
        first.keep("proposal/1", Some(&json!({ "id": 1 }))).unwrap();
        first.keep("proposal/2", Some(&json!({ "id": 2 }))).unwrap();
        first.keep("proposal/2", Some(&json!({ "id": 2, "approvals": ["bo"] }))).unwrap();
        first.keep("proposal/1", None).unwrap();
        // Another process, whose store has nothing.
        let other = open();
        let kept = [br#"{"approvals":["bo"],"id":2}"#.to_vec()];
        for store in [&first, &other] {
            assert_eq!(store.kept("proposal/").unwrap(), kept);
        }
        assert!(other.kept("other/").unwrap().is_empty());
        assert_eq!(other.current().unwrap(), Some(files.version()));
        assert_eq!(other.files(files.version()).unwrap(), files);
    }
}
