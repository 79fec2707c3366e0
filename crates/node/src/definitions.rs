//! Published definitions: their text in the state store by version, compiled once and shared.
//!
//! Content is stored first (owner `definitions`, space `Content`), then a `Publish` record is
//! appended to every partition: a version named by a record can always be compiled (DET-1).

use crate::workspace::secret;
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use parking_lot::Mutex;
use sojourn_model::VersionId;
use sojourn_ports::{Checkpoint, Space, StateStore, Write};
use sojourn_rules::{Definitions, Files, Finding, Severity, compile};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Owner of the stored content.
const OWNER: &str = "definitions";
/// Key of the version that is current, in space `Meta`.
const CURRENT: &[u8] = b"current";

/// Every version ever published, and the one that holds now.
pub struct DefinitionStore {
    store: Arc<dyn StateStore>,
    epoch: u64,
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
    /// The store's versions.
    pub fn open(store: Arc<dyn StateStore>) -> Result<Self> {
        let epoch = store.claim(OWNER)?.epoch;
        Ok(Self { store, epoch, compiled: Mutex::default() })
    }

    /// The version that holds now, if any was published.
    pub fn current(&self) -> Result<Option<VersionId>> {
        let found = self.store.get(OWNER, Space::Meta, &[Bytes::from_static(CURRENT)])?;
        let Some(value) = found.into_iter().next().flatten() else { return Ok(None) };
        let bytes: [u8; 8] = value[..].try_into().context("the current version's id is damaged")?;
        Ok(Some(VersionId(u64::from_be_bytes(bytes))))
    }

    /// The files of a version.
    pub fn files(&self, version: VersionId) -> Result<Files> {
        let key = Bytes::copy_from_slice(&version.0.to_be_bytes());
        let found = self.store.get(OWNER, Space::Content, &[key])?;
        let Some(value) = found.into_iter().next().flatten() else {
            bail!("version {version} is not in the store: restore a snapshot that holds it");
        };
        serde_json::from_slice(&value).with_context(|| format!("version {version} is damaged"))
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
        let write = Write {
            space: Space::Content,
            key: Bytes::copy_from_slice(&definitions.version.0.to_be_bytes()),
            value: Some(serde_json::to_vec(files)?.into()),
        };
        self.store.checkpoint(
            OWNER,
            self.epoch,
            Checkpoint { position: 0, writes: vec![write] },
        )?;
        self.compiled.lock().insert(definitions.version, Arc::clone(&definitions));
        Ok(Published::Version(definitions, result.findings))
    }

    /// Keeps something beside the versions under a name, or forgets it.
    pub(crate) fn keep(&self, name: &str, value: Option<Vec<u8>>) -> Result<()> {
        let key = Bytes::copy_from_slice(name.as_bytes());
        let write = Write { space: Space::Meta, key, value: value.map(Bytes::from) };
        let checkpoint = Checkpoint { position: 0, writes: vec![write] };
        self.store.checkpoint(OWNER, self.epoch, checkpoint)?;
        Ok(())
    }

    /// What is kept under names that begin so, in their order.
    pub(crate) fn kept(&self, prefix: &str) -> Result<Vec<Vec<u8>>> {
        let mut found = Vec::new();
        self.store.scan(OWNER, Space::Meta, prefix.as_bytes(), None, &mut |key, value| {
            let ours = key.starts_with(prefix.as_bytes());
            if ours {
                found.push(value.to_vec());
            }
            ours
        })?;
        Ok(found)
    }

    /// Notes which version holds from now on, for roles that start later.
    pub fn set_current(&self, version: VersionId) -> Result<()> {
        let write = Write {
            space: Space::Meta,
            key: Bytes::from_static(CURRENT),
            value: Some(Bytes::copy_from_slice(&version.0.to_be_bytes())),
        };
        self.store.checkpoint(
            OWNER,
            self.epoch,
            Checkpoint { position: 0, writes: vec![write] },
        )?;
        Ok(())
    }
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

/// The definitions with `${NAME}` replaced from the environment or files.
pub fn resolved(definitions: &Definitions) -> Result<sojourn_rules::Workspace> {
    sojourn_rules::resolve(&definitions.workspace, &secret).map_err(|findings| {
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
