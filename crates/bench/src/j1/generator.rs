//! The seeded input of J1.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};
use std::collections::VecDeque;
use std::fmt::Write as _;

/// What to generate.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Seed; the same seed gives the same bytes.
    pub seed: u64,
    /// People.
    pub people: u32,
    /// Touchpoints after the people were made known.
    pub touchpoints: u64,
    /// Log time of the first touchpoint, in milliseconds.
    pub start_ms: i64,
    /// Log time from the first to the last touchpoint: a day on the day clock.
    pub span_ms: i64,
}

/// A touchpoint with the log time it was generated for.
#[derive(Debug, Clone)]
pub struct Message {
    /// Log time.
    pub at_ms: i64,
    /// Source that sends it.
    pub source: &'static str,
    /// JSON of the Segment specification, about 400 bytes.
    pub json: String,
}

impl Message {
    /// As a line of a file for `simulate`: with its source and log time.
    pub fn line(&self) -> String {
        let rest = &self.json[1..];
        format!(r#"{{"source":"{}","receivedAt":"{}",{rest}"#, self.source, time(self.at_ms))
    }
}

/// Share of touchpoints that are sent twice: 1 in this many.
const TWICE_ONE_IN: u32 = 500;
/// A second copy comes within this many touchpoints.
const TWICE_WITHIN: usize = 1_000;
const PRODUCTS: usize = 10_000;
const CATEGORIES: u32 = 20;
const ZONES: [&str; 5] =
    ["Europe/London", "Europe/Warsaw", "America/New_York", "Asia/Tokyo", "Australia/Sydney"];

/// Generates J1's input in the order of the log.
pub struct Generator {
    settings: Settings,
    random: StdRng,
    zipf: Vec<f64>,
    carts: Vec<u32>,
    made: u64,
    known: u64,
    again: VecDeque<(u64, Message)>,
    last_ms: i64,
}

impl Generator {
    /// A generator of `settings`.
    pub fn new(settings: Settings) -> Self {
        assert!(settings.people >= 100, "the 1 % most active need a hundred people");
        let mut total = 0.0;
        let zipf = (1..=PRODUCTS)
            .map(|rank| {
                #[expect(clippy::cast_precision_loss, reason = "ranks are small")]
                let weight = 1.0 / rank as f64;
                total += weight;
                total
            })
            .collect();
        Self {
            random: StdRng::seed_from_u64(settings.seed),
            zipf,
            carts: vec![0; settings.people as usize],
            made: 0,
            known: 0,
            again: VecDeque::new(),
            last_ms: settings.start_ms,
            settings,
        }
    }

    /// Messages that make the people known: an identify and their consents. All at the start.
    pub fn prelude(&mut self) -> Option<Vec<Message>> {
        if self.known == u64::from(self.settings.people) {
            return None;
        }
        let person = self.known;
        self.known += 1;
        let at_ms = self.settings.start_ms - 3_600_000;
        let zone = ZONES[self.random.random_range(0..ZONES.len())];
        let mut out = vec![Message {
            at_ms,
            source: "site",
            json: format!(
                r#"{{"type":"identify","messageId":"known-{person}","userId":"u{person}","timestamp":"{}","traits":{{"email":"u{person}@x.example","time_zone":"{zone}","first_name":"P{person}"}},"context":{{"device":{{"id":"dev-{person}"}}}}}}"#,
                time(at_ms)
            ),
        }];
        for (channel, share, endpoint) in
            [("email", 0.7, format!("u{person}@x.example")), ("push", 0.5, format!("dev-{person}"))]
        {
            if !self.random.random_bool(share) {
                continue;
            }
            for purpose in ["marketing", "feedback"] {
                out.push(Message {
                    at_ms,
                    source: "site",
                    json: format!(
                        r#"{{"type":"track","event":"Consent Changed","messageId":"consent-{person}-{channel}-{purpose}","userId":"u{person}","timestamp":"{}","properties":{{"channel":"{channel}","purpose":"{purpose}","state":"granted","endpoint":"{endpoint}"}}}}"#,
                        time(at_ms)
                    ),
                });
            }
        }
        Some(out)
    }

    fn person(&mut self) -> u32 {
        let people = self.settings.people;
        if self.random.random_bool(0.9) {
            self.random.random_range(0..people)
        } else {
            self.random.random_range(0..people / 100)
        }
    }

    fn product(&mut self) -> usize {
        let total = self.zipf[PRODUCTS - 1];
        let drawn = self.random.random::<f64>() * total;
        self.zipf.partition_point(|&sum| sum < drawn).min(PRODUCTS - 1)
    }

    fn fresh(&mut self) -> Message {
        let person = self.person();
        #[expect(clippy::cast_possible_truncation, reason = "a share of the span")]
        let at_ms = self.settings.start_ms
            + (i128::from(self.settings.span_ms) * i128::from(self.made)
                / i128::from(self.settings.touchpoints.max(1))) as i64;
        let mut properties = String::with_capacity(160);
        let draw = self.random.random_range(0..100u32);
        let (source, event) = self.event(draw, person, &mut properties);
        let (high, low) = (self.random.random::<u64>(), self.random.random::<u64>());
        let json = format!(
            r#"{{"type":"track","event":"{event}","messageId":"{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}","userId":"u{person}","timestamp":"{}","properties":{{{properties}}},"context":{{"library":{{"name":"analytics.js","version":"2.11.1"}},"page":{{"path":"/p","title":"Shop"}},"locale":"en-GB"}}}}"#,
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 52,
            low & 0xffff_ffff_ffff,
            time(at_ms),
        );
        Message { at_ms, source, json }
    }

    fn event(&mut self, draw: u32, person: u32, out: &mut String) -> (&'static str, &'static str) {
        let cart = self.carts[person as usize];
        let amount = self.random.random_range(100..20_000u32);
        let amount = format_args!("{}.{:02}", amount / 100, amount % 100).to_string();
        let written = match draw {
            0..50 => {
                let product = self.product();
                let category = product % CATEGORIES as usize;
                write!(out, r#""product_id":"sku-{product}","category":"cat-{category}","price":{amount},"currency":"GBP","position":3,"url":"https://shop.example/p/{product}""#)
                    .map(|()| ("site", "Product Viewed"))
            }
            50..65 => write!(
                out,
                r#""cart_id":"c-{person}-{cart}","value":{amount},"currency":"GBP","items":3"#
            )
            .map(|()| ("site", "Cart Updated")),
            65..70 => {
                self.carts[person as usize] += 1;
                write!(out, r#""order_id":"o-{person}-{cart}","cart_id":"c-{person}-{cart}","total":{amount},"currency":"GBP""#)
                    .map(|()| ("site", "Order Completed"))
            }
            70..76 => write!(out, r#""store_id":"s-{}""#, self.random.random_range(0..50u32))
                .map(|()| ("till", "Store Visited")),
            76..80 => {
                write!(out, r#""order_id":"so-{}","total":{amount},"currency":"GBP""#, self.made)
                    .map(|()| ("till", "Store Order Completed"))
            }
            80..92 => write!(out, r#""action_id":"a0-0-0-{}""#, self.made)
                .map(|()| ("mail", if draw < 88 { "Email Opened" } else { "Email Link Clicked" })),
            92..98 => write!(out, r#""network":"instagram","post_id":"post-{}""#, draw)
                .map(|()| ("social", "Post Engaged")),
            _ => {
                let channel = if self.random.random_bool(0.5) { "email" } else { "push" };
                let purpose = if self.random.random_bool(0.5) { "marketing" } else { "feedback" };
                let state = if self.random.random_bool(0.8) { "granted" } else { "denied" };
                write!(out, r#""channel":"{channel}","purpose":"{purpose}","state":"{state}""#)
                    .map(|()| ("site", "Consent Changed"))
            }
        };
        written.expect("writing to a string cannot fail")
    }
}

impl Iterator for Generator {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        if self.again.front().is_some_and(|(when, _)| *when <= self.made) {
            let (_, mut message) = self.again.pop_front().expect("just seen");
            message.at_ms = self.last_ms;
            return Some(message);
        }
        if self.made == self.settings.touchpoints {
            let (_, mut message) = self.again.pop_front()?;
            message.at_ms = self.last_ms;
            return Some(message);
        }
        let message = self.fresh();
        self.made += 1;
        self.last_ms = message.at_ms;
        if self.random.random_ratio(1, TWICE_ONE_IN) {
            let when = self.made + self.random.random_range(1..TWICE_WITHIN) as u64;
            let place = self.again.partition_point(|(other, _)| *other <= when);
            self.again.insert(place, (when, message.clone()));
        }
        Some(message)
    }
}

/// RFC 3339 of a time in milliseconds, without a calendar library: days from civil (Hinnant).
fn time(ms: i64) -> String {
    let (days, of_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        of_day / 3_600_000,
        of_day / 60_000 % 60,
        of_day / 1_000 % 60,
        of_day % 1_000
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            seed: 7,
            people: 1_000,
            touchpoints: 20_000,
            start_ms: 1_772_000_000_000,
            span_ms: 86_400_000,
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let all = |_| Generator::new(settings()).map(|message| message.json).collect::<Vec<_>>();
        assert_eq!(all(0), all(1));
    }

    #[test]
    fn shares_and_sizes_are_those_of_the_job() {
        let messages: Vec<_> = Generator::new(settings()).collect();
        let views = messages.iter().filter(|m| m.json.contains("Product Viewed")).count();
        assert!((9_700..10_300).contains(&views), "{views}");
        let twice = messages.len() - 20_000;
        assert!((20..70).contains(&twice), "{twice}");
        let bytes: usize = messages.iter().map(|m| m.json.len()).sum();
        assert!((330..470).contains(&(bytes / messages.len())), "{}", bytes / messages.len());
        assert!(messages.windows(2).all(|pair| pair[0].json.starts_with('{') && pair[1].at_ms > 0));
    }

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(1_772_000_000_123), "2026-02-25T06:13:20.123Z");
    }
}
