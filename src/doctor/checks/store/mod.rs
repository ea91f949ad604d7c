//! One store that points at the service (pure).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::certificate::{self, Ca, Compared};
use super::{Warning, authorization, symptom};
use crate::auth::TokenRules;
use crate::doctor::report::Check;
use crate::eso::url::Url;
use crate::eso::{BadReference, NamedSecret, Remote, Store, template};
use crate::policy::ServePolicy;
use crate::query::{Query, QueryError};
use crate::secrets::{Read, SecretName};

/// Under which the service answers.
const PATH: &str = "/webhook";
/// The version of ESO's API that is served.
const VERSION: &str = "external-secrets.io/v1";

/// What the checks of a store need beside it.
pub struct Facts<'f> {
    pub rules: &'f TokenRules,
    pub policy: &'f ServePolicy,
    /// The service's deadline for an answer.
    pub deadline: std::time::Duration,
    /// Our token Secret.
    pub token: &'f Read,
    /// The Secrets that stores refer to, as ESO sees them.
    pub secrets: &'f BTreeMap<SecretName, Read>,
    /// Whether ESO's cluster is ours too.
    pub same_cluster: bool,
    /// Whether an ExternalSecret asks this store for a property.
    pub properties_wanted: bool,
    pub ca: &'f Ca,
    pub compared: &'f Compared,
    /// The latest warning about it, where it is not Ready.
    pub warning: &'f Warning,
    pub now: Timestamp,
}

/// Whether a store points at a scout: its URL has the endpoint's path, or it refers to a Secret
/// that is named as the token Secret is.
pub fn is_ours(store: &Store, token: &SecretName) -> bool {
    let path = Url::of(store).is_some_and(|url| url.path.trim_end_matches('/') == PATH);
    let named = |secret: &NamedSecret| secret.secret_ref.name == token.name();
    path || store.webhook.secrets.iter().any(named)
}

/// Looks at a store.
pub fn checks(store: &Store, facts: &Facts<'_>) -> Vec<Check> {
    let subject = &store.id.to_string();
    let url = Url::of(store);
    let host = url.as_ref().map_or("", |url| url.host.as_str());
    let mut checks = vec![
        version(subject, store),
        address(subject, url.as_ref()),
        parameters(subject, store, facts),
        method(subject, store),
        result(subject, store),
        references(subject, store),
        timeout(subject, store, facts),
        certificate::check(subject, host, facts.ca, facts.compared),
    ];
    checks.extend(authorization::checks(subject, store, facts));
    checks.push(readiness(subject, store, facts));
    checks
}

fn readiness(subject: &str, store: &Store, facts: &Facts<'_>) -> Check {
    const NAME: &str = "store-ready";
    match &store.ready {
        None => Check::unknown(NAME, subject, "ESO has not processed it yet"),
        Some(ready) if ready.is_ready => Check::ok(NAME, subject, "ESO can connect"),
        Some(_) => {
            let (why, remedy) = symptom::explain(
                facts.warning,
                store.id.kind(),
                store.id.namespace.as_deref(),
                &store.id.name,
            );
            let finding = format!("it is not Ready, so that ESO does not ask it: {why}");
            Check::fault(NAME, subject, finding, remedy)
        }
    }
}

fn version(subject: &str, store: &Store) -> Check {
    const NAME: &str = "store-version";
    let old = |version: &&String| version.as_str() != VERSION;
    match store.versions.iter().find(old) {
        None => Check::ok(NAME, subject, format!("it was not applied as anything but {VERSION}")),
        Some(old) => Check::fault(
            NAME,
            subject,
            format!("it was applied as {old}, which ESO no longer serves"),
            format!("Set apiVersion: {VERSION} in its manifest and apply it"),
        ),
    }
}

fn address(subject: &str, url: Option<&Url>) -> Check {
    const NAME: &str = "store-url";
    let https = "Write https://HOST:8443/webhook?key={{ .remoteRef.key }}&property={{ \
                 .remoteRef.property }}";
    let Some(url) = url else {
        return Check::fault(NAME, subject, "its URL has no scheme or no host", https);
    };
    let trouble = if url.scheme != "https" {
        format!("its URL is {}, and the service speaks https alone", url.scheme)
    } else if url.path != PATH {
        format!("its URL's path is {:?}, and the endpoint is {PATH}", url.path)
    } else if url.has_credentials {
        "its URL holds a user name or a password, which the service has no use for and whoever reads \
         the store sees"
            .to_owned()
    } else {
        let port = url.port.unwrap_or(443);
        let finding = format!("it asks https://{}:{port}{PATH}", url.host);
        return Check::ok(NAME, subject, finding);
    };
    Check::fault(NAME, subject, trouble, https)
}

fn parameters(subject: &str, store: &Store, facts: &Facts<'_>) -> Check {
    const NAME: &str = "store-parameters";
    let template = &store.webhook.url;
    let remote =
        Remote { key: "key".to_owned(), property: "property".to_owned(), ..Remote::default() };
    let Ok(url) = template::url(template, &remote, facts.policy.default_namespace.as_str()) else {
        let finding = "its URL's template does more than print fields, and is not checked";
        return Check::unknown(NAME, subject, finding);
    };
    let raw = url.split_once('?').map_or("", |(_, query)| query);
    if let Err(error) = Query::parse(raw, &facts.policy.default_namespace) {
        let named = match &error {
            QueryError::UnknownParameter(name) | QueryError::RepeatedParameter(name) => {
                // A longer one may be a token that lacks its name.
                let shown = if name.len() <= 64 { name } else { "whose name is too long to show" };
                format!(" {shown:?}")
            }
            _ => String::new(),
        };
        return Check::fault(
            NAME,
            subject,
            format!("every request is refused: {error}{named}"),
            "Correct the URL: its parameters may be key, property, path, encoding and an empty version",
        );
    }
    match (template::passes_property(template), facts.properties_wanted) {
        (true, _) => Check::ok(NAME, subject, "it passes the key and the property on"),
        (false, false) => Check::ok(
            NAME,
            subject,
            "it passes the key on and no property, which no ExternalSecret asks it for",
        ),
        (false, true) => Check::fault(
            NAME,
            subject,
            "it passes no property on: an ExternalSecret that names one gets the whole Secret",
            "Add &property={{ .remoteRef.property }} to its URL",
        ),
    }
}

fn method(subject: &str, store: &Store) -> Check {
    const NAME: &str = "store-method";
    let webhook = &store.webhook;
    if !matches!(webhook.method.as_str(), "" | "GET" | "HEAD") {
        let finding = format!("its method is {}, which is a 405", webhook.method);
        return Check::fault(NAME, subject, finding, "Set method: GET");
    }
    if !webhook.body.is_empty() {
        let finding = "it sends a body, which is a 400 body-not-allowed";
        return Check::fault(NAME, subject, finding, "Remove its body");
    }
    Check::ok(NAME, subject, "it asks by GET and without a body")
}

fn result(subject: &str, store: &Store) -> Check {
    const NAME: &str = "store-result";
    let raw = store.webhook.headers.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case("accept") && value.contains("application/octet-stream")
    });
    match (store.webhook.result.json_path.as_str(), raw) {
        ("", false) => Check::fault(
            NAME,
            subject,
            "it has no result.jsonPath: values arrive as JSON, with quotes around them",
            "Set result.jsonPath: \"$\"",
        ),
        ("", true) => Check::ok(NAME, subject, "it takes raw bytes as they are"),
        (path, true) => Check::fault(
            NAME,
            subject,
            format!("it asks for raw bytes, and looks for {path} in them as JSON"),
            "Remove the header Accept or result.jsonPath",
        ),
        (path, false) => Check::ok(NAME, subject, format!("it takes {path} of the answer")),
    }
}

/// That every reference says where it leads.
fn references(subject: &str, store: &Store) -> Check {
    const NAME: &str = "store-namespaces";
    let webhook = &store.webhook;
    let secrets = webhook.secrets.iter().map(|secret| &secret.secret_ref);
    let secrets = secrets.map(|secret| (&secret.name, secret.namespace.as_deref()));
    let ca = webhook.ca_provider.iter().map(|ca| (&ca.name, ca.namespace.as_deref()));
    for (name, namespace) in secrets.chain(ca) {
        match store.resolve(name, namespace) {
            Ok(_) => {}
            Err(BadReference::NoNamespace) => {
                return Check::fault(
                    NAME,
                    subject,
                    format!("its reference to {name} has no namespace, and ESO refuses that"),
                    "Add namespace to each secretRef and to caProvider",
                );
            }
            Err(BadReference::NoName) => {
                let finding =
                    format!("its reference to {name:?} is not a name that Kubernetes allows");
                return Check::fault(NAME, subject, finding, "Correct the name");
            }
        }
    }
    Check::ok(NAME, subject, "its references say where they lead")
}

fn timeout(subject: &str, store: &Store, facts: &Facts<'_>) -> Check {
    const NAME: &str = "store-timeout";
    let remedy = "Set timeout: 10s";
    let Some(text) = &store.webhook.timeout else {
        return Check::fault(
            NAME,
            subject,
            "it has no timeout: a call that hangs holds up ESO's worker for ever",
            remedy,
        );
    };
    let deadline = SignedDuration::try_from(facts.deadline).unwrap_or(SignedDuration::MAX);
    match text.parse::<SignedDuration>() {
        Err(_) => Check::unknown(
            NAME,
            subject,
            format!("its timeout {text} is not a duration that is understood here"),
        ),
        Ok(timeout) if timeout <= deadline => Check::fault(
            NAME,
            subject,
            format!(
                "its timeout {text} is no longer than the service's deadline: ESO leaves before the service has said what is wrong"
            ),
            remedy,
        ),
        Ok(_) => Check::ok(NAME, subject, format!("its timeout is {text}")),
    }
}

#[cfg(test)]
mod tests;
