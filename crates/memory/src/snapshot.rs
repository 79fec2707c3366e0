//! Snapshots of the store in memory.

use crate::graph;
use crate::store::MemoryStore;
use bytes::Bytes;
use sojourn_ports::Space;
use sojourn_ports::snapshot::{Over, Part, Row, Rows, SnapshotError, Snapshots, Visit};
use std::collections::BTreeMap;

fn name(part: &Part) -> String {
    match part {
        Part::Owner(owner) => owner.clone(),
        Part::Graph => graph::owner(0),
    }
}

impl MemoryStore {
    fn check(&self) -> Result<(), SnapshotError> {
        if self.lock().fails() {
            return Err(SnapshotError::Failed("the store does not answer".to_owned()));
        }
        Ok(())
    }
}

impl Snapshots for MemoryStore {
    fn export(&self, part: &Part, visit: &mut Visit<'_>) -> Result<Option<u64>, SnapshotError> {
        self.check()?;
        let (position, rows) = {
            let store = self.lock();
            let position = store.positions.get(&name(part)).copied();
            let row = |space: Space, key: &Bytes, value: &Bytes| Row {
                space,
                key: key.clone(),
                value: value.clone(),
            };
            let rows: Vec<Row> = match part {
                Part::Owner(owner) => {
                    let cells = store.cells.get(owner).into_iter().flatten();
                    cells.map(|((space, key), value)| row(*space, key, value)).collect()
                }
                Part::Graph => {
                    let nodes = store.nodes.iter();
                    nodes.map(|(key, (_, value))| row(Space::Graph, key, value)).collect()
                }
            };
            (position, rows)
        };
        for row in rows {
            visit(row).map_err(SnapshotError::Rows)?;
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
        self.check()?;
        let newer = |found: Option<u64>| match found
            .filter(|&found| over == Over::Older && found >= position)
        {
            Some(found) => Err(SnapshotError::Newer { part: part.clone(), found, position }),
            None => Ok(()),
        };
        newer(self.lock().positions.get(&name(part)).copied())?;
        let mut gathered = BTreeMap::new();
        while let Some(row) = rows().map_err(SnapshotError::Rows)? {
            gathered.insert((row.space, row.key), row.value);
        }
        let mut store = self.lock();
        newer(store.positions.get(&name(part)).copied())?;
        store.claim(&name(part));
        store.positions.insert(name(part), position);
        match part {
            Part::Owner(owner) => {
                store.cells.insert(owner.clone(), gathered);
            }
            Part::Graph => {
                store.version += 1;
                let version = store.version;
                let nodes = gathered.into_iter().map(|((_, key), value)| (key, (version, value)));
                store.nodes = nodes.collect();
            }
        }
        // What was taken before cannot be taken back over what was brought in.
        store.forget_history();
        Ok(())
    }

    fn position(&self, part: &Part) -> Result<Option<u64>, SnapshotError> {
        self.check()?;
        Ok(self.lock().positions.get(&name(part)).copied())
    }
}
