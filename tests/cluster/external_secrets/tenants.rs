//! A wall between namespaces: the store of docs/eso.md, whose URL begins the key with the namespace of
//! the ExternalSecret. Whatever a tenant asks for, it gets nothing of another's.

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::crafted;
use super::stage::{IN_TIME, Stage, edited};
use crate::harness::{ControlPlane, Kubectl, Options, Parts, eventually, trial};
use crate::scout::{Site, block_of, readme};

/// The tests of this file.
pub(super) fn tests() -> Vec<Trial> {
    vec![trial("external_secrets::no_tenant_climbs_over_the_wall", no_tenant_climbs_over_the_wall)]
}

/// What tenants push: by the name of a field of the URL, and by which policy.
const PUSHES: [(&str, &str); 4] = [
    ("namespace", "Replace"),
    ("namespace", "IfNotExists"),
    ("key", "Replace"),
    ("property", "Replace"),
];

const SECRET: &str = "of the other tenant";

/// Two tenants, each with Secrets in its own namespace.
struct Tenants {
    stage: Stage,
    a: String,
    b: String,
    /// kubectl for the admin, without a namespace of its own.
    kubectl: Kubectl,
}

async fn no_tenant_climbs_over_the_wall() -> Result<()> {
    let plane = ControlPlane::start(&Parts::find()?, Options::default()).await?;
    let tenants = Tenants::new(&plane).await?;
    let (a, b) = (&tenants.a, &tenants.b);
    let attempts = tenants.attempt().await?;
    tenants.all_fail("externalsecrets", attempts).await?;
    ensure!(tenants.stage.requests().len() >= attempts, "some never reached the service");
    tenants.push().await?;
    tenants.all_fail("pushsecrets", PUSHES.len()).await?;
    let targets = tenants.kubectl.run(&["get", "secrets", "-n", a, "-o", "json"]).await?;
    ensure!(!contains_value(&targets, SECRET)?, "{targets}");

    // The same key, on the other side of the wall and by a store without one.
    tenants.external_secret(b, "control", "walled", json!({ "key": "control" })).await?;
    tenants.filled(b, "control").await?;
    let of_b = |plane: &ControlPlane| -> Result<Vec<String>> {
        let events = plane.audit(&tenants.stage.site.account.user())?.into_iter();
        let of_b = events.map(|event| event.uri).filter(|uri| uri.contains(&format!("/{b}/")));
        Ok(of_b.collect())
    };
    let control = eventually("the read of the control", IN_TIME, || async {
        let read = of_b(&plane)?;
        Ok((!read.is_empty()).then_some(read))
    });
    let control = control.await?;
    let only = control.iter().all(|uri| uri.ends_with(&format!("/{b}/secrets/control")));
    ensure!(only, "more than the control was read: {control:?}");
    let through = json!({ "key": format!("{b}/db") });
    tenants.external_secret(a, "through", "open", through).await?;
    tenants.filled(a, "through").await?;

    // What an ESO renders that does not know the field.
    tenants.external_secret(a, "older", "older", json!({ "key": "own" })).await?;
    tenants.told(a, "older", "endpoint gave error 400").await
}

impl Tenants {
    async fn new(plane: &ControlPlane) -> Result<Self> {
        let (a, b) = (plane.namespace("team-a").await?, plane.namespace("team-b").await?);
        let site = Site::new(plane, "scout").await?;
        let token_secret = format!("{}/jwt-token", site.namespace);
        // A key without a namespace would be one of the other tenant's.
        let flags = ["--namespace", &b, "--namespace", &a, "--token-secret", &token_secret];
        let stage = Stage::on(plane, site, &flags).await?;
        let kubectl = plane.kubectl();
        for (namespace, names, value) in
            [(&a, ["own", "other"], "of this tenant"), (&b, ["db", "control"], SECRET)]
        {
            kubectl.apply_in(namespace, &stage.site.fitted("role")?).await?;
            for name in names {
                let secret = readme("served-secret")?
                    .replace("myremotekey", name)
                    .replace("correct horse \"battery\" staple", value);
                kubectl.apply_in(namespace, &secret).await?;
            }
        }
        let tenants = Self { stage, a, b, kubectl };
        tenants.stores().await?;
        Ok(tenants)
    }

    /// The store of docs/eso.md, README's, and one that names a field which ESO does not know.
    async fn stores(&self) -> Result<()> {
        let page = include_str!("../../../docs/eso.md");
        let own = block_of(page, "tenant-url")?.trim();
        let open = readme("store")?;
        let url = open.lines().map(str::trim).find(|line| line.starts_with("url: "));
        let version = "&version={{ .remoteRef.version }}\"";
        let versioned = format!("{}{version}", own.trim_end_matches('"'));
        let walled = edited(open, url.context("a store without a URL")?, &versioned)?;
        let older = edited(&walled, ".remoteRef.namespace", ".remoteRef.unknown")?;
        for (name, store) in [("walled", &*walled), ("open", open), ("older", &older)] {
            let store = self.stage.fitted(&edited(store, "name: vsecm-scout\n", "name: STORE\n")?);
            self.kubectl.apply(&store.replace("STORE", name)).await?;
        }
        Ok(())
    }

    /// Creates an ExternalSecret in team-a for each attempt, and gives their number.
    async fn attempt(&self) -> Result<usize> {
        let mut items = Vec::new();
        for (number, reference) in crafted::references(&self.b)?.into_iter().enumerate() {
            // ESO makes the same URL for both.
            let spec = if number % 2 == 0 {
                json!({ "data": [{ "secretKey": "a", "remoteRef": reference }] })
            } else {
                json!({ "dataFrom": [{ "extract": reference }] })
            };
            items.push(external_secret(&self.a, &format!("attempt-{number}"), "walled", spec));
        }
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
        self.kubectl.run_with(&["create", "-f", "-"], &list.to_string()).await?;
        Ok(items.len())
    }

    /// Creates PushSecrets in team-a. What one pushes becomes a field of its store's URL, by the name
    /// that the tenant chooses.
    async fn push(&self) -> Result<()> {
        let value = format!("--from-literal=value={}/db", self.b);
        self.kubectl.run(&["create", "secret", "generic", "push", "-n", &self.a, &value]).await?;
        for (number, (field, policy)) in PUSHES.iter().enumerate() {
            let data = json!({ "secretKey": "value", "remoteRef": { "remoteKey": field } });
            let manifest = json!({
                "apiVersion": "external-secrets.io/v1alpha1",
                "kind": "PushSecret",
                "metadata": { "name": format!("push-{number}"), "namespace": self.a },
                "spec": {
                    "updatePolicy": policy,
                    "secretStoreRefs": [{ "kind": "ClusterSecretStore", "name": "walled" }],
                    "selector": { "secret": { "name": "push" } },
                    "data": [{ "match": data }],
                },
            });
            self.kubectl.run_with(&["create", "-f", "-"], &manifest.to_string()).await?;
        }
        Ok(())
    }

    /// Waits until ESO has asked for all of them, in vain.
    async fn all_fail(&self, kind: &str, attempts: usize) -> Result<()> {
        let get = ["get", kind, "-n", &self.a, "-o", "json"];
        let asked = eventually("an answer to each", IN_TIME, || async {
            let list: Value = serde_json::from_str(&self.kubectl.run(&get).await?)?;
            let items = list["items"].as_array().context("no items")?.iter();
            let asked = items.filter(|item| item["status"]["conditions"].is_array());
            let asked: Vec<Value> = asked.cloned().collect();
            ensure!(asked.len() == attempts, "{} of {attempts}", asked.len());
            Ok(Some(asked))
        });
        for item in asked.await? {
            let condition = &item["status"]["conditions"][0];
            ensure!(condition["status"] == "False", "{item:#}");
        }
        Ok(())
    }

    async fn external_secret(
        &self,
        namespace: &str,
        name: &str,
        store: &str,
        reference: Value,
    ) -> Result<()> {
        let spec = json!({ "data": [{ "secretKey": "a", "remoteRef": reference }] });
        let manifest = external_secret(namespace, name, store, spec).to_string();
        self.kubectl.run_with(&["create", "-f", "-"], &manifest).await?;
        Ok(())
    }

    /// Waits until an ExternalSecret has a value of team-b.
    async fn filled(&self, namespace: &str, name: &str) -> Result<()> {
        eventually("a filled target", IN_TIME, || async {
            let get = ["get", "secret", name, "-n", namespace, "-o", "json"];
            let target = self.kubectl.run(&get).await?;
            Ok(contains_value(&target, SECRET)?.then_some(()))
        })
        .await
    }

    async fn told(&self, namespace: &str, name: &str, text: &str) -> Result<()> {
        let about = format!("externalsecret/{name}");
        eventually(text, IN_TIME, || async {
            let events = self.kubectl.run(&["events", "-n", namespace, "--for", &about]).await?;
            ensure!(events.contains(text), "{events}");
            Ok(Some(()))
        })
        .await
    }
}

fn external_secret(namespace: &str, name: &str, store: &str, mut spec: Value) -> Value {
    spec["secretStoreRef"] = json!({ "kind": "ClusterSecretStore", "name": store });
    spec["refreshInterval"] = "1h".into();
    json!({
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": { "name": name, "namespace": namespace },
        "spec": spec,
    })
}

/// Whether a Secret, or one of a list, holds a value.
fn contains_value(secrets: &str, value: &str) -> Result<bool> {
    let secrets: Value = serde_json::from_str(secrets)?;
    let one = [secrets.clone()];
    let secrets = secrets["items"].as_array().map_or(&one[..], Vec::as_slice);
    for entry in secrets.iter().filter_map(|secret| secret["data"].as_object()).flatten() {
        let text = STANDARD.decode(entry.1.as_str().context("no text")?)?;
        if String::from_utf8_lossy(&text).contains(value) {
            return Ok(true);
        }
    }
    Ok(false)
}
