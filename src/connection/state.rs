//! One client's connection, as its requests and the server both see it.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// How long the first request of a connection may be on its way: until then a connection does not
/// have to end.
const FIRST_REQUEST_WAIT: Duration = Duration::from_secs(1);

/// How long a connection on which nothing was asked yet is protected while others are idle: far longer
/// than a handshake and a request take on a busy machine.
const PROTECTED_AFTER_ACCEPT: Duration = Duration::from_secs(3);

/// How long a client who was refused may leave the answer: it is smaller than any buffer on its
/// way, so that only who does not want it leaves it.
const UNREAD_REFUSAL: Duration = Duration::from_secs(1);

/// One client's connection. Each request carries it as an extension.
pub struct Connection {
    peer: SocketAddr,
    peer_text: String,
    opened: Instant,
    closing: CancellationToken,
    evicted: Notify,
    freed: Arc<Notify>,
    state: Mutex<State>,
}

struct State {
    /// The requests under way by their number: since when no byte of the answer has moved, or
    /// `None` while there is no answer.
    requests: BTreeMap<u64, Option<Instant>>,
    arrived: u64,
    accepted: bool,
    has_last_answer: bool,
    idle_since: Instant,
}

/// A request from its arrival until the last byte of its answer is written, or given up.
pub struct InFlightRequest {
    connection: Arc<Connection>,
    number: u64,
}

/// What an evictable connection is to the server, and since when. The lesser one is evicted
/// first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EvictionClass {
    /// Nobody was let in on it, since it was opened.
    Unproven(Instant),
    /// Somebody was let in on it, and since then it has been idle.
    Idle(Instant),
    /// It was opened a moment ago, and its first request may be on its way: in a storm of clients
    /// they would otherwise evict one another.
    JustOpened(Instant),
}

/// How a connection has been left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutKind {
    /// No request was under way.
    Idle,
    /// An answer was being written and none of its bytes moved.
    Stalled,
}

impl Connection {
    /// A connection from `peer`. It is to end when `closing` is cancelled; `freed` is told
    /// whenever its last request has ended.
    #[must_use]
    pub fn new(peer: SocketAddr, closing: CancellationToken, freed: Arc<Notify>) -> Self {
        let opened = Instant::now();
        let state = Mutex::new(State {
            requests: BTreeMap::new(),
            arrived: 0,
            accepted: false,
            has_last_answer: false,
            idle_since: opened,
        });
        let peer_text = peer.to_string();
        Self { peer, peer_text, opened, closing, evicted: Notify::new(), freed, state }
    }

    /// The client's address.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The client's address in the audit lines of its requests.
    pub fn peer_text(&self) -> &str {
        &self.peer_text
    }

    /// Ends the connection once the requests under way are answered.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Whether it is to end.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// Resolves when the connection is to end: at once where it has carried a request, else after
    /// a moment in which its first one may still arrive.
    pub async fn closing(&self) {
        self.closing.cancelled().await;
        if self.state().arrived == 0 {
            sleep_until(self.opened + FIRST_REQUEST_WAIT).await;
        }
    }

    /// Notes that a request has arrived.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> InFlightRequest {
        let mut state = self.state();
        let number = state.arrived;
        state.arrived += 1;
        state.requests.insert(number, None);
        drop(state);
        InFlightRequest { connection: Arc::clone(self), number }
    }

    /// Notes that a caller was let in on it.
    pub fn note_accepted(&self) {
        self.state().accepted = true;
    }

    /// Notes that an answer is the last one.
    pub fn note_last_answer(&self) {
        self.state().has_last_answer = true;
    }

    /// Whether an answer was given after which the connection ends: its client may not have read it
    /// yet. One that ends without a request has none.
    #[must_use]
    pub fn has_last_answer(&self) -> bool {
        self.state().has_last_answer
    }

    /// Whether a request is under way.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.state().requests.is_empty()
    }

    /// Its class while it is evictable: while no request is under way, and where nobody was let
    /// in, also while answers are left to lie. Else `None`.
    #[must_use]
    pub fn eviction_class(&self) -> Option<EvictionClass> {
        let state = self.state();
        let class = match &*state {
            State { accepted: true, idle_since, .. } => EvictionClass::Idle(*idle_since),
            State { arrived: 0, .. } if self.opened.elapsed() < PROTECTED_AFTER_ACCEPT => {
                EvictionClass::JustOpened(self.opened)
            }
            _ => EvictionClass::Unproven(self.opened),
        };
        state.is_evictable().then_some(class)
    }

    /// Ends the connection now if it is evictable. Returns whether it was.
    pub fn evict(&self) -> bool {
        self.evict_if(State::is_evictable)
    }

    /// Makes it end at once, if nobody was let in on it and an answer is not taken yet. Whether it
    /// will.
    pub fn evict_refused(&self) -> bool {
        self.evict_if(|state| !state.accepted && state.requests.values().any(Option::is_some))
    }

    fn evict_if(&self, condition: impl FnOnce(&State) -> bool) -> bool {
        let evicted = condition(&self.state());
        if evicted {
            self.evicted.notify_one();
        }
        evicted
    }

    /// Resolves when it has to end at once.
    pub async fn evicted(&self) {
        self.evicted.notified().await;
    }

    /// Counts the time without a request anew.
    pub fn restart_idle(&self) {
        self.state().idle_since = Instant::now();
    }

    /// Resolves when no request was under way for `idle`, or an answer did not move for `stalled`.
    pub async fn timed_out(&self, idle: Duration, stalled: Duration) -> TimeoutKind {
        loop {
            let (kind, since) = self.longest_quiet();
            let due = since + if kind == Some(TimeoutKind::Idle) { idle } else { stalled };
            match kind {
                Some(kind) if due <= Instant::now() => return kind,
                _ => sleep_until(due).await,
            }
        }
    }

    /// What has been quiet for longest, and since when.
    fn longest_quiet(&self) -> (Option<TimeoutKind>, Instant) {
        let state = self.state();
        if state.requests.is_empty() {
            return (Some(TimeoutKind::Idle), state.idle_since);
        }
        match state.requests.values().flatten().min() {
            Some(since) => (Some(TimeoutKind::Stalled), *since),
            // All are still being answered, within their own deadline.
            None => (None, Instant::now()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_evictable(&self) -> bool {
        let left =
            |answered: &Option<Instant>| answered.is_some_and(|at| at.elapsed() >= UNREAD_REFUSAL);
        self.requests.is_empty() || (!self.accepted && self.requests.values().all(left))
    }
}

impl InFlightRequest {
    /// Notes that the answer has begun, or moved on.
    pub fn progress(&self) {
        if let Some(since) = self.connection.state().requests.get_mut(&self.number) {
            *since = Some(Instant::now());
        }
    }
}

impl Drop for InFlightRequest {
    fn drop(&mut self) {
        let mut state = self.connection.state();
        state.requests.remove(&self.number);
        if state.requests.is_empty() {
            state.idle_since = Instant::now();
            drop(state);
            self.connection.freed.notify_one();
        }
    }
}
