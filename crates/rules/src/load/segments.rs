//! segments.yaml

use super::names::KNOWN_PURPOSES;
use crate::cel::{self, Catalog, Events, Expect, Site};
use crate::definitions::{Policy, Segment};
use crate::expr::Expr;
use crate::finding::{Source, suggest};
use crate::limits::{SEGMENT_DEPTH_MAX, SEGMENTS_MAX};
use crate::reader::{Table, checked_name};
use crate::yaml::{Node, Place};
use sojourn_model::Name;
use std::collections::{BTreeMap, BTreeSet};

/// Compiles the segments; what they may name of each other goes into the catalogue first.
pub(super) fn load(
    source: Source<'_>,
    root: &Node,
    catalog: &mut Catalog,
    policy: &Policy,
) -> BTreeMap<Name, Segment> {
    let mut segments = BTreeMap::new();
    let mut places = BTreeMap::new();
    let Some(table) = Table::new(source, root, "segments.yaml") else { return segments };
    if let Some(entries) = table.table("segments", "`segments`") {
        let entries = entries.entries();
        if entries.len() > SEGMENTS_MAX {
            source.error(
                "limit",
                root.place,
                format!("there are more than {SEGMENTS_MAX} segments"),
                "remove those that nothing uses",
            );
        }
        for (name, ..) in &entries {
            catalog.segments.insert(name.clone(), false);
        }
        for (name, place, node) in entries.into_iter().take(SEGMENTS_MAX) {
            if checked_name(&source, place, &name, "a segment")
                && let Some(segment) = segment(source, &name, node, catalog, policy)
            {
                places.insert(name.clone(), place);
                segments.insert(name, segment);
            }
        }
    }
    table.finish();
    refuse_cycles(source, &mut segments, &places);
    refuse_depth(source, &segments, &places);
    settle_windows(&mut segments);
    for (name, segment) in &segments {
        catalog.segments.insert(name.clone(), segment.when.windowed);
    }
    segments
}

fn segment(
    source: Source<'_>,
    name: &Name,
    node: &Node,
    catalog: &Catalog,
    policy: &Policy,
) -> Option<Segment> {
    let table = Table::new(source, node, "this segment")?;
    let site = Site { source, catalog, events: Events::None, run: false };
    let when = table
        .required("when")
        .and_then(|node| cel::compile(&site, node, "when", Expect::Condition));
    let purpose = table.text("purpose");
    if let Some(purpose) = &purpose {
        let first = purpose.split('/').next().unwrap_or_default();
        let known = policy.purposes.iter().map(|purpose| &*purpose.name);
        let known: Vec<&str> = known.chain(KNOWN_PURPOSES.iter().copied()).collect();
        if !known.contains(&first) {
            source.error(
                "unknown-purpose",
                table.key_place("purpose"),
                format!("policy.yaml declares no purpose `{first}`"),
                suggest(first, known, "declare it under `purposes`"),
            );
        }
    }
    table.choice("given_by", &[("customer", true), ("inferred", false)]);
    table.get("about");
    table.finish();
    Some(Segment { name: name.clone(), when: when?, purpose })
}

fn named(segment: &Segment) -> Vec<Name> {
    let mut names = Vec::new();
    segment.when.expr.walk(&mut |expr| {
        if let Expr::InSegment(name) = expr {
            names.push(name.clone());
        }
    });
    names
}

/// A segment that is defined by itself has no members.
fn refuse_cycles(
    source: Source<'_>,
    segments: &mut BTreeMap<Name, Segment>,
    places: &BTreeMap<Name, Place>,
) {
    let edges: BTreeMap<Name, Vec<Name>> =
        segments.iter().map(|(name, segment)| (name.clone(), named(segment))).collect();
    let mut cyclic = Vec::new();
    for start in edges.keys() {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&Name> = edges[start].iter().collect();
        while let Some(next) = open.pop() {
            if next == start {
                cyclic.push(start.clone());
                break;
            }
            if seen.insert(next) {
                open.extend(edges.get(next).into_iter().flatten());
            }
        }
    }
    for name in cyclic {
        source.error(
            "segment-cycle",
            places.get(&name).copied().unwrap_or(Place::START),
            format!("segment `{name}` is defined by itself"),
            "remove in_segment from one of the segments in the circle",
        );
        segments.remove(&name);
    }
}

/// Nobody would be in a segment that looks through more of them than the engine follows.
fn refuse_depth(
    source: Source<'_>,
    segments: &BTreeMap<Name, Segment>,
    places: &BTreeMap<Name, Place>,
) {
    // Longest chains by length: a segment is in the next level when it names one of this.
    let mut level: BTreeSet<&Name> = segments.keys().collect();
    for _ in 0..SEGMENT_DEPTH_MAX {
        let names_one = |(_, segment): &(&Name, &Segment)| {
            named(segment).iter().any(|name| level.contains(name))
        };
        level = segments.iter().filter(names_one).map(|(name, _)| name).collect();
    }
    for name in level {
        source.error(
            "limit",
            places.get(name).copied().unwrap_or(Place::START),
            format!("segment `{name}` goes through more than {SEGMENT_DEPTH_MAX} segments that name each other"),
            "write the conditions of the inner ones out",
        );
    }
}

/// A segment that names a windowed one is windowed itself. There are no circles any more.
fn settle_windows(segments: &mut BTreeMap<Name, Segment>) {
    loop {
        let windowed: BTreeSet<Name> = segments
            .iter()
            .filter(|(_, segment)| segment.when.windowed)
            .map(|(name, _)| name.clone())
            .collect();
        let mut changed = false;
        for segment in segments.values_mut() {
            if !segment.when.windowed && named(segment).iter().any(|name| windowed.contains(name)) {
                segment.when.windowed = true;
                changed = true;
            }
        }
        if !changed {
            return;
        }
    }
}
