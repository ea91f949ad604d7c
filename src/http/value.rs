//! A value as a response, in the form that the client prefers.

use std::io;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use zeroize::Zeroizing;

use super::accept::{self, Offer};
use crate::answer::{Answer, Form};
use crate::secrets::Reservation;

/// RFC 8259 knows no parameters, and says that a `charset` has no effect.
const JSON: Offer =
    Offer { kind: "application", subkind: "json", parameters: &[("charset", Some("utf-8"))] };

const RAW: Offer = Offer { kind: "application", subkind: "octet-stream", parameters: &[] };

/// The bytes of an answer: zeroed once they are sent, and until then part of the memory budget.
struct Sent {
    bytes: Zeroizing<Vec<u8>>,
    _reservation: Reservation,
}

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The form that a client prefers. It never gets a 406: JSON answers an `Accept` that cannot be met
/// (RFC 9110, section 12.5.1, allows that).
pub(super) fn preferred_form(headers: &HeaderMap) -> Form {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    if accept::prefers(lines, RAW, JSON) { Form::Raw } else { Form::Json }
}

/// The response to an answer of `size` bytes, which keeps its `reservation` until it is sent.
///
/// # Errors
/// None that could occur: writing to a vector does not fail.
pub(super) fn response(
    answer: &Answer<'_>,
    size: usize,
    reservation: Reservation,
) -> io::Result<Response> {
    // A buffer that has to grow would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(size));
    answer.write(&mut *bytes)?;
    let mut response =
        Response::new(Body::from(Bytes::from_owner(Sent { bytes, _reservation: reservation })));
    let headers = response.headers_mut();
    let kind = match answer.form() {
        Form::Json => "application/json",
        Form::Raw => "application/octet-stream",
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_bytes_are_sent_only_where_they_are_asked_for_by_name() {
        for (accept, form) in [
            (&[&b"application/octet-stream"[..]][..], Form::Raw),
            (&[b"text/html;q=0.1", b"application/octet-stream;q=0.5, */*;q=0.5"], Form::Raw),
            (&[b"application/json;charset=utf-8", b"application/octet-stream"], Form::Json),
            (&[b"*/*"], Form::Json),
            (&[b"text/html"], Form::Json),
            (&[b"\xff", b"application/octet-stream"], Form::Raw),
            (&[], Form::Json),
        ] {
            let mut headers = HeaderMap::new();
            for value in accept {
                headers.append(header::ACCEPT, HeaderValue::from_bytes(value).unwrap());
            }
            assert_eq!(preferred_form(&headers), form, "{accept:?}");
        }
    }
}
