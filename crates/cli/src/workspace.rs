//! A workspace on disk: its text files, compiled, and where its data lives.

use crate::exit::unreachable;
use anyhow::Result;
use sojourn_rules::{Compiled, Definitions, Files, Severity};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Reads the text files of the workspace in `dir`.
pub(crate) fn read(dir: &Path) -> Result<Files> {
    if !dir.join("sojourn.yaml").is_file() {
        return Err(unreachable(format!(
            "{} is no workspace (no sojourn.yaml): name its folder, or make one with `sojourn init {}`",
            dir.display(),
            dir.display()
        )));
    }
    sojourn_node::read_workspace(dir).map_err(|error| unreachable(format!("{error:#}")))
}

/// Reads and compiles. Findings are the caller's to show.
pub(crate) fn compile(dir: &Path) -> Result<(Files, Compiled)> {
    let files = read(dir)?;
    let compiled = sojourn_rules::compile(&files);
    Ok((files, compiled))
}

/// The compiled definitions, or an error that sends the reader to `sojourn lint`.
pub(crate) fn definitions(dir: &Path) -> Result<Arc<Definitions>> {
    let (_, compiled) = compile(dir)?;
    let errors =
        compiled.findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    match compiled.definitions {
        Some(definitions) if errors == 0 => Ok(definitions),
        _ => Err(crate::exit::negative(format!(
            "{} has {errors} error{}: see them with `sojourn lint {}`",
            dir.display(),
            if errors == 1 { "" } else { "s" },
            dir.display()
        ))),
    }
}

/// Where the workspace keeps its data: `storage.path`, `data` when the file cannot be compiled.
pub(crate) fn data_dir(dir: &Path) -> PathBuf {
    let path = compile(dir)
        .ok()
        .and_then(|(_, compiled)| compiled.definitions)
        .map_or_else(|| "data".to_owned(), |found| found.workspace.storage.path.to_string());
    dir.join(path.strip_prefix("./").unwrap_or(&path))
}

/// The workspace's time zone; UTC when the file cannot be compiled.
pub(crate) fn zone(dir: &Path) -> chrono_tz::Tz {
    let definitions = compile(dir).ok().and_then(|(_, compiled)| compiled.definitions);
    definitions
        .and_then(|found| found.workspace.time_zone.parse().ok())
        .unwrap_or(chrono_tz::Tz::UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_workspace_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let error = read(dir.path()).unwrap_err();
        assert_eq!(crate::exit::Exit::of(&error), crate::exit::Exit::Unreachable);
        assert!(error.to_string().contains("sojourn init"));
    }
}
