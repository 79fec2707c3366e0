//! The step `enter`: begins a run of another journey.

use super::journey::{EnterStep, Reading};
use crate::cel::Expect;
use crate::definitions::StepKind;
use crate::finding::suggest;
use crate::reader::Table;

pub(super) fn enter(reading: &Reading<'_>, table: &Table<'_>) -> Option<StepKind> {
    let journey = table.required_text("journey");
    let place = table.key_place("journey");
    let key = table.get("key").map(|node| reading.in_step(node, "key", Expect::Key));
    table.finish();
    let journey = journey?;
    if !reading.context.journeys.contains(&journey) {
        reading.source.error(
            "unknown-journey",
            place,
            format!("there is no journey `{journey}`"),
            suggest(&journey, reading.context.journeys.iter().map(|name| &**name), "write one"),
        );
    }
    reading.context.enters.borrow_mut().push(EnterStep {
        file: reading.source.file.to_owned(),
        place,
        from: reading.name.clone(),
        to: journey.clone(),
    });
    // A key that cannot be read is a finding, not the default key.
    let key = match key {
        Some(key) => Some(key?),
        None => None,
    };
    Some(StepKind::Enter { journey, key })
}
