//! What is promised in one place exists in the other: invariants in the map and in the code,
//! metrics in the code and on the operator's page, recipes and suites by their names.

use std::collections::{BTreeMap, BTreeSet};

use sojourn_tidy::{Source, assert_none, files, metadata, packages, read, rust_files, text};

/// The invariants of the architecture. The map's table has a row for each.
const INVARIANTS: &[&str] = &[
    "LOG-1", "LOG-2", "DET-1", "IDN-1", "CON-1", "CON-2", "CON-3", "CAP-1", "TIM-1", "ACT-1",
    "QUI-1", "ERA-1", "EXP-1", "LIM-1",
];

/// `[A-Z]{3}-[0-9]` in a text.
fn ids(text: &str) -> BTreeSet<String> {
    let bytes = text.as_bytes();
    (0..bytes.len().saturating_sub(4))
        .filter(|&at| {
            let word = &bytes[at..at + 5];
            word[..3].iter().all(u8::is_ascii_uppercase)
                && word[3] == b'-'
                && word[4].is_ascii_digit()
        })
        .map(|at| text[at..at + 5].to_owned())
        .collect()
}

#[test]
fn every_invariant_is_enforced_somewhere_and_watched() {
    let map = read("crates/README.md");
    let rows =
        ids(&map.lines().filter(|line| line.starts_with('|')).collect::<Vec<_>>().join("\n"));
    let sources = rust_files();
    let mut offenders = Vec::new();
    for id in INVARIANTS {
        if !rows.contains(*id) {
            offenders.push(format!("{id}: no row in the table of crates/README.md"));
        }
        // ERA-1 needs erasure, which comes with the privacy services.
        let enforced = sources
            .iter()
            .filter(|s| !s.is_test() && !matches!(s.crate_folder(), "sim" | "tidy"))
            .any(|s| s.product_lines().any(|(_, line)| line.contains(id)));
        if !enforced && *id != "ERA-1" {
            offenders.push(format!("{id}: no product code names it where it is enforced"));
        }
    }
    for row in rows.iter().filter(|row| !INVARIANTS.contains(&row.as_str())) {
        offenders.push(format!("{row}: in the map, but no invariant of the architecture"));
    }
    assert_none("an invariant is in the map and in the code", &offenders);
}

#[test]
fn code_names_no_unknown_invariant() {
    let mut offenders = Vec::new();
    let families: BTreeSet<&str> = INVARIANTS.iter().map(|id| &id[..3]).collect();
    for source in rust_files().iter().filter(|s| s.crate_folder() != "tidy") {
        for (number, line) in source.lines() {
            for id in ids(line)
                .iter()
                .filter(|id| families.contains(&id[..3]) && !INVARIANTS.contains(&id.as_str()))
            {
                offenders.push(format!("{}:{number}: {id}", source.path));
            }
        }
    }
    assert_none("an id that the architecture does not have", &offenders);
}

/// Constants that name a metric, with their doc comment: name → (place, first line of the doc).
fn metric_constants() -> BTreeMap<String, (String, String)> {
    let mut found = BTreeMap::new();
    // Names of rendering filters in `channels` begin alike and are no metrics.
    let emitting = |s: &&Source| !s.is_test() && !matches!(s.crate_folder(), "tidy" | "channels");
    for source in rust_files().iter().filter(emitting) {
        let lines: Vec<&str> = source.text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some((declared, value)) = line.split_once(": &str = \"sojourn_") else { continue };
            if !declared.contains("const ") || declared.contains("//") {
                continue;
            }
            let name = format!("sojourn_{}", value.split('"').next().unwrap_or(""));
            let mut first = at;
            while first > 0 && lines[first - 1].trim_start().starts_with("///") {
                first -= 1;
            }
            let doc = if first == at {
                ""
            } else {
                lines[first].trim_start().trim_start_matches("///").trim()
            };
            found.insert(name, (format!("{}:{}", source.path, at + 1), doc.to_owned()));
        }
    }
    found
}

#[test]
fn every_metric_is_a_constant_on_the_operators_page() {
    let page = read("deploy/metrics.md");
    let listed: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter(|name| name.starts_with("sojourn_"))
        .map(|name| name.split('{').next().unwrap_or(name).to_owned())
        .collect();
    let constants = metric_constants();
    assert!(constants.len() >= 10, "only {} metrics have been found", constants.len());
    let mut offenders = Vec::new();
    for (name, (place, doc)) in &constants {
        if !listed.contains(name) {
            offenders.push(format!("{place}: not on the page; add: | `{name}` | {doc} |"));
        }
        if doc.is_empty() {
            offenders.push(format!("{place}: {name} has no doc comment"));
        }
    }
    for name in listed.iter().filter(|name| !constants.contains_key(*name)) {
        offenders.push(format!("deploy/metrics.md: {name} is no constant of the code"));
    }
    assert_none("metric names are constants, documented in deploy/metrics.md", &offenders);
}

#[test]
fn metrics_are_emitted_by_their_constants() {
    let mut offenders = Vec::new();
    for source in rust_files().iter().filter(|s| !s.is_test()) {
        for (number, line) in source.product_lines() {
            for word in ["counter!(\"", "gauge!(\"", "histogram!(\""] {
                if line.contains(word) && source.crate_folder() != "tidy" {
                    offenders.push(format!("{}:{number}: {}", source.path, line.trim()));
                }
            }
        }
    }
    assert_none("a metric is named by its constant", &offenders);
}

#[test]
fn the_map_names_every_crate() {
    let map = read("crates/README.md");
    let offenders: Vec<String> = packages(&metadata(false))
        .map(|p| text(&p["manifest_path"]).rsplit('/').nth(1).unwrap_or("").to_owned())
        .filter(|folder| !map.contains(&format!("`{folder}`")))
        .collect();
    assert_none("crates/README.md has a line for each crate", &offenders);
}

#[test]
fn the_door_has_its_recipes() {
    let justfile = read("justfile");
    let offenders: Vec<String> =
        ["build", "test", "verify", "sim", "planted-bugs", "bench", "demo", "fmt", "lint", "run"]
            .iter()
            .filter(|recipe| {
                !justfile.lines().any(|line| line.split([' ', ':']).next() == Some(recipe))
            })
            .map(|recipe| format!("justfile: no recipe {recipe}"))
            .collect();
    assert_none("just is the door", &offenders);
}

#[test]
fn links_of_the_pages_lead_somewhere() {
    let mut pages = files("crates", &["README.md"]);
    pages.extend(files("deploy", &[".md"]));
    pages.extend(files("tests", &["README.md"]));
    pages.push(Source { path: "README.md".to_owned(), text: read("README.md") });
    let mut offenders = Vec::new();
    for page in &pages {
        let folder = page.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (number, line) in page.lines() {
            for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let path = target.split('#').next().unwrap_or("");
                let outside = target.contains("://") || target.starts_with("mailto:");
                if !path.is_empty()
                    && !outside
                    && !sojourn_tidy::root().join(folder).join(path).exists()
                {
                    offenders.push(format!("{}:{number}: {target}", page.path));
                }
            }
        }
    }
    assert_none("a link leads to a file", &offenders);
}
