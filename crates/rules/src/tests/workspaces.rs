//! The workspaces that the project keeps compile without errors.

use crate::{Files, compile};
use std::path::{Path, PathBuf};

/// Reads the workspace files below `root`.
fn read(root: &Path) -> Files {
    let mut files = Files::default();
    let mut open = vec![PathBuf::new()];
    while let Some(below) = open.pop() {
        for entry in std::fs::read_dir(root.join(&below)).expect("a folder").flatten() {
            let path = below.join(entry.file_name());
            let name = path.to_string_lossy().replace('\\', "/");
            if entry.path().is_dir() {
                open.push(path);
            } else if Files::is_workspace_file(&name) {
                files.0.insert(name, std::fs::read_to_string(entry.path()).expect("text"));
            }
        }
    }
    files
}

fn below(folder: &str) -> Vec<PathBuf> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
    let mut found = Vec::new();
    let mut open = vec![top];
    while let Some(folder) = open.pop() {
        if folder.join("sojourn.yaml").is_file() {
            found.push(folder);
        } else if let Ok(entries) = std::fs::read_dir(&folder) {
            open.extend(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()));
        }
    }
    found
}

/// Every workspace that the project keeps.
pub(super) fn all_files() -> Vec<Files> {
    let mut workspaces = below("tests/scenarios");
    workspaces.extend(below("crates/cli/templates"));
    workspaces.iter().map(|folder| read(folder)).collect()
}

#[test]
fn scenarios_and_samples_have_no_errors() {
    let mut workspaces = below("tests/scenarios");
    workspaces.extend(below("crates/cli/templates"));
    assert!(workspaces.len() > 50, "only {} workspaces found", workspaces.len());
    for workspace in workspaces {
        let compiled = compile(&read(&workspace));
        let errors: Vec<String> = compiled.errors().map(ToString::to_string).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", workspace.display());
        assert!(compiled.definitions.is_some());
    }
}

/// What people start from is an example to follow.
#[test]
fn samples_have_no_warnings() {
    let samples = below("crates/cli/templates");
    assert!(!samples.is_empty());
    for sample in samples {
        let compiled = compile(&read(&sample));
        let findings = compiled.findings.iter();
        let serious = findings.filter(|finding| finding.severity != crate::Severity::Info);
        let serious: Vec<String> = serious.map(ToString::to_string).collect();
        assert!(serious.is_empty(), "{serious:#?}");
    }
}

#[test]
fn only_the_files_of_the_language_belong() {
    for path in [
        "sojourn.yaml",
        "tracking-plan.yaml",
        "policy.yaml",
        "segments.yaml",
        "catalog.csv",
        "journeys/a.yaml",
        "templates/t/en.yaml",
        "templates/t/en.txt",
        "templates/t/en.html",
        "templates/t/en.mjml",
    ] {
        assert!(Files::is_workspace_file(path), "{path}");
    }
    for path in [
        "data/log/0.seg",
        "data/sojourn.yaml",
        "journeys/a.yml",
        "journeys/.yaml",
        "journeys/b/a.yaml",
        "a.yaml",
        ".git/config",
        "templates/en.yaml",
        "templates/t/.hidden.yaml",
        "templates/../policy.yaml",
        "",
        "/sojourn.yaml",
        "journeys/.a.yaml",
        "templates/t/logo.png",
    ] {
        assert!(!Files::is_workspace_file(path), "{path}");
    }
}
