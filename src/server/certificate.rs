//! The server's certificate: loaded before anything is bound, and replaced when its files'
//! contents change.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_cert::der::Decode;
use zeroize::Zeroizing;

use super::pem;
use crate::health::Readiness;

/// How often the files are compared with what is in use. kubelet swaps a symbolic link above
/// them, which no watch of the files themselves would see.
const POLL: Duration = Duration::from_secs(5);

/// The two PEM files.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    /// The chain, the server's own certificate first.
    pub chain: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why a pair of files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("{} cannot be read: {error}", file.display())]
    Read {
        /// Which.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file is not PEM, or holds no block of the kind wanted.
    #[error("{} holds no {wanted} in PEM", file.display())]
    Pem {
        /// Which.
        file: PathBuf,
        /// What was looked for.
        wanted: &'static str,
    },
    /// The certificate or the key is not usable, or the two do not fit.
    #[error("the certificate and the key cannot be used together: {0}")]
    Unusable(#[from] rustls::Error),
    /// The certificate is not X.509.
    #[error("the certificate cannot be parsed: {0}")]
    NotX509(#[from] x509_cert::der::Error),
}

/// The certificate in use. rustls asks it at each handshake.
pub struct Certificate {
    files: CertificateFiles,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<Loaded>,
    metrics: Metrics,
}

/// The certificate in numbers.
#[derive(Default)]
pub struct Metrics {
    expiry: Gauge<f64, AtomicU64>,
    not_before: Gauge<f64, AtomicU64>,
    reloads: Counter,
    reload_failures: Counter,
}

struct Loaded {
    contents: Contents,
    validity: Validity,
    key: Arc<CertifiedKey>,
}

#[derive(PartialEq, Eq)]
struct Contents {
    chain: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl Certificate {
    /// Loads the pair.
    ///
    /// # Errors
    /// Where it cannot be used. One that has expired can be: it is reported loudly.
    pub fn load(
        files: CertificateFiles,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<Self>, CertificateError> {
        let loaded = Loaded::new(&files, Contents::read(&files)?, &provider)?;
        let metrics = Metrics::default();
        metrics.show(&loaded.validity);
        Ok(Arc::new(Self { files, provider, current: ArcSwap::from_pointee(loaded), metrics }))
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
        let Some(loaded) = changed else { return Ok(false) };
        self.metrics.reloads.inc();
        self.metrics.show(&loaded.validity);
        self.current.store(Arc::new(loaded));
        Ok(true)
    }

    fn load_if_changed(&self) -> Result<Option<Loaded>, CertificateError> {
        let contents = Contents::read(&self.files)?;
        if contents == self.current.load().contents {
            return Ok(None);
        }
        Loaded::new(&self.files, contents, &self.provider).map(Some)
    }

    /// The certificate in numbers.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Reloads for ever. A failure is told once, and tried again each time.
    pub async fn keep_current(self: Arc<Self>, readiness: Arc<Readiness>) {
        let mut told = String::new();
        loop {
            tokio::time::sleep(POLL).await;
            let certificate = Arc::clone(&self);
            let reloaded = tokio::task::spawn_blocking(move || certificate.reload()).await;
            match reloaded {
                Ok(Ok(changed)) => {
                    told.clear();
                    readiness.certificate(Ok(()));
                    if changed {
                        tracing::info!("the certificate was reloaded");
                    }
                }
                Ok(Err(error)) => {
                    readiness.certificate(Err("reload-failed"));
                    let error = error.to_string();
                    if told != error {
                        tracing::error!(
                            error,
                            "the certificate cannot be reloaded; the last good one stays in use"
                        );
                        told = error;
                    }
                }
                Err(error) => tracing::error!(%error, "the certificate's reload has failed"),
            }
        }
    }
}

impl Metrics {
    /// Shows them in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "certificate_expiry_timestamp_seconds",
            "The end of validity of the certificate in use",
            self.expiry.clone(),
        );
        registry.register(
            "certificate_not_before_timestamp_seconds",
            "The start of validity of the certificate in use",
            self.not_before.clone(),
        );
        registry.register(
            "certificate_reloads",
            "Changed certificates that were taken into use",
            self.reloads.clone(),
        );
        registry.register(
            "certificate_reload_failures",
            "Attempts to reload the certificate that failed; the one in use stays",
            self.reload_failures.clone(),
        );
    }

    fn show(&self, validity: &Validity) {
        // jiff's calendar ends a day before the year 9999 does, which stands for no end at all (RFC
        // 5280, section 4.1.2.5).
        let seconds = |time: SystemTime| match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => since.as_secs_f64(),
            Err(before) => -before.duration().as_secs_f64(),
        };
        self.expiry.set(seconds(validity.not_after));
        self.not_before.set(seconds(validity.not_before));
    }
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

impl Contents {
    fn read(files: &CertificateFiles) -> Result<Self, CertificateError> {
        let read = |file: &Path| {
            let unreadable = |error| CertificateError::Read { file: file.to_owned(), error };
            fs::read(file).map_err(unreadable)
        };
        Ok(Self { chain: read(&files.chain)?, key: Zeroizing::new(read(&files.key)?) })
    }
}

impl Loaded {
    fn new(
        files: &CertificateFiles,
        contents: Contents,
        provider: &CryptoProvider,
    ) -> Result<Self, CertificateError> {
        let missing = |file: &Path, wanted| CertificateError::Pem { file: file.to_owned(), wanted };
        let chain = pem::certificates(&contents.chain).unwrap_or_default();
        let leaf = chain.first().ok_or_else(|| missing(&files.chain, "certificate"))?;
        let validity = Validity::of(leaf)?;
        warn_if_expired(validity.not_after);
        let key = pem::private_key(&contents.key).ok().flatten();
        let key = key.ok_or_else(|| missing(&files.key, "private key"))?;
        let key = Arc::new(CertifiedKey::from_der(chain, key, provider)?);
        Ok(Self { contents, validity, key })
    }
}

/// When a certificate is valid.
#[derive(Clone, Copy, Debug)]
pub struct Validity {
    /// From this time on.
    pub not_before: SystemTime,
    /// Up to this time.
    pub not_after: SystemTime,
}

impl Validity {
    /// The validity of a certificate in DER.
    ///
    /// # Errors
    /// Where it is not X.509.
    pub fn of(der: &[u8]) -> Result<Self, x509_cert::der::Error> {
        let certificate = x509_cert::Certificate::from_der(der)?;
        let validity = certificate.tbs_certificate().validity();
        Ok(Self {
            not_before: validity.not_before.to_system_time(),
            not_after: validity.not_after.to_system_time(),
        })
    }
}

fn warn_if_expired(not_after: SystemTime) {
    if not_after <= SystemTime::now() {
        let expired = Timestamp::try_from(not_after).map(|at| at.to_string()).unwrap_or_default();
        tracing::error!(expired, "the certificate HAS EXPIRED: clients will refuse it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_validity_without_an_end_is_shown_as_it_stands() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let metrics = Metrics::default();
        // 99991231235959Z
        metrics.show(&Validity { not_before: at(5), not_after: at(253_402_300_799) });
        assert_eq!((metrics.not_before.get(), metrics.expiry.get()), (5.0, 253_402_300_799.0));
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(7);
        metrics.show(&Validity { not_before: before, not_after: at(7) });
        assert_eq!((metrics.not_before.get(), metrics.expiry.get()), (-7.0, 7.0));
    }
}
