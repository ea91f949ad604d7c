//! The server's certificate: loaded before anything is bound, and replaced when its files'
//! contents change.

mod chain;
mod error;
mod files;
mod metrics;
mod pair;
mod validity;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

pub use chain::ChainError;
pub use error::CertificateError;
use files::Reader;
pub use metrics::Metrics;
use pair::Pair;
pub use validity::{Outside, OutsideValidity, Validity};

use crate::health::Readiness;

/// How often the files are compared with what is in use. kubelet swaps a symbolic link above
/// them, which no watch of the files themselves would see.
const POLL: Duration = Duration::from_secs(5);

/// The two PEM files.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    /// The chain: the server's own certificate first, and after each the one that issued it.
    pub chain: PathBuf,
    /// The private key of the first.
    pub key: PathBuf,
}

/// The certificate in use. rustls asks it at each handshake.
pub struct Certificate {
    files: CertificateFiles,
    provider: Arc<CryptoProvider>,
    reader: Reader,
    current: ArcSwap<Pair>,
    metrics: Metrics,
}

impl Certificate {
    /// Loads the pair.
    ///
    /// # Errors
    /// Where it cannot be used. One that is not valid now can be: [`Self::keep_current`] tells it.
    pub fn load(
        files: CertificateFiles,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<Self>, CertificateError> {
        let reader = Reader::default();
        let pair = Pair::new(&files, reader.read(&files)?, &provider)?;
        let metrics = Metrics::default();
        metrics.show(&pair.validity);
        let current = ArcSwap::from_pointee(pair);
        Ok(Arc::new(Self { files, provider, reader, current, metrics }))
    }

    /// Replaces the certificate in use if the files' contents have changed, and says whether it
    /// did.
    ///
    /// # Errors
    /// Where the new pair cannot be used; the one in use stays.
    pub fn reload(&self) -> Result<bool, CertificateError> {
        let changed = self.load_if_changed().inspect_err(|_| {
            self.metrics.reload_failures.inc();
        })?;
        let Some(pair) = changed else { return Ok(false) };
        self.metrics.reloads.inc();
        self.metrics.show(&pair.validity);
        self.current.store(Arc::new(pair));
        Ok(true)
    }

    fn load_if_changed(&self) -> Result<Option<Pair>, CertificateError> {
        let contents = self.reader.read(&self.files)?;
        if contents == self.current.load().contents {
            return Ok(None);
        }
        Pair::new(&self.files, contents, &self.provider).map(Some)
    }

    /// The certificate in numbers.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The certificate in use that is not valid at this time, if one is not.
    #[must_use]
    pub fn outside_validity_at(&self, now: SystemTime) -> Option<OutsideValidity> {
        self.current.load().outside_validity_at(now)
    }

    /// Reloads for ever, and looks at the dates of what is in use. A fault that lasts is told once;
    /// a reload that failed is tried again each time.
    pub async fn keep_current(self: Arc<Self>, readiness: Arc<Readiness>) {
        let (mut failure, mut outside) = (None, None);
        loop {
            let now_outside = self.outside_validity_at(SystemTime::now());
            if let Some(dates) = now_outside.filter(|dates| outside != Some(*dates)) {
                dates.tell();
            }
            outside = now_outside;
            readiness.certificate(faults(failure.is_some(), outside));
            tokio::time::sleep(POLL).await;
            let new_failure = self.reload_and_tell(failure.as_deref()).await;
            failure = new_failure;
        }
    }

    /// Reloads once, and gives why that failed. That is told unless it is what has been `told`.
    async fn reload_and_tell(self: &Arc<Self>, told: Option<&str>) -> Option<String> {
        let certificate = Arc::clone(self);
        let reloaded = tokio::task::spawn_blocking(move || certificate.reload()).await;
        let error = match reloaded {
            Ok(Ok(changed)) => {
                if changed {
                    tracing::info!("the certificate was reloaded");
                }
                return None;
            }
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        if told != Some(error.as_str()) {
            tracing::error!(
                error,
                "the certificate cannot be reloaded; the last good one stays in use"
            );
        }
        Some(error)
    }
}

/// What `/readyz?verbose` says of it.
fn faults(reload_failed: bool, outside: Option<OutsideValidity>) -> Result<(), String> {
    let outside = outside.map(|outside| outside.to_string());
    let faults: Vec<String> =
        reload_failed.then(|| "reload-failed".to_owned()).into_iter().chain(outside).collect();
    if faults.is_empty() { Ok(()) } else { Err(faults.join(", ")) }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("files", &self.files).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.load().key))
    }
}
