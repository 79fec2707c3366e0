//! The snapshot port: rows of one owner out of a moment of the database, and back.
//!
//! An import takes the owner's record away first, then replaces the rows in several batches, and
//! writes the record with the new position last. Cut off between, the owner has no position and
//! [`Owner::restoring`] is set: nobody can claim it until an import has gone through.

use super::owners::{Owner, shard_name};
use super::{FjallStore, SPACE_NAMES, prefix};
use bytes::Bytes;
use fjall::{Keyspace, PersistMode, Readable};
use sojourn_ports::Space;
use sojourn_ports::snapshot::{
    Over, Part, Row, Rows, SnapshotError, Snapshots, Visit, limits, next_rows,
};

/// Bytes of a node's version, before its value.
const VERSION_BYTES: usize = 8;

fn failed(error: &fjall::Error) -> SnapshotError {
    SnapshotError::Failed(error.to_string())
}

fn name(part: &Part) -> String {
    match part {
        Part::Owner(owner) => owner.clone(),
        Part::Graph => shard_name(0),
    }
}

impl FjallStore {
    /// Where the rows of a part lie: space, keyspace, what their keys begin with.
    fn places(&self, part: &Part) -> Vec<(Space, &Keyspace, Vec<u8>)> {
        match part {
            Part::Owner(owner) => Space::ALL
                .into_iter()
                .take(SPACE_NAMES.len())
                .map(|space| (space, &self.spaces[space as usize], prefix(owner)))
                .collect(),
            Part::Graph => vec![(Space::Graph, &self.nodes, Vec::new())],
        }
    }

    fn set_record(&self, name: &str, owner: Owner) -> Result<(), SnapshotError> {
        let mut owners = self.owners.lock();
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        batch.insert(&self.records, name, owner.encode());
        batch.commit().map_err(|error| failed(&error))?;
        owners.all.insert(name.to_owned(), owner);
        Ok(())
    }

    /// Takes every row of a part away, batch by batch.
    fn clear(&self, part: &Part) -> Result<(), SnapshotError> {
        for (_, keyspace, begin) in self.places(part) {
            let mut batch = self.db.batch();
            let mut keys = 0;
            let moment = self.db.snapshot();
            for guard in moment.prefix(keyspace, &begin) {
                let key = guard.key().map_err(|error| failed(&error))?;
                batch.remove(keyspace, key);
                keys += 1;
                if keys == limits::IMPORT_ROWS {
                    let full = std::mem::replace(&mut batch, self.db.batch());
                    full.commit().map_err(|error| failed(&error))?;
                    keys = 0;
                }
            }
            batch.commit().map_err(|error| failed(&error))?;
        }
        Ok(())
    }

    fn put(&self, part: &Part, version: u64, rows: Vec<Row>) -> Result<(), SnapshotError> {
        let places = self.places(part);
        let mut batch = self.db.batch();
        for row in rows {
            let Some((_, keyspace, begin)) = places.iter().find(|(space, ..)| *space == row.space)
            else {
                let what = format!("{:?} is no space of {part}", row.space);
                return Err(SnapshotError::Failed(what));
            };
            let key = [&begin[..], &row.key].concat();
            match part {
                Part::Owner(_) => batch.insert(keyspace, key, &row.value[..]),
                Part::Graph => {
                    batch.insert(keyspace, key, [&version.to_be_bytes()[..], &row.value].concat());
                }
            }
        }
        batch.commit().map_err(|error| failed(&error))
    }
}

impl Snapshots for FjallStore {
    fn export(&self, part: &Part, visit: &mut Visit<'_>) -> Result<Option<u64>, SnapshotError> {
        let (moment, position) = {
            // Nobody commits while the lock is held: position and rows are of one moment.
            let owners = self.owners.lock();
            let record = owners.all.get(&name(part)).copied().unwrap_or_default();
            (self.db.snapshot(), record.position)
        };
        for (space, keyspace, begin) in self.places(part) {
            for guard in moment.prefix(keyspace, &begin) {
                let (key, value) = guard.into_inner().map_err(|error| failed(&error))?;
                let skip = match part {
                    Part::Owner(_) => 0,
                    Part::Graph => VERSION_BYTES,
                };
                let Some(value) = value.get(skip..) else {
                    let what = "a stored node has no version".to_owned();
                    return Err(SnapshotError::Failed(what));
                };
                let key = Bytes::copy_from_slice(&key[begin.len()..]);
                let value = Bytes::copy_from_slice(value);
                visit(Row { space, key, value }).map_err(SnapshotError::Rows)?;
            }
        }
        Ok(position)
    }

    fn import(
        &self,
        part: &Part,
        position: u64,
        over: Over,
        rows: &mut Rows<'_>,
    ) -> Result<(), SnapshotError> {
        let name = name(part);
        let mut first = Some(next_rows(rows)?);
        let (record, version) = {
            let mut owners = self.owners.lock();
            let record = owners.all.get(&name).copied().unwrap_or_default();
            if let Some(found) =
                record.position.filter(|&found| over == Over::Older && found >= position)
            {
                return Err(SnapshotError::Newer { part: part.clone(), found, position });
            }
            owners.version += 1;
            (record, owners.version)
        };
        // From here on an owner that still lives is fenced, and nobody can claim.
        let record = Owner { epoch: record.epoch + 1, position: None, restoring: true };
        self.set_record(&name, record)?;
        self.clear(part)?;
        loop {
            let step = match first.take() {
                Some(step) => step,
                None => next_rows(rows)?,
            };
            if step.is_empty() {
                break;
            }
            self.put(part, version, step)?;
        }
        if *part == Part::Graph {
            self.cache.lock().forget();
            self.set_version(version).map_err(|error| failed(&error))?;
        }
        self.db.persist(PersistMode::SyncAll).map_err(|error| failed(&error))?;
        self.set_record(&name, Owner { position: Some(position), restoring: false, ..record })
    }

    fn position(&self, part: &Part) -> Result<Option<u64>, SnapshotError> {
        Ok(self.owners.lock().all.get(&name(part)).and_then(|record| record.position))
    }
}
