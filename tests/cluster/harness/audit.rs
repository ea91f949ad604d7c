//! The API server's audit log.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde::Deserialize;

/// One request that the API server has answered.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditEvent {
    /// What was done: `get`, `list`, `watch`, `create`, …
    pub(crate) verb: String,
    /// The path and query.
    #[serde(rename = "requestURI")]
    pub(crate) uri: String,
    /// Who did it.
    pub(crate) user: User,
    /// The client's own name.
    #[serde(default)]
    pub(crate) user_agent: String,
    /// What it was done to; absent for paths that are no resource.
    #[serde(default, rename = "objectRef")]
    pub(crate) object: Object,
    /// The answer.
    #[serde(default, rename = "responseStatus")]
    pub(crate) response: Response,
}

/// The user of a request.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct User {
    /// The name, for a ServiceAccount `system:serviceaccount:NAMESPACE:NAME`.
    pub(crate) username: String,
}

/// The object of a request; what it does not have is empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Object {
    /// The resource, in the plural: `secrets`.
    pub(crate) resource: String,
    /// Its subresource.
    pub(crate) subresource: String,
    /// Its namespace.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
}

/// The answer to a request.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Response {
    /// The HTTP status.
    pub(crate) code: u16,
}

/// The requests of `user` so far, in the order in which they ended.
pub(crate) fn read(log: &Path, user: &str) -> Result<Vec<AuditEvent>> {
    let log = fs::read_to_string(log)?;
    // The last line may be half written.
    let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let events =
        whole.lines().filter(|line| line.contains(user)).map(serde_json::from_str::<AuditEvent>);
    let events: Vec<AuditEvent> = events.collect::<Result<_, _>>()?;
    Ok(events.into_iter().filter(|event| event.user.username == user).collect())
}
