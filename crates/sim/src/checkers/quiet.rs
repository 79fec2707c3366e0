//! QUI-1: no call begins inside the person's quiet hours, by the zone that the decision used.

use super::caps::policy_at;
use crate::observed::{Observed, Violation};
use chrono::{TimeZone, Timelike};
use std::collections::BTreeMap;

pub(super) fn check(observed: &Observed) -> Vec<Violation> {
    let decisions: BTreeMap<_, _> = observed.all_decisions().map(|d| (d.id, d)).collect();
    let mut found = Vec::new();
    for call in &observed.calls {
        let Some(decision) = decisions.get(&call.action.decision) else { continue };
        let Some(definitions) = policy_at(observed, decision) else { continue };
        let exempt = definitions
            .policy
            .purpose(&call.action.purpose)
            .is_some_and(|(_, purpose)| purpose.exempt_quiet_hours);
        if exempt {
            continue;
        }
        let zone: chrono_tz::Tz = decision.zone.parse().expect("decisions name valid zones");
        for (what, at) in [("decided", decision.at), ("called", call.at)] {
            let local =
                zone.timestamp_millis_opt(at.0).single().expect("an instant has one local time");
            let minute =
                u16::try_from(local.hour() * 60 + local.minute()).expect("a day's minutes");
            for window in &definitions.policy.quiet_hours {
                let covers = (window.channels.is_empty()
                    || window.channels.contains(&call.action.channel))
                    && (window.purposes.is_empty()
                        || window.purposes.contains(&call.action.purpose));
                let inside = if window.from <= window.to {
                    (window.from..window.to).contains(&minute)
                } else {
                    minute >= window.from || minute < window.to
                };
                // The repeated hour in autumn is quiet only until the window's first end, so a wall
                // time that occurs twice proves nothing.
                let twice = zone.from_local_datetime(&local.naive_local()).single().is_none();
                if covers && inside && !twice {
                    found.push(Violation::new(
                        "QUI-1",
                        format!("{} was {what} at {local}, inside quiet hours", call.action.id),
                    ));
                }
            }
        }
    }
    found
}
