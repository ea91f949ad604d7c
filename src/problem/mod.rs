//! Everything that can go wrong: a stable code for it, and one way from each error to its code.

mod code;

use std::time::Duration;

pub use code::Code;

use crate::answer::AnswerError;
use crate::auth::{
    AuthError, BearerError, OutsideValidity, Refusal, StoredTokenError, TokenSecretError,
};
use crate::document::WalkError;
use crate::policy::NotServed;
use crate::query::QueryError;
use crate::secrets::{Exhausted, ReadError};

/// An answer that is no value: a code, and what little may be said beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What went wrong.
    pub code: Code,
    /// One parameter, entry or path by name, or fixed words.
    pub detail: Option<String>,
    /// When to ask again, where the API server has said so.
    pub retry_after: Option<Duration>,
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self { code, detail: None, retry_after: None }
    }
}

impl Problem {
    /// A problem of this code, with what little may be said beside it.
    #[must_use]
    pub fn with_detail(code: Code, detail: Option<String>) -> Self {
        Self { detail, ..code.into() }
    }

    /// What is said beside the code: the name of a parameter, an entry or a path.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
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
}

/// `what "name"`, unless the name has characters that should be echoed nowhere.
fn naming(what: &str, name: &str) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let plain = (1..=64).contains(&name.len()) && name.bytes().all(allowed);
    plain.then(|| format!("{what} \"{name}\""))
}

impl From<Exhausted> for Problem {
    fn from(_: Exhausted) -> Self {
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
            AuthError::Refused(Refusal::OutsideValidity(OutsideValidity::Expired)) => {
                Code::TokenExpired.into()
            }
            AuthError::Refused(Refusal::OutsideValidity(OutsideValidity::NotYetValid)) => {
                Code::TokenNotYetValid.into()
            }
            AuthError::Refused(Refusal::TokenSecret(error)) => match error {
                TokenSecretError::NoEntry | TokenSecretError::Unusable(StoredTokenError::Empty) => {
                    Code::TokenEntryMissing
                }
                TokenSecretError::Unusable(StoredTokenError::NotJwt) => Code::StoredTokenNotJwt,
                TokenSecretError::Unusable(StoredTokenError::AlgNone) => Code::StoredTokenAlgNone,
                TokenSecretError::Unusable(StoredTokenError::BadClaim { .. }) => {
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
