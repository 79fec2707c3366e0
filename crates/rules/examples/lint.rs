//! Lints a folder and prints the findings: `cargo run -p sojourn-rules --example lint -- DIR…`.

use sojourn_rules::{Files, compile};
use std::path::Path;

fn read(root: &Path, below: &str, files: &mut Files) {
    let Ok(entries) = std::fs::read_dir(root.join(below)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        if entry.path().is_dir() {
            read(root, &path, files);
        } else if Files::is_workspace_file(&path)
            && let Ok(text) = std::fs::read_to_string(entry.path())
        {
            files.0.insert(path, text);
        }
    }
}

fn main() {
    let mut failed = 0;
    for folder in std::env::args().skip(1) {
        let mut files = Files::default();
        read(Path::new(&folder), "", &mut files);
        let compiled = compile(&files);
        failed += usize::from(compiled.definitions.is_none());
        for finding in &compiled.findings {
            println!("{folder}/{finding}");
        }
    }
    println!("{failed} failed");
}
