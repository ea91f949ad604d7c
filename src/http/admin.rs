//! The admin endpoints: liveness, readiness and metrics, over plain HTTP.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::body::Held;
use crate::connection::Connection;
use crate::health::Readiness;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The router of the admin port.
pub fn router(readiness: Arc<Readiness>, registry: Arc<Registry>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz).with_state(readiness))
        .route("/metrics", get(metrics).with_state(registry))
        .layer(middleware::from_fn(note_use))
}

/// Shows the connection its requests: one that is in use neither makes room nor counts as idle.
async fn note_use(request: Request, next: Next) -> Response {
    let connection = request.extensions().get::<Arc<Connection>>();
    let held = Held { activity: connection.map(Connection::begin), _slot: None };
    held.until_written(next.run(request).await)
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

/// OpenMetrics for who asks for it, as Prometheus does, else Prometheus's own older text format,
/// which is all that `promtool check metrics` reads.
async fn metrics(State(registry): State<Arc<Registry>>, headers: HeaderMap) -> Response {
    let mut text = String::new();
    if encode(&mut text, &registry).is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let asks = |accept: &str| accept.contains("application/openmetrics-text");
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    if accepted.into_iter().any(asks) {
        ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response()
    } else {
        ([(header::CONTENT_TYPE, PROMETHEUS)], in_prometheus_format(&text)).into_response()
    }
}

/// The two formats differ here in their comments only: a counter's has no `_total`, and units
/// and the end are told.
fn in_prometheus_format(openmetrics: &str) -> String {
    let is_counter = |name: &str| openmetrics.contains(&format!("# TYPE {name} counter\n"));
    let mut text = String::with_capacity(openmetrics.len());
    for line in openmetrics.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("EOF" | "UNIT"), ..) => continue,
            (Some("#"), Some(what), Some(name), Some(rest)) if is_counter(name) => {
                text.push_str(&format!("# {what} {name}_total {rest}"));
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}
