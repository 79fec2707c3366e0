//! The identity graph in memory; part of [`MemoryStore`] and of its history.

use crate::store::{Fate, MemoryStore, Step, Store};
use bytes::Bytes;
use sojourn_ports::{GraphCommit, GraphError, IdentityGraph, NodeKey};
use std::ops::Bound;

/// Prefix of the shards among the store's owners. No owner of a state store begins with it.
pub(crate) const OWNER: &str = "\u{1}graph/";

pub(crate) fn owner(shard: u16) -> String {
    format!("{OWNER}{shard}")
}

fn unreachable_graph() -> GraphError {
    GraphError::Failed("the store does not answer".to_owned())
}

fn version(store: &Store, key: &[u8]) -> u64 {
    store.nodes.get(key).map_or(0, |&(version, _)| version)
}

fn apply(store: &mut Store, owner: String, commit: GraphCommit) {
    store.version += 1;
    let version = store.version;
    let mut replaced = Vec::with_capacity(commit.writes.len());
    for write in commit.writes {
        let old = match write.value {
            Some(value) => store.nodes.insert(write.key.clone(), (version, value)),
            None => store.nodes.remove(&write.key),
        };
        replaced.push((write.key, old));
    }
    let position = store.positions.insert(owner.clone(), commit.position);
    store.remember(Step { owner, position, cells: vec![], nodes: replaced });
}

impl IdentityGraph for MemoryStore {
    fn claim(&self, shard: u16) -> Result<(u64, Option<u64>), GraphError> {
        let mut store = self.lock();
        if store.fails() {
            return Err(unreachable_graph());
        }
        let claim = store.claim(&owner(shard));
        Ok((claim.epoch, claim.position))
    }

    fn read(&self, keys: &[NodeKey]) -> Result<Vec<(u64, Option<Bytes>)>, GraphError> {
        let mut store = self.lock();
        if store.fails() {
            return Err(unreachable_graph());
        }
        let find = |key: &NodeKey| match store.nodes.get(key) {
            Some((version, value)) => (*version, Some(value.clone())),
            None => (0, None),
        };
        Ok(keys.iter().map(find).collect())
    }

    fn commit(&self, shard: u16, epoch: u64, commit: GraphCommit) -> Result<(), GraphError> {
        let mut store = self.lock();
        let fate = store.fate();
        if let Fate::Fail = fate {
            return Err(unreachable_graph());
        }
        let owner = owner(shard);
        if store.epochs.get(&owner).copied().unwrap_or(0) != epoch {
            return Err(GraphError::Fenced { shard, mine: epoch });
        }
        if commit.guards.iter().any(|(key, seen)| version(&store, key) != *seen) {
            return Err(GraphError::Conflict);
        }
        if let Some(&at) = store.positions.get(&owner)
            && commit.position < at
        {
            let to = commit.position;
            return Err(GraphError::Failed(format!(
                "shard {shard} would go back from {at} to {to}"
            )));
        }
        if !matches!(fate, Fate::Skip) {
            apply(&mut store, owner, commit);
        }
        match fate {
            Fate::Do => Ok(()),
            _ => Err(GraphError::Unknown("no answer in time".to_owned())),
        }
    }

    fn scan(
        &self,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), GraphError> {
        let found: Vec<(Bytes, Bytes)> = {
            let mut store = self.lock();
            if store.fails() {
                return Err(unreachable_graph());
            }
            let start = Bound::Included(Bytes::copy_from_slice(prefix));
            store
                .nodes
                .range((start, Bound::Unbounded))
                .take_while(|(key, _)| key.starts_with(prefix))
                .map(|(key, (_, value))| (key.clone(), value.clone()))
                .collect()
        };
        for (key, value) in found {
            if !visit(&key, &value) {
                break;
            }
        }
        Ok(())
    }
}
