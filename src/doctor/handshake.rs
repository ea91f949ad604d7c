//! Shakes hands with the service as ESO would. Nothing is sent over the connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::server::tls;

/// For the connection and for the handshake on it.
const PATIENCE: Duration = Duration::from_secs(3);

/// Connects to `address` and verifies its certificate as `host`'s by `roots`.
///
/// # Errors
/// The outer one where no TLS server was reached, the inner one where its certificate is refused.
pub async fn shake(
    address: &str,
    host: &str,
    roots: Arc<RootCertStore>,
) -> io::Result<Result<(), rustls::Error>> {
    let config = ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let stream = in_time(TcpStream::connect(address)).await?;
    match in_time(TlsConnector::from(Arc::new(config)).connect(name, stream)).await {
        Ok(_) => Ok(Ok(())),
        Err(error) => match error.get_ref().and_then(|error| error.downcast_ref()) {
            Some(error) => Ok(Err(rustls::Error::clone(error))),
            None => Err(error),
        },
    }
}

async fn in_time<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(PATIENCE, step)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
