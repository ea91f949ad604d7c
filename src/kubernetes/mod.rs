//! The source `kubernetes`: Secrets read live from the API server.

mod answer;
mod config;
mod connection;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use kube::Client;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout_at};

use self::answer::{Failure, Remedy};
pub use self::config::ConfigError;
use self::config::Origin;
use self::connection::{Connection, LARGE_SECRETS, SMALL_SECRET};
use crate::fault_log::FaultLog;
use crate::secrets::{MemoryBudget, Namespace, Read, ReadError, Secret, SecretName, SecretStore};

/// How long at least between two rebuilds of the client.
const REBUILD_INTERVAL: Duration = Duration::from_secs(1);
/// The least wait before a retry, and the most that chance adds to it, in milliseconds.
const BACKOFF: u64 = 25;
const JITTER: u64 = 100;

/// The Secrets of a cluster. Each read is at least one GET of its own, and nothing of its outcome
/// is kept.
pub struct Kubernetes {
    origin: Origin,
    namespace: Namespace,
    deadline: Duration,
    connection: ArcSwap<Connection>,
    memory: MemoryBudget,
    /// When the client was last rebuilt; held while it is.
    rebuilt: Mutex<Option<Instant>>,
    faults: FaultLog<Fault>,
    /// Secrets that the API server does not hand out. Callers choose their names: however many fail,
    /// the faults above are logged.
    withheld: FaultLog<SecretName>,
}

/// What the log tells apart.
#[derive(PartialEq, Eq, Hash)]
enum Fault {
    /// The API server gives no usable answers.
    Unavailable,
    /// There is no other client to take the place of one that was refused.
    Client,
}

impl Kubernetes {
    /// The API server of the cluster that this process runs in, else of the kubeconfig that
    /// `KUBECONFIG` or `~/.kube/config` names. It is not contacted yet. `deadline` is how long a
    /// read may take, its retry included.
    ///
    /// # Errors
    /// Where there is no usable configuration: nothing to find, nothing that can be parsed,
    /// credentials that cannot be loaded, or a kubeconfig that switches verification of the API
    /// server's certificate off.
    pub async fn from_environment(deadline: Duration) -> Result<Self, ConfigError> {
        let (origin, config) = config::infer().await?;
        Self::new(origin, config, deadline).await
    }

    /// The API server of the current context of a kubeconfig.
    ///
    /// # Errors
    /// As for [`from_environment`](Self::from_environment).
    pub async fn from_kubeconfig(file: PathBuf, deadline: Duration) -> Result<Self, ConfigError> {
        let origin = Origin::Kubeconfig(Some(file));
        let config = config::load(&origin).await?;
        Self::new(origin, config, deadline).await
    }

    async fn new(
        origin: Origin,
        config: kube::Config,
        deadline: Duration,
    ) -> Result<Self, ConfigError> {
        let namespace = config.default_namespace.parse::<Namespace>()?;
        let connection = Connection::new(config, unreachable_after(deadline)).await?;
        let connection = ArcSwap::from_pointee(connection);
        let (memory, rebuilt) = (MemoryBudget::new(LARGE_SECRETS, SMALL_SECRET), Mutex::new(None));
        let (faults, withheld) = (FaultLog::default(), FaultLog::default());
        Ok(Self { origin, namespace, deadline, connection, memory, rebuilt, faults, withheld })
    }

    /// The namespace that the configuration names: the pod's own, or the context's.
    #[must_use]
    pub fn default_namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The client in use, for what is asked of the API server beside Secrets. It has no deadline.
    #[must_use]
    pub fn client(&self) -> Client {
        self.connection.load().client()
    }

    /// Tries to read, at most once more after a transient failure and at most once more with a
    /// rebuilt client.
    async fn attempts(&self, name: &SecretName, until: Instant) -> Result<Secret, Failure> {
        let (mut retried, mut rebuilt) = (false, false);
        loop {
            let connection = self.connection.load_full();
            let failure = match connection.get(name, &self.memory).await {
                Ok(secret) => return Ok(secret),
                Err(failure) => failure,
            };
            match failure.remedy {
                Remedy::Retry if !retried => {
                    let left = until.saturating_duration_since(Instant::now());
                    let Some(wait) = backoff(failure.retry_after(), left, jitter()) else {
                        return Err(failure);
                    };
                    tracing::debug!(secret = %name, error = %failure.error, "a read is retried");
                    retried = true;
                    sleep(wait).await;
                }
                Remedy::Rebuild if !rebuilt && self.rebuild(&connection).await => rebuilt = true,
                _ => return Err(failure),
            }
        }
    }

    /// Replaces the client that was just `used`. Whether there is another one now: of the reads
    /// that failed with the same client, the first rebuilds it, and all others share the result.
    async fn rebuild(&self, used: &Arc<Connection>) -> bool {
        let mut last = self.rebuilt.lock().await;
        if !Arc::ptr_eq(&self.connection.load(), used) {
            return true;
        }
        if last.is_some_and(|last| last.elapsed() < REBUILD_INTERVAL) {
            return false;
        }
        *last = Some(Instant::now());
        match self.reload().await {
            Ok(connection) => {
                self.connection.store(Arc::new(connection));
                if self.faults.over(|fault| *fault == Fault::Client).is_some() {
                    tracing::info!("the credentials for the API server can be loaded again");
                }
                true
            }
            Err(error) => {
                if let Some(times) = self.faults.seen(Fault::Client) {
                    tracing::warn!(%error, times, "the credentials for the API server cannot be loaded anew");
                }
                false
            }
        }
    }

    /// Tells a fault when it begins, and when it is over.
    fn tell(&self, name: &SecretName, failure: Option<&Failure>) {
        let failure = failure.filter(|failure| failure.error != ReadError::NotFound);
        if !failure.is_some_and(Failure::is_of_the_server)
            && let Some(times) = self.faults.over(|fault| *fault == Fault::Unavailable)
        {
            tracing::info!(times, "the API server can be read from again");
        }
        let Some(failure) = failure else {
            if let Some(times) = self.withheld.over(|secret| secret == name) {
                tracing::info!(secret = %name, times, "the Secret can be read again");
            }
            return;
        };
        let seen = match failure.is_of_the_server() {
            true => self.faults.seen(Fault::Unavailable),
            false => self.withheld.seen(name.clone()),
        };
        if let Some(times) = seen {
            let status = failure.status.map(|status| status.as_u16());
            let (error, help) = (&failure.error, failure.help());
            tracing::warn!(secret = %name, status, %error, help, times, "a Secret cannot be read");
        }
    }

    async fn reload(&self) -> Result<Connection, ConfigError> {
        let config = config::load(&self.origin).await?;
        Connection::new(config, unreachable_after(self.deadline)).await
    }
}

impl SecretStore for Kubernetes {
    fn read<'a>(&'a self, name: &'a SecretName) -> BoxFuture<'a, Read> {
        Box::pin(async move {
            let until = Instant::now() + self.deadline;
            let outcome = timeout_at(until, self.attempts(name, until))
                .await
                .unwrap_or_else(|_| Err(Failure::unavailable("timed out", Remedy::None)));
            self.tell(name, outcome.as_ref().err());
            outcome.map(Arc::new).map_err(|failure| failure.error)
        })
    }
}

/// A third of the deadline: what cannot be reached is given up early enough for a retry, while a
/// server that is merely slow has the whole deadline.
fn unreachable_after(deadline: Duration) -> Duration {
    deadline / 3
}

/// How long to wait before a retry, if that fits into the time `left`.
fn backoff(retry_after: Option<Duration>, left: Duration, jitter: Duration) -> Option<Duration> {
    let wait = retry_after.unwrap_or(Duration::from_millis(BACKOFF)) + jitter;
    (wait < left).then_some(wait)
}

/// A wait by chance, so that those who failed together do not come back together.
fn jitter() -> Duration {
    let mut byte = [0];
    // Without randomness the wait is the shortest; the retry goes on.
    let _ = aws_lc_rs::rand::fill(&mut byte);
    Duration::from_millis(JITTER) * u32::from(byte[0]) / 255
}
