//! What the benchmark runs beside vsecm-scout.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::harness::Parts;

/// Programs that are there.
pub(crate) struct Tools {
    pub(crate) nginx: PathBuf,
    go: PathBuf,
}

impl Tools {
    /// Finds what is needed, or says all that is missing.
    pub(crate) fn find(cluster: bool) -> Result<Self> {
        let mut missing = Vec::new();
        let mut need = |name: &str, how: &str| {
            let found = program(name);
            if found.is_none() {
                missing.push(format!("{name}: {how}"));
            }
            found.unwrap_or_default()
        };
        let nginx = need("nginx", "apt-get install --no-install-recommends nginx");
        let go = need("go", "1.26 or newer, from https://go.dev/dl");
        need("setpriv", "apt-get install util-linux");
        need("taskset", "apt-get install util-linux");
        if let (true, Err(error)) = (cluster, Parts::find()) {
            missing.push(error.to_string());
        }
        if !missing.is_empty() {
            bail!("the benchmark needs what is not there:\n  {}", missing.join("\n  "));
        }
        Ok(Self { nginx, go })
    }

    /// Builds the servers in Go, and gives the folder that they are in.
    pub(crate) fn build_go_peers(&self) -> Result<PathBuf> {
        eprintln!("building the servers in Go");
        let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
        fs::create_dir_all(&built)?;
        let status = Command::new(&self.go)
            .args(["build", "-o"])
            .arg(&built)
            .args(["./static", "./live"])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/go"))
            .envs([("CGO_ENABLED", "0"), ("GOWORK", "off")])
            .status()
            .context("go does not start")?;
        ensure!(status.success(), "the servers in Go cannot be built");
        Ok(built)
    }

    /// The machine, and the versions of what is compared.
    pub(crate) fn setting(&self) -> Result<String> {
        let cpus = fs::read_to_string("/proc/cpuinfo")?;
        let model = cpus.lines().find_map(|line| line.strip_prefix("model name"));
        let model = model.unwrap_or_default().trim_start_matches([' ', '\t', ':']);
        let cores = cpus.lines().filter(|line| line.starts_with("processor")).count();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
        // nginx/1.22.1 … (running with OpenSSL 3.0.19 …)
        let nginx = said(Command::new(&self.nginx).arg("-V"))?;
        let nginx_version = nginx.split_whitespace().find_map(|word| word.strip_prefix("nginx/"));
        let openssl = nginx.split("OpenSSL ").last().and_then(|rest| rest.split(' ').next());
        let go = said(Command::new(&self.go).arg("version"))?;
        Ok(format!(
            "{model}, {cores} cores, Linux {}; nginx {} with OpenSSL {}, {}",
            kernel.trim(),
            nginx_version.unwrap_or_default(),
            openssl.unwrap_or_default(),
            go.split_whitespace().nth(2).unwrap_or_default(),
        ))
    }
}

/// A program on the PATH, or where Debian has those for administrators.
fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// What a command writes.
fn said(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    let all = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&all).into_owned())
}
