//! The snapshot port.
//!
//! A hash is read page by page while its owner goes on. What a checkpoint replaces meanwhile it first
//! puts aside into `before`, in the same script, as the snapshot must have it; so what a page shows is
//! right unless the row stands there too, and at the end `before` is read in its place. Nothing is
//! copied or held up, and what is kept is bounded: too much, and the snapshot fails.
//!
//! Restored rows are gathered beside the state, under the same tag, and one script puts them in its
//! place: the header says the new position with them, or nothing has happened.

use crate::client::Client;
use crate::limits::{RESTORE_SECONDS, SCAN_PAGE, SNAPSHOT_LEASE};
use crate::{graph, script, state};
use bytes::Bytes;
use sojourn_ports::Space;
use sojourn_ports::snapshot::{Over, Part, Row, Rows, SnapshotError, Snapshots, Visit, next_rows};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Snapshots of what lies in Redis.
pub struct RedisSnapshots {
    client: Arc<Client>,
}

/// Where the rows of a part lie.
struct Place {
    tag: String,
    /// Fields of the header.
    position: &'static str,
    epoch: &'static str,
    /// Each space with its number among the keys of the script that writes it, and the name of its hash.
    spaces: Vec<(Space, usize, String)>,
}

/// Number of a space's hash among the keys of the checkpoint script, and of the graph's in the other.
fn number(space: Space) -> usize {
    3 + 2 * space as usize
}
const NODES_NUMBER: usize = 2;
/// Bytes of a node's version, before its value.
const VERSION_BYTES: usize = 8;

impl Place {
    fn of(part: &Part) -> Self {
        match part {
            Part::Owner(owner) => Self {
                tag: state::tag(owner),
                position: "position",
                epoch: "epoch",
                spaces: Space::ALL.map(|s| (s, number(s), (s as u8).to_string())).to_vec(),
            },
            Part::Graph => Self {
                tag: graph::TAG.to_owned(),
                position: "position0",
                epoch: "epoch0",
                spaces: vec![(Space::Graph, NODES_NUMBER, "nodes".to_owned())],
            },
        }
    }

    fn is_graph(&self) -> bool {
        self.tag == graph::TAG && self.spaces.len() == 1
    }
}

fn failed(reason: impl Into<String>) -> SnapshotError {
    SnapshotError::Failed(reason.into())
}

fn position_of(text: &str) -> Result<Option<u64>, SnapshotError> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = |_| failed(format!("the header has {text:?} for a position"));
    text.parse().map(Some).map_err(wrong)
}

/// One export that goes on.
struct Export<'a> {
    client: &'a Client,
    part: &'a Part,
    id: String,
    /// The snapshot and what was there before.
    keys: [String; 2],
}

impl Export<'_> {
    /// Which of these rows have been replaced since it began.
    fn replaced(&self, fields: &[Vec<u8>]) -> Result<Vec<bool>, SnapshotError> {
        let lease = SNAPSHOT_LEASE.as_millis().to_string();
        let mut args = vec![self.id.as_bytes(), lease.as_bytes()];
        args.extend(fields.iter().map(|field| &field[..]));
        let answer: Vec<String> =
            self.client.run_again(&script::SNAP_PAGE, &self.keys, &args).map_err(failed)?;
        let busy = |reason: &str| {
            let (part, reason) = (self.part.clone(), reason.to_owned());
            Err(SnapshotError::Busy { part, reason })
        };
        match answer.first().map(String::as_str) {
            Some("ok") => Ok(answer[1..].iter().map(|flag| flag == "1").collect()),
            Some("full") => busy("256 MiB of replaced rows are kept at the most"),
            _ => busy("it took too long between two pages, or another one has begun"),
        }
    }

    fn page(&self, hash: &str, cursor: &str) -> Result<(String, Vec<Vec<u8>>), SnapshotError> {
        let mut command = redis::cmd("HSCAN");
        command.arg(hash).arg(cursor).arg("COUNT").arg(SCAN_PAGE);
        self.client.ask(&command).map_err(failed)
    }

    /// Visits the rows of a space that nobody has replaced since.
    fn space(
        &self,
        hash: &str,
        number: usize,
        visit: &mut dyn FnMut(Vec<u8>, Vec<u8>) -> Result<(), SnapshotError>,
    ) -> Result<(), SnapshotError> {
        let mut cursor = "0".to_owned();
        loop {
            let (next, page) = self.page(hash, &cursor)?;
            let name = |key: &Vec<u8>| [format!("{number}:").as_bytes(), key].concat();
            let fields: Vec<_> = page.iter().step_by(2).map(name).collect();
            let replaced = self.replaced(&fields)?;
            let mut rows = page.into_iter();
            for replaced in replaced {
                let (Some(key), Some(value)) = (rows.next(), rows.next()) else { break };
                if !replaced {
                    visit(key, value)?;
                }
            }
            if next == "0" {
                return Ok(());
            }
            cursor = next;
        }
    }

    /// Visits what was replaced, as it was.
    fn before(
        &self,
        visit: &mut dyn FnMut(usize, Vec<u8>, Vec<u8>) -> Result<(), SnapshotError>,
    ) -> Result<(), SnapshotError> {
        let mut cursor = "0".to_owned();
        loop {
            let (next, page) = self.page(&self.keys[1], &cursor)?;
            // Only what still belongs to this snapshot.
            self.replaced(&[])?;
            let mut rows = page.into_iter();
            while let (Some(field), Some(mut old)) = (rows.next(), rows.next()) {
                let colon = field.iter().position(|&byte| byte == b':');
                let number = colon.and_then(|at| std::str::from_utf8(&field[..at]).ok());
                let number = number.and_then(|number| number.parse().ok());
                let (Some(colon), Some(number)) = (colon, number) else {
                    return Err(failed("a row that was kept for the snapshot has no place"));
                };
                if old.first() == Some(&b'1') {
                    old.remove(0);
                    visit(number, field[colon + 1..].to_vec(), old)?;
                }
            }
            if next == "0" {
                return Ok(());
            }
            cursor = next;
        }
    }
}

impl RedisSnapshots {
    pub(crate) fn new(client: Arc<Client>) -> Self {
        Self { client }
    }

    fn key(&self, place: &Place, rest: &str) -> String {
        self.client.key(&place.tag, rest)
    }

    fn read(
        &self,
        export: &Export<'_>,
        place: &Place,
        visit: &mut Visit<'_>,
    ) -> Result<(), SnapshotError> {
        let graph = place.is_graph();
        let mut give = |space: Space, key: Vec<u8>, value: Vec<u8>| {
            let mut value = Bytes::from(value);
            if graph {
                if value.len() < VERSION_BYTES {
                    return Err(failed("a stored node has no version"));
                }
                value = value.split_off(VERSION_BYTES);
            }
            visit(Row { space, key: key.into(), value }).map_err(SnapshotError::Rows)
        };
        for (space, number, hash) in &place.spaces {
            let hash = self.key(place, hash);
            export.space(&hash, *number, &mut |key, value| give(*space, key, value))?;
        }
        export.before(&mut |number, key, value| match place
            .spaces
            .iter()
            .find(|(_, known, _)| *known == number)
        {
            Some((space, ..)) => give(*space, key, value),
            None => Err(failed("a row that was kept for the snapshot is of no space")),
        })?;
        export.replaced(&[]).map(drop)
    }

    /// The epoch that a node gets which is brought in: above all before it, as a commit has it.
    fn version(&self, place: &Place) -> Result<[u8; VERSION_BYTES], SnapshotError> {
        let time: (u64, u64) = self.client.ask(&redis::cmd("TIME")).map_err(failed)?;
        let mut command = redis::cmd("HGET");
        command.arg(self.key(place, "head")).arg("version");
        let last: Option<u64> = self.client.ask(&command).map_err(failed)?;
        let now = time.0 * 1_000_000 + time.1;
        Ok(now.max(last.unwrap_or(0) + 1).to_be_bytes())
    }

    /// Puts rows beside the state.
    fn gather(
        &self,
        place: &Place,
        version: Option<[u8; VERSION_BYTES]>,
        rows: Vec<Row>,
    ) -> Result<(), SnapshotError> {
        let mut spaces: BTreeMap<Space, Vec<Row>> = BTreeMap::new();
        for row in rows {
            spaces.entry(row.space).or_default().push(row);
        }
        for (space, rows) in spaces {
            let Some((_, _, name)) = place.spaces.iter().find(|(known, ..)| *known == space) else {
                return Err(failed(format!("{space:?} is no space of this part")));
            };
            let hash = self.key(place, &gathered(name));
            let mut set = redis::cmd("HSET");
            set.arg(&hash);
            for row in &rows {
                set.arg(&row.key[..]);
                match version {
                    Some(version) => set.arg([&version[..], &row.value].concat()),
                    None => set.arg(&row.value[..]),
                };
            }
            let _: i64 = self.client.ask(&set).map_err(failed)?;
            self.expire(&hash)?;
            if version.is_none() && state::has_order(space) {
                let order = self.key(place, &gathered(&format!("{name}o")));
                let mut add = redis::cmd("ZADD");
                add.arg(&order);
                for row in &rows {
                    add.arg(0).arg(&row.key[..]);
                }
                let _: i64 = self.client.ask(&add).map_err(failed)?;
                self.expire(&order)?;
            }
        }
        Ok(())
    }

    fn expire(&self, key: &str) -> Result<(), SnapshotError> {
        let mut command = redis::cmd("EXPIRE");
        command.arg(key).arg(RESTORE_SECONDS);
        let _: i64 = self.client.ask(&command).map_err(failed)?;
        Ok(())
    }
}

/// Where restored rows of a hash or an order are gathered.
fn gathered(name: &str) -> String {
    format!("restored:{name}")
}

impl Snapshots for RedisSnapshots {
    fn export(&self, part: &Part, visit: &mut Visit<'_>) -> Result<Option<u64>, SnapshotError> {
        let place = Place::of(part);
        let keys = ["snapshot", "before"].map(|rest| self.key(&place, rest));
        let lease = SNAPSHOT_LEASE.as_millis().to_string();
        let args = [lease.as_bytes(), place.position.as_bytes()];
        let all = [self.key(&place, "head"), keys[0].clone(), keys[1].clone()];
        // Once: run twice after a lost answer, it would meet itself.
        let begun = self.client.run::<(String, String, String)>(&script::SNAP_BEGIN, &all, &args);
        let (verdict, position, id) = begun.map_err(|error| failed(error.text))?;
        if verdict != "ok" {
            let reason = "another snapshot of it is being taken, or was cut off a minute ago";
            return Err(SnapshotError::Busy { part: part.clone(), reason: reason.to_owned() });
        }
        let export = Export { client: &self.client, part, id, keys };
        let done = self.read(&export, &place, visit);
        let ended = self.client.run_again::<Vec<String>>(
            &script::SNAP_END,
            &export.keys,
            &[export.id.as_bytes()],
        );
        done?;
        ended.map_err(failed)?;
        position_of(&position)
    }

    fn import(
        &self,
        part: &Part,
        position: u64,
        over: Over,
        rows: &mut Rows<'_>,
    ) -> Result<(), SnapshotError> {
        let older = over == Over::Older;
        let newer = |found| SnapshotError::Newer { part: part.clone(), found, position };
        if let Some(found) = self.position(part)?.filter(|&found| older && found >= position) {
            return Err(newer(found));
        }
        let place = Place::of(part);
        let mut keys =
            ["head", "stage", "snapshot", "before"].map(|k| self.key(&place, k)).to_vec();
        let mut clear = redis::cmd("UNLINK");
        for (_, _, name) in &place.spaces {
            let order = format!("{name}o");
            let names = if place.is_graph() { vec![name] } else { vec![name, &order] };
            for name in names {
                let from = self.key(&place, &gathered(name));
                clear.arg(&from);
                keys.extend([from, self.key(&place, name)]);
            }
        }
        let _: i64 = self.client.ask(&clear).map_err(failed)?;
        let version = if place.is_graph() { Some(self.version(&place)?) } else { None };
        loop {
            let step = next_rows(rows)?;
            if step.is_empty() {
                break;
            }
            self.gather(&place, version, step)?;
        }
        if let Part::Owner(owner) = part {
            let mut command = redis::cmd("SADD");
            command.arg(state::owners_key(&self.client)).arg(owner);
            let _: i64 = self.client.ask(&command).map_err(failed)?;
        }
        let text = position.to_string();
        let over = if older { "older" } else { "anything" };
        let fields = [place.position, &text, place.epoch, over];
        let args = fields.map(str::as_bytes);
        // Once: what it moves is there only once. An unknown outcome is told as such.
        let ended = self.client.run::<(String, String)>(&script::RESTORE_END, &keys, &args);
        match ended {
            Ok((verdict, _)) if verdict == "ok" => Ok(()),
            Ok((_, found)) => Err(newer(position_of(&found)?.unwrap_or(0))),
            Err(error) => Err(failed(error.text)),
        }
    }

    fn position(&self, part: &Part) -> Result<Option<u64>, SnapshotError> {
        let place = Place::of(part);
        let mut command = redis::cmd("HGET");
        command.arg(self.key(&place, "head")).arg(place.position);
        let position: Option<String> = self.client.ask(&command).map_err(failed)?;
        position_of(&position.unwrap_or_default())
    }
}
