//! Rotation by hand, with README's commands. Nothing is restarted.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::stage::{IN_TIME, Stage, edited};
use super::whole_secret;
use crate::harness::{self, eventually, trial};
use crate::scout::readme;
use crate::support::token::token;

/// The tests of this file.
pub(super) fn tests() -> Vec<Trial> {
    vec![
        trial("external_secrets::the_page_of_rotation_rotates_as_readme_does", same_commands),
        trial("external_secrets::a_patched_token_is_used_at_the_next_refresh", patched),
        trial("external_secrets::a_created_token_is_used_if_it_has_its_label", created),
        trial("external_secrets::replacing_the_store_does_no_harm", replaced_store),
        trial("external_secrets::no_refresh_fails_during_an_overlap", overlap),
    ]
}

const EXAMPLE: &str = "example-external-secret";

/// A stage with README's store and ExternalSecret, which is filled.
async fn stage(prefix: &str) -> Result<Stage> {
    let stage = Stage::new(&*harness::shared().await?, prefix).await?;
    fill(&stage, readme("store")?).await?;
    Ok(stage)
}

/// Fills README's ExternalSecret from this store. ESO warns of one whose store it has not looked at.
async fn fill(stage: &Stage, store: &str) -> Result<()> {
    stage.apply(store).await?;
    stage.store_ready().await?;
    stage.apply(readme("external-secret")?).await?;
    stage.filled(EXAMPLE, "example-secret").await?;
    Ok(())
}

/// A block of README with a new token in it, and that token.
fn with_new_token(block: &str) -> Result<(String, String)> {
    let new = token(r#"{"sub":"eso","jti":"new"}"#);
    Ok((edited(readme(block)?, "NEW-JWT", &new)?, new))
}

/// The service lets in the new token only.
async fn is_in_force(stage: &Stage, new: &str) -> Result<()> {
    let old = stage.scout.get("key=myremotekey", &stage.site.token).await?;
    ensure!(old.reason.as_deref() == Some("token-mismatch"), "{old:?}");
    let new = stage.scout.get("key=myremotekey", new).await?;
    ensure!(new.status == 200, "{new:?}");
    Ok(())
}

/// The Secret has another value, and after a refresh the target has it too.
async fn is_fresh(stage: &Stage) -> Result<()> {
    let change = r#"{"stringData":{"password":"another"}}"#;
    stage.served.run(&["patch", "secret", "myremotekey", "--patch", change]).await?;
    stage.refresh(EXAMPLE).await?;
    eventually("a fresh target", IN_TIME, || async {
        let target = stage.target("example-secret").await?.context("no target")?;
        Ok(target.text("mykey")?.contains("another").then_some(()))
    })
    .await
}

async fn no_warning(stage: &Stage, external_secret: &str) -> Result<()> {
    let events = stage.events(external_secret).await?;
    ensure!(!events.iter().any(|event| event.starts_with("Warning")), "{events:#?}");
    Ok(())
}

async fn same_commands() -> Result<()> {
    let page = include_str!("../../../docs/rotation.md");
    for block in ["rotate", "rotate-by-create", "rotate-with-overlap", "refresh"] {
        ensure!(page.contains(readme(block)?), "docs/rotation.md has another command for {block}");
    }
    Ok(())
}

async fn patched() -> Result<()> {
    let stage = stage("patched").await?;
    let (rotate, new) = with_new_token("rotate")?;
    stage.kubectl.script(&rotate).await?;
    is_in_force(&stage, &new).await?;
    is_fresh(&stage).await?;
    no_warning(&stage, EXAMPLE).await
}

async fn created() -> Result<()> {
    let stage = stage("created").await?;
    let (rotate, new) = with_new_token("rotate-by-create")?;
    let label: Vec<&str> = rotate.lines().filter(|line| !line.contains("kubectl label")).collect();
    ensure!(label.len() + 1 == rotate.lines().count());
    stage.kubectl.script(&label.join("\n")).await?;
    is_in_force(&stage, &new).await?;
    stage.refresh(EXAMPLE).await?;
    stage.told(EXAMPLE, "secret does not contain needed label 'external-secrets.io/type").await?;

    stage.kubectl.script(&rotate).await?;
    is_in_force(&stage, &new).await?;
    is_fresh(&stage).await
}

async fn replaced_store() -> Result<()> {
    let stage = Stage::new(&*harness::shared().await?, "replaced").await?;
    let store = stage.fitted(&whole_secret::store(&stage));
    fill(&stage, &store).await?;
    let (rotate, new) = with_new_token("rotate")?;
    stage.kubectl.script(&rotate).await?;
    stage.kubectl.run_with(&["replace", "-f", "-"], &store).await?;
    is_in_force(&stage, &new).await?;
    is_fresh(&stage).await?;
    no_warning(&stage, EXAMPLE).await
}

/// ExternalSecrets that are refreshed all the time.
const BUSY: usize = 3;

async fn overlap() -> Result<()> {
    let plane = harness::shared().await?;
    let stage = Stage::apart(&plane, &plane, "overlap").await?;
    stage.apply(readme("store")?).await?;
    stage.store_ready().await?;
    for number in 0..BUSY {
        let data = json!([{ "secretKey": "a", "remoteRef": { "key": "myremotekey" } }]);
        let spec = json!({ "refreshInterval": "1h", "data": data });
        stage.external_secret(&format!("busy-{number}"), spec).await?;
    }
    tokio::select! {
        stopped = refresh_for_ever(&stage) => stopped?,
        rotated = rotate_with_overlap(&stage) => rotated?,
    }
    stage.kubectl.run(&["delete", "externalsecret", "--all", "--wait=false"]).await?;

    // Where the service reads, the same command ends the overlap at once.
    let (rotate, new) = with_new_token("rotate")?;
    stage.served.script(&rotate).await?;
    is_in_force(&stage, &new).await
}

/// Not by a short interval: ESO backs off where a refresh takes longer than that.
async fn refresh_for_ever(stage: &Stage) -> Result<()> {
    loop {
        let again = format!("force-sync={}", Timestamp::now().as_nanosecond());
        stage.kubectl.run(&["annotate", "externalsecret", "--all", "--overwrite", &again]).await?;
    }
}

async fn rotate_with_overlap(stage: &Stage) -> Result<()> {
    let old = some_by_one_token(stage, &BTreeSet::new()).await?;
    // First where the service reads: the copies may follow at leisure.
    let (rotate, _) = with_new_token("rotate-with-overlap")?;
    stage.served.script(&rotate).await?;
    let again = some_by_one_token(stage, &BTreeSet::new()).await?;
    ensure!(old == again, "ESO still has the old token, and it is let in");
    let (rotate, _) = with_new_token("rotate")?;
    stage.kubectl.script(&rotate).await?;
    let used = some_by_one_token(stage, &old).await?;
    ensure!(used != old);
    for number in 0..BUSY {
        no_warning(stage, &format!("busy-{number}")).await?;
    }
    let failed: Vec<Value> =
        stage.requests().into_iter().filter(|line| line["status"] != 200).collect();
    ensure!(failed.is_empty(), "{failed:#?}");
    Ok(())
}

/// Waits for some more requests that were let in, and whose token is none of `known`. Gives their
/// tokens, as the log names them.
async fn some_by_one_token(stage: &Stage, known: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    let before = stage.requests().len();
    eventually("more requests", IN_TIME, || async {
        let requests = stage.requests();
        let tokens = requests.iter().skip(before).filter_map(|line| line["token_hash"].as_str());
        let new: Vec<&str> = tokens.filter(|token| !known.contains(*token)).collect();
        Ok((new.len() >= 2 * BUSY).then(|| new.into_iter().map(str::to_owned).collect()))
    })
    .await
}
