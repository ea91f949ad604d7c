//! Whether the head of a request keeps the rules of HTTP that hyper leaves to its users.

use axum::http::request::Parts;
use axum::http::{Method, Version, header};

use crate::problem::{Code, Problem};

/// Two rules of HTTP/1.1: one `Host` (RFC 9112, section 3.2), and one way to tell where the body
/// ends (section 6.1). hyper drops a `Content-Length` beside a `Transfer-Encoding`, so that this
/// alone has to do; the endpoint refuses it for GET and HEAD, as a body.
///
/// # Errors
/// [`Code::MalformedRequest`].
pub(super) fn check(head: &Parts) -> Result<(), Problem> {
    let hosts = head.headers.get_all(header::HOST).iter().count();
    let may_have_body = !matches!(head.method, Method::GET | Method::HEAD);
    let ambiguous = may_have_body && head.headers.contains_key(header::TRANSFER_ENCODING);
    let sound = head.version != Version::HTTP_11 || (hosts == 1 && !ambiguous);
    if sound { Ok(()) } else { Err(Code::MalformedRequest.into()) }
}
