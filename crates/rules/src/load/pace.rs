//! How fast messages go out: `rate` of a journey, `waves` of a send.

use crate::definitions::Waves;
use crate::duration;
use crate::limits::{PACE_MAX, WAVES_MAX};
use crate::reader::{Table, items, wrong};
use sojourn_model::DurationMs;

/// `rate: 500/h` of a journey: how far apart its messages go out.
pub(super) fn rate(table: &Table<'_>) -> Option<DurationMs> {
    let node = table.get("rate")?;
    let pace = node.text().and_then(duration::parse_pace);
    let apart = pace
        .filter(|(count, _)| (1..=PACE_MAX).contains(count))
        .map(|(count, window)| DurationMs((window.0 + i64::from(count) - 1) / i64::from(count)));
    if apart.is_none() {
        table.source.error(
            "bad-limit",
            node.place,
            format!("`rate` is {}, not a number of messages per time", node.describe()),
            format!("write it as 500/h, with a number from 1 to {PACE_MAX}"),
        );
    }
    apart
}

/// `waves: { share: [10, 30, 60], every: 2h }` of a send.
pub(super) fn waves(send: &Table<'_>, expires: Option<DurationMs>) -> Option<Waves> {
    let table = send.table("waves", "`waves`")?;
    let source = table.source;
    let node = table.required("share")?;
    let mut share = Vec::new();
    for item in items(&source, node, "share") {
        match item.number().filter(|percent| *percent > 0.0 && *percent <= 100.0) {
            Some(percent) => share.push(percent),
            None => wrong(&source, item, "a wave must be a percentage above 0, up to 100"),
        }
    }
    table.required("every");
    let every = table.duration("every");
    table.finish();
    let (every, place) = (every?, table.key_place("share"));
    if share.len() > WAVES_MAX {
        source.error("limit", place, format!("there are more than {WAVES_MAX} waves"), "join some");
        return None;
    }
    let sum: f64 = share.iter().sum();
    if (sum - 100.0).abs() > 0.001 {
        source.error(
            "waves",
            place,
            format!("the waves share out {sum} % of the people"),
            "let the shares add up to 100",
        );
    }
    if every.0 <= 0 {
        source.error(
            "bad-duration",
            table.key_place("every"),
            "waves that come at once are no waves",
            "write the time from one to the next, such as every: 2h",
        );
    }
    let waves = Waves { share, every };
    let last = waves.after(waves.share.len().saturating_sub(1));
    if expires.is_some_and(|expires| last >= expires) {
        source.error(
            "waves",
            place,
            "the last wave begins when the message has expired",
            "lengthen `expires`, or shorten `every`",
        );
    }
    Some(waves)
}
