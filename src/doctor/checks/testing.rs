//! What the tests of the checks share.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::Value;

use crate::auth::TokenRules;
use crate::doctor::report::{Check, Status};
use crate::policy::ServePolicy;
use crate::secrets::{Read, Secret, SecretName};

/// The instant of all tests: 2026-01-01T00:00:00Z.
pub const NOW: i64 = 1_767_225_600;

pub fn rules() -> TokenRules {
    TokenRules {
        entry: "token".to_owned(),
        leeway: Duration::from_secs(30),
        max_overlap: Duration::from_secs(24 * 3600),
    }
}

pub fn policy() -> ServePolicy {
    ServePolicy {
        default_namespace: "default".parse().unwrap(),
        other_namespaces: vec!["apps".parse().unwrap()],
        label: Some("serve=true".parse().unwrap()),
        token_secret: name("default/jwt-token"),
    }
}

pub fn name(text: &str) -> SecretName {
    SecretName::parse(text, &"default".parse().unwrap()).unwrap()
}

/// A JWT with these claims.
pub fn jwt(claims: &Value) -> String {
    encode(&Header::default(), claims, &EncodingKey::from_secret(b"key")).unwrap()
}

/// A Secret with ESO's label, the label for serving, and these entries.
pub fn secret(entries: &[(&str, &str)]) -> Secret {
    let labels = [("external-secrets.io/type", "webhook"), ("serve", "true")];
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    Secret {
        labels: labels.iter().map(owned).collect(),
        entries: entries
            .iter()
            .map(|(entry, text)| ((*entry).to_owned(), (*text).into()))
            .collect(),
        ..Secret::default()
    }
}

pub fn read(secret: Secret) -> Read {
    Ok(Arc::new(secret))
}

/// The status and the finding of the check of this name.
pub fn outcome<'c>(checks: &'c [Check], name: &str) -> (Status, &'c str) {
    let check = checks.iter().find(|check| check.check == name);
    let check = check.unwrap_or_else(|| panic!("no check {name} among {checks:?}"));
    assert_eq!(check.status == Status::Fault, check.remedy.is_some(), "{check:?}");
    (check.status, &check.finding)
}

/// The names of the checks that found a fault.
pub fn faults(checks: &[Check]) -> Vec<&'static str> {
    let faults = checks.iter().filter(|check| check.status == Status::Fault);
    faults.map(|check| check.check).collect()
}
