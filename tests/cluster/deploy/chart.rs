//! The chart, installed: what it may do, and that the service runs by it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use super::pod::ask;
use super::site::{PAGE, Site};
use crate::harness::{self, ServiceAccount, deploy_trial, eventually, process};
use crate::scout::block_of;
use crate::support::SOON;
use crate::support::process::Running;

/// The tests of this file.
pub(super) fn tests() -> Vec<Trial> {
    vec![
        deploy_trial(
            "deploy::the_chart_installs_upgrades_and_leaves",
            the_chart_installs_upgrades_and_leaves,
        ),
        deploy_trial(
            "deploy::a_certificate_made_by_hand_serves",
            a_certificate_made_by_hand_serves,
        ),
        deploy_trial("deploy::rbac_allows_get_and_nothing_else", rbac_allows_get_and_nothing_else),
        deploy_trial("deploy::rbac_by_name_allows_these_alone", rbac_by_name_allows_these_alone),
        deploy_trial(
            "deploy::the_values_of_the_page_serve_two_namespaces",
            the_values_of_the_page_serve_two_namespaces,
        ),
        deploy_trial(
            "deploy::two_releases_of_one_name_serve_one_namespace",
            two_releases_of_one_name_serve_one_namespace,
        ),
    ]
}

async fn the_chart_installs_upgrades_and_leaves() -> Result<()> {
    let site = Site::new(harness::shared().await?, "helm").await?;
    let notes = site.run_block("helm").await?;
    let host = format!("https://vsecm-scout.{}.svc.cluster.local:8443/webhook", site.namespace);
    ensure!(notes.contains(&host) && notes.contains("create secret generic jwt-token"), "{notes}");
    ensure!(site.object("deployment/vsecm-scout").await?["spec"]["replicas"] == 2);
    ensure!(
        site.object("certificate/vsecm-scout").await?["spec"]["secretName"] == "vsecm-scout-tls"
    );

    let upgrade = "helm upgrade vsecm-scout deploy/chart --namespace default";
    site.run(&format!("{upgrade} --set replicaCount=3")).await?;
    ensure!(site.object("deployment/vsecm-scout").await?["spec"]["replicas"] == 3);
    site.run(&format!("{upgrade} --set autoscaling.enabled=true")).await?;
    ensure!(site.object("hpa/vsecm-scout").await?["spec"]["maxReplicas"] == 6);

    let kinds = "deployment,service,serviceaccount,role,rolebinding,networkpolicy,pdb,hpa,certificate,issuer";
    let ours = "--selector app.kubernetes.io/instance=vsecm-scout --output name";
    let get = format!("kubectl get {kinds} --namespace default {ours}");
    ensure!(site.run(&get).await?.lines().count() == 15);
    site.run("helm uninstall vsecm-scout --namespace default").await?;
    let left = site.run(&get).await?;
    ensure!(left.is_empty(), "{left}");
    Ok(())
}

async fn a_certificate_made_by_hand_serves() -> Result<()> {
    let site = Site::new(harness::shared().await?, "by-hand").await?;
    site.run_block("helm-own-certificate").await?;
    for block in ["certificate-authority", "certificate", "certificate-secret"] {
        site.run_block_in_folder(block).await?;
    }
    site.run_block("token").await?;
    serve_example(&site).await?;

    let account = site.plane.token_of(&site.namespace, "vsecm-scout").await?;
    let container = site.container().await?;
    let mut running = container.start(program(&account.kubeconfig), site.folder.path());
    container.probe(&mut running).await?;
    let (ca, token) = (site.folder.path().join("ca.crt"), site.token().await?);
    let name = format!("vsecm-scout.{}.svc.cluster.local", site.namespace);
    let path = "/webhook?key=myremotekey&property=username";
    let answer = ask(&mut running, &ca, &name, path, &token).await?;
    ensure!((answer.status, answer.text()) == (200, "\"scout\""), "{answer:?}");
    let answer = ask(&mut running, &ca, &name, "/webhook?key=jwt-token", &token).await?;
    ensure!(answer.code() == "never-served", "{answer:?}");
    the_chart_test_passes(&site, &mut running).await
}

/// Runs what `helm test` runs in its pod, with the service's name leading to `running`.
async fn the_chart_test_passes(site: &Site, running: &mut Running) -> Result<()> {
    let hooks = site.run("helm get hooks vsecm-scout --namespace default").await?;
    // Pod Security lets the pod in.
    let create = ["create", "--dry-run=server", "--output=json", "-f", "-"];
    let pod = site.kubectl.run_with(&create, &hooks).await?;
    let pod: serde_json::Value = serde_json::from_str(&pod)?;
    let container = &pod["spec"]["containers"][0];
    let script = container["args"][0].as_str().context("no script")?;
    let url = container["env"][0]["value"].as_str().context("no URL")?;

    let folder = site.folder.path();
    let script = script.replace("/tls/", &format!("{}/", folder.display()));
    let address = running.address("listening for HTTPS");
    std::fs::write(folder.join(".curlrc"), format!("connect-to = \"::{address}\"\n"))?;
    let run = |url: &str| {
        let mut sh = process::command("sh");
        sh.args(["-c", &script]).env("URL", url).env("CURL_HOME", folder);
        process::output(sh, std::time::Duration::from_secs(30))
    };
    let output = run(url).await?;
    ensure!(output.status.success(), "{output:?}");
    // It can fail: another name, which the certificate does not hold.
    let output = run("https://other.example.com/webhook").await?;
    ensure!(!output.status.success(), "{output:?}");
    Ok(())
}

async fn rbac_allows_get_and_nothing_else() -> Result<()> {
    let site = Site::new(harness::shared().await?, "rbac").await?;
    site.run_block("helm").await?;
    let account = site.plane.token_of(&site.namespace, "vsecm-scout").await?;
    soon_may(&account, &site.namespace, "get", "secret/anything").await?;
    for verb in ["list", "watch", "create", "update", "patch", "delete"] {
        ensure!(!may(&account, &site.namespace, verb, "secrets").await, "{verb}");
    }
    for other in ["configmaps", "pods", "serviceaccounts/token"] {
        ensure!(!may(&account, &site.namespace, "get", other).await, "{other}");
    }
    ensure!(!may(&account, "kube-system", "get", "secret/jwt-token").await);
    Ok(())
}

async fn rbac_by_name_allows_these_alone() -> Result<()> {
    let site = Site::new(harness::shared().await?, "by-name").await?;
    let team = site.plane.namespace("team").await?;
    let served = format!("--set served[0].namespace={team} --set served[0].secrets={{database}}");
    let install = "helm install vsecm-scout deploy/chart --namespace default";
    site.run(&format!("{install} {served}")).await?;
    let account = site.plane.token_of(&site.namespace, "vsecm-scout").await?;
    soon_may(&account, &site.namespace, "get", "secret/jwt-token").await?;
    soon_may(&account, &team, "get", "secret/database").await?;
    ensure!(!may(&account, &site.namespace, "get", "secret/vsecm-scout-tls").await);
    ensure!(!may(&account, &team, "get", "secret/other").await);
    Ok(())
}

async fn the_values_of_the_page_serve_two_namespaces() -> Result<()> {
    let site = Site::new(harness::shared().await?, "values").await?;
    let team = site.plane.namespace("team").await?;
    let values = block_of(PAGE, "served")?
        .replace("namespace: default", &format!("namespace: {}", site.namespace))
        .replace("namespace: team-a", &format!("namespace: {team}"));
    let file = site.folder.path().join("values.yaml");
    std::fs::write(&file, values)?;
    let install = "helm install vsecm-scout deploy/chart --namespace default --values";
    site.run(&format!("{install} '{}'", file.display())).await?;
    let args = site.container().await?.args;
    let first = args.iter().find(|arg| arg.starts_with("--namespace="));
    ensure!(first == Some(&format!("--namespace={}", site.namespace)), "{args:?}");
    ensure!(args.contains(&format!("--namespace={team}")), "{args:?}");
    let account = site.plane.token_of(&site.namespace, "vsecm-scout").await?;
    soon_may(&account, &site.namespace, "get", "secret/anything").await?;
    for name in ["database", "queue"] {
        soon_may(&account, &team, "get", &format!("secret/{name}")).await?;
    }
    ensure!(!may(&account, &team, "get", "secret/other").await);
    Ok(())
}

async fn two_releases_of_one_name_serve_one_namespace() -> Result<()> {
    let one = Site::new(harness::shared().await?, "one").await?;
    let other = Site::new(harness::shared().await?, "other").await?;
    let team = one.plane.namespace("team").await?;
    let install = format!(
        "helm install vsecm-scout deploy/chart --namespace default --set served[0].namespace={team}"
    );
    for site in [&one, &other] {
        site.run(&install).await?;
    }
    one.run("helm uninstall vsecm-scout --namespace default").await?;
    let account = other.plane.token_of(&other.namespace, "vsecm-scout").await?;
    soon_may(&account, &team, "get", "secret/anything").await
}

/// Waits until it may, for the API server reads new Roles when it comes to it.
async fn soon_may(
    account: &ServiceAccount,
    namespace: &str,
    verb: &str,
    object: &str,
) -> Result<()> {
    eventually(object, SOON, || async {
        Ok(may(account, namespace, verb, object).await.then_some(()))
    })
    .await
}

/// What the API server says to a ServiceAccount that asks.
async fn may(account: &ServiceAccount, namespace: &str, verb: &str, object: &str) -> bool {
    let question = ["auth", "can-i", verb, object, "--namespace", namespace];
    account.kubectl.run(&question).await.is_ok_and(|answer| answer.trim() == "yes")
}

/// The program with a kubeconfig.
pub(super) fn program(kubeconfig: &Path) -> Command {
    let mut command = process::command(env!("CARGO_BIN_EXE_vsecm-scout"));
    command.env("KUBECONFIG", kubeconfig);
    command
}

/// Stores a Secret that is served.
pub(super) async fn serve_example(site: &Site) -> Result<()> {
    let create = "kubectl create secret generic myremotekey --namespace default --from-literal username=scout";
    let label = block_of(PAGE, "label")?.replace("NAME", "myremotekey");
    site.run(&format!("{create}\n{label}")).await.map(drop)
}
