//! A hundred broken definitions over all kinds of files, each with what the lint must say.
//!
//! The table is `tests/broken.txt`: a file of the small workspace, what is replaced in it by what,
//! then the place, the rule and a word of the remedy of a finding that must come.

use super::{JOURNEY, PLAN, POLICY, SEGMENTS, SOJOURN, files};
use crate::compile;

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/broken.txt");

struct Case<'t> {
    number: usize,
    file: &'t str,
    from: String,
    to: String,
    place: &'t str,
    rule: &'t str,
    word: &'t str,
}

fn cases(table: &str) -> Vec<Case<'_>> {
    let lines = (1..).zip(table.lines());
    let lines = lines.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .map(|(number, line)| {
            let parts: Vec<&str> = line.split('¦').map(str::trim).collect();
            let [file, from, to, place, rule, word] = parts.as_slice() else {
                panic!("line {number} of the table has {} parts", parts.len())
            };
            let text = |part: &str| {
                let part = part.replace("\\n", "\n");
                part.strip_prefix("_ ").map_or(part.clone(), |rest| format!("  {rest}"))
            };
            Case { number, file, from: text(from), to: text(to), place, rule, word }
        })
        .collect()
}

#[test]
fn a_hundred_broken_files_are_found_out() {
    let table = std::fs::read_to_string(TABLE).expect("the table");
    let cases = cases(&table);
    assert!(cases.len() >= 100, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let base = match case.file {
            "sojourn.yaml" => SOJOURN,
            "tracking-plan.yaml" => PLAN,
            "policy.yaml" => POLICY,
            "segments.yaml" => SEGMENTS,
            "journeys/j.yaml" => JOURNEY,
            "templates/t/en.yaml" => "subject: Hello\nbody: en.txt\n",
            _ => "Hi. {{ links.unsubscribe }} {{ company.postal_address }}",
        };
        // `$` stands for the end of the file.
        let changed = match case.from.as_str() {
            "$" => format!("{base}{}", case.to),
            from => {
                assert!(base.contains(from), "line {}: {from:?} is not there", case.number);
                base.replacen(from, &case.to, 1)
            }
        };
        let found = compile(&files(&[(case.file, &changed)])).findings;
        let place = |finding: &crate::Finding| format!("{}:{}", finding.file, finding.line);
        let wanted = if case.place.contains(':') {
            case.place.to_owned()
        } else {
            format!("{}:{}", case.file, case.place)
        };
        let right = found.iter().any(|finding| {
            place(finding) == wanted
                && finding.rule == case.rule
                && finding.remedy.contains(case.word)
        });
        if !right {
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            wrong.push(format!("line {}: {}", case.number, found.join("\n    ")));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
