//! Findings of lint for people, programs, code scanners and GitHub's annotations.

use crate::term::{self, Ink, paint};
use clap::ValueEnum;
use serde_json::json;
use sojourn_rules::{AppliedLevel, Files, Finding, Severity};

/// How findings are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Human,
    /// One JSON document.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// Workflow commands, which GitHub shows beside the line.
    Github,
}

/// Columns of a source line that are shown; a longer line is cut around its finding.
const SOURCE_MAX: usize = 110;

/// The findings as text in `format`, without the last line break.
pub(crate) fn render(
    findings: &[Finding],
    levels: &[AppliedLevel],
    files: &Files,
    format: Format,
) -> String {
    match format {
        Format::Human => human(findings, files),
        Format::Json => pretty(&json!({
            "errors": count(findings, Severity::Error),
            "warnings": count(findings, Severity::Warning),
            "findings": findings,
            "levels": levels,
        })),
        Format::Sarif => pretty(&sarif(findings)),
        Format::Github => {
            let lines: Vec<_> = findings.iter().map(github).collect();
            lines.join("\n")
        }
    }
}

/// What `lint:` in policy.yaml changed, one line each, with its reason.
pub(crate) fn levels(levels: &[AppliedLevel]) -> Vec<String> {
    let line = |applied: &AppliedLevel| {
        let level = match applied.setting.level {
            None => "off",
            Some(Severity::Error) => "error",
            Some(Severity::Warning) => "warning",
            Some(Severity::Info) => "info",
        };
        format!(
            "  {} is {level} ({} finding{}): {}",
            paint(Ink::Bold, &applied.setting.rule),
            applied.findings,
            if applied.findings == 1 { "" } else { "s" },
            term::clean(&applied.setting.because),
        )
    };
    levels.iter().map(line).collect()
}

/// How many findings are of `severity`.
pub(crate) fn count(findings: &[Finding], severity: Severity) -> usize {
    findings.iter().filter(|finding| finding.severity == severity).count()
}

fn pretty(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn human(findings: &[Finding], files: &Files) -> String {
    let mut lines = Vec::new();
    for finding in findings {
        let (ink, word) = match finding.severity {
            Severity::Error => (Ink::Bad, "error"),
            Severity::Warning => (Ink::Warn, "warning"),
            Severity::Info => (Ink::Place, "info"),
        };
        lines.push(format!(
            "{}: {} {}",
            paint(Ink::Bold, &format!("{}:{}:{}", finding.file, finding.line, finding.column)),
            paint(ink, word),
            paint(Ink::Dim, &format!("[{}]", finding.rule)),
        ));
        lines.push(format!("  {}", term::clean(&finding.message)));
        lines.extend(source(finding, files, ink));
        if !finding.remedy.is_empty() {
            lines.push(format!("  {} {}", paint(Ink::Good, "→"), term::clean(&finding.remedy)));
        }
        lines.push(String::new());
    }
    lines.join("\n")
}

/// The line of the file and a caret below the place.
fn source(finding: &Finding, files: &Files, ink: Ink) -> Vec<String> {
    let line = finding.line.max(1) as usize;
    let Some(text) = files.0.get(&finding.file).and_then(|file| file.lines().nth(line - 1)) else {
        return Vec::new();
    };
    let column = finding.column.max(1) as usize - 1;
    let skipped = column.saturating_sub(SOURCE_MAX / 2);
    let skipped = if text.chars().count() <= SOURCE_MAX { 0 } else { skipped };
    let shown: String = text.chars().skip(skipped).take(SOURCE_MAX).collect();
    let margin = format!("{line:>5} │ ");
    let blank = format!("{:>5} │ ", "");
    vec![
        format!("{}{}", paint(Ink::Dim, &margin), term::clean(&shown)),
        format!("{}{}{}", paint(Ink::Dim, &blank), " ".repeat(column - skipped), paint(ink, "^")),
    ]
}

/// SARIF 2.1.0: one run, one rule per rule id.
fn sarif(findings: &[Finding]) -> serde_json::Value {
    let mut rules: Vec<&str> = findings.iter().map(|finding| finding.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    let results: Vec<_> = findings
        .iter()
        .map(|finding| {
            let text = if finding.remedy.is_empty() {
                finding.message.clone()
            } else {
                format!("{} ({})", finding.message, finding.remedy)
            };
            json!({
                "ruleId": finding.rule,
                "level": match finding.severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                    Severity::Info => "note",
                },
                "message": { "text": text },
                "locations": [{ "physicalLocation": {
                    "artifactLocation": { "uri": finding.file },
                    "region": { "startLine": finding.line.max(1), "startColumn": finding.column.max(1) },
                }}],
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "sojourn",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(|rule| json!({ "id": rule })).collect::<Vec<_>>(),
            }},
            "results": results,
        }],
    })
}

/// `::error file=…,line=…,col=…,title=…::message`, with the escapes that GitHub asks for.
fn github(finding: &Finding) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let level = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "notice",
    };
    format!(
        "::{level} file={},line={},col={},title={}::{}",
        property(&finding.file),
        finding.line.max(1),
        finding.column.max(1),
        property(finding.rule),
        data(&format!("{} {}", finding.message, finding.remedy)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding() -> Finding {
        Finding {
            severity: Severity::Error,
            rule: "unknown-key",
            file: "policy.yaml".into(),
            line: 2,
            column: 3,
            message: "unknown key `at_mots`".into(),
            remedy: "did you mean `at_most`?".into(),
        }
    }

    fn files() -> Files {
        let mut files = Files::default();
        files.0.insert("policy.yaml".into(), "caps:\n  at_mots: 1\n".into());
        files
    }

    #[test]
    fn people_see_the_line_and_the_place() {
        assert_eq!(
            render(&[finding()], &[], &files(), Format::Human),
            "policy.yaml:2:3: error [unknown-key]\n  unknown key `at_mots`\n    2 │   at_mots: 1\n      \
             │   ^\n  → did you mean `at_most`?\n"
        );
    }

    #[test]
    fn a_place_outside_the_file_shows_no_source() {
        let finding = Finding { line: 99, ..finding() };
        assert!(!render(&[finding], &[], &files(), Format::Human).contains('│'));
    }

    #[test]
    fn github_escapes_what_would_end_the_command() {
        let finding =
            Finding { message: "50% of\nit".into(), file: "a,b.yaml".into(), ..finding() };
        assert_eq!(
            render(&[finding], &[], &files(), Format::Github),
            "::error file=a%2Cb.yaml,line=2,col=3,title=unknown-key::50%25 of%0Ait did you mean \
             `at_most`?"
        );
    }

    #[test]
    fn sarif_names_rules_once() {
        let text = render(&[finding(), finding()], &[], &files(), Format::Sarif);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap().len(), 1);
        assert_eq!(value["runs"][0]["results"].as_array().unwrap().len(), 2);
    }
}
