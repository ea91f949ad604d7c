//! The one registry of metrics, and those of the process as a whole.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tracing_appender::non_blocking::ErrorCounter;

use super::process;
use crate::auth::Authenticator;
use crate::http;
use crate::secrets::SharedReads;
use crate::server::{self, certificate::Certificate};

/// The parts that have metrics of their own.
pub struct Parts<'a> {
    pub http: &'a http::Metrics,
    pub authenticator: &'a Authenticator,
    pub reads: &'a SharedReads,
    pub certificate: &'a Certificate,
    pub connections: &'a server::Metrics,
    pub dropped_lines: ErrorCounter,
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

/// Lines that the log had no room for.
#[derive(Debug)]
struct LogLines(ErrorCounter);

impl Collector for LogLines {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let dropped = ConstCounter::new(self.0.dropped_lines() as u64);
        let help = "Lines dropped because stdout was too slow for them.";
        let metric =
            encoder.encode_descriptor("log_lines_dropped", help, None, dropped.metric_type())?;
        dropped.encode(metric)
    }
}
