//! A decision in words: for the marketer who asks why, and for the customer who got the message.
//!
//! Everything is read from the decision record (EXP-1); the definitions only lend the names of
//! windows and companies. Without them the sentence is a little poorer, never wrong.

use crate::{CapWindow, Definitions};
use chrono::{DateTime, Datelike, TimeZone};
use chrono_tz::Tz;
use sojourn_model::{Decision, DurationMs, Outcome, Reason, Timestamp};
use std::fmt::Write;

/// Why a message was sent, put off or refused, for a marketer: one sentence without a full stop,
/// such as `not sent: 1 of 1 marketing e-mails used in the last 24 h; next possible Tue 14:05`.
pub fn marketer(decision: &Decision, definitions: Option<&Definitions>) -> String {
    let channel = channel_noun(&decision.channel);
    match decision.outcome {
        Outcome::Approve => {
            format!("approved by {channel}{}{}", entry_words(decision), fatigue_words(decision))
        }
        Outcome::Reroute => format!(
            "approved by {channel} instead: {}{}",
            first_channel_words(decision, definitions),
            entry_words(decision)
        ),
        Outcome::Defer => {
            format!("put off: {}{}", reason_words(decision, definitions), next_words(decision))
        }
        Outcome::Suppress => {
            format!("not sent: {}{}", reason_words(decision, definitions), next_words(decision))
        }
    }
}

/// The same in plain words for the person whom it concerns, with what they can do about it.
pub fn customer(decision: &Decision, definitions: Option<&Definitions>) -> String {
    let company = definitions
        .map(|definitions| &*definitions.workspace.company.name)
        .filter(|name| !name.is_empty())
        .unwrap_or("we");
    let because = match &decision.inputs.entry_event {
        Some((event, at)) => format!(
            "because of \u{201c}{event}\u{201d} on {}",
            clock(*at, &decision.zone, Style::Date)
        ),
        None => "because of what you did with us".to_owned(),
    };
    let stop = if &*decision.purpose == "service" {
        "This message belongs to your order or visit and is no advertising".to_owned()
    } else {
        "You can stop such messages at any time with the unsubscribe link in each of them"
            .to_owned()
    };
    match decision.outcome {
        Outcome::Approve | Outcome::Reroute => {
            let agreed = match &decision.inputs.consent {
                Some((_, true, at)) => {
                    format!(", and you agreed to it on {}", clock(*at, &decision.zone, Style::Date))
                }
                _ => String::new(),
            };
            format!(
                "You got this {} from {company} {because}{agreed}. {stop}.",
                message_noun(&decision.channel)
            )
        }
        Outcome::Defer => format!(
            "A message from {company} is waiting {because}: {}. {stop}.",
            customer_reason(decision)
        ),
        Outcome::Suppress => {
            format!("A message from {company} was not sent to you: {}.", customer_reason(decision))
        }
    }
}

/// ` (Cart Updated, Tue 13:05)`: what the run entered with.
fn entry_words(decision: &Decision) -> String {
    match &decision.inputs.entry_event {
        Some((event, at)) => {
            format!(" (after {event}, {})", clock(*at, &decision.zone, Style::Weekday))
        }
        None => String::new(),
    }
}

/// `; next possible Tue 14:05` when the record knows it.
fn next_words(decision: &Decision) -> String {
    let Some(until) = decision.until else { return String::new() };
    let style =
        if until.since(decision.at) < DurationMs::days(6) { Style::Weekday } else { Style::Date };
    let when = clock(until, &decision.zone, style);
    match (decision.outcome, decision.reason) {
        (Outcome::Defer, Some(Reason::Arbitration)) => format!("; chosen {when}"),
        (Outcome::Defer, _) => format!("; looked at again {when}"),
        _ => format!("; next possible {when}"),
    }
}

/// Why the first channel of the list was not taken; the record's channel is the one that was.
fn first_channel_words(decision: &Decision, definitions: Option<&Definitions>) -> String {
    match decision.reason {
        Some(Reason::EndpointMissing) => "no address is known for the first channel".to_owned(),
        Some(Reason::EndpointSuppressed) => {
            "the address of the first channel is blocked".to_owned()
        }
        Some(Reason::NoConsent) => "there is no consent for the first channel".to_owned(),
        Some(Reason::Cap) => match &decision.inputs.rule {
            Some(rule) => cap_by_id(rule, definitions),
            None => "a cap of the first channel is full".to_owned(),
        },
        _ => reason_words(decision, definitions),
    }
}

/// `the cap email-daily (1 marketing e-mail in the last 24 h) is full`
fn cap_by_id(id: &str, definitions: Option<&Definitions>) -> String {
    let cap = definitions.and_then(|all| all.policy.caps.iter().find(|cap| &*cap.id == id));
    match cap {
        Some(cap) => format!(
            "the cap {id} ({} {} {}) is full",
            cap.at_most,
            scope_words(cap, cap.at_most != 1),
            window_words(cap.per)
        ),
        None => format!("the cap {id} is full"),
    }
}

fn reason_words(decision: &Decision, definitions: Option<&Definitions>) -> String {
    let detail = decision.inputs.detail.as_deref();
    let with = |text: &str| match detail {
        Some(detail) => format!("{text} ({detail})"),
        None => text.to_owned(),
    };
    let channel = channel_noun(&decision.channel);
    match decision.reason {
        None => "nothing stood against it".to_owned(),
        Some(Reason::Erased) => "this person was erased".to_owned(),
        Some(Reason::Killed) => with("stopped by a kill switch"),
        Some(Reason::Paused) => with(&format!("the journey {} is paused", decision.journey)),
        Some(Reason::EndpointMissing) => {
            format!("no {} is known of this person", endpoint_noun(&decision.channel))
        }
        Some(Reason::EndpointSuppressed) => match decision.inputs.rule.as_deref() {
            Some("bounce") => format!("the {} bounced", endpoint_noun(&decision.channel)),
            Some("complaint") => "a message was reported as spam from this address".to_owned(),
            Some("stop") => "the person answered STOP".to_owned(),
            _ => with(&format!("the {} is suppressed", endpoint_noun(&decision.channel))),
        },
        Some(Reason::NoConsent) => consent_words(decision, channel),
        Some(Reason::Purpose) => {
            with(&format!("data that it needs may not be used for {}", decision.purpose))
        }
        Some(Reason::Jurisdiction) => with("the law of the person's country forbids it"),
        Some(Reason::Holdout) => "the person is in the control group (holdout)".to_owned(),
        Some(Reason::Exited) => with("the journey ended first"),
        Some(Reason::GoalMet) => "the goal of the journey was already met".to_owned(),
        Some(Reason::Merged) => "the run was joined with another one of the same person".to_owned(),
        Some(Reason::OnlyIf) => with("its only_if does not hold"),
        Some(Reason::Expired) => "it expired before it could go out".to_owned(),
        Some(Reason::Arbitration) => with("another message was more important"),
        Some(Reason::Cap) => {
            format!("{}{}", cap_words(decision, definitions), fatigue_words(decision))
        }
        Some(Reason::QuietHours) => quiet_words(decision),
        Some(Reason::Content) => with("the template misses something that it needs"),
        Some(Reason::NoSlot) => slot_words(decision),
    }
}

fn slot_words(decision: &Decision) -> String {
    let detail = decision.inputs.detail.as_deref().unwrap_or_default();
    match (decision.outcome, blackout(decision)) {
        (Outcome::Defer, _) if detail.starts_with("wave ") => format!("it goes in {detail}"),
        (Outcome::Defer, _) if detail.starts_with("rate ") => {
            "its journey sends no faster".to_owned()
        }
        (Outcome::Defer, _) => "another hour suits the person better".to_owned(),
        (_, Some(id)) => format!("it expires before the blackout {id} ends"),
        _ if detail.starts_with("rate ") => {
            "its journey sends no faster, and it expires before its turn".to_owned()
        }
        _ => "no hour within reach suits: each is quiet, full or too late".to_owned(),
    }
}

/// `; caps are at 50 % (fatigue 7: 5 ignored, 1 dismissed)`, where fatigue shrinks them.
fn fatigue_words(decision: &Decision) -> String {
    let Some(fatigue) = decision.inputs.fatigue.filter(|fatigue| fatigue.caps < 100) else {
        return String::new();
    };
    let outcomes = [
        (fatigue.ignored, "ignored"),
        (fatigue.dismissed, "dismissed"),
        (fatigue.unsubscribed, "unsubscribed"),
        (fatigue.complained, "reported as spam"),
    ];
    let told: Vec<String> = outcomes
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, outcome)| format!("{count} {outcome}"))
        .collect();
    format!("; caps are at {} % (fatigue {}: {})", fatigue.caps, fatigue.score, told.join(", "))
}

/// The blackout that decided, if one did.
fn blackout(decision: &Decision) -> Option<&str> {
    decision.inputs.rule.as_deref()?.strip_prefix("blackout ")
}

fn quiet_words(decision: &Decision) -> String {
    let law = decision.inputs.rule.as_deref().and_then(|rule| rule.strip_prefix("law "));
    match (blackout(decision), law) {
        (Some(id), _) => format!("nothing goes out in the blackout {id}"),
        (_, Some("")) => "the law allows no messages at this hour".to_owned(),
        (_, Some(country)) => format!("the law of {country} allows no messages at this hour"),
        _ => "it is night where the person is".to_owned(),
    }
}

fn consent_words(decision: &Decision, channel: &str) -> String {
    let what = match &decision.topic {
        Some(topic) => format!("{}/{topic}", decision.purpose),
        None => decision.purpose.to_string(),
    };
    match &decision.inputs.consent {
        Some((_, false, at)) => format!(
            "the person said no to {what} by {channel} on {}",
            clock(*at, &decision.zone, Style::Date)
        ),
        Some((_, true, at)) => format!(
            "the consent of {} does not cover {what} by {channel}",
            clock(*at, &decision.zone, Style::Date)
        ),
        None => format!("the person never agreed to {what} by {channel}"),
    }
}

/// `1 of 1 marketing e-mails used in the last 24 h`, for every full cap.
fn cap_words(decision: &Decision, definitions: Option<&Definitions>) -> String {
    let mut text = String::new();
    for reading in decision.caps.iter().filter(|reading| reading.used >= reading.limit) {
        if !text.is_empty() {
            text.push_str(" and ");
        }
        let cap = definitions.and_then(|definitions| {
            definitions.policy.caps.iter().find(|cap| cap.id == reading.id)
        });
        let plural = reading.limit != 1;
        let _ = match cap {
            Some(cap) => write!(
                text,
                "{} of {} {} used {}",
                reading.used,
                reading.limit,
                scope_words(cap, plural),
                window_words(cap.per)
            ),
            None => {
                write!(text, "{} of {} used of the cap {}", reading.used, reading.limit, reading.id)
            }
        };
    }
    if text.is_empty() {
        // The record names the deciding rule even when the reading itself has room again.
        text = format!("the cap {} is full", decision.inputs.rule.as_deref().unwrap_or("?"));
    }
    if let Some(then) = &decision.inputs.detail {
        let _ = write!(text, ": it {then}");
    }
    text
}

/// `marketing e-mails`: what a cap counts.
fn scope_words(cap: &crate::Cap, plural: bool) -> String {
    let mut what = String::new();
    for label in [&cap.scope.purpose, &cap.scope.topic, &cap.scope.tag].into_iter().flatten() {
        let _ = write!(what, "{label} ");
    }
    what.push_str(match cap.scope.channel.as_deref() {
        Some(channel) => messages_noun(channel, plural),
        None if plural => "messages",
        None => "message",
    });
    if let Some(journey) = &cap.scope.journey {
        let _ = write!(what, " of {journey}");
    }
    what
}

fn window_words(window: CapWindow) -> String {
    match window {
        CapWindow::Rolling(duration) => format!("in the last {}", span(duration)),
        CapWindow::LocalDay => "today".to_owned(),
        CapWindow::LocalWeek => "this week".to_owned(),
        CapWindow::LocalMonth => "this month".to_owned(),
    }
}

fn customer_reason(decision: &Decision) -> &'static str {
    match decision.reason {
        Some(Reason::NoConsent | Reason::EndpointSuppressed) => "you have not agreed to it",
        Some(Reason::Cap | Reason::Arbitration) => "we do not want to write to you too often",
        Some(Reason::QuietHours) if decision.inputs.rule.is_some() => {
            "we do not write to you at this time"
        }
        Some(Reason::QuietHours) => "we do not write to you at night",
        Some(Reason::Exited | Reason::GoalMet | Reason::Merged) => "it was no longer needed",
        Some(Reason::Purpose | Reason::Jurisdiction) => "your data may not be used for it",
        Some(Reason::Erased) => "you asked us to forget you",
        _ => "it was stopped on our side",
    }
}

fn channel_noun(channel: &str) -> &str {
    match channel {
        "email" => "e-mail",
        "sms" => "SMS",
        "push" => "push message",
        "in_store" => "prompt in the shop",
        "whatsapp" => "WhatsApp",
        other => other,
    }
}

fn message_noun(channel: &str) -> &str {
    match channel {
        "email" => "e-mail",
        "sms" => "SMS",
        "push" => "notification",
        _ => "message",
    }
}

fn messages_noun(channel: &str, plural: bool) -> &str {
    match (channel, plural) {
        ("email", true) => "e-mails",
        ("email", false) => "e-mail",
        ("push", true) => "push messages",
        ("push", false) => "push message",
        ("sms", _) => "SMS",
        (_, true) => "messages",
        (_, false) => "message",
    }
}

fn endpoint_noun(channel: &str) -> &str {
    match channel {
        "email" => "e-mail address",
        "sms" | "whatsapp" | "call" => "phone number",
        "push" => "device",
        other => other,
    }
}

/// `24 h`, `7 days`, `90 min`.
fn span(duration: DurationMs) -> String {
    let ms = duration.0;
    if ms > DurationMs::hours(24).0 && ms % DurationMs::hours(24).0 == 0 {
        format!("{} days", ms / DurationMs::hours(24).0)
    } else if ms % DurationMs::hours(1).0 == 0 {
        format!("{} h", ms / DurationMs::hours(1).0)
    } else if ms % 60_000 == 0 {
        format!("{} min", ms / 60_000)
    } else {
        format!("{} s", ms / 1000)
    }
}

#[derive(Clone, Copy)]
enum Style {
    /// `Tue 14:05`
    Weekday,
    /// `Tue 3 Mar 2026`
    Date,
}

/// An instant on the person's own clock; UTC when the zone is not one we know.
fn clock(at: Timestamp, zone: &str, style: Style) -> String {
    let zone: Tz = zone.parse().unwrap_or(Tz::UTC);
    let Some(local): Option<DateTime<Tz>> = zone.timestamp_millis_opt(at.0).single() else {
        return "at an unknown time".to_owned();
    };
    match style {
        Style::Weekday => local.format("%a %H:%M").to_string(),
        Style::Date => format!("{} {} {}", local.format("%a"), local.day(), local.format("%b %Y")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AtCap, Cap, CapScope};
    use sojourn_model::{
        ActionId, CandidateId, CapReading, DecisionId, FatigueReading, Inputs, LogPosition,
        ProfileId, VersionId, ZoneSource,
    };
    use std::collections::BTreeMap;

    const HOUR: i64 = 3_600_000;
    /// Tue 3 Mar 2026 14:05 UTC.
    const AT: Timestamp = Timestamp(1_772_546_700_000);

    fn definitions() -> Definitions {
        let mut definitions = Definitions {
            version: VersionId(1),
            workspace: crate::Workspace::default(),
            plan: crate::TrackingPlan::default(),
            policy: crate::Policy::default(),
            segments: BTreeMap::new(),
            journeys: Vec::new(),
            templates: BTreeMap::new(),
            by_event: BTreeMap::new(),
            tracked: BTreeMap::new(),
        };
        definitions.workspace.company.name = "Marlow Bakery".into();
        definitions.policy.caps = vec![Cap {
            id: "email-daily".into(),
            at_most: 1,
            per: CapWindow::Rolling(DurationMs::hours(24)),
            scope: CapScope {
                channel: Some("email".into()),
                purpose: Some("marketing".into()),
                ..CapScope::default()
            },
            at_cap: AtCap::Drop,
        }];
        definitions
    }

    fn decision(outcome: Outcome, reason: Option<Reason>) -> Decision {
        let candidate = CandidateId { profile: ProfileId(7), run: 1, step: 2, visit: 0 };
        Decision {
            id: DecisionId { position: LogPosition { partition: 0, offset: 9 }, index: 0 },
            at: AT,
            candidate,
            profile: ProfileId(7),
            identifiers: Vec::new(),
            journey: "abandoned-cart".into(),
            version: VersionId(1),
            run_key: None,
            step: "remind".into(),
            channel: "email".into(),
            endpoint: None,
            purpose: "marketing".into(),
            topic: Some("reminders".into()),
            outcome,
            reason,
            until: None,
            action: Some(ActionId(candidate)),
            caps: vec![CapReading { id: "email-daily".into(), used: 1, limit: 1 }],
            zone: "Europe/London".into(),
            zone_source: ZoneSource::Workspace,
            inputs: Inputs {
                entry_event: Some(("Cart Updated".into(), AT.minus(DurationMs(HOUR)))),
                ..Inputs::default()
            },
        }
    }

    #[test]
    fn a_full_cap_says_how_full_and_when_next() {
        let mut refused = decision(Outcome::Suppress, Some(Reason::Cap));
        refused.until = Some(AT.plus(DurationMs::hours(24)));
        assert_eq!(
            marketer(&refused, Some(&definitions())),
            "not sent: 1 of 1 marketing e-mail used in the last 24 h; next possible Wed 14:05"
        );
        assert_eq!(
            marketer(&refused, None),
            "not sent: 1 of 1 used of the cap email-daily; next possible Wed 14:05"
        );
    }

    #[test]
    fn an_approval_names_what_it_came_from() {
        assert_eq!(
            marketer(&decision(Outcome::Approve, None), None),
            "approved by e-mail (after Cart Updated, Tue 13:05)"
        );
    }

    #[test]
    fn another_channel_says_why_not_the_first() {
        let mut rerouted = decision(Outcome::Reroute, Some(Reason::NoConsent));
        rerouted.channel = "push".into();
        rerouted.inputs.consent = Some(("m1".into(), true, AT));
        assert_eq!(
            marketer(&rerouted, None),
            "approved by push message instead: there is no consent for the first channel (after \
             Cart Updated, Tue 13:05)"
        );
        rerouted.reason = Some(Reason::Cap);
        rerouted.caps.clear();
        rerouted.inputs.rule = Some("email-daily".into());
        assert_eq!(
            marketer(&rerouted, Some(&definitions())),
            "approved by push message instead: the cap email-daily (1 marketing e-mail in the last \
             24 h) is full (after Cart Updated, Tue 13:05)"
        );
    }

    #[test]
    fn consent_tells_a_no_from_silence() {
        let mut refused = decision(Outcome::Suppress, Some(Reason::NoConsent));
        assert_eq!(
            marketer(&refused, None),
            "not sent: the person never agreed to marketing/reminders by e-mail"
        );
        refused.inputs.consent = Some(("m1".into(), false, AT));
        assert_eq!(
            marketer(&refused, None),
            "not sent: the person said no to marketing/reminders by e-mail on Tue 3 Mar 2026"
        );
    }

    #[test]
    fn a_customer_learns_why_and_how_to_stop_it() {
        let mut sent = decision(Outcome::Approve, None);
        sent.inputs.consent = Some(("m1".into(), true, AT.minus(DurationMs::days(10))));
        assert_eq!(
            customer(&sent, Some(&definitions())),
            "You got this e-mail from Marlow Bakery because of \u{201c}Cart Updated\u{201d} on \
             Tue 3 Mar 2026, and you agreed to it on Sat 21 Feb 2026. You can stop such messages \
             at any time with the unsubscribe link in each of them."
        );
    }

    #[test]
    fn a_shrunk_cap_says_by_what() {
        let mut refused = decision(Outcome::Suppress, Some(Reason::Cap));
        let fatigue = FatigueReading {
            score: 7,
            ignored: 5,
            dismissed: 1,
            caps: 50,
            ..FatigueReading::default()
        };
        refused.inputs.fatigue = Some(fatigue);
        refused.caps[0].used = 2;
        assert_eq!(
            marketer(&refused, None),
            "not sent: 2 of 1 used of the cap email-daily; caps are at 50 % (fatigue 7: 5 ignored, 1 \
             dismissed)"
        );
        refused.inputs.fatigue = Some(FatigueReading { caps: 100, ..fatigue });
        assert!(!marketer(&refused, None).contains("fatigue"));
    }

    #[test]
    fn a_slot_says_what_holds_it() {
        let mut waits = decision(Outcome::Defer, Some(Reason::NoSlot));
        for (detail, words) in [
            ("wave 2 of 3", "put off: it goes in wave 2 of 3"),
            ("rate of the journey", "put off: its journey sends no faster"),
        ] {
            waits.inputs.detail = Some(detail.into());
            assert_eq!(marketer(&waits, None), words);
        }
    }

    #[test]
    fn a_quiet_time_says_whose() {
        let mut waits = decision(Outcome::Defer, Some(Reason::QuietHours));
        for (rule, words) in [
            (None, "put off: it is night where the person is"),
            (Some("blackout xmas"), "put off: nothing goes out in the blackout xmas"),
            (Some("law FR"), "put off: the law of FR allows no messages at this hour"),
        ] {
            waits.inputs.rule = rule.map(Into::into);
            assert_eq!(marketer(&waits, None), words);
        }
    }

    #[test]
    fn every_reason_has_words_for_both_readers() {
        for reason in Reason::ALL {
            for outcome in [Outcome::Suppress, Outcome::Defer, Outcome::Reroute] {
                let decision = decision(outcome, Some(reason));
                let words = marketer(&decision, Some(&definitions()));
                assert!(words.len() > 20 && !words.contains("None"), "{words}");
                assert!(customer(&decision, Some(&definitions())).ends_with('.'));
            }
        }
    }
}
