//! Tables of faults: each is produced in README's own manifests, found, and mended.

use anyhow::{Context, Result, ensure};

use super::ward::{Ward, shared};
use crate::harness::eventually;
use crate::support::SOON;
use crate::support::token::token;

pub(super) async fn faults_of_the_token_are_found() -> Result<()> {
    let ward = Ward::new(shared().await?, "token").await?;
    let valid = format!("\"{}\"", ward.site.token);
    let expired = format!("\"{}\"", token(r#"{"exp":1}"#));
    let no_number = format!("\"{}\"", token(r#"{"exp":"1"}"#));
    let twice = format!("\"{}\"", token(r#"{"exp":4102444800,"exp":4102444800}"#));
    let milliseconds = format!("\"{}\"", token(r#"{"exp":4102444800000}"#));
    let newline = format!("\"{}\\n\"", ward.site.token);
    let forgotten = format!("{valid}\n  previous-token: {valid}");
    let until = |instant: &str| {
        format!(
            "name: jwt-token\n  annotations:\n    scout.vsecm.com/previous-token-until: {instant:?}"
        )
    };
    ward.find(
        "token-secret",
        &[
            ("token: ", "tokn: ", "token-entry store-authorization"),
            (&valid, "\"opaque\"", "token-jwt store-token"),
            (&valid, &expired, "token-expiry"),
            (&valid, &no_number, "token-jwt"),
            (&valid, &twice, "token-jwt"),
            (&valid, &milliseconds, "token-expiry"),
            (&valid, &newline, "token-white-space"),
            ("external-secrets.io/type: webhook", "a: b", "token-eso-label"),
            (&valid, &forgotten, "token-previous"),
        ],
    )
    .await?;

    let manifest = ward.manifest("token-secret")?;
    for instant in ["2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z", "tomorrow"] {
        let manifest =
            manifest.replace(&valid, &forgotten).replace("name: jwt-token", &until(instant));
        ward.put(&manifest).await?;
        let faults = ward.faults(&ward.doctor(&[]).await?);
        ensure!(faults.contains(&"token-previous".to_owned()), "{instant}: {faults:?}");
    }

    let delete = ["delete", "secret", "jwt-token", "-n", &ward.site.namespace];
    ward.plane.kubectl().run(&delete).await?;
    let report = ward.doctor(&[]).await?;
    ensure!(report.check("token-secret")?.status == "fault" && report.status == Some(1));
    Ok(())
}

pub(super) async fn faults_of_the_role_are_found() -> Result<()> {
    let ward = Ward::new(shared().await?, "doctor-role").await?;
    let named = "verbs: [\"get\"]\n    resourceNames: [\"jwt-token\"]";
    let get = "verbs: [\"get\"]";
    for (to, expected) in [
        ("verbs: [\"list\"]", vec!["access-token", "access-excess"]),
        ("verbs: [\"get\", \"watch\", \"update\"]", vec!["access-excess"]),
        ("verbs: [\"*\"]", vec!["access-excess"]),
        (named, vec![]),
    ] {
        let whole = ward.manifest("role")?;
        // The RoleBinding's roleRef cannot change, and does not.
        ward.plane.kubectl().apply_in(&ward.site.namespace, &whole.replace(get, to)).await?;
        eventually(to, SOON, || async {
            let report = ward.doctor(&[]).await?;
            let faults = report.faults().map(|check| check.check.as_str());
            let found: Vec<&str> = faults.filter(|check| check.starts_with("access")).collect();
            ensure!(found == expected, "{found:?}");
            ensure!(to != named || report.check("access-values")?.status == "unknown");
            Ok(Some(()))
        })
        .await?;
    }
    let binding = format!("doctor-{}", ward.site.namespace);
    let account = format!("--serviceaccount={}:vsecm-scout", ward.site.namespace);
    let bind = ["create", "clusterrolebinding", &binding, "--clusterrole=cluster-admin", &account];
    ward.plane.kubectl().run(&bind).await?;
    eventually("rights everywhere", SOON, || async {
        let report = ward.doctor(&[]).await?;
        ensure!(report.check("access-everywhere")?.status == "fault", "{}", report.text);
        Ok(Some(()))
    })
    .await
}

pub(super) async fn faults_of_a_store_are_found() -> Result<()> {
    let ward = Ward::new(shared().await?, "store").await?;
    let namespace = format!("            namespace: {} # a", ward.site.namespace);
    ward.find(
        "store",
        &[
            ("https://", "http://", "store-url"),
            ("/webhook?", "/webhok?", "store-url"),
            ("&property=", "&propety=", "store-parameters external-secret-reference"),
            ("&property={{ .remoteRef.property }}", "", "store-parameters"),
            ("?key=", "?keys=", "store-parameters external-secret-reference"),
            ("method: GET", "method: POST", "store-method"),
            ("method: GET", "method: GET\n      body: x", "store-method"),
            ("jsonPath: \"$\"", "jsonPath: \"\"", "store-result"),
            ("      timeout: 10s\n", "", "store-timeout"),
            ("timeout: 10s", "timeout: 3s", "store-timeout"),
            (&namespace, "            # a", "store-namespaces"),
            ("Bearer {{", "{{", "store-authorization"),
            (".jwt.token", ".jwt.tokn", "store-authorization"),
            (".jwt.token", ".jvt.token", "store-authorization"),
            ("        Authorization:", "        Authorisation:", "store-authorization"),
            ("key: ca.crt", "key: ca.cert", "store-ca"),
            ("name: vsecm-scout-tls", "name: jwt-token", "store-ca"),
        ],
    )
    .await?;

    // The parameter is named, by the store and by the ExternalSecret that asks it.
    let whole = ward.manifest("store")?;
    ward.put(&whole.replace("&property=", "&propety=")).await?;
    let report = ward.doctor(&[]).await?;
    ward.put(&whole).await?;
    for check in ["store-parameters", "external-secret-reference"] {
        let mut named = report.faults().filter(|fault| fault.check == check);
        ensure!(named.any(|fault| fault.finding.contains("\"propety\"")), "{}", report.text);
    }

    // ESO's own copy of the token, after a rotation that forgot it.
    let copy = ward
        .manifest("token-secret")?
        .replace("name: jwt-token", "name: copy")
        .replace(&ward.site.token, &token(r#"{"sub":"old"}"#));
    ward.plane.kubectl().apply_in(&ward.site.namespace, &copy).await?;
    let found = ward.with("store", "name: jwt-token", "name: copy").await?;
    ensure!(found == ["store-token"], "{found:?}");
    Ok(())
}

pub(super) async fn faults_of_an_external_secret_are_found() -> Result<()> {
    let ward = Ward::new(shared().await?, "external").await?;
    let reference = "external-secret-reference";
    let data = ward.manifest("external-secret")?;
    let data = data.split_once("  data:\n").context("no data")?.1.to_owned();
    let data = format!("  data:\n{data}");
    let find = "  dataFrom:\n    - find: { name: { regexp: \".*\" } }\n";
    let extract = "  dataFrom:\n    - extract: { key: myremotekey, property: username }\n";
    ward.find(
        "external-secret",
        &[
            ("key: myremotekey", "key: elsewhere", reference),
            ("key: myremotekey", "key: jwt-token", reference),
            ("key: myremotekey", "key: kube-system/x", reference),
            ("key: myremotekey", "key: My_Remote_Key", reference),
            ("property: password", "property: pasword", reference),
            (&data, find, reference),
            (&data, extract, reference),
        ],
    )
    .await?;
    let found = ward.with("served-secret", "serve: \"true\"", "serve: \"false\"").await?;
    ensure!(found == [reference], "{found:?}");
    Ok(())
}
