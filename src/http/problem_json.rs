//! A problem as a response.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::ext::ReasonPhrase;
use serde_json::json;

use crate::problem::{Code, Problem};

impl IntoResponse for Problem {
    /// `application/problem+json` (RFC 9457), with the code in HTTP/1.1's reason phrase too, since
    /// ESO prints that line and drops the body (`providers/v1/webhook/pkg/webhook/webhook.go`).
    fn into_response(self) -> Response {
        let (status, code) = (self.code.status(), self.code.as_str());
        let mut body = json!({
            "type": format!("tag:scout.vsecm.com,2026:{code}"),
            "title": self.code.title(),
            "status": status,
            "code": code,
        });
        if let (Some(detail), Some(members)) = (&self.detail, body.as_object_mut()) {
            members.insert("detail".to_owned(), detail.as_str().into());
        }
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() =
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        set_headers(&self, response.headers_mut());
        response.extensions_mut().insert(ReasonPhrase::from_static(code.as_bytes()));
        response
    }
}

fn set_headers(problem: &Problem, headers: &mut HeaderMap) {
    let json = HeaderValue::from_static("application/problem+json");
    headers.insert(header::CONTENT_TYPE, json);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(challenge) = challenge(problem.code) {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    match problem.code.status() {
        405 => {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        503 => {
            let seconds = problem.retry_after.map_or(1, |after| after.as_secs().max(1));
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        _ => {}
    }
}

/// RFC 6750, section 3: no error where there was no token.
fn challenge(code: Code) -> Option<&'static str> {
    match code {
        Code::NoToken => Some(r#"Bearer realm="vsecm-scout""#),
        Code::RepeatedAuthorization | Code::MalformedAuthorization => {
            Some(r#"Bearer realm="vsecm-scout", error="invalid_request""#)
        }
        code if code.status() == 401 => {
            Some(r#"Bearer realm="vsecm-scout", error="invalid_token""#)
        }
        _ => None,
    }
}
