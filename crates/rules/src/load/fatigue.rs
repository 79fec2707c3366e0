//! `fatigue:` of policy.yaml.

use crate::definitions::{FatiguePolicy, Shrink, Weary};
use crate::limits::{FATIGUE_DAYS_MAX, FATIGUE_RULES_MAX, FATIGUE_WEIGHT_MAX};
use crate::reader::Table;
use crate::yaml::Place;
use sojourn_model::DurationMs;

pub(super) fn load(table: &Table<'_>) -> Option<(FatiguePolicy, Place)> {
    let fatigue = table.table("fatigue", "`fatigue`")?;
    let window = within(&fatigue, "window", 30);
    let ignored_after = within(&fatigue, "ignored_after", 3);
    let weights = weights(&fatigue);
    fatigue.required("shrink");
    let items = fatigue.list("shrink");
    if items.len() > FATIGUE_RULES_MAX {
        fatigue.source.error(
            "limit",
            fatigue.key_place("shrink"),
            format!("`shrink` has more than {FATIGUE_RULES_MAX} rules"),
            "keep those that differ",
        );
    }
    let mut shrink: Vec<Shrink> = Vec::new();
    for item in items.iter().take(FATIGUE_RULES_MAX) {
        let Some(rule) = Table::new(fatigue.source, item, "this rule") else { continue };
        let from = rule.required("from").and_then(|_| rule.count("from"));
        let caps = rule.required("caps").and_then(|_| rule.count("caps"));
        rule.finish();
        let (Some(from), Some(caps)) = (from, caps) else { continue };
        never(&rule, from, caps, shrink.last().copied());
        shrink.push(Shrink { from, caps: caps.min(100) });
    }
    shrink.sort_by_key(|rule| rule.from);
    if weights == [0; Weary::ALL.len()] {
        fatigue.source.error(
            "fatigue-never",
            fatigue.key_place("weights"),
            "every weight is 0, so nobody is ever weary",
            "give an outcome a weight, such as complained: 20",
        );
    }
    fatigue.get("about");
    fatigue.finish();
    Some((FatiguePolicy { window, ignored_after, weights, shrink }, fatigue.place()))
}

/// A duration up to the limit, `days` when it is not given.
fn within(table: &Table<'_>, key: &'static str, days: i64) -> DurationMs {
    let given = table.duration(key).unwrap_or(DurationMs::days(days));
    if given.0 <= 0 || given > DurationMs::days(FATIGUE_DAYS_MAX) {
        table.source.error(
            "bad-duration",
            table.key_place(key),
            format!("`{key}` is not between nothing and {FATIGUE_DAYS_MAX} days"),
            format!("write {key}: {days}d"),
        );
    }
    given
}

fn weights(table: &Table<'_>) -> [u32; Weary::ALL.len()] {
    const KEYS: [(&str, u32); Weary::ALL.len()] =
        [("ignored", 1), ("dismissed", 2), ("unsubscribed", 10), ("complained", 20)];
    let Some(weights) = table.table("weights", "`weights`") else {
        return KEYS.map(|(_, default)| default);
    };
    let read = KEYS.map(|(key, default)| {
        let weight = weights.count(key).unwrap_or(default);
        if weight > FATIGUE_WEIGHT_MAX {
            weights.source.error(
                "bad-limit",
                weights.key_place(key),
                format!("a weight is at most {FATIGUE_WEIGHT_MAX}"),
                "write smaller weights, and `from` by them",
            );
        }
        weight.min(FATIGUE_WEIGHT_MAX)
    });
    weights.finish();
    read
}

/// A rule that changes nothing.
fn never(rule: &Table<'_>, from: u32, caps: u32, before: Option<Shrink>) {
    let (why, remedy) = match before {
        _ if caps >= 100 => {
            (format!("`caps: {caps}` leaves every cap as it is"), "write a percentage below 100")
        }
        _ if from == 0 => {
            ("`from: 0` holds for everybody, weary or not".to_owned(), "lower the caps themselves")
        }
        Some(before) if from <= before.from => (
            format!("the rule from {} stands above it, and the higher score decides", before.from),
            "order the rules by rising `from`",
        ),
        Some(before) if caps >= before.caps => (
            format!("from {} on the caps are at {} % already", before.from, before.caps),
            "let `caps` fall as `from` rises",
        ),
        _ => return,
    };
    rule.source.error(
        "fatigue-never",
        rule.place(),
        format!("this rule never shrinks: {why}"),
        remedy,
    );
}
