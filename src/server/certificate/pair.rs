//! A chain and its key, fit for use.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::CryptoProvider;
use rustls::sign::{CertifiedKey, SigningKey};

use super::chain::{self, Link};
use super::files::Contents;
use super::validity::{OutsideValidity, Validity};
use super::{CertificateError, CertificateFiles};
use crate::server::pem::{self, PemError};

/// A chain and its key, and the files' contents that they were made of.
pub struct Pair {
    pub contents: Contents,
    /// When the server's own certificate is valid.
    pub validity: Validity,
    /// And the further ones of the chain.
    issuers: Vec<Validity>,
    pub key: Arc<CertifiedKey>,
}

impl Pair {
    /// # Errors
    /// Where the contents are anything but a chain and the key of its first certificate. One that
    /// is not valid now can be used: what a clock says is no reason to serve nothing.
    pub fn new(
        files: &CertificateFiles,
        contents: Contents,
        provider: &CryptoProvider,
    ) -> Result<Self, CertificateError> {
        let in_chain = |problem| CertificateError::Pem { file: files.chain.clone(), problem };
        let in_key = |problem| CertificateError::Pem { file: files.key.clone(), problem };
        let no_chain = |problem| CertificateError::Chain { file: files.chain.clone(), problem };
        let certificates = pem::chain(&contents.chain).map_err(in_chain)?;
        let key = pem::private_key(&contents.key).map_err(in_key)?;
        let links = chain::parse(&certificates).map_err(no_chain)?;
        let [leaf, issuers @ ..] = &links[..] else {
            return Err(in_chain(PemError::Missing("certificate")));
        };
        let key = provider.key_provider.load_private_key(key);
        let key = key.map_err(|_| unusable_key(files, leaf))?;
        fits(files, &links, key.as_ref())?;
        chain::verify(&links, &provider.signature_verification_algorithms).map_err(no_chain)?;
        let certificates = certificates.into_iter().map(|certificate| certificate.der).collect();
        let key = Arc::new(CertifiedKey::new(certificates, key));
        // rustls has the last word: it may refuse a certificate that is parsed above.
        key.keys_match()?;
        let issuers = issuers.iter().map(Link::validity).collect();
        Ok(Self { contents, validity: leaf.validity(), issuers, key })
    }

    /// The first certificate that is not valid at this time.
    pub fn outside_validity_at(&self, now: SystemTime) -> Option<OutsideValidity> {
        (1..).zip([&self.validity].into_iter().chain(&self.issuers)).find_map(
            |(number, validity)| {
                Some(OutsideValidity { number, outside: validity.outside_at(now)? })
            },
        )
    }
}

/// Checks that the key is that of the first certificate.
fn fits(
    files: &CertificateFiles,
    links: &[Link],
    key: &dyn SigningKey,
) -> Result<(), CertificateError> {
    let public = key.public_key();
    let of_key = |link: &&Link| {
        public.as_ref().is_some_and(|key| link.public_key().is_ok_and(|of| of == key.as_ref()))
    };
    match links.iter().find(of_key).map(|link| link.number) {
        Some(1) => Ok(()),
        Some(number) => Err(CertificateError::LeafNotFirst { files: files.clone(), number }),
        None => Err(CertificateError::OtherKey { files: files.clone() }),
    }
}

/// Why a key cannot be loaded, as far as the certificate tells.
fn unusable_key(files: &CertificateFiles, leaf: &Link) -> CertificateError {
    let supported = [
        "1.2.840.113549.1.1.1", // RSA
        "1.3.101.112",          // Ed25519
        "1.2.840.10045.3.1.7",  // P-256
        "1.3.132.0.34",         // P-384
        "1.3.132.0.35",         // P-521
    ];
    let (kind, curve) = leaf.key_type();
    let kind = curve.unwrap_or(kind).to_string();
    if supported.contains(&kind.as_str()) {
        CertificateError::UnusableKey { file: files.key.clone() }
    } else {
        CertificateError::KeyType { file: files.chain.clone(), kind }
    }
}
