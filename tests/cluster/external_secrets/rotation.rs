//! Rotation by hand, with the commands of README and docs/rotation.md. Nothing is restarted, and a
//! command leaves nothing in the token Secret but what it says.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::stage::{IN_TIME, Stage, edited};
use super::whole_secret;
use crate::harness::{self, eventually, trial};
use crate::scout::{block_of, readme};
use crate::support::token::token;

/// The tests of this file.
pub(super) fn tests() -> Vec<Trial> {
    vec![
        trial("external_secrets::the_page_of_rotation_rotates_as_readme_does", same_commands),
        trial("external_secrets::a_patched_token_is_used_at_the_next_refresh", patched),
        trial("external_secrets::a_created_token_is_used_if_it_has_its_label", created),
        trial("external_secrets::each_command_of_rotation_leaves_nothing_behind", nothing_is_left),
        trial("external_secrets::an_applied_token_secret_keeps_a_copy_until_it_is_removed", copy),
        trial("external_secrets::replacing_the_store_does_no_harm", replaced_store),
        trial("external_secrets::no_refresh_fails_during_an_overlap", overlap),
    ]
}

const EXAMPLE: &str = "example-external-secret";

const PAGE: &str = include_str!("../../../docs/rotation.md");

const END: &str = "scout.vsecm.com/previous-token-until";

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

pub(super) async fn no_warning(stage: &Stage, external_secret: &str) -> Result<()> {
    let events = stage.events(external_secret).await?;
    ensure!(!events.iter().any(|event| event.starts_with("Warning")), "{events:#?}");
    Ok(())
}

async fn same_commands() -> Result<()> {
    for block in ["rotate", "rotate-by-create", "rotate-with-overlap", "refresh"] {
        ensure!(PAGE.contains(readme(block)?), "docs/rotation.md has another command for {block}");
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

/// After an overlap, each way to rotate without one: the token before the last one may not come back.
async fn nothing_is_left() -> Result<()> {
    let stage = Stage::new(&*harness::shared().await?, "left").await?;
    is_whole(&stage, &[("token", &stage.site.token)], None).await?;
    let mut last = stage.site.token.clone();
    for (number, block) in ["rotate", "rotate-by-create"].into_iter().enumerate() {
        let [overlapping, leaked, new] = tokens(number);
        for token in [&overlapping, &leaked] {
            stage
                .kubectl
                .script(&edited(readme("rotate-with-overlap")?, "NEW-JWT", token)?)
                .await?;
            let secret = token_secret(&stage).await?;
            let end = secret["metadata"]["annotations"][END].as_str().map(str::to_owned);
            ensure!(end.is_some(), "{secret:#}");
            is_whole(&stage, &[("token", token), ("previous-token", &last)], end).await?;
            last.clone_from(token);
        }
        is_answered(&stage, &[(&overlapping, 200), (&leaked, 200)]).await?;
        stage.kubectl.script(&edited(readme(block)?, "NEW-JWT", &new)?).await?;
        is_whole(&stage, &[("token", &new)], None).await?;
        is_answered(&stage, &[(&overlapping, 401), (&leaked, 401), (&new, 200)]).await?;
        last = new;
    }

    let [new, ..] = tokens(2);
    stage.kubectl.script(&edited(readme("rotate-with-overlap")?, "NEW-JWT", &new)?).await?;
    stage.kubectl.script(block_of(PAGE, "end-overlap")?).await?;
    is_whole(&stage, &[("token", &new)], None).await?;
    is_answered(&stage, &[(&last, 401), (&new, 200)]).await
}

async fn copy() -> Result<()> {
    let stage = Stage::new(&*harness::shared().await?, "copy").await?;
    stage.kubectl.run(&["delete", "secret", "jwt-token"]).await?;
    stage.apply(readme("token-secret")?).await?;
    let secret = token_secret(&stage).await?;
    let copy =
        &secret["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"];
    ensure!(copy.as_str().is_some_and(|copy| copy.contains(&stage.site.token)), "{secret:#}");
    stage.kubectl.script(block_of(PAGE, "remove-copy")?).await?;
    is_whole(&stage, &[("token", &stage.site.token)], None).await
}

/// Three further tokens.
fn tokens(number: usize) -> [String; 3] {
    ["a", "b", "c"].map(|name| token(&json!({"sub": "eso", "jti": [number, name]}).to_string()))
}

/// What the service answers to each of these tokens.
async fn is_answered(stage: &Stage, expected: &[(&String, u16)]) -> Result<()> {
    for (token, status) in expected {
        let answer = stage.scout.get("key=myremotekey", token).await?;
        ensure!(answer.status == *status, "{answer:?} instead of {status}");
    }
    Ok(())
}

async fn token_secret(stage: &Stage) -> Result<Value> {
    let secret = stage.kubectl.run(&["get", "secret", "jwt-token", "-o", "json"]).await?;
    Ok(serde_json::from_str(&secret)?)
}

/// The token Secret has these entries, this end of an overlap and ESO's label, and nothing else.
async fn is_whole(stage: &Stage, entries: &[(&str, &String)], end: Option<String>) -> Result<()> {
    let mut secret = token_secret(stage).await?;
    let metadata = secret["metadata"].as_object_mut().context("no metadata")?;
    for own in ["creationTimestamp", "namespace", "resourceVersion", "uid"] {
        metadata.remove(own).with_context(|| format!("no {own}"))?;
    }
    let data = entries.iter().map(|(name, token)| (*name, STANDARD.encode(token)));
    let mut expected = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"name": "jwt-token", "labels": {"external-secrets.io/type": "webhook"}},
        "data": data.collect::<BTreeMap<_, _>>(),
    });
    if let Some(end) = end {
        expected["metadata"]["annotations"] = json!({ END: end });
    }
    ensure!(secret == expected, "{secret:#} instead of {expected:#}");
    Ok(())
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
pub(super) async fn refresh_for_ever(stage: &Stage) -> Result<()> {
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
    ensure!(old == again, "ESO still has the old token, and it is accepted");
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

/// Waits for some more requests that were accepted, and whose token is none of `known`. Gives their
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
