//! Whole setups, and who looks at them from where.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::ward::{Report, Ward, own, run, shared};
use crate::harness::{self, eventually, install_crds};
use crate::support::SOON;
use crate::support::certs::Ca;
use crate::support::token::token;

/// README's setup, and all the ways to ask that docs/eso.md shows.
pub(super) async fn a_good_setup_has_no_fault() -> Result<()> {
    let plane = own().await?;
    plane.eso().await?;
    let ward = Ward::new(plane, "good").await?;
    let ways = include_str!("../../../docs/eso.md").split("<!-- block: eso-values -->\n```yaml\n");
    let ways = ways.skip(1).find_map(|text| text.split("```").next());
    let ways = ways.context("docs/eso.md has no block eso-values")?;
    let ways = ways.replace("name: vsecm-scout\n", &format!("name: {}\n", ward.site.namespace));
    let json = include_str!("../../../src/cli/dev/examples/coca-cola.yaml");
    for manifest in [json, &ways] {
        ward.plane.kubectl().apply_in(&ward.site.namespace, manifest).await?;
    }
    let report = eventually("a setup without a fault", PATIENCE, || async {
        let report = ward.doctor(&[]).await?;
        let mut external = report.checks.iter().filter(|check| check.check.starts_with("external"));
        ensure!(external.all(|check| check.status == "ok"), "{}", report.text);
        ensure!(report.status == Some(0), "{}", report.text);
        Ok(Some(report))
    })
    .await?;
    ensure!(report.text.contains("ways-to-ask"), "{}", report.text);
    for check in ["store-ca", "store-token", "external-secret-ready", "access-excess"] {
        ensure!(report.check(check)?.status == "ok", "{check}: {}", report.text);
    }
    Ok(())
}

pub(super) async fn a_store_of_an_old_version_is_found() -> Result<()> {
    let plane = own().await?;
    install_crds(&plane).await?;
    let serve_old = r#"[{"op": "replace", "path": "/spec/versions/1/served", "value": true}]"#;
    let crd = "clustersecretstores.external-secrets.io";
    plane.kubectl().run(&["patch", "crd", crd, "--type=json", "-p", serve_old]).await?;
    let ward = Ward::new(plane, "old").await?;
    let old = ward
        .manifest("store")?
        .replace("external-secrets.io/v1\n", "external-secrets.io/v1beta1\n");
    let kubectl = ward.plane.kubectl();
    eventually("the old version", SOON, || async {
        kubectl.apply_in(&ward.site.namespace, &old).await?;
        Ok(Some(()))
    })
    .await?;
    let report = ward.doctor(&[]).await?;
    ensure!(ward.faults(&report) == ["store-version"], "{}", report.text);
    // Nobody has looked at it: that is no fault.
    ensure!(report.check("store-ready")?.status == "unknown");

    kubectl.apply_in(&ward.site.namespace, &ward.manifest("store")?).await?;
    let report = ward.doctor(&[]).await?;
    ensure!(report.check("store-version")?.status == "ok", "{}", report.text);
    Ok(())
}

/// Each fault with a store and an ExternalSecret of its own, since ESO tells the 25 first failures
/// of an object and then one in five minutes.
pub(super) async fn what_eso_says_is_explained() -> Result<()> {
    let mut ward = Ward::new(shared().await?, "says").await?;
    let https = format!("localhost:{}", ward.scout.address.port());
    let admin = format!("localhost:{}", ward.scout.admin().port());
    let free = format!("localhost:{}", harness::port::free()?);
    let (kubectl, namespace) = (ward.plane.kubectl(), ward.site.namespace.clone());
    let in_namespace = format!("            namespace: {namespace} # a");
    let ca_in_namespace = format!("        namespace: {namespace}\n        key: ca.crt");
    let other_ca = format!("--from-literal=ca.crt={}", Ca::new().pem());
    let newline = format!("--from-literal=token={}\n", ward.site.token);
    for (name, entry) in [("other-ca", &other_ca), ("newline", &newline)] {
        kubectl.run(&["create", "secret", "generic", name, "-n", &namespace, entry]).await?;
    }
    let label =
        ["label", "secret", "newline", "-n", &namespace, "external-secrets.io/type=webhook"];
    kubectl.run(&label).await?;

    let (store, external) = ("store-ready", "external-secret-ready");
    let faults = [
        ("store", "name: vsecm-scout-tls", "name: other-ca", external, "does not trust"),
        ("store", &*https, &*admin, external, "without TLS"),
        ("store", &https, &free, store, "nothing listens"),
        ("store", &https, "scout.invalid:8443", store, "has no address"),
        ("store", "timeout: 10s", "timeout: 1us", external, "within the store's timeout"),
        ("store", "/webhook?", "/webhok?", external, "400 unknown-path: "),
        ("store", ".jwt.token | trim", ".jwt.tokn", external, "401 token-not-rendered: "),
        ("store", ".jwt.token", ".jwt.tokn", external, "names an entry that is not there"),
        ("store", "name: jwt-token", "name: other-ca", external, "lacks ESO's label"),
        ("store", &in_namespace, "            # a", external, "has no namespace"),
        ("store", "key: ca.crt", "key: tls.crt", store, "is not there"),
        ("store", &ca_in_namespace, "        key: ca.crt", store, "caProvider has no namespace"),
        ("store", "name: vsecm-scout-tls", "name: nothing", store, "is not there"),
        ("external-secret", "property: password", "property: x", external, "422 no-such-entry: "),
        ("external-secret", "key: myremotekey", "key: x", external, "404 no-such-secret: "),
    ];
    for (number, (block, from, to, ..)) in faults.iter().enumerate() {
        for part in ["store", "external-secret"] {
            let whole = ward.manifest(part)?;
            let made = if part == *block { whole.replace(from, to) } else { whole.clone() };
            ensure!(part != *block || made != whole, "{block} does not say {from}");
            let made = numbered(&ward, &made, number);
            kubectl.apply_in(&namespace, &made).await?;
        }
    }
    let newline = ward.manifest("store")?.replace("name: jwt-token", "name: newline");
    let newline = numbered(&ward, &newline.replace(" | trim", ""), faults.len());
    kubectl.apply_in(&namespace, &newline).await?;
    let last = numbered(&ward, &ward.manifest("external-secret")?, faults.len());
    kubectl.apply_in(&namespace, &last).await?;

    for (number, (.., check, says)) in faults.into_iter().enumerate() {
        finding(&ward, number, check, says).await?;
    }
    finding(&ward, faults.len(), external, "ends in a newline").await?;
    // ESO's retries, and its looks at the stores, would hold up other tests.
    kubectl.run(&["delete", "externalsecrets", "--all", "-n", &namespace]).await?;
    let stores = format!("{namespace}-{{0..{}}}", faults.len());
    kubectl.script(&format!("kubectl delete clustersecretstores {stores}")).await?;
    Ok(())
}

/// A manifest whose store and ExternalSecret have this number in their names.
fn numbered(ward: &Ward, manifest: &str, number: usize) -> String {
    let store = &ward.site.namespace;
    manifest
        .replace(&format!("name: {store}\n"), &format!("name: {store}-{number}\n"))
        .replace("name: example-external-secret", &format!("name: example-{number}"))
        .replace("name: example-secret", &format!("name: target-{number}"))
}

pub(super) async fn little_rbac() -> Result<()> {
    let ward = Ward::new(shared().await?, "little").await?;
    let nobody = ward.plane.service_account(&ward.site.namespace, "nobody").await?;
    let report = run(&nobody.kubeconfig, &[]).await?;
    ensure!(report.check("token-secret")?.status == "unknown", "{}", report.text);
    ensure!(report.check("access-token")?.status == "fault", "it asked about itself");

    // From inside: as the service's own ServiceAccount.
    let report = run(&ward.site.account.kubeconfig, &[]).await?;
    ensure!(report.status == Some(0), "{}", report.text);
    ensure!(report.check("token-expiry")?.status == "ok");
    ensure!(report.check("access-token")?.status == "ok");
    ensure!(report.check("stores")?.status == "unknown");

    let asked = ward.plane.audit(&nobody.user())?;
    ensure!(!asked.is_empty());
    for event in asked {
        let reads = matches!(event.verb.as_str(), "get" | "list");
        let reviews = event.verb == "create" && event.object.resource.ends_with("reviews");
        ensure!(reads || reviews, "{event:?}");
    }
    Ok(())
}

pub(super) async fn a_key_is_explained() -> Result<()> {
    let ward = Ward::new(shared().await?, "key").await?;
    let report = ward.doctor(&["myremotekey", "--property", "password"]).await?;
    ensure!(report.status == Some(0), "{}", report.text);
    ensure!(report.check("answer")?.finding == "200, a text");
    let nested = ward.doctor(&["key=myremotekey&path=password.x"]).await?;
    ensure!(nested.status == Some(1));
    let finding = nested.check("answer")?.finding.as_str();
    ensure!(finding.starts_with("422 no-such-path"), "{finding}");
    Ok(())
}

pub(super) async fn the_certificate_is_compared() -> Result<()> {
    let ward = Ward::new(shared().await?, "ca").await?;
    let port = ward.scout.address.port();
    let url = format!("https://127.0.0.1:{port}");
    // A Service's name, which is known in the cluster alone, and for which this certificate
    // is not issued.
    let name = "scout.invalid:8443";
    ward.put(&ward.manifest("store")?.replace(&format!("localhost:{port}"), name)).await?;
    let own = format!("ClusterSecretStore {}", ward.site.namespace);
    let of = |report: Report| {
        let mut checks = report.checks.into_iter();
        let found = checks.find(|check| check.check == "store-ca" && check.subject == own);
        found.map(|check| (check.status, check.finding)).context(report.text)
    };
    let (status, finding) = of(ward.doctor(&[]).await?)?;
    ensure!(status == "unknown" && finding.contains("cannot be reached"), "{finding}");
    let (status, finding) = of(ward.doctor(&["--url", &url]).await?)?;
    ensure!(status == "fault" && finding.contains("is not for scout.invalid"), "{finding}");

    let pair = ward.scout.ca.issue();
    let certificate = format!("--from-literal=tls.crt={}", pair.chain);
    let namespace = &ward.site.namespace;
    let create = ["create", "secret", "generic", "served", "-n", namespace, &certificate];
    ward.plane.kubectl().run(&create).await?;
    let (status, finding) = of(ward.doctor(&["--tls-secret", "served"]).await?)?;
    ensure!(status == "fault" && finding.contains("Secret"), "{finding}");
    Ok(())
}

pub(super) async fn eso_may_be_in_another_cluster() -> Result<()> {
    let ward = Ward::new(shared().await?, "far").await?;
    let near = own().await?;
    near.kubectl().run(&["create", "namespace", &ward.site.namespace]).await?;
    let there = ["--namespace", ward.site.namespace.as_str()];

    // Without ESO in the cluster, nobody needs its label.
    let unlabelled = ward.manifest("token-secret")?.replace("external-secrets.io/type", "other");
    near.kubectl().apply_in(&ward.site.namespace, &unlabelled).await?;
    let without = run(&near.kubeconfig(), &there).await?;
    ensure!(without.check("token-eso-label").is_err(), "{}", without.text);
    install_crds(&near).await?;
    let with = run(&near.kubeconfig(), &there).await?;
    ensure!(with.check("token-eso-label")?.status == "fault", "{}", with.text);

    // The service's cluster has the token and the value; ESO's has a copy of the token.
    for block in ["token-secret", "store", "external-secret"] {
        near.kubectl().apply_in(&ward.site.namespace, &ward.manifest(block)?).await?;
    }
    let ca = format!("--from-literal=ca.crt={}", ward.scout.ca.pem());
    let tls = ["create", "secret", "generic", "vsecm-scout-tls", "-n", &ward.site.namespace, &ca];
    near.kubectl().run(&tls).await?;
    let kubeconfig = near.kubeconfig();
    let eso = ["--eso-kubeconfig", kubeconfig.to_str().context("a path")?];
    let report = ward.doctor(&eso).await?;
    ensure!(report.status == Some(0), "{}", report.text);
    ensure!(report.check("store-token")?.status == "ok", "{}", report.text);

    let old = ward.manifest("token-secret")?.replace(&ward.site.token, &token(r#"{"sub":"old"}"#));
    near.kubectl().apply_in(&ward.site.namespace, &old).await?;
    let report = ward.doctor(&eso).await?;
    ensure!(report.check("store-token")?.status == "fault", "{}", report.text);
    Ok(())
}

/// How long ESO's one worker may take, with the other tests' objects before it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the fault of this number is found and says this.
async fn finding(ward: &Ward, number: usize, name: &str, says: &str) -> Result<()> {
    let namespace = &ward.site.namespace;
    let subjects = [
        format!("ExternalSecret {namespace}/example-{number}"),
        format!("ClusterSecretStore {namespace}-{number}"),
    ];
    eventually(says, PATIENCE, || async {
        let report = ward.doctor(&[]).await?;
        let own: Vec<_> =
            report.faults().filter(|check| subjects.contains(&check.subject)).collect();
        let found = own.iter().any(|check| check.check == name && check.finding.contains(says));
        ensure!(found, "{own:?}");
        Ok(Some(()))
    })
    .await
}
