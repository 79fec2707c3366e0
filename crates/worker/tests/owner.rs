//! LOG-2, TIM-1: whatever breaks, the same decisions and actions come out, each once; timers fire
//! without records; an owner never begins where it should not.

use bytes::Bytes;
use proptest::prelude::*;
use sojourn_memory::{
    HeldBack, LogFaults, ManualClock, MemoryGate, MemoryLog, MemoryStore, StoreFaults, SyncMode,
};
use sojourn_model::{
    Command, Decision, DurationMs, Identifier, IdentifierKind, KillTarget, MergeId, ProfileId,
    Record, Timestamp, Touchpoint, VersionId,
};
use sojourn_ports::{
    Append, Gate, GateQuery, GateVerdict, Layout, Log, ReadLimit, StateError, StateStore, Topic,
};
use sojourn_proto::{
    ActionRecord, DecisionRecord, Origin, decode_action_record, decode_decision_record,
    encode_profile_record,
};
use sojourn_rules::{Definitions, Files, compile};
use sojourn_worker::{
    DefinitionsSource, OwnerError, OwnerOptions, PartitionOwner, Progress, owner_name,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const PARTITIONS: u16 = 2;
const HOUR: i64 = 3_600_000;
const BEGIN: i64 = 1_772_445_600_000; // 2026-03-02T10:00:00Z

fn definitions() -> Arc<Definitions> {
    let files = [
        (
            "sojourn.yaml",
            "workspace: shop\ncompany:\n  name: Shop\n  postal_address: 1 Lane\n  privacy_contact: \
             p@shop.example\ntime_zone: Europe/London\nlocales: [en]\nsources:\n- id: site\n  \
             channel: web\n  kind: segment\n  write_key: k\nchannels:\n  email:\n    kind: smtp\n    \
             url: smtp://127.0.0.1:2525\n    from: Shop <hello@shop.example>\nstorage:\n  kind: \
             embedded\n  path: ./data\n  retention: 400d\n",
        ),
        (
            "tracking-plan.yaml",
            "identifiers:\n- kind: email\n  from: traits.email\n  limit: 5\nevents:\n  Ping:\n    \
             channel: web\n    properties: {}\n  Noop:\n    channel: web\n    properties: {}\n",
        ),
        (
            "policy.yaml",
            "purposes:\n  marketing:\n    topics: [reminders]\n  service: {}\ncaps:\n- id: day\n  \
             at_most: 2\n  per: 24h\n  scope: { channel: email }\nquiet_hours: []\njurisdictions: \
             none\napprovals:\n  publish: 1\n",
        ),
        (
            "journeys/j.yaml",
            "journey: j\npurpose: marketing/reminders\nentry:\n  'on': Ping\n  reentry: always\n\
             steps:\n- id: w\n  wait: 1h\n- id: s\n  send:\n    template: t\n    channels: [email]\n",
        ),
        ("templates/t/en.yaml", "subject: Hello\nbody: en.txt\n"),
        ("templates/t/en.txt", "Hello. {{ links.unsubscribe }}\n"),
    ];
    let files = files.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect();
    let compiled = compile(&Files(files));
    compiled.definitions.unwrap_or_else(|| panic!("{:#?}", compiled.findings))
}

struct One(Arc<Definitions>);

impl DefinitionsSource for One {
    fn get(&self, version: VersionId) -> Result<Arc<Definitions>, String> {
        if version == self.0.version { Ok(self.0.clone()) } else { Err("unknown".to_owned()) }
    }
}

struct House {
    clock: Arc<ManualClock>,
    log: Arc<MemoryLog>,
    store: Arc<MemoryStore>,
    gate: Arc<MemoryGate>,
    definitions: Arc<Definitions>,
    random: u64,
    offset: u64,
    /// Whether every third record of identity is published twice, as after a crash.
    twice: bool,
}

fn step(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

impl House {
    fn new(seed: u64) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp(BEGIN)));
        let log = Arc::new(MemoryLog::new(Layout::new(1, PARTITIONS), clock.clone()));
        log.set_sync_mode(SyncMode::Manual);
        let store = Arc::new(MemoryStore::new());
        let gate = Arc::new(MemoryGate::new(clock.clone()));
        let definitions = definitions();
        let (random, offset, twice) = (seed | 1, 0, false);
        let mut house = Self { clock, log, store, gate, definitions, random, offset, twice };
        let (mut a, mut b) = (step(&mut house.random), step(&mut house.random));
        house.log.set_random(Box::new(move || step(&mut a)));
        house.store.set_random(Box::new(move || step(&mut b)));
        let version = house.definitions.version;
        house.to_all(&Record::publish(version));
        house
    }

    fn owner(&self, partition: u16) -> PartitionOwner {
        let mut options = OwnerOptions::new(partition);
        options.checkpoint_records = 3;
        options.resident_profiles = 1;
        let definitions = Arc::new(One(self.definitions.clone()));
        let (log, store, gate) = (self.log.clone(), self.store.clone(), self.gate.clone());
        PartitionOwner::new(log, store, gate, self.clock.clone(), definitions, options)
    }

    fn append(&self, partition: u16, origin: Option<Origin>, record: &Record<'_>) {
        let mut bytes = Vec::new();
        encode_profile_record(origin, false, record, &mut bytes);
        let values = vec![Bytes::from(bytes)];
        let append = Append { topic: Topic::Profiles, partition, values };
        self.log.append(vec![append], None).expect("no faults yet");
    }

    fn to_all(&self, record: &Record<'_>) {
        (0..PARTITIONS).for_each(|partition| self.append(partition, None, record));
    }

    /// As identity publishes: the same origin when `again`.
    fn publish(&mut self, profile: ProfileId, index: u32, record: &Record<'_>) {
        let origin = Origin { partition: 0, epoch: 0, offset: self.offset, index };
        self.append(profile.partition(PARTITIONS), Some(origin), record);
    }

    fn happens(&mut self, person: u64, event: &str, properties: &str) {
        self.offset += 1;
        let profile = ProfileId(person + 1);
        let message = format!("m{}", self.offset);
        let email = format!("p{person}@x.example");
        let touchpoint = Touchpoint {
            message_id: &message,
            source: "site",
            channel: "web",
            event,
            identifiers: vec![Identifier::new(IdentifierKind::Email, &email)],
            occurred_at: None,
            received_at: Timestamp(0),
            properties,
            traits: "",
            context: "",
            imported: false,
            profile: None,
        };
        let record = Record::Touchpoint { profile, touchpoint };
        self.publish(profile, 0, &record);
        if self.twice && self.offset.is_multiple_of(3) {
            self.publish(profile, 0, &record);
        }
    }

    fn grant(&mut self, person: u64) {
        let properties = format!(
            r#"{{"channel":"email","purpose":"marketing","state":"granted","endpoint":"p{person}@x.example"}}"#
        );
        self.happens(person, "Consent Changed", &properties);
    }

    fn merge(&mut self, from: u64, into: u64) {
        self.offset += 1;
        let id = MergeId { cause: self.offset, index: 0 };
        let (from, into) = (ProfileId(from + 1), ProfileId(into + 1));
        self.publish(from, 0, &Record::Merge { id, from, into });
        self.publish(into, 1, &Record::Await { id, into, from });
    }

    fn entries(&self, topic: Topic, partition: u16) -> Vec<Bytes> {
        let limit = ReadLimit { records: 1 << 20, bytes: 1 << 30, durable_only: false };
        let mut entries = vec![];
        self.log.read(topic, partition, 0, limit, &mut entries).expect("reads");
        entries.into_iter().map(|entry| entry.value).collect()
    }

    /// Decisions and actions as readers of every partition take them, without the place in the log.
    fn taken(&self) -> (Vec<String>, Vec<String>) {
        let (mut decisions, mut actions) = (vec![], vec![]);
        for partition in 0..PARTITIONS {
            let mut highest = None;
            for value in self.entries(Topic::Decisions, partition) {
                let (origin, record) = decode_decision_record(&value).expect("decodes");
                let place = Some((origin.offset, origin.index));
                if place > highest {
                    highest = place;
                    if let DecisionRecord::Decision(decision) = record {
                        decisions.push(brief(&decision));
                    }
                }
            }
            let mut highest = None;
            for value in self.entries(Topic::Actions, partition) {
                let (origin, record) = decode_action_record(&value).expect("decodes");
                let place = Some((origin.offset, origin.index));
                if place > highest {
                    highest = place;
                    if let ActionRecord::Action(action) = record {
                        actions.push(action.id.to_string());
                    }
                }
            }
        }
        decisions.sort();
        actions.sort();
        (decisions, actions)
    }
}

fn brief(decision: &Decision) -> String {
    let Decision { at, candidate, profile, outcome, reason, caps, .. } = decision;
    format!("{} {candidate} {profile} {outcome:?} {reason:?} {caps:?}", at.0)
}

/// What happens: person, what, minutes until then.
fn told() -> impl Strategy<Value = Vec<(u64, u8, i64)>> {
    prop::collection::vec((0u64..5, 0u8..8, 0i64..50), 1..40)
}

fn tell(house: &mut House, list: &[(u64, u8, i64)]) {
    let mut gone = std::collections::BTreeSet::new();
    for &(person, what, minutes) in list {
        house.clock.advance(DurationMs(minutes * 60_000));
        if gone.contains(&person) {
            continue;
        }
        match what {
            0 | 1 => house.grant(person),
            // Into person 0, who stays.
            2 if person > 2 => {
                gone.insert(person);
                house.merge(person, 0);
            }
            3 => house.happens(person, "Noop", ""),
            _ => house.happens(person, "Ping", "{}"),
        }
    }
    house.clock.advance(DurationMs(30 * HOUR));
    house.to_all(&Record::Tick);
    house.log.sync().expect("syncs");
}

/// Turns all owners until nothing is left.
fn run_dry(owners: &mut [PartitionOwner]) {
    let mut idle = 0;
    while idle < 2 {
        idle += 1;
        for owner in &mut *owners {
            if owner.turn().expect("no faults") != Progress::Idle {
                idle = 0;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn faults_change_no_decision(list in told(), seed: u64) {
        let mut calm = House::new(1);
        tell(&mut calm, &list);
        let mut owners: Vec<_> = (0..PARTITIONS).map(|partition| calm.owner(partition)).collect();
        run_dry(&mut owners);
        let expected = calm.taken();

        let mut house = House::new(seed);
        house.twice = true;
        tell(&mut house, &list);
        house.log.set_faults(LogFaults { append_unknown: 100, short_read: 700, rewind_read: 200 });
        house.store.set_faults(StoreFaults { unknown: 100, failed: 50 });
        // Half of them have their checkpoints written some turns later.
        let later = Arc::new(HeldBack::default());
        let begin = |house: &House| -> Vec<_> {
            let aside = |owner: PartitionOwner| match seed % 2 {
                0 => owner,
                _ => owner.with_aside(later.clone()),
            };
            (0..PARTITIONS).map(|partition| aside(house.owner(partition))).collect()
        };
        let mut owners = begin(&house);
        for _ in 0..120 {
            let drawn = step(&mut house.random);
            match drawn % 12 {
                0 => {
                    house.log.crash();
                    // With the process dies what it had on its way.
                    later.lose();
                    owners = begin(&house);
                }
                1 => house.log.sync_some(2),
                4 | 5 => _ = later.run_all(),
                2 => {
                    house.store.roll_back((drawn / 16 % 3) as usize);
                    owners = begin(&house);
                }
                3 if drawn % 16 == 3 => {
                    house.store.empty();
                    owners = begin(&house);
                }
                _ => match owners[(drawn / 16 % u64::from(PARTITIONS)) as usize].turn() {
                    Ok(_) | Err(OwnerError::State { source: StateError::Failed(_), .. }) => {}
                    Err(error) => panic!("{error}"),
                },
            }
        }
        house.log.set_faults(LogFaults::default());
        house.store.set_faults(StoreFaults::default());
        // A checkpoint that failed while there were faults is heard of now.
        owners.iter_mut().for_each(|owner| _ = owner.turn());
        run_dry(&mut owners);
        later.run_all();
        run_dry(&mut owners);
        let taken = house.taken();
        prop_assert_eq!(taken.0, expected.0);
        prop_assert_eq!(taken.1, expected.1);
    }
}

#[test]
fn an_owner_goes_on_while_its_checkpoint_is_written() {
    let mut house = House::new(1);
    let partition = ProfileId(1).partition(PARTITIONS);
    let stored = |house: &House| {
        let owners = house.store.owners().expect("reads");
        owners.into_iter().find(|(name, _)| *name == owner_name(partition)).map(|(_, at)| at)
    };
    for _ in 0..4 {
        house.happens(0, "Noop", "");
    }
    let later = Arc::new(HeldBack::default());
    let mut owner = house.owner(partition).with_aside(later.clone());
    assert_eq!(owner.turn().expect("works"), Progress::Worked(5));
    assert!(owner.is_saving() && owner.committed() == Some(0), "it is on its way");
    let told = Arc::new(AtomicBool::new(false));
    let tell = told.clone();
    assert!(owner.settle().ask(move || tell.store(true, Ordering::SeqCst)));
    house.happens(0, "Ping", "{}");
    let of = |person: u64| ProfileId(person + 1).partition(PARTITIONS);
    let other = (1..100).find(|person| of(*person) == partition).expect("one of many");
    house.happens(other, "Ping", "{}");
    assert_eq!(owner.turn().expect("works"), Progress::Worked(2), "another person is loaded");
    assert_eq!((owner.position(), stored(&house)), (Some(7), Some(0)));
    assert_eq!(later.run_all(), 1);
    assert_eq!(stored(&house), Some(5), "as of when it was sent on its way");
    // What has come since goes in the next one, for which somebody waits.
    assert_eq!(owner.turn().expect("works"), Progress::Idle);
    assert!(owner.is_saving() && !told.load(Ordering::SeqCst));
    assert_eq!(later.run_all(), 1);
    owner.turn().expect("works");
    assert!(told.load(Ordering::SeqCst) && owner.committed() == Some(7));
    // A stop waits for what is on its way and for the rest.
    house.happens(0, "Noop", "");
    owner.turn().expect("works");
    owner.finish().expect("written");
    assert_eq!(stored(&house), Some(8));
}

#[test]
fn a_checkpoint_on_its_way_writes_nothing_once_another_owner_has_claimed() {
    let mut house = House::new(1);
    let partition = ProfileId(1).partition(PARTITIONS);
    for _ in 0..4 {
        house.happens(0, "Noop", "");
    }
    let later = Arc::new(HeldBack::default());
    let mut first = house.owner(partition).with_aside(later.clone());
    first.turn().expect("works");
    let mut second = house.owner(partition);
    second.turn().expect("takes over");
    assert_eq!(second.committed(), Some(5));
    assert_eq!(later.run_all(), 1);
    let error = first.turn().expect_err("its epoch is over");
    assert!(
        matches!(error, OwnerError::State { source: StateError::Fenced { .. }, .. }),
        "{error}"
    );
    second.turn().expect("nothing has moved under it");
}

#[test]
fn a_timer_fires_without_records_and_never_early() {
    let mut house = House::new(1);
    house.grant(0);
    house.happens(0, "Ping", "{}");
    let mut owner = house.owner(ProfileId(1).partition(PARTITIONS));
    while owner.turn().expect("works") != Progress::Idle {}
    assert_eq!(owner.next_wake(), Some(Timestamp(BEGIN + HOUR)));
    house.clock.advance(DurationMs(HOUR));
    assert_eq!(owner.turn().expect("works"), Progress::Idle, "at the instant: not later than it");
    house.clock.advance(DurationMs(1));
    assert_eq!(owner.turn().expect("works"), Progress::Ticked);
    assert_eq!(owner.turn().expect("works"), Progress::Worked(1));
    let (decisions, actions) = house.taken();
    assert_eq!((decisions.len(), actions.len()), (1, 1));
    assert!(decisions[0].starts_with(&(BEGIN + HOUR).to_string()), "now is the timer's instant");
}

#[test]
fn a_revocation_and_a_kill_switch_reach_the_gate_also_after_a_restart() {
    let house = House::new(1);
    let target = KillTarget::Channel("email".into());
    house.to_all(&Record::Command(Command::Kill { target }));
    let mut owner = house.owner(0);
    owner.turn().expect("works");
    owner.finish().expect("checkpoints");
    let query = GateQuery {
        action: "a1-0-1-0".parse().expect("an id"),
        profile: ProfileId(1),
        endpoint: "p0@x.example".into(),
        identifiers: vec![],
        channel: "email".into(),
        purpose: "marketing".into(),
        journey: "j".into(),
        approved_at: Timestamp(BEGIN),
    };
    assert!(matches!(house.gate.ask(&query), GateVerdict::Closed(_)));
    // Another process: the gate is empty, the checkpoint knows.
    let mut house = house;
    house.gate = Arc::new(MemoryGate::new(house.clock.clone()));
    assert!(matches!(house.gate.ask(&query), GateVerdict::Open(_)));
    house.owner(0).turn().expect("claims");
    assert!(matches!(house.gate.ask(&query), GateVerdict::Closed(_)));
}

#[test]
fn never_begins_empty_behind_a_trimmed_log() {
    let mut house = House::new(1);
    house.grant(0);
    house.clock.advance(DurationMs(1000));
    house.log.sync().expect("syncs");
    house.log.trim(&[(Topic::Profiles, 0, 1), (Topic::Profiles, 1, 1)]).expect("trims");
    let error = house.owner(0).turn().expect_err("the beginning is gone");
    assert!(matches!(error, OwnerError::Empty { first: 1, .. }), "{error}");
    assert!(error.to_string().contains("sojourn restore"));
}

#[test]
fn a_second_owner_fences_the_first() {
    let house = House::new(1);
    let mut first = house.owner(0);
    first.turn().expect("claims");
    house.store.claim(&owner_name(0)).expect("somebody else");
    let error = first.finish().expect_err("fenced");
    assert!(matches!(error, OwnerError::State { source: StateError::Fenced { .. }, .. }));
    assert_eq!(first.position(), None, "memory dropped");
}

#[test]
fn settles_when_asked() {
    let house = House::new(1);
    let mut owner = house.owner(0);
    let done = Arc::new(AtomicBool::new(false));
    let told = done.clone();
    assert!(owner.settle().ask(move || told.store(true, Ordering::Relaxed)));
    owner.turn().expect("works");
    assert!(done.load(Ordering::Relaxed));
    assert_eq!(owner.committed(), owner.position());
}

#[test]
fn names_a_version_that_is_missing() {
    let house = House::new(1);
    house.append(0, None, &Record::publish(VersionId(7)));
    let error = house.owner(0).turn().expect_err("not to be had");
    assert!(matches!(error, OwnerError::Definitions { version: VersionId(7), .. }), "{error}");
}
