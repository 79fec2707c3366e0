//! CON-1: every approved optional message rests on a consent that stood at its log position. CON-3:
//! the same after merges: what one profile was granted for an endpoint says nothing of another's.
//!
//! The model is a list of statements per person in the order of the log, evaluated by the text of
//! semantics 3: newest wins in whole seconds, a deny wins its second, purpose and topic are two
//! levels, a deny without an endpoint covers all of the channel until a newer grant names the
//! endpoint.

use crate::observed::{Applied, Observed, Violation};
use sojourn_model::{Decision, LogPosition, Outcome, ProfileId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone)]
pub(super) struct Statement {
    endpoint: Option<String>,
    channel: String,
    purpose: Option<String>,
    topic: Option<String>,
    granted: bool,
    second: i64,
}

/// One place in what a profile said.
pub(super) enum Item {
    Said(Statement),
    Absorbed(ProfileId),
}

/// What every profile said and absorbed, in the order of its partition's log.
pub(super) type Items = BTreeMap<ProfileId, Vec<(LogPosition, Timestamp, Item)>>;

pub(super) fn check(observed: &Observed) -> Vec<Violation> {
    let items = statements(observed);
    let mut found = Vec::new();
    for decision in observed.all_decisions() {
        if !matches!(decision.outcome, Outcome::Approve | Outcome::Reroute)
            || &*decision.purpose == "service"
        {
            continue;
        }
        let (merged, verdict) = verdict_at(decision, &items);
        if let Err(why) = verdict {
            let id = if merged { "CON-3" } else { "CON-1" };
            found.push(Violation::new(
                id,
                format!(
                    "{} on {} to {:?}: {why}",
                    decision.id, decision.channel, decision.endpoint
                ),
            ));
        }
    }
    found
}

/// Up to where a person's statements count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Until {
    position: LogPosition,
    /// Whether the record at `position` counts.
    whole: bool,
    /// Parked statements are applied at their own log time, not at their place.
    before: Timestamp,
}

impl Until {
    /// Everything up to and with the record at `position`.
    pub(super) fn with(position: LogPosition) -> Self {
        Self { position, whole: true, before: Timestamp::MAX }
    }
}

/// Whether the decision's message is permitted by what its person had said up to `until`, with
/// whether others' statements came to the person in merges.
pub(super) fn verdict(
    decision: &Decision,
    until: Until,
    items: &Items,
) -> (bool, Result<(), String>) {
    let mut said = Vec::new();
    let mut visited = BTreeSet::new();
    collect(decision.profile, Some(until), items, &mut said, &mut visited);
    (visited.len() > 1, permitted(decision, &said))
}

/// A decision may stand before or after the record at its position (a timer that was due fires
/// first), and before or after a statement of its millisecond: it is wrong when it is in each case.
fn verdict_at(decision: &Decision, items: &Items) -> (bool, Result<(), String>) {
    let position = decision.id.position;
    let next = Timestamp(decision.at.0 + 1);
    let untils = [(true, next), (false, next), (true, decision.at)];
    let mut last = (false, Ok(()));
    for (whole, before) in untils {
        last = verdict(decision, Until { position, whole, before }, items);
        if last.1.is_ok() {
            break;
        }
    }
    last
}

pub(super) fn statements(observed: &Observed) -> Items {
    let mut items: Items = BTreeMap::new();
    for (partition, records) in observed.applied.iter().enumerate() {
        let mut gone = BTreeSet::new();
        for (offset, at, applied) in records {
            let position = LogPosition { partition: partition as u16, offset: *offset };
            match applied {
                Applied::Merge(_, from, into) => {
                    gone.insert(*from);
                    if into.partition(observed.applied.len() as u16) == partition as u16 {
                        items.entry(*into).or_default().push((
                            position,
                            *at,
                            Item::Absorbed(*from),
                        ));
                    }
                }
                Applied::Absorb(_, into, from) => {
                    items.entry(*into).or_default().push((position, *at, Item::Absorbed(*from)));
                }
                // What still reaches an absorbed profile is forwarded and comes again.
                Applied::Touchpoint(profile, touchpoint) if !gone.contains(profile) => {
                    let said = read(
                        &touchpoint.event,
                        &touchpoint.properties,
                        touchpoint.occurred_at,
                        *at,
                    );
                    if let Some(statement) = said {
                        items.entry(*profile).or_default().push((
                            position,
                            *at,
                            Item::Said(statement),
                        ));
                    }
                }
                Applied::Touchpoint(..) | Applied::Pause | Applied::Publish | Applied::Other => {}
            }
        }
    }
    items
}

fn read(
    event: &str,
    properties: &str,
    occurred: Option<Timestamp>,
    at: Timestamp,
) -> Option<Statement> {
    let properties: serde_json::Value = serde_json::from_str(properties).unwrap_or_default();
    let text = |key: &str| properties[key].as_str().map(str::to_owned);
    let when = occurred.map_or(at, |occurred| occurred.min(at));
    let second = when.0.div_euclid(1_000);
    match event {
        "Consent Changed" => Some(Statement {
            endpoint: text("endpoint"),
            channel: text("channel")?,
            purpose: text("purpose"),
            topic: text("topic"),
            granted: text("state")? == "granted",
            second,
        }),
        "Unsubscribed" => Some(Statement {
            endpoint: text("endpoint"),
            channel: text("channel").unwrap_or_else(|| "email".to_owned()),
            purpose: None,
            topic: None,
            granted: false,
            second,
        }),
        _ => None,
    }
}

fn collect(
    profile: ProfileId,
    until: Option<Until>,
    items: &Items,
    said: &mut Vec<Statement>,
    visited: &mut BTreeSet<ProfileId>,
) {
    if !visited.insert(profile) {
        return;
    }
    for (position, at, item) in items.get(&profile).into_iter().flatten() {
        if let Some(Until { position: end, whole, before }) = until {
            let later = if whole { *position > end } else { *position >= end };
            if later && position.partition == end.partition {
                break;
            }
            if *at >= before && matches!(item, Item::Said(_)) {
                continue;
            }
        }
        match item {
            Item::Said(statement) => said.push(statement.clone()),
            Item::Absorbed(from) => collect(*from, None, items, said, visited),
        }
    }
}

fn permitted(decision: &Decision, said: &[Statement]) -> Result<(), String> {
    let endpoint = decision.endpoint.as_deref();
    let concerns = |s: &&Statement| {
        s.channel == *decision.channel
            && s.purpose.as_deref().is_none_or(|purpose| purpose == &*decision.purpose)
            && (s.endpoint.as_deref() == endpoint || (s.endpoint.is_none() && !s.granted))
    };
    let level = |topic: Option<&str>| {
        said.iter()
            .filter(concerns)
            .filter(|s| s.topic.as_deref() == topic)
            .max_by_key(|s| (s.second, !s.granted))
            .map(|s| s.granted)
    };
    let purpose = level(None);
    let topic = decision.topic.as_deref().and_then(|topic| level(Some(topic)));
    match (purpose, topic) {
        (Some(false), _) => Err("the purpose is denied".to_owned()),
        (_, Some(false)) => Err("the topic is denied".to_owned()),
        (None, None) => Err("nothing was granted".to_owned()),
        _ => Ok(()),
    }
}
