//! Waiting by asking again, never by sleeping for long enough.

use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::{Instant, sleep, timeout_at};

/// The pause between two looks: short beside what is waited for, long beside a look.
const INTERVAL: Duration = Duration::from_millis(20);

/// Asks `probe` again and again until it has a value, and gives up after `within`.
/// An error counts as "not yet"; the last one is told if the time runs out.
pub(crate) async fn eventually<T, F, Fut>(what: &str, within: Duration, mut probe: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Option<T>>>,
{
    let deadline = Instant::now() + within;
    loop {
        let not_yet = match timeout_at(deadline, probe()).await {
            Ok(Ok(Some(value))) => return Ok(value),
            Ok(Ok(None)) => anyhow!("not yet"),
            Ok(Err(error)) => error,
            Err(_) => anyhow!("the last look did not end"),
        };
        if Instant::now() >= deadline {
            return Err(not_yet.context(format!("{what}: not within {within:?}")));
        }
        sleep(INTERVAL).await;
    }
}
