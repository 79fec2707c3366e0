//! Records as lines for people: the same for `tail`, `person timeline` and the demo. Whole pages are
//! in [`crate::pages`].
//!
//! The JSON is AdminService's (admin.proto says its shape); a field that is missing makes a poorer
//! line, never an error.

use crate::term::{Ink, clean, fit, paint, wrap};
use crate::when;
use chrono_tz::Tz;
use serde_json::Value;
use sojourn_model::Timestamp;
use std::collections::BTreeMap;

/// Width of the column with the person's name.
const PERSON_WIDTH: usize = 14;
/// Width of the column that says what kind of thing happened, and where.
const PLACE_WIDTH: usize = 9;
/// Names that are remembered at most; beyond it the oldest profile ids show as ids again.
const NAMES_MAX: usize = 100_000;
/// Properties of a touchpoint that are shown.
const PROPERTIES_MAX: usize = 3;

/// Remembers the messages that decisions approved: a delivery may be told before the server has
/// indexed what it belongs to, and then lacks its journey.
#[derive(Default)]
pub(crate) struct Memory(BTreeMap<String, Value>);

impl Memory {
    /// Fills in what a delivery lacks.
    pub(crate) fn complete(&mut self, kind: &str, record: &mut Value) {
        let action = text(record, "action_id");
        if action.is_empty() {
            return;
        }
        if kind == "decision" && self.0.len() < NAMES_MAX {
            let kept = MEMBERS.map(|key| (key.to_owned(), record[key].clone()));
            self.0.insert(action, Value::Object(kept.into_iter().collect()));
        } else if kind == "delivery"
            && let Some(decided) = self.0.get(&action)
        {
            for key in MEMBERS {
                if record[key].is_null() {
                    record[key] = decided[key].clone();
                }
            }
        }
    }
}

/// What a delivery takes from its decision.
const MEMBERS: [&str; 5] = ["journey", "step", "template", "channel", "endpoint"];

/// One record, ready to be laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    /// When, by the log.
    pub(crate) at: Option<Timestamp>,
    /// Whose.
    pub(crate) profile: String,
    /// `web`, `journey`, `decision`, `e-mail`, …
    pub(crate) place: String,
    /// Colour of the place.
    pub(crate) place_ink: Ink,
    /// The first words, in colour.
    pub(crate) head: String,
    /// Their colour.
    pub(crate) head_ink: Ink,
    /// The rest.
    pub(crate) rest: String,
}

/// Turns records into lines and remembers who is who.
pub(crate) struct Teller {
    zone: Tz,
    width: usize,
    /// What a profile is called, and how well that name is known: less is better.
    names: BTreeMap<String, (usize, String)>,
}

impl Teller {
    /// Times on the clock of `zone`, lines no wider than `width`.
    pub(crate) fn new(zone: Tz, width: usize) -> Self {
        Self { zone, width, names: BTreeMap::new() }
    }

    /// Remembers what a profile is called, whatever else its records say.
    pub(crate) fn name(&mut self, profile: &str, name: &str) {
        self.learn(profile, 0, name);
    }

    fn learn(&mut self, profile: &str, rank: usize, name: &str) {
        let known = self.names.get(profile).map(|(rank, _)| *rank);
        if known.is_none() && self.names.len() >= NAMES_MAX
            || known.is_some_and(|known| known < rank)
        {
            return;
        }
        self.names.insert(profile.to_owned(), (rank, name.to_owned()));
    }

    /// What a profile is called: by its strongest identifier seen, else its id.
    pub(crate) fn called<'a>(&'a self, profile: &'a str) -> &'a str {
        self.names.get(profile).map_or(profile, |(_, name)| name)
    }

    /// The line of a record; `None` for one that says nothing to people.
    pub(crate) fn line(&mut self, kind: &str, record: &Value) -> Option<String> {
        let profile = text(record, "profile");
        if let Some((rank, label)) = label(record)
            && !profile.is_empty()
        {
            self.learn(&profile, rank, &label);
        }
        // What a channel reported stands beside as a delivery.
        if kind == "touchpoint" && text(record, "event").starts_with("Message ") {
            return None;
        }
        let shown = show(kind, record, self.zone)?;
        Some(self.lay_out(&shown))
    }

    /// Columns: time, person, place, what; a long text goes on below itself.
    pub(crate) fn lay_out(&self, shown: &Shown) -> String {
        let at = shown.at.map_or_else(String::new, |at| when::weekday(at, self.zone));
        let before = 10 + PERSON_WIDTH + 1 + PLACE_WIDTH + 1;
        let room = self.width.saturating_sub(before).max(ROOM_MIN);
        let used = shown.head.chars().count() + 1;
        let mut parts = wrap(&shown.rest, room.saturating_sub(used), room, LINES_MAX).into_iter();
        let first = parts.next().unwrap_or_default();
        let mut line = format!(
            "{} {} {} {} {first}",
            paint(Ink::Dim, &fit(&at, 9)),
            paint(Ink::Person, &fit(&clean(self.called(&shown.profile)), PERSON_WIDTH)),
            paint(shown.place_ink, &fit(&shown.place, PLACE_WIDTH)),
            paint(shown.head_ink, &shown.head),
        );
        for part in parts {
            line = format!("{}\n{}{part}", line.trim_end(), " ".repeat(before));
        }
        line.trim_end().to_owned()
    }
}

/// Lines that one text takes at most; what is longer is cut.
const LINES_MAX: usize = 3;
/// A text is never squeezed below this.
const ROOM_MIN: usize = 24;

/// A record in words.
pub(crate) fn show(kind: &str, record: &Value, zone: Tz) -> Option<Shown> {
    let mut shown = match kind {
        "touchpoint" => touchpoint(record, zone),
        "decision" => decision(record),
        "note" => note(record, zone)?,
        "delivery" => delivery(record),
        _ => return None,
    };
    shown.at = when::from_json(&record["at"]);
    shown.profile = text(record, "profile");
    shown.head = clean(&shown.head);
    shown.rest = clean(&shown.rest);
    Some(shown)
}

fn line(place: &str, place_ink: Ink, head: String, head_ink: Ink, rest: String) -> Shown {
    Shown {
        at: None,
        profile: String::new(),
        place: place.to_owned(),
        place_ink,
        head,
        head_ink,
        rest,
    }
}

fn touchpoint(record: &Value, zone: Tz) -> Shown {
    let mut rest = properties(&record["properties"]);
    if record["event"] == "Identified" {
        rest = label(record).map(|(_, who)| format!("as {who}")).unwrap_or_default();
    }
    let late = match (when::from_json(&record["occurred_at"]), when::from_json(&record["at"])) {
        (Some(occurred), Some(at)) if at.since(occurred).0 > LATE_MS => Some(occurred),
        _ => None,
    };
    if let Some(occurred) = late {
        let at = when::from_json(&record["at"]).unwrap_or(occurred);
        rest = format!("{rest} (late: it happened {})", when::near(occurred, at, zone));
    }
    if record["imported"] == true {
        rest.push_str(" (imported)");
    }
    let channel = text(record, "channel");
    line(&channel, Ink::Place, text(record, "event"), Ink::Bold, rest)
}

/// A touchpoint is called late in a line when it comes this long after it happened.
const LATE_MS: i64 = 15 * 60 * 1000;

/// `walnut rye, value 24.5`: what a person would tell of the properties.
fn properties(properties: &Value) -> String {
    let Some(map) = properties.as_object() else { return String::new() };
    let (mut words, mut numbers) = (Vec::new(), Vec::new());
    for (key, value) in map {
        // Ids and addresses tell people nothing.
        if key.ends_with("_id") || UNTOLD.contains(&key.as_str()) {
            continue;
        }
        match value {
            Value::String(text) if text.len() <= 60 => words.push(text.clone()),
            Value::Number(number) => {
                let number = number.as_f64().unwrap_or_default();
                numbers.push(format!("{key} {number}"));
            }
            Value::Bool(true) => words.push(key.clone()),
            _ => {}
        }
    }
    words.append(&mut numbers);
    words.truncate(PROPERTIES_MAX);
    words.join(", ")
}

/// Properties that say nothing to a reader.
const UNTOLD: [&str; 9] = [
    "endpoint",
    "loyalty_card",
    "instagram",
    "channel",
    "purpose",
    "topic",
    "journey",
    "step",
    "template",
];

fn decision(record: &Value) -> Shown {
    let outcome = record["outcome"].as_str().unwrap_or("");
    let ink = match outcome {
        "approve" | "reroute" => Ink::Good,
        "defer" => Ink::Warn,
        _ => Ink::Bad,
    };
    let why = text(record, "why");
    let why = if why.is_empty() {
        format!("{outcome}: {}", record["reason"].as_str().unwrap_or("no reason against it"))
    } else {
        why
    };
    // `not sent: 1 of 1 …`: the verdict in colour, then the reason.
    let (head, rest) = match why.split_once(": ") {
        Some((head, rest)) => (format!("{head}:"), rest.to_owned()),
        None => match why.split_once(" (") {
            Some((head, rest)) => (head.to_owned(), format!("({rest}")),
            None => (why, String::new()),
        },
    };
    let message = match record["template"].as_str() {
        Some(template) => template.to_owned(),
        None => format!("{}/{}", text(record, "journey"), text(record, "step")),
    };
    line("decision", Ink::Journey, format!("{message} {head}"), ink, rest)
}

fn note(record: &Value, zone: Tz) -> Option<Shown> {
    let journey = text(record, "journey");
    let of_journey =
        |words: String, ink: Ink| line("journey", Ink::Journey, journey.clone(), ink, words);
    let reason = || text(record, "reason");
    Some(match record["note"].as_str()? {
        "entered" => of_journey(format!("begins after {}", text(record, "event")), Ink::Journey),
        "entry_refused" => {
            of_journey(format!("does not begin: {}", entry_words(&reason())), Ink::Dim)
        }
        "moved" => {
            let step = text(record, "step");
            let words = match when::from_json(&record["until"]) {
                Some(until) => {
                    let now = when::from_json(&record["at"]).unwrap_or(until);
                    format!("waits until {} ({step})", when::near(until, now, zone))
                }
                None => format!("is at {step}"),
            };
            of_journey(words, Ink::Journey)
        }
        "migrated" => {
            let (version, step) = (text(record, "version"), text(record, "step"));
            of_journey(format!("goes on in version {version} ({step})"), Ink::Journey)
        }
        "ended" => of_journey(format!("ends: {}", end_words(&reason())), Ink::Journey),
        "converted" => {
            let value = record["value"]
                .as_f64()
                .map(|value| format!(", worth {value}"))
                .unwrap_or_default();
            of_journey(format!("reached its goal{value}"), Ink::Good)
        }
        "correction" => of_journey(format!("in hindsight: {}", text(record, "detail")), Ink::Warn),
        "consent" => {
            let granted = record["granted"] == true;
            let what = match record["topic"].as_str() {
                Some(topic) => format!("{}/{topic}", text(record, "purpose")),
                None => text(record, "purpose"),
            };
            let by = record["channel"].as_str().map(|by| format!(" by {by}")).unwrap_or_default();
            let (head, ink) = if granted { ("said yes", Ink::Good) } else { ("said no", Ink::Bad) };
            line("consent", Ink::Warn, head.to_owned(), ink, format!("to {what}{by}"))
        }
        "suppressed" => line(
            "consent",
            Ink::Warn,
            "address blocked:".to_owned(),
            Ink::Bad,
            format!("{} ({})", text(record, "kind"), text(record, "channel")),
        ),
        "merged" => line(
            "person",
            Ink::Person,
            "recognised:".to_owned(),
            Ink::Good,
            "two histories turn out to be one person, and become one".to_owned(),
        ),
        "unmerged" => {
            line("person", Ink::Person, "taken apart again".to_owned(), Ink::Warn, String::new())
        }
        "limit" => line(
            "limit",
            Ink::Warn,
            text(record, "what"),
            Ink::Warn,
            format!("at most {}", record["limit"]),
        ),
        _ => return None,
    })
}

fn entry_words(reason: &str) -> String {
    match reason {
        "reentry" => "it has run for this person already".to_owned(),
        "at_most" => "it has run often enough for this person".to_owned(),
        "concurrent" => "enough runs of this person are on their way".to_owned(),
        "accept_late" => "it happened too long ago".to_owned(),
        "exited" => "what would end it has happened already".to_owned(),
        "no_key" => "the event lacks the field that tells runs apart".to_owned(),
        "paused" => "the journey is paused".to_owned(),
        "killed" => "stopped by a kill switch".to_owned(),
        "imported" => "history never triggers".to_owned(),
        other => other.to_owned(),
    }
}

fn end_words(reason: &str) -> String {
    match reason {
        "done" => "every step is done".to_owned(),
        "exited" => "what it waited for has become unnecessary".to_owned(),
        "goal_met" => "its goal is reached".to_owned(),
        "merged" => "joined with the same run of the same person".to_owned(),
        other => other.strip_prefix("exit: ").unwrap_or(other).to_owned(),
    }
}

fn delivery(record: &Value) -> Shown {
    let channel = text(record, "channel");
    let what = match record["template"].as_str() {
        Some(template) => template.to_owned(),
        None => format!("{}/{}", text(record, "journey"), text(record, "step")),
    };
    let detail = record["detail"].as_str().map(|detail| format!("({detail})")).unwrap_or_default();
    let (head, ink, rest) = match record["outcome"].as_str().unwrap_or("") {
        "sent" => (format!("{what} delivered"), Ink::Good, String::new()),
        "failed" => (format!("{what} failed"), Ink::Bad, detail),
        "refused" => (format!("{what} held back"), Ink::Bad, detail),
        "retry" => (format!("{what} will be tried again"), Ink::Warn, detail),
        "unknown" | "unsure" => (format!("{what}: outcome unknown"), Ink::Warn, detail),
        other => (format!("{what} {other}"), Ink::Dim, detail),
    };
    line(&channel, Ink::Place, head, ink, rest)
}

/// What people call somebody by, best first.
const CALLED_BY: [&str; 4] = ["email", "customer_id", "phone", "loyalty_id"];

/// The identifier of a record that a person would recognise best, and how good it is (from 1).
pub(crate) fn label(record: &Value) -> Option<(usize, String)> {
    let identifiers = record["identifiers"].as_array()?;
    for (place, kind) in CALLED_BY.into_iter().enumerate() {
        let found = identifiers.iter().find(|identifier| identifier["kind"] == kind);
        if let Some(value) = found.and_then(|identifier| identifier["value"].as_str()) {
            let name =
                if kind == "email" { value.split('@').next().unwrap_or(value) } else { value };
            return Some((place + 1, name.to_owned()));
        }
    }
    let first = identifiers.first()?["value"].as_str()?;
    Some((CALLED_BY.len() + 1, first.to_owned()))
}

/// A member as text, empty when it is not there.
pub(crate) fn text(record: &Value, key: &str) -> String {
    match &record[key] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tell(kind: &str, record: Value) -> String {
        let mut teller = Teller::new(chrono_tz::Europe::London, 140);
        teller.name("p1", "Ada");
        teller.line(kind, &record).unwrap_or_default()
    }

    #[test]
    fn a_refusal_reads_like_a_sentence() {
        let line = tell(
            "decision",
            json!({"at": "2026-03-03T14:05:00.000Z", "profile": "p1", "journey": "abandoned-cart",
                "step": "remind", "outcome": "suppress", "reason": "cap",
                "why": "not sent: 1 of 1 marketing e-mail used in the last 24 h; next possible Wed 14:05"}),
        );
        assert_eq!(
            line,
            "Tue 14:05 Ada            decision  abandoned-cart/remind not sent: 1 of 1 marketing \
             e-mail used in the last 24 h; next possible Wed 14:05"
        );
    }

    #[test]
    fn a_late_touchpoint_says_when_it_happened() {
        let line = tell(
            "touchpoint",
            json!({"at": "2026-03-03T14:05:00.000Z", "occurred_at": "2026-03-02T10:00:00.000Z",
                "profile": "p1", "channel": "store", "event": "Store Order Completed",
                "properties": {"order_id": "o1", "total": 9.5, "product": "rye"}}),
        );
        assert_eq!(
            line,
            "Tue 14:05 Ada            store     Store Order Completed rye, total 9.5 (late: it \
             happened Mon 10:00)"
        );
    }

    #[test]
    fn strangers_are_called_by_their_strongest_identifier() {
        let record = json!({"profile": "p9", "channel": "web", "event": "Page Viewed",
            "identifiers": [{"kind": "anonymous_id", "value": "x"},
                            {"kind": "email", "value": "bo@example.com"}]});
        assert!(tell("touchpoint", record).contains(" bo "));
    }

    #[test]
    fn records_from_a_newer_server_are_passed_over() {
        assert_eq!(tell("weather", json!({})), "");
        assert_eq!(tell("note", json!({"note": "novel"})), "");
    }

    #[test]
    fn a_delivery_told_early_is_completed_from_its_decision() {
        let mut memory = Memory::default();
        let mut decision = json!({"action_id": "a1", "journey": "j", "step": "s", "template": "t",
            "channel": "email"});
        memory.complete("decision", &mut decision);
        let mut delivery = json!({"action_id": "a1", "outcome": "sent", "journey": null});
        memory.complete("delivery", &mut delivery);
        assert!(tell("delivery", delivery).ends_with("email     t delivered"));
    }

    #[test]
    fn a_long_text_goes_on_below_itself() {
        let mut teller = Teller::new(Tz::UTC, 60);
        let why = "not sent: the person never agreed to marketing/reminders by e-mail";
        let line = teller.line("decision", &json!({"template": "t", "why": why})).unwrap();
        let lines: Vec<_> = line.lines().collect();
        assert_eq!(lines.len(), 3, "{line}");
        assert!(lines.iter().all(|line| line.chars().count() <= 60), "{line}");
        assert!(lines[1].starts_with(&" ".repeat(35)), "{line}");
    }

    #[test]
    fn hostile_text_stays_text() {
        let line = tell(
            "touchpoint",
            json!({"profile": "p1", "channel": "web", "event": "x\u{1b}[2J", "properties": {"a": "\n"}}),
        );
        assert!(!line.contains('\u{1b}') && !line.contains('\n'));
    }
}
