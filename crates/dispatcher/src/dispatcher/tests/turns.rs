//! One rule at a time.

use super::house::{Does, House};
use crate::{Bounce, Capability, ChannelOptions, ChannelState, Phase, limits};
use sojourn_memory::UnknownOutcome;
use sojourn_model::{DurationMs, MessageClass, Timestamp};
use sojourn_ports::{Gate, GateMark, Log, Topic};
use sojourn_proto::{Origin, action_record};

const SENT: &str = "Message Sent";
const FAILED: &str = "Message Failed";
const UNKNOWN: &str = "Message Outcome Unknown";

#[test]
fn an_action_is_delivered_once_with_a_durable_intent_and_a_receipt() {
    let mut house = House::new();
    let id = house.publish(&house.action(1));
    let mut dispatcher = house.open();
    house.settle(&mut dispatcher);
    assert_eq!(house.taken(), [id]);
    assert_eq!(house.receipt(id), SENT);
    assert_eq!(house.provider.lock().without_intent, 0, "ACT-1");
    assert_eq!(house.settle(&mut dispatcher).pending, 0);
}

#[test]
fn no_call_before_the_house_is_ready_and_cancels_are_known() {
    let mut house = House::new();
    house.set_ready(false);
    let first = house.action(1);
    let taken_back = house.publish(&first);
    let other = house.publish(&house.action(2));
    let mut dispatcher = house.open();
    house.settle(&mut dispatcher);
    assert_eq!((house.calls(), dispatcher.phase()), (0, Phase::CatchingUp));
    // The engine, catching up, takes one back; the record stands in the other partition.
    house.publish_cancel(&first, 1 - first.profile.partition(2));
    house.set_ready(true);
    house.settle(&mut dispatcher);
    assert_eq!(house.taken(), [other]);
    assert_eq!(house.receipt(taken_back), FAILED);
}

#[test]
fn a_closed_gate_refuses_and_an_unreachable_one_delays() {
    let mut house = House::new();
    let mut dispatcher = house.open();
    house.settle(&mut dispatcher);
    let revoked = house.action(1);
    let mark = GateMark::Revoked {
        endpoint: revoked.endpoint.clone(),
        channel: None,
        purpose: None,
        at: house.now().plus(DurationMs(1)),
    };
    house.gate.mark(&[mark]).unwrap();
    let id = house.publish(&revoked);
    house.settle(&mut dispatcher);
    assert_eq!((house.calls(), house.receipt(id).as_str()), (0, FAILED));

    house.gate.set_unreachable(true);
    let later = house.publish(&house.action(2));
    house.run_for(&mut dispatcher, DurationMs::seconds(5));
    assert_eq!(house.calls(), 0, "CON-2: store unreachable = no call");
    house.gate.set_unreachable(false);
    house.run_for(&mut dispatcher, DurationMs::seconds(5));
    assert_eq!(house.taken(), [later]);
}

#[test]
fn a_permit_lives_until_the_hand_over_and_no_longer() {
    let mut house = House::new();
    house.provider.lock().then = Does::SendInSilence;
    let mut dispatcher = house.open();
    house.publish(&house.action(1));
    house.settle(&mut dispatcher);
    assert_eq!(house.calls(), 1);
    // The fake provider drops the permit with the call; a mark does not wait for the answer.
    let mark = GateMark::PersonRevoked {
        profile: house.action(1).profile,
        channel: None,
        purpose: None,
        at: house.now(),
    };
    assert!(house.gate.try_mark(&[mark]));
}

#[test]
fn quiet_hours_hold_and_then_let_go_for_a_while() {
    let mut house = House::new();
    let mut dispatcher = house.open();
    let quiet = |house: &House, from: i64, until: i64| {
        let mut action = house.action(u32::try_from(from + 7).unwrap());
        action.quiet_from = Some(Timestamp(house.now().0 + from));
        action.quiet_until = Some(Timestamp(house.now().0 + until));
        action
    };
    let before = quiet(&house, 1_000, 5_000_000);
    let before = house.publish(&before);
    let inside = quiet(&house, 0, 3_600_000);
    let end = inside.quiet_until.unwrap();
    let inside = house.publish(&inside);
    house.settle(&mut dispatcher);
    assert_eq!(house.taken(), [before], "before the window is outside it");
    house.run_until(&mut dispatcher, end.minus(DurationMs(1)));
    assert_eq!(house.taken(), [before], "QUI-1");
    house.run_until(&mut dispatcher, end);
    assert_eq!(house.taken(), [before, inside]);

    // One that comes back long after its window knows nothing of the next.
    house.plan(&[Does::Busy(0)]);
    let late = quiet(&house, 10, 20);
    let late = house.publish(&late);
    house.settle(&mut dispatcher);
    house.clock.advance(DurationMs(limits::QUIET_TRUST.0 + 20));
    house.settle(&mut dispatcher);
    assert_eq!(house.receipt(late), FAILED);
    let mut expiring = quiet(&house, -1, 1_000);
    expiring.expires = expiring.quiet_until;
    let expiring = house.publish(&expiring);
    house.settle(&mut dispatcher);
    assert_eq!(house.receipt(expiring), FAILED, "at its end it has expired");
    assert_eq!(house.taken(), [before, inside]);
}

#[test]
fn an_expired_action_does_not_go_out() {
    let mut house = House::new();
    let mut dispatcher = house.open();
    let mut action = house.action(1);
    action.expires = Some(house.now());
    let id = house.publish(&action);
    house.settle(&mut dispatcher);
    assert_eq!((house.calls(), house.receipt(id).as_str()), (0, FAILED));
}

#[test]
fn what_is_not_taken_is_tried_again_under_the_same_id_and_given_up() {
    let mut house = House::new();
    let mut dispatcher = house.open();
    house.plan(&[Does::Busy(0), Does::Busy(60_000), Does::Send]);
    let id = house.publish(&house.action(1));
    let began = house.now();
    house.settle(&mut dispatcher);
    assert_eq!(house.calls(), 1);
    house.run_for(&mut dispatcher, DurationMs::seconds(600));
    assert_eq!(house.taken(), [id]);
    let attempts: Vec<_> =
        house.provider.lock().calls.iter().map(|call| (call.0, call.1)).collect();
    assert_eq!(attempts, [(id, 1), (id, 2), (id, 3)]);
    let at = house.provider.lock().taken[0].1;
    assert!(at.since(began).0 >= 60_000, "the provider asked for a pause");

    house.provider.lock().then = Does::Busy(0);
    let id = house.publish(&house.action(2));
    house.run_for(&mut dispatcher, DurationMs::hours(23));
    assert_eq!(house.receipt(id), FAILED);
    let tried = house.provider.lock().calls.iter().filter(|call| call.0 == id).count();
    assert_eq!(tried, limits::ATTEMPTS_MAX as usize);
}

#[test]
fn a_final_refusal_is_final() {
    let mut house = House::new();
    let mut dispatcher = house.open();
    house.plan(&[Does::Refuse]);
    let id = house.publish(&house.action(1));
    house.run_for(&mut dispatcher, DurationMs::hours(1));
    assert_eq!((house.calls(), house.receipt(id).as_str()), (1, FAILED));
}

#[test]
fn a_failure_for_the_address_is_told_as_a_bounce() {
    let mut house = House::new();
    let mut dispatcher = house.open();
    let mut tell = |does: &[Does], number: u32| {
        house.provider.lock().plan.clear();
        house.plan(does);
        let id = house.publish(&house.action(number));
        house.run_for(&mut dispatcher, DurationMs::hours(48));
        house.receipts()[&id.to_string()].iter().cloned().collect::<Vec<_>>()
    };
    assert_eq!(tell(&[Does::Bounce(Bounce::Hard)], 1), ["Email Bounced (hard)", FAILED]);
    assert_eq!(tell(&[Does::Bounce(Bounce::Soft)], 2), ["Email Bounced (soft)", FAILED]);
    let given_up = [Does::BusyMailbox; limits::ATTEMPTS_MAX as usize];
    assert_eq!(tell(&given_up, 3), ["Email Bounced (soft)", FAILED]);
    // What the address did not take at first and then took has not bounced.
    assert_eq!(tell(&[Does::BusyMailbox, Does::Send], 4), [SENT]);
    assert_eq!(tell(&[Does::Refuse], 5), [FAILED]);
}

#[test]
fn unknown_outcomes_follow_class_and_channel() {
    struct Case {
        name: &'static str,
        class: MessageClass,
        can: Capability,
        does: Does,
        taken: usize,
        receipt: &'static str,
    }
    let idempotent =
        Capability { idempotency_window: DurationMs::hours(1), ..Capability::default() };
    let asks = Capability { status_lookup: true, ..Capability::default() };
    let none = Capability::default();
    let (once, least) = (MessageClass::AtMostOnce, MessageClass::AtLeastOnce);
    let case =
        |name, class, can, does, taken, receipt| Case { name, class, can, does, taken, receipt };
    let cases = [
        case("marketing is left", once, none, Does::SendAndLose, 1, UNKNOWN),
        case("marketing is left, though lost", once, none, Does::LoseAll, 0, UNKNOWN),
        case("service goes again", least, none, Does::LoseAll, 1, SENT),
        case("service rather twice", least, none, Does::SendAndLose, 2, SENT),
        case("an idempotent channel is safe", once, idempotent, Does::SendAndLose, 1, SENT),
        case("and makes up for a loss", once, idempotent, Does::LoseAll, 1, SENT),
        case("a look-up tells", once, asks, Does::SendAndLose, 1, SENT),
        case("a look-up tells that it may go", once, asks, Does::LoseAll, 1, SENT),
    ];
    for Case { name, class, can, does, taken, receipt } in cases {
        let mut house = House::new();
        house.can(can);
        house.plan(&[does]);
        let mut dispatcher = house.open();
        let mut action = house.action(1);
        action.class = class;
        let id = house.publish(&action);
        house.run_for(&mut dispatcher, DurationMs::hours(2));
        assert_eq!(house.taken(), vec![id; taken], "{name}");
        assert_eq!(house.receipt(id), receipt, "{name}");
    }
}

#[test]
fn a_failure_after_an_unknown_attempt_is_unknown() {
    let mut house = House::new();
    let mut dispatcher = house.open();
    house.plan(&[Does::SendAndLose, Does::Refuse]);
    let mut action = house.action(1);
    action.class = MessageClass::AtLeastOnce;
    let id = house.publish(&action);
    house.run_for(&mut dispatcher, DurationMs::hours(2));
    assert_eq!(house.receipt(id), UNKNOWN, "CAP-1: the first may have gone out");
}

#[test]
fn a_cancel_stops_the_next_attempt_and_not_the_one_that_is_out() {
    let mut house = House::new();
    let mut dispatcher = house.open();
    house.plan(&[Does::Busy(0)]);
    let action = house.action(1);
    let id = house.publish(&action);
    house.settle(&mut dispatcher);
    house.publish_cancel(&action, action.profile.partition(2));
    house.run_for(&mut dispatcher, DurationMs::hours(1));
    assert_eq!((house.calls(), house.receipt(id).as_str()), (1, FAILED));
}

#[test]
fn a_record_published_again_is_skipped() {
    let mut house = House::new();
    let mut dispatcher = house.open();
    let action = house.action(1);
    let id = house.publish(&action);
    house.settle(&mut dispatcher);
    let partition = action.profile.partition(2);
    let origin = Origin { partition, epoch: 0, offset: 1, index: 0 };
    house.append(partition, action_record(origin, &action));
    house.settle(&mut dispatcher);
    assert_eq!(house.taken(), [id]);
}

#[test]
fn a_damaged_record_goes_to_the_dead_letters_and_stops_nothing() {
    let mut house = House::new();
    let mut dispatcher = house.open();
    house.append(0, bytes::Bytes::from_static(b"\xff\xff\xff"));
    let id = house.publish(&house.action(1));
    house.settle(&mut dispatcher);
    assert_eq!(house.taken(), [id]);
    assert_eq!(house.log.bounds(Topic::DeadLetters, 0).unwrap().next, 1);
}

#[test]
fn an_unknown_channel_fails_with_a_reason() {
    let mut house = House::new();
    let mut dispatcher = house.open();
    let mut action = house.action(1);
    action.channel = "pigeon".into();
    let id = house.publish(&action);
    house.settle(&mut dispatcher);
    assert_eq!(house.receipt(id), FAILED);
}

#[test]
fn service_goes_first_then_priority_and_the_rate_holds() {
    let mut house = House::new();
    house.email = ChannelOptions { rate_per_second: Some(1.0), in_flight: None };
    let mut ids = Vec::new();
    for (n, class, priority) in [
        (1, MessageClass::AtMostOnce, 10),
        (2, MessageClass::AtMostOnce, 90),
        (3, MessageClass::AtLeastOnce, 0),
    ] {
        let mut action = house.action(n);
        (action.class, action.priority) = (class, priority);
        ids.push(house.publish(&action));
    }
    let mut dispatcher = house.open();
    house.settle(&mut dispatcher);
    assert_eq!(house.taken(), [ids[2]]);
    house.run_for(&mut dispatcher, DurationMs::seconds(10));
    assert_eq!(house.taken(), [ids[2], ids[1], ids[0]]);
    let at: Vec<_> = house.provider.lock().taken.iter().map(|(_, at)| at.0).collect();
    assert!(at[1] - at[0] >= 1_000 && at[2] - at[1] >= 1_000, "{at:?}");
}

#[test]
fn a_dead_channel_is_left_alone_between_probes() {
    let mut house = House::new();
    house.provider.lock().then = Does::Busy(0);
    for n in 0..100 {
        house.publish(&house.action(n));
    }
    house.email.in_flight = Some(1);
    let mut dispatcher = house.open();
    house.run_for(&mut dispatcher, DurationMs::seconds(60));
    let calls = house.calls();
    assert!((10..=16).contains(&calls), "{calls}: ten to open it, then a probe at a time");
    house.provider.lock().then = Does::Send;
    house.run_for(&mut dispatcher, DurationMs::hours(2));
    assert_eq!(house.taken().len(), 100, "nothing is lost");
}

#[test]
fn an_unknown_append_is_looked_up_and_a_full_log_waited_for() {
    for outcome in [UnknownOutcome::Applied, UnknownOutcome::Lost] {
        for skip in 0..2 {
            let mut house = House::new();
            let mut dispatcher = house.open();
            house.settle(&mut dispatcher);
            let id = house.publish(&house.action(1));
            if skip == 1 {
                dispatcher.turn().unwrap(); // the intent goes through, the outcome does not
            }
            house.log.next_append_unknown(outcome);
            house.settle(&mut dispatcher);
            assert_eq!((house.taken(), house.receipt(id).as_str()), (vec![id], SENT));
            assert_eq!(house.provider.lock().without_intent, 0);
        }
    }
    let mut house = House::new();
    let mut dispatcher = house.open();
    let id = house.publish(&house.action(1));
    house.log.set_full(true);
    for _ in 0..5 {
        dispatcher.turn().unwrap();
    }
    assert_eq!(house.calls(), 0, "no intent, no call");
    house.log.set_full(false);
    house.settle(&mut dispatcher);
    assert_eq!(house.taken(), [id]);
}

#[test]
fn an_unknown_outcome_waits_for_its_channel_after_a_restart() {
    let mut house = House::new();
    house.can(Capability { status_lookup: true, ..Capability::default() });
    house.provider.lock().then = Does::SendInSilence;
    let mut dispatcher = house.open();
    let id = house.publish(&house.action(1));
    house.settle(&mut dispatcher);
    house.crash(dispatcher);
    house.provider.lock().capability = ChannelState::NotYet;
    let mut dispatcher = house.open();
    house.run_for(&mut dispatcher, DurationMs::seconds(10));
    assert_eq!(house.calls(), 1, "it is not known whether it can be asked");
    house.can(Capability { status_lookup: true, ..Capability::default() });
    house.run_for(&mut dispatcher, DurationMs::seconds(60));
    assert_eq!((house.taken(), house.receipt(id).as_str()), (vec![id], SENT));
}

#[test]
fn draining_takes_answers_and_begins_nothing() {
    let mut house = House::new();
    let mut dispatcher = house.open();
    let first = house.publish(&house.action(1));
    dispatcher.turn().unwrap();
    assert_eq!(dispatcher.turn().unwrap().in_flight, 0);
    let second = house.publish(&house.action(2));
    let begun = dispatcher.turn().unwrap();
    assert_eq!((begun.in_flight, house.calls()), (1, 2));
    let third = house.publish(&house.action(3));
    dispatcher.drain();
    let progress = house.settle(&mut dispatcher);
    assert_eq!((progress.in_flight, progress.pending), (0, 1));
    dispatcher.save().unwrap();
    house.crash(dispatcher);
    let mut dispatcher = house.open();
    house.settle(&mut dispatcher);
    assert_eq!(house.taken(), [first, second, third]);
}

#[test]
fn a_pause_grows_and_is_the_same_on_every_replay() {
    use crate::pending::{History, Pending};
    let house = House::new();
    let mut last = 0;
    for calls in 1..12 {
        let history = History { calls, ..History::default() };
        let pending = Pending::new(house.action(7), Default::default(), history);
        let pause = pending.backoff().0;
        assert_eq!(pause, pending.backoff().0);
        let full = (limits::BACKOFF_FIRST.0 << (calls - 1)).min(limits::BACKOFF_MAX.0);
        assert!((full / 2..=full).contains(&pause), "{calls}: {pause} of {full}");
        assert!(pause >= last / 2);
        last = pause;
    }
}
