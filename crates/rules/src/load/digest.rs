//! The step `digest`: collects what would have entered the run's journey, and goes on with all of it.

use super::journey::Reading;
use crate::cel::Expect;
use crate::definitions::{Digest, ItemFields, StepKind};
use crate::limits::DIGEST_ITEMS_MAX;
use crate::reader::{Table, checked_name};
use sojourn_model::{DurationMs, Name};

/// Names that a template has already.
const TAKEN: &[&str] =
    &["profile", "event", "run", "links", "company", "recommendations", "workspace", "locale"];

pub(super) fn digest(reading: &Reading<'_>, table: &Table<'_>) -> Option<StepKind> {
    let source = table.source;
    table.required("window");
    let window = table.duration("window");
    if window == Some(DurationMs(0)) {
        source.error(
            "bad-duration",
            table.key_place("window"),
            "a digest that lasts no time collects nothing",
            "give it a window, such as 4h",
        );
    }
    let max = table.count("max");
    let most = u32::try_from(DIGEST_ITEMS_MAX).unwrap_or(u32::MAX);
    if max.is_some_and(|max| max == 0 || max > most) {
        source.error(
            "bad-limit",
            table.key_place("max"),
            format!("a digest holds 1 to {DIGEST_ITEMS_MAX} items"),
            format!("choose `max` from 1 to {DIGEST_ITEMS_MAX}"),
        );
    }
    let key = table
        .get("key")
        .and_then(|node| reading.expression(node, "key", reading.entered(), true, Expect::Key));
    let name = table.text("as").unwrap_or_else(|| "items".into());
    if checked_name(&source, table.key_place("as"), &name, "a variable") && TAKEN.contains(&&*name)
    {
        source.error(
            "bad-name",
            table.key_place("as"),
            format!("`{name}` means something else in templates"),
            "choose another name; the default is `items`",
        );
    }
    table.finish();
    Some(StepKind::Digest(Box::new(Digest {
        key,
        window: window?,
        max: max.unwrap_or(most),
        name,
        keeps: keeps(reading, &reading.purpose),
    })))
}

/// What an item keeps of each event that a run can enter with: the properties that the plan declares
/// and that may serve the purposes of the journey and of the message (semantics 3: nothing else can be
/// read there).
pub(super) fn keeps(reading: &Reading<'_>, message: &Name) -> Vec<(Name, ItemFields)> {
    let context = reading.context;
    let purposes = [&reading.purpose, message];
    let is_service = |purpose: &Name| {
        context.policy.purpose(purpose).is_some_and(|(_, purpose)| purpose.service)
    };
    let service = purposes.into_iter().all(is_service);
    let of_event = |event: &Name| {
        let Some(plan) = context.catalog.plan.events.get(event) else {
            let ours = context.catalog.event_known(event);
            return if ours { ItemFields::All } else { ItemFields::Named(Vec::new()) };
        };
        let mut named: Vec<Name> = Vec::new();
        let mut withheld: Vec<Name> = Vec::new();
        for (path, field) in &plan.properties {
            let first = Name::from(path.split('.').next().unwrap_or_default());
            let open = purposes.iter().all(|purpose| crate::lint::serves(&field.purposes, purpose))
                && (service || !field.sensitive);
            if open { named.push(first) } else { withheld.push(first) }
        }
        named.retain(|name| !withheld.contains(name));
        named.dedup();
        ItemFields::Named(named)
    };
    reading.entered_by.iter().map(|event| (event.clone(), of_event(event))).collect()
}
