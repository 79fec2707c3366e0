//! IDN-1: any order and duplication of the same touchpoints gives the same partition of
//! identifiers, held against an independent model; and no touchpoint is lost in a merge.

use proptest::prelude::*;
use sojourn_identity::{Addressed, IdentityRules, Outcome, Resolver};
use sojourn_model::{
    Identifier, IdentifierKind, LogPosition, ProfileId, Record, Timestamp, Touchpoint,
};
use sojourn_proto::TouchpointRecord;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone)]
struct Told {
    message: String,
    at: i64,
    identifiers: Vec<Identifier>,
}

impl Told {
    fn customer(&self) -> Option<&Identifier> {
        self.identifiers.iter().find(|i| i.kind == IdentifierKind::CustomerId)
    }
    fn weaker(&self) -> impl Iterator<Item = &Identifier> {
        self.identifiers.iter().filter(|i| i.kind != IdentifierKind::CustomerId)
    }
}

fn told() -> impl Strategy<Value = Vec<Told>> {
    let one =
        (0i64..6, prop::option::weighted(0.4, 0u8..3), prop::collection::btree_set(0u8..9, 0..3));
    prop::collection::vec(one, 1..14).prop_map(|list| {
        let with_something = |(_, customer, weaker): &(i64, Option<u8>, BTreeSet<u8>)| {
            customer.is_some() || !weaker.is_empty()
        };
        list.into_iter()
            .filter(with_something)
            .enumerate()
            .map(|(place, (at, customer, weaker))| {
                let customer =
                    customer.map(|n| Identifier::new(IdentifierKind::CustomerId, &format!("u{n}")));
                let weaker = weaker.into_iter().map(|n| match n % 3 {
                    0 => Identifier::new(IdentifierKind::Email, &format!("e{n}@x.example")),
                    1 => Identifier::new(IdentifierKind::AnonymousId, &format!("a{n}")),
                    _ => Identifier::new(IdentifierKind::LoyaltyId, &format!("l{n}")),
                });
                let identifiers = customer.into_iter().chain(weaker).collect();
                Told { message: format!("m{place}"), at, identifiers }
            })
            .collect()
    })
}

/// Runs the touchpoints in the order given; gives the profile of each identifier.
fn run(order: &[&Told]) -> BTreeMap<Identifier, ProfileId> {
    let mut resolver = Resolver::new(IdentityRules::default());
    let mut merged_into: BTreeMap<ProfileId, ProfileId> = BTreeMap::new();
    let mut homes = Vec::new();
    let mut seen = BTreeSet::new();
    for (offset, told) in order.iter().enumerate() {
        let touchpoint = Touchpoint {
            message_id: &told.message,
            source: "site",
            channel: "web",
            event: "Ping",
            identifiers: told.identifiers.clone(),
            occurred_at: Some(Timestamp(told.at)),
            received_at: Timestamp(0),
            properties: "",
            traits: "",
            context: "",
            imported: false,
            profile: None,
        };
        let position = LogPosition { partition: 0, offset: offset as u64 };
        let log_time = Timestamp(100 + offset as i64);
        let mut out: Vec<Addressed<'_>> = Vec::new();
        let record = TouchpointRecord::Touchpoint(touchpoint);
        let outcome = resolver.apply(position, log_time, &record, &mut out);
        assert!(resolver.refusals().is_empty(), "no limit is reached here");
        let first = seen.insert(&told.message);
        assert_eq!(outcome == Outcome::Duplicate, !first, "{told:?}");
        let mut touchpoints = 0;
        for addressed in out {
            match addressed.record {
                Record::Merge { from, into, .. } => {
                    assert_eq!(merged_into.insert(from, into), None, "absorbed once");
                    assert!(into < from, "created later: absorbed");
                }
                Record::Touchpoint { profile, .. } => {
                    touchpoints += 1;
                    homes.push((profile, told));
                }
                _ => {}
            }
        }
        assert_eq!(touchpoints, u32::from(first));
    }
    // No touchpoint is lost: the merges lead from where it went to a profile that still stands,
    // which is the one of its customer id.
    for (home, told) in homes {
        let mut end = home;
        while let Some(&next) = merged_into.get(&end) {
            end = next;
        }
        assert_eq!(end, resolver.canonical(home));
        if let Some(customer) = told.customer() {
            assert_eq!(resolver.find(customer), Some(end));
        }
    }
    let all = order.iter().flat_map(|told| &told.identifiers);
    all.map(|i| (i.clone(), resolver.find(i).expect("known"))).collect()
}

/// What the semantics promises: the identifiers it covers, and for the claimed ones whose they are.
struct Model {
    covered: BTreeSet<Identifier>,
    owner: BTreeMap<Identifier, Identifier>,
}

fn model(all: &[Told]) -> Model {
    let mut newest: BTreeMap<&Identifier, (i64, &str, &Identifier)> = BTreeMap::new();
    let mut claimants: BTreeMap<&Identifier, BTreeSet<&Identifier>> = BTreeMap::new();
    for told in all {
        let Some(customer) = told.customer() else { continue };
        for weaker in told.weaker() {
            let claim = (told.at, told.message.as_str(), customer);
            let known = newest.entry(weaker).or_insert(claim);
            *known = (*known).max(claim);
            claimants.entry(weaker).or_default().insert(customer);
        }
    }
    let mut covered: BTreeSet<Identifier> =
        all.iter().filter_map(Told::customer).chain(newest.keys().copied()).cloned().collect();
    // An unclaimed identifier is covered when at most one customer is in its reach over touchpoints
    // without a customer id.
    for start in all.iter().flat_map(Told::weaker) {
        let mut reach = BTreeSet::from([start]);
        loop {
            let before = reach.len();
            for told in all.iter().filter(|told| told.customer().is_none()) {
                if told.weaker().any(|i| reach.contains(i)) {
                    reach.extend(told.weaker());
                }
            }
            if reach.len() == before {
                break;
            }
        }
        let customers: BTreeSet<_> =
            reach.iter().filter_map(|i| claimants.get(*i)).flatten().collect();
        if customers.len() <= 1 {
            covered.insert(start.clone());
        }
    }
    let owner = newest.into_iter().map(|(i, claim)| (i.clone(), claim.2.clone())).collect();
    Model { covered, owner }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn order_and_duplicates_do_not_matter(
        (all, shuffled) in told().prop_flat_map(|all| {
            let places: Vec<usize> = (0..all.len()).chain(0..all.len() / 2).collect();
            (Just(all), Just(places).prop_shuffle())
        }),
    ) {
        let straight: Vec<&Told> = all.iter().collect();
        let other: Vec<&Told> = shuffled.iter().map(|&place| &all[place]).collect();
        let (a, b) = (run(&straight), run(&other));
        let model = model(&all);
        for (weaker, customer) in &model.owner {
            prop_assert_eq!(a[weaker], a[customer], "{} is {}'s", weaker, customer);
            prop_assert_eq!(b[weaker], b[customer], "{} is {}'s", weaker, customer);
        }
        for x in &model.covered {
            for y in &model.covered {
                prop_assert_eq!(a[x] == a[y], b[x] == b[y], "{} and {}", x, y);
            }
        }
    }
}
