//! What the fuzz targets share: a small workspace, a gateway over a log in memory, an action.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use sojourn_channels::token::Signer;
use sojourn_gateway::{Gateway, Options, Secrets, Sizes};
use sojourn_memory::{ManualClock, MemoryGate, MemoryLog};
use sojourn_model::Timestamp;
use sojourn_ports::Layout;
use sojourn_rules::{Compiled, Files, compile};
use std::cell::RefCell;
use std::sync::Arc;
use tower::ServiceExt;

/// The instant at which everything happens.
pub const NOW: Timestamp = Timestamp(1_772_452_800_000);

/// Files of the workspace, in the order in which the target `workspace` chooses one.
pub const FILES: [(&str, &str); 9] = [
    ("sojourn.yaml", include_str!("../workspace/sojourn.yaml")),
    ("tracking-plan.yaml", include_str!("../workspace/tracking-plan.yaml")),
    ("policy.yaml", include_str!("../workspace/policy.yaml")),
    ("segments.yaml", include_str!("../workspace/segments.yaml")),
    ("journeys/j.yaml", include_str!("../workspace/j.yaml")),
    ("templates/t/en.yaml", "subject: Hello\nbody: en.txt\n"),
    ("templates/t/en.txt", TEXT),
    ("templates/t/en.html", "<p>Hi</p>"),
    ("templates/t/en.mjml", "<mjml><mj-body></mj-body></mjml>"),
];

const TEXT: &str = "Hi. {{ links.unsubscribe }} {{ company.postal_address }}";

/// How many of [`FILES`] belong to the workspace as it stands; the others are bodies of another kind.
const FILES_OF_WORKSPACE: usize = 7;

/// The workspace; `changes` replace or add files.
pub fn files(changes: &[(&str, &str)]) -> Files {
    let mut files = Files::default();
    for (path, text) in FILES[..FILES_OF_WORKSPACE].iter().chain(changes) {
        files.0.insert((*path).to_owned(), (*text).to_owned());
    }
    files
}

/// Compiles and checks what holds of every result: definitions or errors, and no finding without
/// its place and remedy.
pub fn compile_checked(changes: &[(&str, &str)]) -> Compiled {
    let compiled = compile(&files(changes));
    assert_eq!(compiled.definitions.is_none(), compiled.errors().count() > 0);
    for finding in &compiled.findings {
        assert!(finding.line > 0 && finding.column > 0, "{finding}");
        assert!(!finding.message.is_empty() && !finding.remedy.is_empty(), "{finding}");
    }
    compiled
}

/// Requests after which a gateway is made anew, as its log keeps what it took.
const REQUESTS_PER_GATEWAY: u32 = 2_000;

thread_local! {
    static GATEWAY: RefCell<(u32, Option<Gateway>)> = const { RefCell::new((0, None)) };
}

/// A gateway with the sources `site` (write key `wk`), `till` (secret `tk`) and `crm` (a hook).
fn gateway() -> Gateway {
    let clock = Arc::new(ManualClock::new(NOW));
    let definitions = compile_checked(&[]).definitions.expect("the workspace is sound");
    let mut secrets = Secrets::new();
    for (source, key, value) in
        [("site", "write_key", "wk"), ("till", "secret", "tk"), ("crm", "secret", "whsec_b2xk")]
    {
        secrets.entry(source.into()).or_default().insert(key.into(), value.to_owned());
    }
    let options = Options {
        log: Arc::new(MemoryLog::new(Layout::new(1, 1), clock.clone())),
        gate: Arc::new(MemoryGate::new(clock.clone())),
        clock,
        definitions,
        secrets,
        signer: Signer::new(&[b"0123456789abcdef0123456789abcdef"]).expect("a key of 32 bytes"),
        prompts: None,
        portal_url: None,
        sizes: Sizes::default(),
    };
    Gateway::new(options).expect("every secret is there")
}

/// Sends a request to the gateway, through its routes, and checks the answer: nothing that a client
/// sends is the house's fault.
pub fn send(request: Request<Body>) -> StatusCode {
    let gateway = GATEWAY.with_borrow_mut(|(sent, kept)| {
        *sent += 1;
        if *sent % REQUESTS_PER_GATEWAY == 0 {
            *kept = None;
        }
        kept.get_or_insert_with(gateway).clone()
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let answer = runtime.expect("a runtime").block_on(gateway.router().oneshot(request));
    let status = answer.expect("infallible").status();
    assert!(!status.is_server_error(), "{status}");
    status
}
