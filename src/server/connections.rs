//! The connections that are open.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::http::Connection;

/// All open connections of one listener.
#[derive(Default)]
pub struct Connections {
    open: Mutex<HashMap<u64, Arc<Connection>>>,
    next: AtomicU64,
    closing: CancellationToken,
}

/// A connection's place among the open ones, until it is dropped.
pub struct Open {
    connections: Arc<Connections>,
    id: u64,
    connection: Arc<Connection>,
}

impl Connections {
    /// Takes in a new connection.
    #[must_use]
    pub fn open(self: &Arc<Self>, peer: SocketAddr) -> Open {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let connection = Arc::new(Connection::new(peer, self.closing.child_token()));
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(id, Arc::clone(&connection));
        Open { connections: Arc::clone(self), id, connection }
    }

    /// Ends all connections, and those still to come, each once its requests are answered.
    pub fn close_all(&self) {
        self.closing.cancel();
    }

    /// Whether a request may still be under way on any of them.
    #[must_use]
    pub fn any_carried_requests(&self) -> bool {
        self.lock().values().any(|connection| connection.carried_requests())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for Open {
    type Target = Arc<Connection>;

    fn deref(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.connections.lock().remove(&self.id);
    }
}
