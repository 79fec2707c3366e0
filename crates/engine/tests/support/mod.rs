//! A small world around the engine for tests: workspace from text, touchpoints as Segment messages,
//! a plain identity resolver, any number of partitions with their logs. Decision lines come out.

#![allow(dead_code, reason = "each test file uses a part of it")]

use serde_json::Value as Json;
use sojourn_engine::{Effect, Effects, Limits, OwnedRecord, Partition, Profile};
use sojourn_model::{
    Command, Decision, Identifier, IdentifierKind, KillTarget, LogPosition, MergeId, ProfileId,
    Record, Timestamp, Touchpoint, Transition, VersionId,
};
use sojourn_rules::normalize::Normalizer;
use sojourn_rules::{Definitions, Files, Severity};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Compiles a workspace; panics with the findings when there are errors.
pub(crate) fn compile(files: &Files) -> Arc<Definitions> {
    let compiled = sojourn_rules::compile(files);
    let errors: Vec<_> =
        compiled.findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    compiled.definitions.expect("no errors")
}

/// A shop that mails, with one web site.
pub(crate) const SOJOURN: &str = r#"
workspace: tests
company: { name: Shop, postal_address: "1 Lane, York", privacy_contact: p@shop.example }
time_zone: Europe/London
locales: [en]
sources: [ { id: site, channel: web, kind: segment, write_key: k } ]
channels:
  email: { kind: smtp, url: "smtp://127.0.0.1:2525", from: "Shop <hello@shop.example>" }
storage: { kind: embedded, path: ./data, retention: 400d }
"#;

/// Compiles a workspace of paths and texts.
pub(crate) fn compile_files(
    files: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
) -> Arc<Definitions> {
    let files = files.into_iter().map(|(path, text)| (path.into(), text.into()));
    compile(&Files(files.collect()))
}

/// Reads RFC 3339.
pub(crate) fn at(text: &str) -> Timestamp {
    let at = chrono::DateTime::parse_from_rfc3339(text).unwrap_or_else(|_| panic!("{text}"));
    Timestamp(at.timestamp_millis())
}

/// Identity as plainly as it can be: one table, unions by age, claims by customer id.
#[derive(Default)]
struct Identity {
    owner: BTreeMap<Identifier, ProfileId>,
    into: BTreeMap<ProfileId, ProfileId>,
    seen: std::collections::BTreeSet<String>,
}

enum Resolved {
    Release(ProfileId, ProfileId, Identifier),
    Union(ProfileId, ProfileId),
}

impl Identity {
    fn root(&self, mut id: ProfileId) -> ProfileId {
        while let Some(into) = self.into.get(&id) {
            id = *into;
        }
        id
    }

    fn customer(&self, id: ProfileId) -> Option<&Identifier> {
        let mine = |entry: &(&Identifier, &ProfileId)| {
            entry.0.kind == IdentifierKind::CustomerId && self.root(*entry.1) == id
        };
        self.owner.iter().find(mine).map(|entry| entry.0)
    }

    /// Resolves the identifiers of a touchpoint, strongest first.
    fn resolve(
        &mut self,
        ids: &mut Vec<Identifier>,
        fresh: ProfileId,
    ) -> (ProfileId, Vec<Resolved>) {
        let mut steps = Vec::new();
        let known = ids.iter().find_map(|id| self.owner.get(id)).map(|id| self.root(*id));
        let first = self.owner.get(&ids[0]).map(|id| self.root(*id));
        let claims = ids[0].kind == IdentifierKind::CustomerId;
        let mut target = match (first, claims) {
            (Some(owner), _) => owner,
            // A new customer id joins whom the weaker identifiers name, unless that is another one.
            (None, true) => match known {
                Some(known) if self.customer(known).is_none() => known,
                _ => fresh,
            },
            (None, false) => known.unwrap_or(fresh),
        };
        self.owner.insert(ids[0].clone(), target);
        let mut foreign = Vec::new();
        for id in ids.iter().skip(1) {
            let owner = self.owner.get(id).map(|id| self.root(*id));
            match owner {
                None => {
                    self.owner.insert(id.clone(), target);
                }
                Some(owner) if owner == target => {}
                Some(owner) => {
                    let two = self.customer(owner).is_some() && self.customer(target).is_some();
                    if two && claims {
                        self.owner.insert(id.clone(), target);
                        steps.push(Resolved::Release(owner, target, id.clone()));
                    } else if two {
                        foreign.push(id.clone());
                    } else {
                        let (into, from) = (owner.min(target), owner.max(target));
                        self.into.insert(from, into);
                        steps.push(Resolved::Union(from, into));
                        target = into;
                    }
                }
            }
        }
        ids.retain(|id| !foreign.contains(id));
        (target, steps)
    }
}

/// A world: identity and partitions.
pub(crate) struct World {
    pub(crate) partitions: Vec<Partition>,
    offsets: Vec<u64>,
    queues: Vec<VecDeque<(ProfileId, OwnedRecord)>>,
    identity: Identity,
    normalizer: Normalizer,
    pub(crate) definitions: Arc<Definitions>,
    /// Every version that was published.
    installed: BTreeMap<VersionId, Arc<Definitions>>,
    effects: Effects,
    now: Timestamp,
    touchpoints: u64,
    /// Every decision, in order.
    pub(crate) decisions: Vec<Decision>,
    /// Every other effect, in order.
    pub(crate) others: Vec<Effect>,
    /// Checkpoint, drop and reload everything after each record.
    pub(crate) forgetful: bool,
    store: Vec<BTreeMap<ProfileId, Vec<u8>>>,
}

impl World {
    pub(crate) fn new(definitions: Arc<Definitions>, partitions: u16) -> Self {
        let mut world = Self {
            partitions: (0..partitions)
                .map(|id| Partition::new(id, partitions, Limits::default()))
                .collect(),
            offsets: vec![0; usize::from(partitions)],
            queues: vec![VecDeque::new(); usize::from(partitions)],
            identity: Identity::default(),
            normalizer: Normalizer::new(&definitions.workspace, &definitions.plan),
            definitions: definitions.clone(),
            installed: BTreeMap::new(),
            effects: Effects::new(),
            now: Timestamp(0),
            touchpoints: 0,
            decisions: Vec::new(),
            others: Vec::new(),
            forgetful: false,
            store: vec![BTreeMap::new(); usize::from(partitions)],
        };
        world.publish(definitions);
        world
    }

    pub(crate) fn publish(&mut self, definitions: Arc<Definitions>) {
        self.publish_as(definitions, &Transition::default());
    }

    pub(crate) fn publish_as(&mut self, definitions: Arc<Definitions>, transition: &Transition) {
        let version = definitions.version;
        self.installed.insert(version, definitions.clone());
        for place in 0..self.partitions.len() {
            self.partitions[place].install(definitions.clone());
            self.apply(place, &Record::Publish { version, transition: transition.clone() });
        }
        self.drain();
        self.definitions = definitions;
    }

    /// Moves time everywhere.
    pub(crate) fn advance(&mut self, to: Timestamp) {
        self.now = self.now.max(to);
        for place in 0..self.partitions.len() {
            self.apply(place, &Record::Tick);
        }
    }

    fn place(&self, id: ProfileId) -> usize {
        let count = u16::try_from(self.partitions.len()).unwrap();
        usize::from(id.partition(count))
    }

    /// Appends a record for one person and lets everything it brings about happen.
    pub(crate) fn to(&mut self, id: ProfileId, record: &Record<'_>) {
        self.apply(self.place(id), record);
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            let Some(place) = self.queues.iter().position(|queue| !queue.is_empty()) else {
                return;
            };
            let (to, record) = self.queues[place].pop_front().unwrap();
            self.apply(place, &record.addressed_to(to));
        }
    }

    fn apply(&mut self, place: usize, record: &Record<'_>) {
        let partition = &mut self.partitions[place];
        let mut missing = Vec::new();
        loop {
            missing.clear();
            partition.missing(self.now, record, &mut missing);
            if missing.is_empty() {
                break;
            }
            for id in &missing {
                let bytes = self.store[place].get(id).map(Vec::as_slice);
                partition.load(*id, bytes).expect("own bytes");
            }
        }
        let offset = self.offsets[place];
        self.offsets[place] += 1;
        let position = LogPosition { partition: partition.id(), offset };
        self.effects.clear();
        partition.apply(position, self.now, record, &mut self.effects);
        let effects: Vec<Effect> = self.effects.drain().collect();
        for effect in effects {
            match effect {
                Effect::Decision(decision) => self.decisions.push(*decision),
                Effect::Forward { to, record } => {
                    let place = self.place(to);
                    self.queues[place].push_back((to, record));
                }
                other => self.others.push(other),
            }
        }
        if self.forgetful {
            self.forget(place);
        }
    }

    /// Checkpoints and starts again from the store, as after a crash.
    fn forget(&mut self, place: usize) {
        let checkpoint = self.partitions[place].take_checkpoint();
        self.store[place].extend(checkpoint.profiles);
        let old = &self.partitions[place];
        let count = u16::try_from(self.partitions.len()).unwrap();
        let mut new = Partition::new(old.id(), count, Limits::default());
        new.restore_meta(&checkpoint.meta).expect("own bytes");
        for version in new.versions() {
            new.install(self.installed[&version].clone());
        }
        for (id, bytes) in &self.store[place] {
            // The wakes of a real store are kept beside; here they are read from the state.
            let mut probe = Partition::new(0, 1, Limits::default());
            probe.load(*id, Some(bytes)).expect("own bytes");
            if let Some(profile) = probe.profile(*id) {
                new.restore_wake(*id, profile.wake());
            }
        }
        self.partitions[place] = new;
    }

    fn identifiers(&self, message: &Json, shared: bool) -> Vec<Identifier> {
        let mut found = Vec::new();
        for rule in &self.definitions.plan.identifiers {
            for path in &rule.from {
                let mut value = Some(message);
                for name in path.iter() {
                    value = value.and_then(|value| value.get(&**name));
                }
                let Some(text) = value.and_then(Json::as_str) else { continue };
                let device =
                    matches!(rule.kind, IdentifierKind::DeviceId | IdentifierKind::AnonymousId);
                if let Some(id) = self.normalizer.identifier(&rule.kind, text)
                    && !found.contains(&id)
                    && !(shared && device)
                {
                    found.push(id);
                }
            }
        }
        found
    }

    /// One line of a `simulate` file.
    pub(crate) fn message(&mut self, message: &Json) {
        let text = |key: &str| message.get(key).and_then(Json::as_str).unwrap_or("");
        self.now = self.now.max(at(text("receivedAt")));
        if text("type") == "command" {
            self.command(message);
            return;
        }
        // Every partition's clock moves, as the owners' ticks would move it.
        for place in 0..self.partitions.len() {
            if self.partitions[place].next_wake().is_some_and(|wake| wake < self.now) {
                self.apply(place, &Record::Tick);
            }
        }
        self.drain();
        let source = self.definitions.workspace.sources.iter().find(|s| &*s.id == text("source"));
        let shared = source.is_some_and(|source| source.shared_devices);
        let channel = source.map_or("web".to_owned(), |source| source.channel.to_string());
        let mut identifiers = self.identifiers(message, shared);
        self.touchpoints += 1;
        if identifiers.is_empty() || !self.identity.seen.insert(text("messageId").to_owned()) {
            return;
        }
        let fresh = ProfileId::created_at(0, self.touchpoints);
        let (profile, steps) = self.identity.resolve(&mut identifiers, fresh);
        for (index, step) in (0u16..).zip(steps) {
            match step {
                Resolved::Release(owner, to, identifier) => {
                    self.to(owner, &Record::Release { profile: owner, to, identifier });
                }
                Resolved::Union(from, into) => {
                    let id = MergeId { cause: self.touchpoints, index };
                    // The announcement first: the state is still on its way.
                    self.apply(self.place(into), &Record::Await { id, into, from });
                    self.apply(self.place(from), &Record::Merge { id, from, into });
                }
            }
        }
        let event = match text("type") {
            "track" => text("event"),
            "page" => "Page Viewed",
            _ => "Identified",
        };
        let json = |key: &str| message.get(key).map_or(String::new(), Json::to_string);
        let (properties, traits, context) = (json("properties"), json("traits"), json("context"));
        let occurred_at = message.get("timestamp").and_then(Json::as_str).map(at);
        let touchpoint = Touchpoint {
            message_id: text("messageId"),
            source: text("source"),
            channel: &channel,
            event,
            identifiers,
            occurred_at,
            received_at: self.now,
            properties: &properties,
            traits: &traits,
            context: &context,
            imported: false,
            profile: None,
        };
        self.to(profile, &Record::Touchpoint { profile, touchpoint });
    }

    fn command(&mut self, message: &Json) {
        let text = |key: &str| message.get(key).and_then(Json::as_str).unwrap_or("");
        let journey = text("journey").into();
        let target = match (text("journey"), text("channel"), text("class")) {
            ("", "", "" | "all") => KillTarget::All,
            ("", "", class) => KillTarget::Class(class.into()),
            ("", channel, _) => KillTarget::Channel(channel.into()),
            (journey, ..) => KillTarget::Journey(journey.into()),
        };
        let command = match text("command") {
            "pause" => Command::Pause { journey },
            "resume" => Command::Resume { journey },
            "stop" => Command::Stop { journey },
            "kill" => Command::Kill { target },
            "release" => Command::Release { target },
            "erase" => return self.person_command(message, Command::Erase),
            "unmerge" => return self.person_command(message, Command::Unmerge),
            other => panic!("{other}"),
        };
        for place in 0..self.partitions.len() {
            self.apply(place, &Record::Command(command.clone()));
        }
        self.drain();
    }

    fn person_command(&mut self, message: &Json, command: Command) {
        let (kind, value) = message["person"].as_str().unwrap().split_once(':').unwrap();
        let kind = IdentifierKind::parse(kind).unwrap();
        let profile = self.profile_of(&Identifier::new(kind, value)).unwrap();
        self.to(profile, &Record::PersonCommand { profile, command });
    }

    pub(crate) fn profile_of(&self, identifier: &Identifier) -> Option<ProfileId> {
        self.identity.owner.get(identifier).map(|id| self.identity.root(*id))
    }

    /// Live runs of everybody, whoever is in memory or not.
    pub(crate) fn live_runs(&mut self) -> Vec<(sojourn_model::Name, VersionId, u16)> {
        let people: Vec<ProfileId> = self.identity.owner.values().copied().collect();
        let people: std::collections::BTreeSet<_> =
            people.into_iter().map(|id| self.identity.root(id)).collect();
        let mut live = Vec::new();
        for id in people {
            let Some(person) = self.person(id) else { continue };
            let runs = person.runs.iter().filter(|run| run.live());
            live.extend(runs.map(|run| (run.journey.clone(), run.version, run.step)));
        }
        live
    }

    /// A person's state, wherever it lives.
    pub(crate) fn person(&mut self, id: ProfileId) -> Option<&Profile> {
        let place = self.place(id);
        let bytes = self.store[place].get(&id).map(Vec::as_slice);
        self.partitions[place].load(id, bytes).expect("own bytes");
        self.partitions[place].profile(id)
    }

    /// Runs lines of a `simulate` file; gives the decisions.
    pub(crate) fn run(&mut self, events: &str) -> &[Decision] {
        for line in events.lines().filter(|line| !line.trim().is_empty()) {
            self.message(&serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")));
        }
        &self.decisions
    }
}
