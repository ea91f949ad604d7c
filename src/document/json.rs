//! JSON as text: values are found in it and stay exactly as they are written.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// Values that are nested deeper are not stepped into. It is what JSON parsers commonly allow.
pub(super) const MAX_NESTING: usize = 128;

/// The JSON in `text`, without white space around it; `None` where it is not JSON from end to end
/// or nested too deep.
pub(super) fn checked(text: &str) -> Option<&str> {
    let json = serde_json::from_str::<&RawValue>(text).ok()?.get();
    (nesting(json) <= MAX_NESTING).then_some(json)
}

/// The text of a JSON string; one with half a surrogate pair has none.
pub(super) fn string(json: &str) -> Option<Zeroizing<String>> {
    serde_json::from_str::<String>(json).ok().map(Zeroizing::new)
}

/// The value of a key in the text of an object: the last of duplicates.
pub(super) fn member<'s>(json: &'s str, key: &str) -> Option<&'s str> {
    serde_json::Deserializer::from_str(json).deserialize_map(Member(key)).ok()?.map(RawValue::get)
}

/// An element in the text of an array, by its index in plain decimal.
pub(super) fn element<'s>(json: &'s str, step: &str) -> Option<&'s str> {
    let plain = step == "0" || (!step.starts_with('0') && step.bytes().all(|b| b.is_ascii_digit()));
    let index = step.parse().ok().filter(|_| plain)?;
    serde_json::Deserializer::from_str(json)
        .deserialize_seq(Element(index))
        .ok()?
        .map(RawValue::get)
}

/// How deep arrays and objects lie in one another in valid JSON text.
fn nesting(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut quoted, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Finds the value of one key of an object; the last of duplicates.
struct Member<'k>(&'k str);

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(matches) = map.next_key_seed(KeyIs(self.0))? {
            if matches {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Compares a key without keeping it.
struct KeyIs<'k>(&'k str);

impl<'de> DeserializeSeed<'de> for KeyIs<'_> {
    type Value = bool;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyIs<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

/// Finds one element of an array.
struct Element(usize);

impl<'de> Visitor<'de> for Element {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        let mut index = 0;
        // To the end: the parser wants the whole array read.
        while let Some(element) = elements.next_element::<&RawValue>()? {
            if index == self.0 {
                found = Some(element);
            }
            index += 1;
        }
        Ok(found)
    }
}
