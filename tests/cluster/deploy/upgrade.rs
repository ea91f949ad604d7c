//! docs/upgrading.md: what an upgrade keeps, and what the chart refuses to change unasked.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Map, Value};

use super::site::Site;
use crate::harness::{self, deploy_trial};
use crate::support::certs::Ca;

/// An upgrade that forgets what was set before.
const FORGETFUL: &str =
    "helm upgrade vsecm-scout deploy/chart --namespace default --set logLevel=warn";

const INSTALL: &str = "helm install vsecm-scout deploy/chart --namespace default";

/// What the chart says when it refuses.
const TAKEN_OVER: &str = "is not from this chart's Certificate";

/// The tests of this file.
pub(super) fn tests() -> Vec<Trial> {
    vec![
        deploy_trial(
            "deploy::an_upgrade_that_forgets_the_own_certificate_changes_nothing",
            an_upgrade_that_forgets_the_own_certificate_changes_nothing,
        ),
        deploy_trial(
            "deploy::an_upgrade_that_forgets_issuer_or_name_changes_nothing",
            an_upgrade_that_forgets_issuer_or_name_changes_nothing,
        ),
        deploy_trial("deploy::values_are_kept_as_the_page_says", values_are_kept_as_the_page_says),
        deploy_trial(
            "deploy::what_a_new_chart_adds_is_there_after_an_upgrade",
            what_a_new_chart_adds_is_there_after_an_upgrade,
        ),
        deploy_trial(
            "deploy::cert_manager_is_given_no_secret_that_it_did_not_make",
            cert_manager_is_given_no_secret_that_it_did_not_make,
        ),
        deploy_trial(
            "deploy::the_certificates_origin_changes_on_purpose_and_back",
            the_certificates_origin_changes_on_purpose_and_back,
        ),
        deploy_trial(
            "deploy::without_cert_manager_the_secret_of_the_charts_own_name_stays",
            without_cert_manager_the_secret_of_the_charts_own_name_stays,
        ),
        deploy_trial(
            "deploy::a_renewed_certificate_is_all_that_its_secret_holds",
            a_renewed_certificate_is_all_that_its_secret_holds,
        ),
        deploy_trial("deploy::kubectl_upgrades_without_helm", kubectl_upgrades_without_helm),
    ]
}

async fn an_upgrade_that_forgets_the_own_certificate_changes_nothing() -> Result<()> {
    let site = Site::new(harness::shared().await?, "forgetful").await?;
    site.run_block("helm-own-certificate").await?;
    site.store_certificate(&Ca::new()).await?;
    let said = "the certificate in use is in the Secret vsecm-scout-certificate";
    for upgrade in [FORGETFUL, &FORGETFUL.replace("--set logLevel=warn", "--reset-values")] {
        refused_without_a_change(&site, upgrade, said).await?;
    }
    // It needs no Secret to see that: the pods may be waiting for one.
    site.kubectl.run(&["delete", "secret", "vsecm-scout-certificate"]).await?;
    refused_without_a_change(&site, FORGETFUL, said).await
}

async fn an_upgrade_that_forgets_issuer_or_name_changes_nothing() -> Result<()> {
    let plane = harness::shared().await?;
    let site = Site::new(plane.clone(), "issuer").await?;
    let issuer = "--set tls.certManager.issuerRef.name=vsecm-scout-ca \
         --set tls.certManager.issuerRef.kind=ClusterIssuer";
    site.run(&format!("{INSTALL} {issuer}")).await?;
    site.issue_certificate(&Ca::new(), "vsecm-scout", "ClusterIssuer/vsecm-scout-ca").await?;
    let said = "the certificate in use is from the ClusterIssuer vsecm-scout-ca";
    refused_without_a_change(&site, FORGETFUL, said).await?;

    let site = Site::new(plane, "renamed").await?;
    site.run(&format!("{INSTALL} --set fullnameOverride=scout")).await?;
    site.issue_certificate(&Ca::new(), "scout", "Issuer/scout-ca").await?;
    let said = "the certificate in use is in the Secret scout-tls";
    refused_without_a_change(&site, FORGETFUL, said).await
}

async fn values_are_kept_as_the_page_says() -> Result<()> {
    let site = Site::new(harness::shared().await?, "values").await?;
    site.run_block("helm-own-certificate").await?;
    let upgrade = "helm upgrade vsecm-scout deploy/chart --namespace default";
    let page = Site::upgrading("upgrade")?;
    for (level, upgrade) in [
        ("warn", format!("{page} --set logLevel=warn")),
        ("warn", page.to_owned()),
        ("debug", format!("{upgrade} --reuse-values --set logLevel=debug")),
        ("debug", upgrade.to_owned()),
        ("debug", in_folder(&site, "values")?),
    ] {
        site.run(&upgrade).await?;
        ensure!(mounted(&site).await? == "vsecm-scout-certificate");
        let container = site.container().await?;
        ensure!(container.spec["env"][0]["value"] == level, "{upgrade}: {}", container.spec["env"]);
        ensure!(site.object("certificate/vsecm-scout").await.is_err());
    }
    Ok(())
}

/// The old chart is this one before it had the value `test.image`.
async fn what_a_new_chart_adds_is_there_after_an_upgrade() -> Result<()> {
    let site = Site::new(harness::shared().await?, "added").await?;
    let old = site.folder.path().join("old").display().to_string();
    site.run(&format!(
        "cp --recursive --dereference deploy/chart '{old}'
        sed -i '/^test:/,$d' '{old}/values.yaml'
        sed -i '/image: {{{{ .Values.test.image }}}}/d' '{old}/templates/tests/answer.yaml'
        helm install vsecm-scout '{old}' --namespace default"
    ))
    .await?;
    let reuse = "helm upgrade vsecm-scout deploy/chart --namespace default --reuse-values";
    refused_without_a_change(&site, reuse, "test.image").await?;
    site.upgrade("upgrade", "").await.map(drop)
}

async fn without_cert_manager_the_secret_of_the_charts_own_name_stays() -> Result<()> {
    let site = Site::new(harness::shared().await?, "by-hand").await?;
    let ca = "--from-literal=ca.crt=…";
    site.kubectl.run(&["create", "secret", "generic", "vsecm-scout-tls", ca]).await?;
    site.run(&format!("{INSTALL} --set tls.certManager.enabled=false")).await?;
    refused_without_a_change(&site, FORGETFUL, TAKEN_OVER).await?;
    site.run(&format!("{FORGETFUL} --reset-then-reuse-values")).await?;
    ensure!(mounted(&site).await? == "vsecm-scout-tls");
    Ok(())
}

async fn cert_manager_is_given_no_secret_that_it_did_not_make() -> Result<()> {
    let site = Site::new(harness::shared().await?, "taken").await?;
    let ca = "--from-literal=ca.crt=…";
    site.kubectl.run(&["create", "secret", "generic", "vsecm-scout-tls", ca]).await?;
    let company = "--set tls.certManager.issuerRef.name=company";
    for install in [INSTALL, &format!("{INSTALL} {company}")] {
        refused_without_a_change(&site, install, TAKEN_OVER).await?;
    }
    site.kubectl.run(&["delete", "secret", "vsecm-scout-tls"]).await?;
    site.kubectl.run(&["create", "secret", "generic", "vsecm-scout-ca", ca]).await?;
    refused_without_a_change(&site, INSTALL, TAKEN_OVER).await?;
    site.kubectl.run(&["delete", "secret", "vsecm-scout-ca"]).await?;
    // Where helm sees no cluster, the names keep the two apart.
    let template = "helm template vsecm-scout deploy/chart --namespace default";
    site.run(template).await?;
    let own = "--set tls.existingSecret=vsecm-scout-tls";
    refused_without_a_change(&site, &format!("{template} {own}"), "another name").await?;

    // What cert-manager made for a release that is gone is taken up again, and not issued anew.
    site.run_block("helm").await?;
    site.issue_certificate(&Ca::new(), "vsecm-scout", "Issuer/vsecm-scout-ca").await?;
    site.run(FORGETFUL).await?;
    site.upgrade("uninstall", "").await?;
    site.run_block("helm").await?;
    site.run(FORGETFUL).await.map(drop)
}

async fn the_certificates_origin_changes_on_purpose_and_back() -> Result<()> {
    let site = Site::new(harness::shared().await?, "origin").await?;
    site.run_block("helm-own-certificate").await?;
    site.store_certificate(&Ca::new()).await?;
    let stored = site.object("secret/vsecm-scout-certificate").await?;

    site.upgrade("own-ca", "").await?;
    ensure!(mounted(&site).await? == "vsecm-scout-tls");
    let certificate = site.object("certificate/vsecm-scout").await?;
    ensure!(certificate["spec"]["issuerRef"]["name"] == "vsecm-scout-ca");
    site.object("issuer/vsecm-scout-ca").await?;

    site.upgrade("rollback", "").await?;
    ensure!(mounted(&site).await? == "vsecm-scout-certificate");
    ensure!(site.object("certificate/vsecm-scout").await.is_err());
    ensure!(site.object("secret/vsecm-scout-certificate").await? == stored);

    let company = "--set tls.existingSecret= --set tls.certManager.issuerRef.name=company";
    site.upgrade("upgrade", company).await?;
    site.issue_certificate(&Ca::new(), "vsecm-scout", "Issuer/company").await?;
    site.upgrade("upgrade", "--set tls.existingSecret=vsecm-scout-certificate").await?;
    ensure!(mounted(&site).await? == "vsecm-scout-certificate");
    ensure!(site.object("secret/vsecm-scout-certificate").await? == stored);
    Ok(())
}

async fn a_renewed_certificate_is_all_that_its_secret_holds() -> Result<()> {
    let site = Site::new(harness::shared().await?, "renewal").await?;
    for block in ["certificate-authority", "certificate", "certificate-secret"] {
        site.run_block_in_folder(block).await?;
    }
    let before = site.object("secret/vsecm-scout-certificate").await?;
    for block in ["certificate", "certificate-renewal"] {
        site.run_block_in_folder(block).await?;
    }
    let after = site.object("secret/vsecm-scout-certificate").await?;

    let differs = |entry: &str| before["data"][entry] != after["data"][entry];
    ensure!(differs("tls.crt") && differs("tls.key") && !differs("ca.crt"));
    ensure!(keys(&after["data"])? == ["ca.crt", "tls.crt", "tls.key"]);
    ensure!(after["type"] == "kubernetes.io/tls");
    let metadata = keys(&after["metadata"])?;
    ensure!(
        metadata == ["creationTimestamp", "name", "namespace", "resourceVersion", "uid"],
        "{metadata:?}"
    );
    let folder = site.folder.path().display();
    site.run(&format!("cd '{folder}'\nopenssl verify -CAfile ca.crt tls.crt")).await.map(drop)
}

async fn kubectl_upgrades_without_helm() -> Result<()> {
    let plane = harness::shared().await?;
    let site = Site::in_namespace(plane.clone(), "default".to_owned()).await?;
    site.run_block("kubectl").await?;
    ensure!(site.upgrade("kubectl-diff", "").await?.is_empty());
    site.kubectl.run(&["scale", "deployment/vsecm-scout", "--replicas=5"]).await?;
    let diff = site.upgrade("kubectl-diff", "").await?;
    ensure!(diff.contains("-  replicas: 5") && diff.contains("+  replicas: 2"), "{diff}");
    site.upgrade("kubectl-upgrade", "").await?;
    ensure!(site.object("deployment/vsecm-scout").await?["spec"]["replicas"] == 2);
    site.upgrade("kubectl-uninstall", "").await?;
    ensure!(site.object("deployment/vsecm-scout").await.is_err());
    Ok(())
}

/// A script of docs/upgrading.md that leaves a file, which goes into the site's own folder.
fn in_folder(site: &Site, block: &str) -> Result<String> {
    let file = site.folder.path().join("values.yaml").display().to_string();
    Ok(Site::upgrading(block)?.replace("values.yaml", &file))
}

/// Runs a command that the chart refuses, saying `said`, before anything in the namespace changes.
async fn refused_without_a_change(site: &Site, command: &str, said: &str) -> Result<()> {
    let before = site.objects("").await?;
    let refused =
        site.run(command).await.err().with_context(|| format!("not refused: {command}"))?;
    let refused = format!("{refused:#}");
    ensure!(refused.contains(said), "{refused}");
    ensure!(site.objects("").await? == before);
    Ok(())
}

/// The Secret with the certificate that the pods mount.
async fn mounted(site: &Site) -> Result<String> {
    let deployment = site.object("deployment/vsecm-scout").await?;
    let secret = &deployment["spec"]["template"]["spec"]["volumes"][0]["secret"]["secretName"];
    Ok(secret.as_str().context("no Secret")?.to_owned())
}

fn keys(object: &Value) -> Result<Vec<&String>> {
    Ok(object.as_object().map(Map::keys).context("no object")?.collect())
}
