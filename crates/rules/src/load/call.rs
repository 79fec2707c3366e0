//! The step `call`: asks a service over HTTP, and keeps its answer.

use super::journey::{CallRead, Reading};
use crate::cel::Expect;
use crate::definitions::{Body, Call, Piece, StepKind};
use crate::finding::suggest;
use crate::limits::{CALL_DEPTH_MAX, CALL_TIMEOUT_DEFAULT, CALL_TIMEOUT_MAX};
use crate::reader::{Table, checked_name};
use crate::yaml::{Kind, Node, Place, Style};
use core::net::IpAddr;
use sojourn_model::Name;

const METHODS: &[(&str, &str)] =
    &[("GET", "GET"), ("POST", "POST"), ("PUT", "PUT"), ("PATCH", "PATCH"), ("DELETE", "DELETE")];

/// Headers that the call itself makes.
const OWN_HEADERS: &[&str] = &[
    "connection",
    "content-length",
    "content-type",
    "host",
    "idempotency-key",
    "traceparent",
    "transfer-encoding",
    "user-agent",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];

pub(super) fn call(reading: &mut Reading<'_>, table: &Table<'_>) -> Option<StepKind> {
    let source = reading.source;
    let url = table.required("url").and_then(|node| address(reading, node));
    let body = table.get("body").and_then(|node| body(reading, node, 0));
    let usual = if table.has("body") { "POST" } else { "GET" };
    let method = table.choice("method", METHODS).unwrap_or(usual);
    if method == "GET" && table.has("body") {
        source.error(
            "call-body",
            table.key_place("body"),
            "a GET carries no body",
            "write method: POST, or put the values into the url: {{ run.key }}",
        );
    }
    let mut headers = Vec::new();
    if let Some(inner) = table.table("headers", "`headers`") {
        for (name, place, node) in inner.entries() {
            if let Some(text) = header(reading, &name, place, node) {
                headers.push((name, text));
            }
        }
    }
    let timeout = table.duration("timeout").unwrap_or(CALL_TIMEOUT_DEFAULT);
    if timeout.0 <= 0 || timeout > CALL_TIMEOUT_MAX {
        source.error(
            "bad-duration",
            table.key_place("timeout"),
            "a call is waited for more than not at all, and for one hour at most",
            "write timeout: 10s",
        );
    }
    let exit = table.choice("on_error", &[("continue", false), ("exit", true)]).unwrap_or(false);
    let name = table.text("as");
    if let Some(name) = &name
        && checked_name(&source, table.key_place("as"), name, "an answer")
    {
        let (place, step) = (table.key_place("as"), reading.steps.len() - 1);
        if let Some((first, _)) = reading.answers.insert(name.clone(), (place, step)) {
            source.error(
                "duplicate",
                place,
                format!(
                    "`as: {name}` is taken (line {}); nobody could tell the answers apart",
                    first.line
                ),
                "give each call's answer its own name",
            );
        }
    }
    table.finish();
    if reading.context.workspace_known && reading.context.workspace.calls.secret.is_none() {
        source.warning(
            "call-unsigned",
            table.place(),
            "this call carries no signature, so its receiver cannot know that it is yours",
            "add `calls: { secret: \"${CALLS_SECRET}\" }` to sojourn.yaml",
        );
    }
    let (url, host) = url?;
    let method = method.into();
    Some(StepKind::Call(Box::new(Call { url, host, method, headers, body, timeout, name, exit })))
}

/// An address whose scheme and host are literal, and allowed.
fn address(reading: &Reading<'_>, node: &Node) -> Option<(Vec<Piece>, Name)> {
    let source = reading.source;
    let pieces = text(reading, node, "url")?;
    let Some(Piece::Literal(first)) = pieces.first() else {
        bad_url(reading, node, "its host must stand there as it is, not be computed");
        return None;
    };
    let Some((scheme, rest)) = first.split_once("://") else {
        bad_url(reading, node, "it does not begin with https://");
        return None;
    };
    let scheme = scheme.to_ascii_lowercase();
    let end = rest.find(['/', '?', '#']);
    if end.is_none() && pieces.len() > 1 {
        bad_url(reading, node, "its host must stand there as it is, not be computed");
        return None;
    }
    let authority = rest[..end.unwrap_or(rest.len())].to_ascii_lowercase();
    let (name, port) = match authority.rsplit_once(':') {
        Some((name, port)) if !authority.ends_with(']') => (name, Some(port)),
        _ => (&*authority, None),
    };
    let sound = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
    let fits = !name.is_empty()
        && name.chars().all(sound)
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    if !fits || !matches!(&*scheme, "http" | "https") {
        bad_url(reading, node, "write https://, the host, and the path");
        return None;
    }
    let private = is_private(name);
    if !reading.context.workspace.calls.allow_private && reading.context.workspace_known {
        if private {
            source.error(
                "call-private",
                node.place,
                format!("`{name}` is an address inside your own network"),
                "name a public host, or allow it in sojourn.yaml: calls: { allow_private: true }",
            );
        } else if scheme == "http" {
            source.error(
                "call-plain",
                node.place,
                "http:// would send what is known of a person unencrypted",
                "write https://; inside your own network: calls: { allow_private: true } in sojourn.yaml",
            );
        }
    }
    Some((pieces, format!("{scheme}://{authority}").into()))
}

fn bad_url(reading: &Reading<'_>, node: &Node, why: &str) {
    reading.source.error(
        "bad-url",
        node.place,
        format!("`url` is no address that can be called: {why}"),
        "write it like https://stock.example/carts/{{ run.key }}",
    );
}

/// What can be told without asking anybody; the call itself looks at every address it connects to.
fn is_private(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => {
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified()
        }
        Ok(IpAddr::V6(ip)) => {
            let first = ip.segments()[0];
            ip.is_loopback()
                || ip.is_unspecified()
                || (first & 0xfe00) == 0xfc00
                || (first & 0xffc0) == 0xfe80
        }
        Err(_) => {
            let host = host.trim_end_matches('.');
            host == "localhost" || host.ends_with(".localhost")
        }
    }
}

fn header(reading: &Reading<'_>, name: &Name, place: Place, node: &Node) -> Option<Vec<Piece>> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let lower = name.to_ascii_lowercase();
    if name.is_empty() || !name.chars().all(token) || OWN_HEADERS.contains(&&*lower) {
        reading.source.error(
            "bad-name",
            place,
            format!("`{name}` is no header that a step can give"),
            "choose another name, such as X-Shop; the call itself gives its own",
        );
        return None;
    }
    text(reading, node, "headers")
}

/// A text with expressions in `{{ }}`.
fn text(reading: &Reading<'_>, node: &Node, key: &str) -> Option<Vec<Piece>> {
    let Kind::Scalar(written, style) = &node.kind else {
        crate::reader::wrong(&reading.source, node, &format!("`{key}` must be a text"));
        return None;
    };
    let mut pieces = Vec::new();
    let (mut rest, mut at) = (&**written, 0);
    while let Some((before, inside)) = rest.split_once("{{") {
        let Some((expression, after)) = inside.split_once("}}") else {
            reading.source.error(
                "bad-placeholder",
                node.place,
                format!("a {{{{ in `{key}` has no }}}}"),
                "write expressions like {{ run.key }}",
            );
            return None;
        };
        if !before.is_empty() {
            pieces.push(Piece::Literal(before.into()));
        }
        at += before.chars().count() + 2;
        let mut place = node.place;
        if *style != Style::Block {
            place.column += u32::try_from(at).unwrap_or(0);
        }
        let kind = Kind::Scalar(expression.to_owned(), *style);
        pieces.push(Piece::Value(reading.in_step(&Node { place, kind }, key, Expect::Value)?));
        at += expression.chars().count() + 2;
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Literal(rest.into()));
    }
    if pieces
        .iter()
        .any(|piece| matches!(piece, Piece::Literal(text) if text.contains(char::is_control)))
    {
        crate::reader::wrong(&reading.source, node, &format!("`{key}` must be one line"));
        return None;
    }
    Some(pieces)
}

/// Expressions, in maps and lists.
fn body(reading: &Reading<'_>, node: &Node, depth: usize) -> Option<Body> {
    if depth > CALL_DEPTH_MAX {
        reading.source.error(
            "limit",
            node.place,
            format!("the body is nested deeper than {CALL_DEPTH_MAX} levels"),
            "make it flatter",
        );
        return None;
    }
    match &node.kind {
        Kind::Scalar(..) => reading.in_step(node, "body", Expect::Value).map(Body::Value),
        Kind::Sequence(items) => {
            let items = items.iter().map(|item| body(reading, item, depth + 1));
            items.collect::<Option<Vec<_>>>().map(Body::List)
        }
        Kind::Mapping(entries) => {
            let entries = entries.iter().map(|(key, value)| {
                let name = crate::reader::name(&reading.source, key, "body")?;
                Some((name, body(reading, value, depth + 1)?))
            });
            entries.collect::<Option<Vec<_>>>().map(Body::Map)
        }
    }
}

/// Says so where `run.call.<as>` is read and no call before gives it.
pub(super) fn check_reads(reading: &Reading<'_>) {
    for CallRead { name, place, step } in reading.call_reads.borrow().iter() {
        let given = reading.answers.get(name);
        let before = given.is_some_and(|(_, call)| step.is_none_or(|step| *call < step));
        if before {
            continue;
        }
        let (problem, remedy) = match given {
            Some((at, _)) => (
                format!("`run.call.{name}` is read before its call (line {})", at.line),
                "move the call before this step".to_owned(),
            ),
            None => (
                format!("no call gives `run.call.{name}`"),
                suggest(
                    name,
                    reading.answers.keys().map(|name| &**name),
                    &format!("write `as: {name}` at the call"),
                ),
            ),
        };
        reading.source.warning("unknown-answer", *place, problem, remedy);
    }
}
