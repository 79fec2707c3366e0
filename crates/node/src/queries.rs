//! What `person`, `explain`, `tail` and `doctor` ask: read from log, store and graph, so that the
//! same answers come from a running node and from a folder at rest.

use crate::definitions::DefinitionStore;
use crate::index::Index;
use crate::{rows, simulate};
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use serde_json::{Value, json};
use sojourn_engine::{Partition, Standing, Stored};
use sojourn_gateway::message::Converter;
use sojourn_identity::{canonical, find};
use sojourn_model::{ActionId, DecisionId, ProfileId, Record};
use sojourn_ports::{Entry, IdentityGraph, Log, Space, StateStore, Topic};
use sojourn_proto::{
    DecisionRecord, decode_decision_record, decode_dispatch_record, decode_profile_record,
};
use sojourn_rules::{Definitions, explain};
use std::sync::Arc;

/// Rows of a view when the caller names no limit.
const ROWS_DEFAULT: usize = 100;
/// Rows of a view at most (LIM-1).
pub(crate) const ROWS_MAX: usize = 10_000;

/// Answers questions. Cheap to clone.
#[derive(Clone)]
pub struct Queries {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) store: Arc<dyn StateStore>,
    pub(crate) graph: Arc<dyn IdentityGraph>,
    pub(crate) definitions: Arc<DefinitionStore>,
    pub(crate) index: Index,
}

impl Queries {
    /// Over the parts of a node.
    pub fn new(
        log: Arc<dyn Log>,
        store: Arc<dyn StateStore>,
        graph: Arc<dyn IdentityGraph>,
        definitions: Arc<DefinitionStore>,
    ) -> Self {
        let index = Index::new(Arc::clone(&log), Arc::clone(&store));
        Self { log, store, graph, definitions, index }
    }

    /// The profile that a person named on the command line has now.
    pub fn person(&self, person: &str) -> Result<ProfileId> {
        let definitions = self.current()?;
        let converter = Converter::new(&definitions);
        let (identifier, profile) = simulate::named(&converter, person)?;
        let found = match (identifier, profile) {
            (Some(identifier), _) => find(&*self.graph, &identifier)?,
            (None, Some(profile)) => Some(canonical(&*self.graph, profile)?),
            (None, None) => None,
        };
        found.with_context(|| format!("nobody is known as `{person}`"))
    }

    pub(crate) fn current(&self) -> Result<Arc<Definitions>> {
        let version = self.definitions.current()?.context("nothing was ever published here")?;
        self.definitions.get(version)
    }

    /// What stands under a profile, as of its partition's last checkpoint.
    pub fn stored(&self, profile: ProfileId) -> Result<Option<Stored>> {
        let partition = profile.partition(self.log.partitions(Topic::Profiles));
        let key = Bytes::copy_from_slice(&profile.0.to_be_bytes());
        let owner = sojourn_worker::owner_name(partition);
        let found = self.store.get(&owner, Space::Profile, &[key])?;
        match found.into_iter().next().flatten() {
            Some(bytes) => Ok(Some(Partition::decode_profile(&bytes)?)),
            None => Ok(None),
        }
    }

    /// A view of a person: `show`, `timeline`, `decisions`, `consents` (shapes in admin.proto).
    pub fn view(&self, person: &str, view: &str, limit: usize) -> Result<Value> {
        let limit = if limit == 0 { ROWS_DEFAULT } else { limit.min(ROWS_MAX) };
        let profile = self.person(person)?;
        let mut answer = match self.stored(profile)? {
            Some(Stored::Live(state)) => {
                let version = |version| self.definitions.get(version).ok();
                crate::person::show(&state, &*self.current()?, &version)
            }
            Some(Stored::Erased) => json!({"erased": true}),
            _ => json!({}),
        };
        let answer_object = answer.as_object_mut().context("a view is an object")?;
        answer_object.insert("profile".into(), profile.to_string().into());
        answer_object.entry("identifiers").or_insert_with(|| json!([]));
        match view {
            "show" => {}
            "consents" => answer_object.retain(|key, _| {
                matches!(key.as_str(), "profile" | "identifiers" | "consents" | "suppressions")
            }),
            "timeline" | "decisions" => {
                let rows = if view == "timeline" {
                    self.timeline(profile, limit)?
                } else {
                    self.decisions(profile, limit)?
                };
                answer_object.retain(|key, _| matches!(key.as_str(), "profile" | "identifiers"));
                let name = if view == "timeline" { "entries" } else { "decisions" };
                answer_object.insert(name.into(), rows.into());
            }
            other => bail!("unknown view `{other}`: use show, timeline, decisions or consents"),
        }
        Ok(answer)
    }

    /// The profile and everything it absorbed.
    pub(crate) fn lives(&self, profile: ProfileId) -> Result<Vec<ProfileId>> {
        let mut lives = sojourn_identity::absorbed(&*self.graph, profile)?;
        lives.push(profile);
        Ok(lives)
    }

    fn timeline(&self, profile: ProfileId, limit: usize) -> Result<Vec<Value>> {
        let mut rows: Vec<(String, Value)> = Vec::new();
        for life in self.lives(profile)? {
            for entry in self.index.person(Topic::Profiles, life, limit)? {
                let decoded = decode_profile_record(&entry.value)?;
                if let Record::Touchpoint { profile, touchpoint } = &decoded.record {
                    let row = rows::touchpoint(*profile, entry.log_time, touchpoint);
                    rows.push((sort_key(&row, "occurred_at"), row));
                }
            }
            for entry in self.index.person(Topic::Decisions, life, limit)? {
                let row = self.decided(&entry)?;
                rows.push((sort_key(&row, "at"), row));
            }
            for entry in self.index.person(Topic::Dispatch, life, limit)? {
                if let Some(row) = self.delivered(&entry)? {
                    rows.push((sort_key(&row, "at"), row));
                }
            }
        }
        // Forwarded touchpoints stand in two partitions.
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        let mut seen = std::collections::BTreeSet::new();
        rows.retain(|(_, row)| match row["message_id"].as_str() {
            Some(id) => seen.insert((row["source"].to_string(), id.to_owned())),
            None => true,
        });
        let from = rows.len().saturating_sub(limit);
        Ok(rows.split_off(from).into_iter().map(|(_, row)| row).collect())
    }

    fn decisions(&self, profile: ProfileId, limit: usize) -> Result<Vec<Value>> {
        let mut rows = Vec::new();
        for life in self.lives(profile)? {
            for entry in self.index.person(Topic::Decisions, life, limit.saturating_mul(8))? {
                let row = self.decided(&entry)?;
                if row["kind"] == "decision" {
                    rows.push((sort_key(&row, "at"), row));
                }
            }
        }
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        let from = rows.len().saturating_sub(limit);
        Ok(rows.split_off(from).into_iter().map(|(_, row)| row).collect())
    }

    /// A record of `decisions` as a row.
    pub(crate) fn decided(&self, entry: &Entry) -> Result<Value> {
        Ok(match decode_decision_record(&entry.value)?.1 {
            DecisionRecord::Decision(decision) => {
                let definitions = self.definitions.get(decision.version).ok();
                rows::decision(&decision, definitions.as_deref())
            }
            DecisionRecord::Note(note) => rows::note(&note),
        })
    }

    /// A record of `dispatch` as a row, when it is an outcome.
    pub(crate) fn delivered(&self, entry: &Entry) -> Result<Option<Value>> {
        let record = decode_dispatch_record(&entry.value)?;
        let decided = match self.index.action(record.action)? {
            Some(entry) => Some(self.decided(&entry)?),
            None => None,
        };
        Ok(rows::delivery(&record, decided.as_ref()))
    }

    /// A decision or the decision of an action, and why it was so.
    pub fn explain(&self, id: &str, for_customer: bool) -> Result<(String, Value)> {
        let entry = if let Ok(id) = id.parse::<DecisionId>() {
            self.index.decision(id)?
        } else if let Ok(id) = id.parse::<ActionId>() {
            self.index.action(id)?
        } else {
            bail!("`{id}` is no decision (d0-12-0) and no action (a0-1-0-0)");
        };
        let entry = entry
            .with_context(|| format!("{id} is not known here (it may take a second to appear)"))?;
        let DecisionRecord::Decision(decision) = decode_decision_record(&entry.value)?.1 else {
            bail!("{id} is no decision");
        };
        let definitions = self.definitions.get(decision.version).ok();
        let sentence = if for_customer {
            explain::customer(&decision, definitions.as_deref())
        } else {
            explain::marketer(&decision, definitions.as_deref())
        };
        Ok((sentence, rows::decision(&decision, definitions.as_deref())))
    }

    /// Where live runs stand at the moment, from the stored profiles.
    pub(crate) fn standing(&self) -> Result<Standing> {
        let mut standing = Standing::default();
        for partition in 0..self.log.partitions(Topic::Profiles) {
            let owner = sojourn_worker::owner_name(partition);
            let mut broken = None;
            self.store.scan(&owner, Space::Profile, &[], None, &mut |_, bytes| {
                match Partition::decode_profile(bytes) {
                    Ok(Stored::Live(profile)) => standing.add(&profile),
                    Ok(_) => {}
                    Err(error) => broken = Some(error),
                }
                broken.is_none()
            })?;
            if let Some(error) = broken {
                return Err(error.into());
            }
        }
        Ok(standing)
    }
}

fn sort_key(row: &Value, field: &str) -> String {
    row[field].as_str().unwrap_or_default().to_owned()
}
