//! The routes as SDKs, tills, providers and mail programs call them.

use crate::testing::{Bench, RECEIVED, bench};
use axum::body::Body;
use axum::http::{HeaderMap, Request, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::BodyExt;
use proptest::prelude::*;
use sojourn_channels::token::{Token, TokenKind};
use sojourn_channels::{Channel, InStore, Outgoing};
use sojourn_memory::ManualClock;
use sojourn_model::{ActionId, CandidateId, ProfileId, Timestamp};
use sojourn_ports::{Gate, GateQuery, GateVerdict};
use sojourn_proto::channel::{DeliverRequest, Message};
use std::io::Write;
use std::sync::Arc;
use tower::ServiceExt;

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

/// Sends a request; header lines are `name: value`.
async fn send(bench: &Bench, line: &str, headers: &[&str], body: impl Into<Body>) -> Answer {
    let (method, path) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path);
    for header in headers {
        let (name, value) = header.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    let request = request.body(body.into()).unwrap();
    let response = bench.gateway.router().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8_lossy(&body).into_owned();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

fn basic(key: &str) -> String {
    format!("authorization: Basic {}", STANDARD.encode(format!("{key}:")))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const OK: &str = r#"{"success":true}"#;

#[tokio::test]
async fn recorded_sdk_requests_are_taken() {
    let bench = bench(None);
    let message = |id: &str| {
        format!(
            r#"{{"timestamp":"2026-11-22T01:45:55.112Z","integrations":{{}},"type":"track","event":"Order Completed","properties":{{"order_id":"o1"}},"userId":"u1","anonymousId":null,"context":{{"library":{{"name":"x"}}}},"messageId":"{id}","_metadata":{{"nodeVersion":"v20"}}}}"#
        )
    };
    let batch = |id: &str, key: &str| {
        format!(r#"{{"batch":[{}],{key}"sentAt":"2026-11-22T01:45:55.134Z"}}"#, message(id))
    };
    let wk = basic("wk");
    let wk = wk.as_str();
    let text = "content-type: text/plain";
    let form = "content-type: application/x-www-form-urlencoded";
    let with_key = r#""writeKey":"wk","#;
    let requests: Vec<(&str, Vec<&str>, Vec<u8>)> = vec![
        // analytics-node, segment-python
        ("POST /v1/batch", vec![wk, "content-type: application/json"], batch("a", with_key).into()),
        // rudder-sdk-node: gzip labelled as a form
        (
            "POST /v1/batch",
            vec![wk, form, "content-encoding: gzip"],
            gzip(batch("b", "").as_bytes()),
        ),
        // analytics-next
        ("POST /v1/t", vec![wk, text], message("c").into()),
        ("POST /v1/b", vec![text], batch("d", with_key).into()),
        // Java: the key only in the body
        ("POST /v1/import/", vec![], batch("e", with_key).into()),
        // Ruby, Swift
        ("POST /v1/import", vec![wk], batch("f", "").into()),
        ("POST /v1/track/", vec![wk], message("g").into()),
        // beacons: the key only in the query
        ("POST /beacon/v1/batch?writeKey=wk", vec![text], batch("h", "").into()),
        // a till
        ("POST /v1/track", vec!["authorization: Bearer tk"], message("i").into()),
        ("POST /v1/page", vec![wk], r#"{"anonymousId":"x","messageId":"j"}"#.into()),
    ];
    for (line, headers, body) in requests {
        let answer = send(&bench, line, &headers, body).await;
        assert_eq!((answer.status, &*answer.body), (200, OK), "{line} {headers:?}");
    }
    let stored = bench.touchpoints();
    let ids: Vec<&str> = stored.iter().map(|t| &*t.id).collect();
    assert_eq!(ids, ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]);
    assert_eq!(stored[0].who, "customer_id:u1");
    assert_eq!(stored[0].occurred, Some(RECEIVED.0 - 22));
    assert_eq!(stored[8].source, "till");
    assert_eq!((&*stored[9].event, &*stored[9].who), ("Page Viewed", "anonymous_id:x"));
    // Telemetry comes without a key.
    assert_eq!(send(&bench, "POST /v1/m", &[], "{}").await.status, 200);
}

#[tokio::test]
async fn refusals_name_the_field_and_keep_what_they_refuse() {
    let bench = bench(None);
    let wk = basic("wk");
    let sk = basic("sk");
    let long = format!(r#"{{"type":"track","event":"E","userId":"{}"}}"#, "x".repeat(40_000));
    let many = format!(r#"{{"batch":[{}]}}"#, vec!["{}"; 2_501].join(","));
    let big = vec![b' '; 600 << 10];
    type Case<'c> = (&'c str, Vec<&'c str>, Vec<u8>, u16, &'c str);
    let cases: Vec<Case<'_>> = vec![
        ("POST /v1/track", vec![], r#"{"event":"E"}"#.into(), 401, "unauthorized"),
        ("POST /v1/track", vec![], r#"{"event":"E","writeKey":"no"}"#.into(), 401, "unauthorized"),
        ("POST /v1/track", vec![&wk], "{}".into(), 400, r#""field":"event""#),
        ("POST /v1/track", vec![&wk], "nonsense".into(), 400, r#""field":"body""#),
        ("POST /v1/track", vec![&wk], vec![b'{', 0xff], 400, "UTF-8 at byte 1"),
        (
            "POST /v1/track",
            vec![&sk],
            r#"{"event":"Cart Updated"}"#.into(),
            400,
            "properties.cart_id",
        ),
        ("POST /v1/batch", vec![&wk], "{}".into(), 400, r#""field":"batch""#),
        ("POST /v1/batch", vec![&wk], r#"{"batch":{}}"#.into(), 400, r#""field":"batch""#),
        ("POST /v1/batch", vec![&wk], r#"{"batch":[]}"#.into(), 400, r#""field":"batch""#),
        ("POST /v1/batch", vec![&wk], many.into(), 400, r#""field":"batch""#),
        ("POST /v1/batch", vec![&wk], big, 413, "too_large"),
        ("POST /v1/track", vec![&wk], long.clone().into(), 413, "too_large"),
        ("POST /v1/dance", vec![&wk], "{}".into(), 404, "not_found"),
        ("GET /v1/track", vec![&wk], vec![], 405, "method_not_allowed"),
        ("GET /nowhere", vec![], vec![], 404, "not_found"),
        ("POST /hooks/insta", vec![], "{}".into(), 501, "not_implemented"),
        ("POST /hooks/site", vec![], "{}".into(), 404, "not_found"),
    ];
    for (line, headers, body, status, holds) in cases {
        let answer = send(&bench, line, &headers, body).await;
        assert_eq!(answer.status, status, "{line} {}", answer.body);
        assert!(answer.body.contains(holds), "{line}: {}", answer.body);
        assert!(answer.body.contains(r#""code""#) && answer.body.contains(r#""message""#));
    }
    assert!(bench.touchpoints().is_empty());
    assert_eq!(
        bench.letters().len(),
        3,
        "messages of a known sender are kept: {:?}",
        bench.letters()
    );

    // One bad message does not cost its batch.
    let batch = format!(
        r#"{{"batch":[{{"type":"track"}},{long},{{"type":"track","event":"E","messageId":"m"}}]}}"#
    );
    let answer = send(&bench, "POST /v1/batch", &[&wk], batch).await;
    assert_eq!((answer.status, &*answer.body), (200, OK));
    assert_eq!(bench.touchpoints().len(), 1);
    assert_eq!(bench.letters().len(), 5);
}

#[tokio::test]
async fn overload_and_shutdown_ask_for_a_retry() {
    let bench = bench(None);
    let wk = basic("wk");
    let event = r#"{"event":"E"}"#;
    bench.log.set_full(true);
    let answer = send(&bench, "POST /v1/track", &[&wk], event).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.headers[header::RETRY_AFTER], "1");
    bench.log.set_full(false);
    let admitted = bench.gateway.admit(crate::limits::BODIES_BYTES_MAX).unwrap();
    assert_eq!(send(&bench, "POST /v1/track", &[&wk], event).await.status, 429);
    drop(admitted);
    bench.gateway.drain().await;
    let answer = send(&bench, "POST /v1/track", &[&wk], event).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.headers[header::RETRY_AFTER], "5");
    assert!(bench.touchpoints().is_empty());
}

#[tokio::test]
async fn a_stopped_log_is_a_503() {
    let bench = bench(None);
    bench.log.stop("fsync failed");
    let answer = send(&bench, "POST /v1/track", &[&basic("wk")], r#"{"event":"E"}"#).await;
    assert_eq!(answer.status, 503);
    assert!(!answer.body.contains("fsync"), "{}", answer.body);
}

#[tokio::test]
async fn the_200_waits_for_the_disk() {
    let bench = bench(None);
    bench.log.set_sync_mode(sojourn_memory::SyncMode::Manual);
    let (wk, event) = (basic("wk"), r#"{"event":"E","messageId":"m"}"#);
    let headers = [wk.as_str()];
    let mut answer = Box::pin(send(&bench, "POST /v1/track", &headers, event));
    let early = tokio::time::timeout(std::time::Duration::from_millis(30), &mut answer).await;
    assert!(early.is_err(), "LOG-1: nothing is acknowledged before it is durable");
    bench.log.sync_some(1);
    assert_eq!(answer.await.status, 200);
}

#[tokio::test]
async fn browsers_may_read_every_answer() {
    let bench = bench(None);
    let asked = "access-control-request-headers: authorization,rsa-attempt";
    let answer = send(&bench, "OPTIONS /v1/t", &["origin: https://shop.example", asked], "").await;
    assert_eq!(answer.status, 204);
    for (name, value) in [
        ("access-control-allow-origin", "https://shop.example"),
        ("access-control-allow-headers", "authorization,rsa-attempt"),
        ("access-control-max-age", "86400"),
        ("access-control-expose-headers", "Retry-After"),
        ("vary", "Origin"),
    ] {
        assert_eq!(answer.headers[name], value, "{name}");
    }
    let answer = send(&bench, "POST /v1/t", &["origin: https://shop.example"], "{}").await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.headers["access-control-allow-origin"], "https://shop.example");

    let settings = send(&bench, "GET /v1/projects/wk/settings", &[], "").await;
    assert!(settings.body.contains(r#""Segment.io":{"apiKey":"wk"}"#), "{}", settings.body);
    assert_eq!(send(&bench, "GET /v1/projects/nope/settings", &[], "").await.status, 404);
    let config = send(&bench, "GET /sourceConfig/?p=npm&writeKey=wk", &[], "").await;
    assert_eq!(config.status, 200);
    assert!(config.body.contains(r#""destinations":[]"#), "{}", config.body);
    let gpc = send(&bench, "GET /.well-known/gpc.json", &[], "").await;
    assert!(gpc.body.contains(r#""gpc":true"#));
}

#[tokio::test]
async fn a_pixel_is_a_message() {
    let bench = bench(None);
    let line =
        "GET /pixel/v1/track?writeKey=wk&event=Mail+Seen&userId=u%201&messageId=p&campaign=c";
    let answer = send(&bench, line, &[], "").await;
    assert_eq!(
        (answer.status, answer.headers[header::CONTENT_TYPE].to_str().unwrap()),
        (200, "image/gif")
    );
    let data =
        STANDARD.encode(r#"{"event":"E2","anonymousId":"a","messageId":"q"}"#).replace('+', "%2B");
    send(&bench, &format!("GET /pixel/v1/track?writeKey=wk&data={data}"), &[], "").await;
    let stored = bench.touchpoints();
    assert_eq!((&*stored[0].event, &*stored[0].who), ("Mail Seen", "customer_id:u 1"));
    assert_eq!(stored[0].properties, r#"{"campaign":"c"}"#);
    assert_eq!((&*stored[1].event, &*stored[1].who), ("E2", "anonymous_id:a"));
    assert_eq!(send(&bench, "GET /pixel/v1/track?event=E", &[], "").await.status, 401);
}

#[tokio::test]
async fn gpc_denies_advertising_once_a_day_and_person() {
    let bench = bench(None);
    let wk = basic("wk");
    let signal = ["sec-gpc: 1", wk.as_str()];
    for (id, headers) in [("m1", &signal[..]), ("m2", &signal[..]), ("m3", &signal[1..])] {
        let body = format!(r#"{{"event":"E","userId":"u","messageId":"{id}"}}"#);
        assert_eq!(send(&bench, "POST /v1/track", headers, body).await.status, 200);
    }
    let stored = bench.touchpoints();
    assert_eq!(stored.len(), 4);
    assert!(stored[0].id.starts_with("gpc-"));
    assert_eq!((&*stored[0].event, &*stored[0].who), ("Consent Changed", "customer_id:u"));
    assert!(stored[0].properties.contains(r#""purpose":"advertising","state":"denied""#));
}

#[tokio::test]
async fn cloudevents_come_in_three_modes() {
    let bench = bench(None);
    let wk = basic("wk");
    let event = |id: &str, data: &str| {
        format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"/shop","type":"Order Placed","subject":"42","time":"2026-11-22T01:00:00Z"{data}}}"#
        )
    };
    let structured = "content-type: application/cloudevents+json; charset=utf-8";
    let data = r#","data":{"total":1.50}"#;
    assert_eq!(
        send(&bench, "POST /v1/events", &[&wk, structured], event("a", data)).await.status,
        200
    );
    let batch = format!("[{},{},{{}}]", event("b", r#","data":[1]"#), event("c", ""));
    let batch_type = "content-type: application/cloudevents-batch+json";
    assert_eq!(send(&bench, "POST /v1/events", &[&wk, batch_type], batch).await.status, 200);
    let binary = [
        wk.as_str(),
        "content-type: application/json",
        "ce-specversion: 1.0",
        "ce-id: d",
        "ce-source: /shop",
        "ce-type: Caf%C3%A9",
        "ce-subject: 42",
    ];
    assert_eq!(send(&bench, "POST /v1/events", &binary, r#"{"total":1.50}"#).await.status, 200);
    let stored = bench.touchpoints();
    let shown: Vec<_> =
        stored.iter().map(|t| (&*t.id, &*t.event, &*t.who, &*t.properties)).collect();
    assert_eq!(
        shown,
        [
            ("a", "Order Placed", "customer_id:42", r#"{"total":1.50}"#),
            ("b", "Order Placed", "customer_id:42", r#"{"data":[1]}"#),
            ("c", "Order Placed", "customer_id:42", ""),
            ("d", "Café", "customer_id:42", r#"{"total":1.50}"#),
        ]
    );
    assert_eq!(bench.letters(), ["specversion is missing: CloudEvents 1.0 requires it"]);
    for (headers, field) in
        [(&binary[..3], "id"), (&[wk.as_str(), structured][..], "specversion"), (&binary[1..], "")]
    {
        let answer = send(&bench, "POST /v1/events", headers, "{}").await;
        let expected = if field.is_empty() { 401 } else { 400 };
        assert_eq!(answer.status, expected, "{}", answer.body);
        assert!(answer.body.contains(field), "{}", answer.body);
    }
}

#[tokio::test]
async fn hooks_are_believed_by_their_signature() {
    let bench = bench(None);
    let body =
        r#"{"type":"order.paid","timestamp":"2026-11-22T01:00:00Z","data":{"email":"A@b.c"}}"#;
    let now = RECEIVED.0 / 1_000;
    let sign = |secret: &[u8], id: &str, at: i64, body: &str| {
        let mac = Hmac::<sha2::Sha256>::new_from_slice(secret).unwrap();
        STANDARD.encode(mac.chain_update(format!("{id}.{at}.{body}")).finalize().into_bytes())
    };
    let old = sign(b"old", "m1", now - 299, body);
    let new = sign(b"new", "m1", now - 299, body);
    for (id, at, signatures, status) in [
        ("m1", now - 299, format!("v1,{old}"), 200),
        ("m1", now - 299, format!("v1a,zzz v1,AAAA v1,{new}"), 200),
        ("m1", now - 299, "v1,AAAA".to_string(), 401),
        ("m2", now - 299, format!("v1,{old}"), 401),
        ("m1", now - 298, format!("v1,{old}"), 401),
        ("m1", now - 301, format!("v1,{}", sign(b"old", "m1", now - 301, body)), 401),
        ("m1", now + 301, format!("v1,{}", sign(b"old", "m1", now + 301, body)), 401),
        ("m1", i64::MIN, format!("v1,{old}"), 401),
    ] {
        let headers = [
            format!("webhook-id: {id}"),
            format!("webhook-timestamp: {at}"),
            format!("webhook-signature: {signatures}"),
        ];
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let answer = send(&bench, "POST /hooks/crm", &headers, body).await;
        assert_eq!(answer.status, status, "{id} {at} {}", answer.body);
    }
    let stored = bench.touchpoints();
    assert_eq!(stored.len(), 2, "the same message id twice: identity counts it once");
    assert_eq!((&*stored[0].event, &*stored[0].who), ("order.paid", "email:a@b.c"));
    assert_eq!(send(&bench, "POST /hooks/crm", &[], body).await.status, 401);
}

#[tokio::test]
async fn a_till_asks_and_is_told() {
    let checkin = r#"{"loyalty_card":"L1","store_id":"york","till":3,"messageId":"v"}"#;
    let till = ["authorization: Bearer tk"];
    for prompt in [None, Some("Your coffee is on us")] {
        let store = Arc::new(InStore::new(Arc::new(ManualClock::new(RECEIVED))));
        let bench = bench(Some(store.clone()));
        let journey = async {
            // The engine can decide nothing before the visit is in the log.
            while bench.touchpoints().is_empty() {
                tokio::task::yield_now().await;
            }
            let Some(title) = prompt else { return };
            let request = DeliverRequest {
                action_id: "a1".into(),
                endpoint: "p1".into(),
                traceparent: sojourn_channels::trace::traceparent("v", "a1", 1),
                message: Some(Message { subject: title.into(), ..Message::default() }),
                ..DeliverRequest::default()
            };
            store.deliver(Outgoing { request, permit: None }).await;
        };
        let (answer, ()) = tokio::join!(send(&bench, "POST /v1/checkins", &till, checkin), journey);
        assert_eq!(answer.status, 200);
        let answer: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(answer["prompt"]["title"].as_str(), prompt);
        assert_eq!(answer["prompt"].is_null(), prompt.is_none());
        let stored = &bench.touchpoints()[0];
        assert_eq!((&*stored.event, &*stored.who), ("Store Visited", "loyalty_id:L1"));
        assert_eq!(stored.properties, r#"{"store_id":"york","till":3}"#);
    }
    // A prompt decided before the visit is kept for it, and shown once.
    let store = Arc::new(InStore::new(Arc::new(ManualClock::new(RECEIVED))));
    let bench = bench(Some(store.clone()));
    bench.gateway.know_people(Arc::new(Anna));
    for action in ["a1", "a2"] {
        let request = DeliverRequest {
            action_id: action.into(),
            endpoint: ProfileId(7).to_string(),
            ..DeliverRequest::default()
        };
        store.deliver(Outgoing { request, permit: None }).await;
    }
    let answer = send(&bench, "POST /v1/checkins", &till, checkin).await;
    let answer: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(answer["prompt"]["action_id"], "a1");
    assert_eq!(answer["more"][0]["action_id"], "a2");
    let again = send(&bench, "POST /v1/checkins", &till, checkin).await;
    assert_eq!(again.body, r#"{"prompt":null}"#);
}

struct Anna;

impl crate::People for Anna {
    fn profile(&self, identifiers: &[sojourn_model::Identifier]) -> Option<ProfileId> {
        (identifiers[0].to_string() == "loyalty_id:L1").then_some(ProfileId(7))
    }
}

#[tokio::test]
async fn a_checkin_says_what_it_lacks() {
    let bench = bench(None);
    for (body, field) in [
        (r#"{"store_id":"y"}"#, "loyalty_card"),
        (r#"{"loyalty_card":"L1"}"#, "store_id"),
        (r#"{"loyalty_card":[],"store_id":"y"}"#, "loyalty_card"),
        (r#"{"email":"a@b.c","store_id":"y","timestamp":"x"}"#, "timestamp"),
        ("[]", "body"),
    ] {
        let answer = send(&bench, "POST /v1/checkins", &["authorization: Bearer tk"], body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.body.contains(&format!(r#""field":"{field}""#)), "{body} {}", answer.body);
    }
}

fn query(endpoint: &str, identifiers: &[&str], purpose: &str) -> GateQuery {
    let profile = ProfileId::created_at(0, 1);
    GateQuery {
        action: ActionId(CandidateId { profile, run: 1, step: 1, visit: 0 }),
        profile,
        endpoint: endpoint.into(),
        identifiers: identifiers.iter().map(|&i| i.into()).collect(),
        channel: "email".into(),
        purpose: purpose.into(),
        journey: "j".into(),
        approved_at: Timestamp(RECEIVED.0 + 5_000),
    }
}

fn open(bench: &Bench, query: &GateQuery) -> bool {
    matches!(bench.gate.ask(query), GateVerdict::Open(_))
}

#[tokio::test]
async fn a_revocation_is_in_force_before_it_is_acknowledged() {
    let bench = bench(None);
    let wk = basic("wk");
    let ann = query("ann@b.c", &["u1"], "marketing");
    assert!(open(&bench, &ann));
    let body = r#"{"identifier":"email:Ann@b.c","channel":"email","purpose":"marketing","state":"denied"}"#;
    assert_eq!(send(&bench, "POST /v1/consents", &[&wk], body).await.status, 200);
    assert!(!open(&bench, &ann), "CON-2");
    assert!(open(&bench, &query("ann@b.c", &["u1"], "feedback")));
    assert!(open(&bench, &query("bob@b.c", &["u2"], "marketing")));
    let stored = &bench.touchpoints()[0];
    assert_eq!((&*stored.event, &*stored.who), ("Consent Changed", "email:ann@b.c"));

    for (body, field) in [
        (r#"{"identifier":"email:a@b.c","purpose":"marketing","state":"maybe"}"#, "state"),
        (r#"{"identifier":"email:a@b.c","purpose":"fun","state":"denied"}"#, "purpose"),
        (r#"{"identifier":"a@b.c","purpose":"marketing","state":"denied"}"#, "identifier"),
        (r#"{"purpose":"marketing","state":"denied","endpoint":"a@b.c"}"#, "identifier"),
    ] {
        let answer = send(&bench, "POST /v1/consents", &[&wk], body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.body.contains(&format!(r#""field":"{field}""#)), "{body} {}", answer.body);
    }
    // A gate that does not answer: recorded, but not acknowledged.
    bench.gate.set_unreachable(true);
    assert_eq!(send(&bench, "POST /v1/consents", &[&wk], body).await.status, 503);
}

fn token(kind: TokenKind, url: Option<&str>) -> Token {
    let profile = ProfileId::created_at(0, 1);
    Token {
        kind,
        action: ActionId(CandidateId { profile, run: 1, step: 1, visit: 0 }),
        profile,
        endpoint: "ann@b.c".into(),
        channel: "email".into(),
        purpose: "marketing".into(),
        topic: Some("offers".into()),
        url: url.map(Into::into),
    }
}

#[tokio::test]
async fn one_click_unsubscribes_and_a_scanner_does_not() {
    let bench = bench(None);
    let text = bench.signer.mint(&token(TokenKind::Unsubscribe, None)).unwrap();
    let ann = query("ann@b.c", &[], "marketing");
    let page = send(&bench, &format!("GET /u/{text}"), &[], "").await;
    assert_eq!(page.status, 200);
    assert!(
        page.body.contains("Stop marketing e-mails?")
            && page.body.contains("<form method=\"post\">")
    );
    assert!(
        page.body.contains("Marlow &amp; Co") && page.body.contains("https://portal.example/p/")
    );
    assert!(!page.body.contains("ann@b.c"), "links are forwarded: {}", page.body);
    assert!(bench.touchpoints().is_empty() && open(&bench, &ann));

    let done = send(&bench, &format!("POST /u/{text}"), &[], "List-Unsubscribe=One-Click").await;
    assert_eq!(done.status, 200);
    assert!(done.body.contains("You will get no more marketing e-mails."), "{}", done.body);
    assert!(!open(&bench, &ann), "CON-2");
    let stored = &bench.touchpoints()[0];
    assert_eq!((&*stored.event, &*stored.who), ("Unsubscribed", "email:ann@b.c"));
    assert_eq!(stored.profile, Some(ProfileId::created_at(0, 1)));
    assert!(stored.properties.contains(r#""purpose":"marketing""#));

    let forged = send(&bench, "POST /u/AAAA", &[], "").await;
    assert_eq!(forged.status, 404);
    bench.gateway.drain().await;
    let later = send(&bench, &format!("POST /u/{text}"), &[], "").await;
    assert_eq!((later.status, &later.headers[header::RETRY_AFTER]), (503, &"5".parse().unwrap()));
}

#[tokio::test]
async fn clicks_and_opens_become_touchpoints() {
    let bench = bench(None);
    let url = "https://shop.example/p?a=1&b=%20";
    let text = bench.signer.mint(&token(TokenKind::Click, Some(url))).unwrap();
    let answer = send(&bench, &format!("GET /c/{text}"), &[], "").await;
    assert_eq!((answer.status, &answer.headers[header::LOCATION]), (302, &url.parse().unwrap()));
    let stored = &bench.touchpoints()[0];
    assert_eq!(stored.event, "Email Link Clicked");
    assert!(stored.properties.contains(r#""link_url":"https://shop.example/p?a=1&b=%20""#));
    assert!(stored.properties.contains(r#""action_id":"a1-1-1-0""#), "{}", stored.properties);

    let open = bench.signer.mint(&token(TokenKind::Open, None)).unwrap();
    assert_eq!(send(&bench, &format!("GET /o/{open}.gif"), &[], "").await.status, 200);
    assert_eq!(send(&bench, "GET /o/forged", &[], "").await.status, 200);
    assert_eq!(bench.touchpoints().len(), 2);
    // A token of one kind is not one of another, and a full disk does not stop a reader.
    assert_eq!(send(&bench, &format!("GET /c/{open}"), &[], "").await.status, 404);
    bench.log.set_full(true);
    assert_eq!(send(&bench, &format!("GET /c/{text}"), &[], "").await.status, 302);
}

#[tokio::test]
async fn ten_megabytes_are_a_413() {
    let bench = bench(None);
    let body = vec![b'['; 10 << 20];
    for line in ["POST /v1/batch", "POST /v1/track", "POST /v1/events", "POST /v1/checkins"] {
        let answer = send(&bench, line, &[&basic("wk")], body.clone()).await;
        assert_eq!(answer.status, 413, "{line}");
    }
    let bomb = gzip(&body);
    let headers = [&*basic("wk"), "content-encoding: gzip"];
    assert_eq!(send(&bench, "POST /v1/batch", &headers, bomb).await.status, 413);
}

/// Every route that reads a body.
const BODIES: [&str; 7] = [
    "/v1/track",
    "/v1/batch",
    "/v1/identify",
    "/v1/events",
    "/v1/checkins",
    "/v1/consents",
    "/beacon/v1/batch?writeKey=wk",
];

fn check_never_5xx(path: &str, headers: &[&str], body: Vec<u8>) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bench = bench(None);
    let line = format!("POST {path}");
    let answer = runtime.block_on(send(&bench, &line, headers, body));
    prop_assert!(answer.status < 500, "{} {} {}", path, answer.status, answer.body);
    let is_json = answer.body.starts_with('{');
    prop_assert!(answer.status != 200 || is_json);
    prop_assert!(answer.status == 200 || answer.body.contains(r#""code""#));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn random_bytes_are_a_clear_4xx(
        path in prop::sample::select(&BODIES[..]),
        body in prop::collection::vec(any::<u8>(), 0..200),
        gzip in any::<bool>(),
    ) {
        let wk = basic("wk");
        let encoding = if gzip { "content-encoding: gzip" } else { "x-none: 1" };
        check_never_5xx(path, &[&wk, encoding], body)?;
    }

    #[test]
    fn mangled_messages_are_taken_or_refused(
        path in prop::sample::select(&BODIES[..]),
        cut in 0usize..400,
        flips in prop::collection::vec((0usize..400, any::<u8>()), 0..4),
        kind in prop::sample::select(vec!["application/json", "application/cloudevents+json", "application/cloudevents-batch+json"]),
    ) {
        let mut body = br#"{"batch":[{"type":"track","event":"E","userId":"u","messageId":"m","timestamp":"2099-01-01T00:00:00Z","properties":{"a":[1,{"b":"\ud83d\ude00"}]},"context":{"traits":{"email":"a@b.c"},"consent":{"categoryPreferences":{"Marketing":false}}}},{"type":"alias","userId":1,"previousId":"x","timestamp":"1970-01-01T00:00:00Z"}],"writeKey":"wk","sentAt":"2026-11-22T01:45:55.134Z","specversion":"1.0","id":"1","source":"s","type":"t","data":{}}"#.to_vec();
        for (at, byte) in flips {
            if let Some(place) = body.get_mut(at) {
                *place = byte;
            }
        }
        if cut < 300 {
            body.truncate(body.len() - cut);
        }
        let (wk, kind) = (basic("wk"), format!("content-type: {kind}"));
        check_never_5xx(path, &[&wk, &kind], body)?;
    }

    #[test]
    fn deep_json_is_refused(path in prop::sample::select(&BODIES[..]), depth in 1usize..5_000, open in "[\\[{]") {
        let key = if open == "{" { "{\"a\":" } else { "[" };
        let close = if open == "{" { "}" } else { "]" };
        let nested = format!("{}1{}", key.repeat(depth), close.repeat(depth));
        let wk = basic("wk");
        check_never_5xx(path, &[&wk], format!(r#"{{"event":"E","properties":{nested}}}"#).into())?;
        check_never_5xx(path, &[&wk], format!(r#"{{"batch":[{{"type":"track","event":"E","context":{nested}}}]}}"#).into())?;
        check_never_5xx(path, &[&wk], nested.into())?;
    }
}
