//! The admin endpoints: liveness and readiness, over plain HTTP.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::routing::get;

use super::readiness::Readiness;

/// The router of the admin port.
pub fn router(readiness: Arc<Readiness>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .with_state(readiness)
}

async fn readyz(
    State(readiness): State<Arc<Readiness>>,
    RawQuery(query): RawQuery,
) -> (StatusCode, String) {
    let (ready, lines) = readiness.report();
    let verbose = query
        .is_some_and(|query| query.split('&').any(|p| p == "verbose" || p.starts_with("verbose=")));
    match ready {
        // Whoever is turned away wants to know why.
        false => (StatusCode::SERVICE_UNAVAILABLE, lines),
        true if verbose => (StatusCode::OK, lines),
        true => (StatusCode::OK, "ok\n".to_owned()),
    }
}
