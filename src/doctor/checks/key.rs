//! How a key is read: the very steps of a request, and the kind of the answer, never its value
//! (pure).

use std::fmt;

use crate::answer::{Answer, Form};
use crate::doctor::report::Check;
use crate::document::{self, Value};
use crate::eso::How;
use crate::policy::ServePolicy;
use crate::problem::Code;
use crate::problem::Problem;
use crate::query::{Encoding, Query};
use crate::secrets::{Read, Secret};

/// What an answer would be, in kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All entries, by their names.
    Entries(Vec<String>),
    /// A text.
    Text {
        /// Whether it is a JSON object.
        object: bool,
    },
    /// What a path into JSON leads to, as its source text.
    Json(&'static str),
    /// JSON's null.
    Null,
    /// Bytes, in base64.
    Base64,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entries(names) if names.is_empty() => f.write_str("an empty JSON object"),
            Self::Entries(names) => {
                write!(f, "a JSON object with the entries {}", names.join(", "))
            }
            Self::Text { object: false } => f.write_str("a text"),
            Self::Text { object: true } => f.write_str("a text that is a JSON object"),
            Self::Json(kind) => write!(f, "a text: the source of {kind}"),
            Self::Null => f.write_str("null"),
            Self::Base64 => f.write_str("a text in base64"),
        }
    }
}

/// The query of a URL as the service reads it.
///
/// # Errors
/// What the service would answer.
pub fn query(raw: &str, policy: &ServePolicy) -> Result<Query, Problem> {
    let query = Query::parse(raw, &policy.default_namespace)?;
    policy.permits(&query.secret)?;
    Ok(query)
}

/// What the service would answer from this read.
///
/// # Errors
/// What it would answer.
pub fn judge(query: &Query, policy: &ServePolicy, read: &Read) -> Result<Kind, Problem> {
    let secret = read.as_ref().map_err(|error| Problem::of_value(error.clone()))?;
    policy.serves(secret)?;
    Answer::find(secret, query, Form::Json)?;
    Ok(kind(query, secret))
}

fn kind(query: &Query, secret: &Secret) -> Kind {
    let Some(path) = &query.property else {
        return Kind::Entries(secret.entries.keys().cloned().collect());
    };
    match document::find(&secret.entries, path) {
        Ok((_, Value::Null)) | Err(_) => Kind::Null,
        Ok(_) if query.encoding == Encoding::Base64 => Kind::Base64,
        Ok((entry, Value::Exact(bytes))) if entry != path => Kind::Json(json_kind(bytes)),
        Ok((_, value)) => Kind::Text { object: value.bytes().is_some_and(is_object) },
    }
}

/// The kind of JSON that is no string, by how it begins.
fn json_kind(json: &[u8]) -> &'static str {
    match json.first() {
        Some(b'{') => "a JSON object",
        Some(b'[') => "a JSON array",
        Some(b't' | b'f') => "a boolean",
        _ => "a number",
    }
}

fn is_object(bytes: &[u8]) -> bool {
    serde_json::from_slice::<std::collections::BTreeMap<String, serde::de::IgnoredAny>>(bytes)
        .is_ok()
}

/// What ESO makes of an answer, with `jsonPath: "$"`; an error is its own.
pub fn in_eso(kind: &Kind, how: How) -> Result<&'static str, &'static str> {
    match (how, kind) {
        (How::Find, _) => Err("nothing: its webhook provider does not implement find"),
        (How::Data, Kind::Entries(_)) => {
            Ok("one key that holds the whole object as JSON text, written anew by ESO")
        }
        (How::Data, Kind::Null) => Ok("one key with an empty value"),
        (How::Data, Kind::Base64) => {
            Ok("one key; with decodingStrategy: Base64 it holds the bytes themselves")
        }
        (How::Data, _) => Ok("one key that holds this text as it is"),
        (How::Extract, Kind::Entries(names)) if names.is_empty() => {
            Ok("no key; with deletionPolicy: Delete ESO removes the target")
        }
        (How::Extract, Kind::Entries(_)) => Ok("one key for each entry"),
        (How::Extract, Kind::Text { object: true } | Kind::Json("a JSON object")) => {
            Ok("one key for each member of the object")
        }
        (How::Extract, _) => Err("an error: extract needs a JSON object"),
    }
}

/// The checks of `doctor KEY`, but for who may read it.
pub fn checks(
    query: &Result<Query, Problem>,
    policy: &ServePolicy,
    read: Option<&Read>,
) -> Vec<Check> {
    let query = match query {
        Ok(query) => query,
        Err(problem) => return vec![refused("key", problem)],
    };
    let property = query
        .property
        .as_deref()
        .map_or_else(|| "the whole Secret".to_owned(), |property| format!("property {property}"));
    let mut checks =
        vec![Check::ok("key", "key", format!("it asks for Secret {}, {property}", query.secret))];
    let Some(read) = read else { return checks };
    if matches!(read, Err(crate::secrets::ReadError::Forbidden)) {
        checks.push(Check::unknown(
            "answer",
            "answer",
            "not checked: RBAC does not let you read it",
        ));
        return checks;
    }
    match judge(query, policy, read) {
        Err(problem) => checks.push(refused("answer", &problem)),
        Ok(kind) => {
            checks.extend(placed(query, read));
            checks.push(Check::ok("answer", "answer", format!("200, {kind}")));
            checks.extend([How::Data, How::Extract].map(|how| eso(&kind, how)));
        }
    }
    checks
}

/// Where a property with a dot in it was found.
fn placed(query: &Query, read: &Read) -> Option<Check> {
    let (path, secret) = (query.property.as_ref()?, read.as_ref().ok()?);
    let (entry, _) = document::find(&secret.entries, path).ok()?;
    let steps = path.get(entry.len()..)?.trim_start_matches('.');
    let finding = match steps {
        "" => format!("it is the entry {entry}"),
        steps => format!("it is the entry {entry} and in its JSON the path {steps}"),
    };
    Some(Check::ok("property", "property", finding))
}

fn eso(kind: &Kind, how: How) -> Check {
    let subject = match how {
        How::Data => "ESO's data with jsonPath $",
        How::Extract | How::Find => "ESO's dataFrom.extract",
    };
    match in_eso(kind, how) {
        Ok(made) => Check::ok("eso", subject, made),
        // Whoever asks about a key may well want the other way.
        Err(error) => Check::unknown("eso", subject, error),
    }
}

fn refused(subject: &'static str, problem: &Problem) -> Check {
    Check::fault(subject, subject, told(problem), see(problem.code))
}

/// An answer that is no value, in words.
pub fn told(problem: &Problem) -> String {
    let code = problem.code;
    let detail = problem.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
    format!("{} {}: {}{detail}", code.status(), code.as_str(), code.title())
}

/// Where a code is explained.
pub fn see(code: Code) -> String {
    format!("See {}", code.explained_at())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{faults, policy, read, secret};
    use super::*;
    use crate::doctor::report::Status;
    use crate::eso::url::query_of_key;
    use crate::secrets::ReadError;

    const JSON: &str = r#"{"n": 1.5, "a": [1], "b": true, "o": {}, "z": null, "s": "hunter2"}"#;

    fn look(key: &str, property: Option<&str>) -> Result<Kind, Code> {
        let mut stored = secret(&[("json", JSON), ("text", "hunter2"), ("tls.crt", "hunter2")]);
        stored.entries.insert("bytes".to_owned(), vec![0xff].into());
        let query = query(&query_of_key(key, property), &policy()).map_err(|error| error.code)?;
        judge(&query, &policy(), &read(stored)).map_err(|error| error.code)
    }

    #[test]
    fn the_kind_of_an_answer_is_told() {
        for (property, kind) in [
            ("text", Kind::Text { object: false }),
            ("tls.crt", Kind::Text { object: false }),
            ("json", Kind::Text { object: true }),
            ("json.s", Kind::Text { object: false }),
            ("json.n", Kind::Json("a number")),
            ("json.a", Kind::Json("a JSON array")),
            ("json.b", Kind::Json("a boolean")),
            ("json.o", Kind::Json("a JSON object")),
            ("json.z", Kind::Null),
        ] {
            assert_eq!(look("apps/k", Some(property)), Ok(kind.clone()), "{property}");
            assert!(!kind.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn the_code_of_a_refusal_is_the_services_own() {
        for (key, property, code) in [
            ("apps/k", Some("bytes"), Code::NotText),
            ("apps/k", Some("no"), Code::NoSuchEntry),
            ("apps/k", Some("json.no"), Code::NoSuchPath),
            ("apps/k", None, Code::NotText),
            ("other/k", None, Code::NamespaceNotServed),
            ("jwt-token", None, Code::NeverServed),
            ("K", None, Code::InvalidKey),
            ("key=k&pat=x", None, Code::UnknownParameter),
            ("", None, Code::MissingKey),
        ] {
            assert_eq!(look(key, property), Err(code), "{key} {property:?}");
        }
        let plain = query("key=k", &policy()).unwrap();
        let mut unlabelled = secret(&[]);
        unlabelled.labels.clear();
        let code = |read: &Read| judge(&plain, &policy(), read).map_err(|problem| problem.code);
        assert_eq!(code(&read(unlabelled)), Err(Code::NotLabelled));
        assert_eq!(code(&Err(ReadError::NotFound)), Err(Code::NoSuchSecret));
    }

    #[test]
    fn what_a_refusal_is_about_is_named() {
        for (key, property, named) in [
            ("key=k&propety=x", None, "(parameter \"propety\")"),
            ("key=k&key=l", None, "(parameter \"key\")"),
            ("apps/K", None, "(a Secret's name is"),
            ("apps/k", Some("no"), "(entry \"no\")"),
        ] {
            let query = query(&query_of_key(key, property), &policy());
            let checks = checks(&query, &policy(), Some(&read(secret(&[("text", "hunter2")]))));
            let finding = &checks.last().unwrap().finding;
            assert!(finding.contains(named), "{key}: {finding}");
        }
    }

    #[test]
    fn what_eso_makes_of_it_depends_on_the_way() {
        let text = Kind::Text { object: false };
        let entries = Kind::Entries(vec!["a".to_owned()]);
        assert!(in_eso(&text, How::Data).is_ok());
        assert!(in_eso(&text, How::Extract).is_err());
        assert!(in_eso(&Kind::Text { object: true }, How::Extract).is_ok());
        assert!(in_eso(&Kind::Json("a JSON object"), How::Extract).is_ok());
        assert!(in_eso(&Kind::Json("a number"), How::Extract).is_err());
        assert!(in_eso(&Kind::Null, How::Extract).is_err());
        assert!(in_eso(&entries, How::Extract).is_ok());
        assert!(in_eso(&entries, How::Find).is_err());
    }

    #[test]
    fn no_line_shows_a_value() {
        for property in [None, Some("json"), Some("json.s"), Some("text"), Some("text.x")] {
            let query = query(&query_of_key("apps/k", property), &policy());
            let stored = read(secret(&[("json", JSON), ("text", "hunter2")]));
            let checks = checks(&query, &policy(), Some(&stored));
            assert!(!format!("{checks:?}").contains("hunter2"));
        }
    }

    #[test]
    fn a_key_that_may_not_be_looked_at_is_no_fault() {
        let query = query("key=k", &policy());
        let checks = checks(&query, &policy(), Some(&Err(ReadError::Forbidden)));
        assert_eq!(faults(&checks), Vec::<&str>::new());
        assert_eq!(checks.last().map(|check| check.status), Some(Status::Unknown));
    }
}
