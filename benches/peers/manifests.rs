//! Loads over the source `manifests:`, beside servers that hold their answer in memory.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::Bench;
use crate::load::{Connections, End, Load, Question};
use crate::report::{Bound, Report};
use crate::rounds::{Round, Rounds, Spread, micros};
use crate::server::Server;

/// What all servers of this file answer.
const ANSWER: &str = r#""correct horse battery staple""#;

/// A fresh connection for each request, as External Secrets Operator does it.
pub(crate) async fn fresh(bench: &Bench, report: &mut Report) -> Result<()> {
    compare(bench, report, "fresh connections", Connections::Fresh, [0.5, 0.6]).await
}

/// Connections that are kept alive.
pub(crate) async fn keep_alive(bench: &Bench, report: &mut Report) -> Result<()> {
    compare(bench, report, "keep-alive", Connections::KeptAlive, [1.7, 1.0]).await
}

async fn compare(
    bench: &Bench,
    report: &mut Report,
    what: &str,
    connections: Connections,
    [over_nginx, over_go]: [f64; 2],
) -> Result<()> {
    let scout = scout(bench).await?;
    let (nginx, go) = (nginx(bench).await?, go(bench).await?);
    let load = load(bench, connections);
    let all = Rounds::alternate(&[&scout, &nginx, &go], &load, bench.plan, Round::run).await?;
    for rounds in &all {
        report.server(what, rounds);
    }
    if let [scout, nginx, go] = &*all {
        let cpu = |round: &Round| micros(round.cpu_per_request);
        for (other, bound) in [(nginx, over_nginx), (go, over_go)] {
            let figure = format!("{what}: CPU per request over that of {}", other.server);
            report.goal(figure, scout.ratio(other, cpu), Bound::AtMost(bound), "");
        }
    }
    scout.note_audit_lines(what, report).await
}

/// Memory of connections on which one request was answered and nothing more happens.
pub(crate) async fn idle(bench: &Bench, report: &mut Report) -> Result<()> {
    const CONNECTIONS: usize = 1000;
    let scout = scout(bench).await?;
    let load = Load { end: End::EachOnce, ..load(bench, Connections::Fresh) };
    let ask = |connections, count| {
        let questions = vec![question(); count].into();
        scout.ask(Load { connections, questions, ..load.clone() })
    };
    ask(Connections::Fresh, 100).await?;
    let before = scout.resident()?;
    let open = ask(Connections::LeftOpen, CONNECTIONS).await?;
    let grown = scout.resident()?.saturating_sub(before);
    drop(open);
    let each = grown as f64 / CONNECTIONS as f64 / 1024.0;
    let figure = format!("{CONNECTIONS} idle connections: memory of each");
    report.goal(figure, Spread::one(each), Bound::AtMost(30.0), " KiB");
    Ok(())
}

fn question() -> Question {
    Question { path: "/webhook?key=app&property=password".to_owned(), answer: ANSWER.to_owned() }
}

fn load(bench: &Bench, connections: Connections) -> Load {
    Load {
        connector: bench.connector.clone(),
        token: bench.token.clone(),
        questions: vec![question()].into(),
        clients: 32,
        connections,
        end: End::EachOnce,
    }
}

async fn scout(bench: &Bench) -> Result<Server> {
    let manifests = bench.folder.path().join("manifests");
    write_manifests(&manifests, &bench.token)?;
    bench
        .scout(|command| {
            command.arg("--source").arg(format!("manifests:{}", manifests.display()));
        })
        .await
}

fn write_manifests(folder: &Path, token: &str) -> Result<()> {
    fs::create_dir_all(folder)?;
    let head = "apiVersion: v1\nkind: Secret\nmetadata:\n";
    let served = "  labels: {scout.vsecm.com/serve: \"true\"}\n";
    fs::write(
        folder.join("token.yaml"),
        format!("{head}  name: jwt-token\nstringData: {{token: {token}}}\n"),
    )?;
    let app = format!("{head}  name: app\n{served}stringData: {{password: {ANSWER}}}\n");
    Ok(fs::write(folder.join("app.yaml"), app)?)
}

/// nginx with a static answer: one process, and no session tickets and no log.
async fn nginx(bench: &Bench) -> Result<Server> {
    let folder = bench.folder.path();
    Server::start("nginx", &bench.tools.nginx, folder, |command, address| {
        let config = include_str!("nginx.conf")
            .replace("ADDRESS", &address.to_string())
            .replace("FOLDER", &folder.display().to_string())
            .replace("ANSWER", ANSWER);
        let file = folder.join("nginx.conf");
        fs::write(&file, config)?;
        command.arg("-p").arg(folder).arg("-c").arg(file).arg("-e").arg(folder.join("nginx.error"));
        Ok(())
    })
    .await
}

/// net/http with the token comparison and the same answer from memory.
async fn go(bench: &Bench) -> Result<Server> {
    let program = bench.go_peers.join("static");
    Server::start("Go, static", &program, bench.folder.path(), |command, address| {
        bench.add_go_flags(command, address);
        command.args(["-token", &bench.token, "-answer", ANSWER]);
        Ok(())
    })
    .await
}
