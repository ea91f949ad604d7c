//! The certificate in numbers.

use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Validity;

/// The certificate in numbers.
#[derive(Default)]
pub struct Metrics {
    expiry: Gauge<f64, AtomicU64>,
    not_before: Gauge<f64, AtomicU64>,
    pub(super) reloads: Counter,
    pub(super) reload_failures: Counter,
}

impl Metrics {
    /// Shows them in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "certificate_expiry_timestamp_seconds",
            "The end of validity of the certificate in use",
            self.expiry.clone(),
        );
        registry.register(
            "certificate_not_before_timestamp_seconds",
            "The start of validity of the certificate in use",
            self.not_before.clone(),
        );
        registry.register(
            "certificate_reloads",
            "Changed certificates that were taken into use",
            self.reloads.clone(),
        );
        registry.register(
            "certificate_reload_failures",
            "Attempts to reload the certificate that failed; the one in use stays",
            self.reload_failures.clone(),
        );
    }

    pub(super) fn show(&self, validity: &Validity) {
        // jiff's calendar ends a day before the year 9999 does, which stands for no end at all (RFC
        // 5280, section 4.1.2.5).
        let seconds = |time: SystemTime| match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => since.as_secs_f64(),
            Err(before) => -before.duration().as_secs_f64(),
        };
        self.expiry.set(seconds(validity.not_after));
        self.not_before.set(seconds(validity.not_before));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_validity_without_an_end_is_shown_as_it_stands() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let metrics = Metrics::default();
        // 99991231235959Z
        metrics.show(&Validity { not_before: at(5), not_after: at(253_402_300_799) });
        assert_eq!((metrics.not_before.get(), metrics.expiry.get()), (5.0, 253_402_300_799.0));
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(7);
        metrics.show(&Validity { not_before: before, not_after: at(7) });
        assert_eq!((metrics.not_before.get(), metrics.expiry.get()), (-7.0, 7.0));
    }
}
