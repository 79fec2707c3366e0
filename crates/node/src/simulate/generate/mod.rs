//! Generated histories: what people might do, for a workspace that has no recordings yet.
//!
//! Drawn from the tracking plan and from what the journeys and segments ask for: visits on every
//! channel, purchases, answers to messages, permissions given and taken back, addresses that
//! bounce, tills that report a day late, messages that come twice. The same definitions, number of
//! people, days and seed give the same bytes. It says what the journeys would do with such people,
//! not how people are.

mod acts;
mod people;
mod values;

use crate::chance::Chance;
use crate::rows::rfc3339;
use acts::Place;
use anyhow::{Result, bail};
use chrono::{DateTime, NaiveDate, NaiveTime, TimeZone};
use chrono_tz::Tz;
use people::Person;
use serde_json::{Value as Json, json};
use sojourn_model::{DurationMs, IdentifierKind, Name, Timestamp, event_names};
use sojourn_rules::{Definitions, ENGAGEMENT_EVENTS, Trigger};
use std::collections::BTreeMap;
use std::io::{BufRead, Read};
use std::sync::Arc;
use values::Values;

/// People of one history (LIM-1): each is kept in memory.
pub const PEOPLE_MAX: u32 = 200_000;
/// Days of one history.
pub const DAYS_MAX: u32 = 731;
/// The first day unless another is asked for: a Monday.
pub const FIRST_DAY: &str = "2026-01-05";

/// The farthest that a person's day begins before the same day in UTC: local days are generated
/// that long before their lines can all be written.
const EARLIEST: DurationMs = DurationMs::hours(14);
const DAY: DurationMs = DurationMs::days(1);
/// Of a thousand messages, so many come twice.
const TWICE_IN_THOUSAND: u32 = 8;
/// Of a hundred days, on so many a till is cut off and reports the next morning.
const TILL_OFFLINE_PERCENT: u32 = 12;

/// What to generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipe {
    /// People.
    pub people: u32,
    /// Days.
    pub days: u32,
    /// Seed.
    pub seed: u64,
    /// First instant, in UTC.
    pub from: Timestamp,
}

impl Recipe {
    /// When the last day is over.
    pub fn end(&self) -> Timestamp {
        self.from.plus(DurationMs::days(i64::from(self.days)))
    }
}

/// A history as a file for `simulate`, made a day at a time as it is read.
#[derive(Debug)]
pub struct History {
    definitions: Arc<Definitions>,
    recipe: Recipe,
    values: Values,
    places: Arc<[Place]>,
    /// Where people say who they are: the site.
    site: Name,
    people: Vec<Person>,
    /// The next local day to generate; then what is left is written.
    day: u32,
    /// Lines that are not written yet, by log time and order.
    lines: BTreeMap<(i64, u64), String>,
    messages: u64,
    buffer: Vec<u8>,
    read: usize,
    done: bool,
}

impl History {
    /// The history of a recipe; the error says what is wrong with it.
    pub fn new(definitions: &Arc<Definitions>, recipe: Recipe) -> Result<Self> {
        for (what, given, most) in
            [("people", recipe.people, PEOPLE_MAX), ("days", recipe.days, DAYS_MAX)]
        {
            if given == 0 || given > most {
                bail!("a history has from 1 to {most} {what}, not {given}");
            }
        }
        let places = acts::places(definitions);
        if places.is_empty() {
            bail!("tracking-plan.yaml declares no event that people bring about: declare some");
        }
        let sources = &definitions.workspace.sources;
        let site = sources.iter().find(|source| &*source.kind == "segment").or(sources.first());
        let site = site.map_or_else(|| places[0].source.clone(), |source| source.id.clone());
        let person = |number| Person::new(number, recipe.days, recipe.seed, definitions);
        let mut history = Self {
            recipe,
            values: Values::of(definitions),
            people: (1..=recipe.people).map(person).collect(),
            definitions: Arc::clone(definitions),
            places: places.into(),
            site,
            day: 0,
            lines: BTreeMap::new(),
            messages: 0,
            buffer: Vec::new(),
            read: 0,
            done: false,
        };
        history.introduce_the_known();
        Ok(history)
    }

    /// Those who were known before say who they are, a day before the first.
    fn introduce_the_known(&mut self) {
        let mut people = std::mem::take(&mut self.people);
        let begin = self.recipe.from.minus(DAY).minus(EARLIEST);
        for person in people.iter_mut().filter(|person| person.arrives.is_none()) {
            let within = i64::from(person.number) * DAY.0 / i64::from(self.recipe.people + 1);
            self.introduce(person, begin.plus(DurationMs(within)));
        }
        self.people = people;
    }

    fn introduce(&mut self, person: &mut Person, at: Timestamp) {
        let definitions = Arc::clone(&self.definitions);
        let mut message = json!({ "type": "identify" });
        message["traits"] = person.traits(&definitions, &self.values, at);
        message["context"] = json!({ "timezone": person.zone.name() });
        person.identify(&definitions, &mut message);
        let source = self.site.clone();
        self.line(message, &source, at, at);
        for place in 0..person.consents.len() {
            // Nothing said is no; a few say so.
            if person.consents[place].granted || person.chance.percent(5) {
                self.state(person, place, at);
            }
        }
    }

    /// A person states a consent as it stands.
    fn state(&mut self, person: &Person, consent: usize, at: Timestamp) {
        let said = person.statement(&person.consents[consent]);
        let mut message =
            json!({ "type": "track", "event": event_names::CONSENT_CHANGED, "properties": said });
        person.identify(&self.definitions, &mut message);
        let source = self.site.clone();
        self.line(message, &source, at, at);
    }

    fn line(&mut self, mut message: Json, source: &str, occurred: Timestamp, received: Timestamp) {
        self.messages += 1;
        let id = format!("generated-{}-{}", self.recipe.seed, self.messages);
        message["messageId"] = id.into();
        message["source"] = source.into();
        message["timestamp"] = rfc3339(occurred).into();
        message["receivedAt"] = rfc3339(received).into();
        self.lines.insert((received.0, self.messages), message.to_string());
    }

    /// Everything of one local day, of everybody.
    fn generate_day(&mut self) {
        let mut people = std::mem::take(&mut self.people);
        let day = self.day;
        self.day += 1;
        for person in &mut people {
            let first = person.arrives == Some(day);
            if person.arrives.is_some_and(|arrives| day < arrives) {
                self.visit_as_a_stranger(person, day);
                continue;
            }
            if first || person.chance.per_mille(person.days_in_thousand) {
                self.visit(person, day, first);
            }
            if person.bounces == Some(day) {
                let at = self.local(day, person.zone, 600);
                let address = person.identifier(&IdentifierKind::Email);
                let mut message = json!({ "type": "track", "event": event_names::EMAIL_BOUNCED, "properties": { "endpoint": address } });
                person.identify(&self.definitions, &mut message);
                let source = self.site.clone();
                self.line(message, &source, at, at);
            }
        }
        self.people = people;
    }

    /// An instant of a local day, minutes after its midnight; in a gap of the clocks the hour after.
    fn local(&self, day: u32, zone: Tz, minute: i64) -> Timestamp {
        let first = DateTime::from_timestamp_millis(self.recipe.from.0).unwrap_or_default();
        let date: NaiveDate = first.date_naive() + chrono::Days::new(u64::from(day));
        let local = date.and_time(NaiveTime::MIN) + chrono::TimeDelta::minutes(minute);
        let resolved = zone.from_local_datetime(&local).earliest().or_else(|| {
            zone.from_local_datetime(&(local + chrono::TimeDelta::hours(1))).earliest()
        });
        let utc =
            resolved.map_or_else(|| local.and_utc().timestamp_millis(), |at| at.timestamp_millis());
        Timestamp(utc)
    }

    /// Before anybody knows their name, people with a card are known at the till, and by nothing
    /// else: when they say who they are, two profiles become one.
    fn visit_as_a_stranger(&mut self, person: &mut Person, day: u32) {
        let till = self.places.iter().position(|place| place.till);
        if let (true, Some(place)) = (person.card, till)
            && person.chance.per_mille(person.days_in_thousand / 2)
        {
            self.acts(person, day, place, false);
        }
    }

    fn visit(&mut self, person: &mut Person, day: u32, first: bool) {
        // Three in four visits go where the person mostly goes.
        let places = self.places.len();
        // Now and then from another browser, on which they may sign in or not.
        person.browser = if person.chance.percent(15) { 2 } else { 1 };
        let place = match person.chance.percent(75) {
            true => (person.usual * person.usual / 100 * places / 100).min(places - 1),
            false => person.chance.below(places),
        };
        let welcome = || self.places.iter().position(Place::welcomes).unwrap_or(0);
        let place = if first { welcome() } else { place };
        let at = self.acts(person, day, place, first);
        self.answer(person, at);
        self.change_mind(person, at);
        self.enter_by_api(person, at);
    }

    /// What somebody does in one place; gives when they leave.
    fn acts(&mut self, person: &mut Person, day: u32, place: usize, first: bool) -> Timestamp {
        let all = Arc::clone(&self.places);
        let Place { source, till, .. } = &all[place];
        let till = *till;
        let home: Tz = self.definitions.workspace.time_zone.parse().unwrap_or(Tz::UTC);
        // Shops are open by the clock of the workspace.
        let zone = if till { home } else { person.zone };
        let minute = 480 + person.chance.between(0, 420) + person.chance.between(0, 360);
        let mut at = self.local(day, zone, minute);
        let offline = till
            && Chance::of(self.recipe.seed ^ 0x0FF1, u64::from(day) << 8 | place as u64)
                .percent(TILL_OFFLINE_PERCENT);
        let next_morning = self.local(day + 1, home, 360);
        if first {
            self.introduce(person, at);
        }
        for act in all[place].visit(person, first) {
            at = at.plus(DurationMs(person.chance.between(20_000, 600_000)));
            let message = act.message(&self.definitions, &self.values, person, till, at);
            // What an offline till collected comes in order, a second apart at most.
            let received = match offline {
                true => next_morning.plus(DurationMs(at.since(self.local(day, home, 0)).0 / 100)),
                false => at,
            };
            let again = person.chance.per_mille(TWICE_IN_THOUSAND);
            self.line(message, source, at, received);
            if again {
                self.repeat(received, person.chance.between(500, 3_600_000));
            }
        }
        at
    }

    /// The last line once more, with the same message id: a client that was not sure.
    fn repeat(&mut self, received: Timestamp, later: i64) {
        let Some(line) = self.lines.get(&(received.0, self.messages)) else { return };
        let Ok(mut message) = serde_json::from_str::<Json>(line) else { return };
        let at = received.plus(DurationMs(later));
        message["receivedAt"] = rfc3339(at).into();
        self.messages += 1;
        self.lines.insert((at.0, self.messages), message.to_string());
    }

    /// Now and then somebody looks at a message.
    fn answer(&mut self, person: &mut Person, at: Timestamp) {
        if !person.chance.percent(15) || !self.definitions.workspace.channels.contains_key("email")
        {
            return;
        }
        let event = ENGAGEMENT_EVENTS[usize::from(person.chance.percent(40))];
        let at = at.plus(DurationMs(person.chance.between(60_000, 7_200_000)));
        let mut message = json!({ "type": "track", "event": event, "properties": {} });
        let plan = self.definitions.plan.events.get(event);
        for (name, plan) in plan.iter().flat_map(|plan| &plan.properties) {
            message["properties"][&**name] = self.values.draw(name, plan, at, &mut person.chance);
        }
        person.identify(&self.definitions, &mut message);
        let source = self.site.clone();
        self.line(message, &source, at, at);
    }

    /// One visit in fifty changes a consent; more are taken back than given.
    fn change_mind(&mut self, person: &mut Person, at: Timestamp) {
        if person.consents.is_empty() || !person.chance.percent(2) {
            return;
        }
        let place = person.chance.below(person.consents.len());
        let granted = person.chance.percent(35);
        person.consents[place].granted = granted;
        self.state(person, place, at.plus(DurationMs(30_000)));
    }

    /// Journeys that begin by the API get some runs, too.
    fn enter_by_api(&mut self, person: &mut Person, at: Timestamp) {
        let by_api = |trigger: &Trigger| matches!(trigger, Trigger::Api);
        let journeys: Vec<_> =
            self.definitions.journeys.iter().filter(|j| by_api(&j.entry.trigger)).collect();
        if journeys.is_empty() || !person.chance.percent(3) {
            return;
        }
        let journey = &journeys[person.chance.below(journeys.len())].name;
        let Some(id) = person.identifier(&IdentifierKind::CustomerId) else { return };
        let at = at.plus(DurationMs(45_000));
        let line = json!({
            "type": "command", "command": "enter", "receivedAt": rfc3339(at),
            "person": format!("customer_id:{id}"), "journey": &**journey,
        });
        self.messages += 1;
        self.lines.insert((at.0, self.messages), line.to_string());
    }

    /// Makes the next bytes to read; false: there are no more.
    fn refill(&mut self) -> bool {
        self.buffer.clear();
        self.read = 0;
        while self.buffer.is_empty() && !self.done {
            let ready = if self.day < self.recipe.days {
                let begin = self.recipe.from.plus(DurationMs::days(i64::from(self.day)));
                self.generate_day();
                begin.plus(DAY).minus(EARLIEST).0
            } else {
                self.done = true;
                // What would come after the last day is not part of it.
                self.recipe.end().0
            };
            let rest = self.lines.split_off(&(ready, 0));
            for line in std::mem::replace(&mut self.lines, rest).into_values() {
                self.buffer.extend_from_slice(line.as_bytes());
                self.buffer.push(b'\n');
            }
        }
        !self.buffer.is_empty()
    }
}

impl Read for History {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let given = self.fill_buf()?;
        let count = given.len().min(out.len());
        out[..count].copy_from_slice(&given[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for History {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.read == self.buffer.len() {
            self.refill();
        }
        Ok(&self.buffer[self.read..])
    }

    fn consume(&mut self, count: usize) {
        self.read += count;
        assert!(self.read <= self.buffer.len(), "only what was given is consumed");
    }
}
