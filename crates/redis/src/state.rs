//! The state port.
//!
//! A checkpoint is one script. One that is too large for a single call is *staged*: parts are put into
//! a list beside the state, each under the check of epoch and position, and the last script applies the
//! list at once. Readers never look at the list, so they see the checkpoint whole or not at all; a part
//! left behind by a crash is dropped by the next claim.

use crate::client::{CallError, Client};
use crate::limits::{
    CHECKPOINT_BYTES_MAX, GROUP_WRITES, READ_KEYS, SCAN_PAGE, SCRIPT_BYTES, SCRIPT_WRITES,
};
use crate::script;
use bytes::Bytes;
use parking_lot::Mutex;
use sojourn_ports::state::limits;
use sojourn_ports::{Checkpoint, Claim, Space, StateError, StateStore, Write};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// State in Redis.
pub struct RedisStore {
    client: Arc<Client>,
    /// What each owner that was claimed here last knew of itself.
    known: Mutex<HashMap<String, Claim>>,
}

/// Whether a space is read by range and so has its keys in a sorted set, too.
pub(crate) fn has_order(space: Space) -> bool {
    !matches!(space, Space::Profile | Space::Wake)
}

/// Hash tag of an owner: a brace would end the tag early.
pub(crate) fn tag(owner: &str) -> String {
    owner.replace('%', "%25").replace('{', "%7B").replace('}', "%7D")
}

/// Place of a space's hash among the keys of the checkpoint script, from 1; its order is the next.
fn place(space: Space) -> usize {
    3 + 2 * space as usize
}

/// Arguments of writes, in groups.
#[derive(Default)]
struct Groups {
    args: Vec<Bytes>,
    bytes: usize,
    writes: usize,
}

impl Groups {
    fn full(&self) -> bool {
        self.bytes >= SCRIPT_BYTES || self.writes >= SCRIPT_WRITES
    }

    fn head(&mut self, operation: &'static str, key: usize, count: usize) {
        self.args.push(Bytes::from_static(operation.as_bytes()));
        self.args.push(Bytes::from(key.to_string()));
        self.args.push(Bytes::from(count.to_string()));
    }

    /// Adds values or deletions of one space.
    fn add(&mut self, space: Space, writes: &[&Write], deleted: bool) {
        let order = if deleted { "rem" } else { "add" };
        self.head(if deleted { "del" } else { "set" }, place(space), writes.len());
        for write in writes {
            self.args.push(write.key.clone());
            self.args.extend(write.value.clone());
            self.bytes += write.key.len() + write.value.as_ref().map_or(0, Bytes::len);
        }
        if has_order(space) {
            self.head(order, place(space) + 1, writes.len());
            self.args.extend(writes.iter().map(|write| write.key.clone()));
        }
        self.writes += writes.len();
    }
}

/// The writes of a checkpoint in parts that each fit into one script. Of two writes of one key the
/// later one stands.
fn parts(checkpoint: &Checkpoint) -> Vec<Groups> {
    let mut seen = HashSet::new();
    let mut sorted: BTreeMap<(Space, bool), Vec<&Write>> = BTreeMap::new();
    for write in checkpoint.writes.iter().rev() {
        if seen.insert((write.space, &write.key)) {
            sorted.entry((write.space, write.value.is_none())).or_default().push(write);
        }
    }
    let mut parts = vec![Groups::default()];
    for ((space, deleted), writes) in sorted {
        let mut rest = &writes[..];
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = rest.iter().take(GROUP_WRITES).take_while(|write| {
                let before = bytes;
                bytes += write.value.as_ref().map_or(0, Bytes::len);
                before < SCRIPT_BYTES
            });
            let (group, others) = rest.split_at(fits.count());
            rest = others;
            if parts.last().is_some_and(Groups::full) {
                parts.push(Groups::default());
            }
            if let Some(part) = parts.last_mut() {
                part.add(space, group, deleted);
            }
        }
    }
    parts
}

fn position_text(position: Option<u64>) -> String {
    position.map(|position| position.to_string()).unwrap_or_default()
}

fn unknown(text: &str) -> StateError {
    StateError::Unknown(text.to_owned())
}

fn number(text: &str) -> Result<u64, StateError> {
    text.parse().map_err(|_| StateError::Failed(format!("the header has {text:?} for a number")))
}

impl RedisStore {
    pub(crate) fn new(client: Arc<Client>) -> Self {
        Self { client, known: Mutex::default() }
    }

    /// Header, stage, then hash and order of each space, then a snapshot that is being taken.
    fn keys(&self, owner: &str) -> Vec<String> {
        let tag = tag(owner);
        let mut keys = vec![self.client.key(&tag, "head"), self.client.key(&tag, "stage")];
        for space in Space::ALL {
            keys.push(self.client.key(&tag, &(space as u8).to_string()));
            keys.push(self.client.key(&tag, &format!("{}o", space as u8)));
        }
        keys.extend([self.client.key(&tag, "snapshot"), self.client.key(&tag, "before")]);
        keys
    }

    fn space_key(&self, owner: &str, space: Space) -> String {
        self.client.key(&tag(owner), &(space as u8).to_string())
    }

    /// The epoch of an owner's last claim; `None`: nobody has claimed it. For `doctor`.
    pub fn epoch(&self, owner: &str) -> Result<Option<u64>, StateError> {
        let mut command = redis::cmd("HGET");
        command.arg(self.client.key(&tag(owner), "head")).arg("epoch");
        let epoch: Option<String> = self.client.ask(&command).map_err(StateError::Failed)?;
        epoch.map(|epoch| number(&epoch)).transpose()
    }

    fn owners_key(&self) -> String {
        owners_key(&self.client)
    }

    /// What the script said: done, or why not. Whoever gets an error must claim anew.
    fn judge(
        owner: &str,
        mine: u64,
        answer: Result<(String, String), CallError>,
    ) -> Result<(), StateError> {
        match answer {
            Ok((verdict, detail)) => match &*verdict {
                "ok" => Ok(()),
                "epoch" => {
                    let current = number(&detail)?;
                    if current > mine {
                        return Err(StateError::Fenced { owner: owner.to_owned(), mine, current });
                    }
                    Err(unknown("the store has forgotten our claim: emptied or rolled back"))
                }
                "position" => Err(StateError::Unknown(format!(
                    "the store stands at {detail:?}, which is not where we left it"
                ))),
                other => Err(StateError::Unknown(format!("the script says {other} {detail}"))),
            },
            Err(error) if error.not_done => Err(StateError::Failed(error.text)),
            Err(error) => Err(StateError::Unknown(error.text)),
        }
    }

    fn write(&self, owner: &str, claim: &Claim, checkpoint: &Checkpoint) -> Result<(), StateError> {
        let keys = self.keys(owner);
        let epoch = claim.epoch.to_string();
        let expected = position_text(claim.position);
        let position = checkpoint.position.to_string();
        let parts = parts(checkpoint);
        let mut staged = 0;
        if parts.len() > 1 {
            for part in &parts {
                let length = staged.to_string();
                let mut args = vec![epoch.as_bytes(), expected.as_bytes(), length.as_bytes()];
                args.extend(part.args.iter().map(|arg| &arg[..]));
                let answer = self.client.run(&script::STAGE, &keys[..2], &args);
                Self::judge(owner, claim.epoch, answer)?;
                staged += part.args.len();
            }
        }
        let length = staged.to_string();
        let mut args =
            vec![epoch.as_bytes(), expected.as_bytes(), position.as_bytes(), length.as_bytes()];
        if let [only] = &parts[..] {
            args.extend(only.args.iter().map(|arg| &arg[..]));
        }
        let answer = self.client.run(&script::CHECKPOINT, &keys, &args);
        Self::judge(owner, claim.epoch, answer)
    }

    /// Values of `keys` in pages.
    fn load(
        &self,
        owner: &str,
        space: Space,
        keys: &[Bytes],
    ) -> Result<Vec<Option<Bytes>>, StateError> {
        let hash = self.space_key(owner, space);
        let mut values = Vec::with_capacity(keys.len());
        for page in keys.chunks(READ_KEYS) {
            let mut command = redis::cmd("HMGET");
            command.arg(&hash);
            for key in page {
                command.arg(&key[..]);
            }
            let found: Vec<Option<Vec<u8>>> =
                self.client.ask(&command).map_err(StateError::Failed)?;
            values.extend(found.into_iter().map(|value| value.map(Bytes::from)));
        }
        Ok(values)
    }

    /// Keys of a space without an order, sorted here.
    fn sorted_keys(
        &self,
        owner: &str,
        space: Space,
        within: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Vec<Bytes>, StateError> {
        let mut keys = Vec::new();
        let hash = self.space_key(owner, space);
        pages(&self.client, &hash, &mut |key, _| {
            if within(&key) {
                keys.push(Bytes::from(key));
            }
        })
        .map_err(StateError::Failed)?;
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }
}

/// The set of every owner's name.
pub(crate) fn owners_key(client: &Client) -> String {
    client.key("owners", "all")
}

/// Walks over a hash: every field that is there all the while is visited at least once.
pub(crate) fn pages(
    client: &Client,
    hash: &str,
    visit: &mut dyn FnMut(Vec<u8>, Vec<u8>),
) -> Result<(), String> {
    let mut cursor = "0".to_owned();
    loop {
        let mut command = redis::cmd("HSCAN");
        command.arg(hash).arg(&cursor).arg("COUNT").arg(SCAN_PAGE);
        let (next, page): (String, Vec<Vec<u8>>) = client.ask(&command)?;
        let mut fields = page.into_iter();
        while let (Some(field), Some(value)) = (fields.next(), fields.next()) {
            visit(field, value);
        }
        if next == "0" {
            return Ok(());
        }
        cursor = next;
    }
}

impl StateStore for RedisStore {
    fn claim(&self, owner: &str) -> Result<Claim, StateError> {
        limits::check_owner(owner)?;
        // Named before it can checkpoint, so that no owner is missing from the list.
        let mut command = redis::cmd("SADD");
        command.arg(self.owners_key()).arg(owner);
        let _: i64 = self.client.ask(&command).map_err(StateError::Failed)?;
        let keys = self.keys(owner);
        let (epoch, position): (String, String) =
            self.client.run_again(&script::CLAIM, &keys[..2], &[]).map_err(StateError::Failed)?;
        let position = if position.is_empty() { None } else { Some(number(&position)?) };
        let claim = Claim { epoch: number(&epoch)?, position };
        self.known.lock().insert(owner.to_owned(), claim.clone());
        Ok(claim)
    }

    fn get(
        &self,
        owner: &str,
        space: Space,
        keys: &[Bytes],
    ) -> Result<Vec<Option<Bytes>>, StateError> {
        self.load(owner, space, keys)
    }

    fn scan(
        &self,
        owner: &str,
        space: Space,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StateError> {
        if to.is_some_and(|to| to <= from) {
            return Ok(());
        }
        let mut unordered = if has_order(space) {
            None
        } else {
            let within = |key: &[u8]| key >= from && to.is_none_or(|to| key < to);
            Some(self.sorted_keys(owner, space, &within)?.into_iter())
        };
        let order = format!("{}o", self.space_key(owner, space));
        let mut after = [b"[", from].concat();
        let before = to.map_or_else(|| b"+".to_vec(), |to| [b"(", to].concat());
        loop {
            let keys: Vec<Bytes> = match &mut unordered {
                Some(keys) => keys.take(SCAN_PAGE).collect(),
                None => {
                    let mut command = redis::cmd("ZRANGEBYLEX");
                    command.arg(&order).arg(&after).arg(&before);
                    command.arg("LIMIT").arg(0).arg(SCAN_PAGE);
                    let page: Vec<Vec<u8>> =
                        self.client.ask(&command).map_err(StateError::Failed)?;
                    page.into_iter().map(Bytes::from).collect()
                }
            };
            let Some(last) = keys.last() else { return Ok(()) };
            after = [b"(", &last[..]].concat();
            for (key, value) in keys.iter().zip(self.load(owner, space, &keys)?) {
                // Deleted since its key was read: it is gone.
                if value.is_some_and(|value| !visit(key, &value)) {
                    return Ok(());
                }
            }
        }
    }

    fn checkpoint(
        &self,
        owner: &str,
        epoch: u64,
        checkpoint: Checkpoint,
    ) -> Result<(), StateError> {
        limits::check_owner(owner)?;
        limits::check(&checkpoint)?;
        let size = |write: &Write| write.key.len() + write.value.as_ref().map_or(0, Bytes::len);
        let bytes: usize = checkpoint.writes.iter().map(size).sum();
        if bytes > CHECKPOINT_BYTES_MAX {
            return Err(StateError::Failed(format!(
                "a checkpoint of {bytes} bytes is over the limit of {CHECKPOINT_BYTES_MAX}; \
                 checkpoint more often"
            )));
        }
        let known = self.known.lock().get(owner).cloned();
        let claim = match known {
            Some(claim) if claim.epoch == epoch => claim,
            Some(Claim { epoch: current, .. }) if current > epoch => {
                let owner = owner.to_owned();
                return Err(StateError::Fenced { owner, mine: epoch, current });
            }
            _ => return Err(unknown("nobody has claimed this epoch here, or its outcome is open")),
        };
        let to = checkpoint.position;
        if let Some(at) = claim.position.filter(|&at| to < at) {
            return Err(StateError::Failed(format!("{owner} would go back from {at} to {to}")));
        }
        let result = self.write(owner, &claim, &checkpoint);
        let mut known = self.known.lock();
        if known.get(owner).is_some_and(|current| current.epoch == epoch) {
            match &result {
                Ok(()) => {
                    known.insert(owner.to_owned(), Claim { epoch, position: Some(to) });
                }
                // Nothing was written and the claim may still stand.
                Err(StateError::Failed(_)) => {}
                Err(_) => {
                    known.remove(owner);
                }
            }
        }
        result
    }

    fn owners(&self) -> Result<Vec<(String, u64)>, StateError> {
        let mut command = redis::cmd("SMEMBERS");
        command.arg(self.owners_key());
        let names: Vec<String> = self.client.ask(&command).map_err(StateError::Failed)?;
        let mut owners = Vec::with_capacity(names.len());
        for name in names {
            let mut command = redis::cmd("HGET");
            command.arg(self.client.key(&tag(&name), "head")).arg("position");
            let position: Option<String> = self.client.ask(&command).map_err(StateError::Failed)?;
            if let Some(position) = position {
                owners.push((name, number(&position)?));
            }
        }
        owners.sort();
        Ok(owners)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_checkpoint_is_cut_and_a_small_one_is_not() {
        let write = |nth: usize| Write {
            space: Space::Profile,
            key: Bytes::from(nth.to_string()),
            value: Some(Bytes::from(vec![0; 1_000])),
        };
        let make = |count| Checkpoint { position: 1, writes: (0..count).map(write).collect() };
        assert_eq!(parts(&make(10)).len(), 1);
        assert_eq!(parts(&make(0))[0].args.len(), 0);
        let cut = parts(&make(40_000));
        assert!(cut.len() > 2 && cut.iter().map(|part| part.writes).sum::<usize>() == 40_000);
        assert!(cut.iter().all(|part| part.bytes < 2 * SCRIPT_BYTES));
    }

    #[test]
    fn a_brace_in_a_name_does_not_end_the_tag() {
        assert_eq!(tag("a}b{c%"), "a%7Db%7Bc%25");
    }
}
