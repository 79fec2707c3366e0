//! What a publish does to people who are on their way, in words and counts.

use anyhow::{Result, bail};
use serde::Serialize;
use sojourn_engine::{Fate, Lack, Lost, Obstacle, Standing};
use sojourn_model::{Existing, Name, StepMap, Transition, VersionId};
use sojourn_rules::{
    Became, Definitions, Files, Finding, Journey, Lacking, StepIndex, StepKind, Stranded,
    impossible_mapping, lost_property, mapped_by_place,
};
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

/// What stands at the place by which people find their step; `None`: it has an id of its own, or the
/// words say where they go on.
fn by_place(old: &Journey, new: &Journey, step: &Name, to: StepIndex) -> Option<Became> {
    let place = |id: &Name| id.starts_with(|first: char| first.is_ascii_digit());
    if !place(step) || new.step(to).id != *step {
        return None;
    }
    let before = old.step(old.find(step)?);
    let fitting = |journey: &Journey| -> Vec<Name> {
        let fitting = journey.steps.iter().filter(|step| says_the_same(&before.kind, &step.kind));
        fitting.map(|step| step.id.clone()).collect()
    };
    let (now, then) = (fitting(new), fitting(old));
    if says_the_same(&before.kind, &new.step(to).kind) {
        // One of its kind in both: it is the same step.
        return (now.len() > 1 || then.len() > 1).then_some(Became::Alike);
    }
    Some(match &now[..] {
        [one] => Became::Elsewhere(one.clone()),
        _ => Became::Other,
    })
}

/// Whether two steps at which people stand do the same, wherever they lead.
fn says_the_same(a: &StepKind, b: &StepKind) -> bool {
    match (a, b) {
        (StepKind::WaitFor(a), StepKind::WaitFor(b)) => {
            (&a.what, a.timeout) == (&b.what, b.timeout)
        }
        (a, b) => a == b,
    }
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
        for one in standing.outlook(new, transition, version) {
            let sojourn_engine::Outlook { journey, version: of, step, fate, runs, lost } = one;
            let (word, to) = match fate {
                Fate::Stays => ("stays", None),
                Fate::Stops => ("stops", None),
                Fate::Moves(index) => {
                    let old = version(of);
                    let old = old.as_deref().and_then(|old| old.journey(journey));
                    let new = new.journey(journey);
                    if let (Some(old), Some(new)) = (old, new)
                        && old.content != new.content
                        && let Some(became) = by_place(old, new, &step, index)
                    {
                        let found = mapped_by_place(files, journey, &step, runs, &became);
                        outlook.findings.push(found);
                    }
                    ("moves", new.map(|new| new.step(index).id.clone()))
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
            for Lost { step, fields, leads_to } in lost {
                let lacking = match leads_to {
                    Lack::Missing => Lacking::Missing,
                    Lack::Content => Lacking::Content,
                    Lack::NoDate => Lacking::NoDate,
                };
                let found = lost_property(files, journey, &step, &fields, runs, lacking);
                outlook.findings.push(found);
            }
            let (journey, version) = (journey.clone(), of.to_string());
            outlook.rows.push(Row { journey, version, step, runs, fate: word, to });
        }
        outlook
    }
}
