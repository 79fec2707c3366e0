//! Against a service that speaks HTTP over a socket.

use super::*;
use crate::email::compose_tests::Fixed;
use crate::webhook::tests::receiver;
use sojourn_model::{
    ActionId, CandidateId, DecisionId, LogPosition, MessageClass, ProfileId, VersionId,
};
use sojourn_rules::Calls;

const NOW: Timestamp = Timestamp(1_614_265_330_000);

fn caller(allow_private: bool) -> Caller {
    let calls = Calls { secret: Some(("${KEY}".into(), 7)), allow_private };
    let workspace = Workspace { calls, ..Workspace::default() };
    let lookup =
        |name: &str| (name == "KEY").then(|| "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
    Caller::new(&workspace, &lookup, Arc::new(Fixed(NOW.0))).unwrap()
}

fn action(url: &str, keep: bool) -> Action {
    let text = |text: &str| Value::text(text);
    let headers = Value::Map(vec![("X-Shop".into(), text("york"))]);
    let body = Value::Map(vec![("cart".into(), text("c1"))]);
    Action {
        id: ActionId(CandidateId { profile: ProfileId(7), run: 1, step: 2, visit: 0 }),
        decision: DecisionId { position: LogPosition { partition: 0, offset: 1 }, index: 0 },
        profile: ProfileId(7),
        channel: "https://stock.example".into(),
        endpoint: "p7".into(),
        purpose: "marketing".into(),
        topic: None,
        journey: "j".into(),
        version: VersionId(1),
        run_key: None,
        step: "ask".into(),
        template: "".into(),
        locale: "".into(),
        variables: Value::Map(vec![
            ("url".into(), text(url)),
            ("method".into(), text("POST")),
            ("headers".into(), headers),
            ("keep".into(), Value::Bool(keep)),
            ("body".into(), body),
        ]),
        expires: Some(Timestamp(NOW.0 + 2_000)),
        quiet_from: None,
        quiet_until: None,
        approved_at: NOW,
        cause: "m".into(),
        class: MessageClass::AtLeastOnce,
        priority: 50,
        identifiers: Vec::new(),
    }
}

async fn called(reply: &'static str, keep: bool) -> (Called, String) {
    let (url, task) = receiver(reply).await;
    let called = caller(true).call(&action(&url, keep), "00-1-1-01", None).await;
    (called, task.await.unwrap())
}

#[tokio::test]
async fn a_call_is_signed_carries_its_key_and_brings_an_answer() {
    let reply = "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{ \"n\" : 3 }";
    let (called, seen) = called(reply, true).await;
    assert_eq!(called.outcome, DeliveryOutcome::Sent);
    assert_eq!(called.answer.as_deref(), Some(r#"{"n":3}"#));
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, r#"{"cart":"c1"}"#);
    for line in ["idempotency-key: a7-1-2-0", "webhook-id: a7-1-2-0", "x-shop: york"] {
        assert!(head.contains(&format!("{line}\r\n")), "{line} in {head}");
    }
    let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let signature = sign(&secret, "a7-1-2-0", 1_614_265_330, body.as_bytes());
    assert!(head.contains(&format!("webhook-signature: {signature}")), "{head}");
}

#[tokio::test]
async fn answers_are_judged() {
    use DeliveryOutcome::{Failed, Retry, Sent, Unknown};
    let cases = [
        ("HTTP/1.1 204 No Content\r\n\r\n", true, Sent, Some("null")),
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes", true, Failed, None),
        // Nobody reads it.
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes", false, Sent, None),
        ("HTTP/1.1 200 OK\r\ncontent-length: 30\r\n\r\n{", true, Unknown, None),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", true, Failed, None),
        (
            "HTTP/1.1 302 Found\r\nlocation: http://x/\r\ncontent-length: 0\r\n\r\n",
            true,
            Failed,
            None,
        ),
        ("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", true, Retry, None),
        ("", true, Unknown, None),
    ];
    for (reply, keep, outcome, answer) in cases {
        let (called, _) = called(reply, keep).await;
        assert_eq!((called.outcome, called.answer.as_deref()), (outcome, answer), "{reply:?}");
    }
}

#[tokio::test]
async fn private_and_plain_addresses_are_refused() {
    let addresses =
        ["http://127.0.0.1:9/", "https://169.254.169.254/latest", "http://stock.example/"];
    for url in addresses {
        let called = caller(false).call(&action(url, true), "", None).await;
        assert_eq!(called.outcome, DeliveryOutcome::Failed, "{url}");
    }
    // A name that leads into the own network, as far as the resolver knows one.
    let called =
        caller(false).call(&action("https://localhost.localdomain/", true), "", None).await;
    assert_ne!(called.outcome, DeliveryOutcome::Sent);
}

#[test]
fn a_secret_without_a_value_is_an_error_that_names_its_line() {
    let calls = Calls { secret: Some(("${NONE}".into(), 9)), allow_private: false };
    let workspace = Workspace { calls, ..Workspace::default() };
    let error = Caller::new(&workspace, &|_| None, Arc::new(Fixed(0))).err().unwrap();
    assert_eq!(error, "sojourn.yaml:9: calls.secret: ${NONE} has no value: set it");
}
