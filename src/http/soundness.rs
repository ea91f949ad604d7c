//! Whether the head of a request keeps the rules of HTTP that hyper leaves to its users.

use axum::http::request::Parts;
use axum::http::{Method, Version, header};

use super::host::Host;
use crate::problem::Code;

/// Checks what hyper leaves to its users: for which host a request is, and that there is one way to
/// tell where its body ends.
pub(super) fn check_head(head: &Parts) -> Result<(), Code> {
    if !has_one_host(head) {
        return Err(Code::MalformedHost);
    }
    // hyper drops a `Content-Length` beside a `Transfer-Encoding` (RFC 9112, section 6.1), so that
    // this alone has to do; the endpoint refuses it for GET and HEAD, as a body.
    let may_have_body = !matches!(head.method, Method::GET | Method::HEAD);
    if may_have_body && head.headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(Code::MalformedRequest);
    }
    Ok(())
}

/// Whether a request says for which host it is, once, in a form that can be a host (RFC 9112,
/// section 3.2; RFC 9113, section 8.3.1).
fn has_one_host(head: &Parts) -> bool {
    let mut lines = head.headers.get_all(header::HOST).iter();
    let (line, repeated) = (lines.next(), lines.next().is_some());
    let named = line.map(|line| Host::parse(line.as_bytes()));
    let target = head.uri.authority().map(|target| Host::parse(target.as_str().as_bytes()));
    match (head.version, target, named) {
        _ if repeated => false,
        (_, Some(None), _) | (_, _, Some(None)) => false,
        // In HTTP/1.1 an absolute target counts in the place of `Host` (RFC 9112, section 3.2.2).
        (Version::HTTP_2, Some(target), Some(named)) => target == named,
        (Version::HTTP_2, target, named) => target.is_some() || named.is_some(),
        (Version::HTTP_11, _, named) => named.is_some(),
        _ => true,
    }
}
