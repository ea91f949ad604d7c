//! Where secrets are read: the trait, what it returns and how it fails.
//!
//! Nothing here knows a protocol or a file format; each source is a file of its own.

mod bytes;
pub mod manifest;
mod manifests;
mod memory;
mod metrics;
mod name;
mod shared;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

pub use bytes::SecretBytes;
pub use manifests::Manifests;
pub use memory::{Exhausted, MemoryBudget, Reservation};
pub use metrics::Metrics;
pub use name::{InvalidName, Namespace, SecretName};
pub use shared::SharedReads;

/// A Secret as its source held it at one instant. It has no `Debug` and no `Serialize`, so that
/// it cannot be logged by accident.
#[derive(Default)]
pub struct Secret {
    /// The Kubernetes type, such as `Opaque`.
    pub kind: String,
    /// Labels of its metadata.
    pub labels: BTreeMap<String, String>,
    /// Annotations of its metadata. `kubectl apply` notes a copy of the whole manifest in one, so
    /// they are as secret as the entries.
    pub annotations: BTreeMap<String, SecretBytes>,
    /// The decoded entries of `data`.
    pub entries: BTreeMap<String, SecretBytes>,
    /// What it takes of the memory budget.
    pub reservation: Reservation,
}

/// The result of one read. A read may be shared by several requests, hence the `Arc`.
pub type Read = Result<Arc<Secret>, ReadError>;

/// A source of Secrets. Each call of [`read`](SecretStore::read) begins a read of its own after
/// the call: what it returns is never older than the call.
pub trait SecretStore: Send + Sync + 'static {
    /// Reads one Secret, live.
    ///
    /// # Errors
    /// See [`ReadError`]: only [`ReadError::NotFound`] says that the Secret does not exist.
    fn read<'a>(&'a self, name: &'a SecretName) -> BoxFuture<'a, Read>;
}

/// Why a Secret could not be read. No variant carries a byte of any Secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The source says with authority that this very Secret does not exist.
    #[error("no such Secret")]
    NotFound,
    /// The API server refuses the read to our ServiceAccount.
    #[error("RBAC forbids the read")]
    Forbidden,
    /// The Secret is there, but an entry of its `data` is not base64.
    #[error("an entry of the Secret is not valid base64")]
    InvalidData,
    /// Two manifests define this Secret.
    #[error("two manifests define this Secret")]
    DuplicateManifest,
    /// Some manifest cannot be read, so that the Secret may or may not exist.
    #[error("a manifest cannot be read")]
    UnreadableManifest,
    /// The API server is down, slow, throttling or talking nonsense.
    #[error("the API server is unavailable: {reason}")]
    Unavailable {
        /// What was seen, in fixed words.
        reason: &'static str,
        /// What the API server asked for in `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// More reads are waiting than may be under way.
    #[error("too many reads are waiting")]
    Overloaded,
}
