//! docs/reliability.md names the test of each fault.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::Path;

/// All Rust files of a folder, one behind the other.
fn sources(folder: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all += &sources(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all += &fs::read_to_string(path).unwrap();
        }
    }
    all
}

#[test]
fn each_test_named_in_the_documentation_exists() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = sources(&project.join("src")) + &sources(&project.join("tests"));
    let document = fs::read_to_string(project.join("docs/reliability.md")).unwrap();
    let (_, faults) = document.split_once("## What may go wrong").unwrap();
    let mut numbers = 0;
    for line in faults.lines() {
        let Some((_, tests)) = line.trim_end_matches(" |").rsplit_once(" | ") else { continue };
        let names: Vec<&str> =
            tests.split(", ").filter_map(|name| name.strip_prefix('`')).collect();
        let numbered =
            line.trim_start_matches("| ").starts_with(|first: char| first.is_ascii_digit());
        assert_eq!(numbered, !names.is_empty(), "{line}");
        numbers += usize::from(numbered);
        for name in names {
            let name = name.trim_end_matches('`');
            // As a function, or as libtest-mimic lists it.
            let listed = [format!("fn {name}("), format!("\"{name}\""), format!("::{name}\"")];
            assert!(
                listed.iter().any(|listed| sources.contains(listed)),
                "there is no test {name}"
            );
        }
    }
    assert!(numbers > 60, "only {numbers} faults");
}
