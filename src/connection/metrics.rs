//! What is counted about connections.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Why a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// In an orderly way, by either side.
    Done,
    /// No TLS handshake: something else was sent, or the peer left.
    NoHandshake,
    /// The TLS handshake took too long.
    HandshakeTimeout,
    /// No request was under way for too long, or the head of one did not come.
    Idle,
    /// No byte of an answer moved for too long.
    Stalled,
    /// It was idle, or left refusals to lie, and another one needed its place.
    MadeRoom,
    /// All were busy, and no place became free for it.
    NoRoom,
    /// What came broke the rules of HTTP.
    ProtocolError,
    /// The server stopped.
    Shutdown,
}

impl Closed {
    const ALL: [Self; 9] = [
        Self::Done,
        Self::NoHandshake,
        Self::HandshakeTimeout,
        Self::Idle,
        Self::Stalled,
        Self::MadeRoom,
        Self::NoRoom,
        Self::ProtocolError,
        Self::Shutdown,
    ];

    /// Its name in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NoHandshake => "no-handshake",
            Self::HandshakeTimeout => "handshake-timeout",
            Self::Idle => "idle",
            Self::Stalled => "stalled",
            Self::MadeRoom => "made-room",
            Self::NoRoom => "no-room",
            Self::ProtocolError => "protocol-error",
            Self::Shutdown => "shutdown",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// The connections of one listener, in numbers.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    open: Gauge,
    accepted: Counter,
    closed: Family<Reason, Counter>,
}

impl Metrics {
    /// Adds all series to `registry`, at zero.
    pub fn register(&self, registry: &mut Registry) {
        for closed in Closed::ALL {
            let _ = self.closed.get_or_create(&Reason { reason: closed.as_str() });
        }
        registry.register("connections_open", "Connections that are open", self.open.clone());
        registry.register(
            "connections_accepted",
            "Connections that were accepted",
            self.accepted.clone(),
        );
        registry.register(
            "connections_closed",
            "Connections that have ended, by reason",
            self.closed.clone(),
        );
    }

    /// A connection was accepted.
    pub fn accepted(&self) {
        self.accepted.inc();
    }

    /// It has got its place.
    pub fn opened(&self) {
        self.open.inc();
    }

    /// It has given its place back.
    pub fn left(&self) {
        self.open.dec();
    }

    /// It has ended, for this reason.
    pub fn closed(&self, closed: Closed) {
        self.closed.get_or_create(&Reason { reason: closed.as_str() }).inc();
    }
}
