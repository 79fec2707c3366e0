//! The list of weaknesses is whole: every row has tests, and every test that it names exists.

use std::collections::BTreeSet;

use sojourn_tidy::{assert_none, read, root};

const LIST: &str = "tests/WEAKNESSES.md";
/// Rows of the two lists.
const DOCUMENTED: u32 = 33;
const REPORTED: u32 = 15;
/// Rows of what marketers expect; one may say that it is not built yet.
const EXPECTED: u32 = 80;
const NOT_YET: &str = "not yet |";

/// Names of the conformance cases: folders, and entries of the short notation.
fn cases() -> BTreeSet<String> {
    let folder = root().join("tests/scenarios");
    let entries = |path: &std::path::Path| {
        let entries = std::fs::read_dir(path).expect("a folder");
        entries.map(|entry| entry.expect("an entry").path()).collect::<Vec<_>>()
    };
    let name = |path: std::path::PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut cases: BTreeSet<String> =
        entries(&folder.join("given")).into_iter().map(name).collect();
    for path in
        entries(&folder).into_iter().filter(|path| path.extension().is_some_and(|e| e == "py"))
    {
        let text = std::fs::read_to_string(&path).expect("a text");
        let named = text.lines().filter_map(|line| line.strip_prefix("case(\"")?.split('"').next());
        cases.extend(named.map(str::to_owned));
    }
    cases
}

/// Why a word of the list names no test; `None`: it does.
fn wrong(word: &str, cases: &BTreeSet<String>) -> Option<String> {
    if let Some((path, test)) = word.split_once("::") {
        if !root().join(path).is_file() {
            return Some(format!("there is no file {path}"));
        }
        let text = read(path);
        let begins = [format!("fn {test}("), format!("def {test}(")];
        return (!begins.iter().any(|begin| text.contains(begin.as_str())))
            .then(|| format!("{path} has no {test}"));
    }
    let there = if word.contains('/') { root().join(word).is_file() } else { cases.contains(word) };
    (!there).then(|| format!("there is no {word}"))
}

#[test]
fn every_weakness_of_the_field_has_its_tests() {
    let (list, cases) = (read(LIST), cases());
    assert!(cases.len() > 200, "only {} cases have been found", cases.len());
    let mut rows = BTreeSet::new();
    let mut offenders = Vec::new();
    for (number, line) in list.lines().enumerate() {
        let Some(row) = line.strip_prefix("| ").filter(|row| row.starts_with(['W', 'P', 'F']))
        else {
            continue;
        };
        let columns: Vec<&str> = row.split(" | ").collect();
        let [id, _, named] = columns[..] else {
            offenders.push(format!("{LIST}:{}: not three columns", number + 1));
            continue;
        };
        rows.insert(id.to_owned());
        let tests: Vec<&str> = named.split('`').skip(1).step_by(2).collect();
        if tests.is_empty() && !(id.starts_with('F') && named == NOT_YET) {
            offenders.push(format!("{LIST}:{}: {id} names no test", number + 1));
        }
        let wrong = tests.iter().filter_map(|word| wrong(word, &cases));
        offenders.extend(wrong.map(|why| format!("{LIST}:{}: {id}: {why}", number + 1)));
    }
    for (list, last) in [("W", DOCUMENTED), ("P", REPORTED), ("F", EXPECTED)] {
        let missing = (1..=last).map(|n| format!("{list}{n}")).filter(|id| !rows.contains(id));
        offenders.extend(missing.map(|id| format!("{LIST}: no row {id}")));
    }
    assert_none("every weakness of the field has tests that exist", &offenders);
}
