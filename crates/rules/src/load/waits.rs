//! The step `wait`: elapsed, until a local time, until a date.

use super::journey::Reading;
use crate::cel::Expect;
use crate::definitions::{StepKind, Wait};
use crate::duration;
use crate::finding::suggest;
use crate::reader::{Table, duration as read_duration};
use crate::yaml::Kind;

pub(super) fn wait(reading: &Reading<'_>, table: &Table<'_>) -> Option<StepKind> {
    let node = table.required("wait")?;
    let source = reading.source;
    let restart = table.get("restart_on");
    let restart_on = restart.map_or_else(Vec::new, |node| reading.event_names(node));
    if !matches!(node.kind, Kind::Mapping(_)) {
        let duration = read_duration(&source, node, "wait")?;
        return Some(StepKind::Wait(Wait::Elapsed { duration, restart_on }));
    }
    if let Some(restart) = restart {
        source.error(
            "restart-on",
            restart.place,
            "only an elapsed wait (`wait: 1h`) can begin anew",
            "remove `restart_on`",
        );
    }
    let inner = Table::new(source, node, "`wait`")?;
    let wait = if inner.has("until_date") { until_date(reading, &inner) } else { until(&inner) };
    inner.finish();
    wait.map(StepKind::Wait)
}

fn until(table: &Table<'_>) -> Option<Wait> {
    table.required("until");
    let minute = table.time("until");
    let weekdays = weekdays(table, "on");
    Some(Wait::Until { minute: minute?, weekdays })
}

/// Days of the week under `key`, Monday = 0, in order.
pub(super) fn weekdays(table: &Table<'_>, key: &'static str) -> Vec<u8> {
    const DAYS: [&str; 7] =
        ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let mut weekdays = Vec::new();
    for day in table.names(key) {
        let lower = day.to_lowercase();
        let found = DAYS.iter().position(|name| *name == lower || name[..3] == *lower);
        match found.and_then(|day| u8::try_from(day).ok()) {
            Some(day) => weekdays.push(day),
            None => table.source.error(
                "unknown-value",
                table.key_place(key),
                format!("`{day}` is no day of the week"),
                suggest(&lower, DAYS, "write a day in English"),
            ),
        }
    }
    weekdays.sort_unstable();
    weekdays.dedup();
    weekdays
}

fn until_date(reading: &Reading<'_>, table: &Table<'_>) -> Option<Wait> {
    let date = reading.in_step(table.required("until_date")?, "until_date", Expect::Date);
    let minute = if table.has("at") { table.time("at")? } else { 0 };
    let offset_days = offset_days(table)?;
    let yearly = table.choice("every", &[("year", true)]).unwrap_or(false);
    Some(Wait::UntilDate { date: date?, minute, offset_days, yearly })
}

/// `offset`: whole days before (negative) or after a date; 0 when it is not given or wrong.
pub(super) fn offset_days(table: &Table<'_>) -> Option<i32> {
    const DAY: i64 = 86_400_000;
    let Some(node) = table.get("offset") else { return Some(0) };
    let offset = node.text().and_then(duration::parse_signed);
    match offset.filter(|offset| offset.0 % DAY == 0) {
        Some(offset) => i32::try_from(offset.0 / DAY).ok(),
        None => {
            table.source.error(
                "bad-duration",
                node.place,
                format!("`offset` is {}, not a number of days", node.describe()),
                "write whole days, such as -7d or 2w",
            );
            Some(0)
        }
    }
}
