//! The two pages that messages link to beside unsubscribe: why somebody got one, and where to change
//! what they get. Both stand behind signed links; neither names anybody.

use crate::node::Inner;
use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use sojourn_channels::token::{Signer, Token, TokenKind};
use std::sync::Arc;

const STYLE: &str = "body{margin:0;background:#f4f4f1;color:#1c1c1a;font:1.0625rem/1.55 system-ui,\
sans-serif}main{max-width:34rem;margin:12vh auto 0;padding:2rem;background:#fff;border-radius:.75rem}\
h1{font-size:1.5rem;line-height:1.25;margin:0 0 1rem}a{color:#1f4f8a}\
@media(prefers-color-scheme:dark){body{background:#161615;color:#eee}main{background:#232321}\
a{color:#9cc4f2}}";

/// Routes `/why/{token}` and `/preferences/{token}`.
pub(crate) fn router(inner: Arc<Inner>, signer: Signer) -> Router {
    let why_signer = signer.clone();
    Router::new()
        .route("/why/{token}", get(move |Path(token): Path<String>| why(inner, why_signer, token)))
        .route(
            "/preferences/{token}",
            get(move |Path(token): Path<String>| preferences(signer, token)),
        )
}

async fn why(inner: Arc<Inner>, signer: Signer, token: String) -> Response {
    let Ok(token) = signer.verify(TokenKind::Why, &token) else { return stale() };
    let stop = stop_link(&signer, &token);
    let action = token.action.to_string();
    let found = tokio::task::spawn_blocking(move || inner.queries.explain(&action, true)).await;
    match found {
        Ok(Ok((sentence, _))) => page(StatusCode::OK, "Why you got this message", &sentence, stop),
        _ => page(
            StatusCode::NOT_FOUND,
            "We no longer know",
            "The record of this message is not kept any more.",
            stop,
        ),
    }
}

/// What a person can change today is one kind of message at a time: the unsubscribe page of the
/// message's own kind.
async fn preferences(signer: Signer, token: String) -> Response {
    match signer.verify(TokenKind::Preferences, &token) {
        Ok(token) => match stop_link(&signer, &token) {
            Some(link) => Redirect::to(&link).into_response(),
            None => stale(),
        },
        Err(_) => stale(),
    }
}

fn stop_link(signer: &Signer, token: &Token) -> Option<String> {
    let token = Token { kind: TokenKind::Unsubscribe, url: None, ..token.clone() };
    signer.mint(&token).ok().map(|token| format!("/u/{token}"))
}

fn stale() -> Response {
    page(
        StatusCode::NOT_FOUND,
        "This link is not complete",
        "Please copy the whole link from the message, or write to the address below it.",
        None,
    )
}

fn page(status: StatusCode, title: &str, text: &str, stop: Option<String>) -> Response {
    let link = stop.map_or(String::new(), |stop| {
        format!("<p><a href=\"{stop}\">Stop messages of this kind</a></p>")
    });
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><meta name=\"robots\" content=\"noindex\"><title>{title}\
         </title><style>{STYLE}</style></head><body><main><h1>{title}</h1><p>{}</p>{link}</main>\
         </body></html>",
        escape(text)
    );
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, html).into_response()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
