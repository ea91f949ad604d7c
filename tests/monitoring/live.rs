//! A real Prometheus that scrapes a running service under load.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::SOON;
use crate::support::client::{self, Offer};
use crate::support::folder::{ADMIN, HTTPS, Site};
use crate::support::process::{Running, http_get};
use crate::support::token::token;
use crate::{dashboard, path, rules};

/// Clients that ask all the time.
const CLIENTS: usize = 8;

/// A service in the middle of a rotation, which has all the metrics there are.
struct Service {
    site: Site,
    _process: Running,
    address: SocketAddr,
    admin: SocketAddr,
    tokens: [String; 2],
}

impl Service {
    fn start() -> Result<Self> {
        let site = Site::new();
        let lives = r#""iat":1750000000,"exp":4000000000"#;
        let tokens = ["new", "old"].map(|name| token(&format!(r#"{{"sub":"{name}",{lives}}}"#)));
        let until = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
        let manifest = format!(
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: jwt-token\n  annotations: \
             {{scout.vsecm.com/previous-token-until: '{until}'}}\nstringData:\n  token: {}\n  \
             previous-token: {}\n",
            tokens[0], tokens[1]
        );
        fs::write(site.path("secrets/jwt-token.yaml"), manifest)?;
        let mut process = Running::start(&mut site.serve());
        let (address, admin) = (process.address(HTTPS), process.address(ADMIN));
        Ok(Self { site, _process: process, address, admin, tokens })
    }

    /// One client: a connection of its own for a few requests, good and bad ones.
    async fn ask(&self) -> Result<()> {
        let stream = Offer::new(self.site.ca.roots(), &[]).connect(self.address).await?;
        let mut sender = client::http1_on(stream).await?;
        let [new, old] = &self.tokens;
        for (path, token, status) in [
            ("/webhook?key=a&property=value", new, 200),
            ("/webhook?key=a&property=value", old, 200),
            ("/webhook?key=missing", new, 404),
            ("/webhook?key=a", &"opaque".to_owned(), 401),
        ] {
            let answer = client::send(&mut sender, client::request(path, token)).await?;
            ensure!(answer.status == status, "{path}: {answer:?}");
        }
        Ok(())
    }
}

/// Prometheus, with the rules and the service as its only target.
struct Prometheus {
    _process: Running,
    address: SocketAddr,
    _folder: TempDir,
}

impl Prometheus {
    fn start(target: SocketAddr) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let configuration = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{:?}]\n\
             scrape_configs:\n  - job_name: vsecm-scout\n    static_configs:\n      \
             - targets: ['{target}']\n",
            path("rules.yaml")
        );
        fs::write(folder.path().join("prometheus.yaml"), configuration)?;
        // It logs to stderr.
        let mut command = Command::new("sh");
        command.args(["-c", "exec prometheus \"$@\" 2>&1", "prometheus"]);
        command.args(["--config.file=prometheus.yaml", "--storage.tsdb.path=data"]);
        command.args(["--web.listen-address=127.0.0.1:0", "--log.format=json"]);
        let mut process = Running::start(command.current_dir(folder.path()));
        let address = process.find("Prometheus", |line| {
            let listens = line["msg"] == "Listening on";
            listens.then(|| line["address"].as_str()?.parse().ok()).flatten()
        });
        Ok(Self { _process: process, address, _folder: folder })
    }

    /// Whether a query returns any number, now.
    fn returns_data(&self, query: &str) -> Result<bool> {
        let encoded = utf8_percent_encode(query, NON_ALPHANUMERIC);
        let (status, body) = http_get(self.address, &format!("/api/v1/query?query={encoded}"));
        // Unavailable: it has only just started.
        ensure!([200, 503].contains(&status), "{query}: {body}");
        let answer: Value = serde_json::from_str(&body).unwrap_or_default();
        let results = answer.pointer("/data/result").and_then(Value::as_array);
        let number = |result: &Value| {
            let value = result.pointer("/value/1").and_then(Value::as_str);
            value.is_some_and(|value| value != "NaN")
        };
        Ok(results.is_some_and(|results| results.iter().any(number)))
    }
}

pub(crate) fn metrics_are_linted() -> Result<()> {
    let service = Service::start()?;
    let (status, metrics) = http_get(service.admin, "/metrics");
    ensure!(status == 200, "{metrics}");
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn()?;
    promtool.stdin.take().context("no stdin")?.write_all(metrics.as_bytes())?;
    let output = promtool.wait_with_output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

pub(crate) fn every_query_returns_data() -> Result<()> {
    let service = Service::start()?;
    let prometheus = Prometheus::start(service.admin)?;
    let mut queries = dashboard::queries()?;
    for rule in rules::all()? {
        match rule.alert {
            // An alert returns nothing as long as all is well.
            Some(_) => queries.extend(selectors(&rule.expr)),
            None => queries.push(rule.expr),
        }
    }
    for rule in rules::all()?.iter().filter(|rule| rule.alert.is_some()) {
        prometheus.returns_data(&rule.expr).context("an alert that cannot be parsed")?;
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let clients = (0..CLIENTS).map(|_| async {
            loop {
                service.ask().await?;
            }
        });
        let load = futures_util::future::try_join_all(clients);
        let answers = tokio::task::spawn_blocking({
            move || queries.iter().try_for_each(|query| wait_for_data(&prometheus, query))
        });
        tokio::select! {
            failed = load => failed.map(|_: Vec<()>| ()),
            answers = answers => answers?,
        }
    })
}

fn wait_for_data(prometheus: &Prometheus, query: &str) -> Result<()> {
    let deadline = Instant::now() + SOON;
    while !prometheus.returns_data(query)? {
        if Instant::now() > deadline {
            bail!("no data: {query}");
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    Ok(())
}

/// The vector selectors of an expression, without their ranges. All metrics here begin alike.
fn selectors(expression: &str) -> Vec<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(start) = rest.find(is_name) {
        let (_, word) = rest.split_at(start);
        let (name, after) = word.split_at(word.find(|c| !is_name(c)).unwrap_or(word.len()));
        let labels = after.starts_with('{').then(|| after.find('}')).flatten();
        let (labels, after) = after.split_at(labels.map_or(0, |end| end + 1));
        if name == "up" || name.starts_with("vsecm_scout") {
            found.push(format!("{name}{labels}"));
        }
        rest = after;
    }
    found
}
