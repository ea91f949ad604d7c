//! The versions that docs/eso.md shows are those that the tests run.

use anyhow::{Context, Result, ensure};
use libtest_mimic::{Failed, Trial};

/// The tests of this file. They need no parts.
pub(super) fn tests() -> Vec<Trial> {
    let test = || the_page_shows_what_runs().map_err(|error| Failed::from(format!("{error:?}")));
    vec![Trial::test("external_secrets::the_page_shows_the_versions_that_run", test)]
}

/// Each row of the table: its name, the file that pins the version, and the module.
const ROWS: [(&str, &str, &str); 6] = [
    (
        "External Secrets Operator",
        include_str!("../eso/go.mod"),
        "github.com/external-secrets/external-secrets",
    ),
    (
        "Kubernetes (kube-apiserver, kubectl)",
        include_str!("../control-plane/go.mod"),
        "k8s.io/kubernetes",
    ),
    ("etcd", include_str!("../control-plane/go.mod"), "go.etcd.io/etcd/server/v3"),
    ("Helm", include_str!("../helm/go.mod"), "helm.sh/helm/v4"),
    (
        "cert-manager (its CRDs)",
        include_str!("../crds/go.mod"),
        "github.com/cert-manager/cert-manager",
    ),
    (
        "Prometheus operator (its CRDs)",
        include_str!("../crds/go.mod"),
        "github.com/prometheus-operator/prometheus-operator",
    ),
];

fn the_page_shows_what_runs() -> Result<()> {
    let page = include_str!("../../../docs/eso.md");
    let (_, table) = page.split_once("| program | version |\n").context("no table")?;
    let (table, _) = table.split_once("\n\n").context("no end of the table")?;
    let shown: Vec<&str> = table.lines().skip(1).collect();
    let mut pinned = Vec::new();
    for (name, module_file, module) in ROWS {
        let mut words = module_file.lines().map(|line| line.split_whitespace());
        let version = words.find_map(|mut words| {
            (words.next() == Some(module)).then(|| words.next()?.strip_prefix('v')).flatten()
        });
        let version = version.with_context(|| format!("no version of {module}"))?;
        pinned.push(format!("| {name} | {version} |"));
    }
    ensure!(shown == pinned, "{shown:#?} instead of {pinned:#?}");
    Ok(())
}
