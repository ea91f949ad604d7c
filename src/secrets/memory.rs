//! How much memory large values may take.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The unit in which reservations are counted, in bytes.
const UNIT: usize = 1024;

/// How long a value waits for its reservation.
const WAIT: Duration = Duration::from_secs(2);

/// An amount of memory that large values share.
#[derive(Clone)]
pub struct MemoryBudget {
    units: Arc<Semaphore>,
    all: usize,
    small: usize,
}

/// A part of a [`MemoryBudget`], given back when it is dropped. A small value has none.
#[derive(Default)]
pub struct Reservation(Option<OwnedSemaphorePermit>);

/// The whole budget was taken for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many large values are in memory")]
pub struct Exhausted;

impl MemoryBudget {
    /// A budget of `bytes`. A value of at most `small` bytes needs no reservation: however many
    /// there are of these, something else bounds their number.
    #[must_use]
    pub fn new(bytes: usize, small: usize) -> Self {
        let all = bytes / UNIT;
        Self { units: Arc::new(Semaphore::new(all)), all, small }
    }

    /// Whether a value of `bytes` needs a reservation.
    #[must_use]
    pub fn is_large(&self, bytes: usize) -> bool {
        bytes > self.small
    }

    /// A reservation for a value of `bytes`, as soon as there is room. What is larger than the whole
    /// memory takes all of it.
    ///
    /// # Errors
    /// Where there was none for two seconds.
    pub async fn reserve(&self, bytes: usize) -> Result<Reservation, Exhausted> {
        if !self.is_large(bytes) {
            return Ok(Reservation::default());
        }
        let units = u32::try_from(bytes.div_ceil(UNIT).min(self.all)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.units).acquire_many_owned(units);
        match timeout(WAIT, permit).await {
            Ok(Ok(permit)) => Ok(Reservation(Some(permit))),
            _ => Err(Exhausted),
        }
    }
}

impl Reservation {
    /// Gives back what a value of `bytes` does not need.
    pub fn shrink(&mut self, bytes: usize) {
        let units = bytes.div_ceil(UNIT);
        if let Some(permit) = &mut self.0 {
            drop(permit.split(permit.num_permits().saturating_sub(units)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: usize = 64 * 1024;

    #[tokio::test(start_paused = true)]
    async fn large_values_wait_for_their_reservation_and_small_ones_do_not() {
        let memory = MemoryBudget::new(4 * SMALL, SMALL);
        let mut first = memory.reserve(3 * SMALL).await.unwrap();
        assert!(memory.reserve(2 * SMALL).await.is_err());
        let small = memory.reserve(SMALL).await;
        assert!(small.is_ok());
        first.shrink(2 * SMALL);
        let second = memory.reserve(2 * SMALL).await;
        assert!(second.is_ok());
        drop(first);
        assert!(memory.reserve(SMALL + 1).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_larger_than_the_memory_takes_all_of_it() {
        let memory = MemoryBudget::new(4 * SMALL, SMALL);
        let all = memory.reserve(usize::MAX).await.unwrap();
        assert!(memory.reserve(SMALL + 1).await.is_err());
        drop(all);
        assert!(memory.reserve(SMALL + 1).await.is_ok());
    }
}
