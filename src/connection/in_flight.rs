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
    slots: Mutex<Slots>,
}

/// The connections of the requests that have a slot, by the order in which they arrived.
#[derive(Default)]
struct Slots {
    connections: BTreeMap<u64, Option<Arc<Connection>>>,
    last: u64,
}

/// The slot of a request in flight, from its arrival until the last byte of its answer is
/// written.
pub struct Slot {
    requests: Arc<Requests>,
    number: u64,
}

impl InFlight {
    /// Room for `max` requests, of which `taken` shows how many are there.
    pub fn new(max: NonZeroUsize, taken: Gauge) -> Self {
        Self(Arc::new(Requests { max, taken, slots: Mutex::default() }))
    }

    /// A slot for a request on `connection`, if one is free, or can be had from those who were
    /// refused and do not take their answers: in HTTP/2 a client can have many of these, and
    /// needs no token for it.
    pub fn slot(&self, connection: Option<&Arc<Connection>>) -> Option<Slot> {
        let mut slots = self.0.slots();
        if slots.connections.len() >= self.0.max.get() && !slots.make_room() {
            return None;
        }
        slots.last += 1;
        let number = slots.last;
        slots.connections.insert(number, connection.map(Arc::clone));
        self.0.show(&slots);
        Some(Slot { requests: Arc::clone(&self.0), number })
    }
}

impl Requests {
    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, slots: &Slots) {
        self.taken.set(i64::try_from(slots.connections.len()).unwrap_or(i64::MAX));
    }
}

impl Slots {
    /// Ends the connection of the oldest refusal that is not taken. Its slots are free at once,
    /// and its memory as soon as its task runs.
    fn make_room(&mut self) -> bool {
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

impl Drop for Slot {
    fn drop(&mut self) {
        let mut slots = self.requests.slots();
        slots.connections.remove(&self.number);
        self.requests.show(&slots);
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[tokio::test]
    async fn refusals_that_nobody_takes_give_up_their_slots_and_other_requests_do_not() {
        let connection = || {
            let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
            Arc::new(Connection::new(peer, CancellationToken::new(), Arc::default()))
        };
        let taken = Gauge::default();
        let in_flight = InFlight::new(NonZeroUsize::new(4).unwrap(), taken.clone());
        let [asking, refused, accepted, newcomer] = [(); 4].map(|()| connection());
        accepted.note_accepted();
        let answered = [&accepted, &refused, &refused].map(|connection| {
            let activity = connection.begin();
            activity.progress();
            (activity, in_flight.slot(Some(connection)).unwrap())
        });
        let _asking = (asking.begin(), in_flight.slot(Some(&asking)).unwrap());
        assert_eq!(taken.get(), 4);

        let _newcomers = [(); 2].map(|()| in_flight.slot(Some(&newcomer)).unwrap());
        refused.evicted().await;
        assert_eq!(taken.get(), 4);
        drop(answered);
        assert_eq!(taken.get(), 3);
        let _last = in_flight.slot(None).unwrap();
        assert!(in_flight.slot(None).is_none());
    }
}
