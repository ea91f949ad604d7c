//! From an HTTP request to an HTTP response; sockets and TLS lie outside.

pub mod accept;
pub mod admin;
mod audit;
mod body;
pub mod host;
mod metrics;
mod pipeline;
mod problem_json;
mod soundness;
mod value;
mod webhook;

use std::num::NonZeroUsize;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};

pub use audit::{AUDIT, RequestIds};
pub use metrics::Metrics;
pub use webhook::Endpoint;

use pipeline::Pipeline;

/// The router of the HTTPS port. It answers whatever is asked, up to `max_requests` at a time, with
/// one audit line each, and counts it in `metrics`.
pub fn router(
    endpoint: Arc<Endpoint>,
    ids: RequestIds,
    metrics: Arc<Metrics>,
    max_requests: NonZeroUsize,
) -> Router {
    let pipeline = Arc::new(Pipeline::new(endpoint, ids, metrics, max_requests));
    let respond = |State(pipeline): State<Arc<Pipeline>>, request: Request| async move {
        pipeline.respond(request).await
    };
    Router::new().fallback(respond).with_state(pipeline)
}
