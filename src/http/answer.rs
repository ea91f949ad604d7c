//! A Secret's value as the body of an answer.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::document::{self, Value, WalkError};
use crate::query::{Encoding, Query};
use crate::secrets::{Secret, SecretBytes};

/// The form in which a caller wants the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `application/json`.
    Json,
    /// `application/octet-stream`: one value's bytes.
    Raw,
}

/// Why there is no value to answer with, though the Secret is there. It names what was asked
/// for, never what is stored.
#[derive(Debug, PartialEq, Eq)]
pub enum AnswerError<'a> {
    /// The property leads nowhere.
    Walk {
        /// How far it led.
        error: WalkError,
        /// The property.
        path: &'a str,
    },
    /// The entry is not UTF-8.
    NotText {
        /// Its name.
        entry: &'a str,
    },
}

impl Form {
    /// Raw where `application/octet-stream` is named in so many words, JSON otherwise: an
    /// `Accept` that cannot be met is no error (RFC 9110, section 12.5.1, allows that).
    #[must_use]
    pub fn wanted(headers: &HeaderMap) -> Self {
        let accepts =
            headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let raw = accepts.flat_map(|accept| accept.split(',')).any(names_raw);
        if raw { Self::Raw } else { Self::Json }
    }
}

/// Whether one media range of `Accept` is `application/octet-stream` with a weight above 0.
fn names_raw(range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let named =
        parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/octet-stream"));
    let weight = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim_end().eq_ignore_ascii_case("q").then(|| value.trim_start().parse::<f32>())
    });
    named && weight.is_none_or(|weight| weight.is_ok_and(|weight| weight > 0.0))
}

/// The answer to `query` from its Secret.
///
/// # Errors
/// See [`AnswerError`].
pub fn answer<'a>(
    secret: &'a Secret,
    query: &'a Query,
    form: Form,
) -> Result<Response<Body>, AnswerError<'a>> {
    let body = match &query.property {
        None => object(secret, query.encoding)?,
        Some(path) => {
            let (entry, value) = document::find(&secret.entries, path)
                .map_err(|error| AnswerError::Walk { error, path })?;
            one(entry, &value, query.encoding, form)?
        }
    };
    Ok(respond(body, form))
}

fn respond(body: SecretBytes, form: Form) -> Response<Body> {
    let kind = match form {
        Form::Json => "application/json",
        Form::Raw => "application/octet-stream",
    };
    // The body is zeroed once it is sent.
    let mut response = Response::new(Body::from(Bytes::from_owner(body)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}

/// All entries as one JSON object of strings.
fn object(secret: &Secret, encoding: Encoding) -> Result<SecretBytes, AnswerError<'_>> {
    let size = secret.entries.iter().map(|(entry, bytes)| entry.len() + json_size(bytes) + 2).sum();
    let mut body = Json::with_capacity(size);
    let mut separator = '{';
    for (entry, bytes) in &secret.entries {
        body.push(separator);
        body.push_text(entry);
        body.push(':');
        body.push_value(bytes, encoding).ok_or(AnswerError::NotText { entry })?;
        separator = ',';
    }
    if secret.entries.is_empty() {
        body.push('{');
    }
    body.push('}');
    Ok(body.0.into())
}

/// One value: a JSON string or `null`; raw, the bytes or nothing.
fn one<'a>(
    entry: &'a str,
    value: &Value<'_>,
    encoding: Encoding,
    form: Form,
) -> Result<SecretBytes, AnswerError<'a>> {
    match (form, value.bytes(), encoding) {
        (Form::Json, None, _) => Ok("null".into()),
        (Form::Json, Some(bytes), _) => {
            let mut body = Json::with_capacity(json_size(bytes));
            body.push_value(bytes, encoding).ok_or(AnswerError::NotText { entry })?;
            Ok(body.0.into())
        }
        (Form::Raw, None, _) => Ok(SecretBytes::default()),
        (Form::Raw, Some(bytes), Encoding::Plain) => Ok(bytes.to_vec().into()),
        (Form::Raw, Some(bytes), Encoding::Base64) => Ok(STANDARD.encode(bytes).into()),
    }
}

/// Enough for a value in JSON, as text or in base64, unless it has much to escape: a buffer that
/// grows leaves copies behind.
fn json_size(bytes: &[u8]) -> usize {
    bytes.len() / 3 * 4 + 16
}

/// JSON text that is being written.
struct Json(Vec<u8>);

impl Json {
    fn with_capacity(size: usize) -> Self {
        Self(Vec::with_capacity(size))
    }

    fn push(&mut self, character: char) {
        self.0.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn push_text(&mut self, text: &str) {
        // Writing text to a vector cannot fail.
        let _ = serde_json::to_writer(&mut self.0, text);
    }

    /// `None` where the value is not text and should be.
    fn push_value(&mut self, bytes: &[u8], encoding: Encoding) -> Option<()> {
        match encoding {
            Encoding::Plain => self.push_text(std::str::from_utf8(bytes).ok()?),
            Encoding::Base64 => {
                let text = SecretBytes::from(STANDARD.encode(bytes));
                self.push('"');
                self.0.extend_from_slice(&text);
                self.push('"');
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secret(pairs: &[(&str, &[u8])]) -> Secret {
        let entries = pairs.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec().into()));
        Secret { entries: entries.collect(), ..Secret::default() }
    }

    fn body(secret: &Secret, raw_query: &str, form: Form) -> Result<Vec<u8>, String> {
        let query = Query::parse(raw_query, &"default".parse().unwrap()).unwrap();
        let body = match &query.property {
            None => object(secret, query.encoding),
            Some(path) => document::find(&secret.entries, path)
                .map_err(|error| AnswerError::Walk { error, path })
                .and_then(|(entry, value)| one(entry, &value, query.encoding, form)),
        };
        body.map(|body| body.to_vec()).map_err(|error| format!("{error:?}"))
    }

    fn text(secret: &Secret, raw_query: &str, form: Form) -> String {
        body(secret, raw_query, form).map_or_else(|error| error, |b| String::from_utf8(b).unwrap())
    }

    #[test]
    fn each_kind_of_value_has_its_form() {
        let json = br#"{"n": 1.50, "z": null, "s": "x\"y", "o": {"a": 1}}"#;
        let secret = secret(&[("a", b"text \"\n\xc3\xa4"), ("b", b""), ("j", json)]);
        for (query, in_json, raw) in [
            ("key=k&property=a", "\"text \\\"\\nä\"", "text \"\nä"),
            ("key=k&property=b", "\"\"", ""),
            ("key=k&property=j.n", "\"1.50\"", "1.50"),
            ("key=k&property=j.s", r#""x\"y""#, "x\"y"),
            ("key=k&property=j.o", r#""{\"a\": 1}""#, r#"{"a": 1}"#),
            ("key=k&property=j.z", "null", ""),
            ("key=k&property=j.z&encoding=base64", "null", ""),
            ("key=k&property=j.s&encoding=base64", "\"eCJ5\"", "eCJ5"),
            ("key=k&property=b&encoding=base64", "\"\"", ""),
        ] {
            assert_eq!(text(&secret, query, Form::Json), in_json, "{query}");
            assert_eq!(text(&secret, query, Form::Raw), raw, "{query}");
        }
    }

    #[test]
    fn a_whole_secret_is_an_object_of_strings() {
        assert_eq!(text(&secret(&[]), "key=k", Form::Json), "{}");
        let two = secret(&[("b", b"2"), ("a", b"\"1\"")]);
        assert_eq!(text(&two, "key=k", Form::Json), r#"{"a":"\"1\"","b":"2"}"#);
        assert_eq!(text(&two, "key=k&encoding=base64", Form::Json), r#"{"a":"IjEi","b":"Mg=="}"#);
    }

    #[test]
    fn bytes_that_are_not_text_are_never_mangled() {
        let binary = secret(&[("a", b"x"), ("bin", b"\xff\x00")]);
        let refused = "NotText { entry: \"bin\" }";
        assert_eq!(text(&binary, "key=k", Form::Json), refused);
        assert_eq!(text(&binary, "key=k&property=bin", Form::Json), refused);
        assert_eq!(text(&binary, "key=k&property=bin&encoding=base64", Form::Json), "\"/wA=\"");
        assert_eq!(
            text(&binary, "key=k&encoding=base64", Form::Json),
            r#"{"a":"eA==","bin":"/wA="}"#
        );
        assert_eq!(body(&binary, "key=k&property=bin", Form::Raw), Ok(b"\xff\x00".to_vec()));
    }

    #[test]
    fn raw_bytes_are_sent_only_where_they_are_asked_for_by_name() {
        for (accept, form) in [
            (&["application/octet-stream"][..], Form::Raw),
            (&["Application/Octet-Stream;q=0.1"], Form::Raw),
            (&["text/html", "a/b, application/octet-stream ; Q=1"], Form::Raw),
            (&["application/octet-stream;q=0"], Form::Json),
            (&["application/octet-stream;q=0.000"], Form::Json),
            (&["application/octet-stream;q=x"], Form::Json),
            (&["application/*", "*/*"], Form::Json),
            (&["application/xml"], Form::Json),
            (&[""], Form::Json),
            (&[], Form::Json),
        ] {
            let mut headers = HeaderMap::new();
            for value in accept {
                headers.append(header::ACCEPT, HeaderValue::from_static(value));
            }
            assert_eq!(Form::wanted(&headers), form, "{accept:?}");
        }
    }

    proptest! {
        #[test]
        fn texts_and_bytes_come_back_exactly(value: Vec<u8>, text in "\\PC*|[\\x00-\\x7f]*") {
            let stored = secret(&[("bin", &value)]);
            let answered = body(&stored, "key=k&property=bin&encoding=base64", Form::Json).unwrap();
            let answered: String = serde_json::from_slice(&answered).unwrap();
            prop_assert_eq!(STANDARD.decode(answered).unwrap(), value);
            let stored = secret(&[("t", text.as_bytes())]);
            let answered = body(&stored, "key=k&property=t", Form::Json).unwrap();
            prop_assert_eq!(serde_json::from_slice::<String>(&answered).unwrap(), text);
        }
    }
}
