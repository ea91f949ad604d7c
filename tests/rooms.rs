//! Which part of the program knows which crate, as docs/architecture.md says.

#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// The Rust files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let below = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    let all = entries.flat_map(below);
    all.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

#[test]
fn each_crate_is_known_where_the_architecture_says_and_nowhere_else() {
    let page = include_str!("../docs/architecture.md");
    let table = page.split("\n| crate | known in |\n| --- | --- |\n").nth(1).unwrap();
    let rows: Vec<_> = table.lines().map_while(|line| line.strip_prefix("| ")).collect();
    assert!(!rows.is_empty());
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let texts: Vec<_> = files(&source)
        .into_iter()
        .map(|file| {
            let name = file.strip_prefix(&source).unwrap().display().to_string();
            (name, fs::read_to_string(file).unwrap())
        })
        .collect();
    for row in rows {
        let (crates, known_in) = row.split_once(" | ").unwrap();
        let rooms: Vec<_> = known_in.split('`').skip(1).step_by(2).collect();
        for name in crates.split(", ") {
            let path = format!("{}::", name.replace('-', "_"));
            let knows = |text: &str| {
                text.match_indices(&path).any(|(at, _)| {
                    !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
                })
            };
            for (file, _) in texts.iter().filter(|(_, text)| knows(text)) {
                assert!(rooms.iter().any(|room| file.starts_with(room)), "{file} knows {name}");
            }
        }
    }
}
