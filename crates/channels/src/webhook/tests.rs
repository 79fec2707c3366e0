//! Against a receiver that speaks HTTP over a socket.

use super::*;
use crate::email::compose_tests::{Fixed, request};
use crate::settings::tests::channel;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Answers one request with `reply` (nothing when empty) and gives back what it read.
pub(crate) async fn receiver(reply: &'static str) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut read = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let text = String::from_utf8_lossy(&read).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length: usize = head
                    .lines()
                    .find_map(|line| {
                        line.to_ascii_lowercase()
                            .strip_prefix("content-length: ")
                            .map(str::to_owned)
                    })
                    .map_or(0, |length| length.parse().unwrap());
                if body.len() >= length {
                    break;
                }
            }
            let n = socket.read(&mut buffer).await.unwrap();
            assert!(n > 0, "the request ended early");
            read.extend_from_slice(&buffer[..n]);
        }
        socket.write_all(reply.as_bytes()).await.unwrap();
        String::from_utf8(read).unwrap()
    });
    (url, task)
}

fn webhook(url: &str) -> Result<Webhook, SettingError> {
    let channel = channel(
        "webhook",
        &[("url", url), ("secret", SECRET), ("allow_private", "true"), ("timeout", "2s")],
    );
    let none = |_: &str| None;
    Webhook::new(&Settings::new(&channel, "f", &none), Arc::new(Fixed(1_614_265_330_000)))
}

async fn outcome(reply: &'static str) -> (DeliverResponse, String) {
    let (url, task) = receiver(reply).await;
    let got =
        webhook(&url).unwrap().deliver(Outgoing { request: request("a1"), permit: None }).await;
    (got, task.await.unwrap())
}

#[tokio::test]
async fn a_message_is_posted_with_a_good_signature() {
    let (got, seen) = outcome("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(got.outcome(), DeliveryOutcome::Sent);
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("webhook-id: a1\r\n"), "{head}");
    let secret = Secret::new(SECRET).unwrap();
    let signature = sign(&secret, "a1", 1_614_265_330, body.as_bytes());
    assert!(head.contains(&format!("webhook-signature: {signature}")), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["type"], "message.approved");
    assert_eq!(body["data"]["endpoint"], "ann@example.com");
    assert_eq!(body["timestamp"], "2021-02-25T15:02:10.000Z");
}

#[tokio::test]
async fn answers_are_judged() {
    use DeliveryOutcome::{Failed, Retry, Unknown};
    let cases = [
        ("HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n", Failed, 0),
        ("HTTP/1.1 302 Found\r\nlocation: http://x/\r\ncontent-length: 0\r\n\r\n", Failed, 0),
        ("HTTP/1.1 429 Slow\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n", Retry, 7_000),
        (
            "HTTP/1.1 503 Busy\r\nretry-after: Thu, 25 Feb 2021 15:02:20 GMT\r\ncontent-length: 0\r\n\r\n",
            Retry,
            10_000,
        ),
        ("HTTP/1.1 502 Bad\r\ncontent-length: 0\r\n\r\n", Retry, 0),
        ("", Unknown, 0), // the request arrived and the connection closed
    ];
    for (reply, wanted, pause) in cases {
        let (got, _) = outcome(reply).await;
        assert_eq!((got.outcome(), got.retry_after_ms), (wanted, pause), "{reply:?} {got:?}");
    }
}

#[tokio::test]
async fn no_connection_is_a_retry() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let webhook = webhook(&url).unwrap();
    let got = webhook.deliver(Outgoing { request: request("a1"), permit: None }).await;
    assert_eq!(got.outcome(), DeliveryOutcome::Retry);
    assert!(!got.detail.contains("127.0.0.1"), "the address stays out of details");
}

#[test]
fn private_addresses_need_leave() {
    let channel = channel("webhook", &[("url", "http://10.0.0.1/x"), ("secret", SECRET)]);
    let none = |_: &str| None;
    let error = Webhook::new(&Settings::new(&channel, "f.yaml", &none), Arc::new(Fixed(0)))
        .err()
        .unwrap()
        .to_string();
    assert!(error.starts_with("f.yaml:7: channels.c.url: the address is private"), "{error}");
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_followed() {
    let (url, _task) = receiver("HTTP/1.1 204 No Content\r\n\r\n").await;
    let named = url.replace("127.0.0.1", "localhost.localdomain");
    let channel = channel("webhook", &[("url", &named), ("secret", SECRET)]);
    let none = |_: &str| None;
    let webhook = Webhook::new(&Settings::new(&channel, "f", &none), Arc::new(Fixed(0))).unwrap();
    let got = webhook.deliver(Outgoing { request: request("a1"), permit: None }).await;
    assert_eq!(got.outcome(), DeliveryOutcome::Retry);
}
