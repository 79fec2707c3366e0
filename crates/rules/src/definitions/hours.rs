//! When nothing may go out: quiet hours, and blackouts of whole days.

use chrono::NaiveDateTime;
use sojourn_model::{DurationMs, Name};

/// Every day of the week, as [`QuietHours::on`] has it.
pub const EVERY_DAY: u8 = 0b111_1111;

/// A quiet window.
#[derive(Debug, Clone, PartialEq)]
pub struct QuietHours {
    /// Channels; empty: all.
    pub channels: Vec<Name>,
    /// Purposes; empty: all.
    pub purposes: Vec<Name>,
    /// Minutes after local midnight.
    pub from: u16,
    /// Minutes after local midnight; at or before `from`: on the next day.
    pub to: u16,
    /// Days on which it begins: bit 0 is Monday.
    pub on: u8,
    /// Whether a message in it is dropped (else deferred).
    pub drop: bool,
    /// Over how long the messages that it held back leave it.
    pub ramp: DurationMs,
}

/// Days on which nothing goes out: a holiday, a stocktaking, a mourning.
#[derive(Debug, Clone, PartialEq)]
pub struct Blackout {
    /// Id.
    pub id: Name,
    /// Channels; empty: all.
    pub channels: Vec<Name>,
    /// Purposes; empty: all.
    pub purposes: Vec<Name>,
    /// Countries; empty: all, also people of whom none is known.
    pub countries: Vec<Name>,
    /// From and until (not included), in local time, in order.
    pub spans: Vec<(NaiveDateTime, NaiveDateTime)>,
    /// Every year from the year of each span on.
    pub yearly: bool,
    /// Whether a message in it is dropped (else deferred).
    pub drop: bool,
    /// Over how long the messages that it held back leave it.
    pub ramp: DurationMs,
}

/// Whether a list of channels, purposes or countries names `name`; an empty one names all.
fn concerns(list: &[Name], name: &str) -> bool {
    list.is_empty() || list.iter().any(|entry| **entry == *name)
}

impl QuietHours {
    /// Whether it holds for a message.
    pub fn concerns(&self, channel: &str, purpose: &str) -> bool {
        concerns(&self.channels, channel) && concerns(&self.purposes, purpose)
    }
}

impl Blackout {
    /// Whether it holds for a message to somebody of `country`.
    pub fn concerns(&self, channel: &str, purpose: &str, country: &str) -> bool {
        concerns(&self.channels, channel)
            && concerns(&self.purposes, purpose)
            && concerns(&self.countries, country)
    }
}
