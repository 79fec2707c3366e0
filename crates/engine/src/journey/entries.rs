//! The entry ledger: who entered what, when; kept for ever, compactly (W25).

use crate::limits::{ENTRY_KEYS_MAX, ENTRY_TIMES_SPARE};
use crate::profile::make_room;
use serde::{Deserialize, Serialize};
use sojourn_model::{DurationMs, Name, Timestamp};

/// Entries of one person, in order of journey.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entries {
    journeys: Vec<JourneyEntries>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct JourneyEntries {
    journey: Name,
    /// Hash of each instance key that entered, with its last entry; in order of hash.
    keys: Vec<(u64, Timestamp)>,
    /// Last entries of any key, oldest first.
    times: Vec<Timestamp>,
}

/// FNV-1a, 64 bits; 0 is the default key's.
fn hash_of(key: Option<&str>) -> u64 {
    let Some(key) = key else { return 0 };
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    key.bytes().fold(0xCBF2_9CE4_8422_2325, mix).max(1)
}

impl Entries {
    fn find(&self, journey: &str) -> Result<usize, usize> {
        self.journeys.binary_search_by(|entries| (*entries.journey).cmp(journey))
    }

    /// Last entry of a key.
    pub(crate) fn last(&self, journey: &str, key: Option<&str>) -> Option<Timestamp> {
        let keys = &self.journeys[self.find(journey).ok()?].keys;
        let place = keys.binary_search_by_key(&hash_of(key), |known| known.0).ok()?;
        Some(keys[place].1)
    }

    /// Entries of any key in `(now − window, now]`.
    pub(crate) fn count(&self, journey: &str, window: DurationMs, now: Timestamp) -> usize {
        let Ok(place) = self.find(journey) else { return 0 };
        let after = now.minus(window);
        self.journeys[place].times.iter().filter(|at| **at > after).count()
    }

    /// Notes an entry; `at_most` says how many times must be kept at least. Gives whether a limit
    /// dropped an old key.
    pub(crate) fn add(
        &mut self,
        journey: &Name,
        key: Option<&str>,
        at_most: u32,
        now: Timestamp,
    ) -> bool {
        let place = self.find(journey).unwrap_or_else(|place| {
            let (keys, times) = (Vec::new(), Vec::new());
            make_room(&mut self.journeys);
            self.journeys.insert(place, JourneyEntries { journey: journey.clone(), keys, times });
            place
        });
        let entries = &mut self.journeys[place];
        let hash = hash_of(key);
        match entries.keys.binary_search_by_key(&hash, |known| known.0) {
            Ok(place) => entries.keys[place].1 = entries.keys[place].1.max(now),
            Err(place) => {
                make_room(&mut entries.keys);
                entries.keys.insert(place, (hash, now));
            }
        }
        make_room(&mut entries.times);
        entries.times.push(now);
        let keep = (at_most as usize).max(ENTRY_TIMES_SPARE);
        let excess = entries.times.len().saturating_sub(keep);
        entries.times.drain(..excess);
        entries.trim()
    }

    /// The union of both (semantics 2).
    pub(crate) fn merge(&mut self, other: Self) {
        for theirs in other.journeys {
            match self.find(&theirs.journey) {
                Err(place) => self.journeys.insert(place, theirs),
                Ok(place) => {
                    let ours = &mut self.journeys[place];
                    for (hash, at) in theirs.keys {
                        match ours.keys.binary_search_by_key(&hash, |known| known.0) {
                            Ok(place) => ours.keys[place].1 = ours.keys[place].1.max(at),
                            Err(place) => ours.keys.insert(place, (hash, at)),
                        }
                    }
                    ours.times.extend(theirs.times);
                    ours.times.sort_unstable();
                    ours.trim();
                }
            }
        }
    }
}

impl JourneyEntries {
    fn trim(&mut self) -> bool {
        if self.keys.len() <= ENTRY_KEYS_MAX {
            return false;
        }
        let oldest = (0..self.keys.len()).min_by_key(|place| (self.keys[*place].1, *place));
        self.keys.remove(oldest.expect("more than the limit"));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_apart_and_windows_are_half_open() {
        let mut entries = Entries::default();
        let journey: Name = "j".into();
        entries.add(&journey, Some("c1"), 0, Timestamp(10));
        entries.add(&journey, None, 0, Timestamp(20));
        assert_eq!(entries.last("j", Some("c1")), Some(Timestamp(10)));
        assert_eq!(entries.last("j", None), Some(Timestamp(20)));
        assert_eq!(entries.last("j", Some("c2")), None);
        assert_eq!(entries.last("k", None), None);
        assert_eq!(entries.count("j", DurationMs(10), Timestamp(20)), 1);
        assert_eq!(entries.count("j", DurationMs(11), Timestamp(20)), 2);
    }

    #[test]
    fn a_merge_unites() {
        let journey: Name = "j".into();
        let (mut a, mut b) = (Entries::default(), Entries::default());
        a.add(&journey, None, 0, Timestamp(5));
        b.add(&journey, None, 0, Timestamp(9));
        b.add(&"k".into(), Some("x"), 0, Timestamp(7));
        let (mut ab, mut ba) = (a.clone(), b.clone());
        ab.merge(b);
        ba.merge(a);
        assert_eq!(ab, ba);
        assert_eq!(ab.last("j", None), Some(Timestamp(9)));
        assert_eq!(ab.count("j", DurationMs(100), Timestamp(9)), 2);
    }
}
