//! Clients that ask without a pause while a test does something to the API server.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use tokio::time::{Instant, timeout};

use crate::harness::eventually;
use crate::scout::Scout;
use crate::support::SOON;
use crate::support::client::Answer;

/// How soon all must be well after a fault has ended.
const WELL: Duration = Duration::from_secs(5);
/// How many answers in a row show that a client's luck lasts.
const LASTING: usize = 10;

/// The clients, and what they were answered.
pub(crate) struct Load<'a> {
    scout: &'a Scout,
    token: &'a str,
    clients: Vec<Client>,
    over: AtomicBool,
}

/// Somebody who asks for one thing, on a connection of its own each time.
struct Client {
    query: String,
    /// The status that it gets while all is well.
    well: u16,
    asked: Mutex<Vec<Asked>>,
}

/// A request and its answer.
#[derive(Clone)]
struct Asked {
    began: Instant,
    took: Duration,
    status: u16,
    code: String,
    retry_after: bool,
}

impl<'a> Load<'a> {
    /// Clients that ask for these queries with `token`, each with the status that it gets while
    /// all is well.
    pub(crate) fn new(
        scout: &'a Scout,
        token: &'a str,
        queries: impl IntoIterator<Item = (String, u16)>,
    ) -> Self {
        let client = |(query, well)| Client { query, well, asked: Mutex::default() };
        let clients = queries.into_iter().map(client).collect();
        Self { scout, token, clients, over: AtomicBool::new(false) }
    }

    /// Keeps the load up for as long as `test` takes, and gives what it gave.
    pub(crate) async fn during(&self, test: impl Future<Output = Result<()>>) -> Result<()> {
        let test = async {
            test.await?;
            self.over.store(true, Ordering::SeqCst);
            Ok(())
        };
        tokio::try_join!(test, try_join_all(self.clients.iter().map(|client| self.ask(client))))?;
        Ok(())
    }

    async fn ask(&self, client: &Client) -> Result<()> {
        while !self.over.load(Ordering::SeqCst) {
            let began = Instant::now();
            let answer = timeout(SOON, self.scout.get(&client.query, self.token)).await;
            let answer = answer.with_context(|| format!("{}: no answer", client.query))??;
            client.record(began, &answer);
        }
        Ok(())
    }

    /// Waits until each client was told 503, by a request that began after this call.
    pub(crate) async fn fails(&self) -> Result<()> {
        let start = Instant::now();
        eventually("a 503 for each client", SOON, || async {
            let told =
                |client: &Client| client.since(start).iter().any(|asked| asked.status == 503);
            Ok(self.clients.iter().all(told).then_some(()))
        })
        .await
    }

    /// Waits until all is well for each client, which must be soon, and sees it last.
    pub(crate) async fn recovers(&self) -> Result<()> {
        let start = Instant::now();
        eventually("good answers for each client", WELL, || async {
            let well = |client: &Client| {
                client.since(start).last().is_some_and(|asked| asked.status == client.well)
            };
            Ok(self.clients.iter().all(well).then_some(()))
        })
        .await?;
        let well = Instant::now();
        eventually("more answers for each client", 3 * SOON, || async {
            let many = |client: &Client| client.since(well).len() >= LASTING;
            Ok(self.clients.iter().all(many).then_some(()))
        })
        .await?;
        for client in &self.clients {
            let failed = client.since(well).into_iter().find(|asked| asked.status != client.well);
            if let Some(Asked { status, code, .. }) = failed {
                anyhow::bail!("{}: {status} {code} after all was well again", client.query);
            }
        }
        Ok(())
    }

    /// Checks each answer: as when all is well, or a 503 with `Retry-After`, or one with a code
    /// that is `excused`; and that none took longer than `longest`. Returns how many there were of
    /// each status.
    pub(crate) fn check(
        &self,
        longest: Duration,
        excused: &[&str],
    ) -> Result<BTreeMap<u16, usize>> {
        let mut counts = BTreeMap::new();
        for client in &self.clients {
            for Asked { took, status, code, retry_after, .. } in client.all() {
                let query = &client.query;
                let expected = [client.well, 503].contains(&status) || excused.contains(&&*code);
                ensure!(expected, "{query}: {status} {code}");
                ensure!(retry_after == (status == 503), "{query}: {status} {code}: Retry-After?");
                ensure!(took < longest, "{query}: {status} {code} after {took:?}");
                *counts.entry(status).or_default() += 1;
            }
        }
        Ok(counts)
    }
}

impl Client {
    fn record(&self, began: Instant, answer: &Answer) {
        let asked = Asked {
            began,
            took: began.elapsed(),
            status: answer.status,
            code: if answer.status == 200 { String::new() } else { answer.code() },
            retry_after: answer.headers.contains_key("retry-after"),
        };
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
    }

    fn all(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The requests that began after `start`, and were answered.
    fn since(&self, start: Instant) -> Vec<Asked> {
        self.all().into_iter().filter(|asked| asked.began > start).collect()
    }
}
