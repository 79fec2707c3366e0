//! When a message may go: quiet hours of the policy and of the law, blackouts, and the ramp after
//! them, in one plan (semantics 5).

use super::share_of;
use crate::consent::{ChannelKind, channel_kind};
use crate::mutation::{Mutation, mutated};
use crate::step::Step;
use crate::timing::{QuietPlan, When, Window, ZoneUsed, parse_zone};
use chrono_tz::Tz;
use smallvec::SmallVec;
use sojourn_model::{DurationMs, Timestamp, ZoneSource};
use sojourn_rules::normalize::country_zones;
use sojourn_rules::{QuietHours, Send};

impl Step<'_> {
    /// The windows of a message, in the person's zone; where it is not known and the policy is
    /// strict, in every zone of the person's country.
    pub(super) fn quiet_plan(&self, send: &Send, channel: &str, zone: ZoneUsed) -> QuietPlan {
        let mut plan = QuietPlan::default();
        let Some(current) = &self.shared.current else { return plan };
        let policy = &current.definitions.policy;
        let exempt = policy.purpose(&send.purpose).is_some_and(|(_, p)| p.exempt_quiet_hours);
        let phone = channel_kind(channel) == ChannelKind::Phone;
        // The law's hours always apply to messages and calls to a phone.
        let law = (phone || !exempt) && self.shared.law.quiet.iter().any(|c| **c == *channel);
        let strict = policy.strict_zones && zone.source == ZoneSource::Workspace;
        let asked =
            strict || law || policy.blackouts.iter().any(|blackout| !blackout.countries.is_empty());
        let country = if asked { self.country() } else { String::new() };
        let zones = self.zones_of_plan(zone, strict, &country);
        let mut add = |when, drop, ramp, rule: Option<String>| {
            let rule = rule.map(Into::into);
            for zone in &zones {
                plan.add(Window { zone: *zone, when, drop, ramp, rule: rule.clone() });
            }
        };
        // A blackout goes before the nights in it: its `then` decides.
        let blackouts = policy.blackouts.iter().filter(|_| !exempt);
        for blackout in blackouts.filter(|b| b.concerns(channel, &send.purpose, &country)) {
            for (from, to) in &blackout.spans {
                let when = When::Span { from: *from, to: *to, yearly: blackout.yearly };
                let rule = format!("blackout {}", blackout.id);
                add(when, blackout.drop, blackout.ramp, Some(rule));
            }
        }
        let daily =
            |hours: &QuietHours| When::Daily { from: hours.from, to: hours.to, on: hours.on };
        let hours = policy.quiet_hours.iter().filter(|_| !exempt);
        for hours in hours.filter(|hours| hours.concerns(channel, &send.purpose)) {
            add(daily(hours), hours.drop, hours.ramp, None);
        }
        let hours = policy.jurisdictions.quiet_hours(&country).iter().filter(|_| law);
        for hours in hours.filter(|hours| hours.concerns(channel, &send.purpose)) {
            add(daily(hours), false, hours.ramp, Some(format!("law {country}")));
        }
        plan
    }

    fn zones_of_plan(&self, zone: ZoneUsed, strict: bool, country: &str) -> SmallVec<[Tz; 4]> {
        let mut zones: SmallVec<[Tz; 4]> = SmallVec::new();
        if mutated(Mutation::QuietHoursInUtc) {
            zones.push(chrono_tz::UTC);
            return zones;
        }
        if strict {
            zones.extend(country_zones(country).iter().filter_map(|name| parse_zone(name)));
        }
        // Without a country, or with one that has no zone, the workspace's stands.
        if zones.is_empty() {
            zones.push(zone.zone);
        }
        zones
    }

    /// When a person's messages leave a quiet time that ends at `end`: at a place of the ramp that
    /// is the person's own, before they expire, and not in another quiet time. All of one person
    /// leave together, the highest rank first.
    pub(super) fn leaves(
        &self,
        plan: &QuietPlan,
        end: Timestamp,
        ramp: DurationMs,
        expires: Option<Timestamp>,
    ) -> Timestamp {
        let room = expires.map_or(ramp.0, |expires| ramp.0.min(expires.since(end).0));
        if room <= 0 {
            return end;
        }
        let share = share_of(&format!("ramp {}", end.0), self.profile.id);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "a part of a ramp of hours, in whole seconds"
        )]
        let offset = (share * room as f64) as i64 / 1_000 * 1_000;
        let at = end.plus(DurationMs(offset));
        if plan.at(at).is_some() { end } else { at }
    }
}
