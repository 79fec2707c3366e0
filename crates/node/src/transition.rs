//! What a publish does to people who are on their way, in words and counts.

use anyhow::{Result, bail};
use serde::Serialize;
use sojourn_engine::{Fate, Obstacle, Standing};
use sojourn_model::{Existing, Name, StepMap, Transition, VersionId};
use sojourn_rules::{Definitions, Files, Finding, Stranded, impossible_mapping, mapped_by_place};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Reads the words: the mode of all journeys (empty: drain), those of some, and steps by their old
/// id, with the journey before a colon where only one is meant.
pub(crate) fn read(
    mode: &str,
    modes: &BTreeMap<String, String>,
    maps: &BTreeMap<String, String>,
) -> Result<Transition> {
    let existing = |mode: &str| match Existing::parse(mode) {
        Some(existing) => Ok(existing),
        None if mode.is_empty() => Ok(Existing::Drain),
        None => bail!("there is no mode `{mode}`: use drain, migrate or stop"),
    };
    let journeys = modes.iter().map(|(name, mode)| Ok((name.as_str().into(), existing(mode)?)));
    let maps = maps.iter().map(|(old, new)| {
        let (journey, old) = match old.split_once(':') {
            Some((journey, old)) => (Some(Name::from(journey)), old),
            None => (None, old.as_str()),
        };
        if old.is_empty() || new.is_empty() {
            bail!("a step is mapped as `old` or `journey:old` to its new id: neither may be empty");
        }
        Ok(StepMap { journey, old: old.into(), new: new.as_str().into() })
    });
    Ok(Transition {
        existing: existing(mode)?,
        journeys: journeys.collect::<Result<_>>()?,
        maps: maps.collect::<Result<_>>()?,
    })
}

/// Journeys and steps that the words name must be there.
pub(crate) fn check_names(
    transition: &Transition,
    standing: &Standing,
    new: &Definitions,
) -> Result<()> {
    let inside: BTreeSet<&Name> = standing.iter().map(|(journey, ..)| journey).collect();
    let known = |name: &Name| new.journey(name).is_some() || inside.contains(name);
    let named = transition.journeys.iter().map(|(name, _)| name);
    let mapped = transition.maps.iter().filter_map(|map| map.journey.as_ref());
    if let Some(name) = named.chain(mapped).find(|name| !known(name)) {
        bail!("there is no journey `{name}` in the new version, and nobody is in one");
    }
    for map in &transition.maps {
        let of = |name: &Name| map.journey.as_ref().is_none_or(|journey| journey == name);
        let mut journeys = new.journeys.iter().filter(|journey| of(&journey.name));
        if !journeys.any(|journey| journey.find(&map.new).is_some()) {
            bail!(
                "no journey of the new version has a step `{}`, to which `{}` is mapped",
                map.new,
                map.old
            );
        }
    }
    Ok(())
}

/// Live runs at one place, and what becomes of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Row {
    journey: Name,
    version: String,
    step: Name,
    runs: u64,
    /// stays, moves, stops, impossible
    fate: &'static str,
    /// Where they go on.
    to: Option<Name>,
}

/// What a publish would do to everybody.
#[derive(Debug, Default)]
pub(crate) struct Outlook {
    pub(crate) rows: Vec<Row>,
    pub(crate) findings: Vec<Finding>,
}

impl Outlook {
    /// Of the runs in `standing`, when `new`, made of `files`, goes live by `transition`.
    pub(crate) fn of(
        standing: &Standing,
        files: &Files,
        new: &Definitions,
        transition: &Transition,
        version: &dyn Fn(VersionId) -> Option<Arc<Definitions>>,
    ) -> Self {
        let mut outlook = Self::default();
        for (journey, of, step, fate, runs) in standing.outlook(new, transition, version) {
            let (word, to) = match fate {
                Fate::Stays => ("stays", None),
                Fate::Stops => ("stops", None),
                Fate::Moves(index) => {
                    let to = new.journey(journey).map(|journey| journey.step(index).id.clone());
                    let content = |of: &Definitions| of.journey(journey).map(|one| one.content);
                    let same = version(of).and_then(|old| content(&old)) == content(new);
                    if !same && step.starts_with(|first: char| first.is_ascii_digit()) {
                        outlook.findings.push(mapped_by_place(files, journey, &step, runs));
                    }
                    ("moves", to)
                }
                Fate::Impossible(obstacle) => {
                    let why = match obstacle {
                        Obstacle::Journey => Stranded::Journey,
                        Obstacle::Step => Stranded::Step,
                        Obstacle::Kind => Stranded::Kind,
                    };
                    outlook.findings.push(impossible_mapping(files, journey, &step, runs, why));
                    ("impossible", None)
                }
            };
            let (journey, version) = (journey.clone(), of.to_string());
            outlook.rows.push(Row { journey, version, step, runs, fate: word, to });
        }
        outlook
    }
}
