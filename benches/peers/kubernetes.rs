//! Loads over a real API server, beside a Go server that reads it for each request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use tokio::time::MissedTickBehavior;

use crate::Bench;
use crate::harness::{ControlPlane, Options, Parts};
use crate::load::{Connections, End, Load, Question};
use crate::report::{Bound, Report, mebibytes};
use crate::rounds::{Round, Rounds, Spread, micros, percentile};
use crate::scout::Site;
use crate::server::Server;
use crate::shared_reads::create_secrets;

/// The Secrets on the API server.
const SECRETS: usize = 10_000;

/// How often the API server itself is probed.
const PROBE: Duration = Duration::from_millis(100);

/// A control plane with Secrets on it.
pub(crate) struct Cluster {
    plane: ControlPlane,
    site: Site,
}

impl Cluster {
    /// Starts it. It runs on both cores, as do all programs that are not pinned.
    pub(crate) async fn start() -> Result<Self> {
        eprintln!("a control plane with {SECRETS} Secrets");
        let plane = ControlPlane::start(&Parts::find()?, Options::default()).await?;
        let site = Site::new(&plane, "peers").await?;
        create_secrets(&plane, &site.namespace, SECRETS, |number| number.to_string()).await?;
        Ok(Self { plane, site })
    }

    /// 64 clients that ask for one key.
    pub(crate) async fn one_key(&self, bench: &Bench, report: &mut Report) -> Result<()> {
        let what = "API server, one key";
        let (scout, probes) = self.compare(bench, report, what, 1, 5.0).await?;
        let probe = percentile(&probes, 99);
        let ratios = scout.rounds.iter().map(|round| round.p99.div_duration_f64(probe));
        let figure = format!("{what}: p99 over that of a GET to the API server itself");
        report.goal(figure, Spread::of(ratios), Bound::AtMost(3.0), "");
        report.note(format!(
            "{what}: {} GETs to the API server itself in vsecm-scout's rounds: p50 {:.2} ms, p99 {:.2} ms",
            probes.len(),
            micros(percentile(&probes, 50)) / 1e3,
            micros(probe) / 1e3,
        ));
        Ok(())
    }

    /// 64 clients that ask for 1,000 keys, each as often as any other.
    pub(crate) async fn many_keys(&self, bench: &Bench, report: &mut Report) -> Result<()> {
        self.compare(bench, report, "API server, 1,000 keys", 1000, 1.5).await.map(|_| ())
    }

    /// The rounds of vsecm-scout, and the latencies of the probes in them.
    async fn compare(
        &self,
        bench: &Bench,
        report: &mut Report,
        what: &str,
        keys: usize,
        goal: f64,
    ) -> Result<(Rounds, Vec<Duration>)> {
        let (scout, go) = (self.scout(bench).await?, self.go(bench).await?);
        let load = Load { questions: questions(keys), ..self.load(bench, Connections::KeptAlive) };
        let secrets: Api<Secret> =
            Api::namespaced(self.plane.client().await?, &self.site.namespace);
        let mut probes = Vec::new();
        let measure = async |server: &Server, load: &Load| {
            let mut seen = Vec::new();
            let round = tokio::select! {
                round = Round::run(server, load) => round?,
                error = probe(&secrets, &mut seen) => return Err(error),
            };
            if server.name == scout.name {
                probes.append(&mut seen);
            }
            Ok(round)
        };
        let all = Rounds::alternate(&[&scout, &go], &load, bench.plan, measure).await?;
        for rounds in &all {
            report.server(what, rounds);
        }
        scout.note_audit_lines(what, report).await?;
        let Ok([scout, go]) = <[Rounds; 2]>::try_from(all) else { bail!("two servers") };
        let figure = format!("{what}: throughput over that of {}", go.server);
        let throughput = scout.ratio(&go, |round| round.per_second);
        report.goal(figure, throughput, Bound::AtLeast(goal), " times");
        probes.sort_unstable();
        Ok((scout, probes))
    }

    /// All keys once, each on a connection of its own that is left open: what a refresh of
    /// 10,000 ExternalSecrets does.
    pub(crate) async fn storm(&self, bench: &Bench, report: &mut Report) -> Result<()> {
        let scout = self.scout(bench).await?;
        let load = self.load(bench, Connections::LeftOpen);
        let few = self.load(bench, Connections::Fresh);
        let few = Load { questions: questions(100), ..few };
        scout.ask(few.clone()).await?;
        let before = scout.resident()?;
        let open = scout.ask(Load { questions: questions(SECRETS), ..load }).await?;
        let (seconds, failed) = (open.elapsed.as_secs_f64(), open.failed);
        drop(open);
        let peak = scout.peak()?;
        scout.settled_memory().await?;
        scout.ask(few).await?;
        let what = format!("API server, {SECRETS} keys on fresh connections");
        report.goal(
            format!("{what}: requests without an answer"),
            Spread::one(failed as f64),
            Bound::AtMost(0.0),
            "",
        );
        let after = scout.resident()?.saturating_sub(before);
        for (memory, bytes, bound) in
            [("memory at its peak", peak, 64.0), ("memory that did not come back", after, 16.0)]
        {
            let figure = format!("{what}: {memory}");
            report.goal(figure, Spread::one(mebibytes(bytes)), Bound::AtMost(bound), " MiB");
        }
        report.note(format!("{what}, 64 at a time, each left open: answered in {seconds:.1} s"));
        scout.note_audit_lines("the storm", report).await
    }

    fn load(&self, bench: &Bench, connections: Connections) -> Load {
        Load {
            connector: bench.connector.clone(),
            token: self.site.token.clone(),
            questions: questions(1),
            clients: 64,
            connections,
            end: End::EachOnce,
        }
    }

    async fn scout(&self, bench: &Bench) -> Result<Server> {
        let kubeconfig = &self.site.account.kubeconfig;
        bench
            .scout(|command| {
                command.env("KUBECONFIG", kubeconfig);
            })
            .await
    }

    async fn go(&self, bench: &Bench) -> Result<Server> {
        let (program, folder) = (bench.go_peers.join("live"), bench.folder.path());
        Server::start("Go, live", &program, folder, |command, address| {
            bench.add_go_flags(command, address);
            command.arg("-kubeconfig").arg(&self.site.account.kubeconfig);
            command.args(["-namespace", &self.site.namespace]);
            Ok(())
        })
        .await
    }
}

/// The first Secrets that [`create_secrets`] makes.
fn questions(count: usize) -> Arc<[Question]> {
    let question = |number| Question {
        path: format!("/webhook?key=s{number}&property=v"),
        answer: format!("\"{number}\""),
    };
    (0..count).map(question).collect()
}

/// Asks the API server itself, ten times a second, and for ever.
async fn probe(secrets: &Api<Secret>, seen: &mut Vec<Duration>) -> anyhow::Error {
    let mut ticks = tokio::time::interval(PROBE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let start = Instant::now();
        if let Err(error) = secrets.get("s0").await {
            return error.into();
        }
        seen.push(start.elapsed());
    }
}
