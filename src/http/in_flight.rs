//! How many requests are in flight, and how many may be.

use std::num::NonZeroUsize;
use std::sync::Arc;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The requests in flight.
#[derive(Clone)]
pub(super) struct InFlight {
    slots: Arc<Semaphore>,
    taken: Gauge,
}

/// The slot of a request in flight, from its arrival until the last byte of its answer is
/// written.
pub(super) struct Slot {
    taken: Gauge,
    _permit: OwnedSemaphorePermit,
}

impl InFlight {
    /// Room for `max_requests`, of which `taken` shows how many are there.
    pub(super) fn new(max_requests: NonZeroUsize, taken: Gauge) -> Self {
        let slots = max_requests.get().min(Semaphore::MAX_PERMITS);
        Self { slots: Arc::new(Semaphore::new(slots)), taken }
    }

    /// A slot, if one is free.
    pub(super) fn slot(&self) -> Option<Slot> {
        let permit = Arc::clone(&self.slots).try_acquire_owned().ok()?;
        self.taken.inc();
        Some(Slot { taken: self.taken.clone(), _permit: permit })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.taken.dec();
    }
}
