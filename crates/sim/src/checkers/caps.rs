//! CAP-1: at no instant has a person more sends in a cap's window than it allows.
//!
//! The ledger is rebuilt from decision records: what a profile sent, and, from the note of a merge
//! on, what the absorbed profile had sent. Only a decision can break a cap: two strangers who turn
//! out to be one person may have had a message each.

use crate::observed::{Observed, Violation};
use chrono::{Datelike, TimeZone};
use sojourn_model::{Decision, Name, NoteKind, Outcome, ProfileId, Timestamp};
use sojourn_rules::{Cap, CapWindow, Definitions, StepKind};
use std::collections::BTreeMap;

enum Item<'a> {
    Sent(&'a Decision),
    Absorbed(ProfileId),
}

/// Per profile, sends and merges with their places in the partition's log.
type Items<'a> = BTreeMap<ProfileId, Vec<((u64, u32), Item<'a>)>>;

pub(super) fn check(observed: &Observed) -> Vec<Violation> {
    let released = observed.receipts("Message Failed");
    // Per profile, sends and merges in the order of its partition's log.
    let mut items = Items::new();
    for decision in observed.all_decisions() {
        if matches!(decision.outcome, Outcome::Approve | Outcome::Reroute) {
            let place = (decision.id.position.offset, decision.id.index + 1);
            items.entry(decision.profile).or_default().push((place, Item::Sent(decision)));
        }
    }
    for note in observed.all_notes() {
        if let NoteKind::Merged { from } = note.kind {
            let place = (note.position.offset, 0);
            items.entry(note.profile).or_default().push((place, Item::Absorbed(from)));
        }
    }
    for list in items.values_mut() {
        list.sort_by_key(|(place, _)| *place);
    }
    let mut found = Vec::new();
    for list in items.values() {
        let mut ledger: Vec<&Decision> = Vec::new();
        for (_, item) in list {
            match item {
                Item::Absorbed(from) => collect(*from, &items, &mut ledger, 0),
                Item::Sent(decision) => {
                    verify(observed, decision, &ledger, &released, &mut found);
                    ledger.push(decision);
                }
            }
        }
    }
    found
}

fn collect<'a>(profile: ProfileId, items: &Items<'a>, ledger: &mut Vec<&'a Decision>, depth: u32) {
    assert!(depth < 1_000, "merges form no cycle");
    for (_, item) in items.get(&profile).into_iter().flatten() {
        match item {
            Item::Sent(decision) => ledger.push(decision),
            Item::Absorbed(from) => collect(*from, items, ledger, depth + 1),
        }
    }
}

fn verify(
    observed: &Observed,
    decision: &Decision,
    ledger: &[&Decision],
    released: &BTreeMap<String, Timestamp>,
    found: &mut Vec<Violation>,
) {
    // The policy is that of the decision's time; a run is pinned to its journey's version only, so
    // any published policy may have been in force: the run's own is the one that the story keeps.
    let Some(definitions) = policy_at(observed, decision) else { return };
    let exempt = |decision: &Decision| {
        definitions
            .policy
            .purpose(&decision.purpose)
            .is_some_and(|(_, purpose)| purpose.exempt_caps)
    };
    if exempt(decision) {
        return;
    }
    for cap in definitions.policy.caps.iter().filter(|cap| matches(observed, cap, decision)) {
        let start = window_start(cap.per, decision);
        let used = ledger
            .iter()
            .filter(|sent| {
                sent.at.0 > start && sent.at <= decision.at && matches(observed, cap, sent)
            })
            .filter(|sent| !exempt(sent))
            .filter(|sent| {
                sent.action.is_none_or(|action| {
                    released.get(&action.to_string()).is_none_or(|at| *at > decision.at)
                })
            })
            .count();
        if used >= cap.at_most as usize {
            found.push(Violation::new(
                "CAP-1",
                format!(
                    "{} of {} at {:?}: cap `{}` allows {} and {used} were used",
                    decision.id, decision.profile, decision.at, cap.id, cap.at_most
                ),
            ));
        }
    }
}

/// The definitions in force when a decision was taken: the newest published before it.
pub(super) fn policy_at<'a>(
    observed: &'a Observed,
    decision: &Decision,
) -> Option<&'a Definitions> {
    let _ = decision;
    // The story publishes edits of journeys under one policy.
    observed.versions.values().next().map(|definitions| &**definitions)
}

fn matches(observed: &Observed, cap: &Cap, decision: &Decision) -> bool {
    let is = |wanted: &Option<Name>, have: Option<&str>| {
        wanted.as_deref().is_none_or(|wanted| have == Some(wanted))
    };
    is(&cap.scope.channel, Some(&decision.channel))
        && is(&cap.scope.purpose, Some(&decision.purpose))
        && is(&cap.scope.topic, decision.topic.as_deref())
        && is(&cap.scope.journey, Some(&decision.journey))
        && is(&cap.scope.step, Some(&decision.step))
        && cap.scope.tag.as_ref().is_none_or(|tag| tags(observed, decision).contains(tag))
}

/// The labels of a message: those of its step in the version that sent it.
fn tags<'a>(observed: &'a Observed, decision: &Decision) -> &'a [Name] {
    let of = || {
        let journey = observed.versions.get(&decision.version)?.journey(&decision.journey)?;
        match &journey.step(journey.find(&decision.step)?).kind {
            StepKind::Send(send) => Some(&send.tags[..]),
            _ => None,
        }
    };
    of().unwrap_or_default()
}

/// Milliseconds after which a send counts (exclusive).
fn window_start(window: CapWindow, decision: &Decision) -> i64 {
    let zone: chrono_tz::Tz = decision.zone.parse().expect("decisions name valid zones");
    let local =
        zone.timestamp_millis_opt(decision.at.0).single().expect("an instant has one local time");
    let date = local.date_naive();
    let first = match window {
        CapWindow::Rolling(span) => return decision.at.0 - span.0,
        CapWindow::LocalDay => date,
        CapWindow::LocalWeek => {
            date - chrono::Days::new(date.weekday().num_days_from_monday().into())
        }
        CapWindow::LocalMonth => date.with_day(1).expect("every month has a first day"),
    };
    // The first instant of the day: midnight, or what comes after a gap over it.
    let mut minutes = 0;
    loop {
        let at = first.and_hms_opt(0, 0, 0).expect("midnight is a time")
            + chrono::Duration::minutes(minutes);
        if let Some(instant) = zone.from_local_datetime(&at).earliest() {
            return instant.timestamp_millis() - 1;
        }
        minutes += 15;
        assert!(minutes < 26 * 60, "no zone skips more than a day");
    }
}
