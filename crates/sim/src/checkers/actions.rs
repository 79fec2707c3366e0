//! ACT-1: at most one effective dispatch per action id. CON-2: no call begins after a revocation
//! that concerns it was acknowledged, unless a decision taken later than it allowed the message.

use crate::observed::{Observed, Violation};
use sojourn_model::MessageClass;
use std::collections::BTreeMap;

pub(super) fn check(observed: &Observed) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut effective: BTreeMap<_, u32> = BTreeMap::new();
    for call in &observed.calls {
        if call.effective {
            *effective.entry(call.action.id).or_default() += 1;
        }
        if call.action.class == MessageClass::AtMostOnce && effective.get(&call.action.id) > Some(&1) {
            found.push(Violation::new("ACT-1", format!("{} went out twice", call.action.id)));
        }
    }
    let mut published = BTreeMap::new();
    for action in &observed.actions {
        if published.insert(action.id, action).is_some() {
            found.push(Violation::new("ACT-1", format!("{} was published twice", action.id)));
        }
    }
    for call in &observed.calls {
        for revocation in observed.revocations.iter().filter(|r| r.order < call.order) {
            let concerns = revocation.endpoint == call.action.endpoint
                && revocation.channel == call.action.channel
                && match &revocation.purpose {
                    Some(purpose) => *purpose == call.action.purpose,
                    None => call.action.class == MessageClass::AtMostOnce,
                }
                && revocation.topic.as_ref().is_none_or(|topic| Some(topic) == call.action.topic.as_ref());
            if concerns && call.action.approved_at <= revocation.at {
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
    found
}
