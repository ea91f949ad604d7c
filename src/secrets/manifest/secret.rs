//! A Secret as the API server would store it, or why it would refuse it.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;

use super::names::{is_entry_name, is_label_value, is_qualified_name};
use super::schema::{self, Path, SECRET, Step};
use super::tree::{Node, Pair, Value};
use super::{Entry, Unreadable};
use crate::secrets::{Namespace, Reservation, Secret, SecretBytes, SecretName};

/// The most bytes that the entries of a Secret may have (`core.MaxSecretSize`).
const MAX_ENTRIES: usize = 1 << 20;

/// The most bytes that annotations and their keys may have.
const MAX_ANNOTATIONS: usize = 256 << 10;

/// Reads a Secret. One without a namespace is in `default`, as for `kubectl create`.
pub(super) fn read(node: &Node<'_>) -> Result<Entry, Unreadable> {
    schema::check(node, &SECRET, &mut Path::new())?;
    let name = name(node)?;
    if let Some(metadata) = node.get("metadata") {
        check_metadata(metadata)?;
    }
    for field in ["data", "stringData"] {
        all(node, &[field], |pair| is_entry_name(&pair.key), "a name that no entry may have")?;
    }
    let secret = match entries(node) {
        Ok(entries) => {
            let secret = secret(node, entries);
            check(&secret).map_err(|reason| node.refused(reason))?;
            Ok(secret)
        }
        Err(error) => Err(error),
    };
    Ok(Entry { name, line: u64::from(node.at.line), secret })
}

fn name(node: &Node<'_>) -> Result<SecretName, Unreadable> {
    let refused = |field: &'static str, reason| {
        let metadata = node.get("metadata").unwrap_or(node);
        let at = metadata.get(field).unwrap_or(metadata);
        at.refused(reason).of(&[Step::Key("metadata"), Step::Key(field)])
    };
    let text = |field| node.get("metadata").map_or("", |metadata| metadata.text(field));
    let namespace = match text("namespace") {
        "" => "default",
        namespace => namespace,
    };
    let namespace: Namespace =
        namespace.parse().map_err(|_| refused("namespace", "no name of a namespace"))?;
    SecretName::new(namespace, text("name")).map_err(|_| refused("name", "no name of a Secret"))
}

fn check_metadata(metadata: &Node<'_>) -> Result<(), Unreadable> {
    const NO_KEY: &str = "a key that Kubernetes does not allow";
    all(metadata, &["metadata", "labels"], |pair| is_qualified_name(&pair.key), NO_KEY)?;
    let value = |pair: &Pair<'_>| is_label_value(pair.node.as_text());
    all(metadata, &["metadata", "labels"], value, "a value that no label may have")?;
    // Kubernetes compares these in lower case.
    let annotation = |pair: &Pair<'_>| is_qualified_name(&pair.key.to_ascii_lowercase());
    all(metadata, &["metadata", "annotations"], annotation, NO_KEY)?;
    let annotations = metadata.pairs("annotations");
    let size = annotations.iter().map(|pair| pair.key.len() + pair.node.as_text().len());
    if size.sum::<usize>() > MAX_ANNOTATIONS {
        return Err(metadata.refused("annotations of more than 256 KiB"));
    }
    for owner in metadata.list("ownerReferences") {
        if ["apiVersion", "kind", "name", "uid"].iter().any(|field| owner.text(field).is_empty()) {
            return Err(owner.refused("an owner has apiVersion, kind, name and uid"));
        }
    }
    for finalizer in metadata.list("finalizers") {
        let standard = ["kubernetes", "orphan", "foregroundDeletion"];
        let name = finalizer.as_text();
        if !(standard.contains(&name) || name.contains('/') && is_qualified_name(name)) {
            return Err(finalizer.refused("no name of a finalizer"));
        }
    }
    match metadata.get("generation").map(|node| (node, node.value())) {
        Some((node, Value::Number(number))) if *number < 0.0 => {
            Err(node.refused("a generation is not negative"))
        }
        _ => Ok(()),
    }
}

/// Whether all pairs of a mapping are good: that of the last field of `path`.
fn all(
    node: &Node<'_>,
    path: &[&str],
    good: impl Fn(&Pair<'_>) -> bool,
    reason: &'static str,
) -> Result<(), Unreadable> {
    let field = path.last().copied().unwrap_or_default();
    match node.pairs(field).iter().find(|pair| !good(pair)) {
        Some(bad) => {
            let path = path.iter().copied().chain([&*bad.key]).map(Step::Key);
            Err(bad.node.refused(reason).of(&path.collect::<Path<'_>>()))
        }
        None => Ok(()),
    }
}

/// The decoded entries. Those of `stringData` replace those of `data`.
fn entries(node: &Node<'_>) -> Result<BTreeMap<String, SecretBytes>, Unreadable> {
    let mut entries = texts(node, "data");
    for pair in node.pairs("data") {
        let text = SecretBytes::from(pair.node.as_text());
        let bytes = text.decode_base64().map_err(|_| {
            pair.node.refused("not base64").of(&[Step::Key("data"), Step::Key(&pair.key)])
        })?;
        entries.insert(pair.key.to_string(), bytes);
    }
    entries.append(&mut texts(node, "stringData"));
    Ok(entries)
}

fn secret(node: &Node<'_>, entries: BTreeMap<String, SecretBytes>) -> Secret {
    let metadata = node.get("metadata").unwrap_or(node);
    let labels = metadata.pairs("labels").iter();
    let labels = labels.map(|pair| (pair.key.to_string(), pair.node.as_text().to_owned()));
    let kind = match node.text("type") {
        "" => "Opaque",
        kind => kind,
    };
    Secret {
        kind: kind.to_owned(),
        labels: labels.collect(),
        annotations: texts(metadata, "annotations"),
        entries,
        reservation: Reservation::default(),
    }
}

fn texts(node: &Node<'_>, field: &str) -> BTreeMap<String, SecretBytes> {
    let pairs = node.pairs(field).iter();
    pairs.map(|pair| (pair.key.to_string(), pair.node.as_text().into())).collect()
}

/// What the API server demands of the entries of a Secret, by its type.
fn check(secret: &Secret) -> Result<(), &'static str> {
    let has = |entry: &str| secret.entries.contains_key(entry);
    let object = |entry: &str| {
        let json = secret.entries.get(entry).map(|bytes| serde_json::from_slice(bytes));
        matches!(json, Some(Ok::<Option<BTreeMap<String, IgnoredAny>>, _>(_)))
    };
    if secret.entries.values().map(|bytes| bytes.len()).sum::<usize>() > MAX_ENTRIES {
        return Err("a Secret with more than 1 MiB in its entries");
    }
    match secret.kind.as_str() {
        "kubernetes.io/tls" if !(has("tls.crt") && has("tls.key")) => {
            Err("a Secret of this type has the entries tls.crt and tls.key")
        }
        "kubernetes.io/dockercfg" if !object(".dockercfg") => {
            Err("a Secret of this type has the entry .dockercfg, a JSON object")
        }
        "kubernetes.io/dockerconfigjson" if !object(".dockerconfigjson") => {
            Err("a Secret of this type has the entry .dockerconfigjson, a JSON object")
        }
        "kubernetes.io/basic-auth" if !(has("username") || has("password")) => {
            Err("a Secret of this type has the entry username or password")
        }
        "kubernetes.io/ssh-auth"
            if secret.entries.get("ssh-privatekey").is_none_or(|key| key.is_empty()) =>
        {
            Err("a Secret of this type has the entry ssh-privatekey")
        }
        "kubernetes.io/service-account-token"
            if secret
                .annotations
                .get("kubernetes.io/service-account.name")
                .is_none_or(|name| name.is_empty()) =>
        {
            Err("a Secret of this type has the annotation kubernetes.io/service-account.name")
        }
        _ => Ok(()),
    }
}
