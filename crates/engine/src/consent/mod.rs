//! The consent ledger: what a person's statements come to (semantics 3).
//!
//! **CON-1:** nothing recorded is no. **CON-3:** a merge takes the newest of each kind of statement
//! over the union, in any order; an import never lifts a deny.
//!
//! The log keeps every statement; the ledger keeps, per (channel, endpoint, purpose, topic), the
//! newest deny, the newest grant and the newest imported grant, from which the state is derived.

mod records;
mod suppression;

pub(crate) use records::{ChannelKind, channel_kind, normal_endpoint, statements};
pub(crate) use suppression::kind_name;
pub use suppression::{SuppressionEntry, Suppressions};

use crate::limits::CONSENTS_MAX;
use crate::mutation::{Mutation, mutated};
use crate::profile::make_room;
use serde::{Deserialize, Serialize};
use sojourn_model::{ConsentRecord, ConsentState, Evidence, Name, Timestamp};
use sojourn_rules::Regime;

/// Endpoint of channels that reach the person without an address.
pub(crate) const PERSON_ENDPOINT: &str = "profile";

/// One statement of one kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Statement {
    /// When it was made.
    pub at: Timestamp,
    /// A grant ends here.
    pub expires: Option<Timestamp>,
    /// Where and how.
    pub evidence: Evidence,
}

/// What was said for one (channel, endpoint, purpose, topic).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentEntry {
    /// Channel; `None`: a data purpose, or a deny for every channel.
    pub channel: Option<Name>,
    /// Endpoint; `None`: a deny for the whole channel, or a data purpose.
    pub endpoint: Option<Name>,
    /// Purpose.
    pub purpose: Name,
    /// Topic; `None`: the purpose as a whole.
    pub topic: Option<Name>,
    /// Newest deny.
    pub deny: Option<Box<Statement>>,
    /// Newest grant that was not imported.
    pub grant: Option<Box<Statement>>,
    /// Newest imported grant: counts only where nothing was ever denied.
    pub imported: Option<Box<Statement>>,
}

/// What one level (a purpose, or a topic) comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level<'a> {
    Silent,
    Granted(&'a Statement),
    Denied(&'a Statement),
}

/// What may be sent where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) channel: &'a str,
    pub(crate) endpoint: &'a str,
    pub(crate) purpose: &'a str,
    pub(crate) topic: Option<&'a str>,
    /// `service` needs no grant; a deny still counts.
    pub(crate) service: bool,
    /// What permits any other message, where the person is.
    pub(crate) regime: Regime,
}

/// What the statements come to for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Permitted,
    /// Granted, and not confirmed where it has to be.
    Unconfirmed,
    Refused,
}

/// Whether a message is permitted, and the statement that decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Permission<'a> {
    pub(crate) verdict: Verdict,
    pub(crate) decided_by: Option<(&'a Statement, bool)>,
}

/// Statements of one person. Entries in order of their key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consents {
    entries: Vec<ConsentEntry>,
}

type Key<'a> = (Option<&'a str>, Option<&'a str>, &'a str, Option<&'a str>);

impl ConsentEntry {
    fn key(&self) -> Key<'_> {
        let endpoint = self.endpoint.as_deref();
        (self.channel.as_deref(), endpoint, &self.purpose, self.topic.as_deref())
    }
}

/// Consent is compared in whole seconds.
fn second(at: Timestamp) -> i64 {
    at.0.div_euclid(1_000)
}

/// Keeps the newer of two statements of one kind; equal ones by their evidence, in any order.
fn newer(slot: &mut Option<Box<Statement>>, statement: Box<Statement>) -> bool {
    match slot {
        Some(known) if *known >= statement => false,
        _ => {
            *slot = Some(statement);
            true
        }
    }
}

impl Consents {
    fn find(&self, key: Key<'_>) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| entry.key().cmp(&key))
    }

    fn entry(&self, key: Key<'_>) -> Option<&ConsentEntry> {
        self.find(key).ok().map(|place| &self.entries[place])
    }

    /// Every entry, in order of key.
    pub fn entries(&self) -> &[ConsentEntry] {
        &self.entries
    }

    /// Takes a statement up. Gives whether anything changed; a full ledger takes denies only.
    pub(crate) fn record(&mut self, record: ConsentRecord, imported: bool) -> bool {
        let full = self.entries.len() >= CONSENTS_MAX;
        let key = (
            record.channel.as_deref(),
            record.endpoint.as_deref(),
            &*record.purpose,
            record.topic.as_deref(),
        );
        let place = match self.find(key) {
            Ok(place) => place,
            Err(_) if full && record.state == ConsentState::Granted => return false,
            Err(place) => {
                let entry = ConsentEntry {
                    channel: record.channel.clone(),
                    endpoint: record.endpoint.clone(),
                    purpose: record.purpose.clone(),
                    topic: record.topic.clone(),
                    deny: None,
                    grant: None,
                    imported: None,
                };
                make_room(&mut self.entries);
                self.entries.insert(place, entry);
                place
            }
        };
        let entry = &mut self.entries[place];
        let slot = match (record.state, imported) {
            (ConsentState::Denied, _) => &mut entry.deny,
            (ConsentState::Granted, false) => &mut entry.grant,
            (ConsentState::Granted, true) => &mut entry.imported,
        };
        let (at, expires, evidence) = (record.at, record.expires, record.evidence);
        newer(slot, Box::new(Statement { at, expires, evidence }))
    }

    /// What a level comes to for one endpoint: newest wins by the second, a deny wins its second.
    fn level(
        &self,
        channel: &str,
        endpoint: &str,
        purpose: &str,
        topic: Option<&str>,
        now: Timestamp,
    ) -> Level<'_> {
        self.level_by(self, (channel, endpoint, purpose, topic), now)
    }

    /// The same with the grants of another ledger.
    fn level_by<'a>(
        &'a self,
        grants: &'a Self,
        (channel, endpoint, purpose, topic): (&str, &str, &str, Option<&str>),
        now: Timestamp,
    ) -> Level<'a> {
        let key = (Some(channel), Some(endpoint), purpose, topic);
        let own = self.entry(key);
        let wide = self.entry((Some(channel), None, purpose, topic));
        let all = self.entry((None, None, purpose, topic));
        derive([own, wide, all], grants.entry(key), now)
    }

    /// Whether a message may go to this endpoint (semantics 3): at least one of purpose and topic
    /// granted and neither denied. `service` needs no grant, nor does an opt-out regime; a double
    /// opt-in needs one of `confirmed`.
    pub(crate) fn permits<'a>(
        &'a self,
        ask: Ask<'_>,
        confirmed: &'a Self,
        now: Timestamp,
    ) -> Permission<'a> {
        let Ask { channel, endpoint, purpose, topic, service, regime } = ask;
        if channel == "push" && mutated(Mutation::SkipConsentForPush) {
            return Permission { verdict: Verdict::Permitted, decided_by: None };
        }
        let levels = |grants: &'a Self| {
            let whole = self.level_by(grants, (channel, endpoint, purpose, None), now);
            let topic = match topic {
                Some(topic) => {
                    self.level_by(grants, (channel, endpoint, purpose, Some(topic)), now)
                }
                None => Level::Silent,
            };
            (topic, whole)
        };
        match levels(self) {
            (Level::Denied(by), _) | (_, Level::Denied(by)) => {
                Permission { verdict: Verdict::Refused, decided_by: Some((by, false)) }
            }
            (Level::Granted(by), _) | (_, Level::Granted(by)) => {
                if regime != Regime::DoubleOptIn || service {
                    return Permission {
                        verdict: Verdict::Permitted,
                        decided_by: Some((by, true)),
                    };
                }
                match levels(confirmed) {
                    (Level::Granted(by), _) | (_, Level::Granted(by)) => {
                        Permission { verdict: Verdict::Permitted, decided_by: Some((by, true)) }
                    }
                    _ => Permission { verdict: Verdict::Unconfirmed, decided_by: Some((by, true)) },
                }
            }
            (Level::Silent, Level::Silent) => {
                let free = service || regime == Regime::OptOut;
                let verdict = if free { Verdict::Permitted } else { Verdict::Refused };
                Permission { verdict, decided_by: None }
            }
        }
    }

    /// Whether a data purpose is granted.
    pub(crate) fn permits_data(&self, purpose: &str, now: Timestamp) -> bool {
        let entry = self.entry((None, None, purpose, None));
        matches!(derive([entry, None, None], entry, now), Level::Granted(_))
    }

    /// Denies in force for one endpoint, each as a statement that names it: what a new holder of the
    /// endpoint inherits (semantics 2). Grants are never among them (CON-3).
    pub(crate) fn denials_of(
        &self,
        channel: &str,
        endpoint: &str,
        now: Timestamp,
    ) -> Vec<ConsentRecord> {
        let mut denials = Vec::new();
        for entry in &self.entries {
            let channel_fits = entry.channel.as_deref().is_none_or(|own| own == channel);
            let endpoint_fits = entry.endpoint.as_deref().is_none_or(|own| own == endpoint);
            // A data purpose has neither channel nor endpoint, and is never asked with them.
            if !channel_fits || !endpoint_fits || entry.deny.is_none() {
                continue;
            }
            let topic = entry.topic.as_deref();
            let level = self.level(channel, endpoint, &entry.purpose, topic, now);
            let grant = mutated(Mutation::GrantInherited);
            let (statement, state) = match level {
                Level::Denied(by) => (by, ConsentState::Denied),
                Level::Granted(by) if grant => (by, ConsentState::Granted),
                _ => continue,
            };
            denials.push(ConsentRecord {
                endpoint: Some(endpoint.into()),
                channel: Some(channel.into()),
                purpose: entry.purpose.clone(),
                topic: entry.topic.clone(),
                state,
                at: statement.at,
                expires: statement.expires,
                evidence: statement.evidence.clone(),
                confirmed: false,
            });
        }
        if mutated(Mutation::GrantInherited) {
            let grants = self.entries.iter().filter(|entry| {
                entry.endpoint.as_deref() == Some(endpoint)
                    && entry.channel.as_deref() == Some(channel)
            });
            for entry in grants {
                let Some(grant) = &entry.grant else { continue };
                denials.push(ConsentRecord {
                    endpoint: Some(endpoint.into()),
                    channel: Some(channel.into()),
                    purpose: entry.purpose.clone(),
                    topic: entry.topic.clone(),
                    state: ConsentState::Granted,
                    at: grant.at,
                    expires: grant.expires,
                    evidence: grant.evidence.clone(),
                    confirmed: false,
                });
            }
        }
        denials
    }

    /// The union of both, each kind of statement by its newest: any order of merges gives the same.
    pub(crate) fn merge(&mut self, other: Self) {
        for theirs in other.entries {
            match self.find(theirs.key()) {
                Err(place) => self.entries.insert(place, theirs),
                Ok(place) if mutated(Mutation::LastWriterConsent) => self.entries[place] = theirs,
                Ok(place) => {
                    let ours = &mut self.entries[place];
                    for (slot, statement) in [
                        (&mut ours.deny, theirs.deny),
                        (&mut ours.grant, theirs.grant),
                        (&mut ours.imported, theirs.imported),
                    ] {
                        if let Some(statement) = statement {
                            newer(slot, statement);
                        }
                    }
                }
            }
        }
    }

    /// Drops the grants that fail `keep` (by channel and endpoint); denies always stay.
    pub(crate) fn retain_grants(&mut self, keep: impl Fn(&ConsentEntry) -> bool) {
        for entry in &mut self.entries {
            if !keep(entry) {
                entry.grant = None;
                entry.imported = None;
            }
        }
        self.entries.retain(|entry| {
            entry.deny.is_some() || entry.grant.is_some() || entry.imported.is_some()
        });
    }
}

/// Newest wins in whole seconds; in the same second a deny wins. Only the grants of the entry for the
/// endpoint itself count: a grant always names its endpoint.
fn derive<'a>(
    entries: [Option<&'a ConsentEntry>; 3],
    granting: Option<&'a ConsentEntry>,
    now: Timestamp,
) -> Level<'a> {
    let ignore_wide = mutated(Mutation::DenyForgetsLaterEndpoints);
    let denies = entries
        .iter()
        .enumerate()
        .filter(|(place, _)| *place == 0 || !ignore_wide)
        .filter_map(|(_, entry)| entry.and_then(|entry| entry.deny.as_deref()));
    let deny = denies.max();
    let grant = granting.and_then(|entry| entry.grant.as_ref());
    let live = |grant: &Statement| grant.expires.is_none_or(|expires| now < expires);
    match (deny, grant) {
        (Some(deny), Some(grant)) if second(deny.at) >= second(grant.at) => Level::Denied(deny),
        (Some(deny), None) => Level::Denied(deny),
        (_, Some(grant)) if live(grant) => Level::Granted(grant),
        (_, Some(_)) => Level::Silent,
        (None, None) => match granting.and_then(|entry| entry.imported.as_ref()) {
            Some(imported) if live(imported) => Level::Granted(imported),
            _ => Level::Silent,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(
        endpoint: Option<&str>,
        topic: Option<&str>,
        granted: bool,
        at_ms: i64,
    ) -> ConsentRecord {
        let state = if granted { ConsentState::Granted } else { ConsentState::Denied };
        ConsentRecord {
            endpoint: endpoint.map(Name::from),
            channel: Some("email".into()),
            purpose: "marketing".into(),
            topic: topic.map(Name::from),
            state,
            at: Timestamp(at_ms),
            expires: None,
            evidence: Evidence::default(),
            confirmed: false,
        }
    }

    fn permitted(consents: &Consents, topic: Option<&str>) -> bool {
        let now = Timestamp(1_000_000);
        let (channel, endpoint, purpose) = ("email", "a@x", "marketing");
        let regime = Regime::OptIn;
        let ask = Ask { channel, endpoint, purpose, topic, service: false, regime };
        consents.permits(ask, &Consents::default(), now).verdict == Verdict::Permitted
    }

    #[test]
    fn regimes() {
        let ask = |consents: &Consents, confirmed: &Consents, regime| {
            let (channel, endpoint, purpose) = ("email", "a@x", "marketing");
            let ask = Ask { channel, endpoint, purpose, topic: None, service: false, regime };
            consents.permits(ask, confirmed, Timestamp(1_000_000)).verdict
        };
        let (mut said, mut confirmed) = (Consents::default(), Consents::default());
        assert_eq!(ask(&said, &confirmed, Regime::OptOut), Verdict::Permitted);
        assert_eq!(ask(&said, &confirmed, Regime::DoubleOptIn), Verdict::Refused);
        let grant = |at| ConsentRecord { confirmed: true, ..record(Some("a@x"), None, true, at) };
        said.record(grant(1_000), false);
        assert_eq!(ask(&said, &confirmed, Regime::OptIn), Verdict::Permitted);
        assert_eq!(ask(&said, &confirmed, Regime::DoubleOptIn), Verdict::Unconfirmed);
        confirmed.record(grant(2_000), false);
        said.record(record(Some("a@x"), None, true, 9_000), false);
        assert_eq!(
            ask(&said, &confirmed, Regime::DoubleOptIn),
            Verdict::Permitted,
            "stays confirmed"
        );
        said.record(record(None, None, false, 10_000), false);
        assert_eq!(ask(&said, &confirmed, Regime::OptOut), Verdict::Refused);
        said.record(record(Some("a@x"), None, true, 12_000), false);
        assert_eq!(ask(&said, &confirmed, Regime::DoubleOptIn), Verdict::Unconfirmed, "anew");
    }

    type Row = (Option<&'static str>, Option<&'static str>, bool, i64);

    fn check(rows: &[Row], topic: Option<&str>, expected: bool) {
        let mut consents = Consents::default();
        for &(endpoint, row_topic, granted, at) in rows {
            consents.record(record(endpoint, row_topic, granted, at), false);
        }
        assert_eq!(permitted(&consents, topic), expected, "{rows:?} {topic:?}");
    }

    #[test]
    fn purpose_and_topic_are_two_levels() {
        let a = Some("a@x");
        check(&[], None, false);
        check(&[(a, None, true, 0)], None, true);
        check(&[(a, None, true, 0)], Some("offers"), true);
        check(&[(a, Some("offers"), true, 0)], Some("offers"), true);
        check(&[(a, Some("offers"), true, 0)], Some("news"), false);
        check(&[(a, Some("offers"), true, 0)], None, false);
        check(&[(a, None, true, 0), (a, Some("news"), false, 1)], Some("offers"), true);
        check(&[(a, None, true, 0), (a, Some("news"), false, 1)], Some("news"), false);
        check(&[(a, Some("offers"), true, 5_000), (a, None, false, 9_000)], Some("offers"), false);
        // Granted anew at the topic only: the purpose's deny still holds.
        check(&[(a, None, false, 1_000), (a, Some("offers"), true, 9_000)], Some("offers"), false);
    }

    #[test]
    fn newest_second_wins_and_a_deny_wins_its_second() {
        let a = Some("a@x");
        check(&[(a, None, false, 1_200), (a, None, true, 1_900)], None, false);
        check(&[(a, None, false, 1_999), (a, None, true, 2_000)], None, true);
        check(&[(a, None, true, 9_000), (a, None, false, 2_000)], None, true);
    }

    #[test]
    fn a_deny_without_endpoint_holds_until_a_newer_grant_names_it() {
        check(&[(None, None, false, 5_000), (Some("a@x"), None, true, 4_000)], None, false);
        check(&[(None, None, false, 5_000), (Some("a@x"), None, true, 6_000)], None, true);
        check(&[(None, None, false, 5_000), (Some("b@x"), None, true, 6_000)], None, false);
    }

    #[test]
    fn an_import_never_lifts_a_deny_and_a_grant_expires() {
        let mut consents = Consents::default();
        consents.record(record(Some("a@x"), None, true, 9_000), true);
        assert!(permitted(&consents, None));
        consents.record(record(Some("a@x"), None, false, 1_000), false);
        assert!(!permitted(&consents, None));
        let mut consents = Consents::default();
        let mut grant = record(Some("a@x"), None, true, 9_000);
        grant.expires = Some(Timestamp(1_000_000));
        consents.record(grant, false);
        assert!(!permitted(&consents, None), "ends at the very instant");
    }

    #[test]
    fn a_new_holder_inherits_denies_in_force_only() {
        let mut consents = Consents::default();
        consents.record(record(None, None, false, 1_000), false);
        consents.record(record(Some("a@x"), Some("offers"), true, 2_000), false);
        let denials = consents.denials_of("email", "a@x", Timestamp(5_000));
        assert_eq!(denials.len(), 1);
        assert_eq!(denials[0].endpoint.as_deref(), Some("a@x"));
        assert_eq!(denials[0].state, ConsentState::Denied);
        consents.record(record(Some("a@x"), None, true, 3_000), false);
        assert!(consents.denials_of("email", "a@x", Timestamp(5_000)).is_empty());
        assert_eq!(consents.denials_of("email", "b@x", Timestamp(5_000)).len(), 1);
    }

    fn any_record() -> impl Strategy<Value = (ConsentRecord, bool)> {
        (0usize..3, 0usize..3, any::<bool>(), 0i64..6_000, any::<bool>()).prop_map(
            |(endpoint, topic, granted, at, imported)| {
                let endpoint = if granted {
                    [Some("a@x"), Some("b@x")][endpoint % 2]
                } else {
                    [Some("a@x"), Some("b@x"), None][endpoint]
                };
                let topic = [None, Some("offers"), Some("news")][topic];
                (record(endpoint, topic, granted, at), imported)
            },
        )
    }

    proptest! {
        /// CON-3: whichever profile says what, and in whatever order profiles merge, the outcome is
        /// that of one profile that heard everything.
        #[test]
        fn merges_in_any_order_are_the_union(
            records in proptest::collection::vec((any_record(), 0usize..4), 0..24),
            order in Just([0usize, 1, 2, 3]).prop_shuffle(),
        ) {
            let mut whole = Consents::default();
            let mut parts: Vec<Consents> = vec![Consents::default(); 4];
            for ((record, imported), part) in records {
                whole.record(record.clone(), imported);
                parts[part].record(record, imported);
            }
            let mut merged = Consents::default();
            for part in order {
                merged.merge(parts[part].clone());
            }
            prop_assert_eq!(&merged, &whole);
            for topic in [None, Some("offers"), Some("news")] {
                // Never wider than what the most restrictive newest statement allows.
                prop_assert_eq!(permitted(&merged, topic), permitted(&whole, topic));
            }
        }
    }
}
