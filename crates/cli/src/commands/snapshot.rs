//! `sojourn snapshot` and `sojourn restore`: one file with everything, and back; on Kafka and Redis a
//! file per owner, in a folder or an object store.

mod bucket;
mod shared;

use super::{Globals, WorkspaceOption};
use crate::admin::Admin;
use crate::exit::{Exit, unreachable, usage};
use crate::term::{self, Ink, paint};
use crate::{when, workspace};
use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use sojourn_embedded::SnapshotInfo;
use sojourn_model::Timestamp;
use sojourn_node::{Embedded, WallClock};
use sojourn_ports::{Clock, Over};
use sojourn_rules::Definitions;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Write the state of a workspace to a safe place, also while it runs
#[derive(Debug, Args)]
#[command(after_help = "Examples: sojourn snapshot my-shop.snapshot --dir my-shop
          sojourn snapshot backups/2026-11-22 --dir my-shop        (on Kafka and Redis)
          sojourn snapshot s3://backups/my-shop/2026-11-22 --dir my-shop

On embedded storage one file holds state and log: everything that was acknowledged before.
On Kafka and Redis each owner's state is written to a new folder or to an object store (AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL), with the position from which the log goes on.
What runs goes on meanwhile. A snapshot holds personal data and the key of the links in messages: keep
it as you keep those.")]
pub(crate) struct Snapshot {
    /// The file to write; on Kafka and Redis a new folder, or s3://BUCKET/PATH
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    workspace: WorkspaceOption,
    /// On Kafka and Redis: only this partition (may be given several times)
    #[arg(long, value_name = "N")]
    partition: Vec<u16>,
}

/// Bring a snapshot back into a workspace without data
#[derive(Debug, Args)]
#[command(after_help = "Examples: sojourn restore my-shop.snapshot --dir my-shop
          sojourn restore s3://backups/my-shop/2026-11-22 --dir my-shop --partition 3

The files are checked first; a damaged one restores nothing. On Kafka and Redis, end the processes
first: a partition that somebody works on, or whose state is further, is left alone. The owners then
replay the log from the position that is told here. Exits with 1 when something was left alone.")]
pub(crate) struct Restore {
    /// The file to read; on Kafka and Redis the folder, or s3://BUCKET/PATH
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    workspace: WorkspaceOption,
    /// On Kafka and Redis: only this partition (may be given several times)
    #[arg(long, value_name = "N")]
    partition: Vec<u16>,
    /// On Kafka and Redis: also in the place of state that is further or damaged
    #[arg(long)]
    replace: bool,
}

impl Snapshot {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        let dir = &self.workspace.dir;
        let definitions = workspace::definitions(dir)?;
        if is_shared(&definitions) {
            let storage = &definitions.workspace.storage;
            return shared::save(dir, storage, place(&self.file)?, &self.partition, globals);
        }
        if !self.partition.is_empty() {
            return Err(whole_only());
        }
        let data = workspace::data_dir(dir);
        if !data.is_dir() {
            return Err(unreachable(format!("{} holds no data yet", data.display())));
        }
        let file = std::path::absolute(&self.file).context("the name of the file")?;
        let written = if let Ok(mut server) = Admin::connect(dir) {
            server.answers(ANSWER).map_err(|error| {
                unreachable(format!(
                    "a server runs on {} but does not answer: {error:#}. See its log lines, or end \
                     it (kill -9, if it does not end by itself; what it acknowledged is on disk) and \
                     take the snapshot then",
                    dir.display()
                ))
            })?;
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
            let embedded = Embedded::open(dir, &definitions.workspace.storage, clock);
            let embedded = embedded.map_err(|error| match held(&error) {
                true => unreachable(format!(
                    "{error:#}. Its address does not answer either: it has just begun, or it hangs"
                )),
                false => unreachable(format!("{error:#}")),
            })?;
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
        if is_shared(&definitions) {
            let over = if self.replace { Over::Anything } else { Over::Older };
            let (dir, storage) = (&self.workspace.dir, &definitions.workspace.storage);
            return shared::restore(
                dir,
                storage,
                place(&self.file)?,
                &self.partition,
                over,
                globals,
            );
        }
        if !self.partition.is_empty() || self.replace {
            return Err(whole_only());
        }
        std::fs::create_dir_all(&data)
            .map_err(|error| unreachable(format!("cannot make {}: {error}", data.display())))?;
        let _lock = sojourn_embedded::DirLock::take(&data, "sojourn restore")
            .map_err(|error| unreachable(error.to_string()))?;
        let info = sojourn_embedded::restore(&self.file, &data)
            .map_err(|error| unreachable(error.to_string()))?;
        report("restored", &self.file, &info.into(), globals)
    }
}

/// A server that serves answers within this time.
const ANSWER: Duration = Duration::from_secs(10);

/// Whether another process has the data folder.
fn held(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| matches!(cause.downcast_ref(), Some(sojourn_embedded::LockError::Held { .. })))
}

fn is_shared(definitions: &Definitions) -> bool {
    &*definitions.workspace.storage.kind == "kafka+redis"
}

fn place(path: &std::path::Path) -> Result<&str> {
    path.to_str().context("the name of the place is no text")
}

fn whole_only() -> anyhow::Error {
    usage(
        "--partition and --replace are for kafka+redis: on embedded storage a snapshot is one file",
    )
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
