//! The templates of a store, as far as stores of this service need them (pure): plain text and
//! actions that print one field. Conditions, functions and variables are left unjudged.

use std::fmt::Write;

use super::Remote;

/// A template that does more than is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooClever;

/// What the header `Authorization` is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BearerTemplate {
    /// The name of the Secret among the store's `secrets`.
    pub secret: String,
    /// Its entry.
    pub entry: String,
    /// Whether white space around it is dropped.
    pub trimmed: bool,
}

/// Why a header template sends no bearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHeader {
    /// It does not begin with `Bearer ` and go on with one action.
    NotBearer,
    /// It cannot be judged.
    TooClever,
}

/// The URL that ESO makes for `remote`, whose fields it query-escapes.
pub fn url(template: &str, remote: &Remote, namespace: &str) -> Result<String, TooClever> {
    render(template, |action| match action {
        ".remoteRef.key" => Some(query_escaped(&remote.key)),
        ".remoteRef.property" => Some(query_escaped(&remote.property)),
        ".remoteRef.version" => Some(query_escaped(&remote.version)),
        ".remoteRef.namespace" => Some(namespace.to_owned()),
        _ => None,
    })
}

/// Whether the template passes `property` on in any way.
pub fn passes_property(template: &str) -> bool {
    template.contains(".remoteRef.property")
}

/// Reads the template of the header `Authorization`.
pub fn bearer(template: &str) -> Result<BearerTemplate, BadHeader> {
    let (scheme, rest) = template.split_once("{{").ok_or(BadHeader::NotBearer)?;
    let is_bearer = scheme.trim().eq_ignore_ascii_case("bearer") && scheme.ends_with(' ');
    let (action, after) = rest.split_once("}}").ok_or(BadHeader::NotBearer)?;
    // `{{-` would eat the space behind the scheme.
    if !is_bearer || action.starts_with('-') || !after.trim().is_empty() {
        return Err(BadHeader::NotBearer);
    }
    let mut steps = inside(action).split('|').map(str::trim);
    let field = steps.next().and_then(|field| field.strip_prefix('.'));
    let (secret, entry) =
        field.and_then(|field| field.split_once('.')).ok_or(BadHeader::TooClever)?;
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let filters: Vec<&str> = steps.collect();
    if !is_name(secret) || !is_name(entry) || !filters.iter().all(|filter| *filter == "trim") {
        return Err(BadHeader::TooClever);
    }
    Ok(BearerTemplate {
        secret: secret.to_owned(),
        entry: entry.to_owned(),
        trimmed: !filters.is_empty(),
    })
}

fn render(template: &str, value: impl Fn(&str) -> Option<String>) -> Result<String, TooClever> {
    let mut parts = template.split("{{");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (action, rest) = part.split_once("}}").ok_or(TooClever)?;
        text.push_str(&value(inside(action)).ok_or(TooClever)?);
        text.push_str(rest);
    }
    Ok(text)
}

/// An action without the white space around it, and without the `-` that trims its surroundings:
/// there is none to trim in a URL or a header.
fn inside(action: &str) -> &str {
    let action = action.strip_prefix("- ").unwrap_or(action);
    action.strip_suffix(" -").unwrap_or(action).trim()
}

/// As Go's `url.QueryEscape` writes it.
fn query_escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => escaped.push('+'),
            b'-' | b'_' | b'.' | b'~' => escaped.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => escaped.push(byte.into()),
            // Writing to a String does not fail.
            _ => drop(write!(escaped, "%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_made_as_eso_makes_them() {
        let remote = Remote {
            key: "key=a&path=b c/é".to_owned(),
            property: "p.q".to_owned(),
            version: String::new(),
        };
        let url = |template| url(template, &remote, "ns");
        for (template, expected) in [
            (
                "https://h/webhook?key={{ .remoteRef.key }}",
                "https://h/webhook?key=key%3Da%26path%3Db+c%2F%C3%A9",
            ),
            ("?p={{.remoteRef.property}}&v={{- .remoteRef.version -}}", "?p=p.q&v="),
            ("?key={{ .remoteRef.namespace }}/x", "?key=ns/x"),
            ("plain", "plain"),
        ] {
            assert_eq!(url(template).as_deref(), Ok(expected), "{template}");
        }
        for clever in [
            "{{ if .remoteRef.property }}x{{ end }}",
            "{{ .remoteRef.key | upper }}",
            "{{ .jwt.token }}",
            "{{ .remoteRef.key",
        ] {
            assert_eq!(url(clever), Err(TooClever), "{clever}");
        }
    }

    #[test]
    fn the_header_names_a_secret_and_its_entry() {
        let template = |secret: &str, entry: &str, trimmed| {
            Ok(BearerTemplate { secret: secret.to_owned(), entry: entry.to_owned(), trimmed })
        };
        for (text, expected) in [
            ("Bearer {{ .jwt.token }}", template("jwt", "token", false)),
            ("Bearer {{ .jwt.token | trim }}", template("jwt", "token", true)),
            ("bearer {{.a.b|trim}}", template("a", "b", true)),
            ("Bearer {{- .jwt.token }}", Err(BadHeader::NotBearer)),
            ("{{ .jwt.token }}", Err(BadHeader::NotBearer)),
            ("Bearer{{ .jwt.token }}", Err(BadHeader::NotBearer)),
            ("Basic {{ .jwt.token }}", Err(BadHeader::NotBearer)),
            ("Bearer abc", Err(BadHeader::NotBearer)),
            ("Bearer {{ .jwt.token }} x", Err(BadHeader::NotBearer)),
            ("Bearer {{ .jwt }}", Err(BadHeader::TooClever)),
            ("Bearer {{ index .jwt \"a-b\" }}", Err(BadHeader::TooClever)),
            ("Bearer {{ .jwt.token | b64enc }}", Err(BadHeader::TooClever)),
        ] {
            assert_eq!(bearer(text), expected, "{text}");
        }
    }
}
