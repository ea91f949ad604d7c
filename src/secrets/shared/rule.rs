//! Which requests share which read, and when a read may begin (pure).
//!
//! Events come in: a request [arrives](Rule::arrive) or [leaves](Rule::leave), a read
//! [ends](Rule::finish), well or badly, or time has passed. After each of them, [`Rule::begin`]
//! says which reads begin now. Times are counted from an instant of the caller's choice.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

/// How long the youngest read of a Secret holds up the next one.
pub(super) const PACE: Duration = Duration::from_millis(250);

/// How many reads of one Secret may be under way.
pub(super) const READS_PER_SECRET: usize = 4;

/// The state of all shared reads: Secrets are told apart by `K`, reads by `R`, a handle that is
/// cheap to clone and equal to its clones alone.
///
/// A request is given its read when it arrives, and only ever one that has not begun: since
/// [`begin`](Self::begin) takes a read out of reach of later arrivals, a read that begins after
/// that call is fresh for each of its requests.
pub(super) struct Rule<K, R> {
    max_reads: NonZeroUsize,
    under_way: usize,
    /// The Secrets that somebody waits for or that are being read.
    secrets: BTreeMap<K, Reads<R>>,
    /// What may begin and when, in order. A Secret that has as many reads as it may is not here.
    agenda: BTreeMap<Turn, K>,
    last_turn: u64,
}

/// The instant from which a read may begin; the number keeps those of one instant in order.
type Turn = (Duration, u64);

/// The reads of one Secret.
struct Reads<R> {
    next: Option<Next<R>>,
    under_way: usize,
    youngest: Option<Youngest<R>>,
}

/// The read that has not begun.
struct Next<R> {
    read: R,
    waiters: usize,
    turn: Option<Turn>,
}

/// The read that began last, as long as it is under way.
struct Youngest<R> {
    read: R,
    holds_until: Duration,
}

/// A read that begins now. It is under way until it is given back to [`Rule::finish`].
pub(super) struct Begun<K, R> {
    /// The Secret to be read.
    pub(super) key: K,
    /// The read, as its requests were told when they arrived.
    pub(super) read: R,
    /// How many wait for it.
    pub(super) waiters: usize,
}

impl<K: Ord + Clone, R: Clone + PartialEq> Rule<K, R> {
    pub(super) fn new(max_reads: NonZeroUsize) -> Self {
        Self {
            max_reads,
            under_way: 0,
            secrets: BTreeMap::new(),
            agenda: BTreeMap::new(),
            last_turn: 0,
        }
    }

    /// A request for `key` arrives. Returns the read that will serve it: the one that others
    /// wait for, or else `fresh`.
    pub(super) fn arrive(&mut self, now: Duration, key: &K, fresh: impl FnOnce() -> R) -> R {
        let reads = self.secrets.entry(key.clone()).or_default();
        if let Some(next) = &mut reads.next {
            next.waiters += 1;
            return next.read.clone();
        }
        let read = fresh();
        reads.next = Some(Next { read: read.clone(), waiters: 1, turn: None });
        self.schedule(now, key);
        read
    }

    /// A request that was told `read` leaves without its answer. A read under way goes on: were
    /// it broken off, callers that come and go could make us reconnect to the API server as
    /// fast as they like.
    pub(super) fn leave(&mut self, key: &K, read: &R) {
        let Some(reads) = self.secrets.get_mut(key) else { return };
        let Some(next) = reads.next.as_mut().filter(|next| next.read == *read) else { return };
        next.waiters -= 1;
        if next.waiters > 0 {
            return;
        }
        if let Some(turn) = next.turn {
            self.agenda.remove(&turn);
        }
        reads.next = None;
        self.forget_if_idle(key);
    }

    /// Whether `read` has not begun yet.
    pub(super) fn is_waiting(&self, key: &K, read: &R) -> bool {
        let next = self.secrets.get(key).and_then(|reads| reads.next.as_ref());
        next.is_some_and(|next| next.read == *read)
    }

    /// The next read that begins now, if any: to be called until there is none, after each
    /// arrival, after each end, and when a read has been under way for [`PACE`].
    pub(super) fn begin(&mut self, now: Duration) -> Option<Begun<K, R>> {
        if self.under_way >= self.max_reads.get() {
            return None;
        }
        let due = self.agenda.first_entry().filter(|entry| entry.key().0 <= now)?;
        let key = due.remove();
        let reads = self.secrets.get_mut(&key)?;
        let Next { read, waiters, .. } = reads.next.take()?;
        reads.youngest = Some(Youngest { read: read.clone(), holds_until: now + PACE });
        reads.under_way += 1;
        self.under_way += 1;
        Some(Begun { key, read, waiters })
    }

    /// A read has ended, well or badly.
    pub(super) fn finish(&mut self, now: Duration, begun: Begun<K, R>) {
        let Begun { key, read, .. } = begun;
        self.under_way -= 1;
        let Some(reads) = self.secrets.get_mut(&key) else { return };
        reads.under_way -= 1;
        reads.youngest.take_if(|youngest| youngest.read == read);
        self.schedule(now, &key);
        self.forget_if_idle(&key);
    }

    /// Nobody waits, nothing is being read, and nothing is kept.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.under_way == 0 && self.secrets.is_empty() && self.agenda.is_empty()
    }

    /// How many Secrets are kept in mind.
    #[cfg(test)]
    pub(super) fn secrets(&self) -> usize {
        self.secrets.len()
    }

    /// Puts the next read of `key` on the agenda. A turn it already has is only ever moved
    /// forward: a Secret that waits for the bound on all reads keeps its place.
    fn schedule(&mut self, now: Duration, key: &K) {
        let Some(reads) = self.secrets.get_mut(key) else { return };
        let Some(next) = &mut reads.next else { return };
        if reads.under_way >= READS_PER_SECRET {
            return;
        }
        let from = reads.youngest.as_ref().map_or(now, |youngest| youngest.holds_until.max(now));
        if let Some(turn) = next.turn {
            if turn.0 <= from {
                return;
            }
            self.agenda.remove(&turn);
        }
        self.last_turn += 1;
        let turn = (from, self.last_turn);
        next.turn = Some(turn);
        self.agenda.insert(turn, key.clone());
    }

    fn forget_if_idle(&mut self, key: &K) {
        if self.secrets.get(key).is_some_and(|reads| reads.next.is_none() && reads.under_way == 0) {
            self.secrets.remove(key);
        }
    }
}

impl<R> Default for Reads<R> {
    fn default() -> Self {
        Self { next: None, under_way: 0, youngest: None }
    }
}
