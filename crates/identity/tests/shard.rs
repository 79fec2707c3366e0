//! LOG-2: whatever breaks, readers see each record once, and the same records as without faults.

use bytes::Bytes;
use proptest::prelude::*;
use sojourn_identity::{
    IdentityError, IdentityRules, IdentityShard, Progress, ShardOptions, absorbed, canonical, find,
};
use sojourn_memory::{
    HeldBack, LogFaults, ManualClock, MemoryLog, MemoryStore, StoreFaults, SyncMode,
};
use sojourn_model::{Command, DurationMs, Identifier, IdentifierKind, Timestamp, Touchpoint};
use sojourn_ports::{Append, GraphError, IdentityGraph, Layout, Log, ReadLimit, Topic};
use sojourn_proto::{
    IdentifiedCommand, decode_dead_letter, decode_profile_record, encode_identified_command,
    encode_touchpoint_record,
};
use std::collections::BTreeMap;
use std::sync::Arc;

const PARTITIONS: u16 = 3;

struct House {
    clock: Arc<ManualClock>,
    log: Arc<MemoryLog>,
    store: Arc<MemoryStore>,
    random: u64,
}

impl House {
    fn new(seed: u64) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp(1_000_000)));
        let log = Arc::new(MemoryLog::new(Layout::new(1, PARTITIONS), clock.clone()));
        log.set_sync_mode(SyncMode::Manual);
        let store = Arc::new(MemoryStore::new());
        let mut house = Self { clock, log, store, random: seed | 1 };
        let (mut a, mut b) = (house.next(), house.next());
        house.log.set_random(Box::new(move || step(&mut a)));
        house.store.set_random(Box::new(move || step(&mut b)));
        house
    }

    fn next(&mut self) -> u64 {
        step(&mut self.random)
    }

    fn shard(&self) -> IdentityShard {
        let mut options = ShardOptions::new(0, IdentityRules::default());
        options.commit_records = 7;
        options.commit_every = DurationMs(20);
        // Generations come and go all the time.
        options.cache_nodes = 3;
        let (log, graph) = (self.log.clone(), self.store.clone());
        IdentityShard::new(log, graph, self.clock.clone(), options).expect("one shard")
    }

    fn tell(&self, list: &[(u8, Vec<u8>)]) {
        for (place, (customer, others)) in list.iter().enumerate() {
            self.clock.advance(DurationMs(5));
            let mut bytes = Vec::new();
            if *customer == 9 {
                let identifier = Some(Identifier::new(IdentifierKind::Email, "e1@x.example"));
                let command =
                    IdentifiedCommand { identifier, profile: None, command: Command::Unmerge };
                encode_identified_command(&command, &mut bytes);
            } else {
                let customer = (*customer < 3)
                    .then(|| Identifier::new(IdentifierKind::CustomerId, &format!("u{customer}")));
                let others = others
                    .iter()
                    .map(|n| Identifier::new(IdentifierKind::Email, &format!("e{n}@x.example")));
                let message = format!("m{}", place % 11);
                let touchpoint = Touchpoint {
                    message_id: &message,
                    source: "site",
                    channel: "web",
                    event: "Ping",
                    identifiers: customer.into_iter().chain(others).collect(),
                    occurred_at: None,
                    received_at: Timestamp(0),
                    properties: "{}",
                    traits: "",
                    context: "",
                    imported: false,
                    profile: None,
                };
                encode_touchpoint_record(&touchpoint, &mut bytes);
            }
            let values = vec![Bytes::from(bytes)];
            let append = Append { topic: Topic::Touchpoints, partition: 0, values };
            self.log.append(vec![append], None).expect("no faults yet");
        }
        self.log.sync().expect("syncs");
    }

    /// What a reader of each partition of `profiles` takes: records above the highest origin.
    fn taken(&self) -> Vec<Vec<String>> {
        let limit = ReadLimit { records: 100_000, bytes: 1 << 30, durable_only: false };
        (0..PARTITIONS)
            .map(|partition| {
                let mut entries = vec![];
                self.log.read(Topic::Profiles, partition, 0, limit, &mut entries).expect("reads");
                let mut highest = None;
                let mut taken = vec![];
                for entry in entries {
                    let record = decode_profile_record(&entry.value).expect("decodes");
                    let origin = record.origin.expect("identity names the origin");
                    let place = (origin.offset, origin.index);
                    if Some(place) > highest {
                        highest = Some(place);
                        taken.push(format!("{record:?}"));
                    }
                }
                taken
            })
            .collect()
    }
}

fn step(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn told() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let one = (0u8..10, prop::collection::vec(0u8..6, 1..3));
    prop::collection::vec(one, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn faults_change_nothing_that_a_reader_takes(list in told(), seed: u64) {
        let calm = House::new(1);
        calm.tell(&list);
        let mut shard = calm.shard();
        while shard.turn().expect("no faults") != Progress::Idle {}
        shard.finish().expect("no faults");
        let expected = calm.taken();

        let mut house = House::new(seed);
        house.tell(&list);
        house.log.set_faults(LogFaults { append_unknown: 100, short_read: 700, rewind_read: 200 });
        house.store.set_faults(StoreFaults { unknown: 100, failed: 50 });
        // Half of them have their commits written some turns later.
        let later = Arc::new(HeldBack::default());
        let begin = |house: &House| match seed % 2 {
            0 => house.shard(),
            _ => house.shard().with_aside(later.clone()),
        };
        let mut shard = begin(&house);
        for _ in 0..80 {
            match house.next() % 13 {
                0 => {
                    house.log.crash();
                    // With the process dies what it had on its way.
                    later.lose();
                    shard = begin(&house);
                }
                1 => house.log.sync_some(2),
                12 => _ = later.run_all(),
                // An older store is another store: whoever has read the newer one begins anew.
                2 => {
                    house.store.roll_back((house.random % 3) as usize);
                    shard = begin(&house);
                }
                3 => _ = house.clock.advance(DurationMs(30)),
                4 if house.random.is_multiple_of(8) => {
                    house.store.empty();
                    shard = begin(&house);
                }
                _ => match shard.turn() {
                    Ok(_)
                    | Err(IdentityError::Graph { source: GraphError::Failed(_), .. }) => {}
                    Err(error) => panic!("{error}"),
                },
            }
        }
        house.log.set_faults(LogFaults::default());
        house.store.set_faults(StoreFaults::default());
        // A commit that failed while there were faults is heard of now.
        let _ = shard.turn();
        later.run_all();
        while shard.turn().expect("the faults have stopped") != Progress::Idle {}
        shard.finish().expect("the faults have stopped");
        prop_assert_eq!(house.taken(), expected);
        prop_assert_eq!(shard.committed(), Some(list.len() as u64));
    }
}

#[test]
fn looks_up_in_the_committed_graph() {
    let house = House::new(1);
    house.tell(&[(4, vec![1]), (1, vec![2]), (1, vec![1])]);
    let mut shard = house.shard();
    shard.turn().expect("works");
    let email = Identifier::new(IdentifierKind::Email, "e2@x.example");
    assert_eq!(find(&*house.store, &email), Ok(None), "not committed yet");
    shard.finish().expect("commits");
    let profile = find(&*house.store, &email).expect("reads").expect("known");
    let gone = absorbed(&*house.store, profile).expect("reads");
    assert_eq!(gone.len(), 1);
    assert_eq!(canonical(&*house.store, gone[0]), Ok(profile));
}

#[test]
fn refuses_to_begin_empty_behind_a_trimmed_log() {
    let house = House::new(1);
    house.tell(&[(1, vec![1]), (2, vec![2])]);
    house.clock.advance(DurationMs(1000));
    house.log.trim(&[(Topic::Touchpoints, 0, 1)]).expect("trims");
    let error = house.shard().turn().expect_err("the beginning is gone");
    assert!(matches!(error, IdentityError::Empty { first: 1, .. }), "{error}");
    assert!(error.to_string().contains("sojourn restore"));
}

#[test]
fn a_second_owner_fences_the_first() {
    let house = House::new(1);
    house.tell(&[(1, vec![1])]);
    let mut first = house.shard();
    first.turn().expect("claims");
    house.store.claim(0).expect("somebody else");
    let error = first.finish().expect_err("fenced");
    assert!(matches!(error, IdentityError::Graph { source: GraphError::Fenced { .. }, .. }));
}

#[test]
fn what_cannot_be_used_is_kept_with_its_reason() {
    let house = House::new(1);
    house.tell(&[(4, vec![])]);
    let values = vec![Bytes::from_static(b"\x0a\xffgarbage")];
    let append = Append { topic: Topic::Touchpoints, partition: 0, values };
    house.log.append(vec![append], None).expect("appends");
    house.shard().turn().expect("goes on");
    let limit = ReadLimit { records: 10, bytes: 1 << 20, durable_only: false };
    let mut letters = vec![];
    house.log.read(Topic::DeadLetters, 0, 0, limit, &mut letters).expect("reads");
    let mut reasons = BTreeMap::<String, u32>::new();
    for letter in letters {
        let letter = decode_dead_letter(&letter.value).expect("decodes");
        assert!(!letter.body.is_empty());
        *reasons.entry(letter.reason.to_string()).or_default() += 1;
    }
    let expected = [("malformed".to_owned(), 1), ("no_identifier".to_owned(), 1)];
    assert_eq!(reasons, BTreeMap::from(expected));
}
