//! Names within a Secret, by the rules of Kubernetes (`k8s.io/apimachinery`, `util/validation`).

use crate::secrets::name::is_subdomain;

/// Whether an entry may have this name (`IsConfigMapKey`).
pub(super) fn is_entry_name(name: &str) -> bool {
    (1..=253).contains(&name.len())
        && name.bytes().all(is_name_byte)
        && name != "."
        && !name.starts_with("..")
}

/// Whether this may be the key of a label (`IsQualifiedName`).
pub(super) fn is_qualified_name(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && is_name(name),
        None => is_name(text),
    }
}

/// Whether this may be the value of a label (`IsValidLabelValue`).
pub(super) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_name(text)
}

fn is_name(text: &str) -> bool {
    let alphanumeric = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    text.len() <= 63
        && alphanumeric(bytes.first())
        && alphanumeric(bytes.last())
        && text.bytes().all(is_name_byte)
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}
