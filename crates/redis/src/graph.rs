//! The identity-graph port.
//!
//! A commit reads and writes nodes that any shard may share, in one script, and a script sees one slot
//! only: the whole graph lies under the tag `{graph}`, on one master of a cluster. Its memory and one
//! core of that master bound the graph. Scans are for repair and tests: they read every node and sort
//! here.

use crate::client::Client;
use crate::limits::{COMMIT_NODES_MAX, READ_KEYS};
use crate::{script, state};
use bytes::Bytes;
use parking_lot::Mutex;
use sojourn_ports::{GraphCommit, GraphError, IdentityGraph, NodeKey};
use std::collections::HashMap;
use std::sync::Arc;

/// The identity graph in Redis.
pub struct RedisGraph {
    client: Arc<Client>,
    /// Epoch and position of each shard claimed here.
    known: Mutex<HashMap<u16, (u64, Option<u64>)>>,
}

pub(crate) const TAG: &str = "graph";

/// Splits a stored node.
fn decode(mut stored: Bytes) -> Result<(u64, Bytes), GraphError> {
    let Some((version, _)) = stored.split_first_chunk::<8>() else {
        return Err(GraphError::Failed("a stored node has no version".to_owned()));
    };
    let version = u64::from_be_bytes(*version);
    Ok((version, stored.split_off(8)))
}

fn number(text: &str) -> Result<u64, GraphError> {
    text.parse().map_err(|_| GraphError::Failed(format!("the header has {text:?} for a number")))
}

impl RedisGraph {
    pub(crate) fn new(client: Arc<Client>) -> Self {
        Self { client, known: Mutex::default() }
    }

    /// Header, nodes, then a snapshot that is being taken.
    fn keys(&self) -> [String; 4] {
        ["head", "nodes", "snapshot", "before"].map(|rest| self.client.key(TAG, rest))
    }

    fn write(
        &self,
        shard: u16,
        (epoch, position): (u64, Option<u64>),
        commit: &GraphCommit,
    ) -> Result<(), GraphError> {
        let expected = position.map(|position| position.to_string()).unwrap_or_default();
        let text = |number: usize| Bytes::from(number.to_string());
        let mut args = vec![
            Bytes::from(shard.to_string()),
            Bytes::from(epoch.to_string()),
            Bytes::from(expected),
            Bytes::from(commit.position.to_string()),
            text(commit.guards.len()),
        ];
        for (key, version) in &commit.guards {
            args.push(key.clone());
            args.push(Bytes::from(version.to_string()));
        }
        let (values, deletions): (Vec<_>, Vec<_>) =
            commit.writes.iter().partition(|write| write.value.is_some());
        args.push(text(values.len()));
        for write in values {
            args.push(write.key.clone());
            args.extend(write.value.clone());
        }
        args.push(text(deletions.len()));
        args.extend(deletions.into_iter().map(|write| write.key.clone()));
        let args: Vec<&[u8]> = args.iter().map(|arg| &arg[..]).collect();
        let answer = self.client.run::<(String, String)>(&script::COMMIT, &self.keys(), &args);
        match answer {
            Ok((verdict, detail)) => match &*verdict {
                "ok" => Ok(()),
                "conflict" => Err(GraphError::Conflict),
                "epoch" if number(&detail)? > epoch => {
                    Err(GraphError::Fenced { shard, mine: epoch })
                }
                _ => Err(GraphError::Unknown(format!(
                    "the {verdict} of the store is {detail:?}: it is not where we left it"
                ))),
            },
            Err(error) if error.not_done => Err(GraphError::Failed(error.text)),
            Err(error) => Err(GraphError::Unknown(error.text)),
        }
    }
}

impl IdentityGraph for RedisGraph {
    fn claim(&self, shard: u16) -> Result<(u64, Option<u64>), GraphError> {
        let name = shard.to_string();
        let (epoch, position): (String, String) = self
            .client
            .run_again(&script::SHARD_CLAIM, &self.keys(), &[name.as_bytes()])
            .map_err(GraphError::Failed)?;
        let position = if position.is_empty() { None } else { Some(number(&position)?) };
        let claim = (number(&epoch)?, position);
        self.known.lock().insert(shard, claim);
        Ok(claim)
    }

    fn read(&self, keys: &[NodeKey]) -> Result<Vec<(u64, Option<Bytes>)>, GraphError> {
        let [_, hash, ..] = self.keys();
        let mut nodes = Vec::with_capacity(keys.len());
        for page in keys.chunks(READ_KEYS) {
            let mut command = redis::cmd("HMGET");
            command.arg(&hash);
            for key in page {
                command.arg(&key[..]);
            }
            let found: Vec<Option<Vec<u8>>> =
                self.client.ask(&command).map_err(GraphError::Failed)?;
            for stored in found {
                nodes.push(match stored {
                    Some(stored) => {
                        let (version, value) = decode(Bytes::from(stored))?;
                        (version, Some(value))
                    }
                    None => (0, None),
                });
            }
        }
        Ok(nodes)
    }

    fn commit(&self, shard: u16, epoch: u64, commit: GraphCommit) -> Result<(), GraphError> {
        let nodes = commit.guards.len() + commit.writes.len();
        if nodes > COMMIT_NODES_MAX {
            return Err(GraphError::Failed(format!(
                "a commit of {nodes} nodes is over the limit of {COMMIT_NODES_MAX}; commit more often"
            )));
        }
        let known = self.known.lock().get(&shard).copied();
        let (current, position) = known.ok_or_else(|| {
            GraphError::Unknown("the shard is not claimed here, or its outcome is open".to_owned())
        })?;
        if current != epoch {
            return Err(GraphError::Fenced { shard, mine: epoch });
        }
        let to = commit.position;
        if position.is_some_and(|at| to < at) {
            // What stands in the store decides which refusal comes first; here both write nothing.
            let at = position.unwrap_or_default();
            return Err(GraphError::Failed(format!(
                "shard {shard} would go back from {at} to {to}"
            )));
        }
        let result = self.write(shard, (epoch, position), &commit);
        let mut known = self.known.lock();
        if known.get(&shard).is_some_and(|current| current.0 == epoch) {
            match &result {
                Ok(()) => {
                    known.insert(shard, (epoch, Some(to)));
                }
                Err(GraphError::Unknown(_) | GraphError::Fenced { .. }) => {
                    known.remove(&shard);
                }
                Err(_) => {}
            }
        }
        result
    }

    fn scan(
        &self,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), GraphError> {
        let [_, hash, ..] = self.keys();
        let mut keys = Vec::new();
        state::pages(&self.client, &hash, &mut |key, _| {
            if key.starts_with(prefix) {
                keys.push(Bytes::from(key));
            }
        })
        .map_err(GraphError::Failed)?;
        keys.sort_unstable();
        keys.dedup();
        for page in keys.chunks(READ_KEYS) {
            for (key, (_, value)) in page.iter().zip(self.read(page)?) {
                // Deleted since its key was read: it is gone.
                if value.is_some_and(|value| !visit(key, &value)) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
