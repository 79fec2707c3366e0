//! `lint:` in policy.yaml: rules that the workspace raises, lowers or turns off, each with a reason.
//!
//! A finding that is an error by itself stays one: what cannot run, or what the law or the safety of
//! people wants, is not a matter of taste.

use crate::definitions::{AppliedLevel, LintLevel};
use crate::finding::{Finding, Severity, Source, nearest, suggest};
use crate::reader::Table;

/// Rules whose warnings and infos may be lowered or turned off.
const ADJUSTABLE: &[&str] = &[
    "always-false",
    "always-true",
    "call-unsigned",
    "children",
    "covered-arm",
    "digest-unseen",
    "duplicate",
    "duplicate-step",
    "expires-first",
    "false-scarcity",
    "footer-added",
    "goal-window",
    "guilt",
    "holdout-salt",
    "laxer-than-law",
    "looks-sensitive",
    "missing-locale",
    "no-cap",
    "no-expiry",
    "no-purpose",
    "no-steps",
    "no-subject",
    "sensitive",
    "service-promotion",
    "short-expiry",
    "split-sum",
    "undeclared-channel",
    "unequal-offer",
    "unknown-answer",
    "unknown-attribute",
    "unknown-event",
    "unknown-journey",
    "unknown-property",
    "unknown-step",
    "unknown-variable",
    "unreachable",
    "unused-template",
    "wait-after-exit",
];

/// Reads `lint:`.
pub(crate) fn load(source: Source<'_>, table: &Table<'_>) -> Vec<LintLevel> {
    let mut levels = Vec::new();
    for (rule, place, node) in table.entries() {
        let Some(entry) = Table::new(source, node, "this rule's setting") else { continue };
        entry.required("level");
        let level = entry.choice(
            "level",
            &[
                ("error", Some(Severity::Error)),
                ("warning", Some(Severity::Warning)),
                ("off", None),
            ],
        );
        let because = entry.required_text("because");
        entry.finish();
        if because.as_ref().is_some_and(|because| because.trim().is_empty()) {
            source.error(
                "missing-key",
                entry.key_place("because"),
                format!("the setting of `{rule}` gives no reason"),
                "say in `because` why: it is kept with every version",
            );
            continue;
        }
        let known = crate::rule_section(&rule).is_some();
        if !known {
            source.error(
                "unknown-rule",
                place,
                format!("lint has no rule `{rule}`"),
                suggest(
                    &rule,
                    nearest(&rule, rules()),
                    "see LINTS.md, or `sojourn lint --explain RULE`",
                ),
            );
            continue;
        }
        let (Some(level), Some(because)) = (level, because) else { continue };
        if level != Some(Severity::Error) && !ADJUSTABLE.contains(&&*rule) {
            source.error(
                "fixed-rule",
                place,
                format!("`{rule}` cannot be turned off or lowered: it keeps definitions that run and people who are safe"),
                "remove this setting, and mend what the rule finds",
            );
            continue;
        }
        levels.push(LintLevel { rule, level, because, line: place.line });
    }
    levels
}

fn rules() -> impl Iterator<Item = &'static str> + Clone {
    crate::LINTS.lines().filter_map(|line| line.strip_prefix("## "))
}

/// Applies the settings; gives each with the number of findings that it changed.
pub(crate) fn apply(levels: &[LintLevel], findings: &mut Vec<Finding>) -> Vec<AppliedLevel> {
    let mut applied: Vec<AppliedLevel> = levels
        .iter()
        .map(|setting| AppliedLevel { setting: setting.clone(), findings: 0 })
        .collect();
    findings.retain_mut(|finding| {
        let setting = applied.iter_mut().find(|applied| *applied.setting.rule == *finding.rule);
        let Some(setting) = setting else { return true };
        if finding.severity == Severity::Error {
            return true;
        }
        setting.findings += 1;
        match setting.setting.level {
            Some(level) => finding.severity = level,
            None => return false,
        }
        true
    });
    findings.extend(applied.iter().map(told));
    applied
}

/// A setting says itself, with its reason, wherever findings are shown or kept.
fn told(applied: &AppliedLevel) -> Finding {
    let AppliedLevel { setting, findings } = applied;
    let level = match setting.level {
        None => "off",
        Some(Severity::Error) => "an error",
        Some(_) => "a warning",
    };
    let plural = if *findings == 1 { "" } else { "s" };
    Finding {
        severity: Severity::Info,
        rule: "set-level",
        file: "policy.yaml".to_owned(),
        line: setting.line,
        column: 1,
        message: format!(
            "`{}` is {level} here ({findings} finding{plural}): {}",
            setting.rule, setting.because
        ),
        remedy: "remove the setting when its reason no longer holds".to_owned(),
    }
}

/// The section of LINTS.md on a rule.
pub(crate) fn section(rule: &str) -> Option<&'static str> {
    let heading = format!("## {rule}\n");
    let at = crate::LINTS
        .match_indices(&heading)
        .find(|(at, _)| *at == 0 || crate::LINTS.as_bytes()[at - 1] == b'\n')?;
    let rest = &crate::LINTS[at.0..];
    let end = rest[heading.len()..].find("\n## ").map_or(rest.len(), |end| heading.len() + end);
    Some(rest[..end].trim_end())
}

/// Rules that the file may name; for tests.
#[cfg(test)]
pub(crate) fn adjustable() -> impl Iterator<Item = &'static str> {
    ADJUSTABLE.iter().copied()
}
