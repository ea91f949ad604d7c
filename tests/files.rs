//! The program where the system has no file for a further connection.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use support::client;
use support::folder::{HTTPS, Site, admin};
use support::process::{Running, wait_until};
use tokio::net::TcpStream;
use tokio::time::sleep;

const PATH: &str = "/webhook?key=a&property=value";

/// Limits the open files of the process: to so many, or to what it had at first.
fn limit_files(running: &Running, to: Option<u64>) {
    let process = Pid::from_raw(running.id().try_into().unwrap());
    let maximum = getrlimit(Resource::Nofile).maximum;
    prlimit(process, Resource::Nofile, Rlimit { current: to.or(maximum), maximum }).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_file_for_it_a_connection_waits_and_accepting_does_not_spin() {
    const MEASURED: Duration = Duration::from_secs(1);
    let site = Site::new();
    let mut running = Running::start(&mut site.serve());
    let address = running.address(HTTPS);
    wait_until("it is ready", || admin(&mut running, "/readyz").0 == 200);

    let open = running.open_files().try_into().unwrap();
    limit_files(&running, Some(open));
    // One of the open files may have been a passing one.
    let mut waiting = Vec::new();
    for _ in 0..16 {
        waiting.push(TcpStream::connect(address).await.unwrap());
    }
    running.find("warning that none is accepted", |line| {
        line["message"].as_str()?.contains("no connection can be accepted").then_some(())
    });
    let before = running.cpu_seconds();
    sleep(MEASURED).await;
    let spent = running.cpu_seconds() - before;
    assert!(spent < MEASURED.as_secs_f64() / 2.0, "{spent} s of the processor in {MEASURED:?}");

    limit_files(&running, None);
    let answer = client::get(&site.ca.roots(), address, PATH, &site.token).await.unwrap();
    assert_eq!(answer.status, 200);
    drop(waiting);
}
