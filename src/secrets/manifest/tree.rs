//! One document as a tree of JSON's values, each with its place in the file.

use std::borrow::Cow;
use std::ops::Deref;
use std::rc::Rc;

use zeroize::Zeroize;

use super::{Mark, Unreadable};

/// A value and where it begins.
#[derive(Clone)]
pub(super) struct Node<'a> {
    pub at: Mark,
    pub value: Value<'a>,
}

/// A value of JSON.
#[derive(Clone)]
pub(super) enum Value<'a> {
    Null,
    Bool,
    Number(f64),
    Text(Text<'a>),
    List(Box<[Node<'a>]>),
    /// Sorted by key; no key is there twice.
    Map(Box<[Pair<'a>]>),
    /// What an anchor names. Its aliases share it.
    Shared(Rc<Shared<'a>>),
}

/// A key and its value.
#[derive(Clone)]
pub(super) struct Pair<'a> {
    pub key: Text<'a>,
    pub node: Node<'a>,
}

/// A value with an anchor, and what it expands to.
pub(super) struct Shared<'a> {
    pub node: Node<'a>,
    pub cost: usize,
}

/// A piece of the file, or a text of its own, which is zeroed when dropped.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Text<'a>(pub Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Drop for Text<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(text) = &mut self.0 {
            text.zeroize();
        }
    }
}

impl<'a> Node<'a> {
    /// The value, an alias followed.
    pub(super) fn value(&self) -> &Value<'a> {
        let mut node = self;
        while let Value::Shared(shared) = &node.value {
            node = &shared.node;
        }
        &node.value
    }

    /// The value of a key, unless it is not there or null.
    pub(super) fn get(&self, key: &str) -> Option<&Node<'a>> {
        let Value::Map(pairs) = self.value() else { return None };
        let index = pairs.binary_search_by(|pair| (*pair.key).cmp(key)).ok()?;
        let node = &pairs.get(index)?.node;
        (!matches!(node.value(), Value::Null)).then_some(node)
    }

    /// The text of a key; empty where it is not there, null or no text.
    pub(super) fn text(&self, key: &str) -> &str {
        self.get(key).map_or("", Node::as_text)
    }

    /// The text; empty where it is none.
    pub(super) fn as_text(&self) -> &str {
        if let Value::Text(text) = self.value() { text } else { "" }
    }

    /// The pairs of a key's mapping.
    pub(super) fn pairs(&self, key: &str) -> &[Pair<'a>] {
        let Some(Value::Map(pairs)) = self.get(key).map(Node::value) else { return &[] };
        pairs
    }

    /// The values of a key's list.
    pub(super) fn list(&self, key: &str) -> &[Node<'a>] {
        let Some(Value::List(nodes)) = self.get(key).map(Node::value) else { return &[] };
        nodes
    }

    /// An error at this value.
    pub(super) fn refused(&self, reason: &'static str) -> Unreadable {
        self.at.refused(reason)
    }
}
