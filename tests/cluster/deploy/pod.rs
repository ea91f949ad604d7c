//! The container of a Pod, run as the kubelet would run it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;

use crate::support::client::{self, Answer, Offer};
use crate::support::process::Running;

/// Where the Pod has the Secret with the certificate.
pub(super) const TLS: &str = "/etc/vsecm-scout/tls";

/// A Pod's one container.
pub(super) struct Container {
    pub(super) spec: Value,
    pub(super) args: Vec<String>,
    env: Vec<(String, String)>,
}

impl Container {
    /// The container of a Pod's `spec`.
    pub(super) fn of(pod: &Value) -> Result<Self> {
        let containers = pod["containers"].as_array().context("no containers")?;
        let [spec] = containers.as_slice() else { anyhow::bail!("one container is expected") };
        let text = |value: &Value| value.as_str().map(str::to_owned).context("no text");
        let args =
            spec["args"].as_array().into_iter().flatten().map(text).collect::<Result<_>>()?;
        let env = spec["env"].as_array().into_iter().flatten();
        let env = env.map(|env| Ok((text(&env["name"])?, text(&env["value"])?)));
        let mounts = spec["volumeMounts"].as_array().context("no mounts")?;
        ensure!(mounts.len() == 1 && mounts[0]["mountPath"] == TLS, "{mounts:?}");
        Ok(Self { args, env: env.collect::<Result<_>>()?, spec: spec.clone() })
    }

    /// Starts it by `command`, which ends with the program's name and finds the files of the
    /// certificate in `tls`. Ports are taken as they are free.
    pub(super) fn start(&self, mut command: Command, tls: &Path) -> Running {
        let tls = tls.display().to_string();
        command.args(self.args.iter().map(|arg| arg.replace(TLS, &tls)));
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        Running::start(&mut command)
    }

    /// Waits until the readiness probe is content, then looks at the liveness probe.
    pub(super) async fn probe(&self, running: &mut Running) -> Result<()> {
        let admin = running.address("listening for admin requests");
        let path = |probe: &str| -> Result<String> {
            let http = &self.spec[probe]["httpGet"];
            ensure!(http["port"] == "admin" && http["scheme"] == "HTTP", "{http}");
            Ok(http["path"].as_str().context("no path")?.to_owned())
        };
        let (ready, live) = (path("readinessProbe")?, path("livenessProbe")?);
        crate::support::eventually("readiness", async || status(admin, &ready).await == Some(200))
            .await;
        ensure!(status(admin, &live).await == Some(200));
        Ok(())
    }
}

/// Asks over TLS, as a caller that knows the service as `name` and trusts the CA in `ca`.
pub(super) async fn ask(
    running: &mut Running,
    ca: &Path,
    name: &str,
    path: &str,
    token: &str,
) -> Result<Answer> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca)?)?;
    let config = Offer::new(Arc::new(roots), &["http/1.1"]).config();
    let address = running.address("listening for HTTPS");
    let stream = client::connect_to(name, config, address).await?;
    let mut sender = client::http1_on(stream).await?;
    Ok(client::send(&mut sender, client::request(path, token)).await?)
}

/// The status of a plain HTTP answer.
async fn status(address: SocketAddr, path: &str) -> Option<u16> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}
