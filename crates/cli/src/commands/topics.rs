//! `sojourn topics`: the topics of a workspace on Kafka, made and checked.

use super::{Globals, Workspace};
use crate::exit::{Exit, unreachable};
use crate::term::{self, Ink, paint};
use crate::workspace;
use anyhow::Result;
use clap::Args;
use serde_json::json;
use sojourn_node::{TopicOrder, make_topics};

/// Make the Kafka topics of a workspace, with the settings that its promises need
#[derive(Debug, Args)]
#[command(
    after_help = "Examples: sojourn topics my-shop\n          sojourn topics my-shop --partitions 16 --replication 1\n          sojourn topics my-shop --check\n\nWhat exists is left as it is. Exits with 1 when something is not as it must be.\nThe number of partitions cannot be changed later: it decides where each person lives."
)]
pub(crate) struct Topics {
    #[command(flatten)]
    workspace: Workspace,
    /// Only say what is missing or differs
    #[arg(long)]
    check: bool,
    /// Partitions of the topics; 64 unless sojourn.yaml says otherwise
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    partitions: Option<u16>,
    /// Brokers that hold each record; 3 unless sojourn.yaml says otherwise
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=9))]
    replication: Option<u16>,
}

impl Topics {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        let dir = &self.workspace.dir;
        let definitions = workspace::definitions(dir)?;
        let Self { check, partitions, replication, .. } = self;
        let order = TopicOrder { partitions, replication, check };
        let report = make_topics(dir, &definitions.workspace.storage, order)
            .map_err(|error| unreachable(format!("{error:#}")))?;
        if globals.json {
            let differences: Vec<_> = report
                .differences
                .iter()
                .map(|one| {
                    json!({
                        "topic": one.topic, "what": one.what, "wanted": one.wanted,
                        "found": one.found, "remedy": one.remedy,
                    })
                })
                .collect();
            term::json(&json!({
                "made": report.made, "differences": differences,
                "partitions": report.partitions, "replication": report.replication,
            }))?;
        } else {
            for name in &report.made {
                term::line(&format!("{} {name}", paint(Ink::Good, "made")));
            }
            for one in &report.differences {
                term::line(&format!("{} {one}", paint(Ink::Bad, "differs")));
            }
            if report.differences.is_empty() {
                term::line(&format!(
                    "the topics are as they must be: {} partitions, {} {} of each record",
                    report.partitions,
                    report.replication,
                    if report.replication == 1 { "copy" } else { "copies" },
                ));
            }
        }
        Ok(if report.differences.is_empty() { Exit::Done } else { Exit::Negative })
    }
}
