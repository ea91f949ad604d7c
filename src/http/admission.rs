//! What may be answered: requests whose head is sound, and as many as may be in flight.

use std::future::Future;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::{Method, Version, header};
use axum::response::{IntoResponse, Response};

use super::body::Held;
use crate::connection::Connection;
use crate::connection::InFlight;
use crate::problem::Code;
use crate::problem::Problem;

/// Lets a request in, or answers in the place of `next`.
pub(super) async fn admit<F: Future<Output = Response>>(
    in_flight: &InFlight,
    request: Request,
    next: impl FnOnce(Request) -> F,
) -> Response {
    let connection = request.extensions().get::<Arc<Connection>>().map(Arc::clone);
    let slot = in_flight.slot(connection.as_ref());
    let admitted = slot.is_some();
    let held = Held { activity: connection.as_ref().map(Connection::begin), _slot: slot };
    let response = if !is_sound(&request) {
        // Whoever stands between may see another request in these bytes: none is to follow.
        if let Some(connection) = connection {
            connection.close();
        }
        Problem::from(Code::MalformedRequest).into_response()
    } else if admitted {
        next(request).await
    } else {
        Problem::from(Code::Overloaded).into_response()
    };
    held.until_written(response)
}

/// Whether a head keeps two rules of HTTP/1.1 that hyper leaves to its users: one `Host` (RFC
/// 9112, section 3.2), and one way to tell where the body ends (section 6.1). hyper drops a
/// `Content-Length` beside a `Transfer-Encoding`, so that this alone has to do; the webhook refuses
/// it for GET and HEAD, as a body.
fn is_sound(request: &Request) -> bool {
    let headers = request.headers();
    let hosts = headers.get_all(header::HOST).iter().count();
    let may_have_body = !matches!(*request.method(), Method::GET | Method::HEAD);
    let ambiguous = may_have_body && headers.contains_key(header::TRANSFER_ENCODING);
    request.version() != Version::HTTP_11 || (hosts == 1 && !ambiguous)
}
