//! Instants as a scenario writes them.

use chrono::{DateTime, Duration, NaiveDate, NaiveDateTime, NaiveTime, TimeZone};
use chrono_tz::Tz;
use sojourn_model::Timestamp;

/// For error messages.
pub(super) const FORMS: &str = "write \"10:00\" (of the scenario's `day`), \"+2d 10:00\" (two days \
later), \"2026-03-02 10:00\" (the workspace's time zone) or 2026-03-02T10:00:00Z";

/// The day on which a scenario begins, in the workspace's zone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Calendar {
    pub(super) zone: Tz,
    pub(super) day: NaiveDate,
}

impl Calendar {
    /// Reads one of [`FORMS`].
    pub(super) fn read(&self, text: &str) -> Option<Timestamp> {
        let text = text.trim();
        if let Ok(at) = DateTime::parse_from_rfc3339(text) {
            return Some(Timestamp(at.timestamp_millis()));
        }
        if let Some((days, clock)) = text.strip_prefix('+').and_then(|rest| rest.split_once("d ")) {
            let days = Duration::try_days(days.parse().ok()?)?;
            return self.at(self.day.checked_add_signed(days)?, clock);
        }
        match text.split_once([' ', 'T']) {
            Some((day, clock)) => self.at(NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()?, clock),
            None => self.at(self.day, text),
        }
    }

    /// The first instant of the scenario's day.
    pub(super) fn dawn(&self) -> Timestamp {
        self.local(self.day.and_time(NaiveTime::MIN)).unwrap_or(Timestamp::MIN)
    }

    fn at(&self, day: NaiveDate, clock: &str) -> Option<Timestamp> {
        let clock = clock.trim();
        let time = NaiveTime::parse_from_str(clock, "%H:%M")
            .or_else(|_| NaiveTime::parse_from_str(clock, "%H:%M:%S"))
            .ok()?;
        self.local(day.and_time(time))
    }

    /// A time in a gap is the first instant after it, in an overlap the first of the two
    /// (semantics 1).
    fn local(&self, local: NaiveDateTime) -> Option<Timestamp> {
        let at = self.zone.from_local_datetime(&local).earliest().or_else(|| {
            let later = local.checked_add_signed(Duration::hours(1))?;
            self.zone.from_local_datetime(&later).earliest()
        })?;
        Some(Timestamp(at.timestamp_millis()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_in_the_workspaces_zone() {
        let day = NaiveDate::from_ymd_opt(2026, 3, 27).unwrap();
        let calendar = Calendar { zone: Tz::Europe__London, day };
        let read = |text: &str| calendar.read(text).map(crate::rows::rfc3339);
        assert_eq!(read("10:00").unwrap(), "2026-03-27T10:00:00.000Z");
        assert_eq!(read("10:00:30").unwrap(), "2026-03-27T10:00:30.000Z");
        // Summer time began on 29 March.
        assert_eq!(read("+2d 10:00").unwrap(), "2026-03-29T09:00:00.000Z");
        assert_eq!(read("2026-07-01 10:00").unwrap(), "2026-07-01T09:00:00.000Z");
        assert_eq!(read("2026-07-01T10:00:00Z").unwrap(), "2026-07-01T10:00:00.000Z");
        for wrong in ["", "10", "25:00", "+x 10:00", "+2d", "tomorrow", "2026-13-01 10:00"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
