//! Shared reads: requests that wait for one Secret together are served by one read of it, which
//! begins after they arrived.

mod rule;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::SetOnce;
use tokio::time::{Instant, timeout};

use super::{Metrics, Read, ReadError, SecretName, SecretStore};

/// A source whose reads are shared, as fresh as the source itself: what a request gets was read
/// from the source after the request arrived (its future was first polled).
///
/// Requests for a Secret wait for its next read that has not begun; one that is under way is too
/// old for them. While one is under way, another begins as soon as it ends, or after 250 ms at
/// the latest, at most four at a time. Beyond the bound on the reads of all Secrets, Secrets
/// take turns in the order in which they became ready.
///
/// An error goes to all who waited for that read, and to nobody else. Dropping a request's future
/// harms no other request. A read runs on a task of its own (so a tokio runtime is needed) until
/// it ends or its time is up, even if all who waited have left. Nothing is kept of a Secret that
/// nobody waits for and that is not being read.
pub struct SharedReads(Arc<Shared>);

struct Shared {
    store: Arc<dyn SecretStore>,
    deadline: Duration,
    metrics: Metrics,
    start: Instant,
    rule: Mutex<Rule>,
}

type Rule = rule::Rule<SecretName, Answer>;
type Begun = rule::Begun<SecretName, Answer>;

/// What a read returned, once it has; its clones are one and the same.
#[derive(Clone, Default)]
struct Answer(Arc<SetOnce<Read>>);

impl PartialEq for Answer {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl SharedReads {
    /// Shares the reads of `store`, at most `max_reads` of them under way at any time.
    ///
    /// `deadline` is how long a request waits, counted from its arrival, and how long a read may
    /// take. A request whose read could not begin in time gets [`ReadError::Overloaded`], one
    /// whose read did not end in time [`ReadError::Unavailable`] with the reason `timed out`.
    #[must_use]
    pub fn new(
        store: Arc<dyn SecretStore>,
        max_reads: NonZeroUsize,
        deadline: Duration,
        metrics: Metrics,
    ) -> Self {
        let rule = Mutex::new(Rule::new(max_reads));
        Self(Arc::new(Shared { store, deadline, metrics, start: Instant::now(), rule }))
    }

    /// Counts of its reads.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }
}

impl SecretStore for SharedReads {
    fn read<'a>(&'a self, name: &'a SecretName) -> BoxFuture<'a, Read> {
        Box::pin(async move {
            let request = Request::arrive(&self.0, name);
            match timeout(self.0.deadline, request.answer.0.wait()).await {
                Ok(read) => read.clone(),
                Err(_) if request.is_waiting() => {
                    self.0.metrics.gave_up_waiting(name);
                    Err(ReadError::Overloaded)
                }
                Err(_) => Err(unavailable("timed out")),
            }
        })
    }
}

/// A request from its arrival until it leaves, with its answer or without.
struct Request<'a> {
    shared: &'a Shared,
    name: &'a SecretName,
    answer: Answer,
}

impl<'a> Request<'a> {
    fn arrive(shared: &'a Arc<Shared>, name: &'a SecretName) -> Self {
        let answer = shared.with_rule(|rule, now| rule.arrive(now, name, Answer::default));
        let request = Self { shared, name, answer };
        shared.begin_reads();
        request
    }

    fn is_waiting(&self) -> bool {
        self.shared.with_rule(|rule, _| rule.is_waiting(self.name, &self.answer))
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        if !self.answer.0.initialized() {
            self.shared.with_rule(|rule, _| rule.leave(self.name, &self.answer));
        }
    }
}

impl Shared {
    /// The rule is asked what time it is under its lock, so that its time never runs backwards.
    fn with_rule<T>(&self, event: impl FnOnce(&mut Rule, Duration) -> T) -> T {
        let mut rule = self.rule.lock().unwrap_or_else(PoisonError::into_inner);
        event(&mut rule, self.start.elapsed())
    }

    /// Begins all reads that may begin now. No lock is held while a task is spawned: on a runtime
    /// that shuts down the task is dropped at once, and all it holds with it.
    fn begin_reads(self: &Arc<Self>) {
        while let Some(begun) = self.with_rule(|rule, now| rule.begin(now)) {
            tokio::spawn(Arc::clone(self).run(begun));
        }
    }

    /// Sees one read through to its end.
    async fn run(self: Arc<Self>, begun: Begun) {
        let began = Instant::now();
        self.metrics.read_began(begun.waiters);
        let read =
            AssertUnwindSafe(self.read(&begun.key)).catch_unwind().await.unwrap_or_else(|_| {
                self.metrics.read_panicked();
                Err(unavailable("the read panicked"))
            });
        self.metrics.read_ended(&begun.key, &read, began.elapsed());
        let answer = begun.read.clone();
        self.with_rule(|rule, now| rule.finish(now, begun));
        // Nobody else sets it.
        let _ = answer.0.set(read);
        self.begin_reads();
    }

    /// Reads once, within the deadline. It is also the timer of those who wait for this read to
    /// end or to be slow.
    async fn read(self: &Arc<Self>, name: &SecretName) -> Read {
        let read = async {
            let mut read = self.store.read(name);
            if let Ok(read) = timeout(rule::PACE, &mut read).await {
                return read;
            }
            self.begin_reads();
            read.await
        };
        timeout(self.deadline, read).await.unwrap_or_else(|_| Err(unavailable("timed out")))
    }
}

fn unavailable(reason: &'static str) -> ReadError {
    ReadError::Unavailable { reason, retry_after: None }
}
