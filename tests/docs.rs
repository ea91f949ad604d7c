//! The pages lead where they say.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn markdown_in(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(ROOT).join(folder)).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

fn pages() -> Vec<PathBuf> {
    [".", "docs", "certs", "tests/cluster"].into_iter().flat_map(markdown_in).collect()
}

/// A page without its blocks of code.
fn prose(page: &str) -> String {
    page.split("\n```").step_by(2).collect::<Vec<_>>().join("\n")
}

/// What a link to each heading of a page ends in.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let kept = |letter: &char| letter.is_alphanumeric() || "-_ ".contains(*letter);
    let anchor = |heading: &str| {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        text.chars().filter(kept).collect::<String>().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

/// The targets of a page's links that are in this repository.
fn links(page: &str) -> impl Iterator<Item = &str> {
    let targets = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.starts_with("http"))
}

#[test]
fn each_link_leads_to_a_file_and_its_heading() {
    let mut seen = 0;
    for path in pages() {
        let page = prose(&read(&path));
        for link in links(&page) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link} is not there", path.display());
            let found =
                anchor.is_empty() || anchors(&prose(&read(&target))).contains(&anchor.to_owned());
            assert!(found, "{}: {link} is no heading there", path.display());
            seen += 1;
        }
    }
    assert!(seen > 60, "only {seen} links");
}

#[test]
fn readme_leads_to_every_page() {
    let readme = read(&Path::new(ROOT).join("README.md"));
    let (_, list) = readme.split_once("\n## Where to read on\n").unwrap();
    for folder in [".", "docs"] {
        for path in markdown_in(folder) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let name = if folder == "." { name.to_owned() } else { format!("{folder}/{name}") };
            assert!(name == "README.md" || list.contains(&format!("]({name})")), "{name}");
        }
    }
}

/// A recipe that names a file which has moved sends people astray.
#[test]
fn each_file_that_contributing_names_is_there() {
    let page = prose(&read(&Path::new(ROOT).join("CONTRIBUTING.md")));
    let quoted = page.split('`').skip(1).step_by(2);
    let is_path = |text: &&str| !text.contains(' ') && (text.contains('/') || text.contains(".md"));
    let files: Vec<&str> = quoted.filter(is_path).collect();
    assert!(files.len() > 10, "{files:?}");
    for file in files {
        assert!(Path::new(ROOT).join(file).exists(), "{file} is not there");
    }
}

#[test]
fn the_changelog_has_the_version_of_the_program() {
    let changelog = read(&Path::new(ROOT).join("CHANGELOG.md"));
    let heading = concat!("\n## [", env!("CARGO_PKG_VERSION"), "]");
    assert!(changelog.contains(heading), "CHANGELOG.md lacks {heading}");
}
