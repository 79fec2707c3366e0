//! Recently used nodes of the identity graph, also the absent ones.
//!
//! A commit's guards were read a moment before, so they are checked here and not in the database.
//! Two generations: what was not used while one filled is forgotten with the next.

use bytes::Bytes;
use hashbrown::HashMap;

/// Version and value; version 0: absent.
pub(crate) type Node = (u64, Option<Bytes>);

type Generation = HashMap<Bytes, Node, foldhash::fast::FixedState>;

/// Bounded memory of nodes (LIM-1).
pub(crate) struct NodeCache {
    young: Generation,
    old: Generation,
    young_bytes: usize,
    /// Bytes of one generation.
    limit: usize,
    /// Counts commits: a reader that was overtaken by one does not remember what it read.
    changes: u64,
}

/// Roughly what an entry costs beyond its key and value.
const ENTRY_BYTES: usize = 96;

impl NodeCache {
    pub(crate) fn new(bytes: usize) -> Self {
        let (young, old) = (Generation::default(), Generation::default());
        Self { young, old, young_bytes: 0, limit: bytes / 2, changes: 0 }
    }

    pub(crate) fn get(&mut self, key: &Bytes) -> Option<Node> {
        if let Some(node) = self.young.get(key) {
            return Some(node.clone());
        }
        let node = self.old.remove(key)?;
        self.put(key.clone(), node.clone());
        Some(node)
    }

    /// How many commits there were.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// Remembers what was read, unless a commit came between.
    pub(crate) fn was_read(&mut self, key: Bytes, node: Node, changes: u64) {
        if changes == self.changes {
            self.put(key, node);
        }
    }

    /// Forgets everything: other nodes were brought in.
    pub(crate) fn forget(&mut self) {
        self.changes += 1;
        self.young.clear();
        self.old.clear();
        self.young_bytes = 0;
    }

    /// Remembers what was committed.
    pub(crate) fn written(&mut self, key: Bytes, node: Node) {
        self.changes += 1;
        self.old.remove(&key);
        self.put(key, node);
    }

    fn put(&mut self, key: Bytes, node: Node) {
        // Own memory: the caller's bytes may be a slice of something large.
        let key = Bytes::copy_from_slice(&key);
        let node = (node.0, node.1.map(|value| Bytes::copy_from_slice(&value)));
        let size = |node: &Node| node.1.as_ref().map_or(0, Bytes::len);
        self.young_bytes += ENTRY_BYTES + key.len() + size(&node);
        if let Some(before) = self.young.insert(key.clone(), node) {
            self.young_bytes -= ENTRY_BYTES + key.len() + size(&before);
        }
        if self.young_bytes > self.limit {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_what_is_not_goes() {
        let mut cache = NodeCache::new(20_000);
        let key = |nth: u32| Bytes::from(nth.to_string());
        for nth in 0..10_000 {
            cache.written(key(nth), (1, None));
            assert!(cache.get(&key(0)).is_some(), "it is used all the time");
        }
        assert!(cache.get(&key(1)).is_none());
        assert!(cache.young.len() + cache.old.len() < 300);
    }

    #[test]
    fn a_read_that_a_commit_overtook_is_not_remembered() {
        let mut cache = NodeCache::new(20_000);
        let key = Bytes::from_static(b"k");
        let before = cache.changes();
        cache.written(key.clone(), (7, None));
        cache.was_read(key.clone(), (3, None), before);
        assert_eq!(cache.get(&key), Some((7, None)));
    }
}
