//! The connections that are open, and which of them is evicted for another.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Connection;
use super::metrics::Metrics;

/// How long a pending connection waits where all others are busy.
const ACCEPT_WAIT: Duration = Duration::from_secs(2);

/// How often a pending connection tries by itself: time alone can make another one evictable.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);

/// How many connections may be pending. Further ones stay with the kernel.
const WAITING: usize = 64;

/// All open connections of one listener.
pub struct Connections {
    max: NonZeroUsize,
    open: Mutex<Table>,
    waiting: Arc<Semaphore>,
    freed: Arc<Notify>,
    closing: CancellationToken,
    metrics: Metrics,
}

#[derive(Default)]
struct Table {
    connections: HashMap<u64, Arc<Connection>>,
    last: u64,
}

/// A connection's place among the open ones, until it is dropped.
pub struct ConnectionGuard {
    connections: Arc<Connections>,
    id: u64,
    connection: Arc<Connection>,
}

/// A connection that has to wait for its place.
pub struct PendingConnection {
    connections: Arc<Connections>,
    peer: SocketAddr,
    _waiting: Option<OwnedSemaphorePermit>,
}

impl Connections {
    /// Room for `max` connections at a time.
    #[must_use]
    pub fn new(max: NonZeroUsize, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self {
            max,
            open: Mutex::default(),
            waiting: Arc::new(Semaphore::new(WAITING)),
            freed: Arc::default(),
            closing: CancellationToken::new(),
            metrics,
        })
    }

    /// What is counted about them.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Takes in a new connection, at the cap in the place of an idle one.
    ///
    /// # Errors
    /// Where all are busy, or others wait already: the connection that waits.
    pub async fn open(
        self: &Arc<Self>,
        peer: SocketAddr,
    ) -> Result<ConnectionGuard, PendingConnection> {
        self.metrics.accepted();
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        if self.waiting.available_permits() == WAITING
            && let Some(open) = self.try_open(peer)
        {
            return Ok(open);
        }
        let waiting = Arc::clone(&self.waiting).acquire_owned().await.ok();
        Err(PendingConnection { connections: Arc::clone(self), peer, _waiting: waiting })
    }

    /// Ends all connections, and those still to come, each once its requests are answered.
    pub fn close_all(&self) {
        self.closing.cancel();
    }

    /// Whether a request is under way on any of them.
    #[must_use]
    pub fn any_busy(&self) -> bool {
        self.table().connections.values().any(|connection| connection.is_busy())
    }

    fn try_open(self: &Arc<Self>, peer: SocketAddr) -> Option<ConnectionGuard> {
        let mut table = self.table();
        if table.connections.len() >= self.max.get() && !table.evict_one() {
            return None;
        }
        let closing = self.closing.child_token();
        let connection = Arc::new(Connection::new(peer, closing, Arc::clone(&self.freed)));
        table.last += 1;
        let id = table.last;
        table.connections.insert(id, Arc::clone(&connection));
        self.metrics.opened();
        Some(ConnectionGuard { connections: Arc::clone(self), id, connection })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Evicts the connection of the least class. It leaves the table at once, and its
    /// socket is closed as soon as its task runs.
    fn evict_one(&mut self) -> bool {
        loop {
            let idle = self
                .connections
                .iter()
                .filter_map(|(id, connection)| Some((connection.eviction_class()?, *id)));
            let Some((_, id)) = idle.min() else { return false };
            if self.connections.get(&id).is_some_and(|connection| connection.evict()) {
                self.connections.remove(&id);
                return true;
            }
        }
    }
}

impl PendingConnection {
    /// Waits for a place. `None` where none became free in two seconds.
    pub async fn wait(self) -> Option<ConnectionGuard> {
        let Self { connections, peer, _waiting } = &self;
        let room = async {
            loop {
                if let Some(open) = connections.try_open(*peer) {
                    return open;
                }
                let _ = timeout(RETRY_INTERVAL, connections.freed.notified()).await;
            }
        };
        let open = timeout(ACCEPT_WAIT, room).await.ok();
        if open.is_some() {
            // Two that became free one after the other may have woken one pending connection only.
            connections.freed.notify_one();
        }
        open
    }
}

impl Deref for ConnectionGuard {
    type Target = Arc<Connection>;

    fn deref(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.connections.table().connections.remove(&self.id);
        self.connections.metrics.left();
        self.connections.freed.notify_one();
    }
}
