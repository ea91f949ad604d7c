//! From an HTTP request to an HTTP response; sockets and TLS lie outside.

pub mod admin;
mod admission;
pub mod answer;
mod audit;
mod body;
pub mod code;
mod connection;
mod in_flight;
mod metrics;
pub mod problem;
mod readiness;
mod webhook;

use std::num::NonZeroUsize;
use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::any;

pub use audit::RequestIds;
pub use connection::{Activity, Connection, Neglect, Standing};
pub use metrics::Metrics;
pub use readiness::{Readiness, TokenSeen};
pub use webhook::Scout;

use code::Code;
use in_flight::InFlight;
use problem::Problem;

/// The router of the HTTPS port. It answers whatever is asked, up to `max_requests` at a time, with
/// one audit line each, and counts it in `metrics`.
pub fn router(
    scout: Arc<Scout>,
    ids: RequestIds,
    metrics: Arc<Metrics>,
    max_requests: NonZeroUsize,
) -> Router {
    let in_flight = InFlight::new(max_requests, metrics.in_flight());
    let audit = Arc::new(audit::Audit { ids, metrics });
    Router::new()
        .route("/webhook", any(webhook::webhook))
        // Never a 404: ESO would take a mistyped URL for a deleted secret.
        .fallback(|| async { Problem::from(Code::UnknownPath).into_response() })
        .with_state(scout)
        .layer(middleware::from_fn_with_state(in_flight, admission::admit))
        .layer(middleware::from_fn_with_state(audit, audit::audit))
}
