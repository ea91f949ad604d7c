//! The service on a real API server, under the ServiceAccount and Role of README.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;

use crate::harness::{self, trial};
use crate::scout::Site;

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![trial("service::a_value_is_read", a_value_is_read)]
}

async fn a_value_is_read() -> Result<()> {
    let plane = harness::shared().await?;
    let site = Site::new(&plane, "read").await?;
    let scout = site.start(&[])?;
    let answer = scout.get("key=myremotekey&property=username", &site.token).await?;
    ensure!((answer.status, answer.text()) == (200, "\"scout\""), "{answer:?}");
    Ok(())
}
