//! Which objects of a document are Secrets.

use super::schema::{self, Path};
use super::tree::{Node, Value};
use super::{Entry, Unreadable, secret};

/// All kinds of `v1` but `Secret`. A kind that `v1` does not have, such as `secret`, may be meant
/// for one, so it cannot be passed over.
const OTHER_KINDS: [&str; 16] = [
    "Binding",
    "ComponentStatus",
    "ConfigMap",
    "Endpoints",
    "Event",
    "LimitRange",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Pod",
    "PodTemplate",
    "ReplicationController",
    "ResourceQuota",
    "Service",
    "ServiceAccount",
];

/// The groups of Kubernetes' API without a dot. Every other group is a domain.
const GROUPS: [&str; 5] = ["apps", "autoscaling", "batch", "extensions", "policy"];

/// What an object is by its `apiVersion` and `kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Secret,
    Other,
}

/// Hands out the Secrets of a document.
pub(super) fn find(node: &Node<'_>, take: &mut dyn FnMut(Entry) -> bool) -> Result<(), Unreadable> {
    let Value::Map(pairs) = node.value() else {
        return Err(node.refused("a manifest is wanted"));
    };
    let (version, kind) = (required(node, "apiVersion")?, required(node, "kind")?);
    let is_list = pairs.iter().any(|pair| &*pair.key == "items");
    match kind.strip_suffix("List") {
        Some(items) if is_list => list(node, version, items, take),
        None if is_list => Err(node.refused("items in what is no List")),
        Some(_) if version == "v1" => Err(node.refused("a List without items")),
        _ => object(node, version, kind, take),
    }
}

/// The Secrets of a list of `items`, whose kind such a list need not repeat.
fn list(
    node: &Node<'_>,
    version: &str,
    items: &str,
    take: &mut dyn FnMut(Entry) -> bool,
) -> Result<(), Unreadable> {
    if items.is_empty() || classify(node, version, items)? == Kind::Secret {
        schema::check(node, &schema::LIST, &mut Path::new())?;
    }
    if node.get("metadata").is_some_and(|metadata| !metadata.text("continue").is_empty()) {
        return Err(node.refused("a list that goes on elsewhere (metadata.continue)"));
    }
    let Some(Value::List(nodes)) = node.get("items").map(Node::value) else {
        return Err(node.refused("items that are no list"));
    };
    for item in nodes {
        let Value::Map(pairs) = item.value() else {
            return Err(item.refused("a manifest is wanted"));
        };
        if pairs.iter().any(|pair| &*pair.key == "items") {
            return Err(item.refused("a list within a list"));
        }
        let own = item.get("apiVersion").or_else(|| item.get("kind")).is_some();
        if own || items.is_empty() {
            let (version, kind) = (required(item, "apiVersion")?, required(item, "kind")?);
            object(item, version, kind, take)?;
        } else {
            object(item, version, items, take)?;
        }
    }
    Ok(())
}

fn object(
    node: &Node<'_>,
    version: &str,
    kind: &str,
    take: &mut dyn FnMut(Entry) -> bool,
) -> Result<(), Unreadable> {
    if classify(node, version, kind)? == Kind::Secret {
        let secret = secret::read(node)?;
        if !take(secret) {
            return Err(node.refused("no room for further Secrets"));
        }
    }
    Ok(())
}

fn classify(node: &Node<'_>, version: &str, kind: &str) -> Result<Kind, Unreadable> {
    match version.split_once('/') {
        None if version == "v1" && kind == "Secret" => Ok(Kind::Secret),
        None if version == "v1" && OTHER_KINDS.contains(&kind) => Ok(Kind::Other),
        None if version == "v1" => Err(at(node, "kind").refused("a kind that v1 does not have")),
        Some((group, version)) if is_group(group) && is_name(version) => Ok(Kind::Other),
        _ => Err(at(node, "apiVersion").refused("an apiVersion that Kubernetes does not have")),
    }
}

fn is_group(group: &str) -> bool {
    GROUPS.contains(&group) || group.contains('.') && group.split('.').all(is_name)
}

fn is_name(text: &str) -> bool {
    let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(lower)
}

/// A text that each manifest has.
fn required<'n>(node: &'n Node<'_>, field: &'static str) -> Result<&'n str, Unreadable> {
    match node.text(field) {
        "" => Err(at(node, field).refused("apiVersion and kind are wanted, each a text")),
        text => Ok(text),
    }
}

/// The place of a field, or that of the whole.
fn at<'n, 'a>(node: &'n Node<'a>, field: &str) -> &'n Node<'a> {
    node.get(field).unwrap_or(node)
}
