//! Direction: a crate depends only on strictly lower layers, a library is known to the crates that
//! wrap it, and every licence is one that the house accepts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sojourn_tidy::{assert_none, layers, metadata, packages, read, text};

/// Libraries that only named crates may use, so that their replacement is one crate's work.
const WRAPPERS: &[(&str, &[&str])] = &[
    // The benchmark measures the library without us.
    ("rdkafka", &["sojourn-kafka", "sojourn-bench"]),
    ("redis", &["sojourn-redis"]),
    ("fjall", &["sojourn-embedded"]),
    ("lettre", &["sojourn-channels"]),
    ("reqwest", &["sojourn-channels", "sojourn", "sojourn-bench"]),
    ("rusty-s3", &["sojourn"]),
    ("cel", &["sojourn-rules"]),
    ("saphyr", &["sojourn-rules"]),
    ("mrml", &["sojourn-channels", "sojourn-rules", "sojourn-dispatcher"]),
    ("clap", &["sojourn", "sojourn-sim", "sojourn-bench"]),
    ("metrics-exporter-prometheus", &["sojourn-node"]),
];

/// Crates that know no runtime, transport, backend, randomness or clock (DET-1).
const PURE: &[&str] = &["sojourn-model", "sojourn-rules", "sojourn-engine", "sojourn-ports"];
/// What a pure crate must not depend on, tests aside.
const IMPURE: &[&str] = &[
    "tokio",
    "tokio-stream",
    "futures",
    "tonic",
    "axum",
    "hyper",
    "reqwest",
    "rand",
    "uuid",
    "fjall",
    "rdkafka",
    "redis",
    "rustix",
    "lettre",
    "metrics",
];

/// Concrete backends are named by `node` and layer 6 alone.
const BACKENDS: &[&str] = &["sojourn-embedded", "sojourn-memory", "sojourn-kafka", "sojourn-redis"];
const BACKEND_LAYER_MIN: u64 = 5;

fn dependencies(package: &Value, with_dev: bool) -> Vec<&str> {
    let all = package["dependencies"].as_array().expect("dependencies");
    all.iter().filter(|d| with_dev || text(&d["kind"]) != "dev").map(|d| text(&d["name"])).collect()
}

#[test]
fn every_crate_names_its_layer() {
    let metadata = metadata(false);
    let known = layers(&metadata);
    let offenders: Vec<String> = packages(&metadata)
        .filter(|p| !known.contains_key(text(&p["name"])))
        .map(|p| format!("{}: [package.metadata.sojourn] layer is missing", text(&p["name"])))
        .collect();
    assert_none("a crate states its layer", &offenders);
    assert!(known.len() >= 16, "only {} crates have been found", known.len());
}

#[test]
fn a_crate_depends_on_strictly_lower_layers() {
    let metadata = metadata(false);
    let layers = layers(&metadata);
    let mut offenders = Vec::new();
    let mut edges = 0;
    for package in packages(&metadata) {
        let name = text(&package["name"]);
        for dependency in dependencies(package, false) {
            let Some(&below) = layers.get(dependency) else { continue };
            edges += 1;
            if below >= layers[name] {
                offenders.push(format!(
                    "{name} (layer {}) depends on {dependency} (layer {below})",
                    layers[name]
                ));
            }
        }
    }
    assert_none("a crate depends only on strictly lower layers", &offenders);
    assert!(edges > 0, "no edge between two crates of the workspace has been found");
}

#[test]
fn a_library_is_known_to_its_wrappers_only() {
    let metadata = metadata(false);
    let wrappers: BTreeMap<&str, &[&str]> = WRAPPERS.iter().copied().collect();
    let mut offenders = Vec::new();
    for package in packages(&metadata) {
        let name = text(&package["name"]);
        for dependency in dependencies(package, false) {
            if wrappers.get(dependency).is_some_and(|allowed| !allowed.contains(&name)) {
                offenders
                    .push(format!("{name} uses {dependency}; only {:?} may", wrappers[dependency]));
            }
        }
    }
    assert_none("a library is used by the crates that wrap it", &offenders);
}

#[test]
fn pure_crates_know_no_world() {
    let metadata = metadata(false);
    let mut offenders = Vec::new();
    for package in packages(&metadata).filter(|p| PURE.contains(&text(&p["name"]))) {
        for dependency in dependencies(package, false) {
            if IMPURE.contains(&dependency) {
                offenders.push(format!("{} depends on {dependency}", text(&package["name"])));
            }
        }
    }
    assert_none(
        "DET-1: model, rules, engine and ports stay free of runtime, transport, backend and randomness",
        &offenders,
    );
}

#[test]
fn only_the_node_and_programs_name_a_backend() {
    let metadata = metadata(false);
    let layers = layers(&metadata);
    let mut offenders = Vec::new();
    for package in packages(&metadata) {
        let name = text(&package["name"]);
        for dependency in dependencies(package, false) {
            if BACKENDS.contains(&dependency) && layers[name] < BACKEND_LAYER_MIN {
                offenders.push(format!(
                    "{name} names the backend {dependency}; take the port as a trait object"
                ));
            }
        }
    }
    assert_none("services receive their ports from node", &offenders);
}

#[test]
fn crates_share_the_lints() {
    let metadata = metadata(false);
    let mut offenders = Vec::new();
    for package in packages(&metadata) {
        let manifest = std::fs::read_to_string(text(&package["manifest_path"])).expect("manifest");
        let squeezed: String = manifest.split_whitespace().collect();
        if !squeezed.contains("[lints]workspace=true") {
            offenders
                .push(format!("{}: [lints] workspace = true is missing", text(&package["name"])));
        }
    }
    assert_none("one set of lints for all", &offenders);
}

#[test]
fn every_workspace_dependency_says_why_and_is_used() {
    let manifest = read("Cargo.toml");
    let section = manifest.split("[workspace.dependencies]").nth(1).expect("section");
    let section = section.split("\n[").next().expect("section");
    let used: BTreeSet<String> =
        packages(&metadata(false)).flat_map(|p| dependencies(p, true)).map(str::to_owned).collect();
    let mut offenders = Vec::new();
    for line in section.lines().filter(|line| line.contains('=') && !line.starts_with('#')) {
        let name = line.split('=').next().expect("name").trim();
        let ours = line.contains("path = ");
        if !ours && !line.contains(" # ") {
            offenders.push(format!("{name}: no reason beside it"));
        }
        if !ours && !used.contains(name) {
            offenders.push(format!("{name}: no crate uses it"));
        }
    }
    assert_none("a dependency has a reason and a user", &offenders);
}

#[test]
fn licences_are_accepted_ones() {
    let accepted = accepted_licences();
    assert!(accepted.contains("Apache-2.0"), ".deny.toml has not been read");
    let metadata = metadata(true);
    let mut offenders = Vec::new();
    for package in packages(&metadata) {
        let name = text(&package["name"]);
        let licence = text(&package["license"]);
        if !satisfied(licence, &accepted) {
            offenders.push(format!("{name} {}: {licence:?}", text(&package["version"])));
        }
    }
    assert_none("a licence that .deny.toml does not accept", &offenders);
}

/// The `allow` list of `.deny.toml`: quoted names up to the closing bracket.
fn accepted_licences() -> BTreeSet<String> {
    let file = read(".deny.toml");
    let list = file.split("\nallow = [").nth(1).expect("allow").split(']').next().expect("list");
    list.lines()
        .map(|line| line.split('#').next().expect("before the comment"))
        .flat_map(|line| line.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// Whether an SPDX expression of the usual forms is satisfied: any side of `OR`, all sides of
/// `AND`, `/` as the old spelling of `OR`, one level of parentheses.
fn satisfied(expression: &str, accepted: &BTreeSet<String>) -> bool {
    let expression = expression.replace('/', " OR ");
    let mut depth = 0;
    let mut parts = vec![String::new()];
    for word in expression.replace('(', " ( ").replace(')', " ) ").split_whitespace() {
        match word {
            "(" => depth += 1,
            ")" => depth -= 1,
            "AND" if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        let part = parts.last_mut().expect("a part");
        part.push_str(word);
        part.push(' ');
    }
    if parts.len() == 1 {
        let flat = parts[0].replace(['(', ')'], " ");
        return flat.split(" OR ").any(|one| {
            !one.trim().is_empty() && one.split(" AND ").all(|l| accepted.contains(l.trim()))
        });
    }
    // `A OR B AND C` binds AND first; taking every part as needed is the stricter reading.
    parts.iter().all(|part| satisfied(part.trim(), accepted))
}

#[test]
fn licence_expressions_are_read_right() {
    let accepted: BTreeSet<String> = ["MIT", "Apache-2.0", "Unicode-3.0"].map(str::to_owned).into();
    for (expression, expected) in [
        ("MIT", true),
        ("MIT/Apache-2.0", true),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0", false),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("(MIT OR Apache-2.0) AND OpenSSL", false),
        ("MIT AND ISC", false),
        ("", false),
    ] {
        assert_eq!(satisfied(expression, &accepted), expected, "{expression}");
    }
}

#[test]
fn channel_settings_are_those_that_channels_read() {
    let rules = read("crates/rules/src/load/workspace.rs");
    let list = rules.split("const CHANNEL_SETTINGS: &[&str] = &[").nth(1).expect("the list");
    let declared: BTreeSet<&str> =
        list.split("];").next().expect("its end").split('"').skip(1).step_by(2).collect();
    let mut used = BTreeSet::new();
    for source in sojourn_tidy::files("crates/channels/src", &[".rs"]) {
        for call in [".get(\"", ".need(\"", ".flag(\"", ".duration(\"", ".count(\"", ".number(\""] {
            for rest in source.text.split(&format!("settings{call}")).skip(1) {
                used.insert(rest.split('"').next().unwrap_or("").to_owned());
            }
        }
    }
    assert!(used.len() >= 5, "only {used:?} have been found");
    let offenders: Vec<String> = used
        .iter()
        .filter(|key| !declared.contains(key.as_str()))
        .map(|key| format!("{key}: read by a channel, refused as unknown in sojourn.yaml"))
        .chain(
            declared
                .iter()
                .filter(|key| !used.contains(**key))
                .map(|key| format!("{key}: accepted, but read by nobody")),
        )
        .collect();
    assert_none("the settings of channels", &offenders);
}
