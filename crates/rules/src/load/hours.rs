//! When nothing may go out: `quiet_hours` and `blackouts` of policy.yaml.

use super::waits::weekdays;
use crate::definitions::{Blackout, EVERY_DAY, QuietHours};
use crate::finding::Source;
use crate::limits::{BLACKOUT_DAYS_MAX, RAMP_HOURS_MAX};
use crate::reader::{Table, items};
use crate::yaml::Node;
use chrono::{Days, NaiveDate, NaiveDateTime};
use sojourn_model::{DurationMs, Name};

/// A quiet window; one of the law is for messages and calls to a phone where it names no channels,
/// and always defers.
pub(super) fn quiet_hours(source: Source<'_>, node: &Node, law: bool) -> Option<QuietHours> {
    let table = Table::new(source, node, "this quiet window")?;
    table.required("from");
    table.required("to");
    let (from, to) = (table.time("from"), table.time("to"));
    let days = weekdays(&table, "on");
    if from.is_some() && from == to && days.is_empty() {
        source.error(
            "quiet-always",
            table.key_place("to"),
            "this quiet window begins and ends at the same time, so it leaves no hour",
            "let it end later than it begins, or say with `on` which whole days it means",
        );
    }
    let mut channels = table.names("channels");
    if law && channels.is_empty() {
        channels = vec!["sms".into(), "call".into()];
    }
    let window = QuietHours {
        channels,
        purposes: table.names("purposes"),
        from: from.unwrap_or_default(),
        to: to.unwrap_or_default(),
        on: if days.is_empty() { EVERY_DAY } else { days.iter().fold(0, |on, day| on | 1 << day) },
        drop: !law && drop(&table),
        ramp: if law { DurationMs(0) } else { ramp(&table) },
    };
    table.get("about");
    table.finish();
    (from.is_some() && to.is_some()).then_some(window)
}

fn drop(table: &Table<'_>) -> bool {
    table.choice("then", &[("defer", false), ("drop", true)]).unwrap_or(false)
}

/// Over how long deferred messages leave.
fn ramp(table: &Table<'_>) -> DurationMs {
    let ramp = table.duration("ramp").unwrap_or(DurationMs(0));
    if ramp > DurationMs::hours(RAMP_HOURS_MAX) {
        table.source.error(
            "limit",
            table.key_place("ramp"),
            format!("a ramp takes at most {RAMP_HOURS_MAX} h"),
            "shorten it; `waves` of a send spread one message over days",
        );
    }
    ramp
}

/// A blackout; `known`: those above it.
pub(super) fn blackout(source: Source<'_>, node: &Node, known: &[Blackout]) -> Option<Blackout> {
    let table = Table::new(source, node, "this blackout")?;
    let id = table.required_text("id");
    if let Some(id) = &id
        && known.iter().any(|other| other.id == *id)
    {
        source.error(
            "duplicate",
            table.key_place("id"),
            format!("blackout `{id}` is given twice"),
            "give each blackout its own id",
        );
    }
    let days = table.get("days").map(|node| items(&source, node, "days"));
    let (from, to) = (table.get("from"), table.get("to"));
    let mut spans = Vec::new();
    match (days, from) {
        (Some(days), None) if to.is_none() => {
            spans.extend(days.iter().filter_map(|day| span(&source, day, day)));
        }
        (None, Some(from)) => spans.extend(span(&source, from, to.unwrap_or(from))),
        _ => source.error(
            "missing-key",
            table.place(),
            "this blackout does not say when it is, or says it twice",
            "give either `from` and `to`, or `days`",
        ),
    }
    spans.sort_unstable();
    let yearly = table.choice("every", &[("year", true)]).unwrap_or(false);
    let blackout = Blackout {
        id: id?,
        channels: table.names("channels"),
        purposes: table.names("purposes"),
        countries: table.names("countries"),
        spans,
        yearly,
        drop: drop(&table),
        ramp: ramp(&table),
    };
    table.get("about");
    table.finish();
    countries_known(&table, &blackout.countries);
    (!blackout.spans.is_empty()).then_some(blackout)
}

fn countries_known(table: &Table<'_>, countries: &[Name]) {
    for country in countries {
        if !super::jurisdictions::is_country(country) {
            table.source.error(
                "unknown-country",
                table.key_place("countries"),
                format!("there is no country `{country}`"),
                super::jurisdictions::country_remedy(country, &[]),
            );
        }
    }
}

/// Both ends of a span; without a time of day, the first and the last whole day.
fn span(source: &Source<'_>, from: &Node, to: &Node) -> Option<(NaiveDateTime, NaiveDateTime)> {
    let (first, _) = date(source, from)?;
    let (last, whole) = date(source, to)?;
    let end = if whole { last.checked_add_days(Days::new(1))? } else { last };
    if end <= first {
        source.error(
            "blackout-span",
            to.place,
            "this blackout ends before it begins",
            "give `to` a later day, with its year",
        );
        return None;
    }
    if end - first > chrono::TimeDelta::days(BLACKOUT_DAYS_MAX) {
        source.error(
            "blackout-span",
            to.place,
            format!("this blackout is longer than {BLACKOUT_DAYS_MAX} days"),
            "pause the journeys instead",
        );
        return None;
    }
    Some((first, end))
}

/// A local date, or date and time; and whether it was a date.
fn date(source: &Source<'_>, node: &Node) -> Option<(NaiveDateTime, bool)> {
    let text = node.text().unwrap_or_default().trim();
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some((day.and_hms_opt(0, 0, 0)?, true));
    }
    for form in ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"] {
        if let Ok(at) = NaiveDateTime::parse_from_str(text, form) {
            return Some((at, false));
        }
    }
    source.error(
        "bad-time",
        node.place,
        format!("{} is no date", node.describe()),
        "write it as 2026-12-24, or 2026-12-24T18:00",
    );
    None
}
