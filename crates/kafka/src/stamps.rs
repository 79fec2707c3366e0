//! Log time from the brokers' stamps: the same for every reader, wherever it begins.
//!
//! A broker stamps a batch with its own clock (`LogAppendTime`). Clocks are set back and leaders
//! change, so stamps run back; log time must not. It is the **running maximum**: the log time of a
//! record is the largest stamp at or before it in its partition.
//!
//! A reader that goes on where it is keeps the maximum so far. One that begins in the middle must
//! learn it, or it would see another time than a reader that came from the beginning, and a replay
//! would decide otherwise (DET-1). The brokers' time index answers it: `first_at(t)`, the first
//! offset whose stamp is at least `t`, lies below the place to begin if and only if the maximum
//! before that place is at least `t`. One question tells the usual case (nothing before is larger
//! than the first stamp here); after a step of the clock a binary search finds the maximum.
//!
//! Trimming must not take the maximum away: it cuts only before a record whose stamp *is* its log
//! time, which `first_at` returns by its nature. What is left needs nothing of what is gone. This
//! is why the brokers must not delete by themselves (`retention.ms=-1`).

/// The largest stamp before `offset` when it is above `stamp`, otherwise `stamp`.
pub(crate) fn max_before<E>(
    offset: u64,
    stamp: i64,
    mut first_at: impl FnMut(i64) -> Result<Option<u64>, E>,
) -> Result<i64, E> {
    let mut is_before =
        |stamp: i64| first_at(stamp).map(|found| found.is_some_and(|found| found < offset));
    let mut low = stamp.saturating_add(1);
    if !is_before(low)? {
        return Ok(stamp);
    }
    // Something at `low` is before; find an instant that nothing before has reached.
    let mut step = FIRST_STEP_MS;
    let mut high = low.saturating_add(step);
    while is_before(high)? {
        low = high;
        step = step.saturating_mul(2);
        high = high.saturating_add(step);
        if low == high {
            break;
        }
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if is_before(middle)? { low = middle } else { high = middle }
    }
    Ok(low)
}

/// Clocks are mostly set back by little.
const FIRST_STEP_MS: i64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn first_at(stamps: &[i64], stamp: i64) -> Option<u64> {
        stamps.iter().position(|&found| found >= stamp).map(|place| place as u64)
    }

    #[test]
    fn every_reader_sees_the_same_time_wherever_it_begins() {
        // Two steps back, one leap forward and back, equal stamps.
        let mut seed = 7u64;
        let mut stamps = Vec::new();
        let mut now = 1_000_000i64;
        for nth in 0..400 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            now += (seed >> 60) as i64;
            match nth {
                100 => now -= 57_000,
                200 => now += 3_600_000,
                210 => now -= 3_600_000,
                300 => now -= 1,
                _ => {}
            }
            stamps.push(now);
        }
        let mut whole = Vec::new();
        for &stamp in &stamps {
            whole.push(whole.last().map_or(stamp, |&last: &i64| last.max(stamp)));
        }
        let mut questions = 0;
        for (begin, &stamp) in stamps.iter().enumerate() {
            let mut ask = |at| {
                questions += 1;
                Ok::<_, Infallible>(first_at(&stamps, at))
            };
            let Ok(before) = max_before(begin as u64, stamp, &mut ask);
            assert_eq!(before.max(stamp), whole[begin], "begun at {begin}");
        }
        assert!(questions > stamps.len(), "the clock never ran back");
    }

    #[test]
    fn what_a_trim_leaves_needs_nothing_of_what_is_gone() {
        let stamps = [5, 9, 7, 9, 3, 12, 11, 12, 4];
        let max_to = |to: usize| *stamps[..=to].iter().max().unwrap();
        for wanted in 0..stamps.len() {
            let cut = first_at(&stamps, max_to(wanted)).unwrap() as usize;
            assert!(cut <= wanted);
            for place in cut..stamps.len() {
                assert_eq!(*stamps[cut..=place].iter().max().unwrap(), max_to(place));
            }
        }
    }
}
