//! What the text of an ESO event means (pure). The text itself is not told: an error of a
//! template's function may quote a value.

use super::Warning;
use super::key::see;
use crate::problem::Code;

/// Texts that ESO and Go write where no code of ours is in the event: the part to look for, what
/// it means, and what to do. docs/troubleshooting.md has them all.
pub const SYMPTOMS: [(&str, &str, &str); 18] = [
    (
        "certificate signed by unknown authority",
        "ESO does not trust the certificate of the service",
        "Put its CA into the store's caBundle or what caProvider names",
    ),
    (
        "x509: certificate has expired",
        "the certificate of the service, or its CA, is not valid now",
        "Renew it; the service loads new files by itself",
    ),
    (
        "x509: certificate is valid for",
        "the certificate of the service is for other names than the store's URL has",
        "Issue one with that name, or use a name that it has",
    ),
    (
        "failed to append cabundle",
        "the store's CA holds no certificate in PEM",
        "Put the PEM text of the CA there",
    ),
    (
        "server gave HTTP response to HTTPS client",
        "what listens there is not the service: it answers without TLS",
        "Correct the host and port of the store's URL",
    ),
    (
        "connection refused",
        "nothing listens where the store's URL leads",
        "Make sure that the service runs, and that the URL's host and port are its own",
    ),
    (
        "no such host",
        "the host of the store's URL has no address",
        "Correct it: NAME.NAMESPACE.svc.cluster.local",
    ),
    (
        "Client.Timeout exceeded",
        "no answer came within the store's timeout",
        "Check the service's log and the network between; the timeout should be longer than the \
         service's deadline",
    ),
    (
        "is not ready",
        "the store was not Ready when ESO last tried",
        "See the store's own checks; ESO tries again within minutes",
    ),
    (
        "secret does not contain needed label",
        "the Secret with the token lacks ESO's label",
        "kubectl label secret NAME external-secrets.io/type=webhook",
    ),
    (
        "no namespace on ClusterScoped webhook secret",
        "the store's reference to the token's Secret has no namespace",
        "Add namespace to it",
    ),
    (
        "missing namespace on caProvider secret",
        "the store's caProvider has no namespace",
        "Add namespace to it",
    ),
    (
        "cannot get Kubernetes secret",
        "what the store's caProvider names is not there",
        "Name the Secret and its key that hold the CA",
    ),
    (
        "cannot find secret data for key",
        "the entry that the store's caProvider names is not there",
        "Name the key that holds the CA",
    ),
    (
        "invalid header field value",
        "the token that ESO has ends in a newline",
        "Add | trim to the store's header template",
    ),
    (
        "failed to parse header",
        "the store's header template names an entry that is not there",
        "Correct the entry's name in it",
    ),
    (
        "Secret does not exist",
        "404 no-such-secret: the service says that the Secret does not exist",
        "See docs/troubleshooting.md#no-such-secret",
    ),
    (
        "not implemented",
        "ESO's webhook provider does not implement find",
        "Use extract, or data with a key each",
    ),
];

/// What the message of an event means, and what to do.
pub fn meaning(message: &str) -> Option<(String, String)> {
    if let Some(code) = Code::ALL.iter().find(|code| carries(message, **code)) {
        let (status, name) = (code.status(), code.as_str());
        return Some((format!("{status} {name}: {}", code.title()), see(*code)));
    }
    let known = SYMPTOMS.iter().find(|(text, ..)| message.contains(text));
    if let Some((_, meaning, remedy)) = known {
        return Some(((*meaning).to_owned(), (*remedy).to_owned()));
    }
    let (_, status) = message.split_once("endpoint gave error ")?;
    let status: u16 = status.get(..3)?.parse().ok()?;
    Some((
        format!("status {status} without a code"),
        "Something between ESO and the service answers, or rewrites its answers: pass TLS through"
            .to_owned(),
    ))
}

/// Why an object is not Ready, by the latest warning about it, and what to do.
pub fn explain(
    warning: &Warning,
    kind: &str,
    namespace: Option<&str>,
    name: &str,
) -> (String, String) {
    let namespace = namespace.map(|namespace| format!(" -n {namespace}")).unwrap_or_default();
    let look =
        format!("Look at its events: kubectl describe {}{namespace} {name}", kind.to_lowercase());
    match warning {
        Some(Ok(Some(message))) => {
            meaning(message).unwrap_or_else(|| ("its last warning says why".to_owned(), look))
        }
        Some(Ok(None)) => ("no event that is still there says why".to_owned(), look),
        Some(Err(error)) => (format!("its events: {error}"), look),
        None => ("its events were not read".to_owned(), look),
    }
}

/// Whether a status line with this code stands in `message`.
fn carries(message: &str, code: Code) -> bool {
    let line = format!("{} {}", code.status(), code.as_str());
    let mut found = message.match_indices(&line);
    found.any(|(at, _)| {
        let rest = message.get(at + line.len()..).unwrap_or_default();
        !rest.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_in_the_event_that_shows_it() {
        for code in Code::ALL {
            let (status, name) = (code.status(), code.as_str());
            let message = format!(
                "error processing spec.data[0] (key: k), err: endpoint gave error {status} {name}"
            );
            let (found, remedy) = meaning(&message).unwrap();
            assert_eq!(found, format!("{status} {name}: {}", code.title()));
            assert!(remedy.ends_with(&format!("#{name}")));
        }
    }

    #[test]
    fn a_phrase_that_a_proxy_wrote_has_no_code() {
        let of = |status| meaning(&format!("endpoint gave error {status}")).map(|(found, _)| found);
        assert_eq!(of("401 Unauthorized").as_deref(), Some("status 401 without a code"));
        assert_eq!(of("401 token-mismatched").as_deref(), Some("status 401 without a code"));
        assert_eq!(of(""), None);
        assert_eq!(meaning("template: strconv.Atoi: parsing \"hunter2\""), None);
    }

    #[test]
    fn every_symptom_stands_in_the_documentation() {
        let documented = include_str!("../../../docs/troubleshooting.md");
        for (text, ..) in SYMPTOMS {
            assert!(documented.contains(text), "docs/troubleshooting.md should explain {text:?}");
            assert!(meaning(text).is_some());
        }
    }
}
