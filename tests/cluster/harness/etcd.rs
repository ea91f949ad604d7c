//! The API server's database.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::parts::Parts;
use super::process::{Child, command};
use super::wait::eventually;

/// The socket that etcd listens on. In the harness's private folder nobody else
/// reaches it, and no port has to be found for it.
const SOCKET: &str = "etcd.sock";

/// Starts etcd on a fresh database in `folder`.
pub(crate) async fn start(parts: &Parts, folder: &Path) -> Result<Child> {
    let mut etcd = command(&parts.etcd);
    etcd.arg("--name=test")
        .arg(format!("--data-dir={}", folder.join("etcd").display()))
        .arg(format!("--listen-client-urls={}", endpoint(folder)))
        // Nobody asks where it is. A socket's URL is refused here.
        .arg("--advertise-client-urls=http://127.0.0.1:0")
        // It is alone, but wants to listen for peers.
        .arg("--listen-peer-urls=http://127.0.0.1:0")
        .arg("--initial-advertise-peer-urls=http://127.0.0.1:0")
        .arg("--initial-cluster=test=http://127.0.0.1:0")
        // The database does not outlive the test.
        .arg("--unsafe-no-fsync")
        .arg("--log-level=warn");
    let mut child = Child::spawn(etcd, &folder.join("etcd.log"))?;
    let socket = folder.join(SOCKET);
    eventually("etcd's socket", Duration::from_secs(20), || {
        std::future::ready(
            child.check_running().map(|()| fs::exists(&socket).unwrap_or(false).then_some(())),
        )
    })
    .await?;
    Ok(child)
}

/// Where the API server reaches the etcd of `folder`.
pub(crate) fn endpoint(folder: &Path) -> String {
    format!("unix://{}", folder.join(SOCKET).display())
}
