//! Publishing: plan, publish, roll back, propose and approve.
//!
//! Where the policy wants two people, a publish is kept as a proposal until somebody else approves
//! it. Names are as declared: Sojourn does not know who sits at the terminal.

use crate::audit;
use crate::definitions::Published;
use crate::node::Inner;
use crate::rows::rfc3339;
use crate::transition::{self, Outlook};
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sojourn_model::{Timestamp, Transition, VersionId};
use sojourn_proto::admin::{PublishRequest, PublishResponse};
use sojourn_rules::{AppliedLevel, Compiled, Definitions, Files, Severity};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Proposals that are kept; the oldest go first (LIM-1).
const PROPOSALS_MAX: usize = 50;
/// Name under which a proposal is kept.
const PROPOSAL: &str = "proposal/";
/// Rows of a ledger when the caller names no limit, and at most.
const ROWS: (usize, usize) = (100, 10_000);

/// Files that wait for another person's approval.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Proposal {
    id: String,
    at: Timestamp,
    author: String,
    /// What the files become.
    version: String,
    /// The version that ran when it was made, and that must run still.
    base: Option<String>,
    rolls_back: bool,
    transition: Transition,
    words: Vec<String>,
    approvals: Vec<String>,
    files: BTreeMap<String, String>,
}

/// One publish on its way.
struct Draft<'a> {
    inner: &'a Inner,
    files: Files,
    version: VersionId,
    before: Option<VersionId>,
    running: Option<Arc<Definitions>>,
    compiled: Compiled,
    transition: Transition,
    rolls_back: bool,
    words: Vec<String>,
    outlook: Outlook,
}

/// What became of it.
#[derive(Default)]
struct Done {
    published: bool,
    proposal: Option<String>,
    why: Option<String>,
}

/// Answers a request: a plan, a publish, a roll-back, or the approval of a proposal.
pub(crate) fn answer(inner: &Inner, mut request: PublishRequest) -> Result<PublishResponse> {
    let _one_at_a_time = inner.publishing.lock();
    let who = request.author.trim().to_owned();
    ensure!(request.plan || !who.is_empty(), "say who publishes: --as NAME");
    if !request.proposal.is_empty() {
        return approve(inner, &request.proposal, &who);
    }
    let rolls_back = !request.roll_back.is_empty();
    let files = if rolls_back {
        inner.definitions.files(inner.version_before(&request.roll_back)?)?
    } else {
        Files(std::mem::take(&mut request.files).into_iter().collect())
    };
    let words = |map: std::collections::HashMap<String, String>| map.into_iter().collect();
    let transition =
        transition::read(&request.existing, &words(request.journeys), &words(request.maps))?;
    let draft = Draft::new(inner, files, transition, rolls_back)?;
    let done = if request.plan || draft.errors() {
        Done::default()
    } else if draft.people_needed() > 1 {
        draft.propose(&who)?
    } else {
        draft.publish(&who, &[])?
    };
    draft.report(&done)
}

fn approve(inner: &Inner, id: &str, who: &str) -> Result<PublishResponse> {
    let proposals = inner.proposals()?;
    let mut proposal = proposals.into_iter().find(|one| one.id == id).with_context(|| {
        format!("there is no proposal `{id}`: `sojourn versions --proposals` lists them")
    })?;
    let base = inner.definitions.current()?.map(|version| version.to_string());
    if proposal.base != base {
        bail!(
            "proposal {id} was made when version {} ran, and now {} runs: look at the files again and publish them anew",
            proposal.base.as_deref().unwrap_or("none"),
            base.as_deref().unwrap_or("none")
        );
    }
    if proposal.author == who || proposal.approvals.iter().any(|one| one == who) {
        bail!("{who} has agreed to proposal {id} already: somebody else approves it (--as NAME)");
    }
    proposal.approvals.push(who.to_owned());
    let files = Files(proposal.files.clone());
    let draft = Draft::new(inner, files, proposal.transition.clone(), proposal.rolls_back)?;
    if draft.errors() {
        return draft.report(&Done::default());
    }
    let entry = json!({
        "what": "approve", "proposal": id, "version": proposal.version,
        "said": format!("approves the publish of version {} by {}", proposal.version, proposal.author),
    });
    inner.audit(who, &entry)?;
    let missing = draft.people_needed().saturating_sub(1 + proposal.approvals.len());
    let done = if missing == 0 {
        let done = draft.publish(&proposal.author, &proposal.approvals)?;
        inner.definitions.keep(&format!("{PROPOSAL}{id}"), None)?;
        done
    } else {
        inner.keep_proposal(&proposal)?;
        let people = if missing == 1 { "person" } else { "people" };
        let why = format!("{missing} more {people} must approve proposal {id}");
        Done { proposal: Some(id.to_owned()), why: Some(why), ..Done::default() }
    };
    draft.report(&done)
}

impl<'a> Draft<'a> {
    fn new(
        inner: &'a Inner,
        files: Files,
        transition: Transition,
        rolls_back: bool,
    ) -> Result<Self> {
        let before = inner.definitions.current()?;
        let running = before.map(|version| inner.definitions.get(version)).transpose()?;
        let compiled = sojourn_rules::compile(&files);
        let (mut words, mut outlook) = (Vec::new(), Outlook::default());
        if let Some(new) = compiled.definitions.as_deref() {
            words = crate::changes::in_words(running.as_deref(), new);
            let standing = inner.queries.standing()?;
            transition::check_names(&transition, &standing, new)?;
            let version = |version| inner.definitions.get(version).ok();
            outlook = Outlook::of(&standing, &files, new, &transition, &version);
        }
        let version = files.version();
        Ok(Self {
            inner,
            files,
            version,
            before,
            running,
            compiled,
            transition,
            rolls_back,
            words,
            outlook,
        })
    }

    /// Whether something stands in the way.
    fn errors(&self) -> bool {
        let findings = self.compiled.findings.iter().chain(&self.outlook.findings);
        findings.into_iter().any(|finding| finding.severity == Severity::Error)
    }

    /// As the version that runs wants it; a draft cannot lower it for itself.
    fn people_needed(&self) -> usize {
        self.running.as_ref().map_or(1, |running| running.policy.approvals_publish as usize)
    }

    fn publish(&self, author: &str, approved_by: &[String]) -> Result<Done> {
        tracing::info!(version = %self.version, author, ?approved_by, "publishing");
        let published = self.inner.publish(&self.files, self.transition.clone())?;
        let published = matches!(published, Published::Version(..));
        if published {
            let verb = if self.rolls_back { "goes back to" } else { "publishes" };
            let mut entry = self.entry(&format!("{verb} version {}", self.version));
            entry["what"] = if self.rolls_back { "roll back" } else { "publish" }.into();
            entry["approved_by"] = json!(approved_by);
            self.inner.audit(author, &entry)?;
        }
        Ok(Done { published, ..Done::default() })
    }

    fn propose(&self, author: &str) -> Result<Done> {
        let id: String = self.version.to_string().chars().take(8).collect();
        let proposal = Proposal {
            id: id.clone(),
            at: self.inner.shared.clock.now(),
            author: author.to_owned(),
            version: self.version.to_string(),
            base: self.before.map(|version| version.to_string()),
            rolls_back: self.rolls_back,
            transition: self.transition.clone(),
            words: self.words.clone(),
            approvals: Vec::new(),
            files: self.files.0.clone(),
        };
        self.inner.keep_proposal(&proposal)?;
        let mut entry = self.entry(&format!("proposes version {}", self.version));
        entry["what"] = "propose".into();
        entry["proposal"] = id.as_str().into();
        self.inner.audit(author, &entry)?;
        let why = format!(
            "the policy wants {} people to publish: somebody else approves it with `sojourn approve DIR {id} --as NAME`",
            self.people_needed()
        );
        Ok(Done { proposal: Some(id), why: Some(why), ..Done::default() })
    }

    /// What the audit log keeps: the version, what becomes of people, what changes, and the rules of
    /// the lint that are set aside with their reasons.
    fn entry(&self, said: &str) -> Value {
        let level = |applied: &AppliedLevel| {
            let level = applied.setting.level.map_or(json!("off"), |level| json!(level));
            let (rule, because) = (&*applied.setting.rule, &*applied.setting.because);
            json!({ "rule": rule, "level": level, "because": because })
        };
        let journeys: BTreeMap<&str, &str> = self
            .transition
            .journeys
            .iter()
            .map(|(name, existing)| (&**name, existing.as_str()))
            .collect();
        let maps: BTreeMap<String, &str> = self
            .transition
            .maps
            .iter()
            .map(|map| {
                let of = map.journey.as_ref().map_or_else(String::new, |name| format!("{name}:"));
                (format!("{of}{}", map.old), &*map.new)
            })
            .collect();
        json!({
            "said": said,
            "version": self.version.to_string(),
            "from": self.before.map(|version| version.to_string()),
            "existing": self.transition.existing.as_str(),
            "journeys": journeys,
            "maps": maps,
            "words": self.words,
            "levels": self.compiled.levels.iter().map(level).collect::<Vec<_>>(),
        })
    }

    fn report(&self, done: &Done) -> Result<PublishResponse> {
        let old = match self.before {
            Some(version) => self.inner.definitions.files(version)?,
            None => Files::default(),
        };
        let mut runs: BTreeMap<String, u64> = BTreeMap::new();
        for (journey, .., count) in self.inner.queries.standing()?.iter() {
            *runs.entry(journey.to_string()).or_default() += count;
        }
        let costs = self.compiled.definitions.as_deref().map(crate::changes::costs);
        let findings: Vec<_> =
            self.compiled.findings.iter().chain(&self.outlook.findings).collect();
        let report = json!({
            "findings": findings,
            "levels": self.compiled.levels,
            "words": self.words,
            "messages_per_entry": costs.unwrap_or_default(),
            "published": done.published,
            "proposal": done.proposal,
            "why": done.why,
            "from": self.before.map(|version| version.to_string()),
            "existing": self.transition.existing.as_str(),
            "outlook": self.outlook.rows,
            "files": crate::diff::files(&old, &self.files),
            "journeys": crate::diff::journeys(&old, &self.files, &runs),
        });
        let report_json = serde_json::to_vec(&report)?;
        Ok(PublishResponse { version: self.version.to_string(), report_json })
    }
}

impl Inner {
    fn audit(&self, actor: &str, entry: &Value) -> Result<()> {
        audit::record(&*self.shared.log, &*self.shared.clock, actor, entry)
    }

    fn keep_proposal(&self, proposal: &Proposal) -> Result<()> {
        let name = format!("{PROPOSAL}{}", proposal.id);
        self.definitions.keep(&name, Some(&serde_json::to_value(proposal)?))?;
        let all = self.proposals()?;
        for old in &all[..all.len().saturating_sub(PROPOSALS_MAX)] {
            self.definitions.keep(&format!("{PROPOSAL}{}", old.id), None)?;
        }
        Ok(())
    }

    /// Oldest first.
    fn proposals(&self) -> Result<Vec<Proposal>> {
        let kept = self.definitions.kept(PROPOSAL)?;
        let mut all = kept
            .iter()
            .map(|bytes| serde_json::from_slice::<Proposal>(bytes))
            .collect::<Result<Vec<_>, _>>()
            .context("a proposal is damaged")?;
        all.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        Ok(all)
    }

    /// Versions that became the running one, oldest first.
    fn versions(&self) -> Result<Vec<Value>> {
        let mut rows = self.queries.index.audit(ROWS.1)?;
        let live = ["publish", "roll back", "start"];
        rows.retain(|row| row["what"].as_str().is_some_and(|what| live.contains(&what)));
        let current = self.definitions.current()?.map(|version| version.to_string());
        let newest = rows.iter().rposition(|row| row["version"].as_str() == current.as_deref());
        for (place, row) in rows.iter_mut().enumerate() {
            row["current"] = json!(Some(place) == newest);
        }
        Ok(rows)
    }

    /// The version that a roll-back names: `previous`, an id, or the beginning of one.
    fn version_before(&self, named: &str) -> Result<VersionId> {
        let rows = self.versions()?;
        let current = self.definitions.current()?.map(|version| version.to_string());
        let known: Vec<&str> = rows.iter().filter_map(|row| row["version"].as_str()).collect();
        let found = if named == "previous" {
            let other = known.iter().rev().find(|version| Some(**version) != current.as_deref());
            *other.context("no other version was published before")?
        } else {
            let mut fitting: Vec<&str> =
                known.iter().copied().filter(|version| version.starts_with(named)).collect();
            fitting.sort_unstable();
            fitting.dedup();
            match fitting[..] {
                [one] => one,
                [] => {
                    bail!("no version `{named}` was published here: `sojourn versions` lists them")
                }
                _ => bail!("`{named}` begins {} versions: write more of it", fitting.len()),
            }
        };
        found.parse().map_err(|_| anyhow::anyhow!("{found} is no version"))
    }

    /// `audit`, `versions` or `proposals`: the newest rows, oldest first.
    pub(crate) fn ledger(&self, view: &str, limit: usize) -> Result<Vec<Value>> {
        let limit = if limit == 0 { ROWS.0 } else { limit.min(ROWS.1) };
        let rows = match view {
            "audit" => self.queries.index.audit(limit)?,
            "versions" => self.versions()?,
            "proposals" => {
                let base = self.definitions.current()?.map(|version| version.to_string());
                let row = |one: Proposal| {
                    json!({
                        "id": one.id, "at": rfc3339(one.at), "author": one.author,
                        "version": one.version, "base": one.base,
                        "existing": one.transition.existing.as_str(),
                        "approvals": one.approvals, "words": one.words,
                        "open": one.base == base,
                    })
                };
                self.proposals()?.into_iter().map(row).collect()
            }
            other => bail!("unknown view `{other}`: use audit, versions or proposals"),
        };
        let from = rows.len().saturating_sub(limit);
        Ok(rows[from..].to_vec())
    }
}
