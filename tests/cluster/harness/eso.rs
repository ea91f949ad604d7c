//! External Secrets Operator's controller.

use std::time::Duration;

use anyhow::{Context, Result};

use super::control_plane::ControlPlane;
use super::process::{Child, command};
use super::wait::eventually;

/// ESO's controller, running. Dropping it ends it.
pub(crate) struct Eso {
    process: Child,
}

impl Eso {
    /// The user that it is to the API server.
    pub(crate) const USER: &'static str = "external-secrets";

    /// Installs the CRDs, starts the controller and waits until it is at work.
    pub(crate) async fn start(plane: &ControlPlane) -> Result<Self> {
        install_crds(plane).await?;
        let mut controller = command(&plane.parts().external_secrets);
        controller
            .env("KUBECONFIG", plane.kubeconfig_of(Self::USER))
            // The flags that its Helm chart gives by default, but for the addresses:
            // several of them may run here at once.
            .args(["--concurrent=1", "--loglevel=info", "--zap-time-encoding=epoch"])
            .args(["--metrics-addr=127.0.0.1:0", "--live-addr=127.0.0.1:0"]);
        let mut process = Child::spawn(controller, &plane.folder().join("external-secrets.log"))?;
        eventually("ESO's controller at work", Duration::from_secs(60), || {
            let running = process.check_running();
            let log = process.log();
            async move {
                if running.is_err() {
                    Ok(Some(running))
                } else {
                    Ok(at_work(&log?).then_some(Ok(())))
                }
            }
        })
        .await??;
        Ok(Self { process })
    }

    /// Its log so far.
    pub(crate) fn log(&self) -> Result<String> {
        self.process.log()
    }
}

/// Applies ESO's CRDs and waits until the API server serves them.
pub(crate) async fn install_crds(plane: &ControlPlane) -> Result<()> {
    let crds = plane.parts().external_secrets_crds.to_str().context("a path that is not UTF-8")?;
    let kubectl = plane.kubectl();
    kubectl.run(&["apply", "--server-side", "--validate=false", "-f", crds]).await?;
    kubectl.run(&["wait", "--for=condition=Established", "--timeout=60s", "-f", crds]).await?;
    Ok(())
}

/// Whether the log tells that all controllers that tests need are at work.
fn at_work(log: &str) -> bool {
    ["externalsecret", "secretstore", "clustersecretstore"].iter().all(|controller| {
        let field = format!("\"controller\":\"{controller}\"");
        log.lines().any(|line| line.contains("Starting workers") && line.contains(&field))
    })
}
