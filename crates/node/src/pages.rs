//! The two pages that messages link to beside unsubscribe: why somebody got one, and where to change
//! what they get. Both stand behind signed links; neither names anybody.

use crate::node::Inner;
use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use sojourn_channels::token::{Signer, Token, TokenKind};
use sojourn_gateway::Page;
use std::sync::Arc;

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
    let link = stop.as_deref().map(|stop| (stop, "Stop messages of this kind"));
    Page { status, company: "", title, text: &[text], button: None, link }.into_response()
}
