//! ESO's objects, as far as the checks look at them (pure). Fields are those of
//! `apis/externalsecrets/v1`.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::secrets::{InvalidName, Namespace, SecretName};

/// A store of the webhook provider.
pub struct Store {
    /// Which.
    pub id: StoreId,
    /// Its provider.
    pub webhook: Webhook,
    /// Whether ESO could use it when it last tried; `None` before it has.
    pub ready: Option<Ready>,
    /// The versions of the API in which it was applied.
    pub versions: Vec<String>,
}

/// The kind of a store, its namespace if it has one, and its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoreId {
    /// The namespace of a SecretStore; `None` for a ClusterSecretStore.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

impl StoreId {
    /// The kind.
    pub fn kind(&self) -> &'static str {
        if self.namespace.is_some() { "SecretStore" } else { "ClusterSecretStore" }
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind())?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

/// `spec.provider.webhook`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Webhook {
    pub url: String,
    pub method: String,
    pub body: String,
    pub headers: BTreeMap<String, String>,
    pub timeout: Option<String>,
    pub result: ResultPath,
    pub secrets: Vec<NamedSecret>,
    pub ca_bundle: Option<String>,
    pub ca_provider: Option<CaProvider>,
}

/// `result`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResultPath {
    pub json_path: String,
}

/// One of `secrets`: a Secret by the name that templates know it by.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NamedSecret {
    pub name: String,
    pub secret_ref: Reference,
}

/// A reference to a Secret.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Reference {
    pub name: String,
    pub namespace: Option<String>,
}

/// `caProvider`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct CaProvider {
    #[serde(rename = "type")]
    pub kind: String,
    pub name: String,
    pub namespace: Option<String>,
    pub key: String,
}

/// A reference of a ClusterSecretStore that names no namespace, or one that is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadReference {
    /// ESO refuses it.
    NoNamespace,
    /// Kubernetes would.
    NoName,
}

impl From<InvalidName> for BadReference {
    fn from(_: InvalidName) -> Self {
        Self::NoName
    }
}

impl Store {
    /// A ClusterSecretStore or SecretStore in JSON; `None` for one of another provider.
    pub fn parse(object: &Value) -> Option<Self> {
        let webhook = object.pointer("/spec/provider/webhook")?;
        Some(Self {
            id: StoreId {
                namespace: text(object, "/metadata/namespace"),
                name: text(object, "/metadata/name")?,
            },
            webhook: Webhook::deserialize(webhook).ok()?,
            ready: Ready::of(object),
            versions: applied_versions(object),
        })
    }

    /// The Secret that a reference of this store means: in a SecretStore always one of its own
    /// namespace.
    pub fn resolve(&self, name: &str, namespace: Option<&str>) -> Result<SecretName, BadReference> {
        let namespace = self.id.namespace.as_deref().or(namespace);
        let namespace: Namespace = namespace.ok_or(BadReference::NoNamespace)?.parse()?;
        Ok(SecretName::new(namespace, name)?)
    }
}

/// An ExternalSecret.
pub struct ExternalSecret {
    pub namespace: String,
    pub name: String,
    /// What it asks for.
    pub wants: Vec<Want>,
    /// Whether it is Ready; `None` before ESO has looked at it.
    pub ready: Option<Ready>,
}

/// The condition `Ready`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// What it says.
    pub is_ready: bool,
    /// Its reason.
    pub reason: String,
    /// Since when it says so.
    pub since: Option<Timestamp>,
}

/// One thing that an ExternalSecret asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// Where it stands, such as `data[0]`.
    pub place: String,
    pub store: StoreId,
    pub how: How,
    pub remote: Remote,
}

/// By which of ESO's ways it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Data,
    Extract,
    Find,
}

/// `remoteRef` or `extract`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Remote {
    pub key: String,
    pub property: String,
    pub version: String,
}

impl ExternalSecret {
    /// An ExternalSecret in JSON.
    pub fn parse(object: &Value) -> Option<Self> {
        let namespace = text(object, "/metadata/namespace")?;
        let store = |item: &Value| {
            let own = item.pointer("/sourceRef/storeRef").filter(|own| own.is_object());
            store_id(own.or(object.pointer("/spec/secretStoreRef"))?, &namespace)
        };
        let mut wants = Vec::new();
        for (place, item) in items(object, "/spec/data") {
            let Some(store) = store(item) else { continue };
            let remote = remote(item, "/remoteRef");
            wants.push(Want { place: format!("data[{place}]"), store, how: How::Data, remote });
        }
        for (place, item) in items(object, "/spec/dataFrom") {
            // A generator is no store.
            let generated = item.pointer("/sourceRef/generatorRef").is_some();
            let Some(store) = store(item).filter(|_| !generated) else { continue };
            let how = if item.get("find").is_some() { How::Find } else { How::Extract };
            let remote = remote(item, "/extract");
            wants.push(Want { place: format!("dataFrom[{place}]"), store, how, remote });
        }
        let name = text(object, "/metadata/name")?;
        Some(Self { namespace, name, wants, ready: Ready::of(object) })
    }

    /// `namespace/name`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

fn store_id(reference: &Value, namespace: &str) -> Option<StoreId> {
    let cluster = text(reference, "/kind").as_deref() == Some("ClusterSecretStore");
    let namespace = (!cluster).then(|| namespace.to_owned());
    Some(StoreId { namespace, name: text(reference, "/name")? })
}

fn remote(item: &Value, path: &str) -> Remote {
    item.pointer(path).and_then(|remote| Remote::deserialize(remote).ok()).unwrap_or_default()
}

fn items<'v>(value: &'v Value, path: &str) -> impl Iterator<Item = (usize, &'v Value)> {
    value.pointer(path).and_then(Value::as_array).into_iter().flatten().enumerate()
}

fn text(value: &Value, path: &str) -> Option<String> {
    value.pointer(path)?.as_str().map(str::to_owned)
}

impl Ready {
    fn of(object: &Value) -> Option<Self> {
        let named = |condition: &Value| text(condition, "/type").as_deref() == Some("Ready");
        let mut conditions = items(object, "/status/conditions").map(|(_, condition)| condition);
        let ready = conditions.find(|condition| named(condition))?;
        Some(Self {
            is_ready: text(ready, "/status")? == "True",
            reason: text(ready, "/reason").unwrap_or_default(),
            since: text(ready, "/lastTransitionTime").and_then(|since| since.parse().ok()),
        })
    }
}

/// In which versions of the API it was applied: what `kubectl apply` notes, and what server-side
/// apply does. Other writers leave no trace that a later version of theirs would wipe out.
fn applied_versions(object: &Value) -> Vec<String> {
    let noted = "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration";
    let noted = text(object, noted).and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let noted = noted.and_then(|manifest| text(&manifest, "/apiVersion"));
    let writes = items(object, "/metadata/managedFields").map(|(_, write)| write);
    let applied = writes.filter(|write| text(write, "/operation").as_deref() == Some("Apply"));
    noted.into_iter().chain(applied.filter_map(|write| text(write, "/apiVersion"))).collect()
}
