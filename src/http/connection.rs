//! What a request knows of the connection that it came on.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

/// One client's connection. Each request carries it as an extension.
pub struct Connection {
    peer: SocketAddr,
    closing: CancellationToken,
    carried: AtomicBool,
}

impl Connection {
    /// A connection from `peer`; it is to end when `closing` is cancelled.
    #[must_use]
    pub fn new(peer: SocketAddr, closing: CancellationToken) -> Self {
        Self { peer, closing, carried: AtomicBool::new(false) }
    }

    /// The client's address.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Ends the connection once the requests under way are answered.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Resolves when the connection is to end.
    pub async fn closing(&self) {
        self.closing.cancelled().await;
    }

    /// Notes that a request has arrived on it.
    pub fn note_request(&self) {
        self.carried.store(true, Ordering::Relaxed);
    }

    /// Whether any request has arrived on it.
    #[must_use]
    pub fn carried_requests(&self) -> bool {
        self.carried.load(Ordering::Relaxed)
    }
}
