//! The audit record: exactly one line for each request, also for one whose caller went away, and
//! with it the count of requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use aws_lc_rs::rand;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;

use super::metrics::{Metrics, Outcome};
use crate::auth::Caller;
use crate::connection::Connection;
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

    pub(super) fn next(&self) -> String {
        format!("{:08x}-{:x}", self.prefix, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// What is known of a request. It is written as a line and counted when it is dropped, whatever
/// ended the request: the two cannot disagree.
pub(super) struct AuditRecord {
    metrics: Arc<Metrics>,
    request_id: String,
    client_request_id: Option<String>,
    connection: Option<Arc<Connection>>,
    method: Method,
    arrived: Instant,
    status: Option<StatusCode>,
    outcome: Outcome,
    /// The key, once it has passed the grammar.
    pub(super) key: Option<SecretName>,
    /// Who asks, once authenticated.
    pub(super) caller: Option<Caller>,
}

impl AuditRecord {
    /// The record of a request that arrives now.
    pub(super) fn new(request_id: String, metrics: &Arc<Metrics>, request: &Request) -> Self {
        Self {
            metrics: Arc::clone(metrics),
            request_id,
            client_request_id: client_request_id(request.headers()),
            connection: request.extensions().get().map(Arc::clone),
            method: request.method().clone(),
            arrived: Instant::now(),
            status: None,
            outcome: Outcome::CallerGone,
            key: None,
            caller: None,
        }
    }

    /// Notes the answer, and puts the request's id on it.
    pub(super) fn answered(&mut self, response: &mut Response, outcome: Outcome) {
        self.status = Some(response.status());
        self.outcome = outcome;
        if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
    }
}

impl Drop for AuditRecord {
    fn drop(&mut self) {
        let caller = self.caller.as_ref();
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
            key = self.key.as_ref().map(ToString::to_string),
            sub = caller.and_then(|caller| caller.subject.as_deref()).map(cut),
            token_hash = caller.map(|caller| caller.token_hash.as_str()),
            latency_ms = latency.as_secs_f64() * 1000.0,
            "request"
        );
    }
}

fn client_request_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    ((1..=64).contains(&id.len()) && id.bytes().all(allowed)).then(|| id.to_owned())
}

fn cut(text: &str) -> &str {
    text.char_indices().nth(MAX_FIELD).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}
