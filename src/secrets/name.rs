//! Names of namespaces and Secrets, by the rules of Kubernetes.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A name that Kubernetes would refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Not a DNS-1123 label.
    #[error(
        "a namespace is 1 to 63 lower-case letters, digits and '-', with a letter or digit at each end"
    )]
    Namespace,
    /// Not a DNS-1123 subdomain.
    #[error(
        "a Secret's name is 1 to 253 lower-case letters, digits, '-' and '.', with a letter or digit at each end of each part"
    )]
    Secret,
}

/// A namespace: a DNS-1123 label (`k8s.io/apimachinery`, `util/validation`, `IsDNS1123Label`).
/// Its clones share one text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Namespace(Arc<str>);

impl Namespace {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Namespace {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text.len() <= 63 && is_label(text) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName::Namespace)
        }
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which Secret: its namespace and its name. `Display` writes `namespace/name`. Its clones
/// share their texts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretName {
    /// The namespace.
    pub namespace: Namespace,
    name: Arc<str>,
}

impl SecretName {
    /// The name of the Secret `name` in `namespace`.
    ///
    /// # Errors
    /// Where `name` is no DNS-1123 subdomain (`util/validation`, `IsDNS1123Subdomain`).
    pub fn new(namespace: Namespace, name: &str) -> Result<Self, InvalidName> {
        if is_subdomain(name) {
            Ok(Self { namespace, name: name.into() })
        } else {
            Err(InvalidName::Secret)
        }
    }

    /// Reads `[namespace/]name`; a plain name is in the namespace `default`.
    ///
    /// # Errors
    /// Where either part is not a Kubernetes name.
    pub fn parse(text: &str, default: &Namespace) -> Result<Self, InvalidName> {
        match text.split_once('/') {
            Some((namespace, name)) => Self::new(namespace.parse()?, name),
            None => Self::new(default.clone(), text),
        }
    }

    /// The name without its namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Whether this is a DNS-1123 subdomain.
pub(super) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

fn is_label(text: &str) -> bool {
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric)
        && bytes.iter().all(|byte| alphanumeric(byte) || *byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, InvalidName> {
        let default = "default".parse()?;
        SecretName::parse(text, &default).map(|name| name.to_string())
    }

    #[test]
    fn names_follow_the_kubernetes_rules() {
        assert_eq!(parse("a").as_deref(), Ok("default/a"));
        assert_eq!(parse("ns/a.b-c").as_deref(), Ok("ns/a.b-c"));
        assert_eq!(parse(&"a".repeat(253)).map(|name| name.len()), Ok(261));
        let long_namespace = format!("{}/a", "n".repeat(64));
        let long_name = "a".repeat(254);
        for bad in [
            "",
            "/",
            "/a",
            "a/",
            "a/b/c",
            "../a",
            "a/..",
            ".a",
            "a.",
            "a..b",
            "-a",
            "a-",
            "a_b",
            "A",
            "ä",
            "a b",
            "a\0",
            "a\n",
            "a?b",
            "a#b",
            "a%2Fb",
            "n.s/a",
            &long_namespace,
            &long_name,
        ] {
            assert!(parse(bad).is_err(), "{bad:?} was accepted");
        }
    }
}
