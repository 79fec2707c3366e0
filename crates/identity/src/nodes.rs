//! Nodes in memory: a cache over the identity graph and the changes that are not committed yet.
//!
//! Two generations: what is used moves to the young one; when that is full and nothing in it is
//! uncommitted, the old one is dropped. Without a graph ([`Nodes::in_memory`]) nothing is dropped.

use crate::limits;
use crate::node::{
    Activity, ERASURES_KEY, IdentifierNode, ProfileNode, identifier_key, profile_key, tombstone_key,
};
use bytes::Bytes;
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use serde::de::DeserializeOwned;
use sojourn_model::{Identifier, ProfileId, Timestamp};
use sojourn_ports::{GraphError, GraphWrite, IdentityGraph, NodeKey};
use std::sync::Arc;

/// A person as far as resolution needs them. `None`: the graph has no such profile.
#[derive(Debug, Default)]
pub(crate) struct Person {
    pub(crate) node: Option<ProfileNode>,
    pub(crate) activity: Activity,
    node_dirty: bool,
    activity_dirty: bool,
}

#[derive(Debug, Default)]
struct IdentifierSlot {
    node: Option<IdentifierNode>,
    dirty: bool,
}

/// The nodes that a resolver reads and changes.
pub struct Nodes {
    graph: Option<Arc<dyn IdentityGraph>>,
    identifiers: [HashMap<Identifier, IdentifierSlot, RandomState>; 2],
    persons: [HashMap<ProfileId, Person, RandomState>; 2],
    /// Identifiers, and persons, that a generation holds.
    cached_max: usize,
    dirty_identifiers: Vec<Identifier>,
    dirty_persons: Vec<ProfileId>,
    /// Erasures written but not committed, and how many there were ever.
    tombstones: Vec<(NodeKey, Timestamp)>,
    /// So many of these, the first, are in the commit that is on its way.
    tombstones_sent: usize,
    erasures: u64,
    erasures_dirty: bool,
    /// Something was read from the graph since [`Nodes::take_asked`].
    asked: bool,
}

fn damaged(what: &str, error: impl std::fmt::Display) -> GraphError {
    GraphError::Failed(format!("a stored {what} does not decode: {error}"))
}

fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, GraphError> {
    postcard::from_bytes(bytes).map_err(|error| damaged(what, error))
}

fn encode<T: serde::Serialize>(value: &T) -> Bytes {
    postcard::to_stdvec(value).expect("nodes encode").into()
}

impl Nodes {
    /// Nodes that live in memory only.
    pub fn in_memory() -> Self {
        Self {
            graph: None,
            identifiers: Default::default(),
            persons: Default::default(),
            cached_max: limits::CACHE_NODES_MAX,
            dirty_identifiers: vec![],
            dirty_persons: vec![],
            tombstones: vec![],
            tombstones_sent: 0,
            erasures: 0,
            erasures_dirty: false,
            asked: false,
        }
    }

    /// Whether the graph was read since this was asked last.
    pub(crate) fn take_asked(&mut self) -> bool {
        std::mem::take(&mut self.asked)
    }

    /// Nodes over a graph; a generation holds `cached_max` identifiers and as many persons.
    pub fn over(graph: Arc<dyn IdentityGraph>, cached_max: usize) -> Result<Self, GraphError> {
        let erasures = match read_one(&*graph, Bytes::from_static(ERASURES_KEY))? {
            Some(bytes) => decode("count of erasures", &bytes)?,
            None => 0,
        };
        Ok(Self { graph: Some(graph), cached_max, erasures, ..Self::in_memory() })
    }

    /// How many nodes are in memory.
    pub fn cached(&self) -> usize {
        self.identifiers.iter().map(HashMap::len).sum::<usize>()
            + self.persons.iter().map(HashMap::len).sum::<usize>()
    }

    /// How many nodes wait for a commit.
    pub fn dirty(&self) -> usize {
        let tombstones = self.tombstones.len() - self.tombstones_sent;
        self.dirty_identifiers.len() + self.dirty_persons.len() + tombstones
    }

    /// Brings what the identifiers of a batch lead to into memory, in a few reads.
    pub(crate) fn prefetch<'i>(
        &mut self,
        identifiers: impl Iterator<Item = &'i Identifier>,
        profiles: impl Iterator<Item = ProfileId>,
    ) -> Result<(), GraphError> {
        if self.graph.is_none() {
            return Ok(());
        }
        let mut wanted: HashSet<&Identifier, RandomState> = HashSet::default();
        let mut next: HashSet<ProfileId, RandomState> = profiles.collect();
        for identifier in identifiers {
            match self.known_identifier(identifier) {
                Some(Some(node)) => _ = next.insert(node.profile),
                Some(None) => {}
                None => _ = wanted.insert(identifier),
            }
        }
        let wanted: Vec<&Identifier> = wanted.into_iter().collect();
        let keys: Vec<NodeKey> = wanted.iter().map(|i| identifier_key(i)).collect();
        for (identifier, value) in wanted.into_iter().zip(self.read(&keys)?) {
            let node: Option<IdentifierNode> =
                value.map(|bytes| decode("identifier", &bytes)).transpose()?;
            next.extend(node.as_ref().map(|node| node.profile));
            let slot = IdentifierSlot { node, dirty: false };
            self.identifiers[0].insert(identifier.clone(), slot);
        }
        // Absorbed profiles lead to their survivors; nearly always one round.
        for _ in 0..limits::MERGE_CHAIN_MAX {
            let mut unknown = Vec::new();
            let mut further = HashSet::default();
            for profile in next {
                if self.promote_person(profile) {
                    let person = &self.persons[0][&profile];
                    further.extend(person.node.as_ref().and_then(|node| node.parent));
                } else {
                    unknown.push(profile);
                }
            }
            further.extend(self.load_persons(&unknown)?);
            if further.is_empty() {
                return Ok(());
            }
            next = further;
        }
        Err(damaged("profile", "its chain of merges has no end"))
    }

    /// Loads profiles that are not in memory; gives the parents of those that have one.
    fn load_persons(&mut self, profiles: &[ProfileId]) -> Result<Vec<ProfileId>, GraphError> {
        let keys: Vec<NodeKey> = profiles
            .iter()
            .flat_map(|&id| [profile_key(b'p', id), profile_key(b's', id)])
            .collect();
        let mut values = self.read(&keys)?.into_iter();
        let mut parents = Vec::new();
        for &profile in profiles {
            let (node, activity) = (values.next().flatten(), values.next().flatten());
            let node: Option<ProfileNode> =
                node.map(|bytes| decode("profile", &bytes)).transpose()?;
            let activity = match activity {
                Some(bytes) => {
                    Activity::decode(&bytes).map_err(|error| damaged("activity", error))?
                }
                None => Activity::default(),
            };
            parents.extend(node.as_ref().and_then(|node| node.parent));
            let person = Person { node, activity, ..Person::default() };
            self.persons[0].insert(profile, person);
        }
        Ok(parents)
    }

    fn read(&mut self, keys: &[NodeKey]) -> Result<Vec<Option<Bytes>>, GraphError> {
        match &self.graph {
            Some(graph) if !keys.is_empty() => {
                self.asked = true;
                Ok(graph.read(keys)?.into_iter().map(|(_, value)| value).collect())
            }
            _ => Ok(vec![None; keys.len()]),
        }
    }

    /// In memory: its node (`None`: it has none). `None`: the graph must be asked.
    fn known_identifier(&mut self, identifier: &Identifier) -> Option<Option<IdentifierNode>> {
        if let Some(slot) = self.identifiers[0].get(identifier) {
            return Some(slot.node);
        }
        let (key, slot) = self.identifiers[1].remove_entry(identifier)?;
        let node = slot.node;
        self.identifiers[0].insert(key, slot);
        Some(node)
    }

    fn promote_person(&mut self, profile: ProfileId) -> bool {
        if self.persons[0].contains_key(&profile) {
            return true;
        }
        match self.persons[1].remove(&profile) {
            Some(person) => {
                self.persons[0].insert(profile, person);
                true
            }
            None => false,
        }
    }

    /// The node of an identifier.
    pub(crate) fn identifier(
        &mut self,
        identifier: &Identifier,
    ) -> Result<Option<IdentifierNode>, GraphError> {
        if let Some(known) = self.known_identifier(identifier) {
            return Ok(known);
        }
        let value = self.read(&[identifier_key(identifier)])?.swap_remove(0);
        let node = value.map(|bytes| decode("identifier", &bytes)).transpose()?;
        self.identifiers[0].insert(identifier.clone(), IdentifierSlot { node, dirty: false });
        Ok(node)
    }

    /// Writes (`None`: deletes) the node of an identifier.
    pub(crate) fn set_identifier(&mut self, identifier: &Identifier, node: Option<IdentifierNode>) {
        // Of the old generation it may be dirty, and is listed once.
        self.known_identifier(identifier);
        let slot = self.identifiers[0].entry(identifier.clone()).or_default();
        slot.node = node;
        if !slot.dirty && self.graph.is_some() {
            slot.dirty = true;
            self.dirty_identifiers.push(identifier.clone());
        }
    }

    /// A person, from memory or the graph.
    pub(crate) fn person(&mut self, profile: ProfileId) -> Result<&Person, GraphError> {
        if !self.promote_person(profile) {
            self.load_persons(&[profile])?;
        }
        Ok(&self.persons[0][&profile])
    }

    /// A person whose profile node is about to change.
    pub(crate) fn person_mut(&mut self, profile: ProfileId) -> Result<&mut Person, GraphError> {
        self.person(profile)?;
        let person = self.persons[0].get_mut(&profile).expect("just loaded");
        if !person.node_dirty && self.graph.is_some() {
            if !person.activity_dirty {
                self.dirty_persons.push(profile);
            }
            person.node_dirty = true;
        }
        Ok(person)
    }

    /// A profile that no record before this one can have created: its id is this record's place,
    /// and nodes and position are stored together. So the graph need not be asked.
    pub(crate) fn create(&mut self, id: ProfileId, node: ProfileNode) -> Result<(), GraphError> {
        if !self.promote_person(id) {
            self.persons[0].insert(id, Person::default());
        }
        self.person_mut(id)?.node.get_or_insert(node);
        Ok(())
    }

    /// A person's activity, about to change.
    pub(crate) fn activity_mut(&mut self, profile: ProfileId) -> Result<&mut Activity, GraphError> {
        self.person(profile)?;
        let person = self.persons[0].get_mut(&profile).expect("just loaded");
        if !person.activity_dirty && self.graph.is_some() {
            if !person.node_dirty {
                self.dirty_persons.push(profile);
            }
            person.activity_dirty = true;
        }
        Ok(&mut person.activity)
    }

    /// The node of a profile that must exist.
    pub(crate) fn node_mut(&mut self, profile: ProfileId) -> Result<&mut ProfileNode, GraphError> {
        let person = self.person_mut(profile)?;
        person.node.as_mut().ok_or_else(|| {
            GraphError::Failed(format!("identifiers lead to {profile}, which does not exist"))
        })
    }

    /// The profile that `profile` has become by merges: itself when it was never absorbed.
    pub(crate) fn canonical(&mut self, profile: ProfileId) -> Result<ProfileId, GraphError> {
        let mut current = profile;
        for _ in 0..limits::MERGE_CHAIN_MAX {
            // Nearly always in memory, and of the young generation.
            if let Some(Person { node: Some(node), .. }) = self.persons[0].get(&current)
                && node.parent.is_none()
            {
                return Ok(current);
            }
            match self.person(current)?.node.as_ref().and_then(|node| node.parent) {
                Some(parent) => current = parent,
                None => return Ok(current),
            }
        }
        Err(damaged("profile", "its chain of merges has no end"))
    }

    /// When an earlier holder of this identifier was erased.
    pub(crate) fn tombstone(
        &mut self,
        salt: &str,
        identifier: &Identifier,
    ) -> Result<Option<Timestamp>, GraphError> {
        if self.erasures == 0 {
            return Ok(None);
        }
        let key = tombstone_key(salt, identifier);
        if let Some((_, at)) = self.tombstones.iter().rev().find(|(other, _)| *other == key) {
            return Ok(Some(*at));
        }
        let value = self.read(&[key])?.swap_remove(0);
        value.map(|bytes| decode("tombstone", &bytes)).transpose()
    }

    /// Leaves a tombstone.
    pub(crate) fn bury(&mut self, salt: &str, identifier: &Identifier, at: Timestamp) {
        self.tombstones.push((tombstone_key(salt, identifier), at));
        self.erasures += 1;
        self.erasures_dirty = true;
    }

    /// Everything that changed since the last call, to be committed with the position: one commit at
    /// a time. What changes from here on belongs to the next one; [`Self::committed`] must follow,
    /// or these nodes be dropped.
    pub(crate) fn take_writes(&mut self) -> Vec<GraphWrite> {
        let mut writes = Vec::with_capacity(self.dirty() + 1);
        for identifier in std::mem::take(&mut self.dirty_identifiers) {
            let slot = either(&mut self.identifiers, &identifier).expect("what is dirty stays");
            slot.dirty = false;
            let value = slot.node.as_ref().map(encode);
            writes.push(GraphWrite { key: identifier_key(&identifier), value });
        }
        for profile in std::mem::take(&mut self.dirty_persons) {
            let person = either(&mut self.persons, &profile).expect("what is dirty stays");
            if std::mem::take(&mut person.node_dirty) {
                let value = person.node.as_ref().map(encode);
                writes.push(GraphWrite { key: profile_key(b'p', profile), value });
            }
            if std::mem::take(&mut person.activity_dirty) {
                let value = Some(encode(&person.activity));
                writes.push(GraphWrite { key: profile_key(b's', profile), value });
            }
        }
        for (place, (key, at)) in self.tombstones.iter().enumerate() {
            // A key occurs once in a commit: the last erasure counts.
            if self.tombstones[place + 1..].iter().all(|(later, _)| later != key) {
                writes.push(GraphWrite { key: key.clone(), value: Some(encode(at)) });
            }
        }
        self.tombstones_sent = self.tombstones.len();
        if std::mem::take(&mut self.erasures_dirty) {
            let key = Bytes::from_static(ERASURES_KEY);
            writes.push(GraphWrite { key, value: Some(encode(&self.erasures)) });
        }
        writes
    }

    /// The writes taken last were committed: old nodes may go.
    ///
    /// What the old generation holds was there before those writes were taken, so all of it is
    /// stored: it was clean, in them, or has moved to the young one since.
    pub(crate) fn committed(&mut self) {
        if self.graph.is_none() {
            return;
        }
        self.tombstones.drain(..std::mem::take(&mut self.tombstones_sent));
        if self.identifiers[0].len() > self.cached_max {
            self.identifiers[1] = std::mem::take(&mut self.identifiers[0]);
        }
        if self.persons[0].len() > self.cached_max {
            self.persons[1] = std::mem::take(&mut self.persons[0]);
        }
    }
}

/// What stands under a key in either generation.
fn either<'m, K: std::hash::Hash + Eq, V>(
    generations: &'m mut [HashMap<K, V, RandomState>; 2],
    key: &K,
) -> Option<&'m mut V> {
    let [young, old] = generations;
    young.get_mut(key).or_else(|| old.get_mut(key))
}

/// Reads one node.
pub(crate) fn read_one(
    graph: &dyn IdentityGraph,
    key: NodeKey,
) -> Result<Option<Bytes>, GraphError> {
    Ok(graph.read(&[key])?.pop().and_then(|(_, value)| value))
}
