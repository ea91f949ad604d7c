//! Only a Secret that is really gone lets ESO remove what it has filled.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::json;

use super::stage::{IN_TIME, Stage, edited};
use crate::harness::{self, ControlPlane, Options, Parts, eventually, trial};
use crate::scout::readme;

/// The tests of this file.
pub(super) fn tests() -> Vec<Trial> {
    vec![
        trial("external_secrets::only_a_deleted_secret_removes_its_target", only_a_deleted_secret),
        trial(
            "external_secrets::a_store_that_points_at_the_admin_port_removes_nothing",
            admin_port,
        ),
        trial("external_secrets::a_target_stays_by_default", a_target_stays_by_default),
        trial("external_secrets::a_deleted_secret_takes_its_key_along", a_key_goes),
        trial("external_secrets::an_empty_secret_removes_an_extracted_target", an_empty_secret),
    ]
}

/// What goes wrong: where, by which command, with which reason in the events, and how it is mended.
struct Fault {
    served: bool,
    breaks: &'static str,
    reason: &'static str,
    mends: &'static str,
}

const FAULTS: [Fault; 5] = [
    Fault {
        served: false,
        breaks: r#"kubectl patch externalsecret kept --type json --patch '[{"op":"replace","path":"/spec/data/0/remoteRef/property","value":"pasword"}]'"#,
        reason: "422 no-such-entry",
        mends: r#"kubectl patch externalsecret kept --type json --patch '[{"op":"replace","path":"/spec/data/0/remoteRef/property","value":"password"}]'"#,
    },
    Fault {
        served: true,
        breaks: "kubectl get secret jwt-token -o yaml > FOLDER/token; kubectl delete secret jwt-token",
        reason: "500 token-secret-missing",
        mends: "kubectl create -f FOLDER/token",
    },
    Fault {
        served: true,
        breaks: "kubectl get role vsecm-scout -o yaml > FOLDER/role; kubectl delete role vsecm-scout",
        reason: "500 rbac-forbidden",
        mends: "kubectl create -f FOLDER/role",
    },
    Fault {
        served: true,
        breaks: "kubectl label secret myremotekey scout.vsecm.com/serve-",
        reason: "403 not-labelled",
        mends: "kubectl label secret myremotekey scout.vsecm.com/serve=true",
    },
    Fault {
        served: false,
        breaks: "kubectl get clustersecretstore STORE -o yaml | sed s,/webhook,/wehbook, | kubectl replace -f -",
        reason: "400 unknown-path",
        mends: "kubectl get clustersecretstore STORE -o yaml | sed s,/wehbook,/webhook, | kubectl replace -f -",
    },
];

/// An ExternalSecret whose target is to be deleted with its Secret.
async fn fill(stage: &Stage) -> Result<()> {
    stage.apply(readme("store")?).await?;
    let spec = json!({
        "target": { "deletionPolicy": "Delete" },
        "data": [{ "secretKey": "a", "remoteRef": { "key": "myremotekey", "property": "password" } }],
    });
    stage.external_secret("kept", spec).await?;
    stage.filled("kept", "kept").await?;
    Ok(())
}

async fn only_a_deleted_secret() -> Result<()> {
    let mut served = ControlPlane::start(&Parts::find()?, Options::default()).await?;
    let stage = Stage::apart(&served, &*harness::shared().await?, "deletion").await?;
    fill(&stage).await?;
    let target = uid(&stage).await?;
    let folder = tempfile::tempdir()?;
    let folder = folder.path().display().to_string();
    for fault in FAULTS {
        let kubectl = if fault.served { &stage.served } else { &stage.kubectl };
        let script =
            |text: &str| text.replace("FOLDER", &folder).replace("STORE", &stage.namespace);
        kubectl.script(&script(fault.breaks)).await?;
        stays(&stage, fault.reason, &target).await?;
        kubectl.script(&script(fault.mends)).await?;
        is_well(&stage, &target).await?;
    }

    served.pause().await?;
    stays(&stage, "503 api-unavailable", &target).await?;
    served.resume()?;
    is_well(&stage, &target).await?;
    served.stop().await?;
    stays(&stage, "503 api-unavailable", &target).await?;
    served.start_api_server().await?;
    is_well(&stage, &target).await?;

    stage.served.run(&["delete", "secret", "myremotekey"]).await?;
    stage.refresh("kept").await?;
    is_removed(&stage).await
}

async fn admin_port() -> Result<()> {
    let stage = Stage::new(&*harness::shared().await?, "admin-port").await?;
    fill(&stage).await?;
    let target = uid(&stage).await?;
    let service = format!("https://{}", stage.scout.address);
    let admin = format!("http://{}", stage.scout.admin);
    let store = edited(&stage.fitted(readme("store")?), &service, &admin)?;
    stage.kubectl.apply(&store).await?;
    eventually("an answer of the admin port", IN_TIME, || async {
        stage.refresh("kept").await?;
        let told = stage.events("kept").await?;
        ensure!(told.iter().any(|event| event.contains("endpoint gave error 400 ")), "{told:#?}");
        Ok(Some(()))
    })
    .await?;
    ensure!(uid(&stage).await? == target, "the target was removed");
    stage.apply(readme("store")?).await?;
    is_well(&stage, &target).await
}

/// After a fault: ESO meets it, and the target is what it was.
async fn stays(stage: &Stage, reason: &str, target: &str) -> Result<()> {
    is_answered(stage, reason).await?;
    stage.told("kept", reason).await?;
    ensure!(uid(stage).await? == target, "{reason}: the target was removed");
    Ok(())
}

/// A fault has ended: ESO finds the value again, and has not removed the target in between.
async fn is_well(stage: &Stage, target: &str) -> Result<()> {
    is_answered(stage, "200 ok").await?;
    let password = stage.filled("kept", "kept").await?.text("a")?.to_owned();
    ensure!(password == "correct horse \"battery\" staple");
    ensure!(uid(stage).await? == target, "the target was removed and created again");
    Ok(())
}

/// Refreshes until ESO gets this answer: what it or the API server was just told may not have
/// reached it yet.
async fn is_answered(stage: &Stage, answer: &str) -> Result<()> {
    let before = stage.requests().len();
    eventually(answer, IN_TIME, || async {
        stage.refresh("kept").await?;
        let requests = stage.requests();
        let answers = requests.iter().skip(before);
        let mut answers = answers.map(|line| format!("{} {}", line["status"], line["code"]));
        Ok(answers.any(|found| found.replace('"', "") == answer).then_some(()))
    })
    .await
}

async fn is_removed(stage: &Stage) -> Result<()> {
    eventually("the target's removal", IN_TIME, || async {
        Ok(stage.target("kept").await?.is_none().then_some(()))
    })
    .await
    .context("the target is still there")?;
    let reason = "--for=jsonpath={.status.conditions[?(@.type==\"Ready\")].reason}=SecretDeleted";
    stage.kubectl.run(&["wait", reason, "--timeout=60s", "externalsecret/kept"]).await?;
    Ok(())
}

/// Tells the target from one of the same name that was created later.
async fn uid(stage: &Stage) -> Result<String> {
    stage.kubectl.run(&["get", "secret", "kept", "-o", "jsonpath={.metadata.uid}"]).await
}

async fn a_target_stays_by_default() -> Result<()> {
    let stage = Stage::new(&*harness::shared().await?, "retain").await?;
    stage.apply(readme("store")?).await?;
    stage.apply(readme("external-secret")?).await?;
    stage.filled("example-external-secret", "example-secret").await?;
    stage.served.run(&["delete", "secret", "myremotekey"]).await?;
    stage.refresh("example-external-secret").await?;
    stage.told("example-external-secret", "Warning error processing spec.data[0]").await?;
    stage.told("example-external-secret", "Secret does not exist").await?;
    let target = stage.target("example-secret").await?.context("the target is gone")?;
    ensure!(target.text("mykey")? == "correct horse \"battery\" staple");
    Ok(())
}

async fn a_key_goes() -> Result<()> {
    let stage = Stage::new(&*harness::shared().await?, "key").await?;
    stage.apply(readme("store")?).await?;
    stage.serve("other", &[("word", b"sesame")]).await?;
    let spec = json!({
        "target": { "deletionPolicy": "Delete" },
        "data": [
            { "secretKey": "a", "remoteRef": { "key": "myremotekey", "property": "username" } },
            { "secretKey": "b", "remoteRef": { "key": "other", "property": "word" } },
        ],
    });
    stage.external_secret("kept", spec).await?;
    ensure!(stage.filled("kept", "kept").await?.names() == ["a", "b"]);
    stage.served.run(&["delete", "secret", "other"]).await?;
    stage.refresh("kept").await?;
    eventually("a target without the key", IN_TIME, || async {
        let target = stage.target("kept").await?.context("the whole target is gone")?;
        Ok((target.names() == ["a"]).then_some(()))
    })
    .await?;
    stage.filled("kept", "kept").await?;
    Ok(())
}

async fn an_empty_secret() -> Result<()> {
    let stage = Stage::new(&*harness::shared().await?, "empty").await?;
    stage.apply(readme("store")?).await?;
    let spec = json!({
        "target": { "deletionPolicy": "Delete" },
        "dataFrom": [{ "extract": { "key": "myremotekey" } }],
    });
    stage.external_secret("kept", spec).await?;
    stage.filled("kept", "kept").await?;
    let empty = ["patch", "secret", "myremotekey", "--patch", r#"{"data":null}"#];
    stage.served.run(&empty).await?;
    stage.refresh("kept").await?;
    is_removed(&stage).await
}
