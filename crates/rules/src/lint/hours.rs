//! Quiet hours and blackouts that leave nothing.

use crate::definitions::{Blackout, QuietHours};
use crate::finding::Source;
use crate::load::Context;
use chrono::{Datelike, NaiveDate};

const DAY_MINUTES: usize = 24 * 60;
const WEEK_MINUTES: usize = 7 * DAY_MINUTES;
const YEAR_DAYS: usize = 365;

/// Marks the minutes of a week that a window takes.
fn mark(week: &mut [bool], window: &QuietHours) {
    let (from, to) = (usize::from(window.from), usize::from(window.to));
    let length = if to <= from { DAY_MINUTES - from + to } else { to - from };
    for day in (0..7).filter(|day| window.on & (1 << day) != 0) {
        for minute in 0..length {
            week[(day * DAY_MINUTES + from + minute) % WEEK_MINUTES] = true;
        }
    }
}

/// Windows that together leave no minute of the week to a channel and purpose.
pub(super) fn never_open(source: Source<'_>, context: &Context<'_>) {
    let policy = context.policy;
    let mut channels: Vec<&str> = context.workspace.channels.keys().map(|name| &**name).collect();
    channels
        .extend(policy.quiet_hours.iter().flat_map(|window| &window.channels).map(|name| &**name));
    channels.sort_unstable();
    channels.dedup();
    for channel in channels {
        for purpose in
            policy.purposes.iter().filter(|purpose| !purpose.data && !purpose.exempt_quiet_hours)
        {
            let mut quiet = [false; WEEK_MINUTES];
            let mut last = None;
            let windows = policy.quiet_hours.iter().zip(&context.policy_places.quiet_hours);
            for (window, place) in windows {
                // Windows of no length have their own finding.
                let empty = window.from == window.to && window.on == crate::EVERY_DAY;
                if window.concerns(channel, &purpose.name) && !empty {
                    last = Some(*place);
                    mark(&mut quiet, window);
                }
            }
            let Some(place) = last else { continue };
            // What the law of every listed country takes is not looked at: it differs.
            if quiet.iter().all(|&quiet| quiet) {
                source.error(
                    "quiet-always",
                    place,
                    format!(
                        "quiet hours leave no minute of the week to `{channel}` for `{}`",
                        purpose.name
                    ),
                    "shorten one of the windows",
                );
                return;
            }
        }
    }
}

/// Marks the days of a year that a yearly blackout touches.
fn mark_days(year: &mut [bool], blackout: &Blackout) {
    for (from, to) in &blackout.spans {
        let ordinal = |day: NaiveDate| day.ordinal0() as usize % YEAR_DAYS;
        let last = (*to - chrono::TimeDelta::milliseconds(1)).date();
        let days = usize::try_from((last - from.date()).num_days()).unwrap_or(0) + 1;
        for day in 0..days.min(YEAR_DAYS) {
            year[(ordinal(from.date()) + day) % YEAR_DAYS] = true;
        }
    }
}

/// Yearly blackouts that together leave no day to anybody.
pub(super) fn always_blacked_out(source: Source<'_>, context: &Context<'_>) {
    let mut year = [false; YEAR_DAYS];
    let blackouts = context.policy.blackouts.iter().zip(&context.policy_places.blackouts);
    for (blackout, place) in blackouts {
        let all = blackout.channels.is_empty()
            && blackout.purposes.is_empty()
            && blackout.countries.is_empty();
        if !all || !blackout.yearly {
            continue;
        }
        mark_days(&mut year, blackout);
        if year.iter().all(|&out| out) {
            source.error(
                "blackout-span",
                *place,
                format!("with the blackout `{}` no day of the year is left", blackout.id),
                "shorten it; to stop all messages, use `sojourn kill`",
            );
            return;
        }
    }
}
