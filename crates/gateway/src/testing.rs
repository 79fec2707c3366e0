//! What the unit tests of this crate share.

use crate::message::Envelope;
use crate::{Gateway, Options, Secrets, Sizes};
use sojourn_channels::Prompts;
use sojourn_channels::token::Signer;
use sojourn_memory::{ManualClock, MemoryGate, MemoryLog};
use sojourn_model::{IdentifierKind, Name, ProfileId, Timestamp};
use sojourn_ports::{Entry, Layout, Log, ReadLimit, Topic};
use sojourn_proto::{TouchpointRecord, decode_dead_letter, decode_touchpoint_record};
use sojourn_rules::{
    Channel, Definitions, EventPlan, FieldPlan, IdentifierRule, Policy, Purpose, Source,
    TrackingPlan, Workspace,
};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const RECEIVED: Timestamp = Timestamp(1_795_312_000_000);

/// Sources: 0 `site` (open), 1 `till` (shared devices), 2 `shop` (strict), 3 `mail`, 4 `crm` (hook),
/// 5 `insta` (meta).
pub(crate) fn definitions() -> Arc<Definitions> {
    let source = |id: &str, channel: &str, strict, shared_devices| Source {
        id: id.into(),
        channel: channel.into(),
        kind: "segment".into(),
        secrets: BTreeMap::new(),
        strict,
        shared_devices,
    };
    let channel = |name: &str| Channel {
        name: name.into(),
        kind: "file".into(),
        settings: BTreeMap::new(),
        rate_per_second: None,
    };
    let rule = |kind: IdentifierKind, from: &[&str]| IdentifierRule {
        kind,
        from: from.iter().map(|p| p.split('.').map(Name::from).collect()).collect(),
        limit: 5,
        joins: true,
    };
    let identifiers = vec![
        rule(IdentifierKind::CustomerId, &["userId"]),
        rule(IdentifierKind::Email, &["traits.email", "context.traits.email", "properties.email"]),
        rule(IdentifierKind::Phone, &["traits.phone"]),
        rule(IdentifierKind::LoyaltyId, &["properties.loyalty_card"]),
        rule(IdentifierKind::AnonymousId, &["anonymousId"]),
        rule(IdentifierKind::DeviceId, &["context.device.id"]),
    ];
    let field = |required| FieldPlan { required, ..FieldPlan::default() };
    let cart = EventPlan {
        channel: Some("store".into()),
        properties: [("cart_id".into(), field(true)), ("value".into(), field(false))].into(),
        ..EventPlan::default()
    };
    Arc::new(Definitions {
        version: Default::default(),
        workspace: Workspace {
            sources: vec![
                source("site", "web", false, false),
                source("till", "store", false, true),
                source("shop", "web", true, false),
                source("mail", "email", false, false),
                Source { kind: "hook".into(), ..source("crm", "web", false, false) },
                Source { kind: "meta".into(), ..source("insta", "social", false, false) },
            ],
            company: sojourn_rules::Company { name: "Marlow & Co".into(), ..Default::default() },
            channels: ["email", "sms"].map(|name| (name.into(), channel(name))).into(),
            ..Workspace::default()
        },
        plan: TrackingPlan {
            identifiers,
            blocked_values: vec!["demo".into()],
            events: [("Cart Updated".into(), cart)].into(),
            attributes: BTreeMap::new(),
        },
        policy: Policy {
            purposes: vec![
                Purpose { name: "service".into(), service: true, ..Purpose::default() },
                Purpose { name: "marketing".into(), ..Purpose::default() },
                Purpose { name: "feedback".into(), ..Purpose::default() },
                Purpose { name: "analytics".into(), data: true, ..Purpose::default() },
            ],
            ..Policy::default()
        },
        segments: BTreeMap::new(),
        journeys: Vec::new(),
        templates: BTreeMap::new(),
        by_event: BTreeMap::new(),
        tracked: BTreeMap::new(),
    })
}

pub(crate) fn made() -> String {
    "made".to_string()
}

pub(crate) fn envelope(source: usize) -> Envelope<'static> {
    Envelope {
        source,
        received_at: RECEIVED,
        sent_at: None,
        context: "",
        call: None,
        imported: false,
        make_id: &made,
    }
}

/// A gateway over a log in memory, and what a test looks at.
pub(crate) struct Bench {
    pub(crate) gateway: Gateway,
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) gate: Arc<MemoryGate>,
    pub(crate) signer: Signer,
}

/// Keys: `wk` of `site`, `tk` of `till`, `sk` of `shop`, `mk` of `mail`.
pub(crate) fn bench(prompts: Option<Arc<dyn Prompts>>) -> Bench {
    let clock = Arc::new(ManualClock::new(RECEIVED));
    let log = Arc::new(MemoryLog::new(Layout::new(4, 2), clock.clone()));
    let gate = Arc::new(MemoryGate::new(clock.clone()));
    let signer = Signer::new(&[b"0123456789abcdef0123456789abcdef"]).unwrap();
    let mut secrets = Secrets::new();
    for (source, key, value) in [
        ("site", "write_key", "wk"),
        ("till", "secret", "tk"),
        ("shop", "write_key", "sk"),
        ("mail", "write_key", "mk"),
        ("crm", "secret", "whsec_b2xk whsec_bmV3"),
        ("insta", "app_secret", "x"),
    ] {
        secrets.entry(source.into()).or_default().insert(key.into(), value.to_string());
    }
    let options = Options {
        log: log.clone(),
        gate: gate.clone(),
        clock,
        definitions: definitions(),
        secrets,
        signer: signer.clone(),
        prompts,
        portal_url: Some("https://portal.example/p".into()),
        sizes: Sizes::default(),
    };
    Bench { gateway: Gateway::new(options).unwrap(), log, gate, signer }
}

/// What a test wants of a stored touchpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) id: String,
    pub(crate) source: String,
    pub(crate) event: String,
    pub(crate) who: String,
    pub(crate) occurred: Option<i64>,
    pub(crate) properties: String,
    pub(crate) profile: Option<ProfileId>,
}

impl Bench {
    fn read(&self, topic: Topic) -> Vec<Entry> {
        let mut entries = Vec::new();
        for partition in 0..self.log.partitions(topic) {
            let limit = ReadLimit { records: 100_000, bytes: 1 << 30, durable_only: true };
            self.log.read(topic, partition, 0, limit, &mut entries).unwrap();
        }
        entries
    }

    /// Every touchpoint, in order of message id.
    pub(crate) fn touchpoints(&self) -> Vec<Stored> {
        let mut all: Vec<Stored> = self
            .read(Topic::Touchpoints)
            .iter()
            .map(|entry| match decode_touchpoint_record(&entry.value).unwrap() {
                TouchpointRecord::Touchpoint(t) => Stored {
                    id: t.message_id.into(),
                    source: t.source.into(),
                    event: t.event.into(),
                    who: t.identifiers.iter().map(|i| i.to_string()).collect::<Vec<_>>().join(" "),
                    occurred: t.occurred_at.map(|at| at.0),
                    properties: t.properties.into(),
                    profile: t.profile,
                },
                TouchpointRecord::Command(command) => panic!("{command:?}"),
            })
            .collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// Details of every dead letter.
    pub(crate) fn letters(&self) -> Vec<String> {
        let read = self.read(Topic::DeadLetters);
        read.iter().map(|e| decode_dead_letter(&e.value).unwrap().detail.to_string()).collect()
    }
}
