//! What may be answered: requests whose head is sound, and as many as may be in flight.

use std::future::Future;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::{Method, Version, header};
use axum::response::Response;

use super::Connection;
use super::body::Held;
use super::code::Code;
use super::host::Host;
use super::in_flight::InFlight;
use super::problem::Problem;

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
    let response = if let Err(code) = check_head(&request) {
        // Whoever stands between may see another request in these bytes: none is to follow.
        if let Some(connection) = connection
            && request.version() < Version::HTTP_2
        {
            connection.close();
        }
        Problem::from(code).into_response()
    } else if admitted {
        next(request).await
    } else {
        Problem::from(Code::Overloaded).into_response()
    };
    held.until_written(response)
}

/// Checks what hyper leaves to its users: for which host a request is, and that there is one way to
/// tell where its body ends.
pub(super) fn check_head(request: &Request) -> Result<(), Code> {
    if !has_one_host(request) {
        return Err(Code::MalformedHost);
    }
    // hyper drops a `Content-Length` beside a `Transfer-Encoding` (RFC 9112, section 6.1), so that
    // this alone has to do; the webhook refuses it for GET and HEAD, as a body.
    let may_have_body = !matches!(*request.method(), Method::GET | Method::HEAD);
    if may_have_body && request.headers().contains_key(header::TRANSFER_ENCODING) {
        return Err(Code::MalformedRequest);
    }
    Ok(())
}

/// Whether a request says for which host it is, once, in a form that can be a host (RFC 9112,
/// section 3.2; RFC 9113, section 8.3.1).
fn has_one_host(request: &Request) -> bool {
    let mut lines = request.headers().get_all(header::HOST).iter();
    let (line, repeated) = (lines.next(), lines.next().is_some());
    let named = line.map(|line| Host::parse(line.as_bytes()));
    let target = request.uri().authority().map(|target| Host::parse(target.as_str().as_bytes()));
    match (request.version(), target, named) {
        _ if repeated => false,
        (_, Some(None), _) | (_, _, Some(None)) => false,
        // In HTTP/1.1 an absolute target counts in the place of `Host` (RFC 9112, section 3.2.2).
        (Version::HTTP_2, Some(target), Some(named)) => target == named,
        (Version::HTTP_2, target, named) => target.is_some() || named.is_some(),
        (Version::HTTP_11, _, named) => named.is_some(),
        _ => true,
    }
}
