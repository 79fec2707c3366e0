//! A dispatcher with its ports in memory, and a provider that does as it is told.

use crate::{
    Answer, AttemptOutcome, Bounce, Capability, ChannelOptions, ChannelState, Delivery, Dispatcher,
    Options, Ports, Progress, Transport,
};
use parking_lot::Mutex;
use sojourn_memory::{ManualClock, MemoryGate, MemoryLog, MemoryStore, SyncMode};
use sojourn_model::{
    Action, ActionId, CandidateId, DecisionId, DurationMs, LogPosition, MessageClass, Name,
    ProfileId, Timestamp, Value, VersionId,
};
use sojourn_ports::{Append, Clock, Layout, Log, Permit, ReadLimit, Topic};
use sojourn_proto::{
    DispatchKind, Origin, TouchpointRecord, action_record, cancel_record, decode_dispatch_record,
    decode_touchpoint_record,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the provider does with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Does {
    /// Takes it and says so.
    Send,
    /// Takes it; the answer is lost.
    SendAndLose,
    /// Does not take it; nobody knows.
    LoseAll,
    /// Says that it does not take it now.
    Busy(u64),
    /// Says that it never will.
    Refuse,
    /// Says that it never will, for the address's sake.
    Bounce(Bounce),
    /// Is busy, for the address's sake.
    BusyMailbox,
    /// Takes it and does not answer at all.
    SendInSilence,
}

/// The provider: outlives every dispatcher.
pub(super) struct Provider {
    pub(super) plan: VecDeque<Does>,
    pub(super) then: Does,
    pub(super) capability: ChannelState,
    /// Ids whose message went out, in order, and when.
    pub(super) taken: Vec<(ActionId, Timestamp)>,
    /// Every call: id, attempt, look-up.
    pub(super) calls: Vec<(ActionId, u32, bool)>,
    /// Calls whose intent was not durable when they began.
    pub(super) without_intent: usize,
    answers: Vec<(Answer, Option<Permit>)>,
}

struct FakeTransport {
    provider: Arc<Mutex<Provider>>,
    log: Arc<MemoryLog>,
    clock: Arc<ManualClock>,
}

impl FakeTransport {
    fn has_durable_intent(&self, id: ActionId, attempt: u32) -> bool {
        (0..2).any(|partition| {
            let limit = ReadLimit { records: 100_000, bytes: 1 << 30, durable_only: true };
            let bounds = self.log.bounds(Topic::Dispatch, partition).unwrap();
            let (mut entries, mut from) = (Vec::new(), bounds.first);
            // The log may give less than there is: a short read is no missing intent.
            while from < bounds.durable {
                self.log.read(Topic::Dispatch, partition, from, limit, &mut entries).unwrap();
                from = entries.last().expect("a read below the end gives something").offset + 1;
            }
            entries.iter().any(|entry| {
                let record = decode_dispatch_record(&entry.value).unwrap();
                record.action == id
                    && record.attempt == attempt
                    && matches!(record.kind, DispatchKind::Intent { .. })
            })
        })
    }
}

impl Transport for FakeTransport {
    fn start(&mut self, deliveries: Vec<Delivery>) {
        let now = self.clock.now();
        for Delivery { action, attempt, lookup_only, permit } in deliveries {
            let mut provider = self.provider.lock();
            let id = action.id;
            if !self.has_durable_intent(id, attempt) {
                provider.without_intent += 1;
            }
            provider.calls.push((id, attempt, lookup_only));
            let known = provider.taken.iter().any(|(taken, _)| *taken == id);
            let idempotent = provider.capability.capability().idempotency_window.0 > 0;
            let does = provider.plan.pop_front().unwrap_or(provider.then);
            let (takes, outcome, pause) = match does {
                Does::Send => (true, Some(AttemptOutcome::Sent), 0),
                Does::SendAndLose => (true, Some(AttemptOutcome::Unknown), 0),
                Does::LoseAll => (false, Some(AttemptOutcome::Unknown), 0),
                Does::Busy(pause) => (false, Some(AttemptOutcome::Retry), pause),
                // An idempotent provider says of an id that it took what it said before.
                Does::Refuse if known && idempotent => (false, Some(AttemptOutcome::Sent), 0),
                Does::Refuse => (false, Some(AttemptOutcome::Failed), 0),
                Does::Bounce(_) => (false, Some(AttemptOutcome::Failed), 0),
                Does::BusyMailbox => (false, Some(AttemptOutcome::Retry), 0),
                Does::SendInSilence => (true, None, 0),
            };
            let outcome = if lookup_only {
                Some(if known { AttemptOutcome::Sent } else { AttemptOutcome::Retry })
            } else {
                if takes && !(known && idempotent) {
                    provider.taken.push((id, now));
                }
                outcome
            };
            if let Some(outcome) = outcome {
                let detail = "said".into();
                let bounce = match does {
                    Does::Bounce(bounce) => Some(bounce),
                    Does::BusyMailbox => Some(Bounce::Soft),
                    _ => None,
                };
                let retry_after_ms = pause;
                let answer = Answer {
                    action: id,
                    attempt,
                    outcome,
                    detail,
                    retry_after_ms,
                    bounce,
                    body: None,
                };
                provider.answers.push((answer, permit));
            }
        }
    }

    fn poll(&mut self) -> Vec<Answer> {
        std::mem::take(&mut self.provider.lock().answers).into_iter().map(|(a, _)| a).collect()
    }

    fn channel(&mut self, name: &str) -> ChannelState {
        if name == "email" { self.provider.lock().capability } else { ChannelState::Absent }
    }
}

/// Everything that a dispatcher stands on.
pub(super) struct House {
    pub(super) clock: Arc<ManualClock>,
    pub(super) log: Arc<MemoryLog>,
    pub(super) store: Arc<MemoryStore>,
    pub(super) gate: Arc<MemoryGate>,
    pub(super) ready: Arc<AtomicBool>,
    pub(super) provider: Arc<Mutex<Provider>>,
    pub(super) email: ChannelOptions,
    published: u64,
}

pub(super) const START: i64 = 1_000_000;

impl House {
    pub(super) fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp(START)));
        let log = Arc::new(MemoryLog::new(Layout::new(2, 2), clock.clone()));
        log.set_sync_mode(SyncMode::Manual);
        log.set_retention(DurationMs::days(400));
        Self {
            log,
            store: Arc::new(MemoryStore::new()),
            gate: Arc::new(MemoryGate::new(clock.clone())),
            ready: Arc::new(AtomicBool::new(true)),
            provider: Arc::new(Mutex::new(Provider {
                plan: VecDeque::new(),
                then: Does::Send,
                capability: ChannelState::Known(Capability::default()),
                taken: Vec::new(),
                calls: Vec::new(),
                without_intent: 0,
                answers: Vec::new(),
            })),
            email: ChannelOptions::default(),
            clock,
            published: 0,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A dispatcher of both partitions.
    pub(super) fn open(&self) -> Dispatcher {
        self.try_open().expect("opens")
    }

    pub(super) fn try_open(&self) -> Result<Dispatcher, crate::DispatchError> {
        let ports = Ports {
            log: self.log.clone(),
            store: self.store.clone(),
            gate: self.gate.clone(),
            clock: self.clock.clone(),
            ready: self.ready.clone(),
        };
        let options = Options {
            partitions: vec![0, 1],
            channels: BTreeMap::from([(Name::from("email"), self.email)]),
        };
        let transport = FakeTransport {
            provider: self.provider.clone(),
            log: self.log.clone(),
            clock: self.clock.clone(),
        };
        Dispatcher::new(ports, options, Box::new(transport))
    }

    /// The process dies: unsynced records are lost, and with them the provider's answers.
    pub(super) fn crash(&self, dispatcher: Dispatcher) {
        drop(dispatcher);
        self.log.crash();
        self.provider.lock().answers.clear();
    }

    pub(super) fn action(&self, n: u32) -> Action {
        let profile = ProfileId::created_at(0, u64::from(n));
        Action {
            id: ActionId(CandidateId { profile, run: n, step: 1, visit: 0 }),
            decision: DecisionId { position: LogPosition::default(), index: 0 },
            profile,
            channel: "email".into(),
            endpoint: format!("p{n}@example.com").into(),
            purpose: "marketing".into(),
            topic: None,
            journey: "j".into(),
            version: VersionId(1),
            run_key: None,
            step: "s".into(),
            template: "t".into(),
            locale: "en".into(),
            variables: Value::Null,
            expires: None,
            quiet_from: None,
            quiet_until: None,
            approved_at: self.now(),
            cause: "m".into(),
            class: MessageClass::AtMostOnce,
            priority: 50,
            identifiers: Vec::new(),
        }
    }

    fn origin(&mut self, partition: u16) -> Origin {
        self.published += 1;
        Origin { partition, epoch: 0, offset: self.published, index: 0 }
    }

    /// The engine publishes an action; gives back its id.
    pub(super) fn publish(&mut self, action: &Action) -> ActionId {
        let partition = action.profile.partition(2);
        let origin = self.origin(partition);
        self.append(partition, action_record(origin, action));
        action.id
    }

    pub(super) fn publish_cancel(&mut self, action: &Action, partition: u16) {
        let origin = self.origin(partition);
        self.append(partition, cancel_record(origin, action.id, "exited"));
    }

    pub(super) fn append(&self, partition: u16, value: bytes::Bytes) {
        let append = Append { topic: Topic::Actions, partition, values: vec![value] };
        self.log.append(vec![append], None).unwrap();
        self.log.sync().unwrap();
    }

    /// Turns until nothing moves.
    pub(super) fn settle(&self, dispatcher: &mut Dispatcher) -> Progress {
        for _ in 0..1_000 {
            let progress = dispatcher.turn().expect("turns");
            if !progress.worked && self.provider.lock().answers.is_empty() {
                return progress;
            }
        }
        panic!("it never comes to rest");
    }

    /// Settles, and moves the clock from wake to wake until `until` or until nothing is pending.
    pub(super) fn run_until(&self, dispatcher: &mut Dispatcher, until: Timestamp) {
        loop {
            let progress = self.settle(dispatcher);
            match progress.wake_at {
                Some(at) if at <= until => self.clock.set(at.max(self.now().plus(DurationMs(1)))),
                _ => break,
            }
        }
        self.clock.set(until.max(self.now()));
        self.settle(dispatcher);
    }

    pub(super) fn run_for(&self, dispatcher: &mut Dispatcher, span: DurationMs) {
        self.run_until(dispatcher, self.now().plus(span));
    }

    /// Receipts in the log: action → events, each message id once.
    pub(super) fn receipts(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut receipts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for shard in 0..2 {
            let limit = ReadLimit { records: 100_000, bytes: 1 << 30, durable_only: false };
            let mut entries = Vec::new();
            self.log.read(Topic::Touchpoints, shard, 0, limit, &mut entries).unwrap();
            for entry in &entries {
                let Ok(TouchpointRecord::Touchpoint(touchpoint)) =
                    decode_touchpoint_record(&entry.value)
                else {
                    panic!("a receipt is a touchpoint")
                };
                assert!(touchpoint.profile.is_some());
                let properties: serde_json::Value =
                    serde_json::from_str(touchpoint.properties).unwrap();
                let id = properties["action_id"].as_str().unwrap().to_owned();
                let told = match properties["type"].as_str() {
                    Some(kind) => {
                        assert!(properties["endpoint"].as_str().is_some_and(|to| !to.is_empty()));
                        format!("{} ({kind})", touchpoint.event)
                    }
                    None => touchpoint.event.to_owned(),
                };
                receipts.entry(id).or_default().insert(told);
            }
        }
        receipts
    }

    /// The one receipt of an action.
    pub(super) fn receipt(&self, id: ActionId) -> String {
        let receipts = self.receipts();
        let events = receipts.get(&id.to_string()).unwrap_or_else(|| panic!("no receipt of {id}"));
        assert_eq!(events.len(), 1, "{events:?}");
        events.first().unwrap().clone()
    }

    pub(super) fn taken(&self) -> Vec<ActionId> {
        self.provider.lock().taken.iter().map(|(id, _)| *id).collect()
    }

    pub(super) fn calls(&self) -> usize {
        self.provider.lock().calls.len()
    }

    pub(super) fn plan(&self, does: &[Does]) {
        self.provider.lock().plan.extend(does);
    }

    pub(super) fn can(&self, capability: Capability) {
        self.provider.lock().capability = ChannelState::Known(capability);
    }

    pub(super) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }
}
