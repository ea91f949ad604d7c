//! How many requests are in flight, and how many may be.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::gauge::Gauge;

use super::Connection;

/// The requests in flight.
pub struct InFlight(Arc<Requests>);

struct Requests {
    max: NonZeroUsize,
    taken: Gauge,
    permits: Mutex<Permits>,
}

/// The connections of the requests that have a permit, by the order in which they arrived.
#[derive(Default)]
struct Permits {
    connections: BTreeMap<u64, Option<Arc<Connection>>>,
    last: u64,
}

/// The permit of a request in flight, from its arrival until the last byte of its answer is
/// written.
pub struct RequestPermit {
    requests: Arc<Requests>,
    number: u64,
}

impl InFlight {
    /// Room for `max` requests, of which `taken` shows how many are there.
    pub fn new(max: NonZeroUsize, taken: Gauge) -> Self {
        Self(Arc::new(Requests { max, taken, permits: Mutex::default() }))
    }

    /// A permit for a request on `connection`, if one is free, or can be had from those who were
    /// refused and do not take their answers: in HTTP/2 a client can have many of these, and
    /// needs no token for it.
    pub fn permit(&self, connection: Option<&Arc<Connection>>) -> Option<RequestPermit> {
        let mut permits = self.0.permits();
        if permits.connections.len() >= self.0.max.get() && !permits.evict_refused() {
            return None;
        }
        permits.last += 1;
        let number = permits.last;
        permits.connections.insert(number, connection.map(Arc::clone));
        self.0.show(&permits);
        Some(RequestPermit { requests: Arc::clone(&self.0), number })
    }
}

impl Requests {
    fn permits(&self) -> MutexGuard<'_, Permits> {
        self.permits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, permits: &Permits) {
        self.taken.set(i64::try_from(permits.connections.len()).unwrap_or(i64::MAX));
    }
}

impl Permits {
    /// Ends the connection of the oldest refusal that is not taken. Its permits are free at once,
    /// and its memory as soon as its task runs.
    fn evict_refused(&mut self) -> bool {
        let mut connections = self.connections.values().flatten();
        let Some(ended) = connections.find(|connection| connection.evict_refused()) else {
            return false;
        };
        let ended = Arc::clone(ended);
        let stays = |other: &Option<Arc<Connection>>| {
            other.as_ref().is_none_or(|other| !Arc::ptr_eq(other, &ended))
        };
        self.connections.retain(|_, other| stays(other));
        true
    }
}

impl Drop for RequestPermit {
    fn drop(&mut self) {
        let mut permits = self.requests.permits();
        permits.connections.remove(&self.number);
        self.requests.show(&permits);
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[tokio::test]
    async fn refusals_that_nobody_takes_give_up_their_permits_and_other_requests_do_not() {
        let connection = || {
            let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
            Arc::new(Connection::new(peer, CancellationToken::new(), Arc::default()))
        };
        let taken = Gauge::default();
        let in_flight = InFlight::new(NonZeroUsize::new(4).unwrap(), taken.clone());
        let [asking, refused, accepted, newcomer] = [(); 4].map(|()| connection());
        accepted.note_accepted();
        let answered = [&accepted, &refused, &refused].map(|connection| {
            let request = connection.begin();
            request.progress();
            (request, in_flight.permit(Some(connection)).unwrap())
        });
        let _asking = (asking.begin(), in_flight.permit(Some(&asking)).unwrap());
        assert_eq!(taken.get(), 4);

        let _newcomers = [(); 2].map(|()| in_flight.permit(Some(&newcomer)).unwrap());
        refused.evicted().await;
        assert_eq!(taken.get(), 4);
        drop(answered);
        assert_eq!(taken.get(), 3);
        let _last = in_flight.permit(None).unwrap();
        assert!(in_flight.permit(None).is_none());
    }
}
