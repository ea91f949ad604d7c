//! The server's certificate: loaded before anything is bound, and replaced when its files'
//! contents change.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_cert::der::Decode;
use zeroize::Zeroizing;

use super::pem;
use crate::http::Readiness;

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
}

struct Loaded {
    contents: Contents,
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
        Ok(Arc::new(Self { files, provider, current: ArcSwap::from_pointee(loaded) }))
    }

    /// Replaces the certificate in use if the files' contents have changed, and says whether it
    /// did.
    ///
    /// # Errors
    /// Where the new pair cannot be used; the one in use stays.
    pub fn reload(&self) -> Result<bool, CertificateError> {
        let contents = Contents::read(&self.files)?;
        if contents == self.current.load().contents {
            return Ok(false);
        }
        self.current.store(Arc::new(Loaded::new(&self.files, contents, &self.provider)?));
        Ok(true)
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
        warn_if_expired(not_after(leaf)?);
        let key = pem::private_key(&contents.key).ok().flatten();
        let key = key.ok_or_else(|| missing(&files.key, "private key"))?;
        let key = Arc::new(CertifiedKey::from_der(chain, key, provider)?);
        Ok(Self { contents, key })
    }
}

/// When a certificate in DER ends to be valid.
///
/// # Errors
/// Where it is not X.509.
pub fn not_after(der: &[u8]) -> Result<SystemTime, x509_cert::der::Error> {
    let certificate = x509_cert::Certificate::from_der(der)?;
    Ok(certificate.tbs_certificate().validity().not_after.to_system_time())
}

fn warn_if_expired(not_after: SystemTime) {
    if not_after <= SystemTime::now() {
        let expired = Timestamp::try_from(not_after).map(|at| at.to_string()).unwrap_or_default();
        tracing::error!(expired, "the certificate HAS EXPIRED: clients will refuse it");
    }
}
