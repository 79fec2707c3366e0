//! `/livez`, `/readyz`, `/metrics`: the same on every role.

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// What each role says of itself. Ready when every role is.
#[derive(Clone, Default)]
pub struct Health(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    roles: BTreeMap<&'static str, Standing>,
    draining: bool,
}

enum Standing {
    Ready,
    /// On its way, and what it is at.
    Coming(String),
    Failed(String),
}

impl Health {
    /// The role does not serve yet, and nothing is wrong: what it is at.
    pub fn coming(&self, role: &'static str, at: &str) {
        self.0.lock().roles.insert(role, Standing::Coming(at.to_owned()));
    }
    /// The role serves.
    pub fn ready(&self, role: &'static str) {
        self.0.lock().roles.insert(role, Standing::Ready);
    }
    /// The role does not serve, and why.
    pub fn failed(&self, role: &'static str, reason: String) {
        self.0.lock().roles.insert(role, Standing::Failed(reason));
    }
    /// No new work from here on.
    pub fn drain(&self) {
        self.0.lock().draining = true;
    }
    /// Why this process is not ready; empty when it is.
    pub fn reasons(&self) -> Vec<String> {
        let state = self.0.lock();
        let draining = state.draining.then(|| "draining".to_owned());
        let roles = state.roles.iter().filter_map(|(role, standing)| match standing {
            Standing::Ready => None,
            Standing::Coming(reason) | Standing::Failed(reason) => {
                Some(format!("{role}: {reason}"))
            }
        });
        draining.into_iter().chain(roles).collect()
    }
    /// Whether a role has failed, and is not only on its way.
    pub fn has_failed(&self) -> bool {
        self.0.lock().roles.values().any(|standing| matches!(standing, Standing::Failed(_)))
    }
    /// Whether the role serves.
    pub fn is_ready(&self, role: &str) -> bool {
        matches!(self.0.lock().roles.get(role), Some(Standing::Ready))
    }
}

/// Buckets of latency histograms, in seconds.
const LATENCY_BUCKETS: [f64; 14] =
    [0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

/// The process's metrics recorder; installed at the first call.
fn recorder() -> Option<&'static PrometheusHandle> {
    static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            PrometheusBuilder::new()
                .set_buckets(&LATENCY_BUCKETS)
                .and_then(PrometheusBuilder::install_recorder)
                .inspect_err(|error| tracing::warn!(%error, "no metrics"))
                .ok()
        })
        .as_ref()
}

/// Routes of health and metrics.
pub fn router(health: Health) -> Router {
    let _ = recorder();
    let ready = move || {
        let reasons = health.reasons();
        async move {
            if reasons.is_empty() {
                (StatusCode::OK, "ready\n".to_owned())
            } else {
                (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", reasons.join("\n")))
            }
        }
    };
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/healthz", get(ready.clone()))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
}

async fn metrics() -> impl IntoResponse {
    let text = recorder().map(PrometheusHandle::render).unwrap_or_default();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}
