//! Hand-written records against the generated types, both ways; round trips; malformed bytes.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost::Message;
use sojourn_model::{
    Action, ActionId, CandidateId, CapReading, Command, Decision, DecisionId, Existing,
    FatigueReading, Identifier, IdentifierKind, Inputs, KillTarget, LogPosition, MergeId,
    MessageClass, Note, NoteKind, Outcome, ProfileId, Reason, Record, StepMap, Timestamp,
    Touchpoint, Transition, Value, VersionId, ZoneSource,
};
use sojourn_proto::{log, *};

const ORIGIN: Origin = Origin { partition: 7, epoch: 41, offset: 900, index: 3 };

fn kind() -> impl Strategy<Value = IdentifierKind> {
    prop_oneof![
        Just(IdentifierKind::CustomerId),
        Just(IdentifierKind::Email),
        Just(IdentifierKind::Phone),
        Just(IdentifierKind::LoyaltyId),
        Just(IdentifierKind::AnonymousId),
        Just(IdentifierKind::DeviceId),
        "[a-z]{1,9}".prop_map(|name| IdentifierKind::Social(name.as_str().into())),
        "[a-z:]{1,9}".prop_map(|name| IdentifierKind::Custom(name.as_str().into())),
    ]
}

fn wire_touchpoint() -> impl Strategy<Value = log::Touchpoint> {
    let identifier = (kind(), ".{0,200}")
        .prop_map(|(kind, value)| log::Identifier { kind: kind.to_string(), value });
    (
        (".{0,40}", "[a-z]{0,5}", "[a-z]{0,5}", ".{0,30}", vec(identifier, 0..4)),
        (option::of(any::<i64>()), any::<i64>(), ".{0,300}", ".{0,9}", ".{0,9}"),
        (any::<bool>(), option::of(any::<u64>())),
    )
        .prop_map(|(a, b, c)| log::Touchpoint {
            message_id: a.0,
            source: a.1,
            channel: a.2,
            event: a.3,
            identifiers: a.4,
            occurred_at_ms: b.0,
            received_at_ms: b.1,
            properties_json: b.2.into(),
            traits_json: b.3.into(),
            context_json: b.4.into(),
            imported: c.0,
            profile: c.1,
        })
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("made from text")
}

fn model(wire: &log::Touchpoint) -> Touchpoint<'_> {
    Touchpoint {
        message_id: &wire.message_id,
        source: &wire.source,
        channel: &wire.channel,
        event: &wire.event,
        identifiers: wire
            .identifiers
            .iter()
            .map(|i| Identifier::new(IdentifierKind::parse(&i.kind).expect("known"), &i.value))
            .collect(),
        occurred_at: wire.occurred_at_ms.map(Timestamp),
        received_at: Timestamp(wire.received_at_ms),
        properties: text(&wire.properties_json),
        traits: text(&wire.traits_json),
        context: text(&wire.context_json),
        imported: wire.imported,
        profile: wire.profile.map(ProfileId),
    }
}

/// Every field: `Touchpoint` has no equality, its debug form shows all of it.
fn same(a: &impl std::fmt::Debug, b: &impl std::fmt::Debug) -> bool {
    format!("{a:?}") == format!("{b:?}")
}

proptest! {
    #[test]
    fn touchpoints_agree_with_the_generated_types(wire in wire_touchpoint(), profile: u64) {
        let touchpoint = model(&wire);
        let mut ours = Vec::new();
        encode_touchpoint_record(&touchpoint, &mut ours);
        let kind = log::touchpoint_record::Kind::Touchpoint(wire.clone());
        let theirs = log::TouchpointRecord { kind: Some(kind) }.encode_to_vec();
        prop_assert_eq!(&ours, &theirs);
        let TouchpointRecord::Touchpoint(back) = decode_touchpoint_record(&theirs).unwrap() else {
            panic!("a touchpoint");
        };
        prop_assert!(same(&back, &touchpoint));

        let record = Record::Touchpoint { profile: ProfileId(profile), touchpoint };
        let mut ours = Vec::new();
        encode_profile_record(Some(ORIGIN), false, &record, &mut ours);
        let mut copied = Vec::new();
        let raw = raw_touchpoint(&theirs).unwrap();
        encode_person_touchpoint(Some(ORIGIN), ProfileId(profile), raw, &mut copied);
        prop_assert_eq!(&ours, &copied, "copied and encoded anew are the same bytes");
        let theirs = log::ProfileRecord {
            origin: Some(log::Origin { partition: 7, epoch: 41, offset: 900, index: 3 }),
            from_owner: false,
            kind: Some(log::profile_record::Kind::Touchpoint(log::PersonTouchpoint {
                profile,
                touchpoint: Some(wire.clone()),
            })),
        }.encode_to_vec();
        prop_assert_eq!(&ours, &theirs);
        let back = decode_profile_record(&ours).unwrap();
        prop_assert_eq!(back.origin, Some(ORIGIN));
        prop_assert!(same(&back.record, &record));
    }

    #[test]
    fn other_profile_records_agree_with_the_generated_types(
        a: u64, b: u64, index: u16, blob in vec(any::<u8>(), 0..200), which in 0usize..9,
        from_owner: bool, value in ".{0,20}",
    ) {
        use log::profile_record::Kind;
        let id = MergeId { cause: a, index };
        let wire_id = Some(log::MergeId { cause: a, index: index.into() });
        let identifier = Identifier::new(IdentifierKind::Social("x".into()), &value);
        let (pa, pb) = (ProfileId(a), ProfileId(b));
        let blob_wire = bytes::Bytes::from(blob.clone());
        let pause = Command::Pause { journey: value.as_str().into() };
        let wire_pause =
            log::Command { kind: "pause".into(), journey: value.clone(), ..Default::default() };
        let (record, kind) = match which {
            0 => (
                Record::Release { profile: pa, to: pb, identifier },
                Kind::Release(log::Release {
                    profile: a,
                    to: b,
                    identifier: Some(log::Identifier { kind: "social:x".into(), value }),
                }),
            ),
            1 => (
                Record::Inherit { profile: pa, inheritance: &blob },
                Kind::Inherit(log::Inherit { profile: a, inheritance: blob_wire }),
            ),
            2 => (
                Record::Merge { id, from: pa, into: pb },
                Kind::Merge(log::Merge { id: wire_id, from: a, into: b }),
            ),
            3 => (
                Record::Await { id, into: pa, from: pb },
                Kind::Await(log::Await { id: wire_id, into: a, from: b }),
            ),
            4 => (
                Record::Absorb { id, into: pa, from: pb, state: &blob },
                Kind::Absorb(log::Absorb { id: wire_id, into: a, from: b, state: blob_wire }),
            ),
            5 => (
                Record::PersonCommand { profile: pa, command: pause },
                Kind::PersonCommand(log::PersonCommand { profile: a, command: Some(wire_pause) }),
            ),
            6 => (Record::Command(pause), Kind::Command(wire_pause)),
            7 => (
                Record::Publish { version: VersionId(a), transition: transition(from_owner) },
                Kind::Publish(wire_publish(a, from_owner)),
            ),
            _ => (Record::Tick, Kind::Tick(log::Tick {})),
        };
        let mut ours = Vec::new();
        encode_profile_record(None, from_owner, &record, &mut ours);
        let theirs = log::ProfileRecord { origin: None, from_owner, kind: Some(kind) };
        prop_assert_eq!(&ours, &theirs.encode_to_vec());
        let back = decode_profile_record(&ours).unwrap();
        prop_assert_eq!(back.origin, None);
        prop_assert_eq!(back.from_owner, from_owner);
        prop_assert!(same(&back.record, &record));
    }

    #[test]
    fn malformed_bytes_are_errors(bytes in vec(any::<u8>(), 0..80)) {
        decode_all(&bytes);
    }

    #[test]
    fn damaged_records_are_errors_or_other_records(
        wire in wire_touchpoint(), place: prop::sample::Index, byte: u8, cut: prop::sample::Index,
    ) {
        let record = Record::Touchpoint { profile: ProfileId(1), touchpoint: model(&wire) };
        let mut bytes = Vec::new();
        encode_profile_record(Some(ORIGIN), true, &record, &mut bytes);
        *place.get_mut(&mut bytes) = byte;
        decode_all(&bytes);
        decode_all(&bytes[..cut.index(bytes.len())]);
    }
}

fn transition(rich: bool) -> Transition {
    if !rich {
        return Transition::default();
    }
    Transition {
        existing: Existing::Migrate,
        journeys: vec![("cart".into(), Existing::Drain), ("visit".into(), Existing::Stop)],
        maps: vec![
            StepMap { journey: None, old: "a".into(), new: "b".into() },
            StepMap { journey: Some("cart".into()), old: "c".into(), new: "d".into() },
        ],
    }
}

fn wire_publish(version: u64, rich: bool) -> log::Publish {
    if !rich {
        return log::Publish { version, ..log::Publish::default() };
    }
    let journey = |journey: &str, existing: &str| log::JourneyExisting {
        journey: journey.to_owned(),
        existing: existing.to_owned(),
    };
    let map = |journey: &str, old: &str, new: &str| log::StepMap {
        journey: journey.to_owned(),
        old: old.to_owned(),
        new: new.to_owned(),
    };
    log::Publish {
        version,
        existing: "migrate".to_owned(),
        journeys: vec![journey("cart", "drain"), journey("visit", "stop")],
        maps: vec![map("", "a", "b"), map("cart", "c", "d")],
    }
}

/// Must not panic; what comes out does not matter.
fn decode_all(bytes: &[u8]) {
    let _ = decode_touchpoint_record(bytes);
    let _ = raw_touchpoint(bytes);
    let _ = decode_profile_record(bytes);
    let _ = decode_action_record(bytes);
    let _ = decode_decision_record(bytes);
    let _ = decode_dispatch_record(bytes);
    let _ = decode_dead_letter(bytes);
}

#[test]
fn unknown_fields_are_skipped_and_errors_name_the_field() {
    let mut bytes = vec![0xb8, 0x06, 0x01]; // field 103, varint 1
    encode_profile_record(None, false, &Record::Tick, &mut bytes);
    assert!(matches!(decode_profile_record(&bytes).expect("skipped").record, Record::Tick));

    let error = decode_profile_record(&[]).expect_err("no kind");
    assert_eq!(error.field, "kind");
    let bad = [0x0a, 0x04, 0x0a, 0x02, 0xff, 0xfe]; // message_id is not UTF-8
    let error = decode_touchpoint_record(&bad).expect_err("not text");
    assert_eq!(error.field, "touchpoint.message_id");
    assert_eq!(
        error.to_string(),
        "field touchpoint.message_id of the record does not decode: not UTF-8"
    );
}

#[test]
fn every_command_reads_back() {
    let name = || "x".into();
    let all = [
        Command::Pause { journey: name() },
        Command::Resume { journey: name() },
        Command::Stop { journey: name() },
        Command::Kill { target: KillTarget::All },
        Command::Kill { target: KillTarget::Class(name()) },
        Command::Release { target: KillTarget::Channel(name()) },
        Command::Release { target: KillTarget::Journey(name()) },
        Command::Erase,
        Command::Unmerge,
        Command::Enter { journey: name(), key: None },
        Command::Enter { journey: name(), key: Some(name()) },
        Command::Unsuppress { channel: name(), endpoint: None, reason: name() },
        Command::Unsuppress { channel: name(), endpoint: Some(name()), reason: name() },
        Command::Audit { actor: name(), at: Timestamp(-5), text: name() },
    ];
    for command in all {
        let identified = IdentifiedCommand {
            identifier: Some(Identifier::new(IdentifierKind::Email, "a@b.example")),
            profile: None,
            command,
        };
        let mut bytes = Vec::new();
        encode_identified_command(&identified, &mut bytes);
        let Ok(TouchpointRecord::Command(back)) = decode_touchpoint_record(&bytes) else {
            panic!("a command")
        };
        assert_eq!(back, identified);
    }
}

fn action() -> Action {
    let candidate = CandidateId { profile: ProfileId(0xabc), run: 4, step: 2, visit: 1 };
    Action {
        id: ActionId(candidate),
        decision: DecisionId { position: LogPosition { partition: 1, offset: 2 }, index: 0 },
        profile: ProfileId(0xabd),
        channel: "email".into(),
        endpoint: "a@b.example".into(),
        purpose: "marketing".into(),
        topic: Some("offers".into()),
        journey: "cart".into(),
        version: VersionId(99),
        run_key: None,
        step: "remind".into(),
        template: "cart-1".into(),
        locale: "en".into(),
        variables: Value::Map(vec![("event".into(), Value::Number(3.5))]),
        expires: Some(Timestamp(0)),
        quiet_from: None,
        quiet_until: Some(Timestamp(i64::MIN)),
        approved_at: Timestamp(5),
        cause: "m-1".into(),
        class: MessageClass::AtLeastOnce,
        priority: -3,
        identifiers: vec!["a@b.example".into(), "u1".into()],
    }
}

#[test]
fn actions_and_dispatches_read_back() {
    let action = action();
    let (origin, back) = decode_action_record(&action_record(ORIGIN, &action)).expect("ours");
    assert_eq!((origin, back), (ORIGIN, ActionRecord::Action(Box::new(action.clone()))));
    let (_, back) =
        decode_action_record(&cancel_record(ORIGIN, action.id, "exited")).expect("ours");
    assert_eq!(back, ActionRecord::Cancel { action: action.id, reason: "exited".into() });

    let kinds = [
        DispatchResult::Sent,
        DispatchResult::Failed,
        DispatchResult::Unknown,
        DispatchResult::Refused,
        DispatchResult::Retry,
        DispatchResult::Unsure,
    ]
    .map(|result| DispatchKind::Outcome {
        result,
        detail: "d".into(),
        position: LogPosition { partition: 3, offset: 4 },
    });
    for kind in kinds.into_iter().chain([DispatchKind::Intent { channel: "email".into() }]) {
        let record = DispatchRecord { action: action.id, attempt: 1, at: Timestamp(7), kind };
        assert_eq!(decode_dispatch_record(&dispatch_record(&record)), Ok(record));
    }
    let letter = DeadLetter {
        reason: "no_identifier".into(),
        source: "site".into(),
        at: Timestamp(1),
        body: bytes::Bytes::from_static(b"{}"),
        detail: "".into(),
    };
    assert_eq!(decode_dead_letter(&dead_letter(&letter)), Ok(letter));
}

#[test]
fn decisions_and_notes_read_back() {
    let action = action();
    let decision = Decision {
        id: action.decision,
        at: Timestamp(5),
        candidate: CandidateId { visit: 0, ..action.id.0 },
        profile: action.profile,
        identifiers: vec![Identifier::new(IdentifierKind::CustomerId, "42")],
        journey: "cart".into(),
        version: VersionId(u64::MAX),
        run_key: Some("k".into()),
        step: "remind".into(),
        channel: "email".into(),
        endpoint: None,
        purpose: "marketing".into(),
        topic: None,
        outcome: Outcome::Reroute,
        reason: Some(Reason::NoSlot),
        until: Some(Timestamp(-1)),
        action: Some(action.id),
        caps: vec![CapReading { id: "c".into(), used: 1, limit: 2 }],
        zone: "Europe/London".into(),
        zone_source: ZoneSource::Phone,
        inputs: Inputs {
            entry_event: Some(("Cart".into(), Timestamp(1))),
            consent: Some(("m".into(), true, Timestamp(2))),
            rule: Some("r".into()),
            detail: None,
            fatigue: Some(FatigueReading {
                score: 7,
                ignored: 5,
                dismissed: 1,
                caps: 50,
                ..FatigueReading::default()
            }),
        },
    };
    let (origin, back) = decode_decision_record(&decision_record(ORIGIN, &decision)).expect("ours");
    assert_eq!((origin, back), (ORIGIN, DecisionRecord::Decision(Box::new(decision))));

    let note = Note {
        position: LogPosition { partition: ORIGIN.partition, offset: ORIGIN.offset },
        at: Timestamp(3),
        profile: ProfileId(1),
        kind: NoteKind::Moved {
            journey: "cart".into(),
            run_key: None,
            step: "s".into(),
            until: Some(Timestamp(9)),
        },
    };
    let (_, back) = decode_decision_record(&note_record(ORIGIN, &note)).expect("ours");
    assert_eq!(back, DecisionRecord::Note(note));
}
