//! The way of a request, from its arrival to the last byte of its answer.

use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::body::HttpBody;
use axum::extract::Request;
use axum::http::Version;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;

use super::audit::{AuditRecord, RequestIds};
use super::body::RequestGuard;
use super::metrics::{Metrics, Outcome};
use super::soundness::check_head;
use super::webhook::Endpoint;
use crate::connection::{Connection, InFlight};
use crate::problem::{Code, Problem};

/// What every request of the HTTPS port passes whose head hyper and the server have taken.
pub(super) struct Pipeline {
    ids: RequestIds,
    metrics: Arc<Metrics>,
    in_flight: InFlight,
    endpoint: Arc<Endpoint>,
}

impl Pipeline {
    /// A pipeline to `endpoint` with room for `max_requests` at a time.
    pub(super) fn new(
        endpoint: Arc<Endpoint>,
        ids: RequestIds,
        metrics: Arc<Metrics>,
        max_requests: NonZeroUsize,
    ) -> Self {
        let in_flight = InFlight::new(max_requests, metrics.in_flight());
        Self { ids, metrics, in_flight, endpoint }
    }

    /// Answers a request, whatever happens on the way: with one audit record, which is written
    /// when it is dropped, and with a permit that is held until the last byte is written.
    pub(super) async fn respond(&self, request: Request) -> Response {
        let mut record = AuditRecord::new(self.ids.next(), &self.metrics, &request);
        let connection = request.extensions().get::<Arc<Connection>>().map(Arc::clone);
        let permit = self.in_flight.permit(connection.as_ref());
        let has_room = permit.is_some();
        let held =
            RequestGuard { in_flight: connection.as_ref().map(Connection::begin), _permit: permit };

        let (head, body) = request.into_parts();
        let handled = self.handle(&mut record, &head, !body.is_end_stream(), has_room);
        let handled = AssertUnwindSafe(handled).catch_unwind().await.unwrap_or_else(|_| {
            self.metrics.panicked();
            Err(Code::InternalError.into())
        });

        let (mut response, outcome) = match handled {
            Ok(response) => (response, Outcome::Served),
            Err(problem) => {
                let code = problem.code;
                if let Some(connection) = connection.filter(|_| ends_connection(code, head.version))
                {
                    connection.close();
                }
                (problem.into_response(), Outcome::Refused(code))
            }
        };
        record.answered(&mut response, outcome);
        held.until_written(response)
    }

    async fn handle(
        &self,
        record: &mut AuditRecord,
        head: &Parts,
        has_body: bool,
        has_room: bool,
    ) -> Result<Response, Problem> {
        check_head(head)?;
        if !has_room {
            return Err(Code::Overloaded.into());
        }
        self.endpoint.handle(record, head, has_body).await
    }
}

/// Whether no request may follow this one on its connection: whoever stands between may see another
/// request in the bytes of its head, or of a body that nobody reads.
fn ends_connection(code: Code, version: Version) -> bool {
    match code {
        Code::MalformedRequest | Code::MalformedHost => version < Version::HTTP_2,
        code => code == Code::BodyNotAllowed,
    }
}
