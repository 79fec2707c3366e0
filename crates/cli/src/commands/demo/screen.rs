//! What the demo shows: the hand-picked stories in full, of the rest the most telling lines, no
//! faster than somebody can read.

use super::cast::{FEATURED, Person};
use crate::lines::{self, Shown, Teller, text};
use crate::pace::instant;
use crate::term::{self, Ink};
use crate::when;
use chrono_tz::Tz;
use serde_json::{Value, json};
use sojourn_model::Timestamp;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Lines per second of wall time that a reader can follow.
const LINES_PER_SECOND: f64 = 7.0;
/// Lines that may come at once after a quiet moment.
const BURST: f64 = 10.0;
/// Lines of the followed stories that may wait for the reader; beyond it they go out faster.
const WAITING_MAX: usize = 40;
/// With more lines waiting than this, nothing is added that is not part of a story.
const WAITING_ROOM: usize = 3;
/// Records wait this long for those that belong before them: they come from several topics.
const HOLD: Duration = Duration::from_millis(250);
/// Refusals for one reason, beside the followed stories, come no faster than this.
const SAME_REASON_EVERY: Duration = Duration::from_secs(4);
/// Records held at most; beyond it the oldest go out at once.
const HELD_MAX: usize = 5_000;

/// A record on its way to the screen.
struct Held {
    at: Timestamp,
    rank: u8,
    sequence: u64,
    kind: String,
    record: Value,
    arrived: Instant,
}

/// How much a line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    /// Never shown.
    Nothing,
    /// When there is plenty of room.
    Little,
    /// When there is room.
    Much,
    /// Always: somebody whose story is followed.
    Story,
}

/// Journeys whose way is no news: their messages are.
const QUIET: [&str; 3] = ["win-back", "order-confirmation", "loyalty-greeting"];

/// The screen.
pub(super) struct Screen {
    teller: Teller,
    zone: Tz,
    outbox: PathBuf,
    names: Vec<String>,
    directory: BTreeMap<String, usize>,
    who: BTreeMap<String, usize>,
    visitors: BTreeMap<String, usize>,
    held: Vec<Held>,
    sequence: u64,
    /// Lines that are to be shown, in order.
    waiting: VecDeque<String>,
    tokens: f64,
    filled: Instant,
    /// A run that began: shown together with where it waits.
    begun: Option<Shown>,
    /// Nothing before this instant is part of the story.
    begins: Timestamp,
    /// A refusal worth explaining: its decision id.
    pub(super) telling: Option<String>,
    unpaced: bool,
    /// When a refusal for a reason was last told.
    reasons: BTreeMap<String, Instant>,
    /// After the story: those for whom somebody outside of it sent something.
    guests: BTreeSet<String>,
}

impl Screen {
    pub(super) fn new(
        people: &[Person],
        directory: BTreeMap<String, usize>,
        zone: Tz,
        outbox: PathBuf,
    ) -> Self {
        Self {
            teller: Teller::new(zone, term::width()),
            zone,
            outbox,
            names: people.iter().map(|person| person.name.clone()).collect(),
            directory,
            who: BTreeMap::new(),
            visitors: BTreeMap::new(),
            held: Vec::new(),
            sequence: 0,
            waiting: VecDeque::new(),
            tokens: BURST,
            filled: instant(),
            begun: None,
            begins: Timestamp::MAX,
            telling: None,
            unpaced: false,
            reasons: BTreeMap::new(),
            guests: BTreeSet::new(),
        }
    }

    /// From here on it is the story.
    pub(super) fn begin(&mut self, at: Timestamp) {
        self.begins = at;
    }

    /// Who stands behind a profile, as far as the screen knows.
    pub(super) fn who(&self, profile: &str) -> Option<usize> {
        self.who.get(profile).copied()
    }

    /// Takes a record of the tail.
    pub(super) fn take(&mut self, kind: &str, record: Value) {
        self.learn(kind, &record);
        let at = when::from_json(&record["at"]).unwrap_or_default();
        if at < self.begins {
            return;
        }
        let rank = match kind {
            "touchpoint" => 0,
            "delivery" => 2,
            _ => 1,
        };
        self.sequence += 1;
        let (sequence, kind) = (self.sequence, kind.to_owned());
        self.held.push(Held { at, rank, sequence, kind, record, arrived: instant() });
    }

    /// Learns who is who from the identifiers that a record carries.
    fn learn(&mut self, kind: &str, record: &Value) {
        let profile = text(record, "profile");
        if kind == "note" && record["note"] == "merged" {
            let from = text(record, "from");
            if let Some(&who) = self.who.get(&from).or_else(|| self.who.get(&profile)) {
                self.who.insert(profile.clone(), who);
            }
        }
        let values = record["identifiers"].as_array().into_iter().flatten();
        let known = values
            .filter_map(|identifier| self.directory.get(identifier["value"].as_str()?))
            .next();
        if let Some(&who) = known {
            self.who.insert(profile, who);
        }
    }

    fn called(&mut self, profile: &str) -> String {
        if let Some(&who) = self.who.get(profile) {
            return self.names[who].clone();
        }
        let next = self.visitors.len() + 1;
        let number = *self.visitors.entry(profile.to_owned()).or_insert(next);
        format!("visitor {number}")
    }

    /// Shows what has waited long enough.
    pub(super) fn turn(&mut self) {
        let passed = self.filled.elapsed().as_secs_f64();
        self.filled = instant();
        self.tokens = (self.tokens + passed * LINES_PER_SECOND).min(BURST);
        let overfull = self.held.len() > HELD_MAX;
        let (ready, held): (Vec<_>, Vec<_>) = std::mem::take(&mut self.held)
            .into_iter()
            .partition(|one| overfull || one.arrived.elapsed() >= HOLD);
        self.held = held;
        let mut ready = ready;
        ready.sort_by_key(|one| (one.at, one.rank, one.sequence));
        for one in ready {
            self.tell(&one.kind, &one.record);
        }
        self.flush();
        while let Some(line) = self.waiting.front() {
            let hurry = self.unpaced || self.waiting.len() > WAITING_MAX;
            let cost = 1.0 + line.matches('\n').count() as f64 * 0.5;
            if !hurry && self.tokens < cost {
                break;
            }
            self.tokens -= cost;
            term::line(line);
            self.waiting.pop_front();
        }
        self.tokens = self.tokens.max(-BURST);
    }

    /// Shows everything that still waits: the story is over.
    pub(super) fn finish(&mut self) {
        self.turn();
        for line in self.waiting.drain(..) {
            term::line(&line);
        }
        self.unpaced = true;
    }

    fn tell(&mut self, kind: &str, record: &Value) {
        if kind == "till" {
            return self.tell_prompt(record);
        }
        let profile = text(record, "profile");
        if self.unpaced && Self::is_guest(kind, record) {
            self.guests.insert(profile.clone());
        }
        let worth = self.worth(kind, record, &profile);
        if kind == "decision" && record["reason"] == "cap" && record["outcome"] == "suppress" {
            self.telling = Some(text(record, "id"));
        }
        if worth == Worth::Nothing {
            return;
        }
        let worth = if worth == Worth::Much && self.is_repeated(kind, record) {
            Worth::Little
        } else {
            worth
        };
        let Some(mut shown) = lines::show(kind, record, self.zone) else { return };
        if kind == "note" && record["note"] == "merged" {
            let (from, into) = (self.called(&text(record, "from")), self.called(&profile));
            shown.rest = if from == into {
                format!("what {into} did on another device or channel is one history now")
            } else {
                format!("{from} is {into}; both histories are one now")
            };
        }
        if kind == "delivery"
            && let Some(subject) = self.subject(record)
        {
            shown.rest = format!("\u{201c}{subject}\u{201d}");
        }
        if self.join(kind, record, &shown) {
            return;
        }
        self.flush();
        if !self.room(worth) {
            return;
        }
        if kind == "note" && record["note"] == "entered" {
            self.begun = Some(shown);
            return;
        }
        self.print(&shown);
    }

    /// Whether a refusal for the same reason was told a moment ago: then it is no news.
    fn is_repeated(&mut self, kind: &str, record: &Value) -> bool {
        if kind != "decision" {
            return false;
        }
        let reason = text(record, "reason");
        let repeated =
            self.reasons.get(&reason).is_some_and(|told| told.elapsed() < SAME_REASON_EVERY);
        if !repeated {
            self.reasons.insert(reason, instant());
        }
        repeated
    }

    /// `begins` and `waits until` of one run make one line.
    fn join(&mut self, kind: &str, record: &Value, shown: &Shown) -> bool {
        let Some(begun) = &mut self.begun else { return false };
        let same = kind == "note"
            && record["note"] == "moved"
            && begun.profile == shown.profile
            && begun.head == shown.head;
        if same {
            if record["until"].is_string() {
                begun.rest = format!("{}; {}", begun.rest, shown.rest);
            }
            let begun = self.begun.take();
            if let Some(begun) = begun {
                self.print(&begun);
            }
        }
        same
    }

    fn flush(&mut self) {
        if let Some(begun) = self.begun.take() {
            self.print(&begun);
        }
    }

    fn print(&mut self, shown: &Shown) {
        let name = self.called(&shown.profile);
        self.teller.name(&shown.profile, &name);
        self.waiting.push_back(self.teller.lay_out(shown));
    }

    /// Whether a line of this worth is shown now.
    fn room(&self, worth: Worth) -> bool {
        let waiting = self.waiting.len();
        match worth {
            Worth::Nothing => false,
            Worth::Little => self.unpaced || waiting == 0 && self.tokens > BURST * 0.6,
            Worth::Much => self.unpaced || waiting < WAITING_ROOM && self.tokens >= 1.0,
            Worth::Story => true,
        }
    }

    /// Whether a touchpoint comes from whoever plays with the demo, not from its story.
    fn is_guest(kind: &str, record: &Value) -> bool {
        let event = record["event"].as_str().unwrap_or("");
        kind == "touchpoint"
            && !text(record, "message_id").starts_with("demo-")
            && !event.starts_with("Message ")
            && !event.starts_with("Email ")
            && event != "Unsubscribed"
    }

    fn worth(&self, kind: &str, record: &Value, profile: &str) -> Worth {
        let note = record["note"].as_str().unwrap_or("");
        let dull = match kind {
            "note" => {
                matches!(note, "entry_refused" | "limit" | "converted")
                    || note == "moved" && !record["until"].is_string()
                    || QUIET.iter().any(|journey| record["journey"] == *journey)
            }
            // The line of the till tells it.
            "decision" | "delivery" => record["journey"] == "loyalty-greeting",
            "touchpoint" => {
                let event = record["event"].as_str().unwrap_or("");
                event.starts_with("Message ") || event == "Email Delivered"
                    // Told by the line of its effect.
                    || event == "Consent Changed"
            }
            _ => false,
        };
        if dull || self.unpaced && !self.guests.contains(profile) {
            return Worth::Nothing;
        }
        if self.who(profile).is_some_and(|who| who < FEATURED.len()) {
            return Worth::Story;
        }
        if self.unpaced {
            return Worth::Story;
        }
        match kind {
            "decision" if record["outcome"] != "approve" => Worth::Much,
            "note" if matches!(note, "merged" | "consent") => Worth::Much,
            "note" if note == "ended" && record["reason"] == "exited" => Worth::Much,
            "delivery" => Worth::Little,
            "touchpoint" if record["channel"] != "web" => Worth::Little,
            "touchpoint" if record["event"] == "Cart Updated" => Worth::Little,
            _ => Worth::Nothing,
        }
    }

    /// Subject of the message as it lies in the outbox; of a prompt its text.
    fn subject(&self, record: &Value) -> Option<String> {
        let file = self.outbox.join(format!("{}.json", record["action_id"].as_str()?));
        let message: Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
        let message = &message["data"]["message"];
        let words = [&message["subject"], &message["text"]];
        let text = words.into_iter().filter_map(Value::as_str).find(|text| !text.is_empty())?;
        Some(text.lines().next().unwrap_or("").trim().to_owned())
    }

    /// What the till showed at a check-in.
    pub(super) fn prompt(&mut self, at: Timestamp, who: usize, prompt: &str) {
        self.sequence += 1;
        let record = json!({ "who": who, "text": prompt, "at": when::rfc3339(at) });
        let (sequence, kind) = (self.sequence, "till".to_owned());
        self.held.push(Held { at, rank: 3, sequence, kind, record, arrived: instant() });
    }

    fn tell_prompt(&mut self, record: &Value) {
        let who = record["who"].as_u64().and_then(|who| usize::try_from(who).ok()).unwrap_or(0);
        let shown = Shown {
            at: when::from_json(&record["at"]),
            profile: String::new(),
            place: "till".to_owned(),
            place_ink: Ink::Place,
            head: "shows:".to_owned(),
            head_ink: Ink::Good,
            rest: format!("\u{201c}{}\u{201d}", term::clean(text(record, "text").trim())),
        };
        let worth = if who < FEATURED.len() { Worth::Story } else { Worth::Little };
        if self.room(worth) {
            self.flush();
            self.teller.name("", &self.names[who].clone());
            self.waiting.push_back(self.teller.lay_out(&shown));
        }
    }
}
