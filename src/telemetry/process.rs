//! The process in numbers, by the names that all of Prometheus's clients use.

use std::time::SystemTime;

use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// Shows them in `registry`. What only Linux tells is shown there alone.
pub fn register(registry: &mut Registry) {
    let start = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    registry.register(
        "start_time_seconds",
        "Start of the process, in seconds since the epoch",
        ConstGauge::new(start.as_secs_f64()),
    );
    #[cfg(target_os = "linux")]
    registry.register_collector(Box::new(linux::Proc));
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fmt;

    use procfs::ProcResult;
    use procfs::process::{LimitValue, Process};
    use prometheus_client::collector::Collector;
    use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
    use prometheus_client::metrics::counter::ConstCounter;
    use prometheus_client::metrics::gauge::ConstGauge;

    /// Reads `/proc/self` at each scrape.
    #[derive(Debug)]
    pub(super) struct Proc;

    struct Usage {
        cpu_seconds: f64,
        resident_bytes: u64,
        open_fds: u64,
        max_fds: f64,
    }

    impl Usage {
        fn now() -> ProcResult<Self> {
            let process = Process::myself()?;
            let stat = process.stat()?;
            let max_fds = match process.limits()?.max_open_files.soft_limit {
                LimitValue::Value(limit) => limit as f64,
                LimitValue::Unlimited => f64::INFINITY,
            };
            Ok(Self {
                cpu_seconds: (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64,
                resident_bytes: stat.rss * procfs::page_size(),
                open_fds: process.fd_count()? as u64,
                max_fds,
            })
        }
    }

    impl Collector for Proc {
        fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
            // Where /proc is hidden there is nothing to show.
            let Ok(usage) = Usage::now() else { return Ok(()) };
            let mut show = |name: &str, help: &str, metric: &dyn EncodeMetric| {
                metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
            };
            show(
                "cpu_seconds",
                "User and system CPU time of the process, in seconds.",
                &ConstCounter::new(usage.cpu_seconds),
            )?;
            show(
                "resident_memory_bytes",
                "Resident memory of the process.",
                &ConstGauge::new(usage.resident_bytes as f64),
            )?;
            show("open_fds", "Open file descriptors.", &ConstGauge::new(usage.open_fds as f64))?;
            show(
                "max_fds",
                "The most file descriptors that may be open.",
                &ConstGauge::new(usage.max_fds),
            )
        }
    }
}
