//! One connection: its handshake, and HTTP on it until it ends.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::lingering::linger;
use crate::connection::{Closed, Connection, TimeoutKind};

/// The head of a request: request line or pseudo-headers, and all headers.
const MAX_HEAD: usize = 16 * 1024;

/// The header list that one HTTP/2 stream may send. It is more than `MAX_HEAD`, so that a head above
/// that gets a 431 in place of an error of the connection: h2 skips what lies above its limit only
/// while what it has to keep of that (a field that goes on in the next frame) fits the limit too.
const MAX_HEADER_LIST: u32 = 64 * 1024;

/// Streams that one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 64;

/// How long a client without a request may take to notice that its connection is to end.
const GOAWAY_GRACE: Duration = Duration::from_secs(2);

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

async fn serve_http1<I>(mut io: I, serving: Serving, connection: &Arc<Connection>) -> Closed
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let header = serving.limits.header;
    let service = service_fn(|request| answer(request, &serving, connection));
    let http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header)
        .max_buf_size(MAX_HEAD)
        .max_header_size(MAX_HEAD)
        .serve_connection(TokioIo::new(&mut io), service);
    let end = http1::Connection::graceful_shutdown;
    let closed = drive(http, end, header, connection, &serving.leaving).await;
    part(closed, io, connection).await
}

async fn serve_http2<I>(mut io: I, serving: Serving, connection: &Arc<Connection>) -> Closed
where
    I: AsyncRead + AsyncWrite + Unpin,
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
        .max_header_list_size(MAX_HEADER_LIST)
        .initial_connection_window_size(WINDOW)
        .initial_stream_window_size(WINDOW)
        .serve_connection(TokioIo::new(&mut io), service);
    let end = http2::Connection::graceful_shutdown;
    let closed = drive(http, end, header, connection, &leaving).await;
    part(closed, io, connection).await
}

async fn answer(
    mut request: hyper::Request<Incoming>,
    serving: &Serving,
    connection: &Arc<Connection>,
) -> Result<Response, Infallible> {
    let version = request.version();
    if version == Version::HTTP_2 && header_list_size(&request) > MAX_HEAD {
        // As hyper answers it over HTTP/1.1.
        return Ok(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.into_response());
    }
    if serving.leaving.is_cancelled() {
        connection.close();
    }
    request.extensions_mut().insert(Arc::clone(connection));
    let mut response = serving.router.clone().oneshot(request).await?;
    if connection.is_closing() {
        connection.note_last_answer();
        if version < Version::HTTP_2 {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
    Ok(response)
}

/// The size of a head as HTTP/2 measures it (RFC 9113, section 6.5.2).
fn header_list_size<B>(request: &hyper::Request<B>) -> usize {
    let uri = request.uri();
    let scheme = uri.scheme_str().map(|scheme| (":scheme", scheme.len()));
    let authority = uri.authority().map(|authority| (":authority", authority.as_str().len()));
    let path = uri.path_and_query().map(|path| (":path", path.as_str().len()));
    let method = Some((":method", request.method().as_str().len()));
    let pseudo = [method, scheme, authority, path].into_iter().flatten();
    let fields = request.headers().iter().map(|(name, value)| (name.as_str(), value.len()));
    pseudo.chain(fields).map(|(name, value)| name.len() + value + 32).sum()
}

/// Runs the connection to its end. Once it is to close, or was idle for `limit`, it is told so by
/// `end`: its requests are answered and no more; an answer that does not move for as long ends it at
/// once.
async fn drive<C>(
    http: C,
    end: impl FnOnce(Pin<&mut C>),
    limit: Duration,
    connection: &Connection,
    leaving: &CancellationToken,
) -> Closed
where
    C: Future<Output = Result<(), hyper::Error>>,
{
    let mut http = pin!(http);
    let closed = tokio::select! {
        outcome = http.as_mut() => return ended(outcome, connection),
        () = connection.closing() => {
            if leaving.is_cancelled() { Closed::Shutdown } else { Closed::Done }
        }
        kind = connection.timed_out(limit, limit) => match kind {
            TimeoutKind::Idle => Closed::Idle,
            TimeoutKind::Stalled => return Closed::Stalled,
        },
    };
    end(http.as_mut());
    connection.restart_idle();
    tokio::select! {
        outcome = http => match ended(outcome, connection) {
            Closed::Done => closed,
            worse => worse,
        },
        kind = connection.timed_out(limit.min(GOAWAY_GRACE), limit) => match kind {
            TimeoutKind::Idle => closed,
            TimeoutKind::Stalled => Closed::Stalled,
        },
    }
}

/// Lets go of the socket. Where the last thing said was an answer or an error of HTTP, the client may
/// still be sending, and is given the time to read it.
async fn part<I>(closed: Closed, io: I, connection: &Connection) -> Closed
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let has_said_something = match closed {
        Closed::Done | Closed::ProtocolError => true,
        Closed::Shutdown => connection.has_last_answer(),
        _ => false,
    };
    if has_said_something {
        linger(io).await;
    }
    closed
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
