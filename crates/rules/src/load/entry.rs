//! `entry` of a journey: how a run begins.

use super::journey::{Reading, check_attribute};
use crate::cel::{Events, Expect, Known};
use crate::definitions::{Condition, Cron, Entry, Occurrences, Reentry, Schedule, Trigger};
use crate::duration;
use crate::expr::{Expr, Root};
use crate::finding::{Source, suggest};
use crate::functions::Type;
use crate::limits::PACE_MAX;
use crate::reader::Table;
use crate::yaml::Node;
use chrono::{NaiveDateTime, Timelike};
use sojourn_model::{DurationMs, Name};

/// Default of `accept_late`.
const ACCEPT_LATE: DurationMs = DurationMs::hours(24);

/// Reads `entry`.
pub(super) fn load(reading: &mut Reading<'_>, node: &Node) -> Option<Entry> {
    let source = reading.source;
    let table = Table::new(source, node, "`entry`")?;
    let trigger = trigger(reading, &table);
    let when = match &trigger {
        Some(Trigger::Event(rule)) => {
            reading.entered_by = rule.on.clone();
            None
        }
        _ if table.has("on") => None,
        _ => table.get("when").and_then(|node| {
            reading.expression(node, "when", Events::None, false, Expect::Condition)
        }),
    };
    // A change of an attribute or a segment comes with a record; a timer and a command do not.
    let events = match &trigger {
        Some(Trigger::Date { .. } | Trigger::Schedule(_) | Trigger::Api) => Events::None,
        _ => reading.entered(),
    };
    let key = table
        .get("key")
        .and_then(|node| reading.expression(node, "key", events, false, Expect::Key));
    let backfill = table.flag("backfill");
    if backfill.is_some() && !matches!(&trigger, None | Some(Trigger::Segment { enter: true, .. }))
    {
        source.error(
            "backfill",
            table.key_place("backfill"),
            "only an entry by `segment: { enter: … }` can take in those who are there already",
            "remove `backfill`",
        );
    }
    let reentry = table.get("reentry").and_then(|node| reentry(&source, node));
    let accept_late = table.duration("accept_late").unwrap_or(ACCEPT_LATE);
    let at_most = table.get("at_most").and_then(|node| {
        let at_most = node.text().and_then(duration::parse_count_per);
        match at_most {
            Some((count, window)) if count > 0 && window.0 > 0 => at_most,
            _ => {
                source.error(
                    "bad-limit",
                    node.place,
                    format!("`at_most` is {}, not a number of entries per time", node.describe()),
                    "write it as 1 per 30d",
                );
                None
            }
        }
    });
    let concurrent = table.count("concurrent");
    if concurrent == Some(0) {
        source.error(
            "bad-limit",
            table.key_place("concurrent"),
            "`concurrent: 0` lets nobody in",
            "allow at least 1",
        );
    }
    table.get("note");
    table.finish();
    Some(Entry {
        trigger: trigger?,
        when,
        backfill: backfill.unwrap_or(false),
        key,
        reentry: reentry.unwrap_or(Reentry::AfterExit),
        accept_late,
        at_most,
        concurrent,
    })
}

fn reentry(source: &Source<'_>, node: &Node) -> Option<Reentry> {
    let text = node.text().unwrap_or_default();
    match text {
        "never" => return Some(Reentry::Never),
        "after_exit" => return Some(Reentry::AfterExit),
        "always" => return Some(Reentry::Always),
        _ => {}
    }
    if let Some(written) = text.strip_prefix("after ")
        && let Some(duration) = duration::parse(written.trim())
    {
        return Some(Reentry::After(duration));
    }
    source.error(
        "unknown-value",
        node.place,
        format!("`reentry` cannot be {}", node.describe()),
        suggest(text, ["never", "after_exit", "after 30d", "always"], "choose a known value"),
    );
    None
}

fn trigger(reading: &Reading<'_>, table: &Table<'_>) -> Option<Trigger> {
    const FORMS: &[&str] = &["on", "segment", "attribute", "schedule", "date", "api"];
    let source = table.source;
    let given: Vec<&str> = FORMS.iter().copied().filter(|form| table.has(form)).collect();
    if given.len() != 1 {
        source.error(
            "entry-form",
            table.place(),
            match given.len() {
                0 => "`entry` does not say how a run begins".to_owned(),
                _ => format!("`entry` has {} ways to begin: {}", given.len(), given.join(", ")),
            },
            "give exactly one of `on`, `segment`, `attribute`, `schedule`, `date`, `api`",
        );
        return None;
    }
    match given[0] {
        "on" => {
            table.required("on")?;
            reading.rule(table, false).map(Trigger::Event)
        }
        "segment" => segment_trigger(reading, &table.table("segment", "`segment`")?),
        "attribute" => {
            let attribute = table.table("attribute", "`attribute`")?;
            let name = attribute.required_text("name")?;
            let changed = attribute.flag("changed").unwrap_or(true);
            let path: Vec<Name> = name.split('.').map(Name::from).collect();
            check_attribute(reading, attribute.key_place("name"), &path);
            attribute.finish();
            Some(Trigger::Attribute { name, changed })
        }
        "date" => date_trigger(reading, &table.table("date", "`date`")?),
        "schedule" => schedule_trigger(reading, &table.table("schedule", "`schedule`")?)
            .map(Trigger::Schedule),
        "api" => {
            if table.flag("api") == Some(false) {
                source.error(
                    "unknown-value",
                    table.key_place("api"),
                    "`api: false` says nothing of how a run begins",
                    "write `api: true`, or another form of entry",
                );
            }
            Some(Trigger::Api)
        }
        _ => unreachable!("one of the forms above"),
    }
}

fn segment_trigger(reading: &Reading<'_>, table: &Table<'_>) -> Option<Trigger> {
    let (enter, leave) = (table.text("enter"), table.text("leave"));
    let (segment, enter) = match (enter, leave) {
        (Some(segment), None) => (segment, true),
        (None, Some(segment)) => (segment, false),
        _ => {
            table.source.error(
                "entry-form",
                table.place(),
                "`segment` must name one segment that is entered or left",
                "write `{ enter: regulars }` or `{ leave: regulars }`",
            );
            return None;
        }
    };
    known_segment(reading, table, &segment);
    table.finish();
    Some(Trigger::Segment { segment, enter })
}

fn known_segment(reading: &Reading<'_>, table: &Table<'_>, segment: &Name) {
    if !reading.context.catalog.segments.contains_key(segment) {
        table.source.error(
            "unknown-segment",
            table.place(),
            format!("there is no segment `{segment}`"),
            suggest(
                segment,
                reading.context.catalog.segments.keys().map(|name| &**name),
                "define it in segments.yaml",
            ),
        );
    }
    // Whoever is in it says something of the data that it reads.
    let expr = Expr::InSegment(segment.clone());
    let place = table.place();
    crate::lint::purpose_limitation(reading, place, &expr, Events::None, &reading.purpose);
}

/// `{ attribute: birthday, offset: -7d, at: "09:00", every: year }`
fn date_trigger(reading: &Reading<'_>, table: &Table<'_>) -> Option<Trigger> {
    let source = table.source;
    let name = table.required_text("attribute");
    let place = table.key_place("attribute");
    let minute = if table.has("at") { table.time("at") } else { Some(0) };
    let offset_days = super::waits::offset_days(table);
    let yearly = table.choice("every", &[("year", true), ("once", false)]).unwrap_or(true);
    table.finish();
    let name = name?;
    let path: Vec<Name> = name.split('.').map(Name::from).collect();
    check_attribute(reading, place, &path);
    if let Known::Type(kind) = reading.context.catalog.attribute_type(&path)
        && !matches!(
            kind,
            Type::Any | Type::Text | Type::Date | Type::TimestampText | Type::Instant
        )
    {
        source.error(
            "type-mismatch",
            place,
            format!("`{name}` is no date: the tracking plan says otherwise"),
            "name an attribute of type date",
        );
    }
    let expr = Expr::Read(Root::Profile, path.into());
    crate::lint::purpose_limitation(reading, place, &expr, Events::None, &reading.purpose);
    let date = Condition { text: format!("profile.{name}").into(), expr, windowed: false };
    Some(Trigger::Date { date, minute: minute?, offset_days: offset_days?, yearly })
}

/// `{ at: "2026-12-01T09:00", zone: local, audience: regulars, pace: 500/min }`, or `cron` for `at`.
fn schedule_trigger(reading: &Reading<'_>, table: &Table<'_>) -> Option<Schedule> {
    let source = table.source;
    let when = match (table.get("at"), table.get("cron")) {
        (Some(at), None) => once(&source, at),
        (None, Some(cron)) => repeated(&source, cron),
        (at, _) => {
            source.error(
                "schedule-when",
                table.place(),
                match at {
                    Some(_) => "`schedule` has both `at` and `cron`",
                    None => "`schedule` does not say when",
                },
                "give exactly one of `at`, such as \"2026-12-01T09:00\", and `cron`, such as \"0 9 * * 1\"",
            );
            None
        }
    };
    let local = table.choice("zone", &[("local", true), ("workspace", false)]).unwrap_or(false);
    let audience = table.required_text("audience");
    if let Some(audience) = &audience {
        known_segment(reading, table, audience);
    }
    let pace = table.get("pace").and_then(|node| {
        let pace = node.text().and_then(duration::parse_pace);
        let pace = pace.filter(|(count, _)| (1..=PACE_MAX).contains(count));
        if pace.is_none() {
            source.error(
                "bad-limit",
                node.place,
                format!("`pace` is {}, not a number of entries per time", node.describe()),
                format!("write it as 500/min, with a number from 1 to {PACE_MAX}"),
            );
        }
        pace
    });
    table.finish();
    Some(Schedule { when: when?, local, audience: audience?, pace })
}

fn once(source: &Source<'_>, node: &Node) -> Option<Occurrences> {
    let read = |text: &str| {
        ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S"]
            .iter()
            .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
    };
    let Some(at) = node.text().and_then(read) else {
        source.error(
            "bad-time",
            node.place,
            format!("`at` is {}, not a local date and time", node.describe()),
            "write it as \"2026-12-01T09:00\", without an offset; `zone` says whose clock",
        );
        return None;
    };
    let minute = u16::try_from(at.hour() * 60 + at.minute()).ok()?;
    Some(Occurrences::Once(at.date(), minute))
}

fn repeated(source: &Source<'_>, node: &Node) -> Option<Occurrences> {
    match Cron::parse(node.text().unwrap_or_default()) {
        Ok(cron) => Some(Occurrences::Cron(Box::new(cron))),
        Err(why) => {
            source.error(
                "bad-time",
                node.place,
                format!("`cron` cannot be read: {why}"),
                "write minute, hour, day of the month, month and day of the week: \"0 9 * * 1\"",
            );
            None
        }
    }
}
