//! vsecm-scout on a control plane, set up with the very blocks that README shows.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{ControlPlane, ServiceAccount, eventually, process};
use crate::support::SOON;
use crate::support::certs::Ca;
use crate::support::client::{self, Answer};
use crate::support::process::Running;
use crate::support::token::token;

const README: &str = include_str!("../../README.md");

/// The block of README behind `<!-- block: NAME -->`, without its fences.
pub(crate) fn readme(block: &str) -> Result<&'static str> {
    block_of(README, block)
}

/// The block of a page behind `<!-- block: NAME -->`, without its fences.
pub(crate) fn block_of<'page>(page: &'page str, block: &str) -> Result<&'page str> {
    let marked = page.split(&format!("<!-- block: {block} -->\n```")).nth(1);
    let fenced = marked.with_context(|| format!("there is no block {block}"))?;
    let text = fenced.split("```").next().unwrap_or_default();
    Ok(text.split_once('\n').map_or("", |(_, text)| text))
}

/// A namespace with the token Secret, a served Secret, and the ServiceAccount and Role of README.
pub(crate) struct Site {
    pub(crate) namespace: String,
    pub(crate) account: ServiceAccount,
    /// The token that the token Secret holds at first.
    pub(crate) token: String,
}

impl Site {
    pub(crate) async fn new(plane: &ControlPlane, prefix: &str) -> Result<Self> {
        let namespace = plane.namespace(prefix).await?;
        let account = plane.service_account(&namespace, "vsecm-scout").await?;
        let token = token(r#"{"sub":"eso"}"#);
        let site = Self { namespace, account, token };
        let create = ["create", "-n", &site.namespace, "-f", "-"];
        for block in ["role", "token-secret", "served-secret"] {
            plane.kubectl().run_with(&create, &site.fitted(block)?).await?;
        }
        Ok(site)
    }

    /// A block of README with this site's namespace and token in it.
    pub(crate) fn fitted(&self, block: &str) -> Result<String> {
        let namespace = format!("namespace: {}", self.namespace);
        Ok(readme(block)?
            .replace("namespace: default", &namespace)
            .replace("YOUR-JWT", &self.token))
    }

    /// Starts the service as this site's ServiceAccount.
    pub(crate) fn start(&self, flags: &[&str]) -> Result<Scout> {
        Scout::start(&self.account.kubeconfig, flags)
    }
}

/// A running service, which ends when it is dropped.
pub(crate) struct Scout {
    pub(crate) process: Running,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) ca: Ca,
    /// Holds its certificate.
    folder: TempDir,
}

impl Scout {
    /// Starts it with a kubeconfig and a new certificate.
    pub(crate) fn start(kubeconfig: &Path, flags: &[&str]) -> Result<Self> {
        let mut command = process::command(env!("CARGO_BIN_EXE_vsecm-scout"));
        command.env("KUBECONFIG", kubeconfig);
        Self::start_by(command, flags)
    }

    /// Starts it by `command`, which ends with the program's name.
    pub(crate) fn start_by(mut command: Command, flags: &[&str]) -> Result<Self> {
        let (ca, folder) = (Ca::new(), tempfile::tempdir()?);
        let files = ca.issue().write(folder.path());
        command.arg("serve").args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        command.arg("--tls-cert").arg(files.chain).arg("--tls-key").arg(files.key).args(flags);
        let mut process = Running::start(&mut command);
        let address = process.address("listening for HTTPS");
        let admin = process.address("listening for admin requests");
        Ok(Self { process, address, admin, ca, folder })
    }

    /// Gives it a certificate of a new CA, and waits until it shows that.
    pub(crate) async fn take_certificate_of(&mut self, ca: Ca) -> Result<()> {
        ca.issue().write(self.folder.path());
        self.ca = ca;
        eventually("the new certificate", SOON, || async {
            Ok(Some(self.get("key=a", "no-token").await?))
        })
        .await?;
        Ok(())
    }

    /// The address of its admin port.
    pub(crate) fn admin(&mut self) -> SocketAddr {
        self.process.address("listening for admin requests")
    }

    /// Waits until it has read a valid token.
    pub(crate) async fn ready(&self) -> Result<()> {
        eventually("readiness", SOON, || async {
            let valid = |line: &Value| {
                line["message"].as_str().is_some_and(|text| text.starts_with("the token is valid"))
            };
            Ok(self.process.log().iter().any(valid).then_some(()))
        })
        .await
    }

    /// Asks once, on a connection of its own.
    pub(crate) async fn get(&self, query: &str, token: &str) -> Result<Answer> {
        let path = format!("/webhook?{query}");
        Ok(client::get(&self.ca.roots(), self.address, &path, token).await?)
    }
}
