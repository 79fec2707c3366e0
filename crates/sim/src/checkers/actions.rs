//! ACT-1: at most one effective dispatch per message. CON-2: no call begins after a revocation that
//! concerns it was acknowledged, unless a decision that knew the revocation allowed the message; and
//! none that a kill switch covers.

use super::consent::{self, Until};
use crate::observed::{Applied, Call, Observed, Revocation, Violation};
use sojourn_model::{KillTarget, LogPosition, MessageClass, ProfileId};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(observed: &Observed) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut published = BTreeSet::new();
    for action in &observed.actions {
        if !published.insert(action.id) {
            found.push(Violation::new("ACT-1", format!("{} was published twice", action.id)));
        }
    }
    // A message is its decision: an id made up on the way does not hide a second delivery.
    let mut effective: BTreeMap<_, u32> = BTreeMap::new();
    for call in &observed.calls {
        if !published.contains(&call.action.id) {
            let what = format!("{} was called and never published", call.action.id);
            found.push(Violation::new("ACT-1", what));
        }
        if call.effective {
            *effective.entry(call.action.decision).or_default() += 1;
            let times = effective[&call.action.decision];
            if call.action.class == MessageClass::AtMostOnce && times > 1 {
                found.push(Violation::new("ACT-1", format!("{} went out twice", call.action.id)));
            }
        }
    }
    revocations(observed, &mut found);
    halts(observed, &mut found);
    found
}

/// Nothing that a kill switch covers begins while it is acknowledged and nobody has asked for a
/// release, whatever order about it a partition comes to meanwhile.
fn halts(observed: &Observed, found: &mut Vec<Violation>) {
    for halt in &observed.halts {
        let stopped = |call: &&Call| {
            let action = &call.action;
            call.order > halt.from
                && halt.until.is_none_or(|until| call.order < until)
                && match &halt.target {
                    KillTarget::All => true,
                    KillTarget::Class(purpose) => *purpose == action.purpose,
                    KillTarget::Channel(channel) => *channel == action.channel,
                    KillTarget::Journey(journey) => *journey == action.journey,
                }
        };
        for call in observed.calls.iter().filter(stopped) {
            let (id, at, target) = (&call.action.id, call.at, &halt.target);
            let what = format!("{id} was called at {at:?} after {target:?} was killed");
            found.push(Violation::new("CON-2", what));
        }
    }
}

fn concerns(revocation: &Revocation, call: &Call) -> bool {
    revocation.endpoint == call.action.endpoint
        && revocation.channel == call.action.channel
        && match &revocation.purpose {
            Some(purpose) => *purpose == call.action.purpose,
            None => &*call.action.purpose != "service",
        }
        && revocation.topic.as_ref().is_none_or(|topic| Some(topic) == call.action.topic.as_ref())
}

fn revocations(observed: &Observed, found: &mut Vec<Violation>) {
    let items = consent::statements(observed);
    let decisions: BTreeMap<_, _> = observed.all_decisions().map(|d| (d.id, d)).collect();
    // Where the engine applied a message last; before that place it did not know.
    let mut applied: BTreeMap<&str, (LogPosition, ProfileId)> = BTreeMap::new();
    for (partition, records) in observed.applied.iter().enumerate() {
        for (offset, _, record) in records {
            if let Applied::Touchpoint(profile, touchpoint) = record {
                let position = LogPosition { partition: partition as u16, offset: *offset };
                applied.insert(&touchpoint.message_id, (position, *profile));
            }
        }
    }
    let mut first: BTreeSet<&str> = BTreeSet::new();
    for revocation in &observed.revocations {
        if !first.insert(&revocation.message_id) {
            continue; // a duplicate does nothing
        }
        let Some((position, profile)) = applied.get(&*revocation.message_id) else { continue };
        let late = |call: &&Call| call.order > revocation.order && concerns(revocation, call);
        for call in observed.calls.iter().filter(late) {
            let Some(decision) = decisions.get(&call.action.decision) else { continue };
            // Only of the same person can it be said what was known when.
            let same = decision.profile == *profile && decision.id.position < *position;
            // An older statement, or one that a newer grant overrules, takes nothing back.
            if same && consent::verdict(decision, Until::with(*position), &items).1.is_err() {
                found.push(Violation::new(
                    "CON-2",
                    format!(
                        "{} was called at {:?} after the revocation acknowledged at {:?}",
                        call.action.id, call.at, revocation.at
                    ),
                ));
            }
        }
    }
}
