//! From an HTTP request to an HTTP response; sockets and TLS lie outside.

pub mod accept;
pub mod admin;
mod admission;
pub mod answer;
mod audit;
mod body;
pub mod code;
mod connection;
pub mod host;
mod in_flight;
mod metrics;
pub mod problem;
mod readiness;
mod webhook;

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;

pub use audit::{AUDIT, RequestIds};
pub use connection::{Activity, Connection, Neglect, Standing};
pub use metrics::Metrics;
pub use readiness::{Readiness, TokenSeen};
pub use webhook::Scout;

use audit::{Audit, Trail};
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
    let door = Arc::new(Door { audit: Audit { ids, metrics }, in_flight, scout });
    Router::new().route("/webhook", any(webhook)).fallback(elsewhere).with_state(door)
}

/// What each request passes, from the outside to the inside.
struct Door {
    audit: Audit,
    in_flight: InFlight,
    scout: Arc<Scout>,
}

impl Door {
    /// Leads a request through to `answer`. These are plain calls: layers of axum's would box each
    /// request's future and clone the service.
    async fn pass<F: Future<Output = Response>>(
        &self,
        request: Request,
        answer: impl FnOnce(Request, Trail) -> F,
    ) -> Response {
        let admit = |request, trail| {
            admission::admit(&self.in_flight, request, |request| answer(request, trail))
        };
        audit::audit(&self.audit, request, admit).await
    }
}

async fn webhook(State(door): State<Arc<Door>>, request: Request) -> Response {
    let answer = |request, trail| webhook::webhook(&door.scout, trail, request);
    door.pass(request, answer).await
}

async fn elsewhere(State(door): State<Arc<Door>>, request: Request) -> Response {
    // Never a 404: ESO would take a mistyped URL for a deleted secret.
    let answer = |_, _| async { Problem::from(Code::UnknownPath).into_response() };
    door.pass(request, answer).await
}
