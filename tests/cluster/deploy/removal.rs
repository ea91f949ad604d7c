//! The test of the chart, and what is left of a release that is gone.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;

use super::site::Site;
use crate::harness::{self, deploy_trial, eventually};
use crate::support::SOON;

/// Selects what a release has made.
const OURS: &str = "--selector app.kubernetes.io/instance=vsecm-scout";

const POD: &str = "vsecm-scout-test";

/// The tests of this file.
pub(super) fn tests() -> Vec<Trial> {
    vec![deploy_trial(
        "deploy::nothing_of_a_release_is_left_behind",
        nothing_of_a_release_is_left_behind,
    )]
}

async fn nothing_of_a_release_is_left_behind() -> Result<()> {
    let plane = harness::shared().await?;
    harness::install_crds(&plane).await?;
    let site = Site::new(plane, "removal").await?;
    site.run_block("helm").await?;
    site.run_block("token").await?;
    roll_out(&site).await?;

    let (passed, ended) = tokio::join!(site.run_block("works"), end_test_pod(&site, "Succeeded"));
    ended?;
    let passed = passed?;
    ensure!(passed.contains("Succeeded"), "{passed}");
    ensure!(!site.objects(OURS).await?.contains(POD), "the pod of a test that passed");

    let test = "helm test vsecm-scout --namespace default";
    let (failed, ended) = tokio::join!(site.run(test), end_test_pod(&site, "Failed"));
    ended?;
    ensure!(failed.is_err(), "{failed:?}");
    ensure!(!site.objects(OURS).await?.contains(POD), "the pod of a test that failed");

    ensure!(!site.objects(OURS).await?.is_empty());
    site.upgrade("uninstall", "").await?;
    let left = site.objects(OURS).await?;
    ensure!(left.is_empty(), "{left}");
    // What is no release's stays until it is deleted.
    site.object("secret/jwt-token").await?;
    site.upgrade("delete-secrets", "").await?;
    ensure!(site.object("secret/jwt-token").await.is_err());
    Ok(())
}

/// Does what the Deployment's controller would when all pods are ready.
async fn roll_out(site: &Site) -> Result<()> {
    let deployment = site.object("deployment/vsecm-scout").await?;
    let generation = &deployment["metadata"]["generation"];
    let status = serde_json::json!({ "status": {
        "observedGeneration": generation, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2,
        "availableReplicas": 2,
    }});
    patch_status(site, "deployment/vsecm-scout", &status.to_string()).await
}

/// Does what the kubelet would with the pod of `helm test`, once it is there.
async fn end_test_pod(site: &Site, phase: &str) -> Result<()> {
    eventually("the test's pod", SOON, || async {
        let status = format!(r#"{{"status":{{"phase":"{phase}"}}}}"#);
        patch_status(site, &format!("pod/{POD}"), &status).await.map(Some)
    })
    .await
}

async fn patch_status(site: &Site, object: &str, status: &str) -> Result<()> {
    let patch = ["patch", object, "--subresource=status", "--type=merge", "--patch", status];
    site.kubectl.run(&patch).await.map(drop)
}
