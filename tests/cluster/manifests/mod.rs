//! A folder of manifests against the oracle: what kubectl and the API server make of the same files.

mod cases;
mod files;

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Result, ensure};
use futures_util::StreamExt;
use futures_util::stream;
use k8s_openapi::List;
use k8s_openapi::api::core::v1::Secret;
use libtest_mimic::Trial;
use vsecm_scout::secrets::{Manifests, ReadError, SecretName, SecretStore, manifest};

use crate::harness::{self, ControlPlane, trial};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        trial(
            "manifests::a_folder_reads_what_kubectl_creates_and_refuses_what_it_refuses",
            a_folder_reads_what_kubectl_creates_and_refuses_what_it_refuses,
        ),
        trial(
            "manifests::a_folder_differs_from_kubectl_only_on_purpose",
            a_folder_differs_from_kubectl_only_on_purpose,
        ),
        trial(
            "manifests::random_yaml_is_read_as_kubectl_reads_it",
            random_yaml_is_read_as_kubectl_reads_it,
        ),
    ]
}

/// What is served of a Secret: its type, labels, annotations and entries.
type Content =
    (String, BTreeMap<String, String>, BTreeMap<String, Vec<u8>>, BTreeMap<String, Vec<u8>>);

/// The Secrets of one file by `namespace/name`, or why it was refused.
type Outcome = Result<BTreeMap<String, Content>, String>;

async fn a_folder_reads_what_kubectl_creates_and_refuses_what_it_refuses() -> Result<()> {
    let head = "apiVersion: v1\nkind: Secret\nmetadata: {name: NAME";
    let entries =
        cases::STRING_DATA.iter().map(|pairs| format!("{head}}}\nstringData: {{{pairs}}}\n"));
    let lines = cases::LINES.iter().map(|lines| format!("{head}}}\n{lines}\n"));
    let fields =
        cases::METADATA.iter().map(|field| format!("{head}, {field}}}\nstringData: {{k: v}}\n"));
    let files = entries.chain(lines).chain(fields).chain(files::files()).collect();
    agree(compare("manifests-table", files).await?)
}

async fn a_folder_differs_from_kubectl_only_on_purpose() -> Result<()> {
    let (reasons, files): (Vec<_>, Vec<_>) = files::refused_on_purpose().into_iter().unzip();
    for (reason, (file, kubectl, folder)) in
        reasons.iter().zip(compare("manifests-refused", files).await?)
    {
        ensure!(kubectl.is_ok() && folder.is_err(), "{reason}: {file}\n{kubectl:?}\n{folder:?}");
    }
    let (reasons, files): (Vec<_>, Vec<_>) = files::read_on_purpose().into_iter().unzip();
    for (reason, (file, kubectl, folder)) in
        reasons.iter().zip(compare("manifests-read", files).await?)
    {
        ensure!(kubectl.is_err() && folder.is_ok(), "{reason}: {file}\n{kubectl:?}\n{folder:?}");
    }
    Ok(())
}

async fn random_yaml_is_read_as_kubectl_reads_it() -> Result<()> {
    const PIECES: [&str; 40] = [
        "a",
        "b",
        "0",
        "1",
        "_",
        ".",
        "-",
        "+",
        "e",
        "x",
        "y",
        "é",
        " ",
        " ",
        "  ",
        ": ",
        " #",
        "#",
        ",",
        "[",
        "]",
        "{",
        "}",
        "*",
        "&",
        "|",
        ">",
        "'",
        "\"",
        "\\",
        "\\n",
        "=",
        "~",
        "null",
        "on",
        "\n    ",
        "\n     ",
        "\n\n    ",
        "\n  j: ",
        "\n  # c\n    ",
    ];
    const STYLES: [(&str, &str); 7] = [
        ("", ""),
        ("", ""),
        ("'", "'"),
        ("\"", "\""),
        ("|\n    ", ""),
        (">-\n    ", ""),
        ("|2+\n     ", "\n\n"),
    ];
    let mut random = fastrand::Rng::with_seed(14);
    let mut file = || {
        let (begin, end) = random.choice(STYLES).unwrap_or_default();
        let pieces: String = (0..random.usize(..9)).filter_map(|_| random.choice(PIECES)).collect();
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: NAME}}\nstringData:\n  k: {begin}{pieces}{end}\n"
        )
    };
    let files = (0..150).map(|_| file()).collect();
    let compared = compare("manifests-random", files).await?;
    let taken = compared.iter().filter(|(_, kubectl, _)| kubectl.is_ok()).count();
    ensure!((50..=130).contains(&taken), "kubectl took {taken} of {}", compared.len());
    agree(compared)
}

/// Whether both made the same of each file.
fn agree(compared: Vec<(String, Outcome, Outcome)>) -> Result<()> {
    let differ: Vec<String> = compared
        .into_iter()
        .filter(|(_, kubectl, folder)| kubectl.as_ref().ok() != folder.as_ref().ok())
        .map(|(file, kubectl, folder)| {
            format!("{:.400}\nkubectl: {kubectl:.400?}\nfolder: {folder:.400?}\n", file)
        })
        .collect();
    ensure!(differ.is_empty(), "{} differ:\n{}", differ.len(), differ.join("\n"));
    Ok(())
}

/// What kubectl and a folder make of each file.
async fn compare(prefix: &str, files: Vec<String>) -> Result<Vec<(String, Outcome, Outcome)>> {
    let plane = harness::shared().await?;
    let namespace = plane.namespace(prefix).await?;
    let name = |index: usize| format!("{prefix}-{index:03}");
    let files: Vec<String> = (0..)
        .zip(files)
        .map(|(index, file)| file.replace("NAMESPACE", &namespace).replace("NAME", &name(index)))
        .collect();
    let kubectl = plane.kubectl();
    let refusals: Vec<Option<String>> = stream::iter(&files)
        .map(|file| async {
            match kubectl.run_with(&["create", "-f", "-"], file).await {
                Ok(_) => None,
                Err(error) => {
                    Some(format!("{error:#}")).filter(|why| !why.contains("no objects passed"))
                }
            }
        })
        .buffered(4)
        .collect()
        .await;
    let stored = stored(&plane).await?;
    let mut compared = Vec::new();
    for (index, (file, refusal)) in files.into_iter().zip(refusals).enumerate() {
        let own = stored.iter().filter(|(full, _)| full.contains(&format!("/{}", name(index))));
        let own = own.map(|(name, content)| (name.clone(), content.clone())).collect();
        let folder = in_folder(&file, &format!("default/{}", name(index))).await?;
        compared.push((file, refusal.map_or(Ok(own), Err), folder));
    }
    Ok(compared)
}

/// All Secrets of the API server.
async fn stored(plane: &ControlPlane) -> Result<BTreeMap<String, Content>> {
    let list = plane.kubectl().run(&["get", "--raw", "/api/v1/secrets"]).await?;
    let list: List<Secret> = serde_json::from_str(&list)?;
    let content = |secret: Secret| {
        let metadata = secret.metadata;
        let name = format!(
            "{}/{}",
            metadata.namespace.unwrap_or_default(),
            metadata.name.unwrap_or_default()
        );
        let annotations = metadata.annotations.unwrap_or_default().into_iter();
        let content = (
            secret.type_.unwrap_or_default(),
            metadata.labels.unwrap_or_default(),
            annotations.map(|(key, value)| (key, value.into_bytes())).collect(),
            secret
                .data
                .unwrap_or_default()
                .into_iter()
                .map(|(key, value)| (key, value.0))
                .collect(),
        );
        (name, content)
    };
    Ok(list.items.into_iter().map(content).collect())
}

/// What a folder with this one file serves. A file that is refused says of no Secret that it is not
/// there.
async fn in_folder(file: &str, name: &str) -> Result<Outcome> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("manifest.yaml"), file)?;
    let source = Manifests::open(folder.path().to_owned())?;
    let found = match manifest::parse(file.as_bytes()) {
        Ok(found) => found,
        Err(why) => {
            let name = SecretName::parse(name, &"default".parse()?)?;
            let read = source.read(&name).await;
            ensure!(read.err() == Some(ReadError::UnreadableManifest), "{why}: {file}");
            return Ok(Err(why.to_string()));
        }
    };
    let mut secrets = BTreeMap::new();
    for entry in found {
        let secret = match source.read(&entry.name).await {
            Ok(secret) => secret,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let bytes = |map: &BTreeMap<String, vsecm_scout::secrets::SecretBytes>| {
            map.iter().map(|(key, value)| (key.clone(), value.to_vec())).collect()
        };
        let content = (
            secret.kind.clone(),
            secret.labels.clone(),
            bytes(&secret.annotations),
            bytes(&secret.entries),
        );
        secrets.insert(entry.name.to_string(), content);
    }
    Ok(Ok(secrets))
}
