//! The policy: purposes, caps, quiet hours, arbitration, holdout, approvals.

use super::{AtCap, Blackout, FatiguePolicy, Jurisdictions, QuietHours};
use crate::finding::Severity;
use serde::Serialize;
use sojourn_model::{DurationMs, Name};

/// policy.yaml
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Policy {
    /// Purposes, in order of class: `service` first, then the file's order.
    pub purposes: Vec<Purpose>,
    /// Caps in the file's order.
    pub caps: Vec<Cap>,
    /// Quiet hours.
    pub quiet_hours: Vec<QuietHours>,
    /// How caps shrink for those who are weary; `None`: not counted.
    pub fatigue: Option<FatiguePolicy>,
    /// How long candidates are collected before one is chosen; 0: off.
    pub arbitration_window: DurationMs,
    /// Held out of messages.
    pub holdout: Option<Holdout>,
    /// Days on which nothing goes out.
    pub blackouts: Vec<Blackout>,
    /// Rules per country.
    pub jurisdictions: Jurisdictions,
    /// Whether an unknown zone means the intersection of the country's windows.
    pub strict_zones: bool,
    /// People needed to publish.
    pub approvals_publish: u32,
    /// Rules of the lint that the workspace raises, lowers or turns off.
    pub lint: Vec<LintLevel>,
}

/// A rule of the lint at a level of the workspace's own.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LintLevel {
    /// The rule.
    pub rule: Name,
    /// How serious it is; `None`: off.
    pub level: Option<Severity>,
    /// Why.
    pub because: Name,
    /// Line in policy.yaml.
    pub line: u32,
}

/// A setting with what it did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AppliedLevel {
    /// The setting.
    #[serde(flatten)]
    pub setting: LintLevel,
    /// Findings that it changed.
    pub findings: usize,
}

/// A purpose.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Purpose {
    /// Name.
    pub name: Name,
    /// Its topics.
    pub topics: Vec<Name>,
    /// A data purpose (`personalization`, `analytics`, `advertising`).
    pub data: bool,
    /// Transactional: needs no grant, but a deny counts. True for `service`.
    pub service: bool,
    /// Exempt from caps, and then neither refused nor counted.
    pub exempt_caps: bool,
    /// Exempt from quiet hours.
    pub exempt_quiet_hours: bool,
}

/// A frequency cap.
#[derive(Debug, Clone, PartialEq)]
pub struct Cap {
    /// Id.
    pub id: Name,
    /// Sends allowed.
    pub at_most: u32,
    /// Per this window.
    pub per: CapWindow,
    /// What it counts.
    pub scope: CapScope,
    /// What happens at the cap, unless the step says otherwise.
    pub at_cap: AtCap,
}

/// Window of a cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapWindow {
    /// `(now − d, now]`
    Rolling(DurationMs),
    /// The person's day.
    LocalDay,
    /// The person's week, from Monday.
    LocalWeek,
    /// The person's month.
    LocalMonth,
}

/// What a cap counts: sends that match every label given here.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "labels of a send")]
pub struct CapScope {
    pub channel: Option<Name>,
    pub purpose: Option<Name>,
    pub topic: Option<Name>,
    pub tag: Option<Name>,
    pub journey: Option<Name>,
    pub step: Option<Name>,
}

/// Holdout.
#[derive(Debug, Clone, PartialEq)]
pub struct Holdout {
    /// Share in percent.
    pub percent: f64,
    /// Salt: names the period.
    pub salt: Name,
    /// Purposes it concerns.
    pub purposes: Vec<Name>,
}

impl Policy {
    /// The purpose named `name` and its class: its place, `service` first.
    pub fn purpose(&self, name: &str) -> Option<(usize, &Purpose)> {
        self.purposes.iter().enumerate().find(|(_, purpose)| &*purpose.name == name)
    }
}
