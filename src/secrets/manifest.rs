//! The Secrets in the text of one YAML or JSON file (pure).

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use super::{Namespace, Place, Secret, SecretBytes, SecretName};

/// One Secret of a file.
pub struct Entry {
    /// Which Secret.
    pub name: SecretName,
    /// The line on which its manifest begins, counted from 1; 0 where it is not known.
    pub line: u64,
    /// What it holds, or which of its entries is not base64.
    pub secret: Result<Secret, Unreadable>,
}

/// Why a file is not readable as Kubernetes manifests, and where. It never quotes a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The line, counted from 1; 0 where it is not known.
    pub line: u64,
    /// The column in characters, likewise.
    pub column: u64,
    /// The path of the field, such as `stringData.port`, where the file's names can be shown.
    pub field: Option<String>,
    /// What is wrong, in fixed words.
    pub reason: &'static str,
}

impl Unreadable {
    const fn somewhere(reason: &'static str) -> Self {
        Self { line: 0, column: 0, field: None, reason }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}, column {}, ", self.line, self.column)?;
        }
        if let Some(field) = &self.field {
            write!(f, "field {field}: ")?;
        }
        f.write_str(self.reason)
    }
}

impl std::error::Error for Unreadable {}

const NOT_BASE64: &str = "not base64";
const NO_MANIFESTS: &str = "not readable as Kubernetes manifests";

/// Reads the Secrets in one file: several documents, `List`s unpacked, other kinds ignored. A
/// Secret without a namespace is in `default`, as for `kubectl apply`.
///
/// # Errors
/// Where one document is not readable, or the file is empty: an editor that has just truncated
/// it must not look like somebody who deleted the Secrets.
pub fn parse(text: &[u8]) -> Result<Vec<Entry>, Unreadable> {
    let text = std::str::from_utf8(text).map_err(|_| Unreadable::somewhere("not UTF-8"))?;
    if text.is_empty() {
        return Err(Unreadable::somewhere("the file is empty"));
    }
    // The defaults are for small configurations; a `List` may hold 10,000 Secrets. What stops
    // alias bombs are the limits on aliases, and those stay.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 50_000_000,
            max_nodes: 20_000_000,
            max_documents: 1_000_000,
            max_total_scalar_bytes: 1 << 30,
        },
        with_snippet: false,
    };
    let documents: Vec<Document> = serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|error| {
            let nowhere = Unreadable::somewhere(NO_MANIFESTS);
            error.location().map_or(nowhere.clone(), |at| Unreadable {
                line: at.line(),
                column: at.column(),
                ..nowhere
            })
        })?;
    let mut found = Vec::new();
    for document in documents {
        document.unpack(&mut found)?;
    }
    Ok(found)
}

/// A document by its `kind`.
#[derive(Deserialize)]
#[serde(tag = "kind")]
enum Document {
    Secret(Box<Manifest>),
    List {
        #[serde(default)]
        items: Vec<Document>,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    api_version: String,
    metadata: Metadata,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    data: Option<BTreeMap<String, SecretBytes>>,
    #[serde(default)]
    string_data: Option<BTreeMap<String, SecretBytes>>,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, SecretBytes>>,
}

impl Document {
    fn unpack(self, found: &mut Vec<Entry>) -> Result<(), Unreadable> {
        match self {
            Self::Secret(manifest) if manifest.api_version == "v1" => {
                found.push(manifest.into_entry().ok_or(Unreadable::somewhere(NO_MANIFESTS))?);
            }
            Self::List { items } => {
                for item in items {
                    item.unpack(found)?;
                }
            }
            Self::Secret(_) | Self::Other => {}
        }
        Ok(())
    }
}

impl Manifest {
    /// `None` where Kubernetes would refuse the name.
    fn into_entry(self) -> Option<Entry> {
        let namespace = self.metadata.namespace.as_deref().unwrap_or("default");
        let namespace: Namespace = namespace.parse().ok()?;
        let name = SecretName::new(namespace, &self.metadata.name).ok()?;
        Some(Entry { name, line: 0, secret: self.into_secret() })
    }

    fn into_secret(self) -> Result<Secret, Unreadable> {
        let mut entries = BTreeMap::new();
        for (entry, text) in self.data.unwrap_or_default() {
            let bytes = text.decode_base64().map_err(|_| Unreadable {
                field: Some(format!("data.{entry}")),
                ..Unreadable::somewhere(NOT_BASE64)
            })?;
            entries.insert(entry, bytes);
        }
        for (entry, text) in self.string_data.unwrap_or_default() {
            entries.insert(entry, text);
        }
        Ok(Secret {
            kind: self.kind.unwrap_or_else(|| "Opaque".to_owned()),
            labels: self.metadata.labels.unwrap_or_default(),
            annotations: self.metadata.annotations.unwrap_or_default(),
            entries,
            place: Place::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `namespace/name`, and the entries as text.
    type Found = (String, Vec<(String, String)>);

    fn found(text: &str) -> Result<Vec<Found>, Unreadable> {
        let secrets = parse(text.as_bytes())?.into_iter().map(|Entry { name, secret, .. }| {
            let entries = secret.map(|secret| secret.entries).unwrap_or_default();
            let texts = entries
                .iter()
                .map(|(entry, bytes)| (entry.clone(), String::from_utf8_lossy(bytes).into_owned()));
            (name.to_string(), texts.collect())
        });
        Ok(secrets.collect())
    }

    fn one(name: &str, entry: &str, text: &str) -> Found {
        (name.to_owned(), vec![(entry.to_owned(), text.to_owned())])
    }

    const HEAD: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n";

    #[test]
    fn data_and_string_data_are_read_and_string_data_wins() {
        let text = format!("{HEAD}data: {{k: b2xk}}\nstringData: {{k: new}}\n");
        assert_eq!(found(&text), Ok(vec![one("default/a", "k", "new")]));
        let text = format!("{HEAD}data:\n  k: |\n    b2\n    xk\n");
        assert_eq!(found(&text), Ok(vec![one("default/a", "k", "old")]));
    }

    #[test]
    fn several_documents_lists_and_json_are_read_and_other_kinds_ignored() {
        let text = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {n: 1}\n\
                    ---\napiVersion: other.io/v1\nkind: Secret\nmetadata: {name: d}\n---\n\
                    apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  \
                    metadata: {name: e, namespace: ns}\n  stringData: {k: v}\n---\n";
        assert_eq!(found(text), Ok(vec![one("ns/e", "k", "v")]));
        let json =
            r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"j"},"data":{"k":"dg=="}}"#;
        assert_eq!(found(json), Ok(vec![one("default/j", "k", "v")]));
        assert_eq!(found(HEAD), Ok(vec![("default/a".to_owned(), vec![])]));
        assert_eq!(found(&format!("{HEAD}data:\nstringData:\n")).map(|all| all.len()), Ok(1));
    }

    #[test]
    fn what_kubectl_would_refuse_makes_the_file_unreadable() {
        for bad in [
            "".to_owned(),
            "{".to_owned(),
            "just text".to_owned(),
            "kind: [1]\n".to_owned(),
            "apiVersion: v1\nmetadata: {name: a}\n".to_owned(),
            "apiVersion: v1\nkind: Secret\n".to_owned(),
            "apiVersion: v1\nkind: Secret\nmetadata: {name: UPPER}\n".to_owned(),
            "apiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: a.b}\n".to_owned(),
            format!("{HEAD}stringData: {{k: 1}}\n"),
            format!("{HEAD}stringData: {{k: true}}\n"),
            format!("{HEAD}stringData: {{k: yes}}\n"),
            format!("{HEAD}stringData: {{k: }}\n"),
            format!("{HEAD}stringData: {{k: [a]}}\n"),
            format!("{HEAD}stringData: {{k: a, k: b}}\n"),
            format!("{HEAD}data: text\n"),
            format!("{HEAD}---\n{{\n"),
        ] {
            assert!(found(&bad).is_err(), "{bad:?} was read");
        }
    }

    #[test]
    fn an_entry_that_is_not_base64_spoils_its_secret_only() {
        let text = format!("{HEAD}data: {{k: '***'}}\n---\n{}", HEAD.replace("a}", "b}"));
        let all = parse(text.as_bytes()).unwrap();
        let error = all[0].secret.as_ref().err().unwrap();
        assert_eq!(error.field.as_deref(), Some("data.k"));
        assert!(all[1].secret.is_ok());
    }

    #[test]
    fn the_message_tells_where_and_quotes_nothing() {
        let error =
            parse(b"apiVersion: v1\nkind: Secret\nstringData: {k: [hunter2}\n").err().unwrap();
        assert!(error.line > 0);
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let alias = format!("*a{}, ", level - 1).repeat(10);
            text.push_str(&format!("a{level}: &a{level} [{alias}]\n"));
        }
        assert!(parse(format!("kind: ConfigMap\n{text}").as_bytes()).is_err());
    }
}
