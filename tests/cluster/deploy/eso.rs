//! docs/install.md from its beginning to its end, in one cluster, with ESO at work in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use libtest_mimic::Trial;

use super::chart::program;
use super::site::{PAGE, Site};
use crate::harness::{ControlPlane, Options, Parts, deploy_trial};
use crate::scout::block_of;
use crate::support::certs::Ca;

const URL: &str = "https://vsecm-scout.default.svc.cluster.local:8443/";

/// The tests of this file.
pub(super) fn tests() -> Vec<Trial> {
    vec![deploy_trial("deploy::eso_gets_every_example", eso_gets_every_example)]
}

async fn eso_gets_every_example() -> Result<()> {
    let plane = ControlPlane::start(&Parts::find()?, Options::default()).await?;
    let site = Site::in_namespace(Arc::new(plane), "default".to_owned()).await?;
    let eso = site.plane.eso().await?;
    site.run_block("kubectl").await?;
    // As it stands, the file is such as the API server takes.
    let create = "kubectl create --dry-run=server --validate=strict -f";
    site.run(&format!("{create} deploy/eso/token-secret.yaml")).await?;
    site.run_block("token").await?;
    let token_secret = site.object("secret/jwt-token").await?;
    ensure!(token_secret["metadata"]["annotations"].is_null(), "a copy of the token is left");
    let ca = Ca::new();
    site.issue_certificate(&ca, "vsecm-scout", "Issuer/vsecm-scout-ca").await?;
    site.run_block_in_folder("ca").await?;
    ensure!(std::fs::read_to_string(site.folder.path().join("ca.crt"))? == ca.pem());

    let account = site.plane.token_of("default", "vsecm-scout").await?;
    let container = site.container().await?;
    let mut running = container.start(program(&account.kubeconfig), site.folder.path());
    container.probe(&mut running).await?;

    // What a Service and DNS would do: the name leads to the running service.
    let own = format!("https://{}/", running.address("listening for HTTPS"));
    let stores = include_str!("../../../deploy/eso/stores.yaml");
    ensure!(stores.matches(URL).count() == 3, "the stores name the service");
    let kubectl = &site.kubectl;
    for manifests in [
        include_str!("../../../deploy/eso/served-secrets.yaml"),
        &stores.replace(URL, &own),
        include_str!("../../../deploy/eso/external-secrets.yaml"),
    ] {
        let apply = ["apply", "--server-side", "--validate=strict", "-f", "-"];
        kubectl.run_with(&apply, manifests).await?;
    }
    let wait = ["wait", "--for=condition=Ready", "--timeout=110s", "externalsecret", "--all"];
    kubectl.run(&wait).await.with_context(|| eso.log().unwrap_or_default())?;

    let got = |name: &'static str| entries(&site, name);
    let password = r#"correct horse "battery" staple"#;
    let whole = r#"{"password":"correct horse \"battery\" staple","username":"scout"}"#;
    ensure!(got("scout-data").await? == of(&[("mykey", whole)]));
    let both = of(&[("password", password), ("username", "scout")]);
    ensure!(got("scout-extract").await? == both);
    ensure!(got("scout-property").await? == of(&[("password", password)]));
    let bytes = BTreeMap::from([("keystore.p12".to_owned(), b"\x30\x82\x03\xff\x00\x80".to_vec())]);
    ensure!(got("scout-base64").await? == bytes);
    let value = "super-secret-value";
    ensure!(got("scout-nested").await? == of(&[("by-key", value), ("by-property", value)]));
    let url = "postgres://scout:correct+horse+%22battery%22+staple@db.example.com/app";
    ensure!(got("scout-template").await? == of(&[("url", url)]));

    // As they stand, the other files are too.
    let dry_run = "kubectl apply --dry-run=server --validate=strict";
    let commands = block_of(PAGE, "eso")?.replace("kubectl apply", dry_run);
    site.run(&commands).await?;
    Ok(())
}

async fn entries(site: &Site, name: &str) -> Result<BTreeMap<String, Vec<u8>>> {
    let secrets: Api<Secret> = Api::namespaced(site.plane.client().await?, "default");
    let data = secrets.get(name).await?.data.context("no data")?;
    Ok(data.into_iter().map(|(entry, value)| (entry, value.0)).collect())
}

fn of(entries: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    entries.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect()
}
