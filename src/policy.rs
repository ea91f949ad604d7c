//! Which Secrets are served at all (pure).

use std::str::FromStr;

use crate::secrets::{Namespace, Secret, SecretName};

/// Types that are credentials for the cluster itself.
const NEVER_SERVED: [&str; 2] =
    ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"];

/// What is served and what is not.
#[derive(Clone, Debug)]
pub struct ServePolicy {
    /// The namespace of plain names. It is served.
    pub default_namespace: Namespace,
    /// Further namespaces that are served.
    pub other_namespaces: Vec<Namespace>,
    /// The label that a Secret must carry; `None` serves whatever carries or lacks it.
    pub label: Option<Label>,
    /// The Secret that holds the token: never served.
    pub token_secret: SecretName,
}

/// A label with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    key: String,
    value: String,
}

/// Why a Secret is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotServed {
    /// Its namespace is not among the configured ones.
    #[error("the namespace is not served")]
    Namespace,
    /// It lacks the label.
    #[error("the Secret is not labelled for serving")]
    Label,
    /// It is a credential of the cluster, or the token Secret.
    #[error("Secrets of this kind are never served")]
    Never,
}

impl ServePolicy {
    /// Whether a Secret of this name may be read for a caller.
    ///
    /// # Errors
    /// Where it may not, whatever it holds.
    pub fn permits(&self, name: &SecretName) -> Result<(), NotServed> {
        // Before the namespace: the token Secret may lie in one that is not served.
        if *name == self.token_secret {
            return Err(NotServed::Never);
        }
        let served = name.namespace == self.default_namespace
            || self.other_namespaces.contains(&name.namespace);
        if served { Ok(()) } else { Err(NotServed::Namespace) }
    }

    /// Whether this Secret may be handed out.
    ///
    /// # Errors
    /// Where its type or its labels say no.
    pub fn serves(&self, secret: &Secret) -> Result<(), NotServed> {
        if NEVER_SERVED.contains(&secret.kind.as_str()) {
            return Err(NotServed::Never);
        }
        match &self.label {
            Some(Label { key, value }) if secret.labels.get(key) != Some(value) => {
                Err(NotServed::Label)
            }
            _ => Ok(()),
        }
    }
}

impl FromStr for Label {
    type Err = &'static str;

    /// Reads `[prefix/]name=value` by the rules of Kubernetes (`util/validation`,
    /// `IsQualifiedName` and `IsValidLabelValue`): one that no Secret can carry would serve
    /// nothing.
    fn from_str(text: &str) -> Result<Self, &'static str> {
        let (key, value) = text.split_once('=').ok_or("write a label as KEY=VALUE")?;
        let (prefix, name) = match key.split_once('/') {
            Some((prefix, name)) => (Some(prefix), name),
            None => (None, key),
        };
        let dns = |prefix: &str| "n".parse().is_ok_and(|ns| SecretName::new(ns, prefix).is_ok());
        if !is_label_text(name) || !prefix.is_none_or(dns) {
            return Err("write the label's key as [PREFIX/]NAME by the rules of Kubernetes");
        }
        if !value.is_empty() && !is_label_text(value) {
            return Err(
                "write a value that a label may have: at most 63 letters, digits, '-', '_' and '.'",
            );
        }
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}

fn is_label_text(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(label: Option<&str>) -> ServePolicy {
        let namespace = |name: &str| name.parse::<Namespace>().unwrap();
        ServePolicy {
            default_namespace: namespace("default"),
            other_namespaces: vec![namespace("apps")],
            label: label.map(|label| label.parse().unwrap()),
            token_secret: SecretName::new(namespace("system"), "jwt-token").unwrap(),
        }
    }

    fn name(text: &str) -> SecretName {
        SecretName::parse(text, &"default".parse().unwrap()).unwrap()
    }

    #[test]
    fn only_configured_namespaces_are_served_and_the_token_secret_never() {
        let policy = policy(None);
        assert_eq!(policy.permits(&name("a")), Ok(()));
        assert_eq!(policy.permits(&name("apps/a")), Ok(()));
        assert_eq!(policy.permits(&name("default/jwt-token")), Ok(()));
        assert_eq!(policy.permits(&name("other/a")), Err(NotServed::Namespace));
        assert_eq!(policy.permits(&name("system/jwt-token")), Err(NotServed::Never));
    }

    #[test]
    fn a_secret_must_carry_the_label_and_be_no_credential_of_the_cluster() {
        let secret = |kind: &str, labels: &[(&str, &str)]| Secret {
            kind: kind.to_owned(),
            labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ..Secret::default()
        };
        let labelled = &[("scout/serve", "true")];
        let strict = policy(Some("scout/serve=true"));
        assert_eq!(strict.serves(&secret("Opaque", labelled)), Ok(()));
        assert_eq!(strict.serves(&secret("Opaque", &[])), Err(NotServed::Label));
        let wrong = secret("Opaque", &[("scout/serve", "false")]);
        assert_eq!(strict.serves(&wrong), Err(NotServed::Label));
        assert_eq!(policy(None).serves(&wrong), Ok(()));
        for kind in NEVER_SERVED {
            for policy in [&strict, &policy(None)] {
                assert_eq!(policy.serves(&secret(kind, labelled)), Err(NotServed::Never));
            }
        }
    }

    #[test]
    fn labels_that_no_secret_can_carry_are_refused() {
        for good in ["a=b", "a=", "scout.vsecm.com/serve=true", "a_b/C.d=E-f"] {
            let expected = !good.starts_with("a_b");
            assert_eq!(good.parse::<Label>().is_ok(), expected, "{good}");
        }
        let long = format!("{}=x", "a".repeat(64));
        for bad in ["", "a", "=b", "/a=b", "a/=b", "a/b/c=d", "a=b c", "a==b", "-a=b", &long] {
            assert!(bad.parse::<Label>().is_err(), "{bad}");
        }
    }
}
