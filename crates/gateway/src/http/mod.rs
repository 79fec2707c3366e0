//! HTTP: the routes that SDKs, tills, providers and people's mail programs call.
//!
//! | where | what |
//! |---|---|
//! | `POST /v1/{call}`, with or without a trailing slash | the Segment tracking API and RudderStack's variants: `track identify page screen group alias merge batch import` and `t i p s g a b m` |
//! | `POST /beacon/v1/batch?writeKey=` | beacons |
//! | `GET /pixel/v1/{track,page}?writeKey=…` | a 1×1 GIF |
//! | `GET /v1/projects/{key}/settings`, `/projects/{key}/settings`, `/sourceConfig` | what browser and mobile SDKs ask for before they send |
//! | `POST /v1/events` | CloudEvents 1.0: binary, structured, batch |
//! | `POST /v1/checkins` | a till asks, the in-store prompt is the answer |
//! | `POST /v1/consents` | a back end states a consent |
//! | `POST /hooks/{source}` | Standard Webhooks |
//! | `/u/{token}`, `/c/{token}`, `/o/{token}` | links of messages |
//! | `GET /.well-known/gpc.json` | that `Sec-GPC` is honoured |

mod browser;
mod consents;
mod events;
mod hooks;
mod links;
pub(crate) mod page;
mod tills;
mod track;

use crate::metric;
use crate::refusal::Refusal;
use crate::service::Gateway;
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};

/// How long a browser may keep the answer to a preflight.
const PREFLIGHT_MAX_AGE_S: u32 = 86_400;

impl Gateway {
    /// Every route of the gateway, without `/livez`, `/readyz` and `/metrics`, which are the node's.
    pub fn router(&self) -> Router {
        let mut router = Router::new();
        for slash in ["", "/"] {
            let at = |path: &str| format!("{path}{slash}");
            router = router
                .route(&at("/v1/{call}"), post(track::call))
                .route(&at("/v1/events"), post(events::events))
                .route(&at("/v1/checkins"), post(tills::checkin))
                .route(&at("/v1/consents"), post(consents::consent))
                .route(&at("/v1/projects/{key}/settings"), get(browser::settings))
                .route(&at("/projects/{key}/settings"), get(browser::settings))
                .route(&at("/sourceConfig"), get(browser::source_config))
                .route(&at("/beacon/v1/{call}"), post(track::beacon))
                .route(&at("/pixel/v1/{call}"), get(browser::pixel))
                .route(&at("/hooks/{source}"), post(hooks::hook));
        }
        router
            .route("/u/{token}", get(links::unsubscribe_page).post(links::unsubscribe))
            .route("/c/{token}", get(links::click))
            .route("/o/{token}", get(links::open))
            .route("/.well-known/gpc.json", get(browser::gpc))
            .fallback(any(async || Refusal::NotFound))
            .method_not_allowed_fallback(async |method: Method| {
                Refusal::Method(if method == Method::GET { "POST" } else { "GET or POST" })
            })
            .layer(middleware::from_fn(around))
            .with_state(self.clone())
    }
}

/// Around every request: answers preflights, opens answers to browsers, counts.
async fn around(request: Request, next: Next) -> Response {
    let route = route_name(request.uri().path());
    let origin = request.headers().get(header::ORIGIN).cloned();
    let asked = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let preflight = request.method() == Method::OPTIONS;
    let mut response =
        if preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    if preflight {
        let methods = HeaderValue::from_static("GET, POST, OPTIONS");
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE_S.into());
        if let Some(asked) = asked {
            // Whatever is asked for: SDKs add headers on retries only, and a fixed list would let
            // first tries through and lose every retry.
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
        }
    }
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let exposed = HeaderValue::from_static("Retry-After");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
    let class = match response.status().as_u16() {
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    };
    metrics::counter!(metric::REQUESTS, "route" => route, "status" => class).increment(1);
    response
}

/// A route's name for metrics: from a closed list, as a path is whatever a stranger asks for.
fn route_name(path: &str) -> &'static str {
    let mut parts = path.trim_matches('/').split('/');
    match (parts.next().unwrap_or_default(), parts.next()) {
        ("v1", Some("batch" | "b" | "import")) => "batch",
        ("v1", Some("events")) => "events",
        ("v1", Some("checkins")) => "checkins",
        ("v1", Some("consents")) => "consents",
        ("v1" | "projects", Some("projects")) | ("projects" | "sourceConfig", _) => "settings",
        ("v1", Some(_)) => "call",
        ("beacon", _) => "beacon",
        ("pixel", _) => "pixel",
        ("hooks", _) => "hooks",
        ("u", _) => "unsubscribe",
        ("c", _) => "click",
        ("o", _) => "open",
        _ => "other",
    }
}

/// The answer that every SDK understands: exactly 200 and a JSON object.
fn success() -> Response {
    const BODY: &str = r#"{"success":true}"#;
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], BODY).into_response()
}

/// A JSON answer.
fn json(value: &serde_json::Value) -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], value.to_string()).into_response()
}

/// A transparent GIF of one pixel, never cached.
fn gif() -> Response {
    const GIF: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("image/gif")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, GIF).into_response()
}

/// The value of `key` in a query string, decoded.
fn query_value(query: Option<&str>, key: &str) -> Option<String> {
    query_pairs(query).find(|(name, _)| name == key).map(|(_, value)| value)
}

/// The pairs of a query string, decoded.
fn query_pairs(query: Option<&str>) -> impl Iterator<Item = (String, String)> + '_ {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).map(move |pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

#[cfg(test)]
mod tests;
