//! One connection: its handshake, and HTTP on it until it ends.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::num::NonZeroUsize;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, Version, header};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::connection::{Closed, Connection, Neglect};

/// The head of a request: request line or pseudo-headers, and all headers.
const MAX_HEAD: usize = 16 * 1024;

/// Streams that one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 64;

/// How long a client without a request may take to notice that its connection is to end.
const FAREWELL: Duration = Duration::from_secs(2);

/// What one HTTP/2 connection may send of bodies, which nobody reads.
const WINDOW: u32 = 64 * 1024 - 1;

/// What connections may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For the TLS handshake.
    pub handshake: Duration,
    /// For the head of a request, between two requests, and for an answer of which no byte moves.
    pub header: Duration,
    /// Connections at a time.
    pub max_connections: NonZeroUsize,
}

/// How connections are served.
#[derive(Clone)]
pub struct Serving {
    /// Answers the requests.
    pub router: Router,
    /// What a connection may take.
    pub limits: Limits,
    /// When this is cancelled, each request is the last on its connection.
    pub leaving: CancellationToken,
}

/// Serves HTTPS on a connection just accepted.
pub async fn serve_tls(
    tcp: TcpStream,
    tls: TlsAcceptor,
    serving: Serving,
    connection: &Arc<Connection>,
) -> Closed {
    // Whatever goes wrong in a handshake is the client's affair: ESO's own check of a store is a
    // bare connect, and scanners send garbage.
    let handshake = tls.accept(deadlined(tcp, serving.limits));
    let stream = tokio::select! {
        handshake = timeout(serving.limits.handshake, handshake) => match handshake {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(peer = %connection.peer(), %error, "no TLS handshake");
                return Closed::NoHandshake;
            }
            Err(_) => return Closed::HandshakeTimeout,
        },
        () = connection.closing() => return Closed::Shutdown,
    };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        serve_http2(stream, serving, connection).await
    } else {
        serve_http1(stream, serving, connection).await
    }
}

/// Serves plain HTTP/1.1 on a connection just accepted.
pub async fn serve_plain(tcp: TcpStream, serving: Serving, connection: &Arc<Connection>) -> Closed {
    serve_http1(deadlined(tcp, serving.limits), serving, connection).await
}

/// A socket on which a write that makes no progress ends in an error.
fn deadlined(tcp: TcpStream, limits: Limits) -> Pin<Box<TimeoutStream<TcpStream>>> {
    let mut stream = TimeoutStream::new(tcp);
    stream.set_write_timeout(Some(limits.header));
    Box::pin(stream)
}

async fn serve_http1<I>(io: I, serving: Serving, connection: &Arc<Connection>) -> Closed
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let header = serving.limits.header;
    let service = service_fn(|request| answer(request, &serving, connection));
    let http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(io), service);
    drive(http, header, connection, &serving.leaving).await
}

async fn serve_http2<I>(io: I, serving: Serving, connection: &Arc<Connection>) -> Closed
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (header, leaving) = (serving.limits.header, serving.leaving.clone());
    let service = {
        let connection = Arc::clone(connection);
        service_fn(move |request| {
            let (serving, connection) = (serving.clone(), Arc::clone(&connection));
            async move { answer(request, &serving, &connection).await }
        })
    };
    let http = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD as u32)
        .initial_connection_window_size(WINDOW)
        .initial_stream_window_size(WINDOW)
        .serve_connection(TokioIo::new(io), service);
    drive(http, header, connection, &leaving).await
}

async fn answer(
    mut request: hyper::Request<Incoming>,
    serving: &Serving,
    connection: &Arc<Connection>,
) -> Result<Response, Infallible> {
    let version = request.version();
    if serving.leaving.is_cancelled() {
        connection.close();
    }
    request.extensions_mut().insert(Arc::clone(connection));
    let mut response = serving.router.clone().oneshot(request).await?;
    if connection.is_closing() && version < Version::HTTP_2 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// Runs the connection to its end. Once it is to close, or was idle for `limit`, its requests are
/// answered and no more; an answer that does not move for as long ends it at once.
async fn drive<C>(
    http: C,
    limit: Duration,
    connection: &Connection,
    leaving: &CancellationToken,
) -> Closed
where
    C: GracefulConnection<Error = hyper::Error>,
{
    let mut http = pin!(http);
    let closed = tokio::select! {
        outcome = http.as_mut() => return ended(outcome, connection),
        () = connection.closing() => {
            if leaving.is_cancelled() { Closed::Shutdown } else { Closed::Done }
        }
        neglect = connection.neglected(limit, limit) => match neglect {
            Neglect::Idle => Closed::Idle,
            Neglect::Stalled => return Closed::Stalled,
        },
    };
    http.as_mut().graceful_shutdown();
    connection.restart_idle();
    tokio::select! {
        outcome = http => match ended(outcome, connection) {
            Closed::Done => closed,
            worse => worse,
        },
        neglect = connection.neglected(limit.min(FAREWELL), limit) => match neglect {
            Neglect::Idle => closed,
            Neglect::Stalled => Closed::Stalled,
        },
    }
}

/// What hyper's outcome means.
fn ended(outcome: Result<(), hyper::Error>, connection: &Connection) -> Closed {
    let Err(error) = outcome else { return Closed::Done };
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    let closed = match io.map(io::Error::kind) {
        _ if error.is_timeout() => Closed::Idle,
        Some(io::ErrorKind::TimedOut) => Closed::Stalled,
        // The peer has left.
        Some(_) => Closed::Done,
        None if error.is_incomplete_message() || error.is_canceled() => Closed::Done,
        None => Closed::ProtocolError,
    };
    let (peer, reason) = (connection.peer(), closed.as_str());
    tracing::debug!(%peer, reason, %error, "the connection has ended with an error");
    closed
}
