//! The walk into a Secret's entries: what it finds is what serde_json finds, which reads the whole
//! document into memory and knows nothing of the text.
//!
//! The input is lines: the path, then the names and values of entries in turn.

#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use vsecm_scout::document::{self, WalkError};
use vsecm_scout::secrets::SecretBytes;

/// A text that serde_json does not read whole, such as one with a number beyond what a float
/// holds: there is nothing to compare with.
struct Unread;

fuzz_target!(|input: &[u8]| {
    let mut lines = input.split(|byte| *byte == b'\n');
    let Some(path) = lines.next().and_then(|path| std::str::from_utf8(path).ok()) else { return };
    let mut entries = BTreeMap::new();
    while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
        let Ok(name) = std::str::from_utf8(name) else { return };
        entries.insert(name.to_owned(), SecretBytes::from(value.to_vec()));
    }
    let found = document::find(&entries, path);
    let Ok(expected) = expect(&entries, path) else { return };
    match (found, expected) {
        (Ok((name, value)), Ok((entry, None))) => {
            assert_eq!(name, entry);
            assert_eq!(value.bytes(), Some(&*entries[entry]), "a whole entry");
        }
        (Ok((name, value)), Ok((entry, Some(json)))) => {
            assert_eq!(name, entry);
            match (value, json) {
                (document::Value::Null, Value::Null) => {}
                (document::Value::Decoded(text), Value::String(expected)) => {
                    assert_eq!(*text, expected);
                }
                // A number, a boolean, an object or an array inside a text.
                (value, expected) => {
                    let bytes = value.bytes().expect("not null");
                    assert_eq!(serde_json::from_slice::<Value>(bytes).unwrap(), expected);
                }
            }
        }
        (Err(found), Err(expected)) => assert_eq!(found, expected),
        (found, expected) => {
            panic!("{:?} and not {expected:?}", found.map(|(entry, _)| entry.to_owned()));
        }
    }
});

/// The entry, and the value inside it where the path goes on.
type Expected<'e> = Result<(&'e str, Option<Value>), WalkError>;

fn expect<'e>(
    entries: &'e BTreeMap<String, SecretBytes>,
    path: &str,
) -> Result<Expected<'e>, Unread> {
    let steps: Vec<&str> = path.split('.').collect();
    let mut error = WalkError::NoSuchEntry;
    for taken in (1..=steps.len()).rev() {
        let Some((entry, bytes)) = entries.get_key_value(&steps[..taken].join(".")) else {
            continue;
        };
        if taken == steps.len() {
            return Ok(Ok((entry, None)));
        }
        error = WalkError::NoSuchPath;
        let below = &steps[taken..];
        let Ok(text) = std::str::from_utf8(bytes) else { continue };
        if below.contains(&"") {
            continue;
        }
        if let Some(value) = walk(&read(text)?, below)? {
            return Ok(Ok((entry, Some(value))));
        }
    }
    Ok(Err(error))
}

fn walk(value: &Value, steps: &[&str]) -> Result<Option<Value>, Unread> {
    let Some((step, rest)) = steps.split_first() else { return Ok(Some(value.clone())) };
    let next = match value {
        Value::Object(members) => members.get(*step),
        Value::Array(elements) => {
            let index = step.parse::<usize>().ok().filter(|index| index.to_string() == *step);
            index.and_then(|index| elements.get(index))
        }
        Value::String(text) => return walk(&read(text)?, steps),
        _ => None,
    };
    next.map_or(Ok(None), |next| walk(next, rest))
}

fn read(text: &str) -> Result<Value, Unread> {
    // What is no JSON at all ends a walk, as a number does.
    match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        Err(_) if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() => Err(Unread),
        Err(_) => Ok(Value::Null),
    }
}
