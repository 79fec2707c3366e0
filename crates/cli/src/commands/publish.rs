//! `sojourn publish | rollback | approve`: makes files the running version, or shows what that would
//! change.

use super::{Globals, Workspace};
use crate::admin::{Admin, PublishRequest};
use crate::exit::{Exit, usage};
use crate::findings::{self, Format};
use crate::term::{self, Ink, paint};
use crate::workspace;
use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use sojourn_rules::Severity;
use std::path::{Path, PathBuf};

/// Make the files of a workspace the running version
#[derive(Debug, Args)]
#[command(
    after_help = "Examples: sojourn publish my-shop --plan\n          sojourn publish my-shop --existing migrate --drain welcome\n          sojourn publish my-shop --migrate abandoned-cart --map abandoned-cart:settle=pause\n\nWho is on their way keeps the version they entered with (drain), goes on in the new one at the\nstep of the same id (migrate), or ends where the journey changes (stop)."
)]
pub(crate) struct Publish {
    #[command(flatten)]
    workspace: Workspace,
    /// Only show what would change, and how many runs it touches
    #[arg(long)]
    plan: bool,
    #[command(flatten)]
    handover: Handover,
    #[command(flatten)]
    person: Person,
}

/// Go back to a version that was published before
#[derive(Debug, Args)]
#[command(
    after_help = "Examples: sojourn rollback my-shop\n          sojourn rollback my-shop 4f2a --existing migrate\n\n`sojourn versions` lists them. The files in the folder stay as they are."
)]
pub(crate) struct Rollback {
    #[command(flatten)]
    workspace: Workspace,
    /// The version, or the beginning of its id; default: the one before
    #[arg(default_value = "previous")]
    version: String,
    /// Only show what would change, and how many runs it touches
    #[arg(long)]
    plan: bool,
    #[command(flatten)]
    handover: Handover,
    #[command(flatten)]
    person: Person,
}

/// Approve what somebody else wants to publish
#[derive(Debug, Args)]
#[command(
    after_help = "Example: sojourn approve my-shop 4f2a61c0 --as bo\n\n`sojourn versions --proposals` lists them with what they change."
)]
pub(crate) struct Approve {
    /// Folder of the workspace
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The proposal
    proposal: String,
    #[command(flatten)]
    person: Person,
}

/// Who gives the order.
#[derive(Debug, Args)]
struct Person {
    /// Who you are, for the audit log: a name that is taken at its word
    #[arg(
        long = "as",
        alias = "author",
        value_name = "NAME",
        env = "USER",
        default_value = "author"
    )]
    name: String,
}

/// What becomes of people who are on their way.
#[derive(Debug, Args)]
struct Handover {
    /// What becomes of runs on their way
    #[arg(long, value_enum, default_value_t = Existing::Drain)]
    existing: Existing,
    /// Runs of this journey keep their version
    #[arg(long, value_name = "JOURNEY")]
    drain: Vec<String>,
    /// Runs of this journey go on in the new version
    #[arg(long, value_name = "JOURNEY")]
    migrate: Vec<String>,
    /// Runs of this journey end
    #[arg(long, value_name = "JOURNEY")]
    stop: Vec<String>,
    /// A step that has another id in the new version
    #[arg(long = "map", value_name = "[JOURNEY:]OLD=NEW")]
    maps: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Existing {
    /// They keep the version they entered with
    Drain,
    /// They go on in the new version, at the step of the same id
    Migrate,
    /// They end, where the new version changes their journey
    Stop,
}

impl Existing {
    fn as_str(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Migrate => "migrate",
            Self::Stop => "stop",
        }
    }
}

impl Handover {
    /// The request, as far as it is about people on their way.
    fn request(self) -> Result<PublishRequest> {
        let mut request = PublishRequest {
            existing: self.existing.as_str().to_owned(),
            ..PublishRequest::default()
        };
        let named = [
            (self.drain, Existing::Drain),
            (self.migrate, Existing::Migrate),
            (self.stop, Existing::Stop),
        ];
        for (journeys, existing) in named {
            for journey in journeys {
                let before = request.journeys.insert(journey.clone(), existing.as_str().to_owned());
                if before.is_some_and(|before| before != existing.as_str()) {
                    return Err(usage(format!("`{journey}` is named twice: it cannot be both")));
                }
            }
        }
        for map in self.maps {
            let Some((old, new)) = map.split_once('=') else {
                return Err(usage(format!("`{map}` is no map: write OLD=NEW or JOURNEY:OLD=NEW")));
            };
            request.maps.insert(old.to_owned(), new.to_owned());
        }
        Ok(request)
    }
}

impl Publish {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        let (files, compiled) = workspace::compile(&self.workspace.dir)?;
        let errors = findings::count(&compiled.findings, Severity::Error);
        if errors > 0 {
            let format = if globals.json { Format::Json } else { Format::Human };
            term::line(&findings::render(&compiled.findings, &compiled.levels, &files, format));
            term::remark("nothing was published: mend the errors first");
            return Ok(Exit::Negative);
        }
        let request = PublishRequest {
            files: files.0.into_iter().collect(),
            plan: self.plan,
            author: self.person.name,
            ..self.handover.request()?
        };
        send(&self.workspace.dir, request, globals)
    }
}

impl Rollback {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        let request = PublishRequest {
            roll_back: self.version,
            plan: self.plan,
            author: self.person.name,
            ..self.handover.request()?
        };
        send(&self.workspace.dir, request, globals)
    }
}

impl Approve {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        let request = PublishRequest {
            proposal: self.proposal,
            author: self.person.name,
            ..PublishRequest::default()
        };
        send(&self.dir, request, globals)
    }
}

fn send(dir: &Path, request: PublishRequest, globals: &Globals) -> Result<Exit> {
    let plan = request.plan;
    let (version, report) = Admin::connect(dir)?.publish(request)?;
    if globals.json {
        term::json(&json!({ "version": version, "report": report }))?;
    } else {
        show(&version, &report, plan);
    }
    let impossible = has_errors(&report["findings"]);
    let taken = report["published"] == json!(true) || report["proposal"].is_string() || plan;
    Ok(if taken && !impossible { Exit::Done } else { Exit::Negative })
}

fn has_errors(findings: &Value) -> bool {
    findings.as_array().into_iter().flatten().any(|finding| finding["severity"] == "error")
}

/// One line for each place at which people stand.
fn show_outlook(rows: &[Value]) {
    for row in rows {
        let text = |key: &str| term::clean(row[key].as_str().unwrap_or(""));
        let runs = row["runs"].as_u64().unwrap_or(0);
        let (ink, what) = match row["fate"].as_str() {
            Some("moves") => (Ink::Good, format!("go on at {}", text("to"))),
            Some("stops") => (Ink::Warn, "end".to_owned()),
            Some("impossible") => (Ink::Bad, "cannot go over".to_owned()),
            _ => (Ink::Place, "keep their version".to_owned()),
        };
        term::line(&format!(
            "  {} {} at {} (version {}): {}",
            term::grouped(runs),
            paint(Ink::Journey, &text("journey")),
            text("step"),
            text("version"),
            paint(ink, &what)
        ));
    }
}

fn show(version: &str, report: &Value, plan: bool) {
    let list = |key: &str| report[key].as_array().cloned().unwrap_or_default();
    let text = |value: &Value, key: &str| term::clean(value[key].as_str().unwrap_or(""));
    let files = list("files");
    for file in &files {
        let (ink, sign) = match file["change"].as_str() {
            Some("added") => (Ink::Good, "+"),
            Some("removed") => (Ink::Bad, "-"),
            _ => (Ink::Warn, "~"),
        };
        term::line(&format!("{} {}", paint(ink, sign), paint(Ink::Bold, &text(file, "path"))));
        for line in file["diff"].as_str().unwrap_or("").lines() {
            let ink = match line.as_bytes().first() {
                Some(b'+') => Some(Ink::Good),
                Some(b'-') => Some(Ink::Bad),
                Some(b'@') => Some(Ink::Place),
                _ => None,
            };
            let line = term::clean(line);
            term::line(&format!(
                "    {}",
                ink.map_or_else(|| line.clone(), |ink| paint(ink, &line))
            ));
        }
    }
    for journey in list("journeys") {
        let runs = journey["runs"].as_u64().unwrap_or(0);
        term::line(&format!(
            "  journey {}: {}, {} run{} on the way",
            paint(Ink::Journey, &text(&journey, "journey")),
            text(&journey, "change"),
            term::grouped(runs),
            if runs == 1 { "" } else { "s" },
        ));
    }
    for sentence in list("words") {
        term::line(&format!("  {}", term::clean(sentence.as_str().unwrap_or_default())));
    }
    if plan && let Some(costs) = report["messages_per_entry"].as_object() {
        for (journey, cost) in costs {
            let cost = cost.as_f64().unwrap_or_default();
            term::line(&format!(
                "  {}: up to {} message{} per entry",
                paint(Ink::Journey, &term::clean(journey)),
                cost,
                if (cost - 1.0).abs() < 1e-9 { "" } else { "s" },
            ));
        }
    }
    show_outlook(&list("outlook"));
    for level in list("levels") {
        let to = level["level"].as_str().unwrap_or("off");
        term::line(&format!(
            "  lint {} is {to}: {}",
            paint(Ink::Bold, &text(&level, "rule")),
            text(&level, "because")
        ));
    }
    if files.is_empty() {
        term::line("nothing changes: the running version has the same files");
    }
    for finding in list("findings") {
        term::line(&format!(
            "  {} {}; {}",
            paint(Ink::Warn, &text(&finding, "rule")),
            text(&finding, "message"),
            text(&finding, "remedy")
        ));
    }
    let verb = match (plan, report["published"] == json!(true)) {
        (true, _) => paint(Ink::Place, "would be"),
        (false, true) => paint(Ink::Good, "published"),
        (false, false) if report["proposal"].is_string() => paint(Ink::Place, "proposed"),
        (false, false) => paint(Ink::Bad, "not published"),
    };
    let from = report["from"].as_str().map(|from| format!(" (was {from})")).unwrap_or_default();
    term::line(&format!("{verb} version {version}{from}"));
    if let Some(why) = report["why"].as_str() {
        term::line(&term::clean(why));
    }
}
