//! The audit line: exactly one for each request, also for one whose caller went away, and with it
//! the count of requests.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use aws_lc_rs::rand;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;

use super::metrics::{Metrics, Outcome};
use crate::auth::Caller;
use crate::connection::Connection;
use crate::problem::Code;
use crate::problem::Problem;
use crate::secrets::SecretName;

/// The target of audit lines in the log.
pub const AUDIT: &str = "vsecm_scout::audit";

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest text of a caller's that a line carries, in characters.
const MAX_FIELD: usize = 128;

/// Numbers the requests of this process: a random prefix and a count.
pub struct RequestIds {
    prefix: u32,
    next: AtomicU64,
}

impl RequestIds {
    /// Ids with a new prefix.
    ///
    /// # Errors
    /// Where the system has no random numbers.
    pub fn new() -> Result<Self, aws_lc_rs::error::Unspecified> {
        let mut prefix = [0; 4];
        rand::fill(&mut prefix)?;
        Ok(Self { prefix: u32::from_ne_bytes(prefix), next: AtomicU64::new(1) })
    }

    fn next(&self) -> String {
        format!("{:08x}-{:x}", self.prefix, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// What the handler finds out on its way and the audit line may tell.
#[derive(Clone, Default)]
pub struct Trail(Arc<Facts>);

#[derive(Default)]
struct Facts {
    key: OnceLock<SecretName>,
    caller: OnceLock<Caller>,
}

impl Trail {
    /// Notes the key, which has passed the grammar.
    pub fn note_key(&self, key: &SecretName) {
        let _ = self.0.key.set(key.clone());
    }

    /// Notes who was let in.
    pub fn note_caller(&self, caller: Caller) {
        let _ = self.0.caller.set(caller);
    }
}

/// What lines and counts need.
pub(super) struct Audit {
    pub(super) ids: RequestIds,
    pub(super) metrics: Arc<Metrics>,
}

/// Writes the line and counts the request when it is dropped, whatever ended the request: the two
/// cannot disagree.
struct Line {
    metrics: Arc<Metrics>,
    request_id: String,
    client_request_id: Option<String>,
    connection: Option<Arc<Connection>>,
    method: Method,
    arrived: Instant,
    trail: Trail,
    status: Option<StatusCode>,
    outcome: Outcome,
}

impl Drop for Line {
    fn drop(&mut self) {
        let Facts { key, caller } = &*self.trail.0;
        let caller = caller.get();
        let latency = self.arrived.elapsed();
        self.metrics.request_ended(self.outcome, latency);
        tracing::info!(
            target: AUDIT,
            request_id = self.request_id,
            client_request_id = self.client_request_id,
            peer = self.connection.as_ref().map(|connection| connection.peer_text()),
            method = cut(self.method.as_str()),
            status = self.status.map(|status| status.as_u16()),
            code = self.outcome.as_str(),
            key = key.get().map(ToString::to_string),
            sub = caller.and_then(|caller| caller.subject.as_deref()).map(cut),
            token_hash = caller.map(|caller| caller.token_hash.as_str()),
            latency_ms = latency.as_secs_f64() * 1000.0,
            "request"
        );
    }
}

/// Runs the request, turns a panic into a 500, and leaves the audit line.
pub(super) async fn audit<F: Future<Output = Response>>(
    audit: &Audit,
    request: Request,
    next: impl FnOnce(Request, Trail) -> F,
) -> Response {
    let trail = Trail::default();
    let mut line = Line {
        metrics: Arc::clone(&audit.metrics),
        request_id: audit.ids.next(),
        client_request_id: client_request_id(request.headers()),
        connection: request.extensions().get().map(Arc::clone),
        method: request.method().clone(),
        arrived: Instant::now(),
        trail: trail.clone(),
        status: None,
        outcome: Outcome::CallerGone,
    };
    let answer = AssertUnwindSafe(next(request, trail)).catch_unwind();
    let mut response = answer.await.unwrap_or_else(|_| {
        audit.metrics.panicked();
        Problem::from(Code::InternalError).into_response()
    });
    line.status = Some(response.status());
    line.outcome = response.extensions().get().copied().map_or(Outcome::Served, Outcome::Refused);
    if let Ok(id) = HeaderValue::from_str(&line.request_id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn client_request_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    ((1..=64).contains(&id.len()) && id.bytes().all(allowed)).then(|| id.to_owned())
}

fn cut(text: &str) -> &str {
    text.char_indices().nth(MAX_FIELD).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}
