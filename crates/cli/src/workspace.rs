//! A workspace on disk: its text files, compiled, and where its data lives.

use crate::exit::unreachable;
use anyhow::{Context, Result};
use sojourn_rules::{Compiled, Definitions, Files, Severity};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files that belong to a version of a workspace, by the end of their names.
const TEXT: [&str; 6] = ["yaml", "yml", "html", "txt", "mjml", "csv"];
/// A workspace larger than this is not one that a person wrote.
const FILES_MAX: usize = 10_000;
/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Folders below the workspace that hold no definitions.
const SKIPPED: [&str; 3] = ["data", "node_modules", "target"];

/// Reads the text files below `dir`, in order of path, without the data folder and hidden files.
pub(crate) fn read(dir: &Path) -> Result<Files> {
    if !dir.is_dir() {
        return Err(unreachable(format!(
            "{} is no folder: make a workspace with `sojourn init {} --template shop`",
            dir.display(),
            dir.display()
        )));
    }
    if !dir.join("sojourn.yaml").is_file() {
        return Err(unreachable(format!(
            "{} has no sojourn.yaml: name the folder of a workspace, or make one with `sojourn init`",
            dir.display()
        )));
    }
    let mut files = BTreeMap::new();
    walk(dir, dir, &mut files)?;
    Ok(Files(files))
}

fn walk(root: &Path, dir: &Path, files: &mut BTreeMap<String, String>) -> Result<()> {
    let entries = std::fs::read_dir(dir)
        .map_err(|error| unreachable(format!("cannot list {}: {error}", dir.display())))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {}", dir.display()))?;
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            if dir == root && SKIPPED.contains(&name.as_str()) {
                continue;
            }
            walk(root, &path, files)?;
            continue;
        }
        let text = path.extension().and_then(|end| end.to_str());
        if !text.is_some_and(|end| TEXT.contains(&end)) || dir == root && name.ends_with(".txt") {
            continue;
        }
        // What is imported or simulated may lie beside the definitions; only the catalogue is one.
        if name.ends_with(".csv") && name != "catalog.csv" {
            continue;
        }
        let size = entry.metadata().map(|metadata| metadata.len()).unwrap_or(0);
        if size > FILE_BYTES_MAX || files.len() >= FILES_MAX {
            return Err(unreachable(format!(
                "{} is too large for a workspace (at most {FILES_MAX} files of {} MiB)",
                path.display(),
                FILE_BYTES_MAX >> 20
            )));
        }
        let content = std::fs::read(&path)
            .map_err(|error| unreachable(format!("cannot read {}: {error}", path.display())))?;
        let content = String::from_utf8(content).map_err(|_| {
            unreachable(format!("{} is not UTF-8 text: save it as UTF-8", path.display()))
        })?;
        files.insert(relative(root, &path), content);
    }
    Ok(())
}

/// Path below the workspace with `/` between the parts.
fn relative(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
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
    fn reads_definitions_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        };
        for path in [
            "sojourn.yaml",
            "journeys/a.yaml",
            "templates/t/en.txt",
            "data/segment.yaml",
            "orders.csv",
            "events.jsonl",
            ".git/config.yaml",
        ] {
            put(path);
        }
        let files = read(dir.path()).unwrap();
        let paths: Vec<_> = files.0.keys().map(String::as_str).collect();
        assert_eq!(paths, ["journeys/a.yaml", "sojourn.yaml", "templates/t/en.txt"]);
    }

    #[test]
    fn a_folder_without_a_workspace_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let error = read(dir.path()).unwrap_err();
        assert_eq!(crate::exit::Exit::of(&error), crate::exit::Exit::Unreachable);
        assert!(error.to_string().contains("sojourn init"));
    }
}
