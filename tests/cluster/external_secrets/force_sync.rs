//! What the annotation `force-sync` makes ESO do, and what it does not.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::stage::{IN_TIME, Stage, edited};
use crate::harness::{self, eventually, trial};
use crate::scout::{block_of, readme};

/// The tests of this file.
pub(super) fn tests() -> Vec<Trial> {
    vec![
        trial("external_secrets::force_sync_refreshes_what_is_refreshed_at_all", each_policy),
        trial("external_secrets::a_target_without_its_hash_is_filled_again", without_hash),
        trial("external_secrets::force_sync_leaves_its_annotation_on_the_target", left_behind),
        trial("external_secrets::a_cluster_external_secret_passes_force_sync_on", cluster_wide),
    ]
}

const PAGE: &str = include_str!("../../../docs/eso.md");

/// ExternalSecrets by their refresh policy and interval, and whether `force-sync` refreshes them.
const POLICIES: [(&str, Option<&str>, &str, bool); 7] = [
    ("default", None, "1h", true),
    ("default-never", None, "0s", false),
    ("periodic", Some("Periodic"), "1h", true),
    ("periodic-never", Some("Periodic"), "0s", false),
    ("on-change", Some("OnChange"), "1h", true),
    ("on-change-never", Some("OnChange"), "0s", true),
    ("created-once", Some("CreatedOnce"), "1h", false),
];

/// A stage whose store is ready.
async fn stage(prefix: &str) -> Result<Stage> {
    let stage = Stage::new(&*harness::shared().await?, prefix).await?;
    stage.apply(readme("store")?).await?;
    stage.store_ready().await?;
    Ok(stage)
}

/// Creates an ExternalSecret for a Secret of its own, and waits for its target.
async fn fill(stage: &Stage, name: &str, policy: Option<&str>, interval: &str) -> Result<()> {
    stage.serve(name, &[("word", b"first")]).await?;
    let mut spec = json!({
        "refreshInterval": interval,
        "data": [{ "secretKey": "word", "remoteRef": { "key": name, "property": "word" } }],
    });
    if let Some(policy) = policy {
        spec["refreshPolicy"] = policy.into();
    }
    stage.external_secret(name, spec).await?;
    stage.filled(name, name).await?;
    Ok(())
}

async fn each_policy() -> Result<()> {
    let stage = stage("force-sync").await?;
    for (name, policy, interval, _) in POLICIES {
        fill(&stage, name, policy, interval).await?;
    }
    settled(&stage).await?;
    let before = POLICIES.map(|(name, ..)| asked(&stage, name));
    for (name, ..) in POLICIES {
        annotate(&stage, name, "force-sync=1").await?;
    }
    settled(&stage).await?;
    let after = POLICIES.map(|(name, ..)| asked(&stage, name));
    for ((name, .., refreshed), (before, after)) in POLICIES.iter().zip(before.iter().zip(after)) {
        ensure!((after > *before) == *refreshed, "{name}: asked {before} times, then {after}");
    }

    // The same value again changes nothing.
    for (name, ..) in POLICIES {
        annotate(&stage, name, "force-sync=1").await?;
    }
    settled(&stage).await?;
    ensure!(POLICIES.map(|(name, ..)| asked(&stage, name)) == after, "refreshed by the same value");
    Ok(())
}

async fn without_hash() -> Result<()> {
    let stage = stage("hash").await?;
    for (name, policy, interval) in
        [("created-once", Some("CreatedOnce"), "1h"), ("never", None, "0s")]
    {
        fill(&stage, name, policy, interval).await?;
        let change = r#"{"stringData":{"word":"second"}}"#;
        stage.served.run(&["patch", "secret", name, "--patch", change]).await?;
        let uid = ["get", "secret", name, "-o", "jsonpath={.metadata.uid}"];
        let before = stage.kubectl.run(&uid).await?;
        let command = edited(block_of(PAGE, "refresh-anyway")?, "example-secret", name)?;
        stage.kubectl.script(&command).await?;
        eventually("the other value", IN_TIME, || async {
            let target = stage.target(name).await?.context("no target")?;
            Ok((target.text("word")? == "second").then_some(()))
        })
        .await?;
        ensure!(stage.kubectl.run(&uid).await? == before, "the target was removed meanwhile");
    }
    Ok(())
}

async fn left_behind() -> Result<()> {
    let stage = stage("left-behind").await?;
    let templated = json!({ "target": { "template": { "metadata": {} } } });
    for (name, mut spec) in [("plain", json!({})), ("templated", templated)] {
        spec["refreshInterval"] = "1h".into();
        spec["dataFrom"] = json!([{ "extract": { "key": "myremotekey" } }]);
        stage.external_secret(name, spec).await?;
        stage.filled(name, name).await?;
        let before = target(&stage, name).await?["metadata"]["annotations"].clone();
        let key = asked(&stage, "myremotekey");
        stage.refresh(name).await?;
        eventually("a refresh", IN_TIME, || async {
            Ok((asked(&stage, "myremotekey") > key).then_some(()))
        })
        .await?;
        settled(&stage).await?;
        let mut after = target(&stage, name).await?["metadata"]["annotations"].clone();
        let annotations = after.as_object_mut().context("no annotations")?;
        ensure!(annotations.remove("force-sync").is_some() == (name == "plain"), "{after:#}");
        ensure!(after == before, "{after:#} instead of {before:#}");
    }
    Ok(())
}

async fn cluster_wide() -> Result<()> {
    let stage = stage("cluster-wide").await?;
    let owner = stage.namespace.clone();
    let manifest = json!({
        "apiVersion": "external-secrets.io/v1",
        "kind": "ClusterExternalSecret",
        "metadata": { "name": owner },
        "spec": {
            "externalSecretName": "child",
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": owner } },
            "externalSecretSpec": {
                "refreshInterval": "1h",
                "secretStoreRef": { "kind": "ClusterSecretStore", "name": owner },
                "dataFrom": [{ "extract": { "key": "myremotekey" } }],
            },
        },
    });
    stage.kubectl.run_with(&["create", "-f", "-"], &manifest.to_string()).await?;
    let child = ["get", "externalsecret", "child", "-o", "json"];
    eventually("the child", IN_TIME, || async { Ok(Some(stage.kubectl.run(&child).await?)) })
        .await?;
    stage.filled("child", "child").await?;

    let before = asked(&stage, "myremotekey");
    let command = block_of(PAGE, "refresh-cluster-wide")?;
    let command = edited(command, "example-cluster-external-secret", &owner)?;
    stage.kubectl.script(&command).await?;
    eventually("the child's annotation", IN_TIME, || async {
        let child: Value = serde_json::from_str(&stage.kubectl.run(&child).await?)?;
        let annotation = &child["metadata"]["annotations"]["external-secrets.io/force-sync"];
        Ok((annotation.is_string() && asked(&stage, "myremotekey") > before).then_some(()))
    })
    .await?;

    // What is written on the child itself, its owner takes away.
    annotate(&stage, "child", "force-sync=1").await?;
    eventually("the annotation's end", IN_TIME, || async {
        let child: Value = serde_json::from_str(&stage.kubectl.run(&child).await?)?;
        Ok(child["metadata"]["annotations"]["force-sync"].is_null().then_some(()))
    })
    .await
}

/// How often a Secret was asked for.
fn asked(stage: &Stage, key: &str) -> usize {
    let key = format!("{}/{key}", stage.site.namespace);
    stage.requests().iter().filter(|line| line["key"] == *key).count()
}

async fn annotate(stage: &Stage, name: &str, annotation: &str) -> Result<()> {
    let object = ["annotate", "externalsecret", name, annotation, "--overwrite"];
    stage.kubectl.run(&object).await?;
    Ok(())
}

async fn target(stage: &Stage, name: &str) -> Result<Value> {
    Ok(serde_json::from_str(&stage.kubectl.run(&["get", "secret", name, "-o", "json"]).await?)?)
}

/// Waits until ESO has done what it was told before. It has one worker and takes up changes in their
/// order, so a further ExternalSecret that is filled twice tells: the first time may have been under way.
async fn settled(stage: &Stage) -> Result<()> {
    for _ in 0..2 {
        let name = format!("witness-{}", stage.requests().len());
        fill(stage, &name, None, "1h").await?;
    }
    Ok(())
}
