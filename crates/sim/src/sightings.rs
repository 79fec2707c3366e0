//! Rare events that must have been seen over all seeds: a safety net that never gets wet proves
//! nothing.

use crate::coverage::{PARTS, name};
use crate::observed::{Applied, Observed};
use chrono::{Offset, TimeZone};
use sojourn_model::{Decision, NoteKind, Outcome, Reason, Timestamp, event_names};
use std::collections::{BTreeMap, BTreeSet};

/// Rare events by name, counted.
pub type Sightings = BTreeMap<String, u64>;

/// Every event that a full run over many seeds must see.
pub const WANTED: [&str; 46] = [
    "a cap was full",
    "a cap was full while a merge was under way",
    "a checkpoint was written while its owner went on",
    "a clock changed during a deferral",
    "a crash lost a checkpoint on its way",
    "a crash lost records that were not durable",
    "a duplicate was logged",
    "a goal was met",
    "a kill switch was set",
    "a late touchpoint",
    "a message expired",
    "a message was deferred by quiet hours",
    "a message was held out",
    "a message was rerouted",
    "a message was taken back",
    "a publish ended a run",
    "a publish moved a run to another version",
    "a partial append was replayed",
    "a replay published again",
    "a revocation between decision and dispatch",
    "a role failed and recovered",
    "a role restarted",
    "a run exited",
    "a run was merged into another",
    "a second attempt",
    "a called service answered",
    "a call failed, or its answer came too late",
    "a zombie published after its epoch ended",
    "a zombie was fenced",
    "an append arrived twice",
    "an append was refused",
    "an endless chain was cut",
    "consent was missing",
    "kill, release and kill again, one right after the other",
    "nobody knows whether a message went out",
    "paused with people inside",
    "people merged across partitions",
    "people merged within a partition",
    "published with people inside",
    "the gate refused a call",
    "the machine crashed",
    "the provider refused for good",
    "the same action twice at an idempotent provider",
    "the store came back empty",
    "the store came back older",
    "the store came back older under a living owner",
];

/// Everything that a full run must see: rare events, and every part of the language both ways.
pub fn wanted() -> Vec<String> {
    let parts =
        PARTS.iter().flat_map(|part| ["drawn", "exercised"].map(|prefix| name(prefix, part)));
    WANTED.iter().map(|what| (*what).to_owned()).chain(parts).collect()
}

/// Counts in `sightings` what can be seen from the end.
pub(crate) fn count(observed: &Observed, sightings: &mut Sightings) {
    crate::coverage::count(observed, sightings);
    let mut sight = |what: &'static str, times: usize| {
        if times > 0 {
            *sightings.entry(what.to_owned()).or_default() += times as u64;
        }
    };
    let reasons = |reason: Reason| {
        observed.all_decisions().filter(|decision| decision.reason == Some(reason)).count()
    };
    sight("a cap was full", reasons(Reason::Cap));
    sight("a message was deferred by quiet hours", reasons(Reason::QuietHours));
    sight("a message was held out", reasons(Reason::Holdout));
    sight("a message expired", reasons(Reason::Expired));
    sight("consent was missing", reasons(Reason::NoConsent));
    let outcome = |outcome: Outcome| {
        observed.all_decisions().filter(|decision| decision.outcome == outcome).count()
    };
    sight("a message was rerouted", outcome(Outcome::Reroute));
    let clock = observed.all_decisions().filter(|decision| over_clock_change(decision)).count();
    sight("a clock changed during a deferral", clock);
    sight("a message was taken back", observed.cancelled.len());
    let copies = observed.decisions_raw.len() - observed.all_decisions().count();
    sight("a replay published again", copies);
    let distinct: BTreeSet<&String> = observed.logged.iter().collect();
    sight("a duplicate was logged", observed.logged.len() - distinct.len());
    notes(observed, &mut sight);
    merges(observed, &mut sight);
    for (_, result, detail) in &observed.results {
        match *result {
            "unknown" => sight("nobody knows whether a message went out", 1),
            "failed" => sight("the provider refused for good", 1),
            "refused" => sight("the gate refused a call", 1),
            _ => {}
        }
        if *result == "refused" && detail.contains("revoked") {
            sight("a revocation between decision and dispatch", 1);
        }
    }
    sight("a second attempt", observed.calls.iter().filter(|call| call.attempt > 1).count());
    let mut effective = BTreeSet::new();
    for call in &observed.calls {
        if call.effective {
            effective.insert(call.action.id);
        } else if effective.contains(&call.action.id) {
            sight("the same action twice at an idempotent provider", 1);
        }
    }
    for (_, at, applied) in observed.applied.iter().flatten() {
        if let Applied::Touchpoint(_, touchpoint) = applied
            && touchpoint.occurred_at.is_some_and(|occurred| at.since(occurred).0 > 86_400_000)
        {
            sight("a late touchpoint", 1);
        }
        match applied {
            Applied::Touchpoint(_, t) if &*t.event == event_names::CALL_ANSWERED => {
                sight("a called service answered", 1);
            }
            Applied::Touchpoint(_, t) if &*t.event == event_names::CALL_FAILED => {
                sight("a call failed, or its answer came too late", 1);
            }
            _ => {}
        }
    }
}

fn notes(observed: &Observed, sight: &mut impl FnMut(&'static str, usize)) {
    for note in observed.all_notes() {
        match &note.kind {
            NoteKind::Ended { reason, .. } if &**reason == "goal_met" => sight("a goal was met", 1),
            NoteKind::Ended { reason, .. } if &**reason == "exited" => sight("a run exited", 1),
            NoteKind::Ended { reason, .. } if &**reason == "stopped" => {
                sight("a publish ended a run", 1);
            }
            NoteKind::Migrated { .. } => sight("a publish moved a run to another version", 1),
            NoteKind::Ended { reason, .. } if &**reason == "merged" => {
                sight("a run was merged into another", 1);
            }
            NoteKind::Limit { .. } => sight("an endless chain was cut", 1),
            _ => {}
        }
    }
}

fn merges(observed: &Observed, sight: &mut impl FnMut(&'static str, usize)) {
    let mut absorbed: BTreeMap<_, Timestamp> = BTreeMap::new();
    for (_, at, applied) in observed.applied.iter().flatten() {
        if let Applied::Absorb(id, ..) = applied {
            absorbed.insert(*id, *at);
        }
    }
    for (_, at, applied) in observed.applied.iter().flatten() {
        let Applied::Merge(id, from, into) = applied else { continue };
        let Some(end) = absorbed.get(id) else {
            sight("people merged within a partition", 1);
            continue;
        };
        sight("people merged across partitions", 1);
        let during = |decision: &&Decision| {
            (decision.profile == *from || decision.profile == *into)
                && decision.reason == Some(Reason::Cap)
                && (*at..=*end).contains(&decision.at)
        };
        let times = observed.all_decisions().filter(during).count();
        sight("a cap was full while a merge was under way", times);
    }
}

/// Whether the person's clock changed while a message was deferred.
fn over_clock_change(decision: &Decision) -> bool {
    let (Some(until), Ok(zone)) = (decision.until, decision.zone.parse::<chrono_tz::Tz>()) else {
        return false;
    };
    let offset =
        |at: Timestamp| zone.timestamp_millis_opt(at.0).single().map(|local| local.offset().fix());
    offset(decision.at) != offset(until)
}
