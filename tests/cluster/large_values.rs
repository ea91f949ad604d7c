//! Values of 1 MiB from a real API server: exact, and few of them in memory at a time.

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use libtest_mimic::Trial;

use crate::harness::{self, eventually, trial};
use crate::scout::Site;
use crate::shared_reads::create_secrets;
use crate::support::SOON;

/// What is promised, in KiB.
const MEMORY: usize = 64 * 1024;

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![trial(
        "large_values::many_at_once_stay_within_the_promised_memory",
        many_at_once_stay_within_the_promised_memory,
    )]
}

async fn many_at_once_stay_within_the_promised_memory() -> Result<()> {
    const SECRETS: usize = 8;
    const CLIENTS: usize = 96;
    let plane = harness::shared().await?;
    let site = Site::new(&plane, "large").await?;
    // As large as the API server takes them: 1 MiB for names and values together.
    let value = |secret: usize| secret.to_string().repeat((1 << 20) - 16);
    create_secrets(&plane, &site.namespace, SECRETS, value).await?;
    let scout = site.start(&[])?;
    scout.ready().await?;
    let before = scout.process.memory("VmRSS:");
    let answers = try_join_all((0..CLIENTS).map(|client| {
        let (scout, site) = (&scout, &site);
        async move {
            let secret = client % SECRETS;
            let query = format!("key=s{secret}&property=v");
            let answer = scout.get(&query, &site.token).await?;
            let exact = answer.text().trim_matches('"') == value(secret);
            ensure!(answer.status == 503 || exact, "{}: another value", answer.status);
            Ok(answer.status)
        }
    }))
    .await?;
    let served = answers.iter().filter(|status| **status == 200).count();
    ensure!(served > 0 && answers.iter().all(|status| [200, 503].contains(status)), "{answers:?}");
    let peak = scout.process.memory("VmHWM:");
    ensure!(peak <= MEMORY, "{peak} KiB, after {before} KiB");
    // Reads whose clients were told 503 may still be under way.
    eventually("room for one more", SOON, || async {
        let answer = scout.get("key=s0&property=v", &site.token).await?;
        Ok((answer.status == 200).then_some(()))
    })
    .await
}
