//! Epochs and positions of owners and graph shards, in memory and in their keyspace.

use super::FjallStore;
use fjall::{Keyspace, PersistMode};
use sojourn_ports::Claim;
use std::collections::BTreeMap;

/// Prefix of graph shards among the owners; no owner's name may hold a NUL.
const SHARD: &str = "\0shard/";
/// Key of the graph's version counter.
const VERSION: &str = "\0version";

/// One owner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) epoch: u64,
    pub(crate) position: Option<u64>,
    /// A restore has begun and has not ended: what is there is a part.
    pub(crate) restoring: bool,
}

/// All owners. Its lock is held while a group of commits is checked and written: a claim and a
/// commit of the same owner never overlap.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    pub(crate) all: BTreeMap<String, Owner>,
    /// Version of the node written last, over all shards.
    pub(crate) version: u64,
}

/// Name of a graph shard among the owners.
pub(crate) fn shard_name(shard: u16) -> String {
    format!("{SHARD}{shard}")
}

pub(crate) fn version_key() -> &'static str {
    VERSION
}

impl Owner {
    /// epoch u64 · 0 (no position), 1 or 2 (no position, a restore was cut off) · position u64,
    /// big-endian.
    pub(crate) fn encode(self) -> [u8; 17] {
        let mut bytes = [0; 17];
        bytes[..8].copy_from_slice(&self.epoch.to_be_bytes());
        bytes[8] = if self.restoring { 2 } else { u8::from(self.position.is_some()) };
        bytes[9..].copy_from_slice(&self.position.unwrap_or(0).to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 17] = bytes.try_into().ok()?;
        let number = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight"));
        let position = match bytes[8] {
            0 | 2 => None,
            1 => Some(number(9)),
            _ => return None,
        };
        Some(Self { epoch: number(0), position, restoring: bytes[8] == 2 })
    }
}

impl Owners {
    pub(crate) fn load(records: &Keyspace) -> Result<Self, String> {
        let mut owners = Self::default();
        // A handful of keys, never deleted: a scan from the begin is cheap here.
        for guard in records.iter() {
            let (key, value) = guard.into_inner().map_err(|error| error.to_string())?;
            let name = String::from_utf8(key.to_vec()).map_err(|_| "an owner's name".to_owned())?;
            if name == VERSION {
                let bytes = value[..].try_into().map_err(|_| "the graph's version".to_owned())?;
                owners.version = u64::from_be_bytes(bytes);
            } else {
                let owner = Owner::decode(&value).ok_or(format!("the record of owner {name:?}"))?;
                owners.all.insert(name, owner);
            }
        }
        Ok(owners)
    }

    /// Owners of the state store that have a position.
    pub(crate) fn positions(&self) -> Vec<(String, u64)> {
        let named = self.all.iter().filter(|(name, _)| !name.starts_with('\0'));
        named.filter_map(|(name, owner)| Some((name.clone(), owner.position?))).collect()
    }

    /// Graph shards that have a position.
    pub(crate) fn shards(&self) -> Vec<(u16, u64)> {
        let shard = |(name, owner): (&String, &Owner)| {
            Some((name.strip_prefix(SHARD)?.parse().ok()?, owner.position?))
        };
        self.all.iter().filter_map(shard).collect()
    }
}

impl FjallStore {
    /// Raises an owner's epoch and makes that durable.
    pub(crate) fn claim_record(&self, name: &str) -> fjall::Result<Claim> {
        let mut owners = self.owners.lock();
        let mut owner = owners.all.get(name).copied().unwrap_or_default();
        owner.epoch += 1;
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        batch.insert(&self.records, name, owner.encode());
        batch.commit()?;
        owners.all.insert(name.to_owned(), owner);
        Ok(Claim { epoch: owner.epoch, position: owner.position })
    }

    /// Why an owner cannot be claimed, if it cannot.
    pub(crate) fn unclaimable(&self, name: &str) -> Option<String> {
        let restoring = self.owners.lock().all.get(name).is_some_and(|owner| owner.restoring);
        let name = name.trim_start_matches('\0');
        restoring.then(|| format!("a restore of {name} was cut off; run `sojourn restore` again"))
    }

    /// Raises the version of the graph's nodes to what was brought in.
    pub(crate) fn set_version(&self, version: u64) -> fjall::Result<()> {
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        batch.insert(&self.records, version_key(), version.to_be_bytes());
        batch.commit()
    }

    /// Positions of the identity graph's shards.
    pub fn shards(&self) -> Vec<(u16, u64)> {
        self.owners.lock().shards()
    }
}
