//! The walk into a Secret's entries, and the exact text of what is found there (pure).

mod json;

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::secrets::SecretBytes;

/// What a path leads to.
pub enum Value<'s> {
    /// JSON's `null`.
    Null,
    /// An entry's bytes as they are, or the exact source text of a number, a boolean, an object
    /// or an array.
    Exact(&'s [u8]),
    /// The decoded text of a JSON string.
    Decoded(Zeroizing<String>),
}

/// Why a path leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalkError {
    /// The path begins with no entry's name.
    #[error("the Secret has no such entry")]
    NoSuchEntry,
    /// A step below an entry leads nowhere: it is empty, or there is no such key or index, or
    /// what it steps into is not JSON or nested too deep.
    #[error("the entry has no such path")]
    NoSuchPath,
}

impl Value<'_> {
    /// The bytes, or `None` for `null`.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Null => None,
            Self::Exact(bytes) => Some(bytes),
            Self::Decoded(text) => Some(text.as_bytes()),
        }
    }

    fn detached(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Decoded(text) => Value::Decoded(text),
            // It comes from the text of a JSON string.
            Self::Exact(bytes) => {
                Value::Decoded(Zeroizing::new(String::from_utf8_lossy(bytes).into_owned()))
            }
        }
    }
}

/// Finds `path` in `entries`, and says in which entry. The path is matched against the names of
/// entries, longest first, with backtracking, so that `tls.crt` is an entry and not a walk; below
/// the entry each dot is one step: into an object by key (the last of duplicates), into an array
/// by index.
///
/// # Errors
/// See [`WalkError`].
pub fn find<'s>(
    entries: &'s BTreeMap<String, SecretBytes>,
    path: &str,
) -> Result<(&'s str, Value<'s>), WalkError> {
    let ends = path.match_indices('.').map(|(end, _)| end).chain([path.len()]);
    let mut error = WalkError::NoSuchEntry;
    for end in ends.rev() {
        let (entry, rest) = path.split_at(end);
        let Some((entry, bytes)) = entries.get_key_value(entry) else { continue };
        let found = match rest.strip_prefix('.') {
            None => Some(Value::Exact(bytes)),
            Some(steps) => walk_entry(bytes, steps),
        };
        match found {
            Some(value) => return Ok((entry, value)),
            None => error = WalkError::NoSuchPath,
        }
    }
    Err(error)
}

fn walk_entry<'s>(bytes: &'s [u8], steps: &str) -> Option<Value<'s>> {
    let steps: Vec<&str> = steps.split('.').collect();
    if steps.contains(&"") {
        return None;
    }
    walk(json::checked(std::str::from_utf8(bytes).ok()?)?, &steps)
}

fn walk<'s>(mut text: &'s str, mut steps: &[&str]) -> Option<Value<'s>> {
    while let Some((step, rest)) = steps.split_first() {
        text = match text.as_bytes().first()? {
            b'{' => json::member(text, step)?,
            b'[' => json::element(text, step)?,
            b'"' => {
                let inner = json::string(text)?;
                return walk(json::checked(&inner)?, steps).map(Value::detached);
            }
            _ => return None,
        };
        steps = rest;
    }
    match text.as_bytes().first()? {
        b'"' => json::string(text).map(Value::Decoded),
        b'n' => Some(Value::Null),
        _ => Some(Value::Exact(text.as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries(pairs: &[(&str, &str)]) -> BTreeMap<String, SecretBytes> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect()
    }

    /// What `path` leads to in the one entry `e`, as text; `<null>` for null.
    fn walk_into(value: &str, path: &str) -> Result<String, WalkError> {
        text(&entries(&[("e", value)]), path)
    }

    fn text(entries: &BTreeMap<String, SecretBytes>, path: &str) -> Result<String, WalkError> {
        let (_, value) = find(entries, path)?;
        let text = value.bytes().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
        Ok(text.unwrap_or_else(|| "<null>".to_owned()))
    }

    #[test]
    fn values_come_as_their_exact_text() {
        let json = r#" {"s": "a\n\u00e4\"", "n": 1.50, "big": 123456789012345678901234567890,
            "e": 1E400, "b": true, "z": null, "o": { "x" : [1, 2 ] }, "l": [0, {"k": "v"}, []],
            "empty": "", "dup": 1, "dup": 2, "0": "zero"} "#;
        for (path, expected) in [
            ("e", json),
            ("e.s", "a\nä\""),
            ("e.n", "1.50"),
            ("e.big", "123456789012345678901234567890"),
            ("e.e", "1E400"),
            ("e.b", "true"),
            ("e.z", "<null>"),
            ("e.o", r#"{ "x" : [1, 2 ] }"#),
            ("e.o.x", "[1, 2 ]"),
            ("e.o.x.1", "2"),
            ("e.l.0", "0"),
            ("e.l.1.k", "v"),
            ("e.l.2", "[]"),
            ("e.empty", ""),
            ("e.dup", "2"),
            ("e.0", "zero"),
        ] {
            assert_eq!(walk_into(json, path).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn a_string_that_holds_json_text_is_stepped_into() {
        let json = r#"{"s": " {\"a\": [\"x\", {\"b\": 1.0}]}"}"#;
        assert_eq!(walk_into(json, "e.s.a.0").as_deref(), Ok("x"));
        assert_eq!(walk_into(json, "e.s.a.1").as_deref(), Ok(r#"{"b": 1.0}"#));
        assert_eq!(walk_into(json, "e.s.a.1.b").as_deref(), Ok("1.0"));
    }

    #[test]
    fn a_path_that_leads_nowhere_is_told_apart_from_an_entry_that_is_not_there() {
        let json = r#"{"a": {"b": 1}, "l": [1, 2], "": 3, "s": "text", "x.y": 4, "u": "\ud800"}"#;
        for path in [
            "e.",
            "e..a",
            "e.a.",
            "e.a..b",
            "e.x",
            "e.a.b.c",
            "e.l.2",
            "e.l.01",
            "e.l.-1",
            "e.l.+1",
            "e.l.1e0",
            "e.l.x",
            "e.l.99999999999999999999",
            "e.s.t",
            "e.x.y",
            "e.u",
            "e.u.v",
            "e.l. 1",
        ] {
            assert_eq!(walk_into(json, path), Err(WalkError::NoSuchPath), "{path}");
        }
        for path in ["", ".", ".e", "f", "E", "e2", "ee.a"] {
            assert_eq!(walk_into(json, path), Err(WalkError::NoSuchEntry), "{path}");
        }
        for value in
            ["plain", "", "{", "{\"a\":1} x", "\u{feff}{\"a\":1}", "{'a': 1}", "{\"a\": 01}"]
        {
            assert_eq!(walk_into(value, "e.a"), Err(WalkError::NoSuchPath), "{value}");
        }
        let bytes = BTreeMap::from([("e".to_owned(), SecretBytes::from(vec![0xff, b'{']))]);
        assert_eq!(find(&bytes, "e.a").err(), Some(WalkError::NoSuchPath));
        assert_eq!(find(&bytes, "e").unwrap().1.bytes(), Some(&[0xff, b'{'][..]));
    }

    #[test]
    fn the_longest_entry_wins_and_the_next_is_tried_where_it_leads_nowhere() {
        let entries = entries(&[
            ("tls.crt", "certificate"),
            ("tls", r#"{"crt": "no", "key": {"pem": "walked"}}"#),
            ("tls.key", "not json"),
            (".dockerconfigjson", r#"{"auths": {"registry": 1}}"#),
        ]);
        assert_eq!(text(&entries, "tls.crt").as_deref(), Ok("certificate"));
        assert_eq!(text(&entries, "tls.key.pem").as_deref(), Ok("walked"));
        assert_eq!(text(&entries, "tls.key.pe"), Err(WalkError::NoSuchPath));
        assert_eq!(text(&entries, ".dockerconfigjson.auths.registry").as_deref(), Ok("1"));
        assert_eq!(find(&entries, "tls.key.pem").unwrap().0, "tls");
    }

    #[test]
    fn nesting_beyond_the_limit_is_not_stepped_into() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(walk_into(&nested(json::MAX_NESTING), "e.0").is_ok());
        assert_eq!(walk_into(&nested(json::MAX_NESTING + 1), "e.0"), Err(WalkError::NoSuchPath));
        assert_eq!(walk_into(&nested(200_000), "e.0"), Err(WalkError::NoSuchPath));
        assert!(walk_into(&nested(200_000), "e").is_ok());
        let brackets_in_text = format!(r#"["{}\"["]"#, "[".repeat(500));
        assert!(walk_into(&brackets_in_text, "e.0").is_ok());
    }

    proptest! {
        #[test]
        fn whatever_is_stored_and_asked_is_answered(value in "\\PC*", path in "[e.0a\\PC]{0,20}") {
            let _ = walk_into(&value, &path);
        }

        #[test]
        fn every_value_of_an_object_is_reached(
            object in prop::collection::btree_map("[a-z]{1,5}", "\\PC{0,9}", 1..9),
        ) {
            let json = serde_json::to_string(&object).unwrap();
            for (key, value) in &object {
                prop_assert_eq!(walk_into(&json, &format!("e.{key}")), Ok(value.clone()));
            }
        }
    }
}
