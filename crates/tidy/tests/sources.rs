//! Every source file: opens with what it is for, stays short, and holds nothing of a workbench.

use sojourn_tidy::{Source, assert_none, files, root, rust_files};

/// Lines of a file without its unit tests, past which it needs a second room or an entry below.
const FILE_LINES_MAX: usize = 700;
/// The program's `main.rs`: settings, build, run, drain.
const MAIN_LINES_MAX: usize = 60;
/// The `main.rs` of a tool of the house may print what it found, too.
const TOOL_MAIN_LINES_MAX: usize = 100;

/// Files that may be longer, each with its reason. A file that has become short again is reported,
/// so the list shrinks.
const LONG_FILES: &[(&str, &str)] = &[];

/// What a finished source file does not contain. Split so that this file does not match itself.
const WORKBENCH: &[(&str, &str)] = &[
    (concat!("todo", "!("), "unfinished"),
    (concat!("unimplemented", "!("), "unfinished"),
    (concat!("dbg", "!("), "left from debugging"),
    (concat!("#[ign", "ore"), "a test that does not run"),
    (concat!("FIX", "ME"), "unfinished"),
    (concat!("XX", "X"), "unfinished"),
    (concat!("/tm", "p/"), "a path of one machine: use a temporary folder"),
    (concat!("/ho", "me/"), "a path of one machine"),
    (concat!("/ro", "ot/"), "a path of one machine"),
    (concat!("/wo", "rk/"), "a path of one machine"),
];

fn each_line(
    sources: &[Source],
    mut judge: impl FnMut(&Source, &str) -> Option<String>,
) -> Vec<String> {
    let mut offenders = Vec::new();
    for source in sources {
        for (number, line) in source.lines() {
            if let Some(what) = judge(source, line) {
                offenders.push(format!("{}:{number}: {what}", source.path));
            }
        }
    }
    offenders
}

#[test]
fn a_file_opens_with_its_module_doc() {
    let sources = rust_files();
    assert!(sources.len() > 40, "only {} files have been found", sources.len());
    let offenders: Vec<String> = sources
        .iter()
        .filter(|s| !s.is_test() && !s.text.starts_with("//! "))
        .map(|s| format!("{}: begins with {:?}", s.path, s.text.lines().next().unwrap_or("")))
        .collect();
    assert_none("a file says first what it is for (`//!`)", &offenders);
}

#[test]
fn nothing_of_the_workbench_is_left() {
    let mut sources = files("crates", &[".rs", ".toml", ".md", ".proto"]);
    sources.extend(files("proto", &[".proto"]));
    sources.extend(files("deploy", &[".yaml", ".md", ".service", "Dockerfile"]));
    let offenders = each_line(&sources, |source, line| {
        let (what, why) = WORKBENCH.iter().find(|(what, _)| line.contains(what))?;
        // A deployment's own folders and the fuzz targets' corpora are no machine of ours.
        let deployed = source.path.starts_with("deploy/") && what.starts_with('/');
        (!deployed).then(|| format!("{what} ({why})"))
    });
    assert_none("a finished file", &offenders);
}

#[test]
fn exceptions_from_lints_have_reasons() {
    // Clippy asks the same of attributes it sees; this also covers what is behind a `cfg`.
    let openings = [
        concat!("#[", "allow("),
        concat!("#[", "expect("),
        concat!("#![", "allow("),
        concat!("#![", "expect("),
    ];
    let mut offenders = Vec::new();
    for source in rust_files() {
        for (at, _) in openings.iter().flat_map(|opening| source.text.match_indices(opening)) {
            let attribute: String = source.text[at..].chars().take_while(|&c| c != ']').collect();
            if !attribute.contains("reason") {
                let line = source.text[..at].lines().count();
                offenders.push(format!("{}:{line}: {attribute}]", source.path));
            }
        }
    }
    assert_none("an exception from a lint gives its reason", &offenders);
}

#[test]
fn no_unsafe() {
    let offenders = each_line(&rust_files(), |_, line| {
        let code = line.split("//").next().unwrap_or("");
        let word = concat!("uns", "afe");
        (code.contains(&format!("{word} {{"))
            || code.contains(&format!("{word} fn"))
            || code.contains(&format!("{word} impl")))
        .then(|| word.to_owned())
    });
    assert_none("no code without the compiler's checks", &offenders);
}

#[test]
fn files_are_of_reading_length() {
    let mut offenders = Vec::new();
    for source in rust_files().iter().filter(|s| !s.is_test()) {
        let lines = source.product_lines().count();
        let listed = LONG_FILES.iter().any(|(path, _)| *path == source.path);
        match (lines > FILE_LINES_MAX, listed) {
            (true, false) => offenders.push(format!(
                "{}: {lines} lines without its tests (at most {FILE_LINES_MAX})",
                source.path
            )),
            (false, true) => {
                offenders.push(format!("{}: short again, take it off the list", source.path))
            }
            _ => {}
        }
        let main_max =
            if source.crate_folder() == "cli" { MAIN_LINES_MAX } else { TOOL_MAIN_LINES_MAX };
        if source.path.ends_with("src/main.rs") && lines > main_max {
            offenders
                .push(format!("{}: {lines} lines (this main has at most {main_max})", source.path));
        }
    }
    for (path, _) in LONG_FILES {
        if !root().join(path).exists() {
            offenders.push(format!("{path}: on the list, but gone"));
        }
    }
    assert_none("file length", &offenders);
}

#[test]
fn the_engine_has_no_clock_entropy_or_thread() {
    let banned = [
        "SystemTime",
        "Instant::now",
        "Utc::now",
        "Local::now",
        "thread::",
        "std::env",
        "std::fs",
        "std::net",
        "rand::",
        "RandomState",
        "async fn",
        ".await;",
        ".await?",
    ];
    let pure: Vec<Source> = rust_files()
        .into_iter()
        .filter(|s| {
            matches!(s.crate_folder(), "model" | "engine" | "rules" | "ports") && !s.is_test()
        })
        // The contract suites are tests that implementations call: they time out and use threads.
        .filter(|s| !s.path.starts_with("crates/ports/src/contract"))
        .collect();
    assert!(pure.len() > 20, "only {} files of the pure crates have been found", pure.len());
    let mut offenders = Vec::new();
    for source in &pure {
        for (number, line) in source.product_lines() {
            let code = line.split("//").next().unwrap_or("");
            // `rules` reads the workspace folder in one place, apart from parsing.
            let reads_files = source.path == "crates/rules/src/files.rs";
            for word in banned
                .iter()
                .filter(|word| code.contains(**word) && !(reads_files && **word == "std::fs"))
            {
                offenders.push(format!("{}:{number}: {word}", source.path));
            }
        }
    }
    assert_none("DET-1: the same log gives the same effects", &offenders);
}

#[test]
fn the_top_level_is_the_agreed_one() {
    let expected = [
        "Cargo.lock",
        "Cargo.toml",
        "README.md",
        "crates",
        "deploy",
        "justfile",
        "proto",
        "tests",
        "target",
    ];
    let offenders: Vec<String> = std::fs::read_dir(root())
        .expect("top folder")
        .map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && !expected.contains(&name.as_str()))
        .collect();
    assert_none(
        "Cargo.toml crates proto deploy tests justfile README.md (dot-files and Cargo.lock beside them)",
        &offenders,
    );
}
