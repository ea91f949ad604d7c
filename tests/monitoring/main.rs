//! What deploy/monitoring holds: rules, their tests, the dashboard, and the configuration of
//! Prometheus.

#[path = "../support/mod.rs"]
mod support;

mod dashboard;
mod live;
mod rules;

use std::path::PathBuf;
use std::process::Command;

use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let trials = vec![
        trial("the_rules_are_valid_and_without_a_finding", &["promtool"], rules::are_valid),
        trial("each_alert_fires_and_does_not_in_its_tests", &["promtool"], rules::pass_their_tests),
        trial("each_alert_is_tested_both_ways_and_has_a_runbook", &[], rules::are_complete),
        trial("the_prometheus_rule_holds_the_rules", &["bash"], rules::are_those_of_the_operator),
        trial("the_scrape_configuration_is_valid", &["promtool"], rules::scrape_configuration),
        trial("the_dashboard_is_whole", &[], dashboard::is_whole),
        trial("the_metrics_are_without_a_finding", &["promtool"], live::metrics_are_linted),
        trial(
            "every_query_returns_data_from_a_service_under_load",
            &["prometheus"],
            live::every_query_returns_data,
        ),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

/// A test that is listed as ignored where a program that it runs is missing.
fn trial(name: &'static str, programs: &[&'static str], test: fn() -> anyhow::Result<()>) -> Trial {
    let missing = |program: &&&str| Command::new(program).arg("--version").output().is_err();
    let test = move || test().map_err(|error| Failed::from(format!("{error:?}")));
    match programs.iter().find(missing) {
        None => Trial::test(name, test),
        Some(program) => {
            Trial::test(format!("{name} (needs {program})"), test).with_ignored_flag(true)
        }
    }
}

/// A file or folder of deploy/monitoring.
fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "deploy", "monitoring", name].iter().collect()
}
