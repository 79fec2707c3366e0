//! The contract of [`Gate`] as cases (CON-2).

use super::{Case, Report, run};
use crate::{Gate, GateMark, GateQuery, GateVerdict, Permit};
use sojourn_model::{ActionId, CandidateId, KillTarget, ProfileId, Timestamp, name};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

/// Runs every case against gates that are open at first.
pub fn check_gate(make: &mut dyn FnMut() -> Arc<dyn Gate>) -> Report {
    run(CASES, &(), make)
}

const CASES: &[Case<Arc<dyn Gate>, ()>] = &[
    ("a revocation stops what was approved before it", |()| true, revoked),
    ("a revocation stops its channel and purpose only", |()| true, narrow),
    ("a revocation without an endpoint stops the person's identifiers", |()| true, identifiers),
    ("a person's revocation stops all endpoints", |()| true, person),
    ("a later revocation widens, an earlier one takes nothing back", |()| true, latest),
    ("a cancelled action stays in", |()| true, cancelled),
    ("nothing goes to an erased person", |()| true, erased),
    ("kill switches stop and let go", |()| true, killed),
    ("the later order about a target holds, in whatever sequence they come", |()| true, ordered),
    ("an order that an older one overtook waits for permits all the same", |()| true, overtaken),
    ("a mark waits for the permits it concerns", |()| true, waits),
    ("a mark does not wait for others", |()| true, others),
];

fn action(run: u64) -> ActionId {
    ActionId(CandidateId { profile: ProfileId(1), run: run.try_into().unwrap(), step: 0, visit: 0 })
}

/// An e-mail of profile 1 for `marketing`, approved at 100.
fn query() -> GateQuery {
    GateQuery {
        action: action(1),
        profile: ProfileId(1),
        endpoint: name("a@x"),
        identifiers: vec![name("42"), name("a@x")],
        channel: name("email"),
        purpose: name("marketing"),
        journey: name("welcome"),
        approved_at: Timestamp(100),
    }
}

fn revocation(endpoint: &str, channel: Option<&str>, purpose: Option<&str>, at: i64) -> GateMark {
    GateMark::Revoked {
        endpoint: name(endpoint),
        channel: channel.map(name),
        purpose: purpose.map(name),
        at: Timestamp(at),
    }
}

fn ask(gate: &Arc<dyn Gate>, query: &GateQuery) -> Option<Permit> {
    match gate.ask(query) {
        GateVerdict::Open(permit) => Some(permit),
        GateVerdict::Closed(reason) => {
            assert!(!reason.is_empty());
            None
        }
        GateVerdict::Unreachable(reason) => panic!("the gate does not answer: {reason}"),
    }
}

fn open(gate: &Arc<dyn Gate>, change: impl FnOnce(&mut GateQuery)) -> bool {
    let mut query = query();
    change(&mut query);
    ask(gate, &query).is_some()
}

fn revoked(gate: &mut Arc<dyn Gate>) {
    assert!(open(gate, |_| {}));
    gate.mark(&[revocation("a@x", Some("email"), Some("marketing"), 200)]).unwrap();
    assert!(!open(gate, |_| {}));
    assert!(!open(gate, |query| query.approved_at = Timestamp(199)));
    assert!(open(gate, |query| query.approved_at = Timestamp(200)), "it saw the revocation");
    assert!(open(gate, |query| {
        query.endpoint = name("b@x");
        query.identifiers = vec![name("43"), name("b@x")];
    }));
}

fn narrow(gate: &mut Arc<dyn Gate>) {
    gate.mark(&[revocation("a@x", Some("email"), Some("marketing"), 200)]).unwrap();
    assert!(open(gate, |query| query.channel = name("sms")));
    assert!(open(gate, |query| query.purpose = name("feedback")));
    gate.mark(&[revocation("a@x", Some("email"), None, 200)]).unwrap();
    assert!(!open(gate, |query| query.purpose = name("feedback")));
    assert!(open(gate, |query| query.purpose = name("service")), "any purpose but service");
    assert!(open(gate, |query| query.channel = name("sms")));
    gate.mark(&[revocation("a@x", None, Some("service"), 200)]).unwrap();
    assert!(!open(gate, |query| {
        query.purpose = name("service");
        query.channel = name("sms");
    }));
}

fn identifiers(gate: &mut Arc<dyn Gate>) {
    gate.mark(&[revocation("42", Some("email"), Some("marketing"), 200)]).unwrap();
    assert!(!open(gate, |_| {}));
    assert!(open(gate, |query| query.identifiers = vec![name("43")]));
}

fn person(gate: &mut Arc<dyn Gate>) {
    let (channel, purpose) = (Some(name("email")), Some(name("marketing")));
    let mark =
        GateMark::PersonRevoked { profile: ProfileId(1), channel, purpose, at: Timestamp(200) };
    gate.mark(&[mark]).unwrap();
    assert!(!open(gate, |query| query.endpoint = name("other@x")));
    assert!(open(gate, |query| query.profile = ProfileId(2)));
    assert!(open(gate, |query| query.channel = name("sms")));
    assert!(open(gate, |query| query.approved_at = Timestamp(200)));
}

fn latest(gate: &mut Arc<dyn Gate>) {
    let mark = |at| revocation("a@x", Some("email"), Some("marketing"), at);
    gate.mark(&[mark(200)]).unwrap();
    gate.mark(&[mark(150)]).unwrap();
    assert!(!open(gate, |query| query.approved_at = Timestamp(160)));
    gate.mark(&[mark(300)]).unwrap();
    assert!(!open(gate, |query| query.approved_at = Timestamp(250)));
}

fn cancelled(gate: &mut Arc<dyn Gate>) {
    gate.mark(&[GateMark::Cancelled(action(1))]).unwrap();
    assert!(!open(gate, |_| {}));
    assert!(open(gate, |query| query.action = action(2)));
}

fn erased(gate: &mut Arc<dyn Gate>) {
    gate.mark(&[GateMark::Erased(ProfileId(1))]).unwrap();
    assert!(!open(gate, |_| {}));
    assert!(!open(gate, |query| query.purpose = name("service")), "ERA-1");
    assert!(open(gate, |query| query.profile = ProfileId(2)));
}

fn killed(gate: &mut Arc<dyn Gate>) {
    let targets = [
        KillTarget::All,
        KillTarget::Class(name("marketing")),
        KillTarget::Channel(name("email")),
        KillTarget::Journey(name("welcome")),
    ];
    for target in targets {
        gate.mark(&[kill(&target, true, 200)]).unwrap();
        assert!(!open(gate, |_| {}), "{target:?}");
        let other = open(gate, |query| {
            query.purpose = name("service");
            query.channel = name("sms");
            query.journey = name("other");
        });
        assert_eq!(other, target != KillTarget::All);
        gate.mark(&[kill(&target, false, 300)]).unwrap();
        assert!(open(gate, |_| {}));
    }
}

fn kill(target: &KillTarget, on: bool, at: i64) -> GateMark {
    GateMark::Killed { target: target.clone(), on, at: Timestamp(at) }
}

fn ordered(gate: &mut Arc<dyn Gate>) {
    let (email, all) = (KillTarget::Channel(name("email")), KillTarget::All);
    gate.mark(&[kill(&email, true, 100), kill(&email, false, 200)]).unwrap();
    assert!(open(gate, |_| {}));
    // A partition that lags comes to the first order only now.
    gate.post(&[kill(&email, true, 100)]).unwrap();
    assert!(open(gate, |_| {}), "an old kill after its release");
    gate.mark(&[kill(&email, true, 300)]).unwrap();
    gate.post(&[kill(&email, false, 200)]).unwrap();
    assert!(!open(gate, |_| {}), "an old release after a new kill");
    gate.post(&[kill(&email, false, 300)]).unwrap();
    assert!(!open(gate, |_| {}), "of one instant, what stops holds");
    gate.post(&[kill(&all, false, 400)]).unwrap();
    assert!(!open(gate, |_| {}), "each target for itself");
    gate.post(&[kill(&email, false, 301)]).unwrap();
    assert!(open(gate, |_| {}));
    gate.post(&[kill(&email, true, 301)]).unwrap();
    assert!(!open(gate, |_| {}), "of one instant, what stops holds");
}

fn overtaken(gate: &mut Arc<dyn Gate>) {
    let permit = ask(gate, &query()).expect("open");
    gate.post(&[kill(&KillTarget::All, true, 300)]).unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        let gate = &*gate;
        scope.spawn(move || {
            gate.mark(&[kill(&KillTarget::All, true, 200)]).unwrap();
            tell.send(()).unwrap();
        });
        assert!(told.recv_timeout(Duration::from_millis(30)).is_err(), "the permit is out");
        drop(permit);
        told.recv_timeout(Duration::from_secs(10)).unwrap();
    });
    // What a later release has let go again needs no waiting.
    gate.post(&[kill(&KillTarget::All, false, 400)]).unwrap();
    let _held = ask(gate, &query()).expect("released");
    gate.mark(&[kill(&KillTarget::All, true, 350)]).unwrap();
}

fn waits(gate: &mut Arc<dyn Gate>) {
    let marks = [
        revocation("a@x", None, None, 200),
        GateMark::Cancelled(action(1)),
        GateMark::Erased(ProfileId(1)),
        kill(&KillTarget::All, true, 200),
    ];
    for (nth, mark) in marks.into_iter().enumerate() {
        // Each mark would close the gate for the next round: another person each time.
        let mut query = query();
        if nth > 0 {
            query.endpoint = name("other@x");
            query.identifiers.clear();
        }
        if nth > 1 {
            query.action = action(7);
        }
        if nth > 2 {
            query.profile = ProfileId(2);
        }
        let mark = match mark {
            GateMark::Cancelled(_) => GateMark::Cancelled(query.action),
            mark => mark,
        };
        let permit = ask(gate, &query).expect("open before the mark");
        let (tell, told) = mpsc::channel();
        std::thread::scope(|scope| {
            let gate = &*gate;
            let query = &query;
            scope.spawn(move || {
                gate.mark(&[mark]).unwrap();
                tell.send(()).unwrap();
            });
            // The permit is held: the revocation is not acknowledged, yet nothing new passes.
            assert!(told.recv_timeout(Duration::from_millis(30)).is_err(), "CON-2");
            assert!(ask(gate, query).is_none());
            drop(permit);
            told.recv_timeout(Duration::from_secs(10)).unwrap();
        });
    }
}

fn others(gate: &mut Arc<dyn Gate>) {
    let _held = ask(gate, &query()).expect("open");
    gate.mark(&[
        revocation("b@x", None, None, 200),
        revocation("a@x", Some("sms"), None, 200),
        revocation("a@x", None, None, 100),
        GateMark::Cancelled(action(2)),
        GateMark::Erased(ProfileId(2)),
        kill(&KillTarget::Channel(name("sms")), true, 200),
        kill(&KillTarget::All, false, 200),
    ])
    .unwrap();
    let _second = ask(gate, &query()).expect("asks do not wait for each other");
}
