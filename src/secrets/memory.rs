//! How much memory large values may take.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The unit in which places are counted, in bytes.
const UNIT: usize = 1024;

/// How long it is waited for a place.
const WAIT: Duration = Duration::from_secs(2);

/// An amount of memory in which large values take places.
#[derive(Clone)]
pub struct Memory {
    units: Arc<Semaphore>,
    all: usize,
    small: usize,
}

/// A place in a [`Memory`], given back when it is dropped. A small value's place is none.
#[derive(Default)]
pub struct Place(Option<OwnedSemaphorePermit>);

/// There was no place for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many large values are in memory")]
pub struct Full;

impl Memory {
    /// A memory of `bytes`. A value of at most `small` bytes needs no place in it: however many
    /// there are of these, something else bounds their number.
    #[must_use]
    pub fn new(bytes: usize, small: usize) -> Self {
        let all = bytes / UNIT;
        Self { units: Arc::new(Semaphore::new(all)), all, small }
    }

    /// Whether a value of `bytes` needs a place.
    #[must_use]
    pub fn is_large(&self, bytes: usize) -> bool {
        bytes > self.small
    }

    /// A place for a value of `bytes`, as soon as there is one. What is larger than the whole
    /// memory takes all of it.
    ///
    /// # Errors
    /// Where there was none for two seconds.
    pub async fn place(&self, bytes: usize) -> Result<Place, Full> {
        if !self.is_large(bytes) {
            return Ok(Place::default());
        }
        let units = u32::try_from(bytes.div_ceil(UNIT).min(self.all)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.units).acquire_many_owned(units);
        match timeout(WAIT, permit).await {
            Ok(Ok(permit)) => Ok(Place(Some(permit))),
            _ => Err(Full),
        }
    }
}

impl Place {
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
    async fn large_values_wait_for_their_place_and_small_ones_do_not() {
        let memory = Memory::new(4 * SMALL, SMALL);
        let mut first = memory.place(3 * SMALL).await.unwrap();
        assert!(memory.place(2 * SMALL).await.is_err());
        let small = memory.place(SMALL).await;
        assert!(small.is_ok());
        first.shrink(2 * SMALL);
        let second = memory.place(2 * SMALL).await;
        assert!(second.is_ok());
        drop(first);
        assert!(memory.place(SMALL + 1).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_larger_than_the_memory_takes_all_of_it() {
        let memory = Memory::new(4 * SMALL, SMALL);
        let all = memory.place(usize::MAX).await.unwrap();
        assert!(memory.place(SMALL + 1).await.is_err());
        drop(all);
        assert!(memory.place(SMALL + 1).await.is_ok());
    }
}
