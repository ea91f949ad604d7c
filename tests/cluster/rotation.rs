//! Rotation of the token under load: what is in force when a write to the token Secret has
//! returned.

use std::future::ready;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams};
use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::{self, eventually, trial};
use crate::scout::{Scout, Site};
use crate::support::SOON;
use crate::support::client::{self, Answer, Offer};
use crate::support::token::token;

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        trial(
            "rotation::from_the_write_on_the_new_token_counts_and_the_old_one_does_not",
            from_the_write_on_the_new_token_counts_and_the_old_one_does_not,
        ),
        trial(
            "rotation::with_an_overlap_nothing_valid_is_turned_away",
            with_an_overlap_nothing_valid_is_turned_away,
        ),
        trial(
            "rotation::a_token_of_nearly_a_mebibyte_lets_nobody_in_until_it_is_replaced",
            a_token_of_nearly_a_mebibyte_lets_nobody_in_until_it_is_replaced,
        ),
    ]
}

const CLIENTS: usize = 32;

async fn from_the_write_on_the_new_token_counts_and_the_old_one_does_not() -> Result<()> {
    const ROTATIONS: usize = 100;
    let plane = harness::shared().await?;
    let site = Site::new(&plane, "rotation").await?;
    let scout = site.start(&[])?;
    scout.ready().await?;
    let rotation = Rotation::new(&site, ROTATIONS, 0);
    let secrets: Api<Secret> = Api::namespaced(plane.client().await?, &site.namespace);
    // As closely as it can be told when the write has returned.
    let write = async |_: &str, token: &str| {
        let patch = Patch::Merge(json!({"stringData": {"token": token}}));
        secrets.patch("jwt-token", &PatchParams::default(), &patch).await?;
        Ok(())
    };
    rotation.run(&scout, write).await?;
    rotation.check(ROTATIONS)
}

async fn with_an_overlap_nothing_valid_is_turned_away() -> Result<()> {
    const ROTATIONS: usize = 20;
    let plane = harness::shared().await?;
    let site = Site::new(&plane, "overlap").await?;
    let scout = site.start(&[])?;
    scout.ready().await?;
    let rotation = Rotation::new(&site, ROTATIONS, 1);
    let kubectl = plane.kubectl();
    let secret = ["secret", "jwt-token", "-n", &site.namespace];
    let write = async |previous: &str, token: &str| {
        let until = Timestamp::now() + SignedDuration::from_hours(1);
        let patch = json!({
            "metadata": {"annotations": {"scout.vsecm.com/previous-token-until": until.to_string()}},
            "stringData": {"token": token, "previous-token": previous},
        })
        .to_string();
        kubectl.run(&[&["patch"], &secret[..], &["--type=merge", "-p", &patch]].concat()).await?;
        Ok(())
    };
    rotation.run(&scout, write).await?;
    rotation.check(ROTATIONS)?;

    // The end of the overlap is in force at once, too.
    let [.., previous, current] = &*rotation.tokens else { anyhow::bail!("no two tokens") };
    ensure!(scout.get("key=myremotekey", previous).await?.status == 200);
    let end = "scout.vsecm.com/previous-token-until-";
    kubectl.run(&[&["annotate"], &secret[..], &[end]].concat()).await?;
    ensure!(scout.get("key=myremotekey", previous).await?.status == 401);
    ensure!(scout.get("key=myremotekey", current).await?.status == 200);
    Ok(())
}

async fn a_token_of_nearly_a_mebibyte_lets_nobody_in_until_it_is_replaced() -> Result<()> {
    let plane = harness::shared().await?;
    let site = Site::new(&plane, "huge").await?;
    let scout = site.start(&[])?;
    scout.ready().await?;
    let secrets: Api<Secret> = Api::namespaced(plane.client().await?, &site.namespace);
    let write = async |token: &str| {
        let patch = Patch::Merge(json!({"stringData": {"token": token}}));
        secrets.patch("jwt-token", &PatchParams::default(), &patch).await
    };
    let huge = token(&json!({"sub": "x".repeat(700_000)}).to_string());
    write(&huge).await.context("the API server takes no more than 1 MiB")?;
    let answer = scout.get("key=myremotekey", &site.token).await?;
    ensure!((answer.status, &*answer.code()) == (500, "stored-token-not-jwt"), "{answer:?}");
    write(&site.token).await?;
    ensure!(scout.get("key=myremotekey", &site.token).await?.status == 200);
    Ok(())
}

/// Tokens that are written one after the other, and what clients see of that.
struct Rotation {
    tokens: Vec<String>,
    /// How many further writes a token outlives.
    outlives: usize,
    /// How many writes have begun, and how many have returned: the indexes of their tokens.
    begun: AtomicUsize,
    written: AtomicUsize,
    over: AtomicBool,
    counts: Counts,
}

/// Requests by what they had to be told.
#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicUsize,
    refused: AtomicUsize,
    /// A write was under way that made the difference.
    either: AtomicUsize,
}

impl Rotation {
    fn new(site: &Site, rotations: usize, outlives: usize) -> Self {
        let others = (1..=rotations).map(|index| token(&json!({"sub": index}).to_string()));
        Self {
            tokens: [site.token.clone()].into_iter().chain(others).collect(),
            outlives,
            begun: AtomicUsize::new(0),
            written: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            counts: Counts::default(),
        }
    }

    /// Writes one token after the other while the clients ask.
    async fn run(
        &self,
        scout: &Scout,
        write: impl AsyncFn(&str, &str) -> Result<()>,
    ) -> Result<()> {
        let rotations = async {
            for (previous, token) in self.tokens.iter().zip(self.tokens.iter().skip(1)) {
                self.begun.fetch_add(1, SeqCst);
                write(previous, token).await?;
                self.written.fetch_add(1, SeqCst);
                self.judged_often().await?;
            }
            self.over.store(true, SeqCst);
            Ok(())
        };
        let clients = try_join_all((0..CLIENTS).map(|number| self.client(scout, number)));
        tokio::try_join!(rotations, clients)?;
        Ok(())
    }

    /// Waits until as many more requests as there are clients had to be accepted, and as many
    /// refused.
    async fn judged_often(&self) -> Result<()> {
        let Counts { accepted, refused, .. } = &self.counts;
        if self.written.load(SeqCst) <= self.outlives {
            return Ok(()); // Not even the first token is to be refused yet.
        }
        let enough = [accepted, refused].map(|count| count.load(SeqCst) + CLIENTS);
        eventually("many requests after a write", SOON, || {
            let now = [accepted, refused].map(|count| count.load(SeqCst));
            ready(Ok((now[0] >= enough[0] && now[1] >= enough[1]).then_some(())))
        })
        .await
    }

    /// Asks without a pause, with the token in force and with those before it, in turns.
    async fn client(&self, scout: &Scout, number: usize) -> Result<()> {
        let stream = Offer::new(scout.ca.roots(), &[]).connect(scout.address).await?;
        let mut sender = client::http1_on(stream).await?;
        let mut turn = number;
        while !self.over.load(SeqCst) {
            let written = self.written.load(SeqCst);
            let index = written.saturating_sub(turn % (self.outlives + 2));
            let token = self.tokens.get(index).context("more writes than tokens")?;
            let request = client::request("/webhook?key=myremotekey", token);
            let answer = client::send(&mut sender, request).await?;
            let begun = self.begun.load(SeqCst);
            self.judge(&answer, written - index..=begun - index)?;
            turn += 1;
        }
        Ok(())
    }

    /// Checks an answer to a token that had been replaced between so and so many times when it
    /// was judged.
    fn judge(&self, answer: &Answer, replaced: RangeInclusive<usize>) -> Result<()> {
        let accepted = match answer.status {
            200 => true,
            401 if answer.code() == "token-mismatch" => false,
            _ => anyhow::bail!("neither accepted nor refused: {answer:?}"),
        };
        let counts = &self.counts;
        let (count, right) = if *replaced.end() <= self.outlives {
            (&counts.accepted, accepted)
        } else if *replaced.start() > self.outlives {
            (&counts.refused, !accepted)
        } else {
            (&counts.either, true)
        };
        count.fetch_add(1, SeqCst);
        ensure!(right, "replaced {replaced:?} times, and accepted: {accepted}");
        Ok(())
    }

    /// Checks that there was enough to see.
    fn check(&self, rotations: usize) -> Result<()> {
        let Counts { accepted, refused, either } = &self.counts;
        let enough = (rotations - self.outlives) * CLIENTS;
        for count in [accepted, refused] {
            ensure!(count.load(SeqCst) >= enough, "{:?}", self.counts);
        }
        ensure!(either.load(SeqCst) > 0, "no request met a write: {:?}", self.counts);
        Ok(())
    }
}
