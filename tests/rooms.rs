//! docs/architecture.md says which room of the code uses which other, and which libraries.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

type Names = BTreeSet<String>;

/// The rows of the table below this heading: the name in the first column, and the names in the
/// last one.
fn table(page: &str, heading: &str) -> Vec<(String, Names)> {
    let rows = page.split(heading).nth(1).unwrap().split("\n\n").next().unwrap();
    let row = |row: &str| {
        let cells: Vec<_> = row.trim_matches('|').split('|').collect();
        let names = |cell: &str| -> Names {
            cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
        };
        (names(cells[0]).pop_first().unwrap(), names(cells[cells.len() - 1]))
    };
    rows.lines().skip(1).filter(|line| line.starts_with("| `")).map(row).collect()
}

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md")).unwrap()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.file_name().unwrap().to_str().unwrap() {
            "tests" | "tests.rs" | "testing.rs" => {}
            _ if path.is_dir() => files(&path, found),
            name if name.ends_with(".rs") => found.push(path),
            _ => {}
        }
    }
}

/// What each room holds, without comments and without unit tests.
fn rooms() -> BTreeMap<String, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut found, mut rooms) = (Vec::new(), BTreeMap::<_, String>::new());
    files(&source, &mut found);
    for path in found {
        let room = path.strip_prefix(&source).unwrap().iter().next().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let code = rooms.entry(room.trim_end_matches(".rs").to_owned()).or_default();
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            *code += line;
            *code += "\n";
        }
    }
    rooms.retain(|room, _| !matches!(room.as_str(), "lib" | "main" | "testing"));
    rooms
}

/// The words that follow `before` in `code`.
fn named_after(code: &str, before: &str) -> Names {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let word = |rest: &str| rest.split(|c| !is_word(c)).next().unwrap().to_owned();
    code.split(before).skip(1).map(word).collect()
}

/// Whether `code` names the library `name` by a path.
fn names(code: &str, name: &str) -> bool {
    let is_path = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    code.match_indices(&format!("{name}::")).any(|(at, _)| !code[..at].ends_with(is_path))
}

#[test]
fn each_room_uses_the_rooms_that_the_page_says_and_no_others() {
    let documented: BTreeMap<_, _> =
        table(&page(), "| rooms that it uses |\n").into_iter().collect();
    let mut used: BTreeMap<String, Names> = BTreeMap::new();
    for (room, code) in rooms() {
        let mut names = named_after(&code, "crate::");
        names.remove(&room);
        used.insert(room, names);
    }
    assert_eq!(documented, used);
}

#[test]
fn a_room_uses_only_rooms_that_stand_below_it() {
    let table = table(&page(), "| rooms that it uses |\n");
    for (at, (room, uses)) in table.iter().enumerate() {
        let below: Names = table[at + 1..].iter().map(|(room, _)| room.clone()).collect();
        assert!(uses.is_subset(&below), "{room}: {:?}", uses - &below);
    }
}

#[test]
fn a_library_stands_only_in_the_rooms_that_the_page_says() {
    let rooms = rooms();
    let table = table(&page(), "| rooms that name it |\n");
    assert!(table.len() >= 5, "only {} libraries", table.len());
    for (library, documented) in table {
        let named = rooms.iter().filter(|(_, code)| names(code, &library));
        let named: Names = named.map(|(room, _)| room.clone()).collect();
        assert_eq!(documented, named, "{library}");
    }
}
