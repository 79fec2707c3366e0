//! What the house-rule tests share: the source files of the workspace and what cargo knows of it.
//!
//! The rules themselves are the tests under `tests/`. A rule reports every offender at once, as
//! `path:line: what`, so that one run shows the whole list.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A text file of the workspace.
#[derive(Debug)]
pub struct Source {
    /// Path from the top of the workspace, with `/`.
    pub path: String,
    /// The whole text.
    pub text: String,
}

impl Source {
    /// The crate folder under `crates/` that the file belongs to; empty for files elsewhere.
    pub fn crate_folder(&self) -> &str {
        self.path.strip_prefix("crates/").and_then(|rest| rest.split('/').next()).unwrap_or("")
    }

    /// Whether the file is a test, a benchmark or an example and not part of the product.
    pub fn is_test(&self) -> bool {
        let folders = ["/tests/", "/fuzz/", "/benches/", "/examples/"];
        folders.iter().any(|folder| self.path.contains(folder)) || self.path.ends_with("/tests.rs")
    }

    /// Lines with their numbers, from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(i, line)| (i + 1, line))
    }

    /// Lines before the in-file unit tests (`#[cfg(test)]` at the left margin).
    pub fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().take_while(|(_, line)| *line != "#[cfg(test)]")
    }
}

/// The top of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("crates/tidy is two levels down")
        .to_path_buf()
}

/// Text of one file, by its path from the top.
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file under `folder` (path from the top) whose name ends in one of `endings`, sorted by
/// path. Build output, package folders and other dot-folders are left out.
pub fn files(folder: &str, endings: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    walk(&root().join(folder), endings, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn walk(folder: &Path, endings: &[&str], found: &mut Vec<Source>) {
    for entry in
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
    {
        let entry = entry.expect("readable folder");
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        if path.is_dir() {
            if !name.starts_with('.')
                && !matches!(name.as_str(), "target" | "node_modules" | "__pycache__" | "corpus")
            {
                walk(&path, endings, found);
            }
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            // What is not text (an image, a recorded body with broken UTF-8) has no lines to judge.
            if let Ok(text) = fs::read_to_string(&path) {
                let path = path.strip_prefix(root()).expect("under the top");
                found.push(Source { path: path.to_string_lossy().replace('\\', "/"), text });
            }
        }
    }
}

/// All Rust files of the workspace.
pub fn rust_files() -> Vec<Source> {
    files("crates", &[".rs"])
}

/// `cargo metadata` of the workspace, with the dependencies or without.
pub fn metadata(with_dependencies: bool) -> Value {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root()).args(["metadata", "--format-version", "1", "--locked"]);
    if !with_dependencies {
        command.arg("--no-deps");
    }
    let output = command.output().expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

/// Layer of each crate of the workspace, by package name.
pub fn layers(metadata: &Value) -> BTreeMap<String, u64> {
    packages(metadata)
        .filter_map(|package| {
            let layer = package["metadata"]["sojourn"]["layer"].as_u64()?;
            Some((text(&package["name"]).to_owned(), layer))
        })
        .collect()
}

/// Packages that `cargo metadata` lists.
pub fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().expect("packages").iter()
}

/// A JSON string, or "" where there is none.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

/// Fails with the whole list when it is not empty.
pub fn assert_none(rule: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{rule}:\n  {}", offenders.join("\n  "));
}
