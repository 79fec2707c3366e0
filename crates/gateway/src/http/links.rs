//! Links of messages: one-click unsubscribe (RFC 8058), tracked links, the open pixel.

use super::consents::endpoint_kind;
use super::gif;
use super::page::Page;
use crate::message::Converted;
use crate::refusal::Refusal;
use crate::service::{Gateway, Load, new_message_id};
use axum::extract::{Path, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sojourn_channels::token::{Token, TokenError, TokenKind};
use sojourn_model::event_names;
use std::borrow::Cow;

/// Source of touchpoints that come from links.
const SOURCE: &str = "links";
/// Source of an unsubscribe: it is the evidence of the consent record.
const ONE_CLICK: &str = "one-click unsubscribe";

/// `GET /u/{token}`: only shows what a click on the button does. Mail scanners follow links, so a
/// GET changes nothing.
pub(super) async fn unsubscribe_page(
    State(gateway): State<Gateway>,
    Path(text): Path<String>,
) -> Response {
    let token = match gateway.0.signer.verify(TokenKind::Unsubscribe, &text) {
        Ok(token) => token,
        Err(error) => return bad_link(&gateway, &error),
    };
    let question = format!("Stop {}?", what(&token));
    let address = format!("They will no longer be sent to {}.", masked(&token));
    show(&gateway, &token, StatusCode::OK, &question, &[&address], Some("Yes, stop them"))
}

/// `POST /u/{token}`: stops at once, without a login, whatever the body says; for mail programs and
/// for the button of the page.
pub(super) async fn unsubscribe(
    State(gateway): State<Gateway>,
    Path(text): Path<String>,
) -> Response {
    let token = match gateway.0.signer.verify(TokenKind::Unsubscribe, &text) {
        Ok(token) => token,
        Err(error) => return bad_link(&gateway, &error),
    };
    // A second click after a new sign-up must count again, so each has an id of its own.
    let properties = serde_json::json!({
        "purpose": &*token.purpose,
        "channel": &*token.channel,
        "endpoint": &*token.endpoint,
        "action_id": token.action.to_string(),
        "source": ONE_CLICK,
    });
    match record(&gateway, &token, event_names::UNSUBSCRIBED, ONE_CLICK, properties).await {
        Ok(()) => {
            let done = format!("You will get no more {}.", what(&token));
            let text = format!("This is in force now for {}.", masked(&token));
            show(&gateway, &token, StatusCode::OK, "Done", &[&done, &text], None)
        }
        Err(refusal) => {
            let status = refusal.status();
            let text = "Nothing was changed. Please try again in a moment.";
            let button = Some("Try again");
            let mut response = show(&gateway, &token, status, "That did not work", &[text], button);
            if let Some(seconds) = refusal.retry_after() {
                response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            }
            response
        }
    }
}

/// `GET /c/{token}`: records the click and goes on to the address inside the token. A reader's way
/// is never blocked: when the log takes nothing, the click is lost and counted, not the reader.
pub(super) async fn click(
    State(gateway): State<Gateway>,
    method: Method,
    Path(text): Path<String>,
) -> Response {
    let token = match gateway.0.signer.verify(TokenKind::Click, &text) {
        Ok(token) => token,
        Err(error) => return bad_link(&gateway, &error),
    };
    let Some(url) = token.url.clone() else {
        return bad_link(&gateway, &TokenError::Malformed);
    };
    if method == Method::GET {
        let event = match &*token.channel {
            "email" => event_names::EMAIL_LINK_CLICKED,
            _ => "Link Clicked",
        };
        let properties = serde_json::json!({
            "link_url": &*url,
            "action_id": token.action.to_string(),
            "channel": &*token.channel,
            "endpoint": &*token.endpoint,
        });
        let _ = record(&gateway, &token, event, SOURCE, properties).await;
    }
    let Ok(location) = HeaderValue::from_str(&url) else {
        return bad_link(&gateway, &TokenError::BadUrl);
    };
    let headers = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (StatusCode::FOUND, headers).into_response()
}

/// `GET /o/{token}`: records that the message was opened; always a GIF, so that no reader sees a
/// broken picture.
pub(super) async fn open(
    State(gateway): State<Gateway>,
    method: Method,
    Path(text): Path<String>,
) -> Response {
    let text = text.strip_suffix(".gif").unwrap_or(&text);
    if method == Method::GET
        && let Ok(token) = gateway.0.signer.verify(TokenKind::Open, text)
    {
        let event = match &*token.channel {
            "email" => event_names::EMAIL_OPENED,
            _ => "Message Opened",
        };
        let properties = serde_json::json!({
            "action_id": token.action.to_string(),
            "channel": &*token.channel,
            "endpoint": &*token.endpoint,
        });
        let _ = record(&gateway, &token, event, SOURCE, properties).await;
    }
    gif()
}

/// Records a touchpoint of the person to whom the message went.
async fn record(
    gateway: &Gateway,
    token: &Token,
    event: &str,
    source: &str,
    properties: serde_json::Value,
) -> Result<(), Refusal> {
    let _admitted = gateway.admit(0)?;
    let current = gateway.current();
    let kind = endpoint_kind(&token.channel);
    let identifier = kind.and_then(|kind| current.converter.identifier(&kind, &token.endpoint));
    let touchpoint = Converted {
        message_id: Cow::Owned(new_message_id()),
        source,
        channel: &token.channel,
        event: Cow::Borrowed(event),
        identifiers: identifier.into_iter().collect(),
        occurred_at: None,
        received_at: gateway.0.clock.now(),
        properties: Cow::Owned(properties.to_string()),
        traits: Cow::Borrowed(""),
        context: Cow::Borrowed(""),
        imported: false,
        profile: Some(token.profile),
        left_out: 0,
    };
    let mut load = Load::default();
    load.push(touchpoint, current.definitions());
    gateway.commit(load).await
}

fn show(
    gateway: &Gateway,
    token: &Token,
    status: StatusCode,
    title: &str,
    text: &[&str],
    button: Option<&str>,
) -> Response {
    let current = gateway.current();
    let preferences = gateway.0.portal_url.as_deref().and_then(|portal| {
        let token = Token { kind: TokenKind::Preferences, url: None, ..token.clone() };
        Some(format!("{}/{}", portal.trim_end_matches('/'), gateway.0.signer.mint(&token).ok()?))
    });
    let company = &current.definitions().workspace.company.name;
    let link = preferences.as_deref().map(|url| (url, "Choose what you would like to receive"));
    Page { status, company, title, text, button, link }.into_response()
}

fn bad_link(gateway: &Gateway, error: &TokenError) -> Response {
    let current = gateway.current();
    Page {
        status: StatusCode::NOT_FOUND,
        company: &current.definitions().workspace.company.name,
        title: "This link does not work",
        text: &[&format!("Because {error}.")],
        button: None,
        link: None,
    }
    .into_response()
}

/// What the message was about, for people: `marketing e-mails`.
fn what(token: &Token) -> String {
    let kind = match &*token.channel {
        "email" => "e-mails",
        "sms" => "text messages",
        "push" => "notifications",
        "whatsapp" => "WhatsApp messages",
        _ => "messages",
    };
    format!("{} {kind}", token.purpose)
}

/// Enough of an address for its owner to know it, and no more: links are forwarded.
fn masked(token: &Token) -> String {
    match token.endpoint.split_once('@') {
        Some((local, domain)) => {
            format!("{}…@{domain}", local.chars().next().unwrap_or_default())
        }
        None if token.endpoint.starts_with('+') && token.endpoint.len() > 4 => {
            format!("…{}", &token.endpoint[token.endpoint.len() - 3..])
        }
        None => "you".to_string(),
    }
}
