//! The rules of semantics 2, one by one, through the resolver in memory.

use sojourn_identity::{Addressed, IdentityRules, Outcome, RefusalKind, Resolver};
use sojourn_model::{
    Command, Identifier, IdentifierKind, LogPosition, ProfileId, Record, Timestamp, Touchpoint,
};
use sojourn_proto::{IdentifiedCommand, TouchpointRecord};

const DAY: i64 = 86_400_000;

fn id(text: &str) -> Identifier {
    let (kind, value) = text.split_once(':').expect("kind:value");
    Identifier::new(IdentifierKind::parse(kind).expect("a kind"), value)
}

fn u(n: u32) -> String {
    format!("customer_id:u{n}")
}

/// A resolver that is told one touchpoint after the other.
struct Shop {
    resolver: Resolver,
    offset: u64,
    now: i64,
    event: &'static str,
    properties: &'static str,
    source: &'static str,
    message: Option<&'static str>,
    occurred: Option<i64>,
    profile: Option<ProfileId>,
    /// Records of the last touchpoint, in debug form.
    out: Vec<String>,
}

impl Shop {
    fn new(rules: IdentityRules) -> Self {
        Self {
            resolver: Resolver::new(rules),
            offset: 0,
            now: 1_000_000_000_000,
            event: "Ping",
            properties: "",
            source: "site",
            message: None,
            occurred: None,
            profile: None,
            out: vec![],
        }
    }

    fn tell(&mut self, identifiers: &[&str]) -> Outcome {
        let own = format!("m{}", self.offset);
        let touchpoint = Touchpoint {
            message_id: self.message.take().unwrap_or(&own),
            source: self.source,
            channel: "web",
            event: self.event,
            identifiers: identifiers.iter().map(|text| id(text)).collect(),
            occurred_at: self.occurred.take().map(Timestamp),
            received_at: Timestamp(self.now),
            properties: self.properties,
            traits: "",
            context: "",
            imported: false,
            profile: self.profile.take(),
        };
        self.record(&TouchpointRecord::Touchpoint(touchpoint))
    }

    fn order(&mut self, who: &str, command: Command) -> Outcome {
        let identifier = Some(id(who));
        let command = IdentifiedCommand { identifier, profile: None, command };
        self.record(&TouchpointRecord::Command(command))
    }

    fn record(&mut self, record: &TouchpointRecord<'_>) -> Outcome {
        let mut out: Vec<Addressed<'_>> = vec![];
        let position = LogPosition { partition: 0, offset: self.offset };
        let outcome = self.resolver.apply(position, Timestamp(self.now), record, &mut out);
        self.offset += 1;
        self.now += 1000;
        self.out = out
            .iter()
            .map(|addressed| {
                let to = addressed.to;
                match &addressed.record {
                    Record::Touchpoint { profile, touchpoint } => {
                        assert_eq!(*profile, to);
                        let list: Vec<_> =
                            touchpoint.identifiers.iter().map(ToString::to_string).collect();
                        format!("{to} touchpoint {}", list.join(" "))
                    }
                    Record::Release { to: gains, identifier, .. } => {
                        format!("{to} release {identifier} to {gains}")
                    }
                    Record::Merge { into, .. } => format!("{to} merge into {into}"),
                    Record::Await { from, .. } => format!("{to} await {from}"),
                    Record::PersonCommand { command, .. } => format!("{to} {command:?}"),
                    other => format!("{to} {other:?}"),
                }
            })
            .collect();
        outcome
    }

    fn of(&mut self, who: &str) -> Option<ProfileId> {
        self.resolver.find(&id(who))
    }

    fn refused(&self) -> Vec<RefusalKind> {
        self.resolver.refusals().iter().map(|refusal| refusal.kind).collect()
    }
}

fn shop() -> Shop {
    Shop::new(IdentityRules::default())
}

fn person(outcome: Outcome) -> ProfileId {
    match outcome {
        Outcome::Person(profile) => profile,
        other => panic!("{other:?} is no person"),
    }
}

#[test]
fn the_older_profile_survives_and_everyone_is_told() {
    let mut shop = shop();
    let anonymous = person(shop.tell(&["anonymous_id:a1"]));
    let known = person(shop.tell(&["customer_id:u1", "email:u1@x.example"]));
    assert_ne!(anonymous, known);
    assert_eq!(shop.tell(&["customer_id:u1", "anonymous_id:a1"]), Outcome::Person(anonymous));
    assert_eq!(
        shop.out,
        [
            format!("{known} merge into {anonymous}"),
            format!("{anonymous} await {known}"),
            format!("{anonymous} touchpoint customer_id:u1 anonymous_id:a1"),
        ]
    );
    assert_eq!(shop.of("email:u1@x.example"), Some(anonymous));
}

#[test]
fn different_customers_never_merge_and_the_newest_claim_wins_in_any_order() {
    for swapped in [false, true] {
        let mut shop = shop();
        let mut claims = [(1, 500), (2, 900)];
        if swapped {
            claims.reverse();
        }
        for (customer, at) in claims {
            shop.occurred = Some(at);
            shop.tell(&[&u(customer), "anonymous_id:a1"]);
        }
        assert_ne!(shop.of("customer_id:u1"), shop.of("customer_id:u2"));
        assert_eq!(shop.of("anonymous_id:a1"), shop.of("customer_id:u2"), "swapped {swapped}");
        if swapped {
            let u1 = shop.of("customer_id:u1").expect("known");
            assert_eq!(shop.out, [format!("{u1} touchpoint customer_id:u1")], "a1 is not u1's");
        } else {
            assert!(shop.out[0].contains("release anonymous_id:a1"));
        }
    }
}

#[test]
fn equal_times_go_by_message_id() {
    let mut shop = shop();
    for (customer, message) in [(1, "b"), (2, "a")] {
        shop.occurred = Some(7);
        shop.message = Some(message);
        shop.tell(&[&u(customer), "anonymous_id:a1"]);
    }
    assert_eq!(shop.of("anonymous_id:a1"), shop.of("customer_id:u1"));
}

#[test]
fn without_a_customer_id_nothing_moves() {
    let mut shop = shop();
    shop.tell(&["customer_id:u1", "email:u1@x.example"]);
    shop.tell(&["customer_id:u2", "anonymous_id:a1"]);
    let u1 = shop.of("customer_id:u1").expect("known");
    assert_eq!(shop.tell(&["email:u1@x.example", "anonymous_id:a1"]), Outcome::Person(u1));
    assert_eq!(shop.out, [format!("{u1} touchpoint email:u1@x.example")]);
    assert_eq!(shop.of("anonymous_id:a1"), shop.of("customer_id:u2"));
}

#[test]
fn a_message_counts_once_per_source_and_person() {
    let mut shop = shop();
    for (identifiers, source, days, expected) in [
        (["customer_id:u1", "anonymous_id:a1"], "site", 0, false),
        (["customer_id:u1", "email:other@x.example"], "site", 1, true),
        (["anonymous_id:a1", "email:other@x.example"], "site", 2, true),
        (["customer_id:u1", "anonymous_id:a1"], "app", 3, false),
        (["customer_id:u2", "anonymous_id:a2"], "site", 4, false),
        (["customer_id:u1", "anonymous_id:a1"], "site", 9, false),
    ] {
        shop.now = 1_000_000_000_000 + days * DAY;
        shop.source = source;
        shop.message = Some("m");
        let duplicate = shop.tell(&identifiers) == Outcome::Duplicate;
        assert_eq!(duplicate, expected, "{identifiers:?} of {source} on day {days}");
        assert_eq!(duplicate, shop.out.is_empty());
    }
    assert_eq!(shop.of("email:other@x.example"), None, "a duplicate teaches nothing");
}

#[test]
fn blocked_values_and_shared_devices_do_not_join() {
    let rules =
        IdentityRules { shared_sources: ["till".into()].into(), ..IdentityRules::default() };
    let mut shop = Shop::new(rules);
    shop.tell(&["customer_id:u1", "anonymous_id:Anonymous"]);
    assert_eq!(shop.out.len(), 1);
    assert!(shop.out[0].ends_with("touchpoint customer_id:u1"));
    shop.tell(&["customer_id:u2", "anonymous_id:anonymous"]);
    assert_ne!(shop.of("customer_id:u1"), shop.of("customer_id:u2"));
    assert_eq!(shop.tell(&["anonymous_id:anonymous"]), Outcome::Nobody);
    assert_eq!(shop.tell(&[]), Outcome::Nobody);

    shop.source = "till";
    shop.tell(&["loyalty_id:L1", "anonymous_id:kiosk"]);
    shop.tell(&["loyalty_id:L2", "anonymous_id:kiosk"]);
    assert_ne!(shop.of("loyalty_id:L1"), shop.of("loyalty_id:L2"));
    assert_eq!(shop.tell(&["device_id:kiosk"]), Outcome::Nobody);
}

#[test]
fn limits_ignore_identifiers_and_refuse_merges() {
    let mut shop = shop();
    let u1 = person(shop.tell(&["customer_id:u1"]));
    for n in 0..6 {
        shop.tell(&["customer_id:u1", &format!("email:{n}@x.example")]);
    }
    assert_eq!(shop.refused(), [RefusalKind::IdentifierLimit]);
    assert_eq!(shop.out, [format!("{u1} touchpoint customer_id:u1")]);
    assert_eq!(shop.of("email:5@x.example"), None);

    let other = person(shop.tell(&["email:5@x.example", "anonymous_id:a"]));
    assert_eq!(shop.tell(&["customer_id:u1", "anonymous_id:a"]), Outcome::Person(u1));
    assert_eq!(shop.refused(), [RefusalKind::MergeLimit]);
    assert_eq!(shop.out, [format!("{u1} touchpoint customer_id:u1")]);
    assert_eq!(shop.of("anonymous_id:a"), Some(other));
}

#[test]
fn alias_finds_the_kind_and_refuses_two_customers() {
    let mut shop = shop();
    let email = person(shop.tell(&["email:old@x.example"]));
    shop.event = "Aliased";
    shop.properties = r#"{"previous_id":"Old@x.example"}"#;
    assert_eq!(shop.tell(&["customer_id:u1"]), Outcome::Person(email));
    assert!(shop.out[0].ends_with("touchpoint customer_id:u1 email:old@x.example"));
    shop.properties = r#"{"previous_id":"web-7"}"#;
    shop.tell(&["customer_id:u1"]);
    assert_eq!(shop.of("anonymous_id:web-7"), Some(email));

    shop.tell(&["phone:+447911123456"]);
    shop.properties = r#"{"previous_id":"+44 7911 123456"}"#;
    shop.tell(&["customer_id:u1"]);
    assert_eq!(shop.of("phone:+447911123456"), shop.of("customer_id:u1"));

    shop.properties = r#"{"previous_id":"u1"}"#;
    let u2 = person(shop.tell(&["customer_id:u2"]));
    assert_eq!(shop.refused(), [RefusalKind::AliasOfCustomers]);
    assert_ne!(u2, email);
}

#[test]
fn known_profiles_follow_merges_only() {
    let mut shop = shop();
    let a = person(shop.tell(&["anonymous_id:a1"]));
    let u1 = person(shop.tell(&["customer_id:u1"]));
    shop.tell(&["customer_id:u1", "anonymous_id:a1"]);
    shop.profile = Some(u1);
    shop.message = Some("receipt");
    assert_eq!(shop.tell(&[]), Outcome::Person(a));
    shop.profile = Some(a);
    shop.message = Some("receipt");
    assert_eq!(shop.tell(&[]), Outcome::Duplicate);
}

#[test]
fn an_unmerge_gives_back_what_each_held() {
    let mut shop = shop();
    let a = person(shop.tell(&["anonymous_id:a1", "email:e@x.example"]));
    let b = person(shop.tell(&["loyalty_id:l1"]));
    shop.tell(&["email:e@x.example", "loyalty_id:l1"]);
    assert_eq!(shop.of("loyalty_id:l1"), Some(a));
    shop.tell(&["loyalty_id:l1", "device_id:d1"]);
    assert_eq!(shop.order("loyalty_id:l1", Command::Unmerge), Outcome::Person(a));
    assert_eq!(shop.out, [format!("{a} Unmerge")]);
    assert_eq!(shop.of("loyalty_id:l1"), Some(b));
    assert_eq!(shop.of("device_id:d1"), Some(a), "came after the merge: stays");
    assert_eq!(shop.tell(&["loyalty_id:l1"]), Outcome::Person(b));
    // A second unmerge has nothing to take back, and they may merge again.
    shop.order("email:e@x.example", Command::Unmerge);
    assert_eq!(shop.tell(&["email:e@x.example", "loyalty_id:l1"]), Outcome::Person(a));
    // Too late after 30 days.
    shop.now += 31 * DAY;
    shop.order("loyalty_id:l1", Command::Unmerge);
    assert_eq!(shop.of("loyalty_id:l1"), Some(a));
}

#[test]
fn what_occurred_before_an_erasure_does_not_bring_the_person_back() {
    let mut shop = shop();
    let old = person(shop.tell(&["customer_id:u1", "email:e@x.example"]));
    let erased_at = shop.now;
    assert_eq!(shop.order("email:e@x.example", Command::Erase), Outcome::Person(old));
    assert_eq!(shop.of("customer_id:u1"), None);
    shop.occurred = Some(erased_at);
    assert_eq!(shop.tell(&["email:e@x.example"]), Outcome::Erased);
    // Somebody who comes anew is somebody new, and late events do not reach them either.
    let new = person(shop.tell(&["email:e@x.example", "anonymous_id:a1"]));
    assert_ne!(new, old);
    shop.occurred = Some(erased_at - DAY);
    assert_eq!(shop.tell(&["email:e@x.example"]), Outcome::Erased);
    assert_eq!(shop.order("customer_id:u1", Command::Erase), Outcome::Nobody);
}
