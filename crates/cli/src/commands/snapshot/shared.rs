//! Snapshots of a workspace on Kafka and Redis: a folder or a place in an object store with a file per
//! owner.

use super::bucket::BucketShelf;
use crate::commands::Globals;
use crate::exit::{Exit, unreachable};
use crate::term::{self, Ink, paint};
use crate::when;
use anyhow::Result;
use serde_json::json;
use sojourn_node::WallClock;
use sojourn_node::snapshots::{FolderShelf, PartFile, Restored, Shelf, Vault};
use sojourn_ports::{Clock, Over};
use sojourn_rules::Storage;
use std::path::Path;
use std::sync::Arc;

fn shelf(place: &str) -> Result<Box<dyn Shelf>> {
    Ok(if place.starts_with("s3://") {
        Box::new(BucketShelf::open(place)?)
    } else {
        Box::new(FolderShelf::new(Path::new(place)))
    })
}

fn vault(dir: &Path, storage: &Storage) -> Result<Vault> {
    let clock: Arc<dyn Clock> = Arc::new(WallClock::real());
    Vault::open(dir, storage, clock).map_err(failed)
}

/// An error that already says how to exit keeps that.
fn failed(error: anyhow::Error) -> anyhow::Error {
    if Exit::of(&error) == Exit::Internal { unreachable(format!("{error:#}")) } else { error }
}

/// Writes a snapshot to `place` while everything goes on.
pub(super) fn save(
    dir: &Path,
    storage: &Storage,
    place: &str,
    only: &[u16],
    globals: &Globals,
) -> Result<Exit> {
    let (vault, shelf) = (vault(dir, storage)?, shelf(place)?);
    let mut tell = |file: &PartFile| {
        if !globals.json {
            term::line(&format!(
                "{} {}: {} rows, {} bytes, the log goes on at {}",
                paint(Ink::Good, "wrote"),
                file.part,
                term::grouped(file.rows),
                term::grouped(file.bytes),
                term::grouped(file.position),
            ));
        }
    };
    let manifest = vault.save(&*shelf, only, &mut tell).map_err(failed)?;
    if globals.json {
        term::json(&json!({ "place": place, "manifest": manifest }))?;
    } else {
        term::line(&format!(
            "{} {place}: {} parts, as of {}",
            paint(Ink::Good, "wrote"),
            manifest.parts.len(),
            when::rfc3339(manifest.created()),
        ));
    }
    Ok(Exit::Done)
}

/// Brings a snapshot back; exits with 1 when something had to be left alone.
pub(super) fn restore(
    dir: &Path,
    storage: &Storage,
    place: &str,
    only: &[u16],
    over: Over,
    globals: &Globals,
) -> Result<Exit> {
    let (vault, shelf) = (vault(dir, storage)?, shelf(place)?);
    let mut rows = Vec::new();
    let mut refused = false;
    let mut tell = |file: &PartFile, outcome: &Restored| {
        let (part, at) = (&file.part, file.position);
        let (ink, verb, said, left) = match outcome {
            Restored::Back { behind } => (
                Ink::Good,
                "restored",
                format!(
                    "stands at {}; {} records follow",
                    term::grouped(at),
                    term::grouped(*behind)
                ),
                false,
            ),
            // What does not read the log stands nowhere: it is there or not.
            Restored::There { found } => (
                Ink::Dim,
                "kept",
                format!(
                    "stands at {} in the store, at {} in the snapshot",
                    term::grouped(*found),
                    term::grouped(at)
                ),
                *found > at,
            ),
            Restored::Refused(reason) => (Ink::Bad, "refused", reason.clone(), true),
        };
        refused |= left;
        if globals.json {
            rows.push(json!({ "part": part, "position": at, "outcome": verb, "detail": said }));
        } else {
            term::line(&format!("{} {part}: {said}", paint(ink, verb)));
        }
    };
    let manifest = vault.restore(&*shelf, only, over, &mut tell).map_err(failed)?;
    if globals.json {
        term::json(
            &json!({ "place": place, "created": when::rfc3339(manifest.created()), "parts": rows }),
        )?;
    } else if refused {
        term::line(
            "What was left alone is as it was. With every process stopped, --replace puts the \
             snapshot in the place of what is further or damaged.",
        );
    }
    Ok(if refused { Exit::Negative } else { Exit::Done })
}
