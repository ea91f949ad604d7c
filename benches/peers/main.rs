//! The benchmark: vsecm-scout beside what people would pick instead. docs/performance.md says what
//! is measured and how, and holds the figures of its last whole run.
//!
//!     cargo bench --bench peers                   # all of it, written into docs/performance.md
//!     cargo bench --bench peers -- --quick fresh  # one part with short rounds, printed only

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the command line")]

#[path = "../../tests/cluster/harness/mod.rs"]
mod harness;
mod kubernetes;
mod load;
mod manifests;
mod pinned;
mod report;
mod rounds;
#[allow(dead_code)]
#[path = "../../tests/cluster/scout.rs"]
mod scout;
mod server;
#[allow(dead_code)]
#[path = "../../tests/cluster/shared_reads.rs"]
mod shared_reads;
#[path = "../../tests/support/mod.rs"]
mod support;
mod tools;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use tempfile::TempDir;
use tokio_rustls::TlsConnector;

use crate::kubernetes::Cluster;
use crate::report::Report;
use crate::rounds::Plan;
use crate::server::Server;
use crate::support::certs::Ca;
use crate::support::token::token;
use crate::tools::Tools;

/// vsecm-scout beside what people would pick instead
#[derive(Parser)]
struct Args {
    /// What to measure. Default: everything, and the figures go into docs/performance.md
    parts: Vec<Part>,

    /// Short rounds, whose figures are not written anywhere
    #[arg(long)]
    quick: bool,

    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// A part of the benchmark.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// A fresh connection for each request
    Fresh,
    /// Connections that are kept alive
    KeepAlive,
    /// Memory of idle connections
    Idle,
    /// A real API server, one key
    OneKey,
    /// A real API server, 1,000 keys
    ManyKeys,
    /// A real API server, 10,000 keys on fresh connections
    Storm,
}

/// What all parts share.
struct Bench {
    tools: Tools,
    go_peers: PathBuf,
    plan: Plan,
    /// Files of all servers, the certificate among them.
    folder: TempDir,
    connector: TlsConnector,
    token: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let all = args.parts.is_empty();
    let parts = if all { Part::value_variants() } else { &args.parts };
    let bench = Bench::new(args.quick, parts)?;
    let mut report = Report::new(bench.tools.setting()?);
    bench.run(parts, &mut report).await?;
    println!("\n{report}");
    if all && !args.quick {
        let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/performance.md");
        report.write_into(&document)?;
        eprintln!("written into {}", document.display());
    }
    Ok(())
}

impl Part {
    fn needs_cluster(self) -> bool {
        matches!(self, Self::OneKey | Self::ManyKeys | Self::Storm)
    }
}

impl Bench {
    fn new(quick: bool, parts: &[Part]) -> Result<Self> {
        let tools = Tools::find(parts.iter().any(|part| part.needs_cluster()))?;
        let plan = if quick {
            Plan { rounds: 3, round: Duration::from_secs(1) }
        } else {
            Plan { rounds: 5, round: Duration::from_secs(5) }
        };
        let folder = tempfile::Builder::new().prefix("vsecm-scout-bench-").tempdir()?;
        let pair = Ca::new().issue();
        pair.write(folder.path());
        let token = token(concat!(
            r#"{"iss":"https://issuer.example","aud":"vsecm-scout","sub":"external-secrets","#,
            r#""jti":"0b4b1f0e-5a3c-4b2e-9d7f-2c1a6e8f0d33","iat":1767225600,"exp":4102444800}"#
        ));
        let (go_peers, connector) = (tools.build_go_peers()?, load::connector(pair.der.into())?);
        Ok(Self { tools, go_peers, plan, folder, connector, token })
    }

    async fn run(&self, parts: &[Part], report: &mut Report) -> Result<()> {
        let needs_cluster = parts.iter().any(|part| part.needs_cluster());
        let cluster = if needs_cluster { Some(Cluster::start().await?) } else { None };
        for part in parts {
            eprintln!(
                "{}",
                part.to_possible_value()
                    .map_or_else(String::new, |part| part.get_name().to_owned())
            );
            match (part, &cluster) {
                (Part::Fresh, _) => manifests::fresh(self, report).await?,
                (Part::KeepAlive, _) => manifests::keep_alive(self, report).await?,
                (Part::Idle, _) => manifests::idle(self, report).await?,
                (Part::OneKey, Some(cluster)) => cluster.one_key(self, report).await?,
                (Part::ManyKeys, Some(cluster)) => cluster.many_keys(self, report).await?,
                (Part::Storm, Some(cluster)) => cluster.storm(self, report).await?,
                (_, None) => {}
            }
        }
        Ok(())
    }

    /// vsecm-scout as it is shipped: authentication, the audit line and all.
    async fn scout(&self, add: impl FnOnce(&mut Command)) -> Result<Server> {
        let program = Path::new(env!("CARGO_BIN_EXE_vsecm-scout"));
        Server::start("vsecm-scout", program, self.folder.path(), |command, address| {
            command.args(["serve", "--admin-listen", "127.0.0.1:0"]);
            command.arg("--listen").arg(address.to_string());
            command.arg("--tls-cert").arg(self.chain()).arg("--tls-key").arg(self.key());
            add(command);
            Ok(())
        })
        .await
    }

    /// The flags that both servers in Go have.
    fn add_go_flags(&self, command: &mut Command, address: SocketAddr) {
        command.arg("-listen").arg(address.to_string());
        command.arg("-tls-cert").arg(self.chain()).arg("-tls-key").arg(self.key());
    }

    fn chain(&self) -> PathBuf {
        self.folder.path().join("tls.crt")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("tls.key")
    }
}
