//! Whole setups, and who looks at them from where.

use anyhow::{Context, Result, ensure};

use super::ward::{Report, Ward, own, run, shared};
use crate::harness::{self, eventually, install_crds};
use crate::support::SOON;
use crate::support::certs::Ca;
use crate::support::token::token;

pub(super) async fn a_good_setup_has_no_fault() -> Result<()> {
    let plane = own().await?;
    plane.eso().await?;
    let ward = Ward::new(plane, "good").await?;
    let report = eventually("a setup without a fault", SOON, || async {
        let report = ward.doctor(&[]).await?;
        ensure!(report.status == Some(0), "{}", report.text);
        Ok(Some(report))
    })
    .await?;
    ensure!(ward.faults(&report).is_empty());
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

/// Each with the real words of ESO, and what the doctor says to them.
pub(super) async fn what_eso_says_is_explained() -> Result<()> {
    let mut ward = Ward::new(shared().await?, "says").await?;
    let admin = format!("localhost:{}", ward.scout.admin().port());
    let (kubectl, namespace) = (ward.plane.kubectl(), &ward.site.namespace);
    let other = format!("--from-literal=ca.crt={}", Ca::new().pem());
    let create = ["create", "secret", "generic", "other-ca", "-n", namespace, &other];
    kubectl.run(&create).await?;
    let https = format!("localhost:{}", ward.scout.address.port());
    let in_namespace = format!("            namespace: {namespace} # a");
    let newline = format!("{}\\n", ward.site.token);
    for (block, from, to, says) in [
        ("store", "name: vsecm-scout-tls", "name: other-ca", "ESO does not trust the certificate"),
        ("store", "name: vsecm-scout-tls", "name: jwt-token", "certificate in PEM"),
        ("store", &https, &admin, "without TLS"),
        ("store", "timeout: 10s", "timeout: 1us", "within the store's timeout"),
        ("store", "/webhook?", "/webhok?", "400 unknown-path: "),
        ("store", ".jwt.token | trim", ".jwt.tokn", "401 token-not-rendered: "),
        ("store", ".jwt.token", ".jwt.tokn", "names an entry that is not there"),
        ("store", &in_namespace, "            # a", "has no namespace"),
        ("external-secret", "property: password", "property: pasword", "422 no-such-entry: "),
        ("external-secret", "key: myremotekey", "key: elsewhere", "404 no-such-secret: "),
        ("token-secret", "external-secrets.io/type: webhook", "a: b", "lacks ESO's label"),
    ] {
        let whole = ward.manifest(block)?;
        let broken = whole.replace(from, to).replace(
            "key: ca.crt",
            match to {
                "name: jwt-token" => "key: token",
                _ => "key: ca.crt",
            },
        );
        ensure!(broken != whole, "{block} does not say {from}");
        ward.put(&broken).await?;
        ward.refresh(says).await?;
        finding(&ward, "external-secret-ready", says).await?;
        ward.put(&whole).await?;
    }
    let whole = ward.manifest("token-secret")?;
    ward.put(&whole.replace(&ward.site.token, &newline)).await?;
    ward.put(&ward.manifest("store")?.replace(" | trim", "")).await?;
    ward.refresh("newline").await?;
    finding(&ward, "external-secret-ready", "ends in a newline").await?;

    let free = format!("localhost:{}", harness::port::free()?);
    ward.put(&ward.manifest("store")?.replace(&https, &free)).await?;
    finding(&ward, "store-ready", "it is not Ready").await?;
    ward.refresh("down").await?;
    finding(&ward, "external-secret-ready", "the store was not Ready").await
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
    install_crds(&near).await?;
    // The service's cluster has the token and the value; ESO's has a copy of the token.
    near.kubectl().run(&["create", "namespace", &ward.site.namespace]).await?;
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

/// Waits until a fault of this setup is found and its text begins as it should.
async fn finding(ward: &Ward, name: &str, says: &str) -> Result<()> {
    eventually(says, SOON, || async {
        let report = ward.doctor(&[]).await?;
        let own = report.faults().filter(|check| check.subject.contains(&ward.site.namespace));
        let mut named = own.filter(|check| check.check == name);
        ensure!(named.any(|check| check.finding.contains(says)), "{}", report.text);
        Ok(Some(()))
    })
    .await
}
