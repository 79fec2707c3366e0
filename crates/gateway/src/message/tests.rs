use super::*;
use crate::testing::{RECEIVED, definitions, envelope, made};
use proptest::prelude::*;

/// Converts and shows: event, identifiers, properties, traits.
fn show(source: usize, json: &str) -> Result<[String; 4], String> {
    let converter = Converter::new(&definitions());
    let converted = converter
        .convert(json, &envelope(source))
        .map_err(|r| format!("{} {}", r.field, r.reason))?;
    let identifiers: Vec<_> = converted.identifiers.iter().map(|i| i.to_string()).collect();
    Ok([
        converted.event.to_string(),
        identifiers.join(" "),
        converted.properties.to_string(),
        converted.traits.to_string(),
    ])
}

fn check_shown(source: usize, json: &str, event: &str, ids: &str, properties: &str, traits: &str) {
    let shown = show(source, json).unwrap_or_else(|reason| panic!("{json}: {reason}"));
    assert_eq!(shown, [event, ids, properties, traits], "{json}");
}

#[test]
fn nobody_else_tells_what_a_call_was_answered() {
    for event in ["Call Answered", " Call Failed"] {
        let json = format!(r#"{{"type":"track","event":"{event}","userId":"u1"}}"#);
        assert_eq!(show(0, &json).unwrap_err(), "event is reserved", "{event}");
        // A recorded file gives the answers of `simulate`.
        let recorded = r#"{"receivedAt":"2026-03-01T00:00:00Z","source":"site","#;
        let line = json.replacen('{', recorded, 1);
        let converter = Converter::new(&definitions());
        let made = || "m".to_owned();
        assert_eq!(converter.convert_line(&line, &made).unwrap().event, event.trim());
    }
}

#[test]
fn every_call_has_its_event_and_properties() {
    let j = check_shown;
    j(
        0,
        r#"{"type":"track","event":" Ping ","userId":"u1","properties":{"a":[1]}}"#,
        "Ping",
        "customer_id:u1",
        r#"{"a":[1]}"#,
        "",
    );
    j(
        0,
        r#"{"type":"page","name":"Home","anonymousId":"x","properties":{"url":"/"}}"#,
        "Page Viewed",
        "anonymous_id:x",
        r#"{"url":"/","name":"Home"}"#,
        "",
    );
    j(
        0,
        r#"{"type":"screen","name":"S","category":"C","userId":7}"#,
        "Screen Viewed",
        "customer_id:7",
        r#"{"name":"S","category":"C"}"#,
        "",
    );
    j(
        0,
        r#"{"type":"group","userId":"u","groupId":"g\"1","traits":{"email":"info@firm.example"}}"#,
        "Group Joined",
        "customer_id:u",
        r#"{"email":"info@firm.example","group_id":"g\"1"}"#,
        "",
    );
    j(
        0,
        r#"{"type":"identify","userId":"u","traits":{"email":" Ann@B.example "}}"#,
        "Identified",
        "customer_id:u email:ann@b.example",
        "",
        r#"{"email":" Ann@B.example "}"#,
    );
    j(
        0,
        r#"{"type":"alias","userId":"u2","previousId":"u1"}"#,
        "Aliased",
        "customer_id:u2",
        r#"{"previous_id":"u1"}"#,
        "",
    );
    j(
        0,
        r#"{"type":"merge","mergeProperties":[{"type":"mobile","value":"+441632960001"},{"type":"email","value":"a@b.c"}]}"#,
        "Aliased",
        "email:a@b.c phone:+441632960001",
        "",
        "",
    );
}

#[test]
fn context_traits_lie_below_traits() {
    check_shown(
        0,
        r#"{"type":"identify","traits":{"a":1},"context":{"traits":{"a":2,"email":"x@y.z"}}}"#,
        "Identified",
        "email:x@y.z",
        "",
        r#"{"a":1,"email":"x@y.z"}"#,
    );
}

#[test]
fn identifiers_are_sorted_by_strength_and_blocked_values_left_out() {
    check_shown(
        0,
        r#"{"type":"track","event":"E","anonymousId":"an","userId":"UNKNOWN",
            "properties":{"email":"A@b.c","loyalty_card":"00-0"},
            "context":{"device":{"id":"Demo"},"traits":{"email":"z@b.c"}},"traits":{"phone":"+44 1632 960 001"}}"#,
        "E",
        "email:z@b.c email:a@b.c phone:+441632960001 anonymous_id:an",
        r#"{"email":"A@b.c","loyalty_card":"00-0"}"#,
        r#"{"phone":"+44 1632 960 001","email":"z@b.c"}"#,
    );
    for blocked in ["", "  ", "null", "None", "undefined", "-1", "000", "0-0", "anonymous", "dEmO"]
    {
        let json = format!(r#"{{"type":"track","event":"E","userId":"{blocked}"}}"#);
        check_shown(0, &json, "E", "", "", "");
    }
}

#[test]
fn a_shared_device_says_nothing_of_the_person() {
    check_shown(
        1,
        r#"{"type":"track","event":"E","anonymousId":"an","properties":{"loyalty_card":"L1"},"context":{"device":{"id":"d"}}}"#,
        "E",
        "loyalty_id:L1",
        r#"{"loyalty_card":"L1"}"#,
        "",
    );
}

#[test]
fn a_report_that_names_nobody_is_about_its_address() {
    let ids = |source: usize, json: &str| show(source, json).unwrap()[1].clone();
    let event = |name: &str, properties: &str| {
        format!(r#"{{"type":"track","event":"{name}","properties":{properties}}}"#)
    };
    for (source, name, properties, expected) in [
        (3, "Email Bounced", r#"{"endpoint":" A@X.example "}"#, "email:a@x.example"),
        (3, "SMS Stopped", r#"{"phone":"+48 600 100 200"}"#, "phone:+48600100200"),
        (3, "Push Failed", r#"{"endpoint":"t0ken"}"#, "device_id:t0ken"),
        (3, "Unsubscribed", r#"{"endpoint":"a@x.example"}"#, "email:a@x.example"),
        (0, "Unsubscribed", r#"{"endpoint":"a@x.example"}"#, "email:a@x.example"),
        (
            0,
            "Consent Changed",
            r#"{"channel":"sms","endpoint":"+48600100200"}"#,
            "phone:+48600100200",
        ),
        (0, "Consent Changed", r#"{"channel":"web","endpoint":"a@x.example"}"#, ""),
        (3, "Email Bounced", r#"{"endpoint":"none"}"#, ""),
        (3, "Email Bounced", r#"{"endpoint":7}"#, ""),
        (0, "Ping", r#"{"endpoint":"a@x.example"}"#, ""),
    ] {
        assert_eq!(ids(source, &event(name, properties)), expected, "{name} {properties}");
    }
    let named = r#"{"type":"track","event":"Email Bounced","userId":"u1","properties":{"endpoint":"a@x.example"}}"#;
    assert_eq!(ids(3, named), "customer_id:u1", "who is named is the person");
}

#[test]
fn strict_sources_keep_to_the_plan() {
    let cart = |properties: &str| {
        show(2, &format!(r#"{{"type":"track","event":"Cart Updated","userId":"u","properties":{properties}}}"#))
            .map(|shown| shown[2].clone())
    };
    let kept = cart(r#"{"cart_id":"c","ssn":"1","value":2,"loyalty_card":"L"}"#);
    assert_eq!(kept.unwrap(), r#"{"cart_id":"c","value":2,"loyalty_card":"L"}"#);
    assert_eq!(cart(r#"{"cart_id":"c"}"#).unwrap(), r#"{"cart_id":"c"}"#);
    assert_eq!(cart(r#"{"value":2}"#).unwrap_err(), "properties.cart_id is missing");
    assert_eq!(cart(r#"{"cart_id":null}"#).unwrap_err(), "properties.cart_id is missing");
    // Not in the plan at all, and what the house reads itself.
    check_shown(2, r#"{"type":"track","event":"Other","properties":{"a":1}}"#, "Other", "", "", "");
    let consent = r#"{"channel":"email","purpose":"marketing","state":"denied"}"#;
    let json = format!(r#"{{"type":"track","event":"Consent Changed","properties":{consent}}}"#);
    check_shown(2, &json, "Consent Changed", "", consent, "");
}

#[test]
fn a_bad_member_is_named() {
    for (json, expected) in [
        ("[]", "body is not a JSON object"),
        ("{", "body is not well-formed JSON (line 1, column 1)"),
        (r#"{"type":"track","type":"page"}"#, "body names a member twice (line 1, column 22)"),
        (r#"{"event":"E"}"#, "type is missing"),
        (r#"{"type":"dance"}"#, "type is unknown"),
        (r#"{"type":"track"}"#, "event is missing"),
        (r#"{"type":"track","event":["E"]}"#, "event is not a text"),
        (r#"{"type":"track","event":"E","userId":{}}"#, "userId is not a text"),
        (r#"{"type":"track","event":"E","properties":"x"}"#, "properties is not an object"),
        (r#"{"type":"track","event":"E","context":[1]}"#, "context is not an object"),
        (r#"{"type":"track","event":"E","timestamp":"soon"}"#, "timestamp is not a time"),
        (r#"{"type":"track","event":"E","sentAt":true}"#, "sentAt is not a text"),
        (r#"{"type":"alias","userId":"u"}"#, "previousId is missing"),
        (
            r#"{"type":"merge","mergeProperties":[]}"#,
            "mergeProperties is not a pair of identifiers",
        ),
        (r#"{"type":"track","event":"\ud800"}"#, "body holds half of a surrogate pair"),
    ] {
        assert_eq!(show(0, json).unwrap_err(), expected, "{json}");
    }
    let deep = format!(
        r#"{{"type":"track","event":"E","properties":{}1{}}}"#,
        r#"{"a":"#.repeat(150),
        "}".repeat(150)
    );
    assert_eq!(show(0, &deep).unwrap_err(), "body nests deeper than 100 levels");
    let long = format!(r#"{{"type":"track","event":"E","messageId":"{}"}}"#, "m".repeat(101));
    assert_eq!(show(0, &long).unwrap_err(), "messageId is longer than 100 characters");
}

#[test]
fn ids_and_times_come_from_the_message_or_its_envelope() {
    let converter = Converter::new(&definitions());
    let convert = |json: &'static str, sent_at: Option<i64>| {
        let envelope = Envelope { sent_at: sent_at.map(Timestamp), ..envelope(0) };
        let converted = converter.convert(json, &envelope).unwrap();
        (converted.message_id.to_string(), converted.occurred_at.map(|at| at.0))
    };
    let received = RECEIVED.0;
    for (json, sent_at, id, occurred) in [
        (r#"{"type":"track","event":"E","messageId":"m1"}"#, None, "m1", None),
        (r#"{"type":"track","event":"E","messageId":""}"#, Some(5), "made", None),
        (
            r#"{"type":"track","event":"E","timestamp":"1970-01-01T00:00:00Z"}"#,
            None,
            "made",
            Some(0),
        ),
        (
            r#"{"type":"track","event":"E","timestamp":"2099-01-01T00:00:00Z"}"#,
            None,
            "made",
            Some(received),
        ),
        (
            r#"{"type":"track","event":"E","timestamp":"1970-01-01T00:00:01Z"}"#,
            Some(3_000),
            "made",
            Some(received - 2_000),
        ),
        (
            r#"{"type":"track","event":"E","originalTimestamp":"1970-01-01T00:00:01Z","sentAt":"1970-01-01T00:00:02Z"}"#,
            None,
            "made",
            Some(received - 1_000),
        ),
    ] {
        assert_eq!(convert(json, sent_at), (id.to_string(), occurred), "{json}");
    }
}

#[test]
fn a_line_of_a_file_finds_its_source() {
    let converter = Converter::new(&definitions());
    let source = |json: &'static str| match converter.convert_line(json, &made) {
        Ok(converted) => converted.source.to_string(),
        Err(rejected) => rejected.field,
    };
    for (json, expected) in [
        (r#"{"type":"track","event":"E","receivedAt":"2026-03-02T10:00:00Z"}"#, "site"),
        (
            r#"{"type":"track","event":"E","receivedAt":"2026-03-02T10:00:00Z","source":"shop"}"#,
            "shop",
        ),
        (
            r#"{"type":"track","event":"E","receivedAt":"2026-03-02T10:00:00Z","source":"nope"}"#,
            "source",
        ),
        (r#"{"type":"track","event":"Cart Updated","receivedAt":"2026-03-02T10:00:00Z"}"#, "till"),
        (r#"{"type":"track","event":"Email Bounced","receivedAt":"2026-03-02T10:00:00Z"}"#, "mail"),
        (
            r#"{"type":"track","event":"E","context":{"channel":"email"},"receivedAt":"2026-03-02T10:00:00Z"}"#,
            "mail",
        ),
        (r#"{"type":"track","event":"E"}"#, "receivedAt"),
    ] {
        assert_eq!(source(json), expected, "{json}");
    }
}

#[test]
fn only_a_line_of_a_file_can_say_that_it_is_history() {
    let converter = Converter::new(&definitions());
    let line = |imported: &str| {
        format!(
            r#"{{"type":"track","event":"E","receivedAt":"2026-03-02T10:00:00Z","imported":{imported}}}"#
        )
    };
    for (imported, expected) in [("true", true), ("false", false), ("null", false)] {
        let line = line(imported);
        assert_eq!(converter.convert_line(&line, &made).unwrap().imported, expected);
        assert!(!converter.convert(&line, &envelope(0)).unwrap().imported, "sent, not recorded");
    }
    assert_eq!(converter.convert_line(&line("1"), &made).unwrap_err().field, "imported");
}

#[test]
fn a_batch_context_lies_below_the_message() {
    let converter = Converter::new(&definitions());
    let json = r#"{"type":"track","event":"E","context":{"a":1}}"#;
    let envelope = Envelope { context: r#"{"a":2,"b":3}"#, ..envelope(0) };
    let converted = converter.convert(json, &envelope).unwrap();
    assert_eq!(converted.context, r#"{"a":1,"b":3}"#);
}

#[test]
fn too_many_identifiers_are_left_out_and_counted() {
    let mut definitions = Arc::into_inner(definitions()).unwrap();
    let rule = &mut definitions.plan.identifiers[1];
    rule.from =
        (0..20).map(|i| [Name::from("properties"), format!("e{i}").into()].into()).collect();
    let converter = Converter::new(&Arc::new(definitions));
    let members: Vec<_> = (0..20).map(|i| format!(r#""e{i}":"p{i}@x.example""#)).collect();
    let json = format!(r#"{{"type":"track","event":"E","properties":{{{}}}}}"#, members.join(","));
    let converted = converter.convert(&json, &envelope(0)).unwrap();
    assert_eq!((converted.identifiers.len(), converted.left_out), (IDENTIFIERS_MAX, 4));
}

/// JSON of any shape, with the names that messages use.
fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_string()),
        any::<bool>().prop_map(|b| b.to_string()),
        any::<f64>().prop_filter("JSON has no NaN", |f| f.is_finite()).prop_map(|f| f.to_string()),
        Just("1e999".to_string()),
        "\\PC{0,12}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        "(1970|2026|2099)-[0-1][0-9]-[0-3][0-9]T[0-2][0-9]:00:00Z".prop_map(|t| format!("\"{t}\"")),
    ];
    let name = prop_oneof![
        prop::sample::select(vec![
            "type",
            "event",
            "userId",
            "anonymousId",
            "properties",
            "traits",
            "context",
            "email",
            "timestamp",
            "sentAt",
            "originalTimestamp",
            "messageId",
            "device",
            "id",
            "batch",
        ])
        .prop_map(String::from),
        "[a-z]{1,3}",
    ];
    leaf.prop_recursive(5, 40, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|v| format!("[{}]", v.join(","))),
            prop::collection::btree_map(name.clone(), inner, 0..8).prop_map(|map| {
                let members: Vec<_> = map.iter().map(|(k, v)| format!("\"{k}\":{v}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_taken_or_refused_with_a_field(json in any_json(), source in 0usize..4) {
        let converter = Converter::new(&definitions());
        let typed = json.replacen('{', r#"{"type":"track","event":"E","#, 1).replace(",}", "}");
        for json in [&json, &typed] {
            match converter.convert(json, &envelope(source)) {
                Ok(converted) => {
                    for text in [&converted.properties, &converted.traits, &converted.context] {
                        prop_assert!(text.is_empty() || Members::parse(text).is_ok());
                    }
                    prop_assert!(converted.occurred_at.is_none_or(|at| at <= RECEIVED && at.0 >= 0));
                }
                Err(rejected) => prop_assert!(!rejected.field.is_empty()),
            }
        }
    }

    #[test]
    fn any_text_is_taken_or_refused(text in "\\PC{0,80}") {
        let _ = Converter::new(&definitions()).convert(&text, &envelope(0));
    }
}
