//! TLS: versions, suites, protocols.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, cipher_suite};

use super::certificate::Certificate;

/// TLS 1.3 as rustls offers it, and of TLS 1.2 what has forward secrecy and either AES-256-GCM
/// or ChaCha20-Poly1305.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    let cipher_suites = vec![
        cipher_suite::TLS13_AES_256_GCM_SHA384,
        cipher_suite::TLS13_AES_128_GCM_SHA256,
        cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ];
    Arc::new(CryptoProvider { cipher_suites, ..aws_lc_rs::default_provider() })
}

/// The server's configuration.
///
/// # Errors
/// Where the provider has no suite for a version, which [`provider`] has.
pub fn server_config(
    provider: Arc<CryptoProvider>,
    certificate: Arc<Certificate>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    // Clients that speak both get HTTP/1.1: only its status line can carry a code, and ESO shows
    // its users that line.
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
    // A second ticket serves clients that resume twice at once; each costs a write.
    config.send_tls13_tickets = 1;
    // And clients that resume nothing may ask for none (RFC 9149).
    config.max_tls13_tickets = 1;
    Ok(Arc::new(config))
}
