//! Every role in one process: from an HTTP request to a delivered message and its explanation, and
//! the same after a restart.
#![allow(clippy::disallowed_methods, reason = "the test waits for real threads")]

use serde_json::{Value, json};
use sojourn_node::{Node, NodeOptions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

const FILES: [(&str, &str); 8] = [
    (
        "sojourn.yaml",
        "workspace: test\ncompany: { name: Shop, postal_address: \"1 Lane, York\", privacy_contact: p@shop.example }\n\
         time_zone: Europe/London\nlocales: [en]\nsources:\n  - { id: site, channel: web, kind: segment, write_key: k }\n\
         channels:\n  email: { kind: file, path: ./out }\nstorage: { kind: embedded, path: ./data }\n",
    ),
    (
        "tracking-plan.yaml",
        "events:\n  Cart Updated:\n    properties:\n      cart_id: { type: string, purposes: [marketing, service] }\n",
    ),
    (
        "policy.yaml",
        "purposes:\n  marketing: { topics: [reminders] }\n  service: { exempt: [caps, quiet_hours] }\n\
         caps:\n  - { id: daily, at_most: 1, per: 24h, scope: { channel: email }, at_cap: drop }\n\
         quiet_hours: []\njurisdictions: none\n",
    ),
    ("segments.yaml", "segments: {}\n"),
    (
        "journeys/cart.yaml",
        "journey: cart\npurpose: marketing/reminders\nentry: { on: Cart Updated, key: event.properties.cart_id, reentry: always }\n\
         steps:\n  - id: remind\n    send: { template: cart, channels: [email] }\n",
    ),
    ("templates/cart/en.yaml", "subject: Your basket\nbody: en.txt\n"),
    (
        "templates/cart/en.txt",
        "It is kept for you. {{ links.unsubscribe }} {{ company.postal_address }}\n",
    ),
    ("README.md", "not a workspace file\n"),
];

fn write_workspace(dir: &Path) {
    for (path, text) in FILES {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().expect("inside the folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
}

fn start(dir: &Path) -> Node {
    let mut options = NodeOptions::new(dir);
    options.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    Node::start(options).expect("the node starts")
}

/// Posts JSON and gives status and body.
fn post(address: SocketAddr, path: &str, body: &Value) -> (u16, String) {
    let body = body.to_string();
    let mut stream = TcpStream::connect(address).expect("the gateway listens");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic azo=\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    (status, answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned())
}

fn track(event: &str, id: &str, properties: Value) -> Value {
    json!({"type": "track", "event": event, "userId": "u1", "messageId": id, "properties": properties})
}

fn mails(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("out")).map_or(0, |files| {
        files
            .filter(|file| {
                file.as_ref()
                    .is_ok_and(|file| file.file_name().to_string_lossy().ends_with(".json"))
            })
            .count()
    })
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20), "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_touchpoint_becomes_a_message_that_can_be_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    write_workspace(dir);
    let node = start(dir);
    let at = node.gateway_address();
    let identify =
        json!({"userId": "u1", "messageId": "m1", "traits": {"email": "Ada@Shop.example"}});
    assert_eq!(post(at, "/v1/identify", &identify).0, 200);
    let grant = json!({"channel": "email", "purpose": "marketing", "state": "granted", "endpoint": "ada@shop.example"});
    assert_eq!(post(at, "/v1/track", &track("Consent Changed", "m2", grant)).0, 200);
    for id in ["m3", "m3", "m4"] {
        let cart = track("Cart Updated", id, json!({"cart_id": id}));
        assert_eq!(post(at, "/v1/track", &cart).0, 200, "also a duplicate");
    }
    eventually("one mail", || mails(dir) == 1);
    let view = |node: &Node, view: &str| node.view("email:ada@shop.example", view).expect("a view");
    let decisions = view(&node, "decisions")["decisions"].as_array().cloned().unwrap_or_default();
    let outcomes: Vec<_> =
        decisions.iter().map(|d| (d["outcome"].clone(), d["reason"].clone())).collect();
    assert_eq!(outcomes, [(json!("approve"), Value::Null), (json!("suppress"), json!("cap"))]);
    let timeline = view(&node, "timeline")["entries"].as_array().cloned().unwrap_or_default();
    let touchpoints =
        timeline.iter().filter(|row| row["kind"] == "touchpoint" && row["source"] == "site");
    assert_eq!(touchpoints.count(), 4, "the duplicate counts once: {timeline:#?}");
    let id = decisions[1]["id"].as_str().expect("an id").to_owned();
    let (sentence, _) = node.explain(&id, false).expect("an explanation");
    assert!(sentence.contains("1 of 1"), "{sentence}");
    node.stop().expect("a clean stop");

    // Again, from what is on disk: the cap still counts, the person is still known.
    let node = start(dir);
    let at = node.gateway_address();
    let cart = track("Cart Updated", "m5", json!({"cart_id": "again"}));
    assert_eq!(post(at, "/v1/track", &cart).0, 200);
    eventually("the third decision", || {
        view(&node, "decisions")["decisions"].as_array().is_some_and(|list| list.len() == 3)
    });
    assert_eq!(mails(dir), 1, "capped");
    node.stop().expect("a clean stop");
}

#[test]
fn a_folder_that_is_no_workspace_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = Node::start(NodeOptions::new(folder.path())).err().expect("refused");
    assert!(format!("{error:#}").contains("sojourn init"), "{error:#}");
}
