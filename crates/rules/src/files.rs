//! The text of a workspace: path → content, in order of path.

use serde::{Deserialize, Serialize};
use sojourn_model::VersionId;
use std::collections::BTreeMap;

/// All files of one version of a workspace. This, serialised, is what `publish` stores.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files(pub BTreeMap<String, String>);

impl Files {
    /// Whether `path` (relative, with `/`) belongs to a workspace: the files that are published.
    /// `data/`, hidden files and anything else do not.
    pub fn is_workspace_file(path: &str) -> bool {
        let hidden = |part: &str| part.is_empty() || part.starts_with('.');
        let parts: Vec<&str> = path.split('/').collect();
        if parts.iter().any(|part| hidden(part)) {
            return false;
        }
        let ends = |name: &str, endings: &[&str]| {
            endings
                .iter()
                .any(|ending| name.strip_suffix(ending).is_some_and(|stem| !stem.is_empty()))
        };
        match parts.as_slice() {
            [
                "sojourn.yaml" | "tracking-plan.yaml" | "policy.yaml" | "segments.yaml"
                | "catalog.csv",
            ] => true,
            ["journeys", name] => ends(name, &[".yaml"]),
            ["templates", _, name] => ends(name, &[".yaml", ".html", ".txt", ".mjml"]),
            _ => false,
        }
    }

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
