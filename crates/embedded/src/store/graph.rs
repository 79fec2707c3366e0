//! The identity graph on fjall.

use super::FjallStore;
use super::cache::Node;
use super::owners::shard_name;
use bytes::Bytes;
use sojourn_ports::{GraphCommit, GraphError, IdentityGraph, NodeKey};

fn failed(error: &fjall::Error) -> GraphError {
    GraphError::Failed(error.to_string())
}

/// Splits a stored node.
fn decode(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (version, value) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*version), value))
}

impl FjallStore {
    /// A node, from memory or the database.
    pub(crate) fn node(&self, key: &NodeKey) -> fjall::Result<Node> {
        let changes = {
            let mut cache = self.cache.lock();
            if let Some(node) = cache.get(key) {
                return Ok(node);
            }
            cache.changes()
        };
        let stored = self.nodes.get(key)?;
        let node = stored.as_deref().and_then(decode);
        let node = node
            .map_or((0, None), |(version, value)| (version, Some(Bytes::copy_from_slice(value))));
        self.cache.lock().was_read(key.clone(), node.clone(), changes);
        Ok(node)
    }
}

impl IdentityGraph for FjallStore {
    fn claim(&self, shard: u16) -> Result<(u64, Option<u64>), GraphError> {
        if let Some(reason) = self.unclaimable(&shard_name(shard)) {
            return Err(GraphError::Failed(reason));
        }
        let claim = self.claim_record(&shard_name(shard)).map_err(|error| failed(&error))?;
        Ok((claim.epoch, claim.position))
    }

    fn read(&self, keys: &[NodeKey]) -> Result<Vec<(u64, Option<Bytes>)>, GraphError> {
        keys.iter().map(|key| self.node(key).map_err(|error| failed(&error))).collect()
    }

    fn commit(&self, shard: u16, epoch: u64, commit: GraphCommit) -> Result<(), GraphError> {
        self.submit_commit(shard, epoch, commit)
    }

    fn scan(
        &self,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), GraphError> {
        use fjall::Readable;
        let snapshot = self.db().snapshot();
        for guard in snapshot.prefix(&self.nodes, prefix) {
            let (key, node) = guard.into_inner().map_err(|error| failed(&error))?;
            let Some((_, value)) = decode(&node) else {
                return Err(GraphError::Failed("a stored node has no version".to_owned()));
            };
            if !visit(&key, value) {
                break;
            }
        }
        Ok(())
    }
}
