//! What a request asks for: the grammar of the query string (pure).

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::secrets::{InvalidName, Namespace, SecretName};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The Secret.
    pub secret: SecretName,
    /// The entry, or the path into it; without one the whole Secret is meant.
    pub property: Option<String>,
    /// How values are written.
    pub encoding: Encoding,
}

/// How values are written in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As they are.
    Plain,
    /// In base64 (RFC 4648, section 4).
    Base64,
}

/// Why a query string asks for nothing that can be answered. Only names of parameters are kept,
/// never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A bad percent escape, text that is not UTF-8, or a control character.
    #[error("the query string is not properly percent-encoded text")]
    Malformed,
    /// A parameter that does not exist, by its name.
    #[error("unknown parameter")]
    UnknownParameter(String),
    /// A parameter that is given twice, by its name.
    #[error("repeated parameter")]
    RepeatedParameter(String),
    /// No `key`, or an empty one.
    #[error("no key")]
    MissingKey,
    /// `key` names no Secret.
    #[error("the key is no Secret's name: {0}")]
    InvalidKey(#[from] InvalidName),
    /// `property` and `path`, or the one inside the nested form and the one outside, differ.
    #[error("property and path differ")]
    ConflictingProperty,
    /// An `encoding` other than `base64`.
    #[error("unknown encoding")]
    UnknownEncoding,
    /// A `version` that is not empty.
    #[error("Secrets have no versions")]
    NoVersions,
}

/// The parameters of a query string, and of the nested form inside its `key`.
#[derive(Default)]
struct Parameters {
    key: Option<String>,
    property: Option<String>,
    path: Option<String>,
    encoding: Option<String>,
    version: Option<String>,
}

impl Query {
    /// Reads a raw query string; plain names are in `default`.
    ///
    /// Decoding is strict, and `+` is a space, as Go's `url.QueryEscape` writes it. An optional
    /// parameter that is present and empty is absent.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn parse(raw: &str, default: &Namespace) -> Result<Self, QueryError> {
        let outer = Parameters::parse(raw, &["key", "property", "path", "encoding", "version"])?;
        if filled(outer.version).is_some() {
            return Err(QueryError::NoVersions);
        }
        let encoding = match filled(outer.encoding).as_deref() {
            None => Encoding::Plain,
            Some("base64") => Encoding::Base64,
            Some(_) => return Err(QueryError::UnknownEncoding),
        };
        let mut key = filled(outer.key).ok_or(QueryError::MissingKey)?;
        let mut inner = Parameters::default();
        // Neither character occurs in a Secret's name: only the nested form has them.
        if key.contains(['=', '&']) {
            inner = Parameters::parse(&key, &["key", "property", "path"])?;
            key = filled(inner.key).ok_or(QueryError::MissingKey)?;
        }
        let property = only([outer.property, outer.path, inner.property, inner.path])?;
        let secret = SecretName::parse(&key, default)?;
        Ok(Self { secret, property, encoding })
    }
}

impl Parameters {
    fn parse(raw: &str, known: &[&str]) -> Result<Self, QueryError> {
        let mut parameters = Self::default();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            match parameters.slot(&name).filter(|_| known.contains(&name.as_str())) {
                None => return Err(QueryError::UnknownParameter(name)),
                Some(Some(_)) => return Err(QueryError::RepeatedParameter(name)),
                Some(slot) => *slot = Some(value),
            }
        }
        Ok(parameters)
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
        match name {
            "key" => Some(&mut self.key),
            "property" => Some(&mut self.property),
            "path" => Some(&mut self.path),
            "encoding" => Some(&mut self.encoding),
            "version" => Some(&mut self.version),
            _ => None,
        }
    }
}

fn filled(parameter: Option<String>) -> Option<String> {
    parameter.filter(|value| !value.is_empty())
}

/// The one value that all agree on, if any is given.
fn only(synonyms: [Option<String>; 4]) -> Result<Option<String>, QueryError> {
    let mut given = synonyms.into_iter().filter_map(filled);
    let first = given.next();
    if given.any(|other| Some(&other) != first.as_ref()) {
        return Err(QueryError::ConflictingProperty);
    }
    Ok(first)
}

fn decode(raw: &str) -> Result<String, QueryError> {
    let spaced = if raw.contains('+') { Cow::Owned(raw.replace('+', " ")) } else { raw.into() };
    // The crate passes bad escapes through; here they are errors.
    for escape in spaced.split('%').skip(1) {
        if !escape.as_bytes().get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) {
            return Err(QueryError::Malformed);
        }
    }
    let text = percent_decode_str(&spaced).decode_utf8().map_err(|_| QueryError::Malformed)?;
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(QueryError::Malformed);
    }
    Ok(text.into_owned())
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    /// `namespace/name`, and `|property` where there is one, and `|base64`.
    fn parse(raw: &str) -> Result<String, QueryError> {
        let query = Query::parse(raw, &"default".parse().unwrap())?;
        let property = query.property.map(|property| format!("|{property}"));
        let encoding = if query.encoding == Encoding::Base64 { "|base64" } else { "" };
        Ok(format!("{}{}{encoding}", query.secret, property.unwrap_or_default()))
    }

    #[test]
    fn each_form_of_a_key_is_read() {
        for (raw, meaning) in [
            ("key=a", "default/a"),
            ("key=ns/a", "ns/a"),
            ("key=ns%2Fa", "ns/a"),
            ("k%65y=a", "default/a"),
            ("&key=a&", "default/a"),
            ("key=a&property=p", "default/a|p"),
            ("key=a&path=p.q", "default/a|p.q"),
            ("key=a&property=p&path=p", "default/a|p"),
            ("key=a&property=&path=&encoding=&version=", "default/a"),
            ("key=a&property", "default/a"),
            ("key=a&encoding=base64", "default/a|base64"),
            ("key=a&property=x+y%2Bz", "default/a|x y+z"),
            ("key=a&property=%C3%A4", "default/a|ä"),
            ("key=a&property=a=b", "default/a|a=b"),
            ("key=a&property=a%26b%3Fc%23d", "default/a|a&b?c#d"),
            ("key=key=a&path=p.q", "default/a|p.q"),
            (
                "key=key%3Dcoca-cola.cluster-001%26path%3Dn.s.v",
                "default/coca-cola.cluster-001|n.s.v",
            ),
            ("key=key%3Dns%252Fa%26property%3Dp%2Bq%252Br", "ns/a|p q+r"),
            ("key=key%3Da%26path%3Dp&property=p", "default/a|p"),
            ("key=path%3Dp%26key%3Da", "default/a|p"),
        ] {
            assert_eq!(parse(raw).as_deref(), Ok(meaning), "{raw}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        use QueryError::*;
        let unknown = |name: &str| UnknownParameter(name.to_owned());
        let repeated = |name: &str| RepeatedParameter(name.to_owned());
        for (raw, error) in [
            ("", MissingKey),
            ("key", MissingKey),
            ("key=", MissingKey),
            ("property=p", MissingKey),
            ("key=path%3Dp", MissingKey),
            ("key=key%3D", MissingKey),
            ("key=a&key=a", repeated("key")),
            ("key=a&property=&property=", repeated("property")),
            ("key=a&version=&version=", repeated("version")),
            ("key=key%3Da%26key%3Db", repeated("key")),
            ("key=a&propety=p", unknown("propety")),
            ("key=a&Key=a", unknown("Key")),
            ("key=a&access_token=eyJ", unknown("access_token")),
            ("key=key%3Da%26encoding%3Dbase64", unknown("encoding")),
            ("key=key%3Da%26version%3D", unknown("version")),
            ("key=a%3Db", unknown("a")),
            ("key=a%26b", unknown("a")),
            ("key=a&property=p&path=q", ConflictingProperty),
            ("key=key%3Da%26path%3Dp&property=q", ConflictingProperty),
            ("key=a&encoding=hex", UnknownEncoding),
            ("key=a&encoding=BASE64", UnknownEncoding),
            ("key=a&version=1", NoVersions),
            ("key=%zz", Malformed),
            ("key=a%", Malformed),
            ("key=a%4", Malformed),
            ("key=%+1", Malformed),
            ("key=%ff", Malformed),
            ("key=%C0%AF", Malformed),
            ("key=%ED%A0%80", Malformed),
            ("key=a%00", Malformed),
            ("key=a%0D%0A", Malformed),
            ("key=a&property=p%0A", Malformed),
            ("%ff=a", Malformed),
            ("key=key%3Da%25zz", Malformed),
        ] {
            assert_eq!(parse(raw), Err(error), "{raw}");
        }
    }

    #[test]
    fn a_key_is_decoded_once_and_must_be_a_kubernetes_name() {
        let long = format!("key={}", "a".repeat(254));
        for raw in [
            "key=..%2Fa",
            "key=../a",
            "key=%252e%252e%252fa",
            "key=a%252Fb",
            "key=a?b",
            "key=a%23b",
            "key=a+b",
            "key=%20a",
            "key=%C3%A4",
            "key=Aa",
            "key=a/b/c",
            "key=/a",
            "key=a/",
            "key=.",
            "key=key%3Dkey%253Da",
            &long,
        ] {
            assert!(
                matches!(parse(raw), Err(QueryError::InvalidKey(_))),
                "{raw}: {:?}",
                parse(raw)
            );
        }
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_answered(raw in "\\PC*") {
            let _ = parse(&raw);
        }

        #[test]
        fn what_a_caller_encodes_is_what_is_read(
            name in "[a-z0-9]{1,20}",
            property in "[^\\p{Cc}]{1,40}|[a-zA-Z0-9._ +%&=/-]{1,40}",
            nested: bool,
        ) {
            let once = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            let raw = if nested {
                format!("key={}", once(&format!("key={name}&path={}", once(&property))))
            } else {
                format!("key={name}&property={}", once(&property))
            };
            let query = Query::parse(&raw, &"default".parse().unwrap()).unwrap();
            prop_assert_eq!(query.property, Some(property));
        }
    }
}
