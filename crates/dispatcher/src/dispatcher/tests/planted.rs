//! Each planted bug is caught by the check that guards its rule.

use super::house::{Does, House};
use crate::{Mutation, plant};
use sojourn_model::{DurationMs, Timestamp};
use sojourn_ports::{Gate, GateMark};

/// Whether the rule that the mutation breaks holds over a run made for it.
fn holds(mutation: Mutation) -> bool {
    let mut house = House::new();
    let mut dispatcher = house.open();
    house.settle(&mut dispatcher);
    let mut action = house.action(1);
    match mutation {
        Mutation::GateAtDecisionOnly => {
            house.gate.mark(&[GateMark::Cancelled(action.id)]).unwrap();
            house.publish(&action);
            house.settle(&mut dispatcher);
            house.calls() == 0
        }
        Mutation::NewIdOnRetry => {
            house.plan(&[Does::Busy(0)]);
            let id = house.publish(&action);
            house.run_for(&mut dispatcher, DurationMs::seconds(60));
            house.taken() == [id]
        }
        Mutation::ResendUnknown => {
            house.plan(&[Does::SendAndLose]);
            let id = house.publish(&action);
            house.run_for(&mut dispatcher, DurationMs::seconds(60));
            house.taken() == [id]
        }
        Mutation::IgnoreQuietWindow => {
            action.quiet_from = Some(house.now());
            action.quiet_until = Some(Timestamp(house.now().0 + 60_000));
            house.publish(&action);
            house.settle(&mut dispatcher);
            house.calls() == 0
        }
        Mutation::IntentAfterCall => {
            house.publish(&action);
            house.settle(&mut dispatcher);
            house.provider.lock().without_intent == 0
        }
    }
}

#[test]
fn each_planted_bug_is_noticed() {
    for mutation in Mutation::ALL {
        plant(None);
        assert!(holds(mutation), "{mutation:?}: the rule holds without the bug");
        plant(Some(mutation));
        assert!(!holds(mutation), "{mutation:?} is noticed");
    }
    plant(None);
}
