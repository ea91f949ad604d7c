//! What a store sends as `Authorization` (pure).

use super::store::Facts;
use super::token;
use crate::auth::{Bearer, Refusal};
use crate::doctor::report::Check;
use crate::eso::Store;
use crate::eso::template::{self, BadHeader, BearerTemplate};
use crate::secrets::{ReadError, Secret, SecretBytes, SecretName};

const NAME: &str = "store-authorization";

/// The header, the Secret that it takes the token from, and whether that token is ours.
pub fn checks(subject: &str, store: &Store, facts: &Facts<'_>) -> Vec<Check> {
    let remedy =
        "Set Authorization: \"Bearer {{ .jwt.token | trim }}\", with jwt among its secrets";
    let mut headers = store.webhook.headers.iter();
    let header = headers.find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let Some((_, header)) = header else {
        let finding = "it sends no header Authorization: every request is a 401 no-token";
        return vec![Check::fault(NAME, subject, finding, remedy)];
    };
    let template = match template::bearer(header) {
        Ok(template) => template,
        Err(BadHeader::NotBearer) => {
            let finding = "its header Authorization is not Bearer and one template";
            return vec![Check::fault(NAME, subject, finding, remedy)];
        }
        Err(BadHeader::TooClever) => {
            let finding = "its header's template does more than print a field, and is not checked";
            return vec![Check::unknown(NAME, subject, finding)];
        }
    };
    let mut secrets = store.webhook.secrets.iter();
    let Some(named) = secrets.find(|secret| secret.name == template.secret) else {
        let finding =
            format!("its header names {}, which is not among its secrets", template.secret);
        return vec![Check::fault(NAME, subject, finding, remedy)];
    };
    let reference = &named.secret_ref;
    match store.resolve(&reference.name, reference.namespace.as_deref()) {
        Ok(secret) => sent(subject, &template, &secret, facts),
        // It is told with the references.
        Err(_) => Vec::new(),
    }
}

/// What the header's template will send, from the Secret that it names.
fn sent(
    subject: &str,
    template: &BearerTemplate,
    name: &SecretName,
    facts: &Facts<'_>,
) -> Vec<Check> {
    let (secret, bytes) = match entry(subject, template, name, facts) {
        Ok(found) => found,
        Err(check) => return vec![check],
    };
    let mut checks = vec![white_space(subject, template, bytes)];
    let is_our_secret = facts.same_cluster && *name == facts.policy.token_secret;
    if !is_our_secret {
        checks.push(token::label("store-secret-label", &format!("Secret {name}"), name, secret));
    }
    checks.push(same_token(subject, bytes, name, facts));
    checks
}

/// The Secret and the entry in it, or why there is none to look at.
fn entry<'f>(
    subject: &str,
    template: &BearerTemplate,
    name: &SecretName,
    facts: &'f Facts<'_>,
) -> Result<(&'f Secret, &'f SecretBytes), Check> {
    let secret = match facts.secrets.get(name) {
        Some(Ok(secret)) => secret,
        Some(Err(ReadError::NotFound)) => {
            let finding = format!("it takes the token from Secret {name}, which does not exist");
            return Err(Check::fault(NAME, subject, finding, "Create it, or name the right one"));
        }
        Some(Err(ReadError::Forbidden)) | None => {
            let finding = format!("Secret {name}: not checked: RBAC does not let you read it");
            return Err(Check::unknown(NAME, subject, finding));
        }
        Some(Err(error)) => return Err(Check::unknown(NAME, subject, error.to_string())),
    };
    let bytes = secret.entries.get(&template.entry).ok_or_else(|| {
        let entry = &template.entry;
        let finding = format!("its header names the entry {entry}, which Secret {name} lacks");
        Check::fault(
            NAME,
            subject,
            finding,
            "Correct the name of the entry in its header's template",
        )
    })?;
    Ok((secret, bytes))
}

fn white_space(subject: &str, template: &BearerTemplate, bytes: &SecretBytes) -> Check {
    let entry = &template.entry;
    let ends_bare = bytes.trimmed_end().len() == bytes.len();
    match (template.trimmed, ends_bare) {
        (true, _) => Check::ok(NAME, subject, format!("it sends the entry {entry}, trimmed")),
        (false, true) => Check::ok(
            NAME,
            subject,
            format!(
                "it sends the entry {entry} as it is. Add | trim: a token that ends in a newline is \
                 otherwise not sent"
            ),
        ),
        (false, false) => Check::fault(
            NAME,
            subject,
            format!("the entry {entry} ends in white space, and ESO refuses to send that"),
            "Add | trim to its header's template",
        ),
    }
}

/// Whether the service lets in what ESO sends.
fn same_token(subject: &str, bytes: &SecretBytes, name: &SecretName, facts: &Facts<'_>) -> Check {
    const NAME: &str = "store-token";
    let Ok(ours) = facts.token else {
        return Check::unknown(NAME, subject, "the token Secret was not read, to compare with");
    };
    let mut header = zeroize::Zeroizing::new(b"Bearer ".to_vec());
    header.reserve_exact(bytes.len());
    header.extend_from_slice(bytes.trimmed_end());
    let bearer = match Bearer::parse(std::iter::once(header.as_slice())) {
        Ok(bearer) => bearer,
        Err(error) => {
            let finding = format!("what ESO sends from Secret {name} is no bearer: {error}");
            return Check::fault(NAME, subject, finding, "Store the token there");
        }
    };
    match facts.rules.judge(ours, bearer, facts.now, None) {
        Ok(_) | Err(Refusal::OutsideValidity(_)) => {
            Check::ok(NAME, subject, "ESO sends the token that the service holds")
        }
        Err(Refusal::Mismatch) => Check::fault(
            NAME,
            subject,
            format!("ESO sends another token, from Secret {name}, than the service holds"),
            "Copy the token there: docs/rotation.md",
        ),
        Err(Refusal::TokenSecret(_)) => {
            Check::unknown(NAME, subject, "the token Secret holds no token to compare with")
        }
    }
}
