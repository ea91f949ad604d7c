//! The value that answers a query, and how it is written (pure).

use std::io;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;

use crate::document::{self, Value, WalkError};
use crate::query::{Encoding, Query};
use crate::secrets::Secret;

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

/// What answers a query, before it is written.
pub struct Answer<'a> {
    content: Content<'a>,
    encoding: Encoding,
    form: Form,
}

enum Content<'a> {
    /// All entries: one JSON object of strings.
    Whole(&'a Secret),
    /// One value: a JSON string or `null`; raw, its bytes or nothing.
    One(Value<'a>),
}

impl<'a> Answer<'a> {
    /// The answer to `query` from its Secret.
    ///
    /// # Errors
    /// See [`AnswerError`].
    pub fn find(secret: &'a Secret, query: &'a Query, form: Form) -> Result<Self, AnswerError<'a>> {
        let must_be_text = form == Form::Json && query.encoding == Encoding::Plain;
        let check = |entry: &'a str, bytes: &[u8]| {
            let refused = must_be_text && std::str::from_utf8(bytes).is_err();
            if refused { Err(AnswerError::NotText { entry }) } else { Ok(()) }
        };
        let content = match &query.property {
            None => {
                secret.entries.iter().try_for_each(|(entry, bytes)| check(entry, bytes))?;
                Content::Whole(secret)
            }
            Some(path) => {
                let (entry, value) = document::find(&secret.entries, path)
                    .map_err(|error| AnswerError::Walk { error, path })?;
                check(entry, value.bytes().unwrap_or_default())?;
                Content::One(value)
            }
        };
        Ok(Self { content, encoding: query.encoding, form })
    }

    /// The form in which it is written.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }

    /// How many bytes it has.
    #[must_use]
    pub fn size(&self) -> usize {
        let mut counted = Counted(0);
        // Counting cannot fail.
        let _ = self.write(&mut counted);
        counted.0
    }

    /// Writes it.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut impl io::Write) -> io::Result<()> {
        match &self.content {
            Content::Whole(secret) => {
                let mut separator = "";
                out.write_all(b"{")?;
                for (entry, bytes) in &secret.entries {
                    out.write_all(separator.as_bytes())?;
                    serde_json::to_writer(&mut *out, entry)?;
                    out.write_all(b":")?;
                    write_string(out, bytes, self.encoding)?;
                    separator = ",";
                }
                out.write_all(b"}")
            }
            Content::One(value) => match (self.form, value.bytes()) {
                (Form::Json, None) => out.write_all(b"null"),
                (Form::Json, Some(bytes)) => write_string(out, bytes, self.encoding),
                (Form::Raw, None) => Ok(()),
                (Form::Raw, Some(bytes)) => match self.encoding {
                    Encoding::Plain => out.write_all(bytes),
                    Encoding::Base64 => write!(out, "{}", Base64Display::new(bytes, &STANDARD)),
                },
            },
        }
    }
}

/// A value as a JSON string.
fn write_string(out: &mut impl io::Write, bytes: &[u8], encoding: Encoding) -> io::Result<()> {
    match encoding {
        Encoding::Plain => {
            let text = std::str::from_utf8(bytes).map_err(io::Error::other)?;
            Ok(serde_json::to_writer(out, text)?)
        }
        Encoding::Base64 => write!(out, "\"{}\"", Base64Display::new(bytes, &STANDARD)),
    }
}

/// Counts what is written.
struct Counted(usize);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use proptest::prelude::*;

    use super::*;

    fn secret(pairs: &[(&str, &[u8])]) -> Secret {
        let entries = pairs.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec().into()));
        Secret { entries: entries.collect(), ..Secret::default() }
    }

    fn body(secret: &Secret, raw_query: &str, form: Form) -> Result<Vec<u8>, String> {
        let query = Query::parse(raw_query, &"default".parse().unwrap()).unwrap();
        let answer = Answer::find(secret, &query, form).map_err(|error| format!("{error:?}"))?;
        let mut written = Vec::new();
        answer.write(&mut written).unwrap();
        assert_eq!(answer.size(), written.len());
        Ok(written)
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
