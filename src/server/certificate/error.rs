//! Why a pair of files cannot be used.

use std::io;
use std::path::PathBuf;

use super::CertificateFiles;
use super::chain::ChainError;
use crate::server::pem::PemError;

/// Why a pair of files cannot be used. Each text says what to do, and nothing that stands in the
/// key's file.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum CertificateError {
    #[error("{} cannot be read: {error}", file.display())]
    Read { file: PathBuf, error: io::Error },
    #[error("{} and {} cannot be read: {error}", files.chain.display(), files.key.display())]
    Stalled { files: CertificateFiles, error: io::Error },
    #[error("{}: {problem}", file.display())]
    Pem { file: PathBuf, problem: PemError },
    #[error("{}: {problem}", file.display())]
    Chain { file: PathBuf, problem: ChainError },
    #[error(
        "{}: the certificate has a key of the type {kind}, which is not supported: use ECDSA P-256, \
         P-384 or P-521, Ed25519, or RSA of 2048 to 8192 bits",
        file.display()
    )]
    KeyType { file: PathBuf, kind: String },
    #[error(
        "{}: the private key cannot be used: it is damaged, or not of the certificate's type and \
         size",
        file.display()
    )]
    UnusableKey { file: PathBuf },
    #[error(
        "{} is the key of certificate {number} in {}, and must be that of the first: put the \
         server's own certificate there",
        files.key.display(), files.chain.display()
    )]
    LeafNotFirst { files: CertificateFiles, number: usize },
    #[error(
        "{} is not the key of the certificate in {}: put both in place anew, from one issuance",
        files.key.display(), files.chain.display()
    )]
    OtherKey { files: CertificateFiles },
    #[error("the certificate cannot be used: {0}")]
    Refused(#[from] rustls::Error),
}
