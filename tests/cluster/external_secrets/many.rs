//! Very many ExternalSecrets at once.

use std::time::Duration;

use anyhow::{Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Event;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams};
use libtest_mimic::Trial;
use serde_json::json;

use super::stage::{Stage, edited};
use crate::harness::{ControlPlane, Options, Parts, eventually, trial};
use crate::scout::readme;
use crate::shared_reads::create_secrets;

/// The tests of this file.
pub(super) fn tests() -> Vec<Trial> {
    vec![trial("external_secrets::five_hundred_at_once_are_filled", five_hundred_at_once)]
}

const COUNT: usize = 500;

/// ESO, with its one worker, fills about eight a second.
const FILLED: Duration = Duration::from_secs(500);

async fn five_hundred_at_once() -> Result<()> {
    let plane = ControlPlane::start(&Parts::find()?, Options::default()).await?;
    let stage = Stage::new(&plane, "many").await?;
    // The store is validated each second in place of each five minutes.
    let often = "spec:\n  refreshInterval: 1\n  provider:";
    stage.apply(&edited(readme("store")?, "spec:\n  provider:", often)?).await?;
    create_secrets(&plane, &stage.site.namespace, COUNT, |number| number.to_string()).await?;

    // It has warned of a token without an end by then.
    stage.scout.ready().await?;
    let before = stage.scout.process.log().len();
    create_external_secrets(&plane, &stage).await?;
    let ready = ["wait", "--for=condition=Ready", "--timeout=60s", "--all", "externalsecret"];
    eventually("all to be Ready", FILLED, || async { Ok(Some(stage.kubectl.run(&ready).await?)) })
        .await?;

    for number in [0, COUNT / 2, COUNT - 1] {
        let target = stage.target(&format!("es{number}")).await?;
        ensure!(target.is_some_and(|target| target.text("v").ok() == Some(&*number.to_string())));
    }
    ensure!(validations(&plane, &stage).await? >= 5, "the store was validated all the time");
    let requests = stage.requests();
    ensure!(requests.len() >= COUNT && requests.iter().all(|line| line["status"] == 200));
    let lines = stage.scout.process.log();
    let loud: Vec<_> = lines.iter().skip(before).filter(|line| line["level"] != "INFO").collect();
    ensure!(loud.is_empty(), "{loud:#?}");
    Ok(())
}

/// How often ESO has told that it has validated the store: a bare TCP connect each time.
pub(super) async fn validations(plane: &ControlPlane, stage: &Stage) -> Result<i32> {
    // What has no namespace has its events in this one.
    let events: Api<Event> = Api::namespaced(plane.client().await?, "default");
    let store = format!("involvedObject.name={},reason=Valid", stage.namespace);
    let events = events.list(&ListParams::default().fields(&store)).await?;
    Ok(events.iter().filter_map(|event| event.count).sum())
}

/// Creates ExternalSecrets `es0`, `es1` and so on, each for the Secret of its number.
async fn create_external_secrets(plane: &ControlPlane, stage: &Stage) -> Result<()> {
    let kind = GroupVersionKind::gvk("external-secrets.io", "v1", "ExternalSecret");
    let kind = ApiResource::from_gvk(&kind);
    let client = plane.client().await?;
    let api: Api<DynamicObject> = Api::namespaced_with(client, &stage.namespace, &kind);
    stream::iter(0..COUNT)
        .map(Ok)
        .try_for_each_concurrent(32, |number| {
            let (api, kind) = (&api, &kind);
            async move {
                let key = format!("s{number}");
                let store = json!({ "kind": "ClusterSecretStore", "name": stage.namespace });
                let data =
                    json!([{ "secretKey": "v", "remoteRef": { "key": key, "property": "v" } }]);
                let object = DynamicObject::new(&format!("es{number}"), kind)
                    .data(json!({ "spec": { "secretStoreRef": store, "data": data } }));
                api.create(&PostParams::default(), &object).await?;
                Ok(())
            }
        })
        .await
}
