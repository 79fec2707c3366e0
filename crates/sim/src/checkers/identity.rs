//! IDN-1: the graph's partition of identifiers is that of a plain union over what was acknowledged.
//!
//! In the story every identifier but the shared devices belongs to one person, so the model is a
//! union-find; contested identifiers are the property tests' of crate `identity`.

use crate::observed::{Observed, Violation};
use std::collections::BTreeMap;

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
    found
}
