//! CloudEvents in their three modes: the first byte chooses; in binary mode the lines before an
//! empty one are attributes.

#![no_main]

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Request};
use libfuzzer_sys::fuzz_target;
use sojourn_fuzz::send;

fuzz_target!(|input: &[u8]| {
    let Some((&choice, mut body)) = input.split_first() else { return };
    let mut request = Request::post("/v1/events").header("authorization", "Basic d2s6"); // wk:
    request = match choice % 4 {
        0 => request.header("content-type", "application/cloudevents+json"),
        1 => request.header("content-type", "application/cloudevents-batch+json"),
        2 => request.header("content-type", "application/json; charset=utf-8"),
        _ => request.header("content-type", "text/plain"),
    };
    if choice % 4 > 1 {
        while let Some(end) = body.iter().position(|&byte| byte == b'\n') {
            let (line, rest) = (&body[..end], &body[end + 1..]);
            body = rest;
            if line.is_empty() {
                break;
            }
            let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
            let name = HeaderName::from_bytes(&[b"ce-", &line[..colon]].concat());
            let value = HeaderValue::from_bytes(line.get(colon + 1..).unwrap_or_default());
            if let (Ok(name), Ok(value)) = (name, value) {
                request = request.header(name, value);
            }
        }
    }
    send(request.body(Body::from(body.to_vec())).expect("a request"));
});
