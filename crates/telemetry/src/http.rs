//! `/metrics`, `/livez` and `/readyz` over HTTP.

use crate::metrics::Metrics;
use crate::readiness::Readiness;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use std::future::Future;
use tokio::net::TcpListener;

/// The media type of OpenMetrics text, as `prometheus-client` writes it.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers scrapes and probes. It has a listener of its own, so that a service that sheds load is still observed.
#[derive(Debug, Clone)]
pub struct ObservabilityServer {
    metrics: Metrics,
    readiness: Readiness,
}

impl ObservabilityServer {
    /// A server of these metrics and this readiness.
    #[must_use]
    pub fn new(metrics: Metrics, readiness: Readiness) -> Self {
        Self { metrics, readiness }
    }

    /// Serves until `shutdown` ends. Stop it after the service itself, so that `/readyz` says "stopping" meanwhile.
    ///
    /// # Errors
    /// Where the listener breaks.
    pub async fn run(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/livez", get(|| async { "live\n" }))
            .route("/readyz", get(readyz))
            .with_state(self);
        axum::serve(listener, router).with_graceful_shutdown(shutdown).await
    }
}

async fn metrics(State(server): State<ObservabilityServer>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, OPENMETRICS)], server.metrics.encode())
}

async fn readyz(State(server): State<ObservabilityServer>) -> impl IntoResponse {
    let state = server.readiness.snapshot();
    let told = |what: &str, (name, why): (&String, &String)| format!("{what} {name}: {why}\n");
    let away: String = state.away.iter().map(|one| told("without", one)).collect();
    if state.is_ready() {
        return (StatusCode::OK, format!("ready\n{away}"));
    }
    let mut lines: String = state.waiting_for.iter().map(|one| told("waiting for", one)).collect();
    lines.push_str(&away);
    if state.stopping {
        lines.push_str("stopping\n");
    }
    (StatusCode::SERVICE_UNAVAILABLE, lines)
}
