//! The runtime of the verbs.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::Runtime;

/// How long what is stuck outside the runtime, such as a read of a file, may hold up the end.
const LAST: Duration = Duration::from_secs(1);

/// Runs `main`, and then ends all tasks that it has left behind. Requests that are cut off leave
/// their audit lines then: the log must outlive this.
pub fn block_on<T>(main: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = Runtime::new()?;
    let outcome = runtime.block_on(main);
    runtime.shutdown_timeout(LAST);
    outcome
}
