//! The forms in which ExternalSecrets and stores may be written.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use serde_json::json;

use super::stage::{Stage, edited};
use crate::harness::{self, trial};
use crate::scout::{block_of, readme};

/// The tests of this file.
pub(super) fn tests() -> Vec<Trial> {
    vec![
        trial("external_secrets::a_property_is_read_as_readme_shows", a_property),
        trial("external_secrets::extract_takes_each_entry_of_a_secret", extract),
        trial("external_secrets::a_nested_key_leads_into_a_document", nested_key),
        trial("external_secrets::the_ways_to_ask_that_the_page_shows_work", ways_to_ask),
        trial("external_secrets::several_secrets_fill_a_template", template),
        trial("external_secrets::the_ca_may_be_in_a_config_map", ca_in_a_config_map),
        trial("external_secrets::a_secret_store_serves_its_namespace", secret_store),
        trial("external_secrets::a_webhook_generator_takes_a_secret", generator),
    ]
}

/// A stage with README's store.
async fn stage(prefix: &str) -> Result<Stage> {
    let stage = Stage::new(&*harness::shared().await?, prefix).await?;
    stage.apply(readme("store")?).await?;
    Ok(stage)
}

async fn a_property() -> Result<()> {
    let stage = stage("property").await?;
    stage.apply(readme("external-secret")?).await?;
    let secret = stage.filled("example-external-secret", "example-secret").await?;
    ensure!(secret.names() == ["mykey"]);
    ensure!(secret.text("mykey")? == "correct horse \"battery\" staple");
    Ok(())
}

async fn extract() -> Result<()> {
    let stage = stage("extract").await?;
    let document = br#"{"user": "scout", "port": 5432, "tls": true, "hosts": ["a", "b"]}"#;
    stage.serve("database", &[("config", document)]).await?;
    let all = json!({ "dataFrom": [{ "extract": { "key": "myremotekey" } }] });
    stage.external_secret("all", all).await?;
    let of_an_entry =
        json!({ "dataFrom": [{ "extract": { "key": "database", "property": "config" } }] });
    stage.external_secret("of-an-entry", of_an_entry).await?;

    let all = stage.filled("all", "all").await?;
    ensure!(all.names() == ["password", "username"]);
    ensure!(all.text("password")? == "correct horse \"battery\" staple");
    let entry = stage.filled("of-an-entry", "of-an-entry").await?;
    ensure!(entry.names() == ["hosts", "port", "tls", "user"]);
    ensure!((entry.text("port")?, entry.text("tls")?) == ("5432", "true"));
    ensure!(entry.text("hosts")? == r#"["a","b"]"#);
    Ok(())
}

async fn nested_key() -> Result<()> {
    let stage = stage("nested").await?;
    let document = br#"{"cokeSystem":{"secrets":{"adminCredentials":{"value":"super secret+"}}}}"#;
    stage.serve("coca-cola.cluster-001", &[("namespaces", document)]).await?;
    let key = "key=coca-cola.cluster-001&path=namespaces.cokeSystem.secrets.adminCredentials.value";
    let spec = json!({ "data": [{ "secretKey": "admin", "remoteRef": { "key": key } }] });
    stage.external_secret("nested", spec).await?;
    ensure!(stage.filled("nested", "nested").await?.text("admin")? == "super secret+");
    Ok(())
}

async fn ways_to_ask() -> Result<()> {
    let stage = stage("ways").await?;
    let document = br#"{"cokeSystem":{"secrets":{"adminCredentials":{"value":"deep"}}}}"#;
    stage.serve("coca-cola.cluster-001", &[("namespaces", document)]).await?;
    let page = include_str!("../../../docs/eso.md");
    stage.apply(block_of(page, "eso-values")?).await?;
    let secret = stage.filled("ways-to-ask", "ways-to-ask").await?;
    let password = "correct horse \"battery\" staple";
    for (entry, expected) in [
        ("username", "scout"),
        ("password", password),
        ("value", "deep"),
        ("nested", "deep"),
        ("everything", r#"{"password":"correct horse \"battery\" staple","username":"scout"}"#),
        ("url", "postgres://scout:correct+horse+%22battery%22+staple@db/app"),
    ] {
        ensure!(secret.text(entry)? == expected, "{entry}: {}", secret.text(entry)?);
    }
    Ok(())
}

async fn template() -> Result<()> {
    let stage = stage("template").await?;
    stage.serve("host", &[("name", b"db.example.com"), ("tls.crt", b"a certificate")]).await?;
    let template = json!({
        "target": { "template": { "data": {
            "url": "postgres://{{ .user }}@{{ .host }}/",
            "certificate": "{{ .certificate }}",
        }}},
        "data": [
            { "secretKey": "user", "remoteRef": { "key": "myremotekey", "property": "username" } },
            { "secretKey": "host", "remoteRef": { "key": "host", "property": "name" } },
            { "secretKey": "certificate", "remoteRef": { "key": "host", "property": "tls.crt" } },
        ],
    });
    stage.external_secret("template", template).await?;
    let secret = stage.filled("template", "template").await?;
    ensure!(secret.names() == ["certificate", "url"]);
    ensure!(secret.text("url")? == "postgres://scout@db.example.com/");
    ensure!(secret.text("certificate")? == "a certificate");
    Ok(())
}

async fn ca_in_a_config_map() -> Result<()> {
    let stage = Stage::new(&*harness::shared().await?, "config-map").await?;
    let map = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": "scout-ca" },
        "data": { "ca.crt": stage.scout.ca.pem() },
    });
    let store = edited(readme("store")?, "type: Secret", "type: ConfigMap")?;
    let store = edited(&store, "name: vsecm-scout-tls", "name: scout-ca")?;
    for manifest in [&*map.to_string(), &*store, readme("external-secret")?] {
        stage.apply(manifest).await?;
    }
    let secret = stage.filled("example-external-secret", "example-secret").await?;
    ensure!(secret.text("mykey")? == "correct horse \"battery\" staple");
    Ok(())
}

async fn secret_store() -> Result<()> {
    let stage = Stage::new(&*harness::shared().await?, "secret-store").await?;
    // Without the lines that only a ClusterSecretStore needs.
    let without_namespaces = |line: &&str| !line.contains("namespace: default");
    let store: Vec<&str> = readme("store")?.lines().filter(without_namespaces).collect();
    let cluster_wide = "kind: ClusterSecretStore";
    stage.apply(&edited(&store.join("\n"), cluster_wide, "kind: SecretStore")?).await?;
    stage.apply(&edited(readme("external-secret")?, cluster_wide, "kind: SecretStore")?).await?;
    let secret = stage.filled("example-external-secret", "example-secret").await?;
    ensure!(secret.text("mykey")? == "correct horse \"battery\" staple");
    Ok(())
}

const GENERATOR: &str = r#"
apiVersion: generators.external-secrets.io/v1alpha1
kind: Webhook
metadata:
  name: vsecm-scout
spec:
  url: "https://vsecm-scout.default.svc.cluster.local:8443/webhook?key=myremotekey"
  headers:
    Authorization: "Bearer {{ .jwt.token | trim }}"
  result:
    jsonPath: "$"
  secrets:
    - name: jwt
      secretRef:
        name: jwt-token
        key: token
  caProvider:
    type: Secret
    name: vsecm-scout-tls
    key: ca.crt
"#;

async fn generator() -> Result<()> {
    let stage = Stage::new(&*harness::shared().await?, "generator").await?;
    stage.apply(GENERATOR).await?;
    let generator = json!({
        "apiVersion": "generators.external-secrets.io/v1alpha1",
        "kind": "Webhook",
        "name": stage.namespace,
    });
    let spec = json!({ "dataFrom": [{ "sourceRef": { "generatorRef": generator } }] });
    stage.external_secret("generated", spec).await?;
    let secret = stage.filled("generated", "generated").await?;
    ensure!(secret.names() == ["password", "username"] && secret.text("username")? == "scout");
    Ok(())
}
