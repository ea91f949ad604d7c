//! The Secrets in the text of one file of YAML or JSON (pure), as kubectl and the API server read
//! it: `documents` takes the file apart, `build` makes a `tree` of JSON's values of each document by
//! the rules of `scalar`, `kinds` finds the Secrets in them, and `secret` decodes these strictly, by
//! the fields of `schema` and the `names` that the API server takes.

mod build;
mod documents;
mod kinds;
mod names;
mod scalar;
mod schema;
mod secret;
#[cfg(test)]
mod tests;
mod tree;

use std::fmt;

use schema::Step;

use super::{Secret, SecretName};

/// The most that one file may expand to, by its aliases too: about as many bytes of memory.
const MAX_EXPANDED: usize = 12 << 20;

/// One Secret of a file.
pub struct Entry {
    /// Which Secret.
    pub name: SecretName,
    /// The line on which its manifest begins, counted from 1.
    pub line: u64,
    /// What it holds, or which of its entries is not base64.
    pub secret: Result<Secret, Unreadable>,
}

/// Why a file is not readable as Kubernetes manifests, and where. It never quotes a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The line, counted from 1.
    pub line: u64,
    /// The column in characters, likewise.
    pub column: u64,
    /// The path of the field, such as `stringData.port`, as far as its keys can be shown.
    pub field: Option<String>,
    /// What is wrong, in fixed words.
    pub reason: &'static str,
}

impl Unreadable {
    /// The same, about a field.
    fn of(self, path: &[Step<'_>]) -> Self {
        Self { field: schema::shown(path), ..self }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)?;
        if let Some(field) = &self.field {
            write!(f, ", field {field}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl std::error::Error for Unreadable {}

/// A place in the file: line and column, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    line: u32,
    column: u32,
}

impl Mark {
    /// A place in what begins here: its line, counted from 1, and its column, counted from 0.
    fn plus(self, line: usize, column: usize) -> Self {
        let number = |number| u32::try_from(number).unwrap_or(u32::MAX);
        let line = number(line.saturating_sub(1));
        let first = if line == 0 { self.column } else { 1 };
        Self { line: self.line.saturating_add(line), column: first.saturating_add(number(column)) }
    }

    /// The place after a text that begins here.
    fn after(self, text: &str) -> Self {
        let breaks = text.bytes().filter(|byte| *byte == b'\n').count();
        let last = text.rsplit_once('\n').map_or(text, |(_, last)| last);
        self.plus(breaks + 1, last.chars().count())
    }

    fn refused(self, reason: &'static str) -> Unreadable {
        let (line, column) = (u64::from(self.line), u64::from(self.column));
        Unreadable { line, column, field: None, reason }
    }
}

/// Reads the Secrets in one file: see [`each`].
///
/// # Errors
/// Likewise.
pub fn parse(text: &[u8]) -> Result<Vec<Entry>, Unreadable> {
    let mut found = Vec::new();
    each(text, &mut |entry| {
        found.push(entry);
        true
    })?;
    Ok(found)
}

/// Reads the Secrets in one file: several documents, lists unpacked, other kinds passed over.
/// `take` is given one Secret after the other, and says whether there is room for further ones.
///
/// # Errors
/// Where kubectl or the API server would refuse one document, where there is no room, and where
/// the file is empty: an editor that has just truncated it must not look like somebody who deleted
/// the Secrets.
pub fn each(text: &[u8], take: &mut dyn FnMut(Entry) -> bool) -> Result<(), Unreadable> {
    let start = Mark { line: 1, column: 1 };
    if text.is_empty() {
        return Err(start.refused("the file is empty"));
    }
    let text = std::str::from_utf8(text).map_err(|error| {
        let good = text.get(..error.valid_up_to()).unwrap_or_default();
        start.after(&String::from_utf8_lossy(good)).refused("not UTF-8")
    })?;
    let mut budget = MAX_EXPANDED;
    documents::each(text, &mut |document| match build::build(&document, &mut budget)? {
        Some(node) if !matches!(node.value(), tree::Value::Null) => kinds::find(&node, take),
        _ => Ok(()),
    })
}
