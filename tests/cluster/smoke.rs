//! What the harness promises, shown once: where these fail, no other test here counts.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use libtest_mimic::Trial;

use crate::harness::{
    self, AuditEvent, ControlPlane, Eso, Options, Parts, ServiceAccount, eventually, trial,
};
use crate::support::SOON;

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        trial(
            "smoke::a_service_account_reads_what_its_role_allows",
            a_service_account_reads_what_its_role_allows,
        ),
        trial("smoke::eso_fills_a_secret", eso_fills_a_secret),
        trial(
            "smoke::the_api_server_pauses_and_dies_and_returns",
            the_api_server_pauses_and_dies_and_returns,
        ),
        trial("smoke::the_api_server_returns_with_a_new_ca", the_api_server_returns_with_a_new_ca),
    ]
}

const SECRETS_AND_ROLE: &str = r#"
apiVersion: v1
kind: Secret
metadata: { name: open }
stringData: { word: sesame }
---
apiVersion: v1
kind: Secret
metadata: { name: closed }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: reader }
rules:
- { apiGroups: [""], resources: [secrets], verbs: [get], resourceNames: [open] }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: reader }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader }
subjects:
- { kind: ServiceAccount, name: reader }
"#;

async fn a_service_account_reads_what_its_role_allows() -> Result<()> {
    let plane = harness::shared().await?;
    let namespace = plane.namespace("role").await?;
    let reader = plane.service_account(&namespace, "reader").await?;
    plane.kubectl().apply_in(&namespace, SECRETS_AND_ROLE).await?;

    let may = ["auth", "can-i", "get", "secret/open"];
    eventually("the role in force", SOON, || async { reader.kubectl.run(&may).await.map(Some) })
        .await?;
    let open = ["get", "secret", "open", "-o", "jsonpath={.data.word}"];
    ensure!(reader.kubectl.run(&open).await? == "c2VzYW1l");
    let closed = reader.kubectl.run(&["get", "secret", "closed"]).await;
    ensure!(closed.is_err_and(|error| format!("{error:#}").contains("Forbidden")));
    let script = format!("kubectl get secret -n {namespace} open -o name | cat");
    ensure!(plane.kubectl().script(&script).await? == "secret/open\n");

    let reads = eventually("both reads in the audit log", Duration::from_secs(5), || async {
        let reads = reads_of_secrets(&plane, &reader)?;
        Ok((reads.len() == 2).then_some(reads))
    });
    ensure!(reads.await? == [("open".to_owned(), 200), ("closed".to_owned(), 403)]);
    Ok(())
}

fn reads_of_secrets(plane: &ControlPlane, reader: &ServiceAccount) -> Result<Vec<(String, u16)>> {
    let is_read = |event: &AuditEvent| event.verb == "get" && event.object.resource == "secrets";
    let events = plane.audit(&reader.user())?.into_iter().filter(is_read);
    Ok(events.map(|event| (event.object.name, event.response.code)).collect())
}

const STORE_AND_EXTERNAL_SECRET: &str = r#"
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: { name: fake }
spec:
  provider:
    fake: { data: [ { key: greeting, value: hello } ] }
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: { name: greeting }
spec:
  refreshInterval: 1h
  secretStoreRef: { kind: SecretStore, name: fake }
  data:
  - { secretKey: greeting, remoteRef: { key: greeting } }
"#;

async fn eso_fills_a_secret() -> Result<()> {
    let plane = harness::shared().await?;
    let eso = plane.eso().await?;
    let namespace = plane.namespace("eso").await?;
    let kubectl = plane.kubectl();
    kubectl.apply_in(&namespace, STORE_AND_EXTERNAL_SECRET).await?;
    let ready = [
        "wait",
        "-n",
        &namespace,
        "--for=condition=Ready",
        "--timeout=90s",
        "externalsecret/greeting",
    ];
    kubectl.run(&ready).await.with_context(|| eso.log().unwrap_or_default())?;

    let secrets: Api<Secret> = Api::namespaced(plane.client().await?, &namespace);
    let data = secrets.get("greeting").await?.data.context("no data")?;
    ensure!(data.get("greeting").is_some_and(|value| value.0 == b"hello"));
    ensure!(!plane.audit(Eso::USER)?.is_empty());
    Ok(())
}

async fn own_plane() -> Result<ControlPlane> {
    ControlPlane::start(&Parts::find()?, Options::default()).await
}

async fn answers(client: &Client) -> bool {
    let answer = tokio::time::timeout(Duration::from_secs(5), client.apiserver_version()).await;
    answer.is_ok_and(|answer| answer.is_ok())
}

async fn the_api_server_pauses_and_dies_and_returns() -> Result<()> {
    let mut plane = own_plane().await?;
    let client = plane.client().await?;
    let namespace = plane.namespace("kept").await?;
    ensure!(answers(&client).await);
    plane.pause().await?;
    ensure!(!answers(&client).await);
    plane.resume()?;
    eventually("an answer after the pause", Duration::from_secs(10), || async {
        Ok(answers(&client).await.then_some(()))
    })
    .await?;
    plane.kill()?;
    ensure!(!answers(&client).await);
    plane.start_api_server().await?;
    let kept = plane.kubectl().run(&["get", "namespace", &namespace, "-o", "name"]).await?;
    ensure!(kept == format!("namespace/{namespace}\n"));
    Ok(())
}

async fn the_api_server_returns_with_a_new_ca() -> Result<()> {
    let mut plane = own_plane().await?;
    let namespace = plane.namespace("ca").await?;
    let account = plane.service_account(&namespace, "caller").await?;
    let old = (plane.client().await?, fs::read(plane.ca_file())?);
    plane.restart_with_new_certificate().await?;
    ensure!(answers(&old.0).await && fs::read(plane.ca_file())? == old.1);
    plane.restart_with_new_ca().await?;
    ensure!(!answers(&old.0).await && fs::read(plane.ca_file())? != old.1);
    ensure!(answers(&plane.client().await?).await);
    let whoami = account
        .kubectl
        .run(&["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"])
        .await?;
    ensure!(whoami == account.user());
    Ok(())
}
