//! Secrets of a running node: the sources' keys, and the key that signs links.

use anyhow::{Context, Result};
use bytes::Bytes;
use sojourn_channels::token::Signer;
use sojourn_embedded::LINK_KEY_FILE;
use sojourn_gateway::Secrets;
use sojourn_ports::{Checkpoint, Space, StateError, StateStore, Write};
use sojourn_rules::Workspace;
use std::io::Write as _;
use std::path::Path;

/// Keys of the sources, resolved.
pub(crate) fn of_sources(workspace: &Workspace) -> Secrets {
    let text = |(key, (value, _)): (&sojourn_model::Name, &(sojourn_model::Name, u32))| {
        (key.clone(), value.to_string())
    };
    let sources = workspace.sources.iter();
    sources.map(|source| (source.id.clone(), source.secrets.iter().map(text).collect())).collect()
}

/// The signer of links; its key is made at the first start and stays, as links in messages that are
/// out must go on working.
pub(crate) fn signer(data: &Path) -> Result<Signer> {
    let path = data.join(LINK_KEY_FILE);
    let key = match std::fs::read_to_string(&path) {
        Ok(text) => text.trim().to_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
            write_private(&path, &key)
                .with_context(|| format!("cannot write {}", path.display()))?;
            key
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    Signer::new(&[key]).with_context(|| format!("{} holds no usable key", path.display()))
}

/// The signer of links where several processes make and read them: the key stands in the environment
/// (`SOJOURN_LINK_KEY`), or in the store, where the first process puts its own.
pub(crate) fn shared_signer(store: &dyn StateStore, data: &Path) -> Result<Signer> {
    if let Some(key) = crate::workspace::secret("SOJOURN_LINK_KEY") {
        return Signer::new(&[key]).context("SOJOURN_LINK_KEY is no usable key");
    }
    let path = data.join("link.key");
    for _ in 0..SHARE_ATTEMPTS {
        let row = store.get(OWNER, Space::Meta, &[Bytes::from_static(KEY)])?;
        if let Some(key) = row.into_iter().next().flatten() {
            let key = String::from_utf8(key.to_vec()).context("the links' key in the store")?;
            if std::fs::read_to_string(&path).is_ok_and(|own| own.trim() != key) {
                // Of another store, or of the time on embedded storage.
                std::fs::remove_file(&path)?;
            }
            if !path.exists() {
                // Kept for a store that is emptied; another process may do the same just now.
                let _ = write_private(&path, &key);
            }
            return Signer::new(&[key]).context("the store holds no usable key of links");
        }
        signer(data)?;
        let key = std::fs::read_to_string(&path)?;
        let claim = store.claim(OWNER)?;
        let write = Write {
            space: Space::Meta,
            key: Bytes::from_static(KEY),
            value: Some(key.trim().to_owned().into()),
        };
        // Another process may be quicker: then its key is read.
        let found = store.get(OWNER, Space::Meta, &[Bytes::from_static(KEY)])?;
        if found.iter().all(Option::is_none) {
            let checkpoint = Checkpoint { position: 0, writes: vec![write] };
            match store.checkpoint(OWNER, claim.epoch, checkpoint) {
                Ok(()) | Err(StateError::Fenced { .. } | StateError::Unknown(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    anyhow::bail!("the links' key cannot be shared through the store; set SOJOURN_LINK_KEY")
}

/// Attempts to agree on a key.
const SHARE_ATTEMPTS: u32 = 5;
/// Owner and key of the links' key in the store.
const OWNER: &str = "secrets";
const KEY: &[u8] = b"link.key";

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
