//! The one registry of metrics, and those of the process as a whole.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::log::DroppedLines;
use super::process;
use crate::auth::Authenticator;
use crate::connection;
use crate::http;
use crate::secrets::SharedReads;
use crate::server::certificate::Certificate;

/// The parts that have metrics of their own.
pub struct Parts<'a> {
    pub http: &'a http::Metrics,
    pub authenticator: &'a Authenticator,
    pub reads: &'a SharedReads,
    pub certificate: &'a Certificate,
    pub connections: &'a connection::Metrics,
    pub dropped_lines: DroppedLines,
}

/// Everything that `/metrics` shows.
pub fn registry(parts: Parts<'_>) -> Registry {
    let mut registry = Registry::default();
    let own = registry.sub_registry_with_prefix("vsecm_scout");
    parts.http.register(own);
    parts.reads.metrics().register(own);
    parts.authenticator.metrics().register(own);
    parts.certificate.metrics().register(own);
    parts.connections.register(own);
    own.register_collector(Box::new(LogLines(parts.dropped_lines)));
    let build = Family::<[(&str, &str); 1], Gauge>::default();
    build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
    own.register("build_info", "1, with the version of the program", build);
    process::register(registry.sub_registry_with_prefix("process"));
    registry
}

/// Lines that were dropped.
#[derive(Debug)]
struct LogLines(DroppedLines);

impl Collector for LogLines {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let dropped = ConstCounter::new(self.0.count());
        let help = "Log lines that stdout did not take: it was too slow, or its reader is gone.";
        let metric =
            encoder.encode_descriptor("log_lines_dropped", help, None, dropped.metric_type())?;
        dropped.encode(metric)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::sync::Arc;
    use std::time::Duration;

    use prometheus_client::encoding::text::encode;
    use prometheus_client::metrics::counter::Counter;
    use rcgen::CertifiedKey;

    use super::super::log::lines_to;
    use super::*;
    use crate::auth::TokenRules;
    use crate::secrets::{self, Manifests, SecretName, SecretStore};
    use crate::server::certificate::CertificateFiles;
    use crate::server::tls;

    fn fresh_registry() -> Registry {
        let folder = tempfile::tempdir().unwrap();
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (chain, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        std::fs::write(&chain, cert.pem()).unwrap();
        std::fs::write(&key, signing_key.serialize_pem()).unwrap();
        let certificate = Certificate::load(CertificateFiles { chain, key }, tls::provider());

        let token_secret = SecretName::parse("default/jwt-token", &"default".parse().unwrap());
        let token_secret = token_secret.unwrap();
        let reads = Arc::new(SharedReads::new(
            Arc::new(Manifests::open(folder.path().to_owned()).unwrap()),
            NonZeroUsize::MIN,
            Duration::ZERO,
            secrets::Metrics::new(token_secret.clone(), Counter::default()),
        ));
        let store: Arc<dyn SecretStore> = reads.clone();
        let (entry, leeway, max_overlap) = ("token".to_owned(), Duration::ZERO, Duration::ZERO);
        let rules = TokenRules { entry, leeway, max_overlap };
        let (_, _guard, dropped_lines) = lines_to(std::io::sink());
        registry(Parts {
            http: &http::Metrics::default(),
            connections: &connection::Metrics::default(),
            authenticator: &Authenticator::new(store, token_secret, rules).unwrap(),
            reads: &reads,
            certificate: &certificate.unwrap(),
            dropped_lines,
        })
    }

    /// A row of the table for each metric of a scrape.
    fn table(scrape: &str) -> String {
        let mut table = String::new();
        for line in scrape.lines().filter_map(|line| line.strip_prefix("# HELP ")) {
            let (name, help) = line.split_once(' ').unwrap();
            let kind = scrape.split(&format!("# TYPE {name} ")).nth(1).unwrap();
            let kind = kind.lines().next().unwrap();
            let total = if kind == "counter" { "_total" } else { "" };
            let sample = scrape.lines().find(|line| line.starts_with(&format!("{name}{total}")));
            let labels = sample.map(labels).unwrap_or_default();
            table.push_str(&format!("| `{name}{total}` | {kind} | {labels} | {help} |\n"));
        }
        table
    }

    /// The names of a sample's labels, without those of a histogram's buckets.
    fn labels(sample: &str) -> String {
        let labels = sample.split('{').nth(1).unwrap_or_default();
        let names =
            labels.split(',').filter_map(|label| label.split_once('=')).map(|(name, _)| name);
        let names: Vec<_> = names.filter(|name| *name != "le").map(|n| format!("`{n}`")).collect();
        names.join(", ")
    }

    #[test]
    #[cfg_attr(not(target_os = "linux"), ignore = "the process has fewer metrics there")]
    fn the_table_in_the_documentation_is_what_a_scrape_shows() {
        let mut scrape = String::new();
        encode(&mut scrape, &fresh_registry()).unwrap();
        let documented = include_str!("../../docs/operations.md");
        let documented = documented.split("| metric | type | labels | meaning |\n").nth(1).unwrap();
        let documented = documented.split_once('\n').unwrap().1;
        let documented = documented.split("\n\n").next().unwrap();
        let table = table(&scrape);
        assert_eq!(documented, table.trim_end(), "docs/operations.md should hold:\n{table}");
    }
}
