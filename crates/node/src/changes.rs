//! What a publish changes, in sentences: "abandoned-cart: wait of settle 1h → 2h".

mod steps;
#[cfg(test)]
mod tests;

use sojourn_model::{DurationMs, Name};
use sojourn_rules::{
    Cap, CapWindow, Definitions, EventRule, Holdout, Journey, LintLevel, Occurrences, Reentry,
    Schedule, Step, Trigger,
};
use std::collections::{BTreeMap, BTreeSet};
use steps::{at_cap, kind, step};

/// Sentences told of one publish (LIM-1); those beyond are counted.
const SENTENCES_MAX: usize = 500;

/// Every change of meaning between two versions; `old` is `None` before the first publish.
pub(crate) fn in_words(old: Option<&Definitions>, new: &Definitions) -> Vec<String> {
    let mut words = Vec::new();
    let Some(old) = old else {
        return vec![format!("the first version, with {} journeys", new.journeys.len())];
    };
    fn named(of: &Definitions) -> BTreeMap<&str, &Journey> {
        of.journeys.iter().map(|journey| (&*journey.name, &**journey)).collect()
    }
    pairs(&named(old), &named(new), |name, before, after| match (before, after) {
        (Some(before), Some(after)) => journey(before, after, &mut words),
        (Some(_), None) => words.push(format!("{name}: the journey is removed")),
        (None, _) => words.push(format!("{name}: a new journey")),
    });
    policy(old, new, &mut words);
    pairs(&old.segments, &new.segments, |name, before, after| match (before, after) {
        (Some(before), Some(after)) => {
            value(
                &mut words,
                format!("segment {name}: who is in it"),
                &before.when.text,
                &after.when.text,
            );
        }
        (Some(_), None) => words.push(format!("segment {name} is removed")),
        (None, _) => words.push(format!("segment {name} is new")),
    });
    pairs(&old.templates, &new.templates, |name, before, after| match (before, after) {
        (Some(before), Some(after)) => {
            pairs(&before.locales, &after.locales, |locale, before, after| match (before, after) {
                (Some(a), Some(b)) if a.subject != b.subject => words.push(format!(
                    "template {name}: subject in {locale} “{}” → “{}”",
                    a.subject, b.subject
                )),
                (Some(a), Some(b)) if a != b => {
                    words.push(format!("template {name}: text in {locale} is changed"));
                }
                (Some(_), None) => words.push(format!("template {name}: {locale} is removed")),
                (None, _) => words.push(format!("template {name}: {locale} is new")),
                _ => {}
            });
        }
        (Some(_), None) => words.push(format!("template {name} is removed")),
        (None, _) => words.push(format!("template {name} is new")),
    });
    let names = |what: &str, a: BTreeSet<&Name>, b: BTreeSet<&Name>, words: &mut Vec<String>| {
        words.extend(b.difference(&a).map(|name| format!("{what} {name} is new")));
        words.extend(a.difference(&b).map(|name| format!("{what} {name} is removed")));
    };
    let (a, b) = (&old.plan, &new.plan);
    names("event", a.events.keys().collect(), b.events.keys().collect(), &mut words);
    names("attribute", a.attributes.keys().collect(), b.attributes.keys().collect(), &mut words);
    if words.len() > SENTENCES_MAX {
        let beyond = words.len() - SENTENCES_MAX;
        words.truncate(SENTENCES_MAX);
        words.push(format!("{beyond} more changes are not listed"));
    }
    words
}

/// Messages that one entry of each journey may bring about, at most.
pub(crate) fn costs(definitions: &Definitions) -> BTreeMap<String, f64> {
    let cost =
        |journey: &Journey| (journey.name.to_string(), sojourn_rules::sends_per_entry(journey));
    definitions.journeys.iter().map(|journey| cost(journey)).collect()
}

/// Everything that is in either map, in order.
fn pairs<K: Ord, V>(
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
    mut each: impl FnMut(&K, Option<&V>, Option<&V>),
) {
    let keys: BTreeSet<&K> = old.keys().chain(new.keys()).collect();
    for key in keys {
        each(key, old.get(key), new.get(key));
    }
}

/// Tells of a value that differs.
fn value(words: &mut Vec<String>, what: String, old: &str, new: &str) {
    if old != new {
        words.push(format!("{what} {old} → {new}"));
    }
}

fn journey(old: &Journey, new: &Journey, words: &mut Vec<String>) {
    let name = &new.name;
    let before = words.len();
    let mut tell = |what: &str, a: &str, b: &str| value(words, format!("{name}: {what}"), a, b);
    tell(
        "purpose",
        &purpose(&old.purpose, old.topic.as_ref()),
        &purpose(&new.purpose, new.topic.as_ref()),
    );
    tell("priority", &old.priority.to_string(), &new.priority.to_string());
    tell("entry", &entry(old), &entry(new));
    tell("reentry", &reentry(old.entry.reentry), &reentry(new.entry.reentry));
    tell("accept_late", &span(old.entry.accept_late), &span(new.entry.accept_late));
    let within = |journey: &Journey| {
        journey.goal.as_ref().map_or("none".to_owned(), |goal| {
            let within = goal.within.map_or_else(String::new, |w| format!(" within {}", span(w)));
            let exit = if goal.exit { "" } else { " (the run goes on)" };
            format!("{}{within}{exit}", event_rule(&goal.rule))
        })
    };
    let at_most = |journey: &Journey| {
        journey.entry.at_most.map_or("none".to_owned(), |(n, per)| format!("{n} per {}", span(per)))
    };
    tell("at_most", &at_most(old), &at_most(new));
    let concurrent = |journey: &Journey| {
        journey.entry.concurrent.map_or("no limit".to_owned(), |most| most.to_string())
    };
    tell("concurrent", &concurrent(old), &concurrent(new));
    let backfill = |journey: &Journey| if journey.entry.backfill { "yes" } else { "no" };
    tell("backfill", backfill(old), backfill(new));
    tell("goal", &within(old), &within(new));
    let exits = |journey: &Journey| {
        let all: Vec<String> = journey.exit_on.iter().map(event_rule).collect();
        if all.is_empty() { "none".to_owned() } else { all.join(", ") }
    };
    tell("exit_on", &exits(old), &exits(new));
    let order = |journey: &Journey| -> BTreeMap<Name, Step> {
        journey.steps.iter().map(|step| (step.id.clone(), step.clone())).collect()
    };
    pairs(&order(old), &order(new), |id, before, after| match (before, after) {
        (Some(before), Some(after)) => step(name, before, after, words),
        (Some(before), None) => {
            words.push(format!("{name}: the {} {id} is removed", kind(&before.kind)));
        }
        (None, Some(after)) => words.push(format!("{name}: a new {} {id}", kind(&after.kind))),
        (None, None) => {}
    });
    let ids = |journey: &Journey| -> Vec<Name> {
        journey.steps.iter().map(|step| step.id.clone()).collect()
    };
    let (a, b) = (ids(old), ids(new));
    let kept_a: Vec<_> = a.iter().filter(|id| b.contains(id)).collect();
    let kept_b: Vec<_> = b.iter().filter(|id| a.contains(id)).collect();
    if kept_a != kept_b {
        words.push(format!("{name}: the steps come in another order"));
    }
    if words.len() == before && old.content != new.content {
        words.push(format!("{name}: wording or notes of the file, or details not named here"));
    }
}

/// Events, and the filter on them.
fn event_rule(rule: &EventRule) -> String {
    let on: Vec<&str> = rule.on.iter().map(|name| &**name).collect();
    let when = rule.when.as_ref().map_or_else(String::new, |w| format!(" when {}", w.text));
    format!("{}{when}", on.join(" or "))
}

fn purpose(purpose: &Name, topic: Option<&Name>) -> String {
    topic.map_or_else(|| purpose.to_string(), |topic| format!("{purpose}/{topic}"))
}

fn entry(journey: &Journey) -> String {
    let trigger = match &journey.entry.trigger {
        Trigger::Event(rule) => event_rule(rule),
        Trigger::Segment { segment, enter } => {
            format!("{} segment {segment}", if *enter { "enter" } else { "leave" })
        }
        Trigger::Attribute { name, changed: true } => format!("change of {name}"),
        Trigger::Attribute { name, changed: false } => format!("{name} is said"),
        Trigger::Date { date, minute, offset_days, yearly } => {
            let every = if *yearly { "every year" } else { "once" };
            format!("{} {offset_days:+}d at {} {every}", date.text, local_time(*minute))
        }
        Trigger::Schedule(schedule) => schedule_words(schedule),
        Trigger::Api => "api".to_owned(),
    };
    let when = journey.entry.when.as_ref();
    let trigger = when.map_or_else(|| trigger.clone(), |w| format!("{trigger} when {}", w.text));
    let key = journey.entry.key.as_ref();
    key.map_or(trigger.clone(), |key| format!("{trigger} by {}", key.text))
}

/// When a schedule occurs, for whom, how fast.
fn schedule_words(schedule: &Schedule) -> String {
    let when = match &schedule.when {
        Occurrences::Once(day, minute) => format!("{day} {}", local_time(*minute)),
        Occurrences::Cron(cron) => format!("cron {}", cron.text),
    };
    let zone = if schedule.local { "local" } else { "workspace" };
    let pace = schedule
        .pace
        .map_or_else(String::new, |(count, window)| format!(" at {count} per {}", span(window)));
    format!("{when} ({zone} time) for segment {}{pace}", schedule.audience)
}

fn reentry(reentry: Reentry) -> String {
    match reentry {
        Reentry::Never => "never".to_owned(),
        Reentry::AfterExit => "after_exit".to_owned(),
        Reentry::After(time) => format!("after {}", span(time)),
        Reentry::Always => "always".to_owned(),
    }
}

fn policy(old: &Definitions, new: &Definitions, words: &mut Vec<String>) {
    let (a, b) = (&old.policy, &new.policy);
    let caps = |caps: &[Cap]| -> BTreeMap<Name, Cap> {
        caps.iter().map(|cap| (cap.id.clone(), cap.clone())).collect()
    };
    let limit = |cap: &Cap| {
        let per = match cap.per {
            CapWindow::Rolling(window) => span(window),
            CapWindow::LocalDay => "local_day".to_owned(),
            CapWindow::LocalWeek => "local_week".to_owned(),
            CapWindow::LocalMonth => "local_month".to_owned(),
        };
        format!("{} per {per}", cap.at_most)
    };
    pairs(&caps(&a.caps), &caps(&b.caps), |id, before, after| match (before, after) {
        (Some(before), Some(after)) => {
            value(words, format!("cap {id}: limit"), &limit(before), &limit(after));
            value(words, format!("cap {id}: at_cap"), at_cap(before.at_cap), at_cap(after.at_cap));
            if before.scope != after.scope {
                words.push(format!("cap {id}: it counts other messages than before"));
            }
        }
        (Some(before), None) => words.push(format!("cap {id} ({}) is removed", limit(before))),
        (None, Some(after)) => words.push(format!("a new cap {id}: {}", limit(after))),
        (None, None) => {}
    });
    if a.quiet_hours != b.quiet_hours {
        words.push("quiet hours are changed".to_owned());
    }
    holdout(a.holdout.as_ref(), b.holdout.as_ref(), words);
    if a.purposes != b.purposes {
        words.push("purposes, topics or their exemptions are changed".to_owned());
    }
    value(
        words,
        "arbitration window".to_owned(),
        &span(a.arbitration_window),
        &span(b.arbitration_window),
    );
    value(
        words,
        "people needed to publish".to_owned(),
        &a.approvals_publish.to_string(),
        &b.approvals_publish.to_string(),
    );
    // Where a setting stands in its file is no change.
    let known = |new: &LintLevel| {
        a.lint
            .iter()
            .any(|old| (&old.rule, old.level, &old.because) == (&new.rule, new.level, &new.because))
    };
    for setting in b.lint.iter().filter(|setting| !known(setting)) {
        let level = if setting.level.is_none() { "turned off" } else { "set to another level" };
        words.push(format!("lint rule {} is {level}: {}", setting.rule, setting.because));
    }
    for setting in a.lint.iter().filter(|old| b.lint.iter().all(|new| new.rule != old.rule)) {
        words.push(format!("lint rule {} is back at its own level", setting.rule));
    }
}

fn holdout(old: Option<&Holdout>, new: Option<&Holdout>, words: &mut Vec<String>) {
    let share =
        |holdout: &Holdout| format!("{}% of {}", holdout.percent, holdout.purposes.join(", "));
    match (old, new) {
        (Some(old), Some(new)) if old == new => {}
        (Some(old), Some(new)) if old.salt == new.salt => words.push(format!(
            "holdout: {} instead of {}; who is in it or out of it under this salt stays so",
            share(new),
            share(old)
        )),
        (Some(old), Some(new)) => words.push(format!(
            "holdout: {} under a new salt instead of {}: everybody is drawn anew",
            share(new),
            share(old)
        )),
        (None, Some(new)) => words.push(format!("a new holdout: {}", share(new))),
        (Some(_), None) => {
            words.push("the holdout ends: who was held out gets messages again".to_owned());
        }
        (None, None) => {}
    }
}

/// A duration as one writes it.
fn span(duration: DurationMs) -> String {
    const UNITS: [(i64, &str); 5] =
        [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    if duration.0 == 0 {
        return "0s".to_owned();
    }
    let mut left = duration.0.abs();
    let mut text = String::new();
    for (size, unit) in UNITS {
        if left >= size {
            text.push_str(&format!("{}{unit}", left / size));
            left %= size;
        }
    }
    if duration.0 < 0 { format!("-{text}") } else { text }
}

/// A time of day.
fn local_time(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}
