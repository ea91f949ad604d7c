//! How reads are shared, by the API server's own audit log, and what a storm costs.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use futures_util::stream;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use libtest_mimic::Trial;
use tokio::time::timeout;

use crate::harness::{self, ControlPlane, Options, Parts, lone_trial};
use crate::scout::Site;
use crate::support::client::{self, Offer};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        lone_trial("shared_reads::clients_of_one_key_share_reads", clients_of_one_key_share_reads),
        lone_trial(
            "shared_reads::a_storm_of_10000_keys_is_answered_within_a_minute",
            a_storm_of_10000_keys_is_answered_within_a_minute,
        ),
    ]
}

async fn clients_of_one_key_share_reads() -> Result<()> {
    const CLIENTS: usize = 64;
    const REQUESTS: usize = 50;
    let plane = harness::shared().await?;
    let site = Site::new(&plane, "shared").await?;
    let scout = site.start(&[])?;
    scout.ready().await?;
    let before = reads(&plane, &site)?.len();

    let clients = (0..CLIENTS).map(|_| async {
        let offer = Offer::new(scout.ca.roots(), &[]);
        let mut sender = client::http1_on(offer.connect(scout.address).await?).await?;
        for _ in 0..REQUESTS {
            let request = client::request("/webhook?key=myremotekey", &site.token);
            let answer = client::send(&mut sender, request).await?;
            ensure!(answer.status == 200, "{answer:?}");
        }
        Ok(())
    });
    futures_util::future::try_join_all(clients).await?;

    let most = CLIENTS * REQUESTS / 10;
    let reads = reads(&plane, &site)?.len() - before;
    ensure!((1..=most).contains(&reads), "{reads} reads for {} requests", CLIENTS * REQUESTS);
    Ok(())
}

async fn a_storm_of_10000_keys_is_answered_within_a_minute() -> Result<()> {
    const KEYS: usize = 10_000;
    let plane = ControlPlane::start(&Parts::find()?, Options::default()).await?;
    let site = Site::new(&plane, "storm").await?;
    create_secrets(&plane, &site.namespace, KEYS, |number| number.to_string()).await?;
    let scout = site.start(&[])?;
    scout.ready().await?;
    let before = reads(&plane, &site)?.len();

    // As ESO does: a connection and a handshake of its own for each secret.
    let answers = stream::iter(0..KEYS)
        .map(|key| {
            let (scout, site) = (&scout, &site);
            async move {
                let answer = scout.get(&format!("key=s{key}&property=v"), &site.token).await?;
                ensure!(
                    (answer.status, answer.text()) == (200, &*format!("\"{key}\"")),
                    "{answer:?}"
                );
                Ok(())
            }
        })
        .buffer_unordered(64);
    let answers = timeout(Duration::from_secs(60), answers.collect::<Vec<Result<()>>>()).await;
    answers.context("not within a minute")?.into_iter().collect::<Result<()>>()?;

    let reads = reads(&plane, &site)?;
    let of_token = reads.iter().skip(before).filter(|name| *name == "jwt-token").count();
    let of_values = reads.len() - before - of_token;
    ensure!(of_values == KEYS, "each value is read once: {of_values}");
    ensure!(of_token < KEYS / 2, "reads of the token are shared: {of_token}");
    Ok(())
}

/// The names of the Secrets that the service has read, in order.
fn reads(plane: &ControlPlane, site: &Site) -> Result<Vec<String>> {
    let events = plane.audit(&site.account.user())?;
    Ok(events.into_iter().map(|event| event.object.name).collect())
}

/// Creates served Secrets `s0`, `s1` and so on, whose entry `v` is what `value` makes of their
/// number.
pub(crate) async fn create_secrets(
    plane: &ControlPlane,
    namespace: &str,
    count: usize,
    value: impl Fn(usize) -> String,
) -> Result<()> {
    let secrets: Arc<Api<Secret>> = Arc::new(Api::namespaced(plane.client().await?, namespace));
    let created = stream::iter(0..count)
        .map(|number| {
            let (secrets, value) = (Arc::clone(&secrets), value(number));
            async move {
                let served = [("scout.vsecm.com/serve".to_owned(), "true".to_owned())];
                let secret = Secret {
                    metadata: ObjectMeta {
                        name: Some(format!("s{number}")),
                        labels: Some(served.into()),
                        ..ObjectMeta::default()
                    },
                    string_data: Some([("v".to_owned(), value)].into()),
                    ..Secret::default()
                };
                let created = secrets.create(&PostParams::default(), &secret).await;
                created.map(|_| ()).context("a Secret cannot be created")
            }
        })
        .buffer_unordered(32);
    let created: Vec<Result<()>> = created.collect().await;
    created.into_iter().collect()
}
