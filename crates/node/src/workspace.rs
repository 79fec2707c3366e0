//! Reads a workspace folder: the only place where definitions come from disk.

use anyhow::{Context, Result, bail};
use sojourn_rules::Files;
use std::collections::BTreeMap;
use std::path::Path;

/// Bytes of one file of a workspace; more is refused (LIM-1).
pub const FILE_BYTES_MAX: u64 = 4 << 20;
/// Files of one workspace.
pub const FILES_MAX: usize = 20_000;

/// Reads every workspace file below `dir`, by path relative to it with `/` between the parts.
pub fn read_workspace(dir: &Path) -> Result<Files> {
    if !dir.join("sojourn.yaml").is_file() {
        bail!(
            "{} is no workspace: it has no sojourn.yaml; make one with `sojourn init {}`",
            dir.display(),
            dir.display()
        );
    }
    let mut files = BTreeMap::new();
    for name in
        ["sojourn.yaml", "tracking-plan.yaml", "policy.yaml", "segments.yaml", "catalog.csv"]
    {
        if dir.join(name).is_file() {
            read_file(dir, name, &mut files)?;
        }
    }
    for folder in ["journeys", "templates"] {
        read_folder(dir, folder, 0, &mut files)?;
    }
    Ok(Files(files))
}

/// Reads the scenarios of the workspace in `dir`: `tests/*.yaml`. They are no part of what is
/// published.
pub fn read_tests(dir: &Path) -> Result<Files> {
    let mut files = BTreeMap::new();
    read_folder(dir, "tests", 0, &mut files)?;
    files.retain(|path, _| path.ends_with(".yaml"));
    Ok(Files(files))
}

fn read_folder(
    dir: &Path,
    relative: &str,
    depth: u8,
    files: &mut BTreeMap<String, String>,
) -> Result<()> {
    const DEPTH_MAX: u8 = 4;
    let path = dir.join(relative);
    if depth > DEPTH_MAX || !path.is_dir() {
        return Ok(());
    }
    let mut names = Vec::new();
    for entry in
        std::fs::read_dir(&path).with_context(|| format!("cannot list {}", path.display()))?
    {
        let entry = entry.with_context(|| format!("cannot list {}", path.display()))?;
        if let Some(name) = entry.file_name().to_str() {
            names.push(name.to_owned());
        }
    }
    names.sort();
    for name in names.iter().filter(|name| !name.starts_with('.') && !name.ends_with('~')) {
        let child = format!("{relative}/{name}");
        if dir.join(&child).is_dir() {
            read_folder(dir, &child, depth + 1, files)?;
        } else {
            read_file(dir, &child, files)?;
        }
    }
    Ok(())
}

fn read_file(dir: &Path, relative: &str, files: &mut BTreeMap<String, String>) -> Result<()> {
    let path = dir.join(relative);
    let bytes =
        std::fs::metadata(&path).with_context(|| format!("cannot read {}", path.display()))?.len();
    if bytes > FILE_BYTES_MAX {
        bail!("{relative} has {bytes} bytes; a workspace file has at most {FILE_BYTES_MAX}");
    }
    if files.len() >= FILES_MAX {
        bail!("the workspace has more than {FILES_MAX} files");
    }
    let content =
        std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let content = String::from_utf8(content).map_err(|error| {
        anyhow::anyhow!(
            "{relative} is not UTF-8 at byte {}: save it as UTF-8",
            error.utf8_error().valid_up_to()
        )
    })?;
    files.insert(relative.to_owned(), content);
    Ok(())
}

/// The value of `${NAME}`: from the environment, or from the file that `NAME_FILE` names.
pub fn secret(name: &str) -> Option<String> {
    std::env::var(name).ok().or_else(|| {
        let path = std::env::var(format!("{name}_FILE")).ok()?;
        Some(std::fs::read_to_string(path).ok()?.trim_end_matches(['\r', '\n']).to_owned())
    })
}
