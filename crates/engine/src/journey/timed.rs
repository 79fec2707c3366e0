//! Entries by time: dates in a person's data, schedules over a segment.
//!
//! Every person carries their own next instant for each such journey, so nothing is ever searched
//! at night: it is found anew after whatever touches the person, and fires as a wait does.

use super::entry::EntryKey;
use crate::event::{EventView, Object};
use crate::installed::Installed;
use crate::limits::GAP_SEARCH_MINUTES;
use crate::pace::Pace;
use crate::scope::EventRef;
use crate::step::Step;
use crate::timing::{day_of, local_of, parse_date, parse_zone, plus_days, resolve, yearly_on};
use chrono::{DateTime, Datelike, NaiveDateTime, TimeDelta};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use sojourn_model::{Name, Timestamp, Value};
use sojourn_rules::{Expr, Journey, Occurrences, Schedule, Trigger};
use std::sync::Arc;

/// Which of its times an entry by time is about; told apart without regard to the zone, so that a
/// move to another zone repeats nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Occurrence {
    /// A date that comes every year: the year, and its local day (days of the common era).
    Year { year: i32, day: i32 },
    /// A date that comes once: its local day.
    Day(i32),
    /// A schedule: local minutes since 1970.
    Minute(i64),
}

impl Occurrence {
    /// Whether `self` has happened already when `last` was the last one.
    fn used(self, last: Self) -> bool {
        match (self, last) {
            (Self::Year { year, .. }, Self::Year { year: last, .. }) => year <= last,
            (Self::Day(day), Self::Day(last)) => day == last,
            (Self::Minute(minute), Self::Minute(last)) => minute <= last,
            // The journey begins in another way than it did.
            _ => false,
        }
    }
}

/// The next entry by time into one journey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Appointment {
    pub(crate) journey: Name,
    pub(crate) due: Timestamp,
    pub(crate) occurrence: Occurrence,
    /// Whether the instant is one that a pace gave: the occurrence itself has been.
    pub(crate) paced: bool,
}

/// The last occurrence of one journey for this person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Occurred {
    pub(crate) journey: Name,
    pub(crate) occurrence: Occurrence,
    pub(crate) at: Timestamp,
}

impl Step<'_> {
    /// Takes up what a publish changed since this person was last touched: runs that are on their way
    /// follow it first; segments that are
    /// watched now are remembered without starting anybody, unless a journey that went live asks
    /// for those who are in its segment already.
    pub(crate) fn prepare(&mut self) {
        let publishes = self.registers.publishes;
        let Some(known) = self.profile.prepared.replace(publishes) else { return };
        if known == publishes {
            return;
        }
        self.found = crate::shortcut::Found::default();
        self.follow_publishes(known);
        let Some(installed) = self.shared.current.clone() else { return };
        self.remember_segments();
        for (place, journey) in installed.definitions.journeys.iter().enumerate() {
            let Trigger::Segment { segment, enter: true } = &journey.entry.trigger else {
                continue;
            };
            let live = self.registers.backfills.get(&journey.name);
            if live.is_some_and(|live| *live > known) && self.profile.segments.contains(segment) {
                let event = self.own_event("Segment Changed");
                self.enter(&installed, place, &event, EntryKey::Own);
            }
        }
        self.settle();
        let published = self.registers.published_at;
        self.arm_entries(published.min(self.now));
    }

    /// An event of ours, without anything in it: what an entry that no record triggers enters with.
    pub(crate) fn own_event<'e>(&mut self, name: &'static str) -> EventView<'e> {
        EventView {
            name,
            channel: "journey",
            source: "sojourn",
            message_id: "",
            stamp: self.next_stamp(self.now),
            identifiers: &[],
            by: 0,
            imported: false,
            properties: Object::text(""),
            context: Object::text(""),
            traits: Object::text(""),
        }
    }

    /// Finds the next entries by time anew: those that happen at `floor` or later, and those that
    /// were to come and that only a move to another zone put before it.
    pub(crate) fn arm_entries(&mut self, floor: Timestamp) {
        let Some(installed) = &self.shared.current else { return };
        if installed.timed.is_empty() && self.profile.appointments.is_empty() {
            return;
        }
        let as_of = self.as_of(installed);
        let waits = self.profile.appointments.iter().all(|entry| entry.due > self.now);
        if self.found.entries == Some(as_of) && waits {
            if cfg!(debug_assertions) {
                let known = (self.profile.appointments.clone(), true);
                assert_eq!(known, self.next_entries(installed, floor), "DET-1: by the shortcut");
            }
            return;
        }
        let (appointments, settled) = self.next_entries(installed, floor);
        self.profile.appointments = appointments;
        self.found.entries = (settled && installed.timed_by_person).then_some(as_of);
    }

    /// The next entry into each journey that begins by time, and whether time alone changes none.
    fn next_entries(&self, installed: &Installed, floor: Timestamp) -> (Vec<Appointment>, bool) {
        let known = &self.profile.appointments;
        let (mut appointments, mut settled) = (Vec::new(), true);
        for place in &installed.timed {
            let journey = &installed.definitions.journeys[usize::from(*place)];
            let pending = known.iter().find(|appointment| appointment.journey == journey.name);
            let appointment = match pending {
                Some(pending) if pending.paced => Some(pending.clone()),
                _ => self.next_entry(installed, journey, floor, pending),
            };
            // A schedule is only searched some way ahead.
            settled &= appointment.is_some()
                || match &journey.entry.trigger {
                    Trigger::Schedule(schedule) => {
                        !self.profile.segments.contains(&schedule.audience)
                    }
                    _ => true,
                };
            appointments.extend(appointment);
        }
        (appointments, settled)
    }

    fn next_entry(
        &self,
        installed: &Installed,
        journey: &Journey,
        floor: Timestamp,
        pending: Option<&Appointment>,
    ) -> Option<Appointment> {
        let last = self.profile.occurred.iter().find(|last| last.journey == journey.name);
        let comes = |occurrence: Occurrence, at: Timestamp| {
            let used = last.is_some_and(|last| {
                // Times that a gap of the clocks joins in one instant happen once.
                let joined = matches!(occurrence, Occurrence::Minute(_)) && at <= last.at;
                occurrence.used(last.occurrence) || joined
            });
            let put_back = || pending.is_some_and(|pending| pending.occurrence == occurrence);
            !used && (at >= floor || put_back())
        };
        let found = match &journey.entry.trigger {
            Trigger::Date { date, minute, offset_days, yearly } => {
                let zone = self.zone_now().zone;
                let value =
                    self.value_over(&date.expr, &installed.definitions, EventRef::None, None)?;
                let date = match value {
                    Value::Text(text) => parse_date(&text)?,
                    Value::Instant(at) => day_of(zone, at),
                    _ => return None,
                };
                let on = |date| resolve(zone, plus_days(date, i64::from(*offset_days)), *minute);
                if *yearly {
                    // An offset can reach over a year's end, either way.
                    let (this, far) = (day_of(zone, floor).year(), offset_days.abs() / 365);
                    let years = date.year().max(this - 2 - far)..=date.year().max(this) + 4 + far;
                    years
                        .map(|year| {
                            let day = date.num_days_from_ce();
                            (Occurrence::Year { year, day }, on(yearly_on(date, year)))
                        })
                        .find(|(occurrence, at)| comes(*occurrence, *at))
                } else {
                    Some((Occurrence::Day(date.num_days_from_ce()), on(date)))
                        .filter(|(occurrence, at)| comes(*occurrence, *at))
                }
            }
            Trigger::Schedule(schedule) if self.profile.segments.contains(&schedule.audience) => {
                let zone = self.zone_of_schedule(installed, schedule);
                occurrence_of(schedule, zone, floor, last.map(|last| last.occurrence), &comes)
            }
            _ => None,
        };
        let (occurrence, at) = found?;
        let (journey, due) = (journey.name.clone(), at.max(self.now));
        Some(Appointment { journey, due, occurrence, paced: false })
    }

    fn zone_of_schedule(&self, installed: &Installed, schedule: &Schedule) -> Tz {
        if schedule.local {
            return self.zone_now().zone;
        }
        parse_zone(&installed.definitions.workspace.time_zone).unwrap_or(Tz::UTC)
    }

    /// The entry by time that is due, if one is: the earliest, of equals the first by (priority,
    /// name).
    pub(crate) fn due_entry(&self) -> Option<usize> {
        let due = self.profile.appointments.iter().enumerate();
        let due = due.filter(|(_, appointment)| appointment.due <= self.now);
        due.min_by_key(|(place, appointment)| (appointment.due, *place)).map(|(place, _)| place)
    }

    /// An entry by time is due.
    pub(crate) fn fire_entry(&mut self, place: usize) {
        self.found.entries = None;
        let appointment = self.profile.appointments.remove(place);
        let Some(installed) = self.shared.current.clone() else { return };
        let Some(place) = installed.place(&appointment.journey) else { return };
        let journey = installed.definitions.journeys[usize::from(place)].clone();
        if !appointment.paced {
            self.occurred(&appointment);
        }
        let name = match &journey.entry.trigger {
            Trigger::Schedule(schedule) => {
                if !self.in_audience(&installed, schedule) {
                    return;
                }
                if !appointment.paced && self.put_off(&appointment, schedule) {
                    return;
                }
                "Schedule Reached"
            }
            Trigger::Date { .. } => "Date Reached",
            _ => return,
        };
        let event = self.own_event(name);
        self.enter(&installed, usize::from(place), &event, EntryKey::Own);
    }

    fn in_audience(&self, installed: &Arc<Installed>, schedule: &Schedule) -> bool {
        let expr = Expr::InSegment(schedule.audience.clone());
        let value = self.value_over(&expr, &installed.definitions, EventRef::None, None);
        value == Some(Value::Bool(true))
    }

    /// Asks the pace for an instant; gives whether it is a later one.
    fn put_off(&mut self, appointment: &Appointment, schedule: &Schedule) -> bool {
        let Some((count, window)) = schedule.pace else { return false };
        let (id, partitions) = (self.shared.id, self.shared.partitions);
        let pace = self.registers.paces.entry(appointment.journey.clone()).or_default();
        let due = pace.next(Pace::share(count, window, id, partitions), self.now);
        if due <= self.now {
            return false;
        }
        self.profile.appointments.push(Appointment { due, paced: true, ..appointment.clone() });
        true
    }

    fn occurred(&mut self, appointment: &Appointment) {
        let (journey, occurrence, at) =
            (appointment.journey.clone(), appointment.occurrence, self.now);
        let occurred = Occurred { journey, occurrence, at };
        match self.profile.occurred.iter_mut().find(|last| last.journey == occurred.journey) {
            Some(last) => *last = occurred,
            None => self.profile.occurred.push(occurred),
        }
    }

    /// A merge: what happened to either has happened, and an instant that a pace gave is kept.
    pub(crate) fn merge_entries(&mut self, occurred: Vec<Occurred>, theirs: Vec<Appointment>) {
        for other in occurred {
            match self.profile.occurred.iter_mut().find(|ours| ours.journey == other.journey) {
                Some(ours) if (ours.occurrence, ours.at) < (other.occurrence, other.at) => {
                    *ours = other;
                }
                Some(_) => {}
                None => self.profile.occurred.push(other),
            }
        }
        for other in theirs.into_iter().filter(|appointment| appointment.paced) {
            let ours = &mut self.profile.appointments;
            match ours.iter_mut().find(|ours| ours.journey == other.journey) {
                Some(ours) if !ours.paced || other.due < ours.due => *ours = other,
                Some(_) => {}
                None => ours.push(other),
            }
        }
    }
}

/// The next time of a schedule that `comes`.
fn occurrence_of(
    schedule: &Schedule,
    zone: Tz,
    floor: Timestamp,
    last: Option<Occurrence>,
    comes: &dyn Fn(Occurrence, Timestamp) -> bool,
) -> Option<(Occurrence, Timestamp)> {
    let at = |local: NaiveDateTime| {
        let minutes = local.and_utc().timestamp().div_euclid(60);
        let of_day = u16::try_from(minutes.rem_euclid(1_440)).expect("less than a day");
        (Occurrence::Minute(minutes), resolve(zone, local.date(), of_day))
    };
    match &schedule.when {
        Occurrences::Once(day, minute) => {
            let midnight = day.and_hms_opt(0, 0, 0)?;
            let found = at(midnight.checked_add_signed(TimeDelta::minutes(i64::from(*minute)))?);
            comes(found.0, found.1).then_some(found)
        }
        Occurrences::Cron(cron) => {
            // A time in a gap is named before the instant that it means.
            let mut from = local_of(zone, floor) - TimeDelta::minutes(GAP_SEARCH_MINUTES);
            if let Some(Occurrence::Minute(last)) = last
                && let Some(last) = DateTime::from_timestamp(last * 60, 0)
            {
                from = from.max(last.naive_utc() + TimeDelta::minutes(1));
            }
            // One more for each minute that the search began too early.
            for _ in 0..=2 * GAP_SEARCH_MINUTES {
                let local = cron.at_or_after(from)?;
                let found = at(local);
                if comes(found.0, found.1) {
                    return Some(found);
                }
                from = local + TimeDelta::minutes(1);
            }
            None
        }
    }
}
