//! Metrics as a scrape shows them.

use std::collections::BTreeSet;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

/// All metrics in OpenMetrics.
pub fn text(registry: &Registry) -> String {
    let mut text = String::new();
    encode(&mut text, registry).unwrap();
    text
}

/// The value of a series: its name, and its labels as they stand in the text.
pub fn value(text: &str, series: &str) -> f64 {
    let sample = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
    text.lines().find_map(sample).unwrap_or_else(|| panic!("no {series} in:\n{text}"))
}

/// The names and labels of all series.
pub fn series(text: &str) -> BTreeSet<String> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}
