//! The documents of a file, taken apart as kubectl does.

use serde::de::IgnoredAny;

use super::{Mark, Unreadable};

/// One document of a file.
pub(super) struct Document<'a> {
    pub text: &'a str,
    /// Where it begins.
    pub start: Mark,
    pub syntax: Syntax,
}

/// How a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    Json,
    Yaml,
}

/// What is done with each document.
type Take<'a, 't> = &'t mut dyn FnMut(Document<'a>) -> Result<(), Unreadable>;

/// Takes a file apart. What begins with `{` is JSON, one document after the other, as far as that
/// goes. What is not, and what follows one document of JSON and is none, is YAML.
pub(super) fn each<'a>(text: &'a str, take: Take<'a, '_>) -> Result<(), Unreadable> {
    let mut rest = Rest { text, start: Mark { line: 1, column: 1 } }.without_bom();
    let mut of_json = 0;
    if rest.text.trim_start().starts_with('{') {
        (rest, of_json) = rest.json(take)?;
    }
    let white = rest.text.len() - rest.text.trim_ascii_start().len();
    if of_json > 1 && white < rest.text.len() {
        return Err(rest.split_at(white).1.start.refused("not valid JSON"));
    }
    rest.yaml(take)
}

/// What is left of a file, and where that begins.
#[derive(Clone, Copy)]
struct Rest<'a> {
    text: &'a str,
    start: Mark,
}

impl<'a> Rest<'a> {
    fn split_at(self, middle: usize) -> (&'a str, Self) {
        let (text, rest) = self.text.split_at_checked(middle).unwrap_or((self.text, ""));
        (text, Self { text: rest, start: self.start.after(text) })
    }

    fn without_bom(self) -> Self {
        Self { text: self.text.strip_prefix('\u{feff}').unwrap_or(self.text), ..self }
    }

    /// Takes the documents of JSON at the beginning, and says how many they are.
    fn json(mut self, take: Take<'a, '_>) -> Result<(Self, usize), Unreadable> {
        for count in 0.. {
            let stream = serde_json::Deserializer::from_str(self.text);
            let mut values = stream.into_iter::<IgnoredAny>();
            let Some(Ok(_)) = values.next() else { return Ok((self, count)) };
            let (text, rest) = self.split_at(values.byte_offset());
            take(Document { text, start: self.start, syntax: Syntax::Json })?;
            self = rest;
        }
        Ok((self, usize::MAX))
    }

    /// Takes the documents of YAML, which lines that begin with `---` separate.
    fn yaml(mut self, take: Take<'a, '_>) -> Result<(), Unreadable> {
        loop {
            let separator = match self.text {
                text if text.starts_with("---") => Some(0),
                text => text.find("\n---").map(|at| at + 1),
            };
            let (text, rest) = self.split_at(separator.unwrap_or(self.text.len()));
            let document = Self { text, ..self }.without_bom();
            document.printable()?;
            take(Document { text: document.text, start: document.start, syntax: Syntax::Yaml })?;
            if separator.is_none() {
                return Ok(());
            }
            let line = rest.text.find('\n').map_or(rest.text.len(), |end| end + 1);
            let (separator, after) = rest.split_at(line);
            let comment = separator.trim_start_matches("---").trim();
            if !(comment.is_empty() || comment.starts_with('#')) {
                return Err(rest.start.refused("more than a comment on the line of a ---"));
            }
            self = after;
        }
    }

    /// Refuses characters that kubectl refuses, and those that only YAML 1.1 takes for line breaks:
    /// there a text would be another one than here.
    fn printable(self) -> Result<(), Unreadable> {
        let bad = |c: char| match c {
            '\t' | '\n' | '\r' => false,
            '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}' => true,
            c => c.is_control(),
        };
        match self.text.find(bad) {
            Some(at) => {
                Err(self.split_at(at).1.start.refused("a character that YAML does not allow"))
            }
            None => Ok(()),
        }
    }
}
