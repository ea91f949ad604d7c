//! What the metrics tell of faults that only a real API server has.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;

use crate::harness::{self, ControlPlane, Options, Parts, eventually, trial};
use crate::scout::Site;
use crate::support::SOON;
use crate::support::metrics::value;
use crate::support::process::http_get;

const ADMIN: &str = "listening for admin requests";

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        trial("monitoring::refusals_of_rbac_are_counted", refusals_of_rbac_are_counted),
        trial("monitoring::an_api_server_out_of_reach_shows", an_api_server_out_of_reach_shows),
    ]
}

async fn refusals_of_rbac_are_counted() -> Result<()> {
    let plane = harness::shared().await?;
    let site = Site::new(&plane, "refused").await?;
    let kubectl = plane.kubectl();
    let binding = ["delete", "rolebinding", "vsecm-scout", "--namespace", &site.namespace];
    kubectl.run(&binding).await?;
    // The service looks at its token when it starts, and then not for half a minute.
    eventually("a refusal by the API server", SOON, || async {
        let read = site.account.kubectl.run(&["get", "secret", "jwt-token"]).await;
        Ok(read.is_err_and(|error| format!("{error:#}").contains("Forbidden")).then_some(()))
    })
    .await?;
    let mut scout = site.start(&[])?;
    let admin = scout.process.address(ADMIN);
    let token_read = |outcome| {
        format!(r#"vsecm_scout_secret_reads_total{{secret="token",outcome="{outcome}"}}"#)
    };
    eventually("a refusal", SOON, || async {
        Ok((metric(admin, &token_read("forbidden"))? > 0.0).then_some(()))
    })
    .await?;
    ensure!(metric(admin, "vsecm_scout_token_valid")? == 0.0);
    let answer = scout.get("key=myremotekey", &site.token).await?;
    ensure!((answer.status, answer.code().as_str()) == (500, "rbac-forbidden"), "{answer:?}");
    let requests = r#"vsecm_scout_requests_total{code="500",reason="rbac-forbidden"}"#;
    ensure!(metric(admin, requests)? == 1.0);

    kubectl.apply_in(&site.namespace, &site.fitted("role")?).await?;
    eventually("a valid token", SOON, || async {
        Ok((metric(admin, "vsecm_scout_token_valid")? == 1.0).then_some(()))
    })
    .await
}

async fn an_api_server_out_of_reach_shows() -> Result<()> {
    let mut plane = ControlPlane::start(&Parts::find()?, Options::default()).await?;
    let site = Site::new(&plane, "unreachable").await?;
    let mut scout = site.start(&["--deadline", "1s"])?;
    let admin = scout.process.address(ADMIN);
    scout.ready().await?;
    let expiry = metric(admin, "vsecm_scout_token_expiry_timestamp_seconds")?;
    ensure!(expiry == f64::INFINITY, "the token has no exp: {expiry}");
    plane.pause().await?;
    let answer = scout.get("key=myremotekey", &site.token).await?;
    ensure!(answer.status == 503, "{answer:?}");
    let read = r#"vsecm_scout_secret_reads_total{secret="token",outcome="unavailable"}"#;
    eventually("the read's end", SOON, || async { Ok((metric(admin, read)? > 0.0).then_some(())) })
        .await?;
    plane.resume()?;
    let slowest = r#"vsecm_scout_secret_read_duration_seconds_bucket{le="0.5",secret="token"}"#;
    let all = r#"vsecm_scout_secret_read_duration_seconds_count{secret="token"}"#;
    ensure!(metric(admin, slowest)? < metric(admin, all)?, "its slowness shows");
    Ok(())
}

fn metric(admin: SocketAddr, series: &str) -> Result<f64> {
    let (status, text) = http_get(admin, "/metrics");
    ensure!(status == 200, "{text}");
    Ok(value(&text, series))
}
