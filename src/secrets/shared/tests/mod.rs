//! Shared reads over sources that the test controls.

mod metrics;
mod scheduler;
mod subject;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use futures_util::future::join_all;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use super::*;
use crate::secrets::{Namespace, Secret};

const DEADLINE: Duration = Duration::from_secs(5);
const TIMED_OUT: ReadError = ReadError::Unavailable { reason: "timed out", retry_after: None };

/// A source whose reads end when and as the test says; to drop a call makes its read panic.
struct Source(mpsc::UnboundedSender<Call>);

struct Call {
    name: SecretName,
    reply: oneshot::Sender<Read>,
}

impl Call {
    fn end(self, value: &str) {
        let secret = Secret { kind: value.to_owned(), ..Secret::default() };
        self.reply.send(Ok(Arc::new(secret))).ok();
    }

    fn fail(self, error: ReadError) {
        self.reply.send(Err(error)).ok();
    }
}

impl SecretStore for Source {
    fn read<'a>(&'a self, name: &'a SecretName) -> BoxFuture<'a, Read> {
        let (reply, end) = oneshot::channel();
        self.0.send(Call { name: name.clone(), reply }).ok();
        Box::pin(async { end.await.expect("a dropped call") })
    }
}

/// A source that answers by itself.
struct Answering<F>(F);

impl<F: Fn() -> BoxFuture<'static, Read> + Send + Sync + 'static> SecretStore for Answering<F> {
    fn read<'a>(&'a self, _: &'a SecretName) -> BoxFuture<'a, Read> {
        self.0()
    }
}

struct World {
    reads: Arc<SharedReads>,
    calls: mpsc::UnboundedReceiver<Call>,
}

type Reply = Result<String, ReadError>;

impl World {
    fn new(max_reads: usize) -> Self {
        let (source, calls) = mpsc::unbounded_channel();
        Self { reads: share(Source(source), max_reads), calls }
    }

    /// A request, which has arrived when this returns.
    fn ask(&self, name: &str) -> BoxFuture<'static, Reply> {
        let (reads, name) = (Arc::clone(&self.reads), secret_name(name));
        let mut reply = async move { Ok(reads.read(&name).await?.kind.clone()) }.boxed();
        assert_eq!((&mut reply).now_or_never(), None);
        reply
    }

    /// The next read to begin.
    async fn call(&mut self) -> Call {
        self.calls.recv().await.unwrap()
    }

    /// Fails if a read begins within `time`.
    async fn no_call(&mut self, time: Duration) {
        assert!(timeout(time, self.calls.recv()).await.is_err(), "a read began");
    }
}

fn share(source: impl SecretStore, max_reads: usize) -> Arc<SharedReads> {
    let metrics = Metrics::new(secret_name("token"), Counter::default());
    let max_reads = NonZeroUsize::new(max_reads).unwrap();
    Arc::new(SharedReads::new(Arc::new(source), max_reads, DEADLINE, metrics))
}

fn secret_name(name: &str) -> SecretName {
    SecretName::parse(name, &"default".parse::<Namespace>().unwrap()).unwrap()
}

fn assert_idle(reads: &SharedReads) {
    assert!(reads.0.with_rule(|rule, _| rule.is_idle()), "something is kept");
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn ok(value: &str) -> Reply {
    Ok(value.to_owned())
}

#[tokio::test(start_paused = true)]
async fn who_waits_together_shares_the_next_read() {
    let mut world = World::new(64);
    let first = world.ask("a");
    let call = world.call().await;
    let others: Vec<_> = (0..64).map(|_| world.ask("a")).collect();
    let elsewhere = world.ask("b");
    let other_call = world.call().await;
    assert_eq!(other_call.name, secret_name("b"));
    other_call.end("other");
    assert_eq!(elsewhere.await, ok("other"));
    call.end("old");
    assert_eq!(first.await, ok("old"));
    world.call().await.end("new");
    assert!(join_all(others).await.iter().all(|reply| *reply == ok("new")));
    world.no_call(ms(1000)).await;
    assert_idle(&world.reads);
}

#[tokio::test(start_paused = true)]
async fn hung_reads_hold_up_newcomers_for_250_ms_each_up_to_four() {
    let mut world = World::new(64);
    let start = Instant::now();
    let (mut requests, mut hung) = (Vec::new(), Vec::new());
    for begun in 0..4 {
        requests.push(world.ask("a"));
        hung.push(world.call().await);
        let late = start.elapsed() - ms(250) * begun;
        assert!(late <= ms(2), "read {begun} began {late:?} late");
    }
    let fifth = world.ask("a");
    world.no_call(ms(1000)).await;
    hung.pop().unwrap().end("fourth");
    assert_eq!(requests.pop().unwrap().await, ok("fourth"));
    world.call().await.end("fifth");
    assert_eq!(fifth.await, ok("fifth"));
    // The newest read ended well: those that still hang hold nobody up.
    let sixth = world.ask("a");
    world.call().await.end("sixth");
    assert_eq!(sixth.await, ok("sixth"));
    for request in requests {
        assert_eq!(request.await, Err(TIMED_OUT));
    }
    assert_eq!(start.elapsed().as_secs(), 5);
    sleep(ms(1000)).await;
    assert_idle(&world.reads);
}

#[tokio::test(start_paused = true)]
async fn an_error_goes_to_those_who_waited_for_that_read() {
    let mut world = World::new(64);
    let first = world.ask("a");
    let call = world.call().await;
    let second = [world.ask("a"), world.ask("a")];
    call.end("one");
    let call = world.call().await;
    let third = world.ask("a");
    call.fail(ReadError::Forbidden);
    world.call().await.end("three");
    assert_eq!(first.await, ok("one"));
    assert_eq!(join_all(second).await, [Err(ReadError::Forbidden), Err(ReadError::Forbidden)]);
    assert_eq!(third.await, ok("three"));
    assert_idle(&world.reads);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_an_error() {
    let mut world = World::new(64);
    let first = world.ask("a");
    drop(world.call().await);
    let panicked = ReadError::Unavailable { reason: "the read panicked", retry_after: None };
    assert_eq!(first.await, Err(panicked));
    let next = world.ask("a");
    world.call().await.end("well");
    assert_eq!(next.await, ok("well"));
    assert_idle(&world.reads);
    let reads = share(Answering(|| panic!("before the first await")), 1);
    assert!(reads.read(&secret_name("a")).await.is_err());
    assert_idle(&reads);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_harms_nobody() {
    let mut world = World::new(64);
    drop(world.ask("a"));
    let call = world.call().await;
    let (leaves, stays) = (world.ask("a"), world.ask("a"));
    drop(leaves);
    call.end("for nobody");
    world.call().await.end("stays");
    assert_eq!(stays.await, ok("stays"));
    assert_idle(&world.reads);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_read_for_those_who_all_left() {
    let mut world = World::new(1);
    let first = world.ask("a");
    let call = world.call().await;
    drop([world.ask("a"), world.ask("a"), world.ask("b")]);
    call.end("one");
    assert_eq!(first.await, ok("one"));
    assert_idle(&world.reads);
    world.no_call(ms(1000)).await;
}

#[tokio::test(start_paused = true)]
async fn each_waits_until_its_own_deadline() {
    let mut world = World::new(1);
    let start = Instant::now();
    let a = world.ask("a");
    let _hung = world.call().await;
    sleep(ms(1000)).await;
    let b = world.ask("b");
    sleep(ms(1000)).await;
    let c = world.ask("c");
    assert_eq!(a.await, Err(TIMED_OUT));
    assert_eq!(start.elapsed().as_secs(), 5);
    let _hung_too = world.call().await;
    let late = world.ask("c");
    assert_eq!(b.await, Err(TIMED_OUT));
    assert_eq!(start.elapsed().as_secs(), 6);
    assert_eq!(c.await, Err(ReadError::Overloaded));
    assert_eq!(start.elapsed().as_secs(), 7);
    drop(late);
    sleep(DEADLINE).await;
    assert_idle(&world.reads);
}

#[tokio::test(start_paused = true)]
async fn many_clients_of_one_secret_cost_few_reads() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let reads = share(
        Answering(move || {
            counted.fetch_add(1, SeqCst);
            sleep(ms(10)).map(|()| Ok(Arc::default())).boxed()
        }),
        64,
    );
    let name = secret_name("a");
    join_all((0..64).map(|client| {
        let (reads, name) = (&reads, &name);
        async move {
            for _ in 0..100 {
                assert!(reads.read(name).await.is_ok());
                sleep(ms(client % 7)).await;
            }
        }
    }))
    .await;
    assert!(count.load(SeqCst) <= 6400 / 25, "{} reads", count.load(SeqCst));
    assert_idle(&reads);
}

/// The value read is the number of changes there were when the read began.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn across_threads_no_answer_is_older_than_its_request() {
    let changes = Arc::new(AtomicUsize::new(0));
    let source = Arc::clone(&changes);
    let reads = share(
        Answering(move || {
            let kind = source.load(SeqCst).to_string();
            let secret = Arc::new(Secret { kind, ..Secret::default() });
            tokio::task::yield_now().map(|()| Ok(secret)).boxed()
        }),
        2,
    );
    let clients = (0..16).map(|client| {
        let (reads, changes) = (Arc::clone(&reads), Arc::clone(&changes));
        tokio::spawn(async move {
            let name = secret_name(["a", "b", "c"][client % 3]);
            for _ in 0..500 {
                let before = changes.fetch_add(1, SeqCst) + 1;
                let read = reads.read(&name).await.unwrap();
                assert!(read.kind.parse::<usize>().unwrap() >= before);
            }
        })
    });
    assert!(join_all(clients).await.iter().all(Result::is_ok));
    assert_idle(&reads);
}

#[test]
fn a_runtime_shuts_down_under_reads_that_hang_and_requests_that_wait() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let reads = share(Answering(|| std::future::pending().boxed()), 1);
    for request in 0..10_000 {
        let reads = Arc::clone(&reads);
        runtime.spawn(async move { reads.read(&secret_name(&request.to_string())).await });
    }
    drop(runtime);
}
