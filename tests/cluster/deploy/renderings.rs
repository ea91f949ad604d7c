//! Every rendering of the chart: valid to the API server to the last field, and admitted.

use std::fs;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::site::Site;
use crate::harness::{self, deploy_trial};

/// The tests of this file.
pub(super) fn tests() -> Vec<Trial> {
    vec![
        deploy_trial("deploy::the_defaults_are_valid_and_admitted", || async {
            is_valid_and_admitted("defaults", "", "vsecm-scout").await
        }),
        deploy_trial("deploy::every_option_is_valid_and_admitted", || async {
            let values = "--values deploy/chart/ci/everything-values.yaml";
            is_valid_and_admitted("everything", values, "scout").await
        }),
        deploy_trial("deploy::an_own_certificate_is_valid_and_admitted", || async {
            let values = "--values deploy/chart/ci/own-certificate-values.yaml";
            is_valid_and_admitted("own", values, "vsecm-scout").await
        }),
        deploy_trial("deploy::a_mistyped_value_is_refused", a_mistyped_value_is_refused),
        deploy_trial(
            "deploy::a_kustomization_can_patch_install_yaml",
            a_kustomization_can_patch_install_yaml,
        ),
    ]
}

async fn is_valid_and_admitted(prefix: &str, flags: &str, name: &str) -> Result<()> {
    let site = Site::new(harness::shared().await?, prefix).await?;
    let kubectl = &site.kubectl;
    for namespace in ["team-a", "team-b"] {
        // Another test may have made it.
        let _ = kubectl.run(&["create", "namespace", namespace]).await;
    }
    let template = "helm template vsecm-scout deploy/chart --namespace default";
    let manifests = site.run(&format!("{template} --skip-tests {flags}")).await?;
    let apply = ["apply", "--validate=strict", "-f", "-"];
    kubectl.run_with(&apply, &manifests).await?;

    let deployment = site.object(&format!("deployment/{name}")).await?;
    let pod = &deployment["spec"]["template"];
    let account = pod["spec"]["serviceAccountName"].as_str().context("no ServiceAccount")?;
    if account != name {
        site.plane.service_account(&site.namespace, account).await?;
    }
    admit(&site, pod).await?;
    the_pods_are_selected(&site, name, pod).await?;
    // Admission is on, and sees the difference.
    let mut loose = pod.clone();
    loose["spec"]["containers"][0]["securityContext"] = Value::Null;
    let refused = admit(&site, &loose).await;
    ensure!(refused.is_err_and(|error| format!("{error:#}").contains("violates PodSecurity")));

    // A value that the API server does not know is no field of these objects.
    let mistyped = manifests.replace("terminationGracePeriodSeconds", "terminationGracePeriod");
    let refused = kubectl.run_with(&apply, &mistyped).await;
    ensure!(refused.is_err_and(|error| format!("{error:#}").contains("unknown field")));
    Ok(())
}

/// What is meant for the pods finds them, and Prometheus finds the Service that it is to scrape.
async fn the_pods_are_selected(site: &Site, name: &str, pod: &Value) -> Result<()> {
    let services = site.object("services").await?;
    let services = services["items"].as_array().context("no Services")?;
    ensure!(services.len() == 2);
    let mut selectors: Vec<Value> =
        services.iter().map(|service| service["spec"]["selector"].clone()).collect();
    let optional = [("networkpolicies", "podSelector"), ("poddisruptionbudgets", "selector")];
    for (kind, field) in optional {
        let objects = site.object(kind).await?;
        let objects = objects["items"].as_array().context("no list")?;
        selectors.extend(objects.iter().map(|object| object["spec"][field]["matchLabels"].clone()));
    }
    for selector in &selectors {
        ensure!(selects(selector, &pod["metadata"]["labels"])?, "{selector}");
    }
    if let Ok(monitor) = site.object(&format!("servicemonitor/{name}")).await {
        let selector = &monitor["spec"]["selector"]["matchLabels"];
        let port = &monitor["spec"]["endpoints"][0]["port"];
        for service in services {
            let is_admin = service["spec"]["ports"][0]["name"] == *port;
            ensure!(selects(selector, &service["metadata"]["labels"])? == is_admin);
        }
    }
    Ok(())
}

/// Whether something with these labels is selected.
fn selects(selector: &Value, labels: &Value) -> Result<bool> {
    let selector = selector.as_object().context("no selector")?;
    Ok(!selector.is_empty() && selector.iter().all(|(label, value)| labels[label] == *value))
}

/// Asks the API server whether it would create a Pod of this template.
async fn admit(site: &Site, template: &Value) -> Result<String> {
    let mut pod = template.clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!("from-template");
    site.kubectl.run_with(&["create", "--dry-run=server", "-f", "-"], &pod.to_string()).await
}

async fn a_mistyped_value_is_refused() -> Result<()> {
    let site = Site::new(harness::shared().await?, "schema").await?;
    for set in ["replicaz=3", "image.tagg=1", "replicaCount=two", "extraArgs[0]=--listen=[::]:1"] {
        let template = "helm template vsecm-scout deploy/chart --namespace default";
        let refused = site.run(&format!("{template} --set '{set}'")).await;
        let said = refused.err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(said.contains("don't meet the specifications of the schema"), "{set}: {said}");
    }
    Ok(())
}

async fn a_kustomization_can_patch_install_yaml() -> Result<()> {
    let site = Site::new(harness::shared().await?, "kustomize").await?;
    let folder = site.folder.path();
    let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");
    // kubectl takes only relative paths.
    std::os::unix::fs::symlink(ours, folder.join("deploy"))?;
    let kustomization = json!({
        "resources": ["deploy"],
        "images": [{ "name": "ghcr.io/vsecm/vsecm-scout", "newTag": "other" }],
    });
    fs::write(folder.join("kustomization.yaml"), kustomization.to_string())?;
    let script =
        format!("kubectl apply --dry-run=server --output=json --kustomize '{}'", folder.display());
    let list: Value = serde_json::from_str(&site.run(&script).await?)?;
    let items = list["items"].as_array().context("no items")?;
    let deployment = items.iter().find(|item| item["kind"] == "Deployment").context("none")?;
    let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
    ensure!(image == "ghcr.io/vsecm/vsecm-scout:other", "{image}");
    Ok(())
}
