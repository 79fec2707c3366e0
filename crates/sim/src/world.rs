//! The whole system on one thread: gateway, log, identity, engine, dispatcher, provider.
//!
//! A run is a sequence of steps drawn from the seed: somebody does something, a role takes a turn,
//! the log syncs, time passes, something breaks. Then the faults stop, everything runs until nothing
//! is due, and the checkers look at what is left.

use crate::observed::{Halt, Revocation};
use crate::planted::{Edge, planted};
use crate::provider;
use crate::random::Random;
use crate::sightings::Sightings;
use crate::story::{self, Post, Story};
use crate::zombies::Zombie;
use anyhow::{Context, Result};
use bytes::Bytes;
use sojourn_dispatcher::Dispatcher;
use sojourn_gateway::message::Converter;
use sojourn_identity::IdentityShard;
use sojourn_memory::{
    HeldBack, LogFaults, ManualClock, MemoryGate, MemoryLog, MemoryStore, StoreFaults, SyncMode,
};
use sojourn_model::{
    Command, DurationMs, Existing, KillTarget, Name, Record, Timestamp, Transition, VersionId,
    event_names,
};
use sojourn_ports::{Append, Clock, GateMark, Layout, Log, Topic};
use sojourn_proto::{encode_profile_record, encode_touchpoint_record};
use sojourn_rules::Definitions;
use sojourn_worker::{DefinitionsSource, PartitionOwner};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

/// Partitions of `profiles`.
pub(crate) const PARTITIONS: u16 = 3;
/// People of the story.
const PEOPLE: u32 = 6;

/// What may break, and how often (once in so many steps; 0: never).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    /// The machine: unsynced records are lost, every role begins anew.
    pub(crate) crash: usize,
    /// One role begins anew.
    pub(crate) restart: usize,
    /// The store comes back older.
    pub(crate) roll_back: usize,
    /// The store comes back empty.
    pub(crate) empty: usize,
    /// Ports of several machines: appends arrive in part, owners that were replaced live on, the
    /// store may come back older under a living owner.
    pub(crate) distributed: bool,
    /// Chances of unknown outcomes, short and repeated reads.
    pub(crate) flaky: bool,
}

/// What an acknowledged message means to the checkers.
#[derive(Default)]
pub(crate) struct Answered {
    /// Message id and source.
    pub(crate) acknowledged: Vec<(String, &'static str)>,
    /// Revocations among them.
    pub(crate) revocations: Vec<Revocation>,
    /// Messages refused by the log.
    pub(crate) refused: u64,
    /// Kill switches that were acknowledged.
    pub(crate) halts: Vec<Halt>,
    /// How often a release was asked for.
    pub(crate) releases: u64,
}

/// Everything.
pub(crate) struct World {
    /// Chance.
    pub(crate) random: Random,
    /// Virtual time.
    pub(crate) clock: Arc<ManualClock>,
    /// The log.
    pub(crate) log: Arc<MemoryLog>,
    /// State and graph.
    pub(crate) store: Arc<MemoryStore>,
    /// What the provider saw.
    pub(crate) seen: provider::Shared,
    /// What was answered to those who posted.
    pub(crate) answered: Arc<Mutex<Answered>>,
    /// Versions published.
    pub(crate) versions: Arc<Mutex<BTreeMap<VersionId, Arc<Definitions>>>>,
    /// What happened, for the trace.
    pub(crate) trace: Vec<String>,
    /// Rare events.
    pub(crate) sightings: Sightings,
    /// Whether to keep a trace.
    pub(crate) tracing: bool,
    /// The files of every version published, so that a replay compiles them for itself (DET-1).
    pub(crate) published: BTreeMap<VersionId, sojourn_rules::Files>,
    pub(crate) gate: Arc<MemoryGate>,
    pub(crate) ready: Arc<AtomicBool>,
    /// Stage of the dispatcher's wait for identity and engine, with the positions to reach.
    pub(crate) ready_after: Option<(u64, Vec<u64>, u8)>,
    /// Ticket of the gate's marks to take back, and the positions to reach before.
    pub(crate) keeper: Option<(u64, u64, Vec<u64>, u8)>,
    /// Failed turns so far.
    pub(crate) failures: u32,
    pub(crate) converter: Arc<Converter>,
    pub(crate) faults: Faults,
    pub(crate) identity: Option<IdentityShard>,
    pub(crate) owners: Vec<Option<PartitionOwner>>,
    pub(crate) dispatcher: Option<Dispatcher>,
    /// Owners that were replaced and do not know it yet.
    pub(crate) zombies: Vec<Zombie>,
    /// Checkpoints on their way.
    pub(crate) aside: Arc<HeldBack>,
    story: Story,
    paused: bool,
    killed: Option<KillTarget>,
    /// Kill, release and kill again have come faster than partitions follow.
    hasty: bool,
    files: sojourn_rules::Files,
}

/// Looks published versions up for the owners.
pub(crate) struct Versions(pub(crate) Arc<Mutex<BTreeMap<VersionId, Arc<Definitions>>>>);

impl DefinitionsSource for Versions {
    fn get(&self, version: VersionId) -> Result<Arc<Definitions>, String> {
        let versions = self.0.lock().expect("one thread");
        versions.get(&version).cloned().ok_or_else(|| format!("version {version} is unknown"))
    }
}

/// Days on which a clock changes somewhere among the people, and one on which none does.
const STARTS: [&str; 5] = [
    "2026-03-28T15:00:00Z",
    "2026-10-24T15:00:00Z",
    "2026-03-07T20:00:00Z",
    "2026-11-01T00:30:00Z",
    "2026-06-10T08:00:00Z",
];

impl World {
    /// The world of `seed`.
    pub(crate) fn new(seed: u64, tracing: bool) -> Result<Self> {
        let mut random = Random::new(seed);
        let start = STARTS[random.below(STARTS.len())];
        let start = sojourn_gateway::message::parse_rfc3339(start).context("a start is a time")?;
        let clock = Arc::new(ManualClock::new(start));
        let log = Arc::new(MemoryLog::new(Layout::new(1, PARTITIONS), clock.clone()));
        log.set_sync_mode(SyncMode::Manual);
        log.set_retention(DurationMs::days(4_000));
        let store = Arc::new(MemoryStore::new());
        let mut log_random = random.fork();
        log.set_random(Box::new(move || log_random.next()));
        let mut store_random = random.fork();
        store.set_random(Box::new(move || store_random.next()));
        let distributed = seed.is_multiple_of(3);
        log.set_distributed(distributed);
        // Half of the runs are light on faults, so that deep states are reached.
        let faults = if random.one_in(2) {
            Faults { crash: 0, restart: 400, roll_back: 0, empty: 0, distributed, flaky: false }
        } else if distributed {
            // Ownership moves often.
            Faults { crash: 200, restart: 25, roll_back: 100, empty: 0, distributed, flaky: true }
        } else {
            Faults { crash: 60, restart: 80, roll_back: 150, empty: 400, distributed, flaky: true }
        };
        let files = story::workspace(&mut random, 0);
        let definitions = sojourn_node::compiled(&files)?;
        let mut world = Self {
            gate: Arc::new(MemoryGate::new(clock.clone())),
            ready: Arc::new(AtomicBool::new(false)),
            ready_after: None,
            keeper: None,
            failures: 0,
            published: BTreeMap::new(),
            converter: Arc::new(Converter::new(&definitions)),
            story: Story::new(PEOPLE),
            identity: None,
            owners: (0..PARTITIONS).map(|_| None).collect(),
            dispatcher: None,
            zombies: Vec::new(),
            aside: Arc::new(HeldBack::new(random.one_in(2))),
            paused: false,
            killed: None,
            hasty: false,
            files,
            versions: Arc::default(),
            answered: Arc::default(),
            seen: Arc::default(),
            trace: Vec::new(),
            sightings: Sightings::new(),
            tracing,
            faults,
            random,
            clock,
            log,
            store,
        };
        {
            let mut seen = world.seen.lock().expect("one thread");
            seen.faulty = faults.flaky;
            seen.lookup = world.random.one_in(2);
        }
        world.publish(definitions, Transition::default())?;
        world.set_flaky(faults.flaky);
        world.start_all()?;
        Ok(world)
    }

    pub(crate) fn set_flaky(&self, flaky: bool) {
        let chance = |often: u16| if flaky { often } else { 0 };
        self.log.set_faults(LogFaults {
            append_unknown: chance(10),
            // While an operator is in haste, batches end between the orders.
            short_read: if self.hasty { 1_000 } else { chance(200) },
            rewind_read: chance(50),
        });
        self.store.set_faults(StoreFaults { unknown: chance(30), failed: chance(10) });
    }

    /// Writes a line of the trace.
    pub(crate) fn say(&mut self, line: impl FnOnce() -> String) {
        if self.tracing {
            let now = story::rfc3339(self.clock.now());
            self.trace.push(format!("{now}  {}", line()));
        }
    }

    /// Counts a rare event.
    pub(crate) fn sight(&mut self, what: &'static str) {
        *self.sightings.entry(what.to_owned()).or_default() += 1;
    }

    /// One step of the story.
    pub(crate) fn step(&mut self) -> Result<()> {
        self.break_something()?;
        // A kill switch is on for a while only: most of a story is about what goes out.
        if self.killed.is_some() && self.random.one_in(30) {
            self.hasty = false;
            self.set_flaky(self.faults.flaky);
            return self.release();
        }
        if self.aside.waiting() > 0 && self.random.one_in(4) {
            self.write_one();
        }
        if !self.zombies.is_empty() && self.random.one_in(6) {
            return self.turn_zombie();
        }
        match self.random.below(100) {
            0..22 => self.post(),
            22..40 => self.turn_identity(),
            40..66 => {
                let partition = self.random.below(usize::from(PARTITIONS));
                self.turn_owner(partition)
            }
            66..80 => self.turn_dispatcher(),
            80..90 => {
                let calls = 1 + self.random.below(40);
                self.log.sync_some(calls);
                Ok(())
            }
            90..98 => {
                self.pass_time();
                Ok(())
            }
            _ => self.operate(),
        }
    }

    fn pass_time(&mut self) {
        let span = match self.random.below(10) {
            0..4 => self.random.below(2_000),
            4..7 => self.random.below(20 * 60_000),
            7..9 => self.random.below(3 * 3_600_000),
            _ => self.random.below(20 * 3_600_000),
        };
        self.clock.advance(DurationMs(span as i64));
    }

    fn post(&mut self) -> Result<()> {
        let post = self.story.next(&mut self.random, self.clock.now());
        self.say(|| format!("post {} {}", post.source, post.json));
        self.accept(post)
    }

    /// As the gateway does it: convert, append, and once durable close the gate, then answer.
    fn accept(&mut self, post: Post) -> Result<()> {
        let converter = Arc::clone(&self.converter);
        let source = converter.source(post.source).context("a declared source")?;
        let envelope = sojourn_gateway::message::Envelope {
            source,
            received_at: self.clock.now(),
            sent_at: None,
            context: "",
            call: None,
            imported: false,
            make_id: &|| "none".to_owned(),
        };
        let converted = converter.convert(&post.json, &envelope)?;
        let touchpoint = converted.touchpoint();
        let mut record = Vec::new();
        encode_touchpoint_record(&touchpoint, &mut record);
        // Good for whatever is approved until the engine has seen the record itself.
        let marks =
            sojourn_gateway::revocation_marks(&converted, converter.definitions(), Timestamp::MAX);
        let revocation = revocation(touchpoint.event, touchpoint.properties);
        drop(touchpoint);
        drop(converted);
        let (answered, gate, seen) =
            (Arc::clone(&self.answered), Arc::clone(&self.gate), Arc::clone(&self.seen));
        let clock = Arc::clone(&self.clock);
        let done = Box::new(move |result: Result<Vec<u64>, sojourn_ports::LogError>| {
            let mut answered = answered.lock().expect("one thread");
            if result.is_err() {
                answered.refused += 1;
                return;
            }
            if !planted(Edge::AnswerBeforeMark) {
                gate.try_mark(&marks);
            }
            if let Some((endpoint, channel, purpose, topic)) = revocation {
                let mut seen = seen.lock().expect("one thread");
                seen.order += 1;
                let (order, at) = (seen.order, clock.now());
                let message_id = post.message_id.clone();
                answered.revocations.push(Revocation {
                    order,
                    message_id,
                    endpoint,
                    channel,
                    purpose,
                    topic,
                    at,
                });
            }
            answered.acknowledged.push((post.message_id, post.source));
        });
        let append =
            Append { topic: Topic::Touchpoints, partition: 0, values: vec![Bytes::from(record)] };
        let done: sojourn_ports::Done = done;
        let appended = if planted(Edge::AnswerBeforeDurable) {
            let appended = self.log.append(vec![append], None);
            done(appended.clone().map(|()| Vec::new()));
            appended
        } else {
            self.log.append(vec![append], Some(done))
        };
        if appended.is_err() {
            self.sight("an append was refused");
        }
        Ok(())
    }

    /// An operator does something.
    fn operate(&mut self) -> Result<()> {
        if self.killed.is_none() && self.random.one_in(3) {
            let target = match self.random.below(3) {
                0 => KillTarget::All,
                1 => KillTarget::Channel("email".into()),
                _ => KillTarget::Class("marketing".into()),
            };
            self.kill(&target)?;
            if self.random.one_in(2) {
                self.hasty = true;
                self.set_flaky(self.faults.flaky);
                self.sight("kill, release and kill again, one right after the other");
                self.release()?;
                return self.kill(&target);
            }
            return Ok(());
        }
        if self.random.one_in(2) {
            let journey: Name = "cart".into();
            let command =
                if self.paused { Command::Resume { journey } } else { Command::Pause { journey } };
            self.paused = !self.paused;
            self.sight("paused with people inside");
            self.say(|| format!("operator: {command:?}"));
            return self.tell_all(&Record::Command(command));
        }
        // The policy stays: journeys are edited, in their wording and in their steps.
        for (path, text) in &mut self.files.0 {
            if path == "journeys/cart.yaml" {
                *text = story::edited(&mut self.random, text);
            } else if path.starts_with("journeys/") {
                *text = crate::draw::edited(&mut self.random, text);
            }
        }
        let definitions = sojourn_node::compiled(&self.files)?;
        let modes = [Existing::Drain, Existing::Migrate, Existing::Migrate, Existing::Stop];
        let existing = modes[self.random.below(modes.len())];
        self.sight("published with people inside");
        self.say(|| {
            format!("operator: publishes {} to {}", definitions.version, existing.as_str())
        });
        self.publish(definitions, Transition::all(existing))
    }

    /// Stops messages: acknowledged once the order is durable and the gate knows it, with the log time
    /// of the order.
    fn kill(&mut self, target: &KillTarget) -> Result<()> {
        let target = target.clone();
        self.killed = Some(target.clone());
        self.sight("a kill switch was set");
        self.say(|| format!("operator: kill {target:?}"));
        self.clock.advance(DurationMs(1)); // no operator gives two orders in one millisecond
        let at = self.clock.now();
        let record = Record::Command(Command::Kill { target: target.clone() });
        let (answered, gate, seen) =
            (Arc::clone(&self.answered), Arc::clone(&self.gate), Arc::clone(&self.seen));
        let releases = self.answered.lock().expect("one thread").releases;
        let done = Box::new(move |result: Result<Vec<u64>, sojourn_ports::LogError>| {
            if result.is_err() {
                return;
            }
            gate.try_mark(&[GateMark::Killed { target: target.clone(), on: true, at }]);
            let mut seen = seen.lock().expect("one thread");
            seen.order += 1;
            let halt = Halt { from: seen.order, until: None, target };
            let mut answered = answered.lock().expect("one thread");
            // Acknowledged after a release was asked for, it promises nothing.
            if answered.releases == releases {
                answered.halts.push(halt);
            }
        });
        self.append_to_all(&record, Some(done))
    }

    /// Lets messages go again. From here on nobody is promised anything.
    fn release(&mut self) -> Result<()> {
        let Some(target) = self.killed.take() else { return Ok(()) };
        {
            let mut seen = self.seen.lock().expect("one thread");
            seen.order += 1;
            let mut answered = self.answered.lock().expect("one thread");
            answered.releases += 1;
            for halt in &mut answered.halts {
                halt.until.get_or_insert(seen.order);
            }
        }
        self.say(|| format!("operator: release {target:?}"));
        self.clock.advance(DurationMs(1));
        let at = self.clock.now();
        let gate = Arc::clone(&self.gate);
        let record = Record::Command(Command::Release { target: target.clone() });
        let done = Box::new(move |result: Result<Vec<u64>, sojourn_ports::LogError>| {
            if result.is_ok() {
                gate.try_mark(&[GateMark::Killed { target, on: false, at }]);
            }
        });
        self.append_to_all(&record, Some(done))
    }

    /// The operator lets everything go on.
    pub(crate) fn resume_all(&mut self) -> Result<()> {
        self.paused = false;
        self.hasty = false;
        self.set_flaky(false);
        // An order whose outcome nobody knows is given again, until it is known.
        for target in [
            KillTarget::All,
            KillTarget::Channel("email".into()),
            KillTarget::Class("marketing".into()),
        ] {
            self.killed = Some(target);
            self.release()?;
        }
        self.tell_all(&Record::Command(Command::Resume { journey: "cart".into() }))
    }

    fn tell_all(&mut self, record: &Record<'_>) -> Result<()> {
        self.append_to_all(record, None)
    }

    fn append_to_all(
        &mut self,
        record: &Record<'_>,
        done: Option<sojourn_ports::Done>,
    ) -> Result<()> {
        let mut bytes = Vec::new();
        encode_profile_record(None, false, record, &mut bytes);
        let appends = (0..PARTITIONS)
            .map(|partition| Append {
                topic: Topic::Profiles,
                partition,
                values: vec![Bytes::from(bytes.clone())],
            })
            .collect();
        match self.log.append(appends, done) {
            Ok(()) => Ok(()),
            // The operator is told and orders again, or not.
            Err(_) => Ok(()),
        }
    }

    fn publish(&mut self, definitions: Arc<Definitions>, transition: Transition) -> Result<()> {
        let version = definitions.version;
        self.versions.lock().expect("one thread").insert(version, Arc::clone(&definitions));
        self.published.insert(version, sojourn_rules::Files(self.files.0.clone()));
        self.converter = Arc::new(Converter::new(&definitions));
        self.tell_all(&Record::Publish { version, transition })
    }
}

type Stated = (Name, Name, Option<Name>, Option<Name>);

/// What the checkers hold a revocation to: only those that name an endpoint.
fn revocation(event: &str, properties: &str) -> Option<Stated> {
    let properties: serde_json::Value = serde_json::from_str(properties).ok()?;
    let text = |key: &str| properties[key].as_str().map(Name::from);
    match event {
        event_names::CONSENT_CHANGED if properties["state"] == "denied" => {
            Some((text("endpoint")?, text("channel")?, text("purpose"), text("topic")))
        }
        event_names::UNSUBSCRIBED => Some((text("endpoint")?, text("channel")?, None, None)),
        _ => None,
    }
}
