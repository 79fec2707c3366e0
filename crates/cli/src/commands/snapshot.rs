//! `sojourn snapshot` and `sojourn restore`: one file with everything, and back.

use super::{Globals, WorkspaceOption};
use crate::admin::Admin;
use crate::exit::{Exit, unreachable};
use crate::term::{self, Ink, paint};
use crate::{when, workspace};
use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use sojourn_embedded::SnapshotInfo;
use sojourn_model::Timestamp;
use sojourn_node::{Embedded, WallClock};
use sojourn_ports::Clock;
use sojourn_rules::Definitions;
use std::path::PathBuf;
use std::sync::Arc;

/// Write state and log of a workspace into one file, also while it runs
#[derive(Debug, Args)]
#[command(after_help = "Example: sojourn snapshot my-shop.snapshot --dir my-shop

What runs goes on meanwhile: the file holds everything that was acknowledged before.
It holds personal data and the key of the links in messages: keep it as you keep those.")]
pub(crate) struct Snapshot {
    /// The file to write
    file: PathBuf,
    #[command(flatten)]
    workspace: WorkspaceOption,
}

/// Bring a snapshot back into a workspace without data
#[derive(Debug, Args)]
#[command(after_help = "Example: sojourn restore my-shop.snapshot --dir my-shop

The file is checked first; a damaged one restores nothing.")]
pub(crate) struct Restore {
    /// The file to read
    file: PathBuf,
    #[command(flatten)]
    workspace: WorkspaceOption,
}

impl Snapshot {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        let dir = &self.workspace.dir;
        let definitions = workspace::definitions(dir)?;
        only_embedded(&definitions)?;
        let data = workspace::data_dir(dir);
        if !data.is_dir() {
            return Err(unreachable(format!("{} holds no data yet", data.display())));
        }
        let file = std::path::absolute(&self.file).context("the name of the file")?;
        let written = if let Ok(mut server) = Admin::connect(dir) {
            let info = server.snapshot(&file)?;
            Written {
                created: Timestamp(info.created_ms),
                keys: info.keys,
                segments: info.segments,
                bytes: info.bytes,
            }
        } else {
            let clock: Arc<dyn Clock> = Arc::new(WallClock::real());
            let now = clock.now();
            let embedded = Embedded::open(dir, &definitions.workspace.storage, clock)
                .map_err(|error| unreachable(format!("{error:#}")))?;
            let info =
                embedded.snapshot(&file, now).map_err(|error| unreachable(error.to_string()))?;
            embedded.journal.close();
            info.into()
        };
        report("wrote", &self.file, &written, globals)
    }
}

impl Restore {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        let data = workspace::data_dir(&self.workspace.dir);
        let definitions = workspace::definitions(&self.workspace.dir)?;
        only_embedded(&definitions)?;
        std::fs::create_dir_all(&data)
            .map_err(|error| unreachable(format!("cannot make {}: {error}", data.display())))?;
        let _lock = sojourn_embedded::DirLock::take(&data, "sojourn restore")
            .map_err(|error| unreachable(error.to_string()))?;
        let info = sojourn_embedded::restore(&self.file, &data)
            .map_err(|error| unreachable(error.to_string()))?;
        report("restored", &self.file, &info.into(), globals)
    }
}

/// Kafka and Redis have backups of their own, and more than one process may write there.
fn only_embedded(definitions: &Definitions) -> Result<()> {
    match &*definitions.workspace.storage.kind {
        "embedded" => Ok(()),
        kind => Err(unreachable(format!(
            "storage.kind is `{kind}`: snapshot and restore are for embedded storage; \
             Redis is rebuilt from Kafka as far as its retention reaches"
        ))),
    }
}

/// What a snapshot holds.
struct Written {
    created: Timestamp,
    keys: u64,
    segments: u64,
    bytes: u64,
}

impl From<SnapshotInfo> for Written {
    fn from(info: SnapshotInfo) -> Self {
        let SnapshotInfo { created, keys, segments, bytes, .. } = info;
        Self { created, keys, segments, bytes }
    }
}

fn report(verb: &str, file: &std::path::Path, info: &Written, globals: &Globals) -> Result<Exit> {
    if globals.json {
        term::json(&json!({
            "file": file, "created": when::rfc3339(info.created), "keys": info.keys,
            "segments": info.segments, "bytes": info.bytes,
        }))?;
    } else {
        term::line(&format!(
            "{} {}: {} keys of state, {} segments of the log, {} bytes, as of {}",
            paint(Ink::Good, verb),
            file.display(),
            term::grouped(info.keys),
            term::grouped(info.segments),
            term::grouped(info.bytes),
            when::rfc3339(info.created),
        ));
    }
    Ok(Exit::Done)
}
