//! The setup that many stores have: no property in the URL, the whole Secret as one value, the CA
//! in the store itself.

use anyhow::{Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use libtest_mimic::Trial;

use super::stage::Stage;
use crate::harness::{self, trial};

/// The tests of this file.
pub(super) fn tests() -> Vec<Trial> {
    vec![trial(
        "external_secrets::a_store_without_property_takes_whole_secrets",
        a_store_without_property_takes_whole_secrets,
    )]
}

const JWT_SECRET: &str = r#"
apiVersion: v1
kind: Secret
metadata:
  name: jwt-token
  labels:
    external-secrets.io/type: webhook
type: Opaque
stringData:
  token: "YOUR-JWT"
"#;

/// A store with nothing that could be left out.
pub(super) const STORE: &str = r#"
apiVersion: external-secrets.io/v1
kind: ClusterSecretStore
metadata:
  name: vsecm-scout
spec:
  provider:
    webhook:
      url: "https://vsecm-scout.default.svc.cluster.local:8443/webhook?key={{ .remoteRef.key }}"
      method: GET
      result:
        jsonPath: "$"
      headers:
        Authorization: "Bearer {{ .jwt.token }}"
      secrets:
        - name: jwt
          secretRef:
            name: jwt-token
            namespace: default
            key: token
      caBundle: "YOUR-CA"
"#;

const EXTERNAL_SECRET: &str = r#"
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata:
  name: example-external-secret
spec:
  refreshInterval: "1h"
  secretStoreRef:
    kind: ClusterSecretStore
    name: vsecm-scout
  target:
    name: example-secret
  data:
    - secretKey: mykey
      remoteRef:
        key: myremotekey
"#;

/// [`STORE`] with the CA of a stage.
pub(super) fn store(stage: &Stage) -> String {
    STORE.replace("YOUR-CA", &STANDARD.encode(stage.scout.ca.pem()))
}

async fn a_store_without_property_takes_whole_secrets() -> Result<()> {
    let plane = harness::shared().await?;
    let stage = Stage::new(&plane, "whole").await?;
    for manifest in [JWT_SECRET, &store(&stage), EXTERNAL_SECRET] {
        stage.apply(manifest).await?;
    }
    let secret = stage.filled("example-external-secret", "example-secret").await?;
    let whole = r#"{"password":"correct horse \"battery\" staple","username":"scout"}"#;
    ensure!(secret.names() == ["mykey"] && secret.text("mykey")? == whole);
    Ok(())
}
