//! `sojourn snapshot` and `sojourn restore`: one file with everything, and back.

use super::{Globals, WorkspaceOption};
use crate::exit::{Exit, unreachable};
use crate::term::{self, Ink, paint};
use crate::{when, workspace};
use anyhow::Result;
use clap::Args;
use serde_json::json;
use sojourn_embedded::SnapshotInfo;
use sojourn_node::{Embedded, WallClock};
use sojourn_ports::Clock;
use sojourn_rules::Definitions;
use std::path::PathBuf;
use std::sync::Arc;

/// Write state and log of a workspace at rest into one file
#[derive(Debug, Args)]
#[command(after_help = "Example: sojourn snapshot my-shop.snapshot --dir my-shop

Nothing may be running on the workspace: stop it first.")]
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
        let clock: Arc<dyn Clock> = Arc::new(WallClock::real());
        let now = clock.now();
        let embedded = Embedded::open(dir, &definitions.workspace.storage, clock)
            .map_err(|error| unreachable(format!("{error:#}")))?;
        let info =
            sojourn_embedded::snapshot(&embedded.journal, &embedded.store, &self.file, now, None)
                .map_err(|error| unreachable(error.to_string()))?;
        embedded.journal.close();
        report("wrote", &self.file, &info, globals)
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
        report("restored", &self.file, &info, globals)
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

fn report(
    verb: &str,
    file: &std::path::Path,
    info: &SnapshotInfo,
    globals: &Globals,
) -> Result<Exit> {
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
