//! Tests that the documentation's tables of flags are the flags.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Command, CommandFactory};

use super::Cli;

/// The flags in the tables of a text, each with its default.
fn documented(text: &str) -> BTreeMap<&str, &str> {
    let mut flags = BTreeMap::new();
    for row in text.lines().filter(|line| line.starts_with("| `--")) {
        let mut cells = row.split(" | ").map(|cell| cell.trim_matches(['|', ' ']));
        let (names, default) = (cells.next().unwrap(), cells.next().unwrap());
        for name in names.split(", ") {
            flags.insert(name.trim_matches('`').trim_start_matches("--"), default);
        }
    }
    flags
}

fn verb(name: &str) -> Command {
    let cli = Cli::command();
    cli.find_subcommand(name).unwrap().clone()
}

fn flags(command: &Command) -> BTreeSet<&str> {
    let flags = command.get_arguments().filter_map(clap::Arg::get_long);
    flags.filter(|flag| *flag != "help").collect()
}

/// The documented default of each flag is the one that it has, where it is one value.
fn assert_defaults(command: &Command, documented: &BTreeMap<&str, &str>) {
    for argument in command.get_arguments() {
        let Some(found) = argument.get_long().and_then(|long| documented.get(long)) else {
            continue;
        };
        if argument.is_required_set() {
            assert_eq!(*found, "required", "{argument}");
        }
        if let [default] = argument.get_default_values() {
            assert_eq!(*found, format!("`{}`", default.to_string_lossy()), "{argument}");
        }
    }
}

#[test]
fn the_flags_in_readme_are_those_of_serve() {
    let readme = include_str!("../../README.md");
    let section = readme.split("\n## `vsecm-scout serve`\n").nth(1).unwrap();
    let documented = documented(section.split("\n## ").next().unwrap());
    let serve = verb("serve");
    assert_eq!(documented.keys().copied().collect::<BTreeSet<_>>(), flags(&serve));
    assert_defaults(&serve, &documented);
}

#[test]
fn the_flags_of_doctor_are_documented_and_the_rest_are_those_of_serve() {
    let page = include_str!("../../docs/doctor.md");
    let (doctor, serve) = (verb("doctor"), verb("serve"));
    let documented = documented(page);
    let (all, of_serve) = (flags(&doctor), flags(&serve));
    let own: BTreeSet<&str> = all.difference(&of_serve).copied().collect();
    assert_eq!(documented.keys().copied().collect::<BTreeSet<_>>(), own);
    assert_defaults(&doctor, &documented);
    for shared in all.intersection(&of_serve) {
        assert!(page.contains(&format!("`--{shared}`")), "docs/doctor.md should name --{shared}");
    }
}
