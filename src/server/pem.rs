//! PEM files. rustls-pemfile is no longer maintained (RUSTSEC-2025-0134): it is a thin layer over
//! rustls-pki-types, which is, and it stays because the project's dependencies were chosen to
//! include it. This file is the only one that names it.

use std::io;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The certificates in a PEM text, in their order.
///
/// # Errors
/// Where a block is malformed.
pub fn certificates(pem: &[u8]) -> io::Result<Vec<CertificateDer<'static>>> {
    rustls_pemfile::certs(&mut &*pem).collect()
}

/// The first private key in a PEM text.
///
/// # Errors
/// Where a block before it is malformed.
pub fn private_key(pem: &[u8]) -> io::Result<Option<PrivateKeyDer<'static>>> {
    rustls_pemfile::private_key(&mut &*pem)
}
