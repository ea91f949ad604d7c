//! The fields that a Secret may have, and of what type.

use super::Unreadable;
use super::tree::{Node, Value};

/// What a value may be, beside null.
pub(super) enum Shape {
    Any,
    Text,
    /// An instant (RFC 3339).
    Time,
    Bool,
    Integer,
    /// Any keys, each with a text.
    Texts,
    List(&'static Shape),
    /// These fields and no other.
    Fields(&'static [(&'static str, Shape)]),
}

use Shape::{Any, Bool, Fields, Integer, List, Text, Texts, Time};

/// A Secret of `v1`.
pub(super) const SECRET: Shape = Fields(&[
    ("apiVersion", Text),
    ("kind", Text),
    ("metadata", Fields(OBJECT_META)),
    ("data", Texts),
    ("stringData", Texts),
    ("type", Text),
    ("immutable", Bool),
]);

const OBJECT_META: &[(&str, Shape)] = &[
    ("name", Text),
    ("generateName", Text),
    ("namespace", Text),
    ("selfLink", Text),
    ("uid", Text),
    ("resourceVersion", Text),
    ("generation", Integer),
    ("creationTimestamp", Time),
    ("deletionTimestamp", Time),
    ("deletionGracePeriodSeconds", Integer),
    ("labels", Texts),
    ("annotations", Texts),
    ("finalizers", List(&Text)),
    (
        "ownerReferences",
        List(&Fields(&[
            ("apiVersion", Text),
            ("kind", Text),
            ("name", Text),
            ("uid", Text),
            ("controller", Bool),
            ("blockOwnerDeletion", Bool),
        ])),
    ),
    (
        "managedFields",
        List(&Fields(&[
            ("manager", Text),
            ("operation", Text),
            ("apiVersion", Text),
            ("time", Time),
            ("fieldsType", Text),
            ("fieldsV1", Any),
            ("subresource", Text),
        ])),
    ),
];

/// A `List` or `SecretList` of `v1`.
pub(super) const LIST: Shape = Fields(&[
    ("apiVersion", Text),
    ("kind", Text),
    (
        "metadata",
        Fields(&[
            ("selfLink", Text),
            ("resourceVersion", Text),
            ("continue", Text),
            ("remainingItemCount", Integer),
        ]),
    ),
    ("items", List(&Any)),
]);

/// The way to a field: keys, and indexes such as `[0]`.
pub(super) type Path<'n> = Vec<Step<'n>>;

/// A step of a path.
#[derive(Clone, Copy)]
pub(super) enum Step<'n> {
    Key(&'n str),
    Index(usize),
}

/// A path in words, as far as its keys can be shown: one of other characters may be anything.
pub(super) fn shown(path: &[Step<'_>]) -> Option<String> {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Index(index) => text.push_str(&format!("[{index}]")),
            Step::Key(key) if is_plain(key) => {
                text.push_str(if text.is_empty() { "" } else { "." });
                text.push_str(key);
            }
            Step::Key(_) => break,
        }
    }
    (!text.is_empty()).then_some(text)
}

fn is_plain(key: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    (1..=64).contains(&key.len()) && key.bytes().all(plain)
}

/// Whether a value has its shape. The keys of known fields are as they are written in Kubernetes'
/// API, in upper and lower case.
pub(super) fn check<'n>(
    node: &'n Node<'_>,
    shape: &Shape,
    path: &mut Path<'n>,
) -> Result<(), Unreadable> {
    let refused = match (shape, node.value()) {
        (Any, _) | (_, Value::Null) | (Text, Value::Text(_)) | (Bool, Value::Bool) => return Ok(()),
        (Time, Value::Text(time)) if time.parse::<jiff::Timestamp>().is_ok() => return Ok(()),
        (Integer, Value::Number(number)) if number.fract() == 0.0 => return Ok(()),
        (Texts, Value::Map(pairs)) => {
            return pairs.iter().try_for_each(|pair| {
                step(path, Step::Key(&pair.key), |path| check(&pair.node, &Text, path))
            });
        }
        (List(shape), Value::List(nodes)) => {
            return nodes.iter().enumerate().try_for_each(|(index, node)| {
                step(path, Step::Index(index), |path| check(node, shape, path))
            });
        }
        (Fields(fields), Value::Map(pairs)) => {
            return pairs.iter().try_for_each(|pair| {
                step(path, Step::Key(&pair.key), |path| {
                    match fields.iter().find(|(name, _)| *name == &*pair.key) {
                        Some((_, shape)) => check(&pair.node, shape, path),
                        None => Err(pair.node.refused("no such field").of(path)),
                    }
                })
            });
        }
        (Text | Texts, value) => unexpected_in(shape, value),
        (Time, _) => "a time as RFC 3339 writes it is wanted",
        (Bool, _) => "true or false is wanted",
        (Integer, _) => "an integer is wanted",
        (List(_), _) => "a list is wanted",
        (Fields(_), _) => "a mapping is wanted",
    };
    Err(node.refused(refused).of(path))
}

fn unexpected_in(shape: &Shape, value: &Value<'_>) -> &'static str {
    match (shape, value) {
        (Texts, _) => "a mapping is wanted",
        (_, Value::Number(_)) => "a number where a text is wanted: quote it",
        (_, Value::Bool) => "a boolean where a text is wanted: quote it",
        _ => "a text is wanted",
    }
}

/// Does something one step further down.
pub(super) fn step<'n, T>(
    path: &mut Path<'n>,
    step: Step<'n>,
    further: impl FnOnce(&mut Path<'n>) -> T,
) -> T {
    path.push(step);
    let result = further(path);
    path.pop();
    result
}
