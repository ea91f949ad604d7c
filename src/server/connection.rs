//! One connection: its handshake, and HTTP on it until it ends.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::http::Connection;

/// The head of a request: request line or pseudo-headers, and all headers.
const MAX_HEAD: usize = 16 * 1024;

/// Streams that one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 64;

/// How long a connection may take for what.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For the TLS handshake.
    pub handshake: Duration,
    /// For the head of a request; over HTTP/1.1 also between two requests.
    pub header: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { handshake: Duration::from_secs(10), header: Duration::from_secs(10) }
    }
}

/// Serves HTTPS on a connection just accepted.
pub async fn serve_tls(
    tcp: TcpStream,
    tls: TlsAcceptor,
    router: Router,
    connection: &Arc<Connection>,
    limits: Limits,
) {
    // Whatever goes wrong in a handshake is the client's affair: ESO's own check of a store is a
    // bare connect, and scanners send garbage.
    let handshake = tokio::time::timeout(limits.handshake, tls.accept(tcp)).await;
    let stream = match handshake {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(peer = %connection.peer(), %error, "no TLS handshake");
            return;
        }
        Err(_) => {
            tracing::debug!(peer = %connection.peer(), "the TLS handshake took too long");
            return;
        }
    };
    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    if h2 {
        serve_http2(stream, router, connection, limits).await;
    } else {
        serve_http1(stream, router, connection, limits).await;
    }
}

/// Serves HTTP/1.1.
pub async fn serve_http1<I>(io: I, router: Router, connection: &Arc<Connection>, limits: Limits)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| answer(request, router.clone(), Arc::clone(connection)));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(io), service);
    drive(serving, connection).await;
}

async fn serve_http2<I>(io: I, router: Router, connection: &Arc<Connection>, limits: Limits)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (peer, service_connection) = (connection, Arc::clone(connection));
    let service =
        service_fn(move |request| answer(request, router.clone(), Arc::clone(&service_connection)));
    let serving = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.header)
        .keep_alive_timeout(limits.header)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD as u32)
        .serve_connection(TokioIo::new(io), service);
    drive(serving, peer).await;
}

async fn answer(
    mut request: hyper::Request<Incoming>,
    router: Router,
    connection: Arc<Connection>,
) -> Result<axum::response::Response, std::convert::Infallible> {
    connection.note_request();
    request.extensions_mut().insert(connection);
    router.oneshot(request).await
}

/// Runs the connection to its end, which is near once it is told to close.
async fn drive<C>(serving: C, connection: &Connection)
where
    C: GracefulConnection<Error = hyper::Error>,
{
    let mut serving = std::pin::pin!(serving);
    let outcome = tokio::select! {
        outcome = serving.as_mut() => outcome,
        () = connection.closing() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(peer = %connection.peer(), %error, "the connection has ended with an error");
    }
}
