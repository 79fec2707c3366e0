//! Time: a person's zone, calendar arithmetic across DST, quiet windows as intervals of instants.

mod calendar;
mod hours;
mod quiet;
mod zone;

pub(crate) use calendar::{
    day_of, day_start, local_of, month_start, next_local_time, next_month_start, parse_date,
    plus_days, resolve, week_start, yearly_on,
};
pub(crate) use hours::Hours;
pub(crate) use quiet::{QuietPlan, When, Window};
pub(crate) use zone::{ZoneFacts, ZoneUsed, parse_zone, phone_region, zone_of};
