//! The process dies anywhere: no second effective dispatch, no lost action, no false receipt.

use super::house::{Does, House};
use crate::{Capability, DispatchError};
use sojourn_memory::{LogFaults, StoreFaults};
use sojourn_model::{ActionId, DurationMs, MessageClass};
use std::collections::BTreeMap;

/// A small generator of choices (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// What has been seen over all seeds: a test whose rare events never came proves nothing.
#[derive(Default)]
struct Seen {
    crashes: u64,
    unknown: u64,
    sent: u64,
    failed: u64,
    twice_by_class: u64,
}

fn run(seed: u64, seen: &mut Seen) {
    let mut dice = Dice(seed);
    let mut house = House::new();
    house.can(match dice.below(3) {
        0 => Capability::default(),
        1 => Capability { idempotency_window: DurationMs::hours(100), ..Capability::default() },
        _ => Capability { status_lookup: true, ..Capability::default() },
    });
    let blind = house.provider.lock().capability.capability() == Capability::default();
    let mut random = Dice(seed ^ 1);
    house.log.set_random(Box::new(move || random.next()));
    let mut random = Dice(seed ^ 2);
    house.store.set_random(Box::new(move || random.next()));
    house.log.set_faults(LogFaults { append_unknown: 60, short_read: 100, rewind_read: 100 });
    house.store.set_faults(StoreFaults { unknown: 100, failed: 100 });
    let mut actions: BTreeMap<ActionId, MessageClass> = BTreeMap::new();
    let mut dispatcher = Some(house.open_or_again());
    for step in 0..120u32 {
        match dice.below(10) {
            0..=3 if step < 80 => {
                let mut action = house.action(step);
                if dice.below(3) == 0 {
                    action.class = MessageClass::AtLeastOnce;
                }
                house.without_log_faults(|house| house.publish(&action));
                actions.insert(action.id, action.class);
            }
            4 | 5 => {
                let does = match dice.below(6) {
                    0 => Does::SendAndLose,
                    1 => Does::LoseAll,
                    2 => Does::Busy(dice.below(5_000)),
                    3 => Does::Refuse,
                    4 => Does::SendInSilence,
                    _ => Does::Send,
                };
                // Silence is a dead process' doing only: a transport always answers.
                if does != Does::SendInSilence {
                    house.plan(&[does]);
                }
            }
            6 => {
                if let Some(old) = dispatcher.take() {
                    house.crash(old);
                    seen.crashes += 1;
                }
                if dice.below(4) == 0 {
                    house.store.roll_back(1 + dice.below(3) as usize);
                }
                dispatcher = Some(house.open_or_again());
            }
            7 => {
                house.clock.advance(DurationMs(dice.below(20_000) as i64));
            }
            _ => {}
        }
        for _ in 0..dice.below(3) {
            let Some(current) = &mut dispatcher else { continue };
            match current.turn() {
                Ok(_) => {}
                Err(DispatchError::Log(_) | DispatchError::State(_)) => {
                    dispatcher = Some(house.open_or_again());
                }
                Err(error) => panic!("seed {seed}: {error}"),
            }
        }
    }
    // The faults stop: everything finishes.
    house.log.set_faults(LogFaults::default());
    house.store.set_faults(StoreFaults::default());
    house.provider.lock().plan.clear();
    let mut last = house.open();
    drop(dispatcher);
    house.run_for(&mut last, DurationMs::hours(30));
    let receipts = house.receipts();
    for (id, class) in &actions {
        let taken = house.taken().iter().filter(|taken| *taken == id).count();
        let events = receipts
            .get(&id.to_string())
            .unwrap_or_else(|| panic!("seed {seed}: {id} has no receipt, taken {taken}"));
        assert_eq!(events.len(), 1, "seed {seed}: {id} {events:?}");
        if !(blind && *class == MessageClass::AtLeastOnce) {
            assert!(taken <= 1, "seed {seed}: ACT-1: {id} went out {taken} times");
        }
        seen.twice_by_class += u64::from(taken > 1);
        match events.first().unwrap().as_str() {
            "Message Sent" => {
                assert!(taken >= 1, "seed {seed}: {id} was never taken");
                seen.sent += 1;
            }
            "Message Failed" => {
                assert_eq!(taken, 0, "seed {seed}: CAP-1: {id} went out and counts as failed");
                seen.failed += 1;
            }
            _ => seen.unknown += 1,
        }
    }
    assert_eq!(house.provider.lock().without_intent, 0, "seed {seed}: ACT-1");
    assert_eq!(receipts.len(), actions.len(), "seed {seed}: a receipt of nothing");
}

impl House {
    /// Opens, again after a failed or unknown claim.
    fn open_or_again(&self) -> crate::Dispatcher {
        for _ in 0..50 {
            if let Ok(dispatcher) = self.try_open() {
                return dispatcher;
            }
        }
        panic!("the store never answers");
    }

    fn without_log_faults<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> T {
        self.log.set_faults(LogFaults::default());
        let done = act(self);
        self.log.set_faults(LogFaults { append_unknown: 60, short_read: 100, rewind_read: 100 });
        done
    }
}

#[test]
fn wherever_it_dies_no_message_goes_out_twice_and_each_has_its_receipt() {
    let mut seen = Seen::default();
    for seed in 0..150 {
        run(seed, &mut seen);
    }
    assert!(seen.crashes > 400, "{}", seen.crashes);
    for (what, count) in [
        ("sent", seen.sent),
        ("failed", seen.failed),
        ("unknown", seen.unknown),
        ("service twice", seen.twice_by_class),
    ] {
        assert!(count > 5, "{what} was seen {count} times only");
    }
}

#[test]
fn an_empty_store_is_rebuilt_from_the_log() {
    let mut house = House::new();
    let mut dispatcher = house.open();
    house.plan(&[Does::Send, Does::Busy(3_600_000)]);
    let first = house.publish(&house.action(1));
    house.settle(&mut dispatcher);
    let second = house.publish(&house.action(2));
    house.settle(&mut dispatcher);
    dispatcher.save().unwrap();
    house.crash(dispatcher);
    house.store.empty();
    let mut dispatcher = house.open();
    house.run_for(&mut dispatcher, DurationMs::hours(2));
    assert_eq!(house.taken(), [first, second], "each once");
}

#[test]
fn what_sleeps_survives_a_clean_stop() {
    let mut house = House::new();
    let mut dispatcher = house.open();
    house.plan(&[Does::Busy(600_000)]);
    let id = house.publish(&house.action(1));
    house.settle(&mut dispatcher);
    dispatcher.save().unwrap();
    drop(dispatcher);
    let mut dispatcher = house.open();
    house.run_for(&mut dispatcher, DurationMs::seconds(599));
    assert_eq!(house.calls(), 1, "the provider asked for ten minutes");
    house.run_for(&mut dispatcher, DurationMs::seconds(2_000));
    assert_eq!(house.taken(), [id]);
}
