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

use super::accept::{self, Offer};
use super::body::RequestGuard;
use super::soundness::check_head;
use crate::connection::Connection;
use crate::health::Readiness;
use crate::problem::{Code, Problem};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Prometheus asks with the parameter `escaping`: names here need none.
const OPENMETRICS_OFFER: Offer = Offer {
    kind: "application",
    subkind: "openmetrics-text",
    parameters: &[("version", Some("1.0.0")), ("charset", Some("utf-8")), ("escaping", None)],
};
const PROMETHEUS_OFFER: Offer = Offer {
    kind: "text",
    subkind: "plain",
    parameters: &[("version", Some("0.0.4")), ("charset", Some("utf-8")), ("escaping", None)],
};

/// What to look for where the URL of a store has the wrong port.
const HERE: &str =
    "this is the admin port: it has /livez, /readyz and /metrics; /webhook is on the HTTPS port";

/// The router of the admin port. It has a 404 for nothing: ESO would take a store that points here for
/// one whose secrets were deleted.
pub fn router(readiness: Arc<Readiness>, registry: Arc<Registry>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz).with_state(readiness))
        .route("/metrics", get(metrics).with_state(registry))
        .method_not_allowed_fallback(async || problem(Code::MethodNotAllowed))
        .fallback(async || problem(Code::UnknownPath))
        .layer(middleware::from_fn(guard))
}

fn problem(code: Code) -> Response {
    Problem::with_detail(code, Some(HERE.to_owned())).into_response()
}

/// Checks a request's head, and shows the connection its requests: one that is in use neither makes
/// room nor counts as idle.
async fn guard(request: Request, next: Next) -> Response {
    let connection = request.extensions().get::<Arc<Connection>>().map(Arc::clone);
    let held =
        RequestGuard { in_flight: connection.as_ref().map(Connection::begin), _permit: None };
    let (head, body) = request.into_parts();
    let response = match check_head(&head) {
        Ok(()) => next.run(Request::from_parts(head, body)).await,
        Err(code) => {
            if let Some(connection) = connection {
                connection.close();
            }
            Problem::from(code).into_response()
        }
    };
    held.until_written(response)
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

/// OpenMetrics for clients that prefer it, as Prometheus does, else Prometheus's own older text
/// format, which is all that `promtool check metrics` reads.
async fn metrics(State(registry): State<Arc<Registry>>, headers: HeaderMap) -> Response {
    let mut text = String::new();
    if encode(&mut text, &registry).is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    if accept::prefers(lines, OPENMETRICS_OFFER, PROMETHEUS_OFFER) {
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
