//! The text of a workspace: path → content, in order of path.

use serde::{Deserialize, Serialize};
use sojourn_model::VersionId;
use std::collections::BTreeMap;

/// All files of one version of a workspace. This, serialised, is what `publish` stores.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files(pub BTreeMap<String, String>);

impl Files {
    /// Name of this version: the first 8 bytes of the SHA-256 over paths and contents.
    pub fn version(&self) -> VersionId {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        for (path, content) in &self.0 {
            hash.update((path.len() as u64).to_be_bytes());
            hash.update(path);
            hash.update((content.len() as u64).to_be_bytes());
            hash.update(content);
        }
        let digest = hash.finalize();
        VersionId(u64::from_be_bytes(digest[..8].try_into().expect("8 of 32 bytes")))
    }
}
