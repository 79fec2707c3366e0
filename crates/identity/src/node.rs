//! Nodes of the identity graph and their stored form.
//!
//! | key | value |
//! |---|---|
//! | `i:` kind NUL value | [`IdentifierNode`]: the profile it was attached to |
//! | `p:` id | [`ProfileNode`]: creation, survivor, identifiers, merges that can be taken back |
//! | `s:` id | [`Activity`]: message ids seen lately and claims, both change often |
//! | `t:` salted hash | log time of the erasure of an identifier |
//! | `e:` | how many erasures there were: while 0, no `t:` is looked up |
//!
//! Identifier nodes are not rewritten by a union: the way to the survivor goes over the profiles'
//! `parent`, so that taking a merge back is one pointer.

use crate::limits;
use bytes::Bytes;
use hashbrown::HashSet;
use serde::{Deserialize, Serialize};
use sojourn_model::{Identifier, MergeId, Name, ProfileId, Timestamp};
use sojourn_ports::NodeKey;
use std::collections::VecDeque;

/// An identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentifierNode {
    /// The profile it was attached to; follow `parent` for the one that holds it now.
    pub profile: ProfileId,
    /// An earlier holder of this identifier was erased then: nothing that occurred until then may
    /// come back (ERA-1).
    pub erased_until: Option<Timestamp>,
}

/// A profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileNode {
    /// Log time of the record that created it.
    pub created: Timestamp,
    /// The profile that absorbed it.
    pub parent: Option<ProfileId>,
    /// What it holds, absorbed profiles' included. Empty when absorbed.
    pub identifiers: Vec<Identifier>,
    /// Merges into it that can be taken back, oldest first.
    pub unions: Vec<Absorbed>,
    /// Every profile that it has absorbed, also through others, oldest union first.
    pub absorbed: Vec<ProfileId>,
    /// When it was erased.
    pub erased: Option<Timestamp>,
}

/// A merge that can be taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absorbed {
    /// Which union.
    pub id: MergeId,
    /// The absorbed profile.
    pub from: ProfileId,
    /// What it held.
    pub identifiers: Vec<Identifier>,
    /// Its own merges.
    pub unions: Vec<Absorbed>,
    /// Whom it had absorbed.
    pub absorbed: Vec<ProfileId>,
    /// Log time of the union.
    pub at: Timestamp,
}

impl ProfileNode {
    pub(crate) fn new(created: Timestamp) -> Self {
        Self {
            created,
            parent: None,
            identifiers: vec![],
            unions: vec![],
            absorbed: vec![],
            erased: None,
        }
    }

    /// Its customer id.
    pub fn customer(&self) -> Option<&Identifier> {
        use sojourn_model::IdentifierKind::CustomerId;
        self.identifiers.iter().find(|identifier| identifier.kind == CustomerId)
    }

    /// How many identifiers of the kind it holds.
    pub(crate) fn count(&self, kind: &sojourn_model::IdentifierKind) -> usize {
        self.identifiers.iter().filter(|identifier| identifier.kind == *kind).count()
    }
}

/// A claim: a touchpoint carried the identifier together with its holder's customer id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Claim {
    /// When that touchpoint occurred.
    pub at: Timestamp,
    /// Its message id; the greater wins at equal times.
    pub message_id: Name,
}

/// A message id seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// [`message_hash`].
    pub(crate) hash: u64,
    /// Shard and offset of the first record with it, packed as a profile id.
    pub(crate) place: u64,
    /// Its log time.
    pub(crate) at: Timestamp,
    /// A bit for each identifier it carried ([`carried_bit`]): when one of them moves to another
    /// person, a retry will look there.
    pub(crate) carried: u64,
}

/// The bit of an identifier in [`Seen::carried`]. Another one may share it, which does no harm.
pub(crate) fn carried_bit(identifier: &Identifier) -> u64 {
    1 << (message_hash("", &identifier.value) & 63)
}

/// What changes with every touchpoint of a person.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Activity {
    /// Newest claim on each claimed identifier that the person holds.
    pub(crate) claims: Vec<(Identifier, Claim)>,
    /// Message ids in order of log time.
    seen: VecDeque<Seen>,
    #[serde(skip)]
    index: Option<HashSet<u64, foldhash::fast::RandomState>>,
}

impl Activity {
    /// The first record with this message id that is younger than the horizon.
    pub(crate) fn find(&self, hash: u64, not_before: Timestamp) -> Option<Seen> {
        if self.index.as_ref().is_some_and(|index| !index.contains(&hash)) {
            return None;
        }
        self.seen.iter().find(|seen| seen.hash == hash && seen.at > not_before).copied()
    }

    /// Remembers a message id; forgets those before the horizon and beyond the limit.
    pub(crate) fn remember(&mut self, seen: Seen, not_before: Timestamp) {
        while let Some(&oldest) = self.seen.front()
            && (oldest.at <= not_before || self.seen.len() >= limits::RECENT_MAX)
        {
            self.seen.pop_front();
            if let Some(index) = &mut self.index {
                index.remove(&oldest.hash);
            }
        }
        self.seen.push_back(seen);
        match &mut self.index {
            Some(index) => {
                index.insert(seen.hash);
            }
            None if self.seen.len() >= limits::RECENT_INDEXED_MIN => self.build_index(),
            None => {}
        }
    }

    fn build_index(&mut self) {
        self.index = (self.seen.len() >= limits::RECENT_INDEXED_MIN)
            .then(|| self.seen.iter().map(|seen| seen.hash).collect());
    }

    /// Takes over an absorbed profile's activity.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.claims.extend(other.claims);
        self.seen.extend(other.seen);
        // Of one message id both may know a record: the first counts.
        self.seen.make_contiguous().sort_by_key(|seen| (seen.at, seen.place));
        let mut known = HashSet::<u64, foldhash::fast::RandomState>::default();
        self.seen.retain(|seen| known.insert(seen.hash));
        while self.seen.len() > limits::RECENT_MAX {
            self.seen.pop_front();
        }
        self.build_index();
    }

    /// The message ids that came with an identifier, for the person it moves to.
    pub(crate) fn carried_by(&self, identifier: &Identifier) -> Self {
        let bit = carried_bit(identifier);
        let seen = self.seen.iter().filter(|seen| seen.carried & bit != 0).copied().collect();
        Self { seen, ..Self::default() }
    }

    pub(crate) fn claim(&self, identifier: &Identifier) -> Option<&Claim> {
        self.claims.iter().find(|(other, _)| other == identifier).map(|(_, claim)| claim)
    }

    /// Keeps the newest of the known claim and `claim`.
    pub(crate) fn raise_claim(&mut self, identifier: &Identifier, claim: &Claim) {
        match self.claims.iter_mut().find(|(other, _)| other == identifier) {
            Some((_, known)) if *known < *claim => *known = claim.clone(),
            Some(_) => {}
            None => self.claims.push((identifier.clone(), claim.clone())),
        }
    }

    pub(crate) fn drop_claim(&mut self, identifier: &Identifier) -> Option<Claim> {
        let place = self.claims.iter().position(|(other, _)| other == identifier)?;
        Some(self.claims.swap_remove(place).1)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, postcard::Error> {
        let mut activity: Self = postcard::from_bytes(bytes)?;
        activity.build_index();
        Ok(activity)
    }
}

/// A message id of a source as 64 bits: FNV-1a with MurmurHash3's finalizer. Stored, so it never
/// changes. Compared only within one person, where a collision is out of the question by chance.
pub(crate) fn message_hash(source: &str, message_id: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in source.bytes().chain([0]).chain(message_id.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

pub(crate) fn identifier_key(identifier: &Identifier) -> NodeKey {
    let mut key = Vec::with_capacity(16 + identifier.value.len());
    key.extend_from_slice(b"i:");
    key.extend_from_slice(identifier.kind.to_string().as_bytes());
    key.push(0);
    key.extend_from_slice(identifier.value.as_bytes());
    key.into()
}

pub(crate) fn profile_key(prefix: u8, profile: ProfileId) -> NodeKey {
    let mut key = [prefix, b':', 0, 0, 0, 0, 0, 0, 0, 0];
    key[2..].copy_from_slice(&profile.0.to_be_bytes());
    Bytes::copy_from_slice(&key)
}

/// Key of an erased identifier: a salted hash, no personal data (semantics 8).
pub(crate) fn tombstone_key(salt: &str, identifier: &Identifier) -> NodeKey {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    hash.update((salt.len() as u64).to_be_bytes());
    hash.update(salt);
    hash.update(identifier_key(identifier));
    let mut key = b"t:".to_vec();
    key.extend_from_slice(&hash.finalize());
    key.into()
}

/// Who committed a shard last, and where the graph stands since.
pub(crate) fn held_key(shard: u16) -> NodeKey {
    [b"h:".as_slice(), &shard.to_be_bytes()].concat().into()
}

/// Counts erasures.
pub(crate) const ERASURES_KEY: &[u8] = b"e:";

#[cfg(test)]
mod tests {
    use super::*;

    const HASH_OF_SITE_M1: u64 = 8_379_926_224_044_455_223;

    fn seen(hash: u64, at: i64) -> Seen {
        Seen { hash, place: hash, at: Timestamp(at), carried: 0 }
    }

    #[test]
    fn the_horizon_and_the_limit_forget_the_oldest() {
        let mut activity = Activity::default();
        for n in 0..100 {
            activity.remember(seen(n, n.cast_signed()), Timestamp(n.cast_signed() - 50));
        }
        assert_eq!(activity.find(10, Timestamp(49)), None);
        assert_eq!(activity.find(90, Timestamp(49)), Some(seen(90, 90)));
        assert_eq!(activity.find(90, Timestamp(90)), None, "exactly the horizon old: forgotten");
        let stored = postcard::to_stdvec(&activity).expect("encodes");
        let back = Activity::decode(&stored).expect("decodes");
        assert_eq!(back.find(60, Timestamp(0)), Some(seen(60, 60)));
        assert!(back.index.is_some());
    }

    #[test]
    fn hashes_are_stable() {
        assert_eq!(message_hash("site", "m-1"), message_hash("site", "m-1"));
        assert_ne!(message_hash("site", "m-1"), message_hash("sit", "em-1"));
        assert_eq!(message_hash("site", "m-1"), HASH_OF_SITE_M1, "stored hashes never change");
    }
}
