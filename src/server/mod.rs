//! Sockets: listening, accepting, TLS, and an orderly end.

pub mod certificate;
mod connection;
mod lingering;
mod listener;
pub mod open_files;
pub mod pem;
pub mod tls;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::{Closed, ConnectionGuard, Connections, Metrics, PendingConnection};
pub use connection::Limits;
use connection::Serving;

/// How long accepting rests after an error that the next attempt would meet again, such as a
/// lack of file descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Connections to the admin port at a time: probes, a scraper and an operator.
const MAX_ADMIN_CONNECTIONS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(31);

/// A server whose addresses are bound, so that they can be known before it runs.
pub struct Bound {
    https: TcpListener,
    admin: TcpListener,
}

/// A server's parts.
pub struct Services {
    /// Answers on the HTTPS port.
    pub https: Router,
    /// Answers on the admin port.
    pub admin: Router,
    /// TLS of the HTTPS port.
    pub tls: Arc<ServerConfig>,
    /// What connections of the HTTPS port may take.
    pub limits: Limits,
    /// What is counted about them.
    pub metrics: Metrics,
}

/// How a server ends.
#[derive(Clone, Copy, Debug)]
pub struct Drain {
    /// How long connections are still accepted after the server was told to stop, each for one
    /// request: what routes to it learns late that it is leaving.
    pub delay: Duration,
    /// How long requests under way may take after that.
    pub grace: Duration,
}

/// How a server has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All requests were answered.
    Drained,
    /// The grace was over before all requests were answered.
    CutOff,
}

impl Bound {
    /// Binds both ports.
    ///
    /// # Errors
    /// The error, and the address that could not be bound.
    pub fn new(https: SocketAddr, admin: SocketAddr) -> Result<Self, (SocketAddr, io::Error)> {
        let listen = |address| listener::listen(address).map_err(|error| (address, error));
        Ok(Self { https: listen(https)?, admin: listen(admin)? })
    }

    /// The address of the HTTPS port.
    ///
    /// # Errors
    /// Where the system does not tell.
    pub fn https_address(&self) -> io::Result<SocketAddr> {
        self.https.local_addr()
    }

    /// The address of the admin port.
    ///
    /// # Errors
    /// Where the system does not tell.
    pub fn admin_address(&self) -> io::Result<SocketAddr> {
        self.admin.local_addr()
    }

    /// Serves until `stop` resolves, and then as `drain` says. The admin port answers to the last.
    pub async fn run(
        self,
        services: Services,
        stop: impl Future<Output = ()>,
        drain: Drain,
    ) -> Ended {
        let Services { https, admin, tls, limits, metrics } = services;
        let leaving = CancellationToken::new();
        let admin = Serving {
            router: admin,
            limits: Limits { max_connections: MAX_ADMIN_CONNECTIONS, ..limits },
            leaving: CancellationToken::new(),
        };
        let admin_connections = Connections::new(MAX_ADMIN_CONNECTIONS, Metrics::default());
        let admin = tokio::spawn(accept(
            self.admin,
            admin_connections,
            TaskTracker::new(),
            CancellationToken::new(),
            move |tcp, open: ConnectionGuard| {
                let serving = admin.clone();
                async move { connection::serve_plain(tcp, serving, &open).await }
            },
        ));
        let (connections, tasks) =
            (Connections::new(limits.max_connections, metrics), TaskTracker::new());
        let (closed, tls) = (CancellationToken::new(), TlsAcceptor::from(tls));
        let https = Serving { router: https, limits, leaving: leaving.clone() };
        tasks.spawn(accept(
            self.https,
            Arc::clone(&connections),
            tasks.clone(),
            closed.clone(),
            move |tcp, open: ConnectionGuard| {
                let (tls, serving) = (tls.clone(), https.clone());
                async move { connection::serve_tls(tcp, tls, serving, &open).await }
            },
        ));

        stop.await;
        leaving.cancel();
        tokio::time::sleep(drain.delay).await;
        closed.cancel();
        connections.close_all();
        tasks.close();
        let drained = tokio::time::timeout(drain.grace, tasks.wait()).await.is_ok();
        admin.abort();
        // Connections on which nothing is being asked are nobody's loss.
        if drained || !connections.any_busy() { Ended::Drained } else { Ended::CutOff }
    }
}

/// Accepts until `closed`, and runs `serve` for each connection as a task.
async fn accept<F>(
    listener: TcpListener,
    connections: Arc<Connections>,
    tasks: TaskTracker,
    closed: CancellationToken,
    serve: impl Fn(TcpStream, ConnectionGuard) -> F + Clone + Send + 'static,
) where
    F: Future<Output = Closed> + Send + 'static,
{
    let (mut failing, mut last) = (false, listener::BACKLOG);
    while last > 0 {
        let accepted = tokio::select! {
            // Those that the kernel has taken in before the end are not turned away.
            biased;
            accepted = listener.accept() => accepted,
            () = closed.cancelled() => return,
        };
        last -= i32::from(closed.is_cancelled());
        match accepted {
            Ok((tcp, peer)) => {
                failing = false;
                let place = connections.open(peer).await;
                let serve = serve.clone();
                let serve = move |open| serve(tcp, open);
                // Boxed: tokio copies a task's future several times, and this one is large.
                tasks.spawn(Box::pin(supervise(place, Arc::clone(&connections), serve)));
            }
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "no connection can be accepted at the moment");
                }
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

/// Serves one connection until it has ended or another one needs its place.
async fn supervise<F: Future<Output = Closed>>(
    place: Result<ConnectionGuard, PendingConnection>,
    connections: Arc<Connections>,
    serve: impl FnOnce(ConnectionGuard) -> F,
) {
    let open = match place {
        Ok(open) => Some(open),
        Err(pending) => pending.wait().await,
    };
    let closed = match open {
        None => Closed::NoRoom,
        Some(open) => {
            let connection = Arc::clone(&open);
            tokio::select! {
                biased;
                () = connection.evicted() => Closed::MadeRoom,
                closed = serve(open) => closed,
            }
        }
    };
    connections.metrics().closed(closed);
}

/// Errors of a connection that was gone before it was accepted.
fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
