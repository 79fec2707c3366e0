//! Through real channels: a file, a channel that panics, one that is not there.

use super::*;
use futures::future::BoxFuture;
use sojourn_channels::render::{LinkBase, Links};
use sojourn_channels::token::Signer;
use sojourn_channels::{Channel, ChannelError, Context, Description};
use sojourn_memory::ManualClock;
use sojourn_model::{
    ActionId, CandidateId, DecisionId, LogPosition, MessageClass, ProfileId, Timestamp, Value,
    VersionId,
};
use sojourn_rules::{Definitions, Localized, Policy, Purpose, Template, TrackingPlan, Workspace};
use std::collections::BTreeMap;
use std::time::Instant;

/// A channel that panics when it is asked to deliver.
struct Broken;

impl Channel for Broken {
    fn describe(&self) -> BoxFuture<'_, Result<Description, ChannelError>> {
        Box::pin(async { Err(ChannelError("not now".into())) })
    }
    fn deliver(&self, _: Outgoing) -> BoxFuture<'_, DeliverResponse> {
        Box::pin(async { panic!("a broken channel") })
    }
    fn forget<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), ChannelError>> {
        Box::pin(async { Ok(()) })
    }
}

fn workspace() -> Workspace {
    let mail = sojourn_rules::Channel {
        name: "email".into(),
        kind: "file".into(),
        settings: BTreeMap::from([("path".into(), ("out".into(), 3))]),
        rate_per_second: Some(20.0),
    };
    Workspace { channels: BTreeMap::from([("email".into(), mail)]), ..Workspace::default() }
}

fn definitions() -> Arc<Definitions> {
    let body = Localized { body: "Hi {{ profile.name }}".into(), ..Localized::default() };
    let template = Template { name: "t".into(), locales: BTreeMap::from([("en".into(), body)]) };
    let service = Purpose { name: "service".into(), service: true, ..Purpose::default() };
    Arc::new(Definitions {
        version: VersionId(1),
        workspace: workspace(),
        plan: TrackingPlan::default(),
        policy: Policy { purposes: vec![service], ..Policy::default() },
        segments: BTreeMap::new(),
        journeys: Vec::new(),
        templates: BTreeMap::from([("t".into(), template)]),
        by_event: BTreeMap::new(),
        tracked: BTreeMap::new(),
    })
}

fn delivery(n: u32, channel: &str, name: Option<&str>) -> Delivery {
    let profile = ProfileId::created_at(0, u64::from(n));
    let variables = name.map(|name| ("name".into(), Value::text(name))).into_iter().collect();
    let action = Action {
        id: ActionId(CandidateId { profile, run: n, step: 1, visit: 0 }),
        decision: DecisionId { position: LogPosition::default(), index: 0 },
        profile,
        channel: channel.into(),
        endpoint: "ann@example.com".into(),
        purpose: "service".into(),
        topic: None,
        journey: "j".into(),
        version: VersionId(1),
        run_key: None,
        step: "s".into(),
        template: "t".into(),
        locale: "en".into(),
        variables: Value::Map(vec![("profile".into(), Value::Map(variables))]),
        expires: None,
        quiet_from: None,
        quiet_until: None,
        approved_at: Timestamp(0),
        cause: "m".into(),
        class: MessageClass::AtMostOnce,
        priority: 0,
        identifiers: Vec::new(),
    };
    Delivery { action: Arc::new(action), attempt: 1, lookup_only: false, permit: None }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test waits for real tasks")]
fn every_delivery_is_answered_once() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let guard = runtime.enter();
    let folder = tempfile::tempdir().unwrap();
    let context = Context {
        file: "sojourn.yaml",
        folder: folder.path(),
        lookup: &|_| None,
        clock: Arc::new(ManualClock::new(Timestamp(0))),
    };
    let mut channels = Channels::build(&workspace(), &context).unwrap();
    channels.insert("broken".into(), Arc::new(Broken), None);
    let definitions = definitions();
    let base = LinkBase { gateway: "http://g".into(), portal: "http://p".into() };
    let links = Links::new(base, Signer::new(&[[7u8; 32]]).unwrap());
    let renderer = Renderer::new(Arc::new(move |_| Some(Arc::clone(&definitions))), links);
    let handle = runtime.handle().clone();
    let mut transport =
        ChannelTransport::new(Arc::new(channels), Arc::new(renderer), handle, Arc::new(|| {}));
    assert_eq!(transport.channel("pigeon"), ChannelState::Absent);
    transport.start(vec![
        delivery(1, "email", Some("Ann")),
        delivery(2, "email", None), // its variable is missing
        delivery(3, "broken", Some("Ann")),
    ]);
    let mut answers = Vec::new();
    let began = Instant::now();
    let known = |transport: &mut ChannelTransport| transport.channel("email");
    while answers.len() < 3 || known(&mut transport) == ChannelState::NotYet {
        answers.extend(transport.poll());
        assert!(began.elapsed().as_secs() < 20, "{answers:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    answers.sort_by_key(|answer| answer.action);
    let outcomes: Vec<_> = answers.iter().map(|answer| answer.outcome).collect();
    assert_eq!(
        outcomes,
        [AttemptOutcome::Sent, AttemptOutcome::Failed, AttemptOutcome::Unknown],
        "{answers:?}"
    );
    assert!(answers[1].detail.starts_with("content: "), "{answers:?}");
    let files: Vec<_> = std::fs::read_dir(folder.path().join("out")).unwrap().collect();
    assert_eq!(files.len(), 1);
    let text = std::fs::read_to_string(files[0].as_ref().unwrap().path()).unwrap();
    assert!(text.contains("Hi Ann"), "{text}");
    let ChannelState::Known(can) = transport.channel("email") else { panic!("it has said") };
    assert!(can.status_lookup);
    assert_eq!(transport.channel("broken"), ChannelState::NotYet);
    drop(guard);
}
