//! Why somebody did not get a journey: its last decision about them, or the entry that was refused,
//! or what never happened.

use crate::queries::{Queries, ROWS_MAX};
use crate::rows;
use anyhow::{Context, Result};
use chrono::TimeZone;
use chrono_tz::Tz;
use serde_json::{Value, json};
use sojourn_model::{Decision, Name, Note, NoteKind, Record, Timestamp};
use sojourn_ports::Topic;
use sojourn_proto::{DecisionRecord, decode_decision_record, decode_profile_record};
use sojourn_rules::{Definitions, Journey, Reentry, Trigger, explain};

/// What the log says of one person and one journey.
#[derive(Default)]
struct Story {
    decided: Option<Decision>,
    entered: Vec<Timestamp>,
    /// The newest run's last step and how long it waits there.
    moved: Option<(Timestamp, Name, Option<Timestamp>)>,
    ended: Option<(Timestamp, Name)>,
    refused: Option<(Timestamp, Name)>,
    /// Events that the journey begins with: how many, and the last.
    seen: u64,
    last_seen: Option<(Timestamp, String)>,
}

impl Queries {
    /// Why `person` did not get `journey`: `sentence`, `because` (`decided`, `running`, `ended`,
    /// `refused`, `filter`, `never_seen`, `never_matched`), `at`, `next_eligible`, and the decision
    /// where there is one.
    pub fn why_not(&self, person: &str, journey: &str) -> Result<Value> {
        let definitions = self.current()?;
        let found = definitions.journey(journey).with_context(|| {
            let names: Vec<_> = definitions.journeys.iter().map(|one| &*one.name).collect();
            format!("there is no journey `{journey}`: take one of {}", names.join(", "))
        })?;
        let profile = self.person(person)?;
        let mut story = Story::default();
        for life in self.lives(profile)? {
            for entry in self.index.person(Topic::Decisions, life, ROWS_MAX)? {
                match decode_decision_record(&entry.value)?.1 {
                    DecisionRecord::Decision(decision) => story.decision(*decision, journey),
                    DecisionRecord::Note(note) => story.note(&note, journey),
                }
            }
            let Trigger::Event(rule) = &found.entry.trigger else { continue };
            for entry in self.index.person(Topic::Profiles, life, ROWS_MAX)? {
                if let Record::Touchpoint { touchpoint, .. } =
                    &decode_profile_record(&entry.value)?.record
                    && rule.on.iter().any(|name| **name == *touchpoint.event)
                {
                    story.seen += 1;
                    let last = (entry.log_time, touchpoint.event.to_string());
                    story.last_seen = story.last_seen.take().max(Some(last));
                }
            }
        }
        let mut answer = story.answer(found, &definitions);
        answer["profile"] = profile.to_string().into();
        answer["journey"] = journey.into();
        Ok(answer)
    }
}

impl Story {
    fn decision(&mut self, decision: Decision, journey: &str) {
        let newer = self.decided.as_ref().is_none_or(|known| known.at <= decision.at);
        if *decision.journey == *journey && newer {
            self.decided = Some(decision);
        }
    }

    fn note(&mut self, note: &Note, wanted: &str) {
        let at = note.at;
        match &note.kind {
            NoteKind::Entered { journey, .. } if **journey == *wanted => {
                self.entered.push(at);
            }
            NoteKind::Moved { journey, step, until, .. }
            | NoteKind::Migrated { journey, step, until, .. }
                if **journey == *wanted && self.moved.as_ref().is_none_or(|one| one.0 <= at) =>
            {
                self.moved = Some((at, step.clone(), *until));
            }
            NoteKind::Ended { journey, reason, .. }
                if **journey == *wanted && self.ended.as_ref().is_none_or(|one| one.0 <= at) =>
            {
                self.ended = Some((at, reason.clone()));
            }
            NoteKind::EntryRefused { journey, reason, .. }
                if **journey == *wanted && self.refused.as_ref().is_none_or(|one| one.0 <= at) =>
            {
                self.refused = Some((at, reason.clone()));
            }
            _ => {}
        }
    }

    /// The newest thing that happened explains it.
    fn answer(mut self, journey: &Journey, definitions: &Definitions) -> Value {
        self.entered.sort_unstable();
        let zone = definitions.workspace.time_zone.parse().unwrap_or(Tz::UTC);
        let clock = |at: Timestamp| clock(at, zone);
        let decided = self.decided.as_ref().map(|decision| decision.at);
        let entered = self.entered.last().copied();
        let refused = self.refused.as_ref().map(|(at, _)| *at);
        if refused.is_some()
            && refused > decided
            && refused > entered
            && let Some((at, reason)) = &self.refused
        {
            let next = self.next_entry(journey);
            let mut sentence = format!(
                "not begun on {}: {}",
                clock(*at),
                refusal(reason, journey, &self.last_seen)
            );
            if let Some(next) = next {
                sentence.push_str(&format!("; possible again from {}", clock(next)));
            }
            return answer("refused", sentence, Some(*at), next);
        }
        if let Some(decision) = &self.decided
            && decided >= entered
        {
            let sentence = format!(
                "the last decision, step {} on {}: {}",
                decision.step,
                clock(decision.at),
                explain::marketer(decision, Some(definitions))
            );
            let mut answer = answer("decided", sentence, decided, decision.until);
            answer["decision"] = rows::decision(decision, Some(definitions));
            return answer;
        }
        if let Some(began) = entered {
            return match &self.ended {
                Some((at, reason)) if *at >= began => {
                    let sentence = format!(
                        "begun on {} and ended on {}, before anything was to be sent: {}",
                        clock(began),
                        clock(*at),
                        ending(reason)
                    );
                    answer("ended", sentence, Some(*at), None)
                }
                _ => self.running(began, &clock),
            };
        }
        self.never(journey, &clock)
    }

    fn running(&self, began: Timestamp, clock: &dyn Fn(Timestamp) -> String) -> Value {
        let mut sentence = format!("begun on {}; nothing was to be sent yet", clock(began));
        let mut next = None;
        if let Some((_, step, until)) = &self.moved {
            sentence.push_str(&format!(": waiting at step {step}"));
            if let Some(until) = until {
                sentence.push_str(&format!(" until {}", clock(*until)));
                next = Some(*until);
            }
        }
        answer("running", sentence, Some(began), next)
    }

    /// No run and no refused entry: nothing ever asked for one.
    fn never(&self, journey: &Journey, clock: &dyn Fn(Timestamp) -> String) -> Value {
        let Trigger::Event(rule) = &journey.entry.trigger else {
            let sentence = "never begun: what begins it has not happened with this person since it \
                            was published";
            return answer("never_matched", sentence.to_owned(), None, None);
        };
        let names: Vec<_> = rule.on.iter().map(|name| format!("\u{201c}{name}\u{201d}")).collect();
        let names = names.join(" or ");
        let Some((last, event)) = &self.last_seen else {
            let sentence =
                format!("never begun: it begins with {names}, which this person never did");
            return answer("never_seen", sentence, None, None);
        };
        let times = if self.seen == 1 { "once".to_owned() } else { format!("{} times", self.seen) };
        let condition = match &rule.when {
            Some(when) => format!("`{}` was not true then", when.text),
            None => "at that time it was not published yet, or the event came by import".to_owned(),
        };
        let sentence = format!(
            "never begun: \u{201c}{event}\u{201d} came {times}, last on {}, but {condition}",
            clock(*last)
        );
        answer("filter", sentence, Some(*last), None)
    }

    /// When time alone would let them in again.
    fn next_entry(&self, journey: &Journey) -> Option<Timestamp> {
        let (_, reason) = self.refused.as_ref()?;
        let plus = |at: &Timestamp, gap: i64| at.0.checked_add(gap).map(Timestamp);
        match (&**reason, journey.entry.reentry, journey.entry.at_most) {
            ("reentry", Reentry::After(gap), _) => plus(self.entered.last()?, gap.0),
            ("at_most", _, Some((most, window))) => {
                let place = self.entered.len().checked_sub(most as usize)?;
                plus(self.entered.get(place)?, window.0)
            }
            _ => None,
        }
    }
}

fn answer(
    because: &str,
    sentence: String,
    at: Option<Timestamp>,
    next: Option<Timestamp>,
) -> Value {
    json!({
        "because": because,
        "sentence": sentence,
        "at": at.map(rows::rfc3339),
        "next_eligible": next.map(rows::rfc3339),
        "decision": null,
    })
}

/// Why an entry was refused, in words.
fn refusal(reason: &str, journey: &Journey, seen: &Option<(Timestamp, String)>) -> String {
    let event = seen.as_ref().map_or("the event", |(_, event)| event);
    match reason {
        "reentry" => match journey.entry.reentry {
            Reentry::Never => {
                "they have been in it before, and it is for once in a lifetime".into()
            }
            Reentry::After(_) => "they have been in it too recently".into(),
            _ => "they were in it already".into(),
        },
        "no_key" => format!("{event} did not carry the field that names the run"),
        "at_most" => "they have been in it as often as the journey allows".into(),
        "concurrent" => "they have as many runs of it at once as the journey allows".into(),
        "accept_late" => format!("{event} arrived too late to begin it"),
        "exited" => "what ends the journey had already happened".into(),
        "paused" => "the journey was paused".into(),
        "stopped" => "the journey was stopped".into(),
        "imported" => "imported history begins nothing".into(),
        other => other.to_owned(),
    }
}

/// Why a run ended, in words.
fn ending(reason: &str) -> String {
    match reason {
        "goal_met" => "its goal was met".into(),
        "exited" => "what ends the journey happened".into(),
        "done" => "it came to its end on a path without a message".into(),
        "stopped" => "the journey was stopped".into(),
        "merged" => "another run of the same person went further".into(),
        "no_date" => "the date that it waits for is not known".into(),
        other => other.strip_prefix("exit: ").unwrap_or(other).to_owned(),
    }
}

fn clock(at: Timestamp, zone: Tz) -> String {
    zone.timestamp_millis_opt(at.0)
        .single()
        .map_or_else(|| rows::rfc3339(at), |local| local.format("%a %-d %b %Y %H:%M").to_string())
}
