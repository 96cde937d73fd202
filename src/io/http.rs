//! `/livez`, `/readyz` and `/metrics` of operator and aggregator.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What the endpoints answer from.
#[derive(Clone)]
pub struct Endpoints {
    /// Metrics.
    pub registry: Arc<Registry>,
    /// Whether the process makes progress; when not, it is restarted.
    pub live: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Whether the process can do its work.
    pub ready: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl std::fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Endpoints")
    }
}

/// Binds `address`.
///
/// # Errors
/// When the address is taken or not this machine's.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until `stop` is cancelled.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    endpoints: Endpoints,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/livez", get(|State(e): State<Endpoints>| async move { probe((e.live)()) }))
        .route("/readyz", get(|State(e): State<Endpoints>| async move { probe((e.ready)()) }))
        .route("/metrics", get(metrics))
        .with_state(endpoints);
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

fn probe(good: bool) -> (StatusCode, &'static str) {
    if good { (StatusCode::OK, "ok\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not yet\n") }
}

async fn metrics(State(endpoints): State<Endpoints>) -> impl IntoResponse {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let status = match encode(&mut text, &endpoints.registry) {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (
        status,
        [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")],
        text,
    )
}
