//! Sockets: listening, accepting, TLS, and an orderly end.

pub mod certificate;
mod connection;
mod connections;
mod listener;
pub mod pem;
pub mod tls;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use connection::Limits;
use connections::{Connections, Open};

/// How long accepting rests after an error that the next attempt would meet again, such as a
/// lack of file descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

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
    /// Deadlines of connections.
    pub limits: Limits,
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

    /// Serves until `stop` resolves; then no connection is accepted any more, and the requests
    /// under way have `grace` to end. The admin port answers to the last.
    pub async fn run(
        self,
        services: Services,
        stop: impl Future<Output = ()>,
        grace: Duration,
    ) -> Ended {
        let Services { https, admin, tls, limits } = services;
        let accepting = CancellationToken::new();
        let (connections, tasks) = (Arc::new(Connections::default()), TaskTracker::new());
        let tls = TlsAcceptor::from(tls);
        let serve_tls = move |tcp, open: Open| {
            let (tls, router) = (tls.clone(), https.clone());
            async move { connection::serve_tls(tcp, tls, router, &open, limits).await }
        };
        let serve_admin = move |tcp, open: Open| {
            let router = admin.clone();
            async move { connection::serve_http1(tcp, router, &open, limits).await }
        };
        let admin = accept(self.admin, Arc::default(), TaskTracker::new(), serve_admin);
        let admin = tokio::spawn(admin);
        tasks.spawn({
            let loop_ = accept(self.https, Arc::clone(&connections), tasks.clone(), serve_tls);
            let accepting = accepting.clone();
            async move { accepting.run_until_cancelled(loop_).await.unwrap_or(()) }
        });

        stop.await;
        accepting.cancel();
        connections.close_all();
        tasks.close();
        let drained = tokio::time::timeout(grace, tasks.wait()).await.is_ok();
        admin.abort();
        // Connections on which nothing was ever asked are nobody's loss.
        if drained || !connections.any_carried_requests() { Ended::Drained } else { Ended::CutOff }
    }
}

/// Accepts for ever, and runs `serve` for each connection as a task.
async fn accept<F>(
    listener: TcpListener,
    connections: Arc<Connections>,
    tasks: TaskTracker,
    serve: impl Fn(TcpStream, Open) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => {
                // Heads and small answers should not wait for the peer's acknowledgement.
                let _ = tcp.set_nodelay(true);
                tasks.spawn(serve(tcp, connections.open(peer)));
            }
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted at the moment");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

/// Errors of a connection that was gone before it was accepted.
fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
