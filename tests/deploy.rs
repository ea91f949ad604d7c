//! What belongs together in `deploy/` and the Dockerfile stays together.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::process::Command;

use serde_json::Value;

fn file(path: &str) -> String {
    fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&file(path)).unwrap()
}

#[test]
fn the_chart_has_the_version_of_the_program() {
    let chart = yaml("deploy/chart/Chart.yaml");
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
}

/// A comment stands above each value, nested ones too.
#[test]
fn every_value_of_the_chart_is_explained() {
    let values = file("deploy/chart/values.yaml");
    let lines: Vec<&str> = values.lines().collect();
    let is_value = |line: &str| line.contains(':') && !line.trim_start().starts_with(['#', '-']);
    let explained = |at: usize| at > 0 && lines[at - 1].trim_start().starts_with('#');
    let values: Vec<usize> = (0..lines.len()).filter(|at| is_value(lines[*at])).collect();
    assert!(values.len() > 50);
    for at in values {
        assert!(explained(at), "{}", lines[at]);
    }
}

/// `helm lint` says that each value is in the schema; this says that the schema has no others.
#[test]
fn the_schema_of_the_chart_has_its_values_alone() {
    fn compare(at: &str, schema: &Value, values: &Value) {
        let Some(properties) = schema["properties"].as_object() else { return };
        assert_eq!(schema["additionalProperties"], false, "{at} takes anything");
        for (name, schema) in properties {
            let at = format!("{at}.{name}");
            // helm's own; and what is filled in whole or not at all.
            if at == ".global" || values.as_object().is_some_and(|values| values.is_empty()) {
                continue;
            }
            let value = values.get(name).unwrap_or_else(|| panic!("{at} is no value"));
            compare(&at, schema, value);
        }
    }
    let schema: Value = serde_json::from_str(&file("deploy/chart/values.schema.json")).unwrap();
    compare("", &schema, &yaml("deploy/chart/values.yaml"));
}

/// SIGKILL comes later than the end of the drain.
#[test]
fn pods_have_longer_to_end_than_the_drain_takes() {
    let help = Command::new(env!("CARGO_BIN_EXE_vsecm-scout")).args(["serve", "--help"]).output();
    let help = String::from_utf8(help.unwrap().stdout).unwrap();
    let seconds = |flag: &str| -> Option<u64> {
        let default = help.split(&format!("--{flag} <")).nth(1)?.split("[default: ").nth(1)?;
        default.split("s]").next()?.parse().ok()
    };
    let drain = seconds("shutdown-delay").unwrap() + seconds("shutdown-grace").unwrap();
    let pods = yaml("deploy/chart/values.yaml")["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(pods >= drain + 5, "{pods} s for a drain of {drain} s");
}

/// As docs/upgrading.md says.
#[test]
fn an_upgrade_takes_away_no_pod_before_another_is_ready() {
    let manifests = file("deploy/install.yaml");
    assert_eq!(manifests.matches("  strategy:\n").count(), 1);
    let upgrading = file("docs/upgrading.md");
    for field in ["maxSurge: 1", "maxUnavailable: 0"] {
        assert!(manifests.contains(&format!("      {field}\n")), "{field}");
        assert!(upgrading.contains(&format!("`{field}`")), "{field}");
    }
    assert!(manifests.contains("path: /readyz\n"));
}

/// Else an upgrade that forgets the one lets cert-manager write over the other.
#[test]
fn a_certificate_made_by_hand_has_another_name_than_that_of_cert_manager() {
    let install = file("docs/install.md");
    let by_hand = install.split("--set tls.existingSecret=").nth(1).unwrap();
    let by_hand = by_hand.split_whitespace().next().unwrap();
    assert!(install.matches(&format!("secret generic {by_hand} ")).count() == 2);
    let manifests = file("deploy/install.yaml");
    assert_eq!(manifests.matches("secretName: vsecm-scout-tls\n").count(), 2);
    assert!(!manifests.contains(by_hand));
}

/// The program needs a glibc at least as new as the one that it was linked with.
#[test]
fn the_image_runs_on_the_debian_that_it_is_built_on() {
    const RELEASES: [(&str, &str); 2] = [("-trixie", "-debian13:"), ("-bookworm", "-debian12:")];
    let dockerfile = file("Dockerfile");
    let stages: Vec<&str> = dockerfile.lines().filter(|line| line.starts_with("FROM ")).collect();
    let [build, run] = stages.as_slice() else { panic!("two stages are expected: {stages:?}") };
    let same = |(name, number): &(&str, &str)| build.contains(name) && run.contains(number);
    assert!(RELEASES.iter().any(same), "{stages:?}");
}

#[test]
fn the_image_and_the_pods_have_one_user() {
    let user = "65532";
    assert!(file("Dockerfile").contains(&format!("USER {user}:{user}\n")));
    let pod = file("deploy/install.yaml");
    for field in ["runAsUser", "runAsGroup", "fsGroup"] {
        assert!(pod.contains(&format!("{field}: {user}\n")), "{field}");
    }
}
