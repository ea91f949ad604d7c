//! The rules, and what says that they are right.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::path;

const OPERATIONS: &str = include_str!("../../docs/operations.md");

#[derive(Deserialize)]
pub(crate) struct Rules {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

/// A recording rule or an alert.
#[derive(Deserialize)]
pub(crate) struct Rule {
    pub(crate) alert: Option<String>,
    pub(crate) expr: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Tests {
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    alert_rule_test: Vec<Check>,
}

#[derive(Deserialize)]
struct Check {
    alertname: String,
    exp_alerts: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    exp_labels: BTreeMap<String, String>,
}

/// All rules, in their order.
pub(crate) fn all() -> Result<Vec<Rule>> {
    let rules: Rules = serde_saphyr::from_str(&fs::read_to_string(path("rules.yaml"))?)?;
    Ok(rules.groups.into_iter().flat_map(|group| group.rules).collect())
}

pub(crate) fn are_valid() -> Result<()> {
    promtool(&["check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"])
}

pub(crate) fn pass_their_tests() -> Result<()> {
    promtool(&["test", "rules", "rules_test.yaml"])
}

pub(crate) fn scrape_configuration() -> Result<()> {
    promtool(&["check", "config", "scrape.yaml"])
}

pub(crate) fn are_complete() -> Result<()> {
    let tests: Tests = serde_saphyr::from_str(&fs::read_to_string(path("rules_test.yaml"))?)?;
    let checks: Vec<Check> =
        tests.tests.into_iter().flat_map(|test| test.alert_rule_test).collect();
    for rule in all()? {
        let Some(alert) = rule.alert else { continue };
        let severity = rule.labels.get("severity").context("an alert without a severity")?;
        let of_alert = || checks.iter().filter(|check| check.alertname == alert);
        let fires = |check: &Check| {
            check.exp_alerts.iter().any(|alert| alert.exp_labels.get("severity") == Some(severity))
        };
        ensure!(of_alert().any(fires), "{alert}, {severity}: no test in which it fires");
        ensure!(!of_alert().all(fires), "{alert}, {severity}: no test in which it does not fire");
        for annotation in ["summary", "description"] {
            ensure!(rule.annotations.contains_key(annotation), "{alert} has no {annotation}");
        }
        let runbook = format!("docs/operations.md#{}", alert.to_lowercase());
        ensure!(rule.annotations.get("runbook_url") == Some(&runbook), "{alert}: {runbook}");
        let headings = OPERATIONS.lines().filter(|line| *line == format!("### {alert}")).count();
        ensure!(headings == 1, "{alert} has {headings} runbooks");
    }
    let alerts = all()?.into_iter().filter_map(|rule| rule.alert).collect::<Vec<_>>();
    for heading in OPERATIONS.lines().filter_map(|line| line.strip_prefix("### VsecmScout")) {
        let alert = format!("VsecmScout{heading}");
        ensure!(alerts.contains(&alert), "there is a runbook, but no alert {alert}");
    }
    Ok(())
}

pub(crate) fn are_those_of_the_operator() -> Result<()> {
    let made = Command::new(path("generate")).output()?;
    ensure!(
        made.status.success() && made.stdout == fs::read(path("prometheusrule.yaml"))?,
        "run: deploy/monitoring/generate > deploy/monitoring/prometheusrule.yaml"
    );
    let rules = fs::read_to_string(path("rules.yaml"))?;
    let operators = String::from_utf8(made.stdout)?;
    let indented = |line: &str| operators.contains(&format!("  {line}\n"));
    let comment_at_its_head = |line: &str| line.starts_with('#');
    for line in rules.lines().filter(|line| !line.is_empty() && !comment_at_its_head(line)) {
        ensure!(indented(line), "the PrometheusRule lacks {line:?}");
    }
    Ok(())
}

/// Runs promtool in deploy/monitoring.
fn promtool(arguments: &[&str]) -> Result<()> {
    let output = Command::new("promtool").args(arguments).current_dir(path("")).output()?;
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "promtool {arguments:?}:\n{said}{complained}");
    Ok(())
}
