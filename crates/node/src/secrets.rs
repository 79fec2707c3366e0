//! Secrets of a running node: the sources' keys, and the key that signs links.

use anyhow::{Context, Result};
use sojourn_channels::token::Signer;
use sojourn_embedded::LINK_KEY_FILE;
use sojourn_gateway::Secrets;
use sojourn_rules::Workspace;
use std::io::Write;
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

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
