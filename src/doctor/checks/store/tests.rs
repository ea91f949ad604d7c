use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::certificate::{Ca, Compared};
use super::super::testing::{NOW, faults, jwt, name, outcome, policy, read, rules, secret};
use super::{Facts, checks, is_ours};
use crate::doctor::report::{Check, Status};
use crate::eso::Store;
use crate::secrets::{Read, ReadError};

/// README's store.
fn store() -> Value {
    json!({
        "metadata": {
            "name": "vsecm-scout",
            "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration":
                    r#"{"apiVersion":"external-secrets.io/v1"}"#,
            },
            "managedFields": [
                { "operation": "Apply", "apiVersion": "external-secrets.io/v1" },
                { "operation": "Update", "apiVersion": "external-secrets.io/v1beta1" },
            ],
        },
        "spec": { "provider": { "webhook": {
            "url": "https://vsecm-scout.default.svc.cluster.local:8443/webhook?key={{ .remoteRef.key }}&property={{ .remoteRef.property }}",
            "method": "GET",
            "headers": { "Authorization": "Bearer {{ .jwt.token | trim }}" },
            "result": { "jsonPath": "$" },
            "timeout": "10s",
            "secrets": [{
                "name": "jwt",
                "secretRef": { "name": "jwt-token", "namespace": "default", "key": "token" },
            }],
            "caProvider": {
                "type": "Secret", "name": "vsecm-scout-tls", "namespace": "default", "key": "ca.crt",
            },
        } } },
        "status": { "conditions": [{ "type": "Ready", "status": "True", "reason": "Valid" }] },
    })
}

fn token() -> String {
    jwt(&json!({ "sub": "eso" }))
}

/// Looks at a store whose referenced Secret `default/jwt-token` is `theirs`.
fn look_beside(object: &Value, theirs: Read, properties_wanted: bool) -> Vec<Check> {
    let store = Store::parse(object).unwrap();
    let facts = Facts {
        rules: &rules(),
        policy: &policy(),
        deadline: Duration::from_secs(5),
        token: &read(secret(&[("token", &token())])),
        secrets: &BTreeMap::from([(name("jwt-token"), theirs)]),
        same_cluster: true,
        properties_wanted,
        ca: &Ca::None,
        compared: &Compared::Nothing(String::new()),
        warning: &None,
        now: Timestamp::from_second(NOW).unwrap(),
    };
    checks(&store, &facts)
}

fn look(object: &Value) -> Vec<Check> {
    look_beside(object, read(secret(&[("token", &token())])), true)
}

/// README's store with one field of its provider changed; `null` takes it out.
fn with(field: &str, value: Value) -> Value {
    let mut store = store();
    let webhook = &mut store["spec"]["provider"]["webhook"];
    match value {
        Value::Null => drop(webhook.as_object_mut().unwrap().remove(field)),
        value => webhook[field] = value,
    }
    store
}

fn with_url(url: &str) -> Value {
    with("url", json!(url))
}

fn with_header(template: &str) -> Value {
    with("headers", json!({ "authorization": template }))
}

#[test]
fn the_store_of_readme_has_no_fault() {
    assert_eq!(faults(&look(&store())), Vec::<&str>::new());
}

#[test]
fn each_fault_is_found_and_no_other_is_told_with_it() {
    let host = "https://vsecm-scout.default.svc.cluster.local:8443";
    let query = "key={{ .remoteRef.key }}&property={{ .remoteRef.property }}";
    let mut old = store();
    old["metadata"]["managedFields"][0]["apiVersion"] = json!("external-secrets.io/v1beta1");
    let mut noted = store();
    noted["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] =
        json!(r#"{"apiVersion":"external-secrets.io/v1beta1"}"#);
    let mut down = store();
    down["status"]["conditions"][0]["status"] = json!("False");
    let reference = json!([{ "name": "jwt", "secretRef": { "name": "jwt-token" } }]);
    for (object, fault) in [
        (old, "store-version"),
        (noted, "store-version"),
        (down, "store-ready"),
        (with_url(&format!("http://h:8443/webhook?{query}")), "store-url"),
        (with_url(&format!("{host}/webhok?{query}")), "store-url"),
        (with_url(&format!("h:8443/webhook?{query}")), "store-url"),
        (with_url(&format!("https://user:pw@h:8443/webhook?{query}")), "store-url"),
        (with_url(&format!("{host}/webhook?{query}&token=x")), "store-parameters"),
        (
            with_url(&format!("{host}/webhook?key={{{{ .remoteRef.key }}}}&propety=x")),
            "store-parameters",
        ),
        (with_url(&format!("{host}/webhook?k={{{{ .remoteRef.key }}}}")), "store-parameters"),
        (with_url(&format!("{host}/webhook?key={{{{ .remoteRef.key }}}}")), "store-parameters"),
        (with("method", json!("POST")), "store-method"),
        (with("body", json!("{}")), "store-method"),
        (with("result", Value::Null), "store-result"),
        (with("timeout", Value::Null), "store-timeout"),
        (with("timeout", json!("5s")), "store-timeout"),
        (with("secrets", reference), "store-namespaces"),
        (
            with("caProvider", json!({ "type": "Secret", "name": "x", "key": "y" })),
            "store-namespaces",
        ),
        (with("headers", json!({})), "store-authorization"),
        (with_header("{{ .jwt.token }}"), "store-authorization"),
        (with_header("Bearer {{ .jwt.tokn | trim }}"), "store-authorization"),
        (with_header("Bearer {{ .jvt.token | trim }}"), "store-authorization"),
    ] {
        assert_eq!(faults(&look(&object)), [fault], "{object:#}");
    }
}

#[test]
fn what_is_not_read_here_is_told_and_is_no_fault() {
    let url = "https://h:8443/webhook?key={{ .remoteRef.key }}{{ if .remoteRef.property }}&property={{ .remoteRef.property }}{{ end }}";
    let checks = look(&with_url(url));
    assert_eq!(outcome(&checks, "store-parameters").0, Status::Unknown);
    let checks = look(&with_header("Bearer {{ index .jwt \"a-b\" }}"));
    assert_eq!(outcome(&checks, "store-authorization").0, Status::Unknown);
    assert_eq!(faults(&checks), Vec::<&str>::new());
}

#[test]
fn a_store_without_a_property_is_well_while_nobody_asks_for_one() {
    let url = "https://h:8443/webhook?key={{ .remoteRef.key }}";
    let theirs = read(secret(&[("token", &token())]));
    let checks = look_beside(&with_url(url), theirs, false);
    assert_eq!(outcome(&checks, "store-parameters").0, Status::Ok);
}

#[test]
fn raw_bytes_are_taken_without_a_path_into_json() {
    let mut raw = with("result", Value::Null);
    raw["spec"]["provider"]["webhook"]["headers"]["Accept"] = json!("application/octet-stream");
    assert_eq!(outcome(&look(&raw), "store-result").0, Status::Ok);
    raw["spec"]["provider"]["webhook"]["result"] = json!({ "jsonPath": "$" });
    assert_eq!(outcome(&look(&raw), "store-result").0, Status::Fault);
}

#[test]
fn the_token_that_eso_sends_is_compared_with_ours() {
    let look = |theirs, template: &str| look_beside(&with_header(template), theirs, true);
    let trimmed = "Bearer {{ .jwt.token | trim }}";
    let of = |text: &str| read(secret(&[("token", text)]));
    let newline = format!("{}\n", token());

    assert_eq!(faults(&look(of(&newline), trimmed)), Vec::<&str>::new());
    assert_eq!(faults(&look(of(&newline), "Bearer {{ .jwt.token }}")), ["store-authorization"]);
    let other = jwt(&json!({ "sub": "other" }));
    assert_eq!(faults(&look(of(&other), trimmed)), ["store-token"]);
    assert_eq!(faults(&look(of("opaque"), trimmed)), ["store-token"]);
    assert_eq!(faults(&look(Err(ReadError::NotFound), trimmed)), ["store-authorization"]);
    let forbidden = look(Err(ReadError::Forbidden), trimmed);
    assert_eq!(outcome(&forbidden, "store-authorization").0, Status::Unknown);
}

#[test]
fn a_store_is_ours_by_its_path_or_by_its_token() {
    let ours = |object: &Value| is_ours(&Store::parse(object).unwrap(), &name("jwt-token"));
    assert!(ours(&store()));
    assert!(ours(&with_url("https://elsewhere/x")));
    assert!(ours(&with("secrets", json!([]))));
    let mut other = with("secrets", json!([]));
    other["spec"]["provider"]["webhook"]["url"] = json!("https://elsewhere/secrets?key=x");
    assert!(!ours(&other));
}
