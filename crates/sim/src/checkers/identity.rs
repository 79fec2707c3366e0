//! IDN-1: the graph's partition of identifiers is that of a plain union over what was acknowledged.
//!
//! In the story every identifier but the shared devices belongs to one person, so the model is a
//! union-find; contested identifiers are the property tests' of crate `identity`.

use crate::observed::{Applied, Observed, Violation};
use sojourn_model::ProfileId;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(observed: &Observed) -> Vec<Violation> {
    let mut parent: BTreeMap<String, String> = BTreeMap::new();
    fn root(parent: &BTreeMap<String, String>, of: &str) -> String {
        let mut at = of.to_owned();
        while let Some(up) = parent.get(&at)
            && *up != at
        {
            at.clone_from(up);
        }
        at
    }
    for identifiers in &observed.together {
        let mut names = identifiers
            .iter()
            .filter(|identifier| !identifier.value.starts_with(crate::story::SHARED))
            .map(ToString::to_string);
        let Some(first) = names.next() else { continue };
        parent.entry(first.clone()).or_insert_with(|| first.clone());
        for name in names {
            parent.entry(name.clone()).or_insert_with(|| name.clone());
            let (a, b) = (root(&parent, &first), root(&parent, &name));
            parent.insert(a, b);
        }
    }
    let mut found = Vec::new();
    let mut profile_of_root = BTreeMap::new();
    let mut root_of_profile = BTreeMap::new();
    for (identifier, profile) in &observed.owners {
        if !parent.contains_key(identifier) {
            continue;
        }
        let group = root(&parent, identifier);
        if *profile_of_root.entry(group.clone()).or_insert(*profile) != *profile {
            found.push(Violation::new(
                "IDN-1",
                format!("{identifier} should share a profile with {group}"),
            ));
        }
        if *root_of_profile.entry(*profile).or_insert_with(|| group.clone()) != group {
            found.push(Violation::new(
                "IDN-1",
                format!("{profile} holds {identifier}, which is another person's"),
            ));
        }
    }
    for identifier in parent.keys() {
        if !observed.owners.contains_key(identifier) {
            found.push(Violation::new("IDN-1", format!("{identifier} leads to nobody")));
        }
    }
    passed_on(observed, &mut found);
    found
}

/// What reaches somebody who was absorbed before goes on to somebody else.
fn passed_on(observed: &Observed, found: &mut Vec<Violation>) {
    let mut reached: BTreeMap<&str, BTreeSet<ProfileId>> = BTreeMap::new();
    for (_, _, applied) in observed.applied.iter().flatten() {
        if let Applied::Touchpoint(profile, touchpoint) = applied {
            reached.entry(&touchpoint.message_id).or_default().insert(*profile);
        }
    }
    for records in &observed.applied {
        let mut absorbed = BTreeSet::new();
        for (_, _, applied) in records {
            match applied {
                Applied::Merge(_, from, _) => _ = absorbed.insert(*from),
                Applied::Touchpoint(profile, touchpoint) if absorbed.contains(profile) => {
                    let id = &*touchpoint.message_id;
                    if reached[id].iter().all(|one| absorbed.contains(one)) {
                        let what =
                            format!("{id} reached {profile}, who was absorbed, and nobody else");
                        found.push(Violation::new("IDN-1", what));
                    }
                }
                _ => {}
            }
        }
    }
}
