//! A setup to look at.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::harness::{self, ControlPlane, Options, Parts, eventually, process};
use crate::scout::{Scout, Site};
use crate::support::SOON;

/// What README's Secrets hold: none of it is ever shown.
const VALUES: [&str; 2] = ["correct horse", "scout\\\""];

/// A whole setup on a control plane: README's manifests, and the service running.
pub(super) struct Ward {
    pub(super) plane: Arc<ControlPlane>,
    pub(super) site: Site,
    pub(super) scout: Scout,
}

impl Ward {
    pub(super) async fn new(plane: Arc<ControlPlane>, prefix: &str) -> Result<Self> {
        let site = Site::new(&plane, prefix).await?;
        let scout = site.start(&[])?;
        let ward = Self { plane, site, scout };
        let kubectl = ward.plane.kubectl();
        let ca = format!("--from-literal=ca.crt={}", ward.scout.ca.pem());
        let namespace = &ward.site.namespace;
        let tls = ["create", "secret", "generic", "vsecm-scout-tls", "-n", namespace, &ca];
        kubectl.run(&tls).await?;
        for block in ["store", "external-secret"] {
            kubectl.apply_in(namespace, &ward.manifest(block)?).await?;
        }
        Ok(ward)
    }

    /// A block of README for this setup: its namespace, its service and a store of its own.
    pub(super) fn manifest(&self, block: &str) -> Result<String> {
        let port = self.scout.address.port();
        Ok(self
            .site
            .fitted(block)?
            .replace("vsecm-scout.default.svc.cluster.local:8443", &format!("localhost:{port}"))
            // The role and its ServiceAccount keep their name.
            .replace("name: vsecm-scout\nspec", &format!("name: {}\nspec", self.site.namespace))
            .replace(
                "name: vsecm-scout\n  target",
                &format!("name: {}\n  target", self.site.namespace),
            ))
    }

    /// Puts a block in the place of what is there.
    pub(super) async fn put(&self, manifest: &str) -> Result<()> {
        let replace = ["replace", "-n", &self.site.namespace, "-f", "-"];
        // Where ESO writes to it between kubectl's GET and PUT, that is a conflict.
        eventually("a replacement", SOON, || async {
            self.plane.kubectl().run_with(&replace, manifest).await.map(Some)
        })
        .await?;
        Ok(())
    }

    /// Changes a block in one place, looks, and puts the block back. The faults found, but for
    /// what ESO says about itself, which comes when it comes.
    pub(super) async fn with(&self, block: &str, from: &str, to: &str) -> Result<Vec<String>> {
        let whole = self.manifest(block)?;
        let broken = whole.replace(from, to);
        ensure!(broken != whole, "{block} does not say {from}");
        self.put(&broken).await?;
        let report = self.doctor(&[]).await?;
        self.put(&whole).await?;
        Ok(self.faults(&report).into_iter().filter(|fault| !fault.ends_with("-ready")).collect())
    }

    /// Checks a table of faults.
    pub(super) async fn find(&self, block: &str, faults: &[(&str, &str, &str)]) -> Result<()> {
        for (from, to, expected) in faults {
            let found = self.with(block, from, to).await?;
            ensure!(found.join(" ") == *expected, "{from} → {to}: {found:?} and not {expected}");
        }
        let found = self.faults(&self.doctor(&[]).await?);
        ensure!(found.iter().all(|fault| fault.ends_with("-ready")), "mended: {found:?}");
        Ok(())
    }

    /// The report as an operator gets it.
    pub(super) async fn doctor(&self, args: &[&str]) -> Result<Report> {
        let namespace = ["--namespace", self.site.namespace.as_str()];
        let kubeconfig = self.plane.kubeconfig();
        let report = run(&kubeconfig, &[&namespace, args].concat()).await?;
        ensure!(!report.text.contains(&self.site.token), "the token is shown");
        Ok(report)
    }

    /// The checks that found a fault in this setup: other tests have theirs in the same cluster.
    pub(super) fn faults(&self, report: &Report) -> Vec<String> {
        let own = |check: &&Check| {
            let mut parts = check.subject.split(['/', ' ', ':']);
            parts.any(|part| part == self.site.namespace)
        };
        report.faults().filter(own).map(|check| check.check.clone()).collect()
    }
}

/// What the doctor said.
pub(super) struct Report {
    pub(super) status: Option<i32>,
    pub(super) text: String,
    pub(super) checks: Vec<Check>,
}

/// One check, as JSON tells it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Check {
    pub(super) check: String,
    pub(super) subject: String,
    pub(super) status: String,
    pub(super) finding: String,
}

impl Report {
    /// The first check of this name.
    pub(super) fn check(&self, name: &str) -> Result<&Check> {
        let found = self.checks.iter().find(|check| check.check == name);
        found.with_context(|| format!("no check {name}: {}", self.text))
    }

    /// The checks that found a fault.
    pub(super) fn faults(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.status == "fault")
    }
}

/// The whole report.
#[derive(Deserialize)]
struct Written {
    ok: bool,
    checks: Vec<Check>,
}

/// Runs the doctor. It never shows a value, whatever it finds.
pub(super) async fn run(kubeconfig: &Path, args: &[&str]) -> Result<Report> {
    let mut doctor = process::command(env!("CARGO_BIN_EXE_vsecm-scout"));
    doctor.env("KUBECONFIG", kubeconfig).args(["doctor", "--output", "json"]).args(args);
    // It looks at the stores of all tests, some of which lead nowhere.
    let output = process::output(doctor, 3 * SOON).await?;
    let text = String::from_utf8(output.stdout)?;
    let error = String::from_utf8_lossy(&output.stderr);
    let written: Written = serde_json::from_str(&text).with_context(|| format!("{text}{error}"))?;
    ensure!(VALUES.iter().all(|value| !text.contains(value)), "a value is shown: {text}");
    let status = output.status.code();
    ensure!(status == Some(i32::from(!written.ok)), "exit status {status:?}: {text}");
    Ok(Report { status, text, checks: written.checks })
}

/// The shared control plane, with ESO on it.
pub(super) async fn shared() -> Result<Arc<ControlPlane>> {
    let plane = harness::shared().await?;
    plane.eso().await?;
    Ok(plane)
}

pub(super) async fn own() -> Result<Arc<ControlPlane>> {
    Ok(Arc::new(ControlPlane::start(&Parts::find()?, Options::default()).await?))
}
