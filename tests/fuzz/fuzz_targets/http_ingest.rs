//! Bodies of the Segment API, check-ins, consents and hooks: the first byte chooses route and
//! encoding, the rest is the body.

#![no_main]

use axum::body::Body;
use axum::http::Request;
use libfuzzer_sys::fuzz_target;
use sojourn_fuzz::send;

const ROUTES: [&str; 12] = [
    "/v1/batch",
    "/v1/track",
    "/v1/identify",
    "/v1/page",
    "/v1/screen",
    "/v1/group",
    "/v1/alias",
    "/beacon/v1/batch?writeKey=wk",
    "/v1/checkins",
    "/v1/consents",
    "/hooks/crm",
    "/v1/t",
];

fuzz_target!(|input: &[u8]| {
    let Some((&choice, body)) = input.split_first() else { return };
    let request = Request::post(ROUTES[usize::from(choice & 0x1f) % ROUTES.len()])
        .header("content-type", "application/json");
    let request = match choice >> 5 & 1 {
        0 => request.header("authorization", "Basic d2s6"), // wk:
        _ => request.header("authorization", "Basic dGs6"), // tk:
    };
    let request =
        if choice & 0x40 != 0 { request.header("content-encoding", "gzip") } else { request };
    let request = if choice & 0x80 != 0 { request.header("sec-gpc", "1") } else { request };
    send(request.body(Body::from(body.to_vec())).expect("a request"));
});
