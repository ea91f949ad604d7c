//! From an HTTP request to an HTTP response; sockets and TLS lie outside.

pub mod admin;
mod admission;
pub mod answer;
mod audit;
mod body;
pub mod code;
mod connection;
pub mod problem;
mod readiness;
mod webhook;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::any;

pub use admission::InFlight;
pub use audit::RequestIds;
pub use connection::{Activity, Connection, Neglect, Standing};
pub use readiness::Readiness;
pub use webhook::Scout;

use code::Code;
use problem::Problem;

/// The router of the HTTPS port. It answers whatever is asked, with one audit line each.
pub fn router(scout: Arc<Scout>, ids: Arc<RequestIds>, in_flight: InFlight) -> Router {
    Router::new()
        .route("/webhook", any(webhook::webhook))
        // Never a 404: ESO would take a mistyped URL for a deleted secret.
        .fallback(|| async { Problem::from(Code::UnknownPath).into_response() })
        .with_state(scout)
        .layer(middleware::from_fn_with_state(in_flight, admission::admit))
        .layer(middleware::from_fn_with_state(ids, audit::audit))
}
