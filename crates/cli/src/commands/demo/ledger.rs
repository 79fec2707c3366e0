//! An independent book of what happened: counts for the summary, and a second look at the caps.
//!
//! The check knows nothing of the engine's counters. It takes the decisions and merges as they were
//! told, and for every message asks again how many of the same kind that person had got in the
//! window that ends with it (CAP-1), and whether it was night there (QUI-1).

use crate::lines::text;
use crate::when;
use chrono::{Datelike, TimeZone, Timelike};
use chrono_tz::Tz;
use serde_json::Value;
use sojourn_model::Timestamp;
use sojourn_rules::{Cap, CapWindow, Policy};
use std::collections::{BTreeMap, BTreeSet};

/// A message that was approved.
#[derive(Debug, Clone)]
struct Sent {
    profile: String,
    labels: BTreeMap<&'static str, String>,
    zone: Tz,
    action: String,
}

/// Something that the check replays.
#[derive(Debug, Clone)]
enum Entry {
    Sent(Sent),
    Merged { from: String, into: String },
}

/// What happened, counted.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: Vec<(Timestamp, Entry)>,
    /// Messages that did not go out although they were approved, and why.
    failed: BTreeMap<String, String>,
    profiles: BTreeSet<String>,
    merged: BTreeSet<String>,
    /// Touchpoints by channel.
    pub(super) touchpoints: BTreeMap<String, u64>,
    /// Runs that began.
    pub(super) entered: u64,
    /// Runs that ended, by reason.
    pub(super) ended: BTreeMap<String, u64>,
    /// Decisions by outcome and reason.
    pub(super) verdicts: BTreeMap<(String, String), u64>,
    /// Messages that channels took.
    pub(super) delivered: u64,
    /// Goals reached.
    pub(super) converted: u64,
}

/// What the second look found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Check {
    /// Windows that were counted.
    pub(super) windows: u64,
    /// Messages whose hour was looked at.
    pub(super) hours: u64,
    /// What should not have been.
    pub(super) faults: Vec<String>,
}

impl Ledger {
    /// Takes a record of the tail.
    pub(super) fn take(&mut self, kind: &str, record: &Value) {
        let at = when::from_json(&record["at"]).unwrap_or_default();
        match kind {
            // What we sent ourselves is told as deliveries.
            "touchpoint" if text(record, "event").starts_with("Message ") => {}
            "touchpoint" => {
                *self.touchpoints.entry(text(record, "channel")).or_default() += 1;
                self.profiles.insert(text(record, "profile"));
            }
            "decision" => self.decision(at, record),
            "delivery" => match record["outcome"].as_str() {
                Some("sent") => self.delivered += 1,
                Some("failed" | "refused") => {
                    self.failed.insert(text(record, "action_id"), text(record, "detail"));
                }
                _ => {}
            },
            "note" => match record["note"].as_str() {
                Some("entered") => self.entered += 1,
                Some("ended") => *self.ended.entry(text(record, "reason")).or_default() += 1,
                Some("converted") => self.converted += 1,
                Some("merged") => {
                    let (from, into) = (text(record, "from"), text(record, "profile"));
                    self.profiles.insert(from.clone());
                    self.merged.insert(from.clone());
                    self.entries.push((at, Entry::Merged { from, into }));
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn decision(&mut self, at: Timestamp, record: &Value) {
        let (outcome, reason) = (text(record, "outcome"), text(record, "reason"));
        if outcome == "approve" || outcome == "reroute" {
            let labels = ["channel", "purpose", "topic", "journey", "step"];
            let labels = labels.into_iter().map(|key| (key, text(record, key))).collect();
            let zone = record["zone"].as_str().and_then(|zone| zone.parse().ok());
            let sent = Sent {
                profile: text(record, "profile"),
                labels,
                zone: zone.unwrap_or(Tz::UTC),
                action: text(record, "action_id"),
            };
            self.entries.push((at, Entry::Sent(sent)));
        }
        *self.verdicts.entry((outcome, reason)).or_default() += 1;
    }

    /// Messages that did not go out although they were approved, by reason.
    pub(super) fn failures(&self) -> BTreeMap<&str, u64> {
        let mut failures = BTreeMap::new();
        for detail in self.failed.values() {
            *failures.entry(detail.as_str()).or_default() += 1;
        }
        failures
    }

    /// People: profiles less those that turned out to be somebody known.
    pub(super) fn people(&self) -> usize {
        self.profiles.len() - self.merged.len()
    }

    /// Profiles that were joined to another.
    pub(super) fn merges(&self) -> usize {
        self.merged.len()
    }

    /// Counts every window again.
    pub(super) fn check(&self, policy: &Policy) -> Check {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(at, _)| *at);
        let mut survivor: BTreeMap<&str, &str> = BTreeMap::new();
        let mut sent: Vec<(Timestamp, &Sent)> = Vec::new();
        let mut check = Check::default();
        for (at, entry) in entries {
            match entry {
                Entry::Merged { from, into } => {
                    survivor.insert(from, into);
                }
                Entry::Sent(message) => {
                    // Given back: it never reached anybody.
                    if self.failed.contains_key(&message.action) {
                        continue;
                    }
                    sent.push((*at, message));
                    windows(policy, &survivor, &sent, &mut check);
                    night(policy, *at, message, &mut check);
                }
            }
        }
        check
    }
}

/// Who a profile is now.
fn person<'a>(survivor: &BTreeMap<&'a str, &'a str>, profile: &'a str) -> &'a str {
    let mut profile = profile;
    // Chains are short; the bound only keeps a cycle, which cannot be, from hanging the demo.
    for _ in 0..64 {
        match survivor.get(profile) {
            Some(into) => profile = into,
            None => break,
        }
    }
    profile
}

/// For the newest message: how many of its kind lie in the windows that end with it.
fn windows(
    policy: &Policy,
    survivor: &BTreeMap<&str, &str>,
    sent: &[(Timestamp, &Sent)],
    check: &mut Check,
) {
    let Some((now, newest)) = sent.last() else { return };
    let who = person(survivor, &newest.profile);
    if exempt(policy, &newest.labels) {
        return;
    }
    for cap in policy.caps.iter().filter(|cap| covers(cap, &newest.labels)) {
        check.windows += 1;
        let used = sent
            .iter()
            .filter(|(at, other)| {
                inside(cap.per, *at, *now, newest.zone)
                    && covers(cap, &other.labels)
                    && !exempt(policy, &other.labels)
                    && person(survivor, &other.profile) == who
            })
            .count();
        if used > cap.at_most as usize {
            check.faults.push(format!(
                "{who} got {used} messages in a window of the cap {}, which allows {}",
                cap.id, cap.at_most
            ));
        }
    }
}

fn exempt(policy: &Policy, labels: &BTreeMap<&'static str, String>) -> bool {
    labels
        .get("purpose")
        .and_then(|purpose| policy.purpose(purpose))
        .is_some_and(|(_, purpose)| purpose.exempt_caps)
}

fn covers(cap: &Cap, labels: &BTreeMap<&'static str, String>) -> bool {
    let scope = &cap.scope;
    // The tail does not tell tags: a cap over them is left to the engine.
    scope.tag.is_none()
        && [
            ("channel", &scope.channel),
            ("purpose", &scope.purpose),
            ("topic", &scope.topic),
            ("journey", &scope.journey),
            ("step", &scope.step),
        ]
        .into_iter()
        .all(|(key, wanted)| {
            wanted.as_deref().is_none_or(|wanted| labels.get(key).is_some_and(|has| has == wanted))
        })
}

/// Whether `at` lies in the window that ends with `now`.
fn inside(window: CapWindow, at: Timestamp, now: Timestamp, zone: Tz) -> bool {
    let local = |instant: Timestamp| {
        let local = zone.timestamp_millis_opt(instant.0).single()?;
        let date = local.date_naive();
        Some((date, date.iso_week(), (date.year(), date.month())))
    };
    match window {
        CapWindow::Rolling(duration) => at > now.minus(duration) && at <= now,
        CapWindow::LocalDay => local(at).map(|day| day.0) == local(now).map(|day| day.0),
        CapWindow::LocalWeek => local(at).map(|day| day.1) == local(now).map(|day| day.1),
        CapWindow::LocalMonth => local(at).map(|day| day.2) == local(now).map(|day| day.2),
    }
}

/// Whether a message was approved inside quiet hours that concern it.
fn night(policy: &Policy, at: Timestamp, message: &Sent, check: &mut Check) {
    let (channel, purpose) = (&message.labels["channel"], &message.labels["purpose"]);
    let free = policy.purpose(purpose).is_some_and(|(_, purpose)| purpose.exempt_quiet_hours);
    let Some(local) = message.zone.timestamp_millis_opt(at.0).single() else { return };
    let minute = local.hour() * 60 + local.minute();
    for quiet in &policy.quiet_hours {
        let concerns = |list: &[sojourn_model::Name], one: &str| {
            list.is_empty() || list.iter().any(|name| **name == *one)
        };
        if free || !concerns(&quiet.channels, channel) || !concerns(&quiet.purposes, purpose) {
            continue;
        }
        check.hours += 1;
        let (from, to) = (u32::from(quiet.from), u32::from(quiet.to));
        let inside =
            if from <= to { (from..to).contains(&minute) } else { minute >= from || minute < to };
        if inside {
            check.faults.push(format!("{} was approved at night", message.action));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use sojourn_model::DurationMs;
    use sojourn_rules::{AtCap, CapScope, QuietHours};

    fn policy() -> Policy {
        Policy {
            caps: vec![Cap {
                id: "daily".into(),
                at_most: 1,
                per: CapWindow::Rolling(DurationMs::hours(24)),
                scope: CapScope { channel: Some("email".into()), ..CapScope::default() },
                at_cap: AtCap::Drop,
            }],
            quiet_hours: vec![QuietHours {
                channels: vec!["email".into()],
                purposes: Vec::new(),
                from: 21 * 60,
                to: 8 * 60,
                on: sojourn_rules::EVERY_DAY,
                drop: false,
                ramp: DurationMs(0),
            }],
            ..Policy::default()
        }
    }

    fn sent(ledger: &mut Ledger, at: &str, profile: &str, action: &str) {
        ledger.take(
            "decision",
            &json!({"at": at, "profile": profile, "outcome": "approve", "channel": "email",
                "purpose": "marketing", "action_id": action, "zone": "Europe/London"}),
        );
    }

    #[test]
    fn a_second_message_within_the_window_is_found() {
        let mut ledger = Ledger::default();
        sent(&mut ledger, "2026-03-03T12:00:00.000Z", "p1", "a1");
        sent(&mut ledger, "2026-03-04T11:59:59.999Z", "p1", "a2");
        sent(&mut ledger, "2026-03-04T12:00:00.000Z", "p2", "a3");
        let check = ledger.check(&policy());
        assert_eq!(check.windows, 3);
        assert_eq!(check.faults.len(), 1, "{:?}", check.faults);
    }

    #[test]
    fn at_the_end_of_the_window_there_is_room_again() {
        let mut ledger = Ledger::default();
        sent(&mut ledger, "2026-03-03T12:00:00.000Z", "p1", "a1");
        sent(&mut ledger, "2026-03-04T12:00:00.000Z", "p1", "a2");
        assert_eq!(ledger.check(&policy()).faults, Vec::<String>::new());
    }

    #[test]
    fn after_a_merge_the_messages_of_both_count() {
        let mut ledger = Ledger::default();
        sent(&mut ledger, "2026-03-03T12:00:00.000Z", "p2", "a1");
        let merged = json!({"at": "2026-03-03T13:00:00.000Z", "note": "merged", "profile": "p1", "from": "p2"});
        ledger.take("note", &merged);
        sent(&mut ledger, "2026-03-03T14:00:00.000Z", "p1", "a2");
        assert_eq!(ledger.check(&policy()).faults.len(), 1);
        assert_eq!(ledger.merges(), 1);
    }

    #[test]
    fn what_failed_does_not_count() {
        let mut ledger = Ledger::default();
        sent(&mut ledger, "2026-03-03T12:00:00.000Z", "p1", "a1");
        ledger.take("delivery", &json!({"outcome": "failed", "action_id": "a1"}));
        sent(&mut ledger, "2026-03-03T13:00:00.000Z", "p1", "a2");
        assert_eq!(ledger.check(&policy()).faults, Vec::<String>::new());
    }

    #[test]
    fn night_is_the_persons_own() {
        let mut ledger = Ledger::default();
        sent(&mut ledger, "2026-03-03T21:00:00.000Z", "p1", "a1");
        sent(&mut ledger, "2026-03-05T08:00:00.000Z", "p1", "a2");
        let check = ledger.check(&policy());
        assert_eq!(check.hours, 2);
        assert_eq!(check.faults, ["a1 was approved at night"]);
    }
}
