//! What one answer of the API server means (pure).

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::StatusCode;
use serde::Deserialize;

use crate::secrets::{ReadError, Reservation, Secret, SecretBytes, SecretName};

/// Why one attempt to read failed, and what may help.
pub(super) struct Failure {
    pub(super) error: ReadError,
    pub(super) remedy: Remedy,
    /// The HTTP status, where there was an answer.
    pub(super) status: Option<StatusCode>,
}

/// What may help after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Nothing within this read.
    None,
    /// Asking once more.
    Retry,
    /// Asking once more with a client whose credentials and CA are read anew.
    Rebuild,
}

impl Failure {
    /// No usable answer, for `reason`.
    pub(super) fn unavailable(reason: &'static str, remedy: Remedy) -> Self {
        let error = ReadError::Unavailable { reason, retry_after: None };
        Self { error, remedy, status: None }
    }

    /// Whether it is the API server that is at fault, or the way to it, and not one Secret.
    pub(super) fn is_of_the_server(&self) -> bool {
        let is_answer = self.status == Some(StatusCode::OK) && self.remedy == Remedy::None;
        matches!(self.error, ReadError::Unavailable { .. }) && !is_answer
    }

    /// What an operator can do.
    pub(super) fn help(&self) -> &'static str {
        match (&self.error, self.remedy) {
            (ReadError::Forbidden, _) => {
                "give the service's ServiceAccount a Role with get on secrets in that namespace"
            }
            (ReadError::Unavailable { .. }, Remedy::Rebuild) => {
                "check the credentials and the CA of the kubeconfig or the ServiceAccount; they are \
                 read anew by themselves"
            }
            (ReadError::Unavailable { .. }, _) => {
                "check the API server and the network to it, NetworkPolicies among it; the service \
                 goes on by itself"
            }
            _ => "store the Secret anew",
        }
    }

    /// What the API server asked for in `Retry-After`.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self.error {
            ReadError::Unavailable { retry_after, .. } => retry_after,
            _ => None,
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self { error, remedy: Remedy::None, status: None }
    }
}

/// The Secret `name`, or why this answer does not hold it.
pub(super) fn interpret(
    name: &SecretName,
    status: StatusCode,
    retry_after: Option<Duration>,
    body: &[u8],
) -> Result<Secret, Failure> {
    let mut failure = match status {
        StatusCode::OK => match secret(name, body) {
            Ok(secret) => return Ok(secret),
            Err(failure) => failure,
        },
        StatusCode::NOT_FOUND if says_not_found(name, body) => ReadError::NotFound.into(),
        StatusCode::FORBIDDEN if says_forbidden(body) => ReadError::Forbidden.into(),
        StatusCode::UNAUTHORIZED => {
            Failure::unavailable("the API server does not accept our credentials", Remedy::Rebuild)
        }
        StatusCode::TOO_MANY_REQUESTS => Failure::unavailable("it is throttling", Remedy::Retry),
        StatusCode::INTERNAL_SERVER_ERROR | StatusCode::SERVICE_UNAVAILABLE => {
            Failure::unavailable("it answered with a server error", Remedy::Retry)
        }
        _ => Failure::unavailable("it answered with an unexpected status", Remedy::None),
    };
    if let ReadError::Unavailable { retry_after: asked, .. } = &mut failure.error {
        *asked = retry_after;
    }
    failure.status = Some(status);
    Err(failure)
}

/// A Secret in JSON, as the API server writes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    kind: String,
    api_version: String,
    metadata: Metadata,
    #[serde(default, rename = "type")]
    secret_type: Option<String>,
    /// Go writes an empty byte slice as `null`.
    #[serde(default)]
    data: Option<BTreeMap<String, Option<SecretBytes>>>,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    namespace: String,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, SecretBytes>>,
}

fn secret(name: &SecretName, body: &[u8]) -> Result<Secret, Failure> {
    // The parser's message may quote the body.
    let object: Object = serde_json::from_slice(body)
        .map_err(|_| Failure::unavailable("it answered with something else", Remedy::None))?;
    if (object.kind.as_str(), object.api_version.as_str()) != ("Secret", "v1")
        || object.metadata.name != name.name()
        || object.metadata.namespace != name.namespace.as_str()
    {
        return Err(Failure::unavailable("it answered with another object", Remedy::None));
    }
    let mut entries = BTreeMap::new();
    for (entry, text) in object.data.unwrap_or_default() {
        entries.insert(entry, text.unwrap_or_default().decode_base64()?);
    }
    Ok(Secret {
        kind: object.secret_type.unwrap_or_else(|| "Opaque".to_owned()),
        labels: object.metadata.labels.unwrap_or_default(),
        annotations: object.metadata.annotations.unwrap_or_default(),
        entries,
        reservation: Reservation::default(),
    })
}

/// `meta/v1` `Status`: how the API server itself says that something failed. A proxy in between
/// answers with something else.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    kind: String,
    api_version: String,
    status: String,
    reason: String,
    #[serde(default)]
    details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    name: String,
}

impl Status {
    fn parse(body: &[u8], reason: &str) -> Option<Self> {
        let status: Self = serde_json::from_slice(body).ok()?;
        let failure = status.kind == "Status"
            && status.api_version == "v1"
            && status.status == "Failure"
            && status.reason == reason;
        failure.then_some(status)
    }
}

fn says_not_found(name: &SecretName, body: &[u8]) -> bool {
    Status::parse(body, "NotFound")
        .and_then(|status| status.details)
        .is_some_and(|details| details.kind == "secrets" && details.name == name.name())
}

fn says_forbidden(body: &[u8]) -> bool {
    Status::parse(body, "Forbidden").is_some()
}
