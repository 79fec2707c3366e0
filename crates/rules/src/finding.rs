//! What lint has to say: place, rule, reason, remedy.

use crate::limits::FINDINGS_MAX;
use crate::yaml::Place;
use serde::Serialize;
use std::cell::{Cell, RefCell};

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Stops publish, simulate and start.
    Error,
    /// Worth a look.
    Warning,
    /// Something done on your behalf.
    Info,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Error or warning.
    pub severity: Severity,
    /// Stable id, such as `unknown-key`; documented one per section in `LINTS.md`.
    pub rule: &'static str,
    /// File, relative to the workspace.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// What is wrong and why.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl std::fmt::Display for Finding {
    /// `file:line:column: error[rule]: message; remedy`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        };
        let Self { rule, file, line, column, message, remedy, .. } = self;
        write!(f, "{file}:{line}:{column}: {severity}[{rule}]: {message}; {remedy}")
    }
}

/// All findings of one compile, as they arise (LIM-1: those beyond the limit are counted).
#[derive(Debug, Default)]
pub(crate) struct Findings {
    list: RefCell<Vec<Finding>>,
    beyond: Cell<usize>,
    errors: Cell<usize>,
}

impl Findings {
    pub(crate) fn push(&self, finding: Finding) {
        if finding.severity == Severity::Error {
            self.errors.set(self.errors.get() + 1);
        }
        if self.list.borrow().len() < FINDINGS_MAX {
            self.list.borrow_mut().push(finding);
        } else {
            self.beyond.set(self.beyond.get() + 1);
        }
    }

    /// Number of errors so far.
    pub(crate) fn errors(&self) -> usize {
        self.errors.get()
    }

    /// The findings in order of file and place.
    pub(crate) fn finish(self) -> Vec<Finding> {
        let mut list = self.list.into_inner();
        list.sort_by(|a, b| {
            (&a.file, a.line, a.column, a.severity, a.rule, &a.message)
                .cmp(&(&b.file, b.line, b.column, b.severity, b.rule, &b.message))
        });
        list.dedup();
        if self.beyond.get() > 0 {
            list.push(Finding {
                severity: if self.errors.get() > 0 { Severity::Error } else { Severity::Warning },
                rule: "limit",
                file: list.last().map_or_else(String::new, |last| last.file.clone()),
                line: 1,
                column: 1,
                message: format!("{} more findings are not listed", self.beyond.get()),
                remedy: "mend those above and lint again".to_owned(),
            });
        }
        list
    }
}

/// One file with the findings that it adds to.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) file: &'a str,
    pub(crate) findings: &'a Findings,
}

impl Source<'_> {
    pub(crate) fn report(
        &self,
        severity: Severity,
        rule: &'static str,
        place: Place,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.findings.push(Finding {
            severity,
            rule,
            file: self.file.to_owned(),
            line: place.line,
            column: place.column,
            message: message.into(),
            remedy: remedy.into(),
        });
    }

    pub(crate) fn error(
        &self,
        rule: &'static str,
        place: Place,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.report(Severity::Error, rule, place, message, remedy);
    }

    pub(crate) fn warning(
        &self,
        rule: &'static str,
        place: Place,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.report(Severity::Warning, rule, place, message, remedy);
    }
}

/// The nearest of `known` to `written`, when it is near enough to be a slip of the hand.
pub(crate) fn nearest<'k>(
    written: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<&'k str> {
    let length = written.chars().count();
    if length > 100 {
        return None;
    }
    known
        .into_iter()
        .filter(|name| name.len() <= 200)
        .map(|name| {
            let distance = strsim::osa_distance(&written.to_lowercase(), &name.to_lowercase());
            (distance, name)
        })
        .filter(|(distance, name)| *distance <= (length.max(name.chars().count()) / 3).max(1))
        .min()
        .map(|(_, name)| name)
}

/// `did you mean "x"?`, or a list of what there is.
pub(crate) fn suggest<'k>(
    written: &str,
    known: impl IntoIterator<Item = &'k str> + Clone,
    otherwise: &str,
) -> String {
    const LISTED_MAX: usize = 12;
    if let Some(name) = nearest(written, known.clone()) {
        return format!("did you mean `{name}`?");
    }
    let mut all: Vec<&str> = Vec::new();
    for name in known {
        if all.len() <= LISTED_MAX && !all.contains(&name) {
            all.push(name);
        }
    }
    if all.is_empty() || all.len() > LISTED_MAX {
        return otherwise.to_owned();
    }
    format!("{otherwise}; known: {}", all.join(", "))
}
