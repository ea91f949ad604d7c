//! kubectl, as a person would call it.

use std::env;
use std::fs::File;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::process::{command, output};

/// The longest that a command may take: kubectl itself would wait for ever.
const DEADLINE: Duration = Duration::from_secs(120);

/// kubectl with somebody's kubeconfig.
#[derive(Clone, Debug)]
pub(crate) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    /// `program` with `kubeconfig`.
    pub(crate) fn new(program: &Path, kubeconfig: &Path) -> Self {
        Self { program: program.to_owned(), kubeconfig: kubeconfig.to_owned() }
    }

    /// Runs kubectl and gives what it wrote to stdout, or an error with what it
    /// wrote to stderr.
    pub(crate) async fn run(&self, args: &[&str]) -> Result<String> {
        self.run_with(args, "").await
    }

    /// [`Self::run`] with something on stdin.
    pub(crate) async fn run_with(&self, args: &[&str], stdin: &str) -> Result<String> {
        let mut kubectl = command(&self.program);
        kubectl.args(args);
        self.finish(kubectl, stdin).await.with_context(|| format!("kubectl {}", args.join(" ")))
    }

    /// Applies manifests (YAML or JSON).
    pub(crate) async fn apply(&self, manifests: &str) -> Result<String> {
        self.run_with(&["apply", "-f", "-"], manifests).await
    }

    /// Applies manifests, those without a namespace in this one.
    pub(crate) async fn apply_in(&self, namespace: &str, manifests: &str) -> Result<String> {
        self.run_with(&["apply", "-n", namespace, "-f", "-"], manifests).await
    }

    /// Runs a bash script in which `kubectl` is this one: for command lines that
    /// documentation shows.
    pub(crate) async fn script(&self, script: &str) -> Result<String> {
        let mut bash = command("bash");
        bash.args(["-euo", "pipefail", "-c", script]);
        let own = self.program.parent().map(Path::to_owned);
        let others = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths(own.into_iter().chain(env::split_paths(&others)))?;
        bash.env("PATH", path);
        self.finish(bash, "").await.with_context(|| script.to_owned())
    }

    async fn finish(&self, mut command: Command, stdin: &str) -> Result<String> {
        let mut input: File = tempfile::tempfile()?;
        input.write_all(stdin.as_bytes())?;
        input.rewind()?;
        command.stdin(input).env("KUBECONFIG", &self.kubeconfig);
        // Nothing of the person who runs the tests, and nothing left in their home.
        command.env("KUBERC", "off").env("KUBECACHEDIR", self.kubeconfig.with_extension("cache"));
        let output = output(command, DEADLINE).await?;
        if !output.status.success() {
            bail!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}
