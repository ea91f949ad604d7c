//! The API server goes away and comes back: what callers are told meanwhile, and after.

use std::future::ready;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use libtest_mimic::Trial;
use tokio::net::TcpStream;

use crate::harness::{ControlPlane, Options, Parts, eventually, lone_trial};
use crate::load::Load;
use crate::scout::Site;
use crate::shared_reads::create_secrets;
use crate::support::SOON;

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        lone_trial(
            "outages::each_is_a_503_and_over_soon_after_the_api_server_is_back",
            each_is_a_503_and_over_soon_after_the_api_server_is_back,
        ),
        lone_trial(
            "outages::a_pause_in_the_middle_of_load_leaves_no_read_hanging",
            a_pause_in_the_middle_of_load_leaves_no_read_hanging,
        ),
    ]
}

/// The longest that an answer may take where the service has 2 s for it, on a busy machine too.
const LONGEST: Duration = Duration::from_secs(5);

async fn each_is_a_503_and_over_soon_after_the_api_server_is_back() -> Result<()> {
    let mut plane = ControlPlane::start(&Parts::find()?, Options::default()).await?;
    let site = Site::new(&plane, "outages").await?;
    // Its Role does not reach there.
    let elsewhere = plane.namespace("elsewhere").await?;
    let namespaces = format!("{},{elsewhere}", site.namespace);
    let scout = site.start(&["--deadline", "2s", "--namespace", &namespaces])?;
    scout.ready().await?;

    let queries = [
        ("key=myremotekey".to_owned(), 200),
        ("key=absent".to_owned(), 404),
        (format!("key={elsewhere}/forbidden"), 500),
    ];
    let load = Load::new(&scout, &site.token, [queries.clone(), queries].concat());
    let test = async {
        load.recovers().await.context("before")?;

        plane.stop().await?;
        load.fails().await.context("stopped")?;
        ensure!(admin(scout.admin, "/readyz").await? == 200, "readiness stays");
        ensure!(admin(scout.admin, "/livez").await? == 200, "liveness stays");
        plane.start_api_server().await?;
        load.recovers().await.context("after it was stopped")?;

        plane.kill()?;
        load.fails().await.context("killed")?;
        plane.start_api_server().await?;
        load.recovers().await.context("after it was killed")?;

        plane.pause().await?;
        load.fails().await.context("paused")?;
        plane.resume()?;
        load.recovers().await.context("after the pause")?;

        plane.stop().await?;
        load.fails().await.context("stopped again")?;
        plane.restart_with_new_certificate().await?;
        load.recovers().await.context("with a new certificate")?;

        plane.stop().await?;
        load.fails().await.context("stopped a third time")?;
        plane.restart_with_new_ca().await?;
        load.recovers().await.context("with a new CA")
    };
    load.during(test).await?;
    // An API server that has just started refuses what Roles allow until it has read them.
    let counts = load.check(LONGEST, &["rbac-forbidden"])?;

    let requests = counts.values().sum::<usize>();
    eventually("one line in the log for each request", SOON, || {
        let log = scout.process.log();
        let lines = log.iter().filter(|line| line["request_id"].is_string()).count();
        ready(Ok((lines == requests).then_some(())))
    })
    .await?;
    let log = scout.process.lines().concat();
    ensure!(!log.contains(&site.token) && !log.contains("battery"), "a secret is in the log");
    Ok(())
}

async fn a_pause_in_the_middle_of_load_leaves_no_read_hanging() -> Result<()> {
    const CLIENTS: usize = 32;
    let mut plane = ControlPlane::start(&Parts::find()?, Options::default()).await?;
    let site = Site::new(&plane, "pause").await?;
    create_secrets(&plane, &site.namespace, CLIENTS, |number| number.to_string()).await?;
    // Fewer places than Secrets asked for: a place that is not given back is missed.
    let scout = site.start(&["--deadline", "2s", "--max-api-reads", "4"])?;
    scout.ready().await?;

    let queries = (0..CLIENTS).map(|key| (format!("key=s{key}"), 200));
    let load = Load::new(&scout, &site.token, queries);
    let test = async {
        load.recovers().await.context("before")?;
        for _ in 0..3 {
            plane.pause().await?;
            load.fails().await.context("paused")?;
            plane.resume()?;
            load.recovers().await.context("after the pause")?;
        }
        Ok(())
    };
    load.during(test).await?;
    let counts = load.check(LONGEST, &[])?;
    ensure!(counts.keys().eq(&[200, 503]), "{counts:?}");
    Ok(())
}

/// The status of a path of the admin port.
async fn admin(address: SocketAddr, path: &str) -> Result<u16> {
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (mut sender, connection) = http1::handshake(stream).await?;
    tokio::spawn(connection);
    let request = Request::get(path).header("host", "localhost").body(Empty::<Bytes>::new())?;
    Ok(sender.send_request(request).await?.status().as_u16())
}
