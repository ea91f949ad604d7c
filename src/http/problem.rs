//! Everything that can go wrong, as an answer: one way from each error to its code.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::json;

use super::answer::AnswerError;
use super::code::Code;
use crate::auth::{AuthError, BearerError, Lapsed, Refusal, StoredTokenError, TokenSecretError};
use crate::document::WalkError;
use crate::policy::NotServed;
use crate::query::QueryError;
use crate::secrets::{Full, ReadError};

/// An answer that is no value: a code, and what little may be said beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What went wrong.
    pub code: Code,
    detail: Option<String>,
    retry_after: Option<Duration>,
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self { code, detail: None, retry_after: None }
    }
}

impl Problem {
    pub(super) fn with_detail(code: Code, detail: Option<String>) -> Self {
        Self { detail, ..code.into() }
    }

    /// What to answer where the value's Secret could not be read.
    #[must_use]
    pub fn of_value(error: ReadError) -> Self {
        Self::of_read(error, Code::NoSuchSecret)
    }

    fn of_read(error: ReadError, not_found: Code) -> Self {
        let code = match error {
            ReadError::NotFound => not_found,
            ReadError::Forbidden => Code::RbacForbidden,
            ReadError::InvalidData => Code::InvalidData,
            ReadError::DuplicateManifest => Code::DuplicateManifest,
            ReadError::UnreadableManifest => Code::UnreadableManifest,
            ReadError::Overloaded => Code::Overloaded,
            ReadError::Unavailable { retry_after, .. } => {
                return Self { retry_after, ..Code::ApiUnavailable.into() };
            }
        };
        code.into()
    }

    /// The response: `application/problem+json` (RFC 9457), with the code in HTTP/1.1's reason
    /// phrase too, since ESO prints that line and drops the body
    /// (`providers/v1/webhook/pkg/webhook/webhook.go`).
    #[must_use]
    pub fn into_response(self) -> Response<Body> {
        let (status, code) = (self.code.status(), self.code.as_str());
        let mut body = json!({
            "type": format!("tag:scout.vsecm.com,2026:{code}"),
            "title": self.code.title(),
            "status": status.as_u16(),
            "code": code,
        });
        if let (Some(detail), Some(members)) = (&self.detail, body.as_object_mut()) {
            members.insert("detail".to_owned(), detail.as_str().into());
        }
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = status;
        self.set_headers(response.headers_mut());
        response.extensions_mut().insert(self.code.reason());
        response.extensions_mut().insert(self.code);
        response
    }

    fn set_headers(&self, headers: &mut HeaderMap) {
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, json);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = challenge(self.code) {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        match self.code.status() {
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                let seconds = self.retry_after.map_or(1, |after| after.as_secs().max(1));
                headers.insert(header::RETRY_AFTER, seconds.into());
            }
            _ => {}
        }
    }
}

/// RFC 6750, section 3: no error where there was no token.
fn challenge(code: Code) -> Option<&'static str> {
    match code {
        Code::NoToken => Some(r#"Bearer realm="vsecm-scout""#),
        Code::RepeatedAuthorization | Code::MalformedAuthorization => {
            Some(r#"Bearer realm="vsecm-scout", error="invalid_request""#)
        }
        code if code.status() == StatusCode::UNAUTHORIZED => {
            Some(r#"Bearer realm="vsecm-scout", error="invalid_token""#)
        }
        _ => None,
    }
}

/// `what "name"`, unless the name has characters that should be echoed nowhere.
fn naming(what: &str, name: &str) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let plain = (1..=64).contains(&name.len()) && name.bytes().all(allowed);
    plain.then(|| format!("{what} \"{name}\""))
}

impl From<Full> for Problem {
    fn from(_: Full) -> Self {
        Code::Overloaded.into()
    }
}

impl From<BearerError> for Problem {
    fn from(error: BearerError) -> Self {
        match error {
            BearerError::Missing => Code::NoToken,
            BearerError::Repeated => Code::RepeatedAuthorization,
            BearerError::Malformed => Code::MalformedAuthorization,
            BearerError::NotRendered => Code::TokenNotRendered,
            BearerError::NotJwt => Code::TokenNotJwt,
        }
        .into()
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Read(error) => Self::of_read(error, Code::TokenSecretMissing),
            AuthError::Refused(Refusal::Mismatch) => Code::TokenMismatch.into(),
            AuthError::Refused(Refusal::Lapsed(Lapsed::Expired)) => Code::TokenExpired.into(),
            AuthError::Refused(Refusal::Lapsed(Lapsed::NotYetValid)) => {
                Code::TokenNotYetValid.into()
            }
            AuthError::Refused(Refusal::TokenSecret(error)) => match error {
                TokenSecretError::NoEntry | TokenSecretError::Unusable(StoredTokenError::Empty) => {
                    Code::TokenEntryMissing
                }
                TokenSecretError::Unusable(StoredTokenError::NotJwt) => Code::StoredTokenNotJwt,
                TokenSecretError::Unusable(StoredTokenError::AlgNone) => Code::StoredTokenAlgNone,
                TokenSecretError::Unusable(StoredTokenError::BadClaims) => {
                    Code::StoredTokenBadClaims
                }
            }
            .into(),
        }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Malformed => Code::MalformedQuery.into(),
            QueryError::UnknownParameter(name) => {
                Self::with_detail(Code::UnknownParameter, naming("parameter", &name))
            }
            QueryError::RepeatedParameter(name) => {
                Self::with_detail(Code::RepeatedParameter, naming("parameter", &name))
            }
            QueryError::MissingKey => Code::MissingKey.into(),
            QueryError::InvalidKey(reason) => {
                Self::with_detail(Code::InvalidKey, Some(reason.to_string()))
            }
            QueryError::ConflictingProperty => Code::ConflictingProperty.into(),
            QueryError::UnknownEncoding => Code::UnknownEncoding.into(),
            QueryError::NoVersions => Code::NoVersions.into(),
        }
    }
}

impl From<NotServed> for Problem {
    fn from(error: NotServed) -> Self {
        match error {
            NotServed::Namespace => Code::NamespaceNotServed,
            NotServed::Label => Code::NotLabelled,
            NotServed::Never => Code::NeverServed,
        }
        .into()
    }
}

impl From<AnswerError<'_>> for Problem {
    fn from(error: AnswerError<'_>) -> Self {
        match error {
            AnswerError::Walk { error: WalkError::NoSuchEntry, path } => {
                Self::with_detail(Code::NoSuchEntry, naming("entry", path))
            }
            AnswerError::Walk { error: WalkError::NoSuchPath, path } => {
                Self::with_detail(Code::NoSuchPath, naming("path", path))
            }
            AnswerError::NotText { entry } => {
                let entry = naming("entry", entry).unwrap_or_else(|| "an entry".to_owned());
                let detail = format!(
                    "{entry} holds bytes: ask with encoding=base64, or for it alone with Accept: application/octet-stream"
                );
                Self::with_detail(Code::NotText, Some(detail))
            }
        }
    }
}
