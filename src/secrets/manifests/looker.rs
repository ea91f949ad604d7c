//! One thread that looks at the files for all who wait: a file system that hangs holds up no thread
//! that serves requests.

use std::io;
use std::iter;
use std::panic::{self, AssertUnwindSafe};
use std::thread;

use tokio::sync::{mpsc, oneshot};

use crate::secrets::{Read, ReadError, SecretName};

/// How many reads wait for the thread; further ones wait for one of these places.
const WAITING: usize = 256;

/// Where Secrets are found, after a look at what has changed.
pub(super) trait Look: Send + 'static {
    /// Takes in what has changed.
    ///
    /// # Errors
    /// Where that cannot be told.
    fn look(&mut self) -> Result<(), ReadError>;

    /// The Secret as it was at the last look.
    fn find(&self, name: &SecretName) -> Read;

    /// Begins anew, after a panic has left this half changed.
    fn forget(&mut self);
}

/// The way to the thread, which ends when this is dropped.
pub(super) struct Looker(mpsc::Sender<Ask>);

struct Ask {
    name: SecretName,
    answer: oneshot::Sender<Read>,
}

impl Looker {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where the system gives none.
    pub(super) fn start(source: impl Look) -> io::Result<Self> {
        let (sender, asks) = mpsc::channel(WAITING);
        thread::Builder::new().name("manifests".to_owned()).spawn(|| serve(source, asks))?;
        Ok(Self(sender))
    }

    /// Reads a Secret by a look that begins after this call. Reads that wait for one look together
    /// share the next one.
    pub(super) async fn read(&self, name: &SecretName) -> Read {
        let (answer, read) = oneshot::channel();
        let ask = Ask { name: name.clone(), answer };
        if self.0.send(ask).await.is_err() {
            return Err(ReadError::UnreadableManifest);
        }
        read.await.unwrap_or(Err(ReadError::UnreadableManifest))
    }
}

fn serve(mut source: impl Look, mut asks: mpsc::Receiver<Ask>) {
    let mut waiting = Vec::new();
    while let Some(first) = asks.blocking_recv() {
        waiting.push(first);
        // A request reads two Secrets at once, and other requests are as near: one look for all.
        thread::yield_now();
        waiting.extend(iter::from_fn(|| asks.try_recv().ok()));
        let looked = panic::catch_unwind(AssertUnwindSafe(|| source.look()));
        let looked = looked.unwrap_or_else(|_| {
            source.forget();
            Err(ReadError::UnreadableManifest)
        });
        for Ask { name, answer } in waiting.drain(..) {
            // Whoever asked may have left.
            let _ = answer.send(looked.clone().and_then(|()| source.find(&name)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::sync::mpsc as blocking;
    use std::time::Duration;

    use futures_util::FutureExt;
    use futures_util::future::join_all;

    use super::*;
    use crate::secrets::Namespace;

    /// A source of which the test says when each look ends, and how.
    struct Slow {
        begun: blocking::Sender<()>,
        end: blocking::Receiver<fn() -> Result<(), ReadError>>,
    }

    impl Look for Slow {
        fn look(&mut self) -> Result<(), ReadError> {
            self.begun.send(()).unwrap();
            self.end.recv().map_or(Err(ReadError::UnreadableManifest), |end| end())
        }

        fn find(&self, _: &SecretName) -> Read {
            Err(ReadError::NotFound)
        }

        fn forget(&mut self) {}
    }

    struct Test {
        looker: Looker,
        begun: blocking::Receiver<()>,
        end: blocking::Sender<fn() -> Result<(), ReadError>>,
        name: SecretName,
    }

    impl Test {
        fn new() -> Self {
            let ((tell, begun), (end, ended)) = (blocking::channel(), blocking::channel());
            let looker = Looker::start(Slow { begun: tell, end: ended }).unwrap();
            let name = SecretName::parse("a", &"default".parse::<Namespace>().unwrap()).unwrap();
            Self { looker, begun, end, name }
        }

        fn reads(&self, count: usize) -> impl Future<Output = Vec<Option<ReadError>>> {
            join_all((0..count).map(async |_| self.looker.read(&self.name).await.err()))
        }

        fn wait_for_a_look(&self) {
            self.begun.recv_timeout(Duration::from_secs(20)).unwrap();
        }
    }

    #[tokio::test]
    async fn reads_that_wait_together_share_a_look_that_began_after_them() {
        let test = Test::new();
        let mut first = std::pin::pin!(test.reads(1));
        assert!(first.as_mut().now_or_never().is_none());
        test.wait_for_a_look();
        // They are too late for the look that is under way.
        let mut later = std::pin::pin!(test.reads(10));
        assert!(later.as_mut().now_or_never().is_none());
        test.end.send(|| Ok(())).unwrap();
        assert_eq!(first.await, [Some(ReadError::NotFound)]);
        test.wait_for_a_look();
        assert!(later.as_mut().now_or_never().is_none());
        test.end.send(|| Ok(())).unwrap();
        assert_eq!(later.await, vec![Some(ReadError::NotFound); 10]);
        assert!(test.begun.try_recv().is_err(), "there was a third look");
    }

    #[tokio::test]
    async fn a_look_that_hangs_holds_up_reads_alone_and_they_may_leave() {
        let test = Test::new();
        // More than wait for the thread at once, and all of them leave.
        for _ in 0..2 * WAITING {
            let mut read = std::pin::pin!(test.reads(1));
            assert!(read.as_mut().now_or_never().is_none());
        }
        test.wait_for_a_look();
        let mut read = std::pin::pin!(test.reads(1));
        assert!(read.as_mut().now_or_never().is_none());
        for _ in 0..3 {
            test.end.send(|| Ok(())).unwrap();
        }
        assert_eq!(read.await, [Some(ReadError::NotFound)]);
    }

    #[tokio::test]
    async fn a_look_that_panics_is_an_error_and_the_next_one_is_well() {
        let test = Test::new();
        test.end.send(|| panic!("for a test")).unwrap();
        test.end.send(|| Ok(())).unwrap();
        assert_eq!(test.reads(1).await, [Some(ReadError::UnreadableManifest)]);
        assert_eq!(test.reads(1).await, [Some(ReadError::NotFound)]);
    }
}
