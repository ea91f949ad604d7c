//! Everything that can go wrong, as an answer: one table of codes, and one way from each error
//! to its code.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use hyper::ext::ReasonPhrase;
use serde_json::json;

use super::answer::AnswerError;
use crate::auth::{AuthError, BearerError, Lapsed, Refusal, StoredTokenError, TokenSecretError};
use crate::document::WalkError;
use crate::policy::NotServed;
use crate::query::QueryError;
use crate::secrets::ReadError;

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $status:literal $code:literal, $title:literal;)*) => {
        /// What went wrong. Each code is stable: callers and alerts may rely on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $title] $(#[doc = $doc])* $name,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            const fn row(self) -> (u16, &'static str, &'static str) {
                match self {
                    $(Self::$name => ($status, $code, $title),)*
                }
            }

            /// The reason phrase of HTTP/1.1, which carries the code.
            const fn reason(self) -> ReasonPhrase {
                match self {
                    $(Self::$name => ReasonPhrase::from_static($code.as_bytes()),)*
                }
            }
        }
    };
}

codes! {
    UnknownPath = 400 "unknown-path", "There is nothing at this path; the endpoint is /webhook";
    BodyNotAllowed = 400 "body-not-allowed", "A request here has no body";
    RepeatedAuthorization = 400 "repeated-authorization", "There is more than one Authorization header";
    MalformedAuthorization = 400 "malformed-authorization", "The Authorization header is not 'Bearer' and one token";
    MalformedQuery = 400 "malformed-query", "The query string is not properly percent-encoded text";
    UnknownParameter = 400 "unknown-parameter", "The query has a parameter that does not exist here";
    RepeatedParameter = 400 "repeated-parameter", "The query has a parameter twice";
    MissingKey = 400 "missing-key", "The parameter key is missing or empty";
    InvalidKey = 400 "invalid-key", "The key is not [namespace/]name by the rules of Kubernetes";
    ConflictingProperty = 400 "conflicting-property", "property and path say different things";
    UnknownEncoding = 400 "unknown-encoding", "The only encoding is base64";
    NoVersions = 400 "no-versions", "Kubernetes Secrets have no versions";
    RawNeedsProperty = 400 "raw-needs-property", "Only a property can be had as application/octet-stream";
    NoToken = 401 "no-token", "The request carries no bearer token";
    TokenNotRendered = 401 "token-not-rendered", "The store's header template names an entry that is not there, so that no token was sent";
    TokenNotJwt = 401 "token-not-jwt", "The bearer token is not a JWT";
    TokenMismatch = 401 "token-mismatch", "The bearer token is not the one that the token Secret holds now";
    TokenExpired = 401 "token-expired", "The token has expired";
    TokenNotYetValid = 401 "token-not-yet-valid", "The token is not valid yet";
    NamespaceNotServed = 403 "namespace-not-served", "Secrets of this namespace are not served";
    NotLabelled = 403 "not-labelled", "The Secret is not labelled for serving";
    NeverServed = 403 "never-served", "Secrets of this kind are never served";
    NoSuchSecret = 404 "no-such-secret", "There is no such Secret";
    MethodNotAllowed = 405 "method-not-allowed", "Only GET and HEAD are allowed";
    UriTooLong = 414 "uri-too-long", "The URL is too long";
    NoSuchEntry = 422 "no-such-entry", "The Secret has no such entry";
    NoSuchPath = 422 "no-such-path", "The entry has no such path";
    NotText = 422 "not-text", "The value is not UTF-8 text";
    TokenSecretMissing = 500 "token-secret-missing", "The Secret that holds the token does not exist";
    TokenEntryMissing = 500 "token-entry-missing", "The token Secret has no token: its entry is missing or empty";
    StoredTokenNotJwt = 500 "stored-token-not-jwt", "What the token Secret holds is not a JWT";
    StoredTokenAlgNone = 500 "stored-token-alg-none", "What the token Secret holds is an unsecured JWT";
    StoredTokenBadClaims = 500 "stored-token-bad-claims", "The stored token's exp or nbf is not a number";
    RbacForbidden = 500 "rbac-forbidden", "The service's ServiceAccount may not read the Secret";
    InvalidData = 500 "invalid-data", "An entry of the Secret is not valid base64";
    DuplicateManifest = 500 "duplicate-manifest", "Two manifests define the Secret";
    UnreadableManifest = 500 "unreadable-manifest", "A manifest cannot be read";
    InternalError = 500 "internal-error", "The service has failed in a way that it should not";
    ApiUnavailable = 503 "api-unavailable", "The Kubernetes API server is unavailable";
    DeadlineExceeded = 503 "deadline-exceeded", "No answer was ready within the deadline";
    Overloaded = 503 "overloaded", "Too much is under way";
}

impl Code {
    /// The status that goes with it.
    #[must_use]
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().0).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Its stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.row().1
    }

    /// Its fixed title.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.row().2
    }
}

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
    fn with_detail(code: Code, detail: Option<String>) -> Self {
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
        let (status, code, title) = self.code.row();
        let mut body = json!({
            "type": format!("tag:scout.vsecm.com,2026:{code}"),
            "title": title,
            "status": status,
            "code": code,
        });
        if let (Some(detail), Some(members)) = (&self.detail, body.as_object_mut()) {
            members.insert("detail".to_owned(), detail.as_str().into());
        }
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = self.code.status();
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
        if self.code == Code::BodyNotAllowed {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_in_the_documentation_is_this_one() {
        let rows: String = Code::ALL
            .iter()
            .map(|code| {
                format!("| {} | `{}` | {} |\n", code.status().as_u16(), code.as_str(), code.title())
            })
            .collect();
        let documented = include_str!("../../docs/api.md");
        assert!(documented.contains(&rows), "docs/api.md should hold:\n{rows}");
    }

    #[test]
    fn a_404_says_that_a_secret_does_not_exist_and_nothing_else() {
        let not_found = Code::ALL.iter().filter(|code| code.status() == StatusCode::NOT_FOUND);
        assert_eq!(not_found.collect::<Vec<_>>(), [&Code::NoSuchSecret]);
    }
}
