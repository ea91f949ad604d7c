//! The token in numbers.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::report::TokenReport;

/// Seconds since the epoch.
type Timestamp = Gauge<f64, AtomicU64>;

/// What the last look at the token Secret has shown, and how the previous token is used.
#[derive(Default)]
pub struct Metrics {
    valid: Gauge,
    expiry: Timestamp,
    not_before: Timestamp,
    previous_expiry: Timestamp,
    previous_until: Timestamp,
    previous_uses: Counter,
}

impl Metrics {
    /// Shows them in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "token_valid",
            "Whether the bearer of the token would be accepted, at the last check",
            self.valid.clone(),
        );
        let timestamps = [
            (
                "token_expiry_timestamp_seconds",
                "The token's exp; +Inf where it has none; 0 while unknown",
                &self.expiry,
            ),
            (
                "token_not_before_timestamp_seconds",
                "The start of the token's life: its nbf, else its iat, else 0",
                &self.not_before,
            ),
            (
                "previous_token_expiry_timestamp_seconds",
                "The previous token's exp; +Inf where it has none; 0 where no previous token counts",
                &self.previous_expiry,
            ),
            (
                "previous_token_until_timestamp_seconds",
                "The end of the previous token's overlap; 0 where no previous token counts",
                &self.previous_until,
            ),
        ];
        for (name, help, gauge) in timestamps {
            registry.register(name, help, gauge.clone());
        }
        registry.register(
            "previous_token_uses",
            "Requests accepted by the previous token",
            self.previous_uses.clone(),
        );
    }

    /// Shows what a look at the token Secret has seen.
    pub fn show(&self, report: &TokenReport) {
        self.valid.set(i64::from(report.verdict.is_ok()));
        let current = report.current.unwrap_or_default();
        self.expiry.set(report.current.map_or(0.0, |_| current.expiry.unwrap_or(f64::INFINITY)));
        self.not_before.set(current.not_before.unwrap_or_default());
        let previous = report.previous.and_then(Result::ok);
        self.previous_expiry
            .set(previous.map_or(0.0, |previous| previous.expiry.unwrap_or(f64::INFINITY)));
        self.previous_until
            .set(previous.map_or(0.0, |previous| previous.until.as_duration().as_secs_f64()));
    }

    /// The token Secret could not be read: nobody is let in, and what was seen of the token
    /// before is the best that is known.
    pub fn unreadable(&self) {
        self.valid.set(0);
    }

    pub(super) fn previous_token_used(&self) {
        self.previous_uses.inc();
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::super::report::{PreviousValidity, Validity};
    use super::super::rules::Refusal;
    use super::super::stored::OutsideValidity;
    use super::*;

    /// The values in the order of registration.
    fn values(metrics: &Metrics) -> Vec<String> {
        let (mut registry, mut text) = (Registry::default(), String::new());
        metrics.register(&mut registry);
        encode(&mut text, &registry).unwrap();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples.map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
    }

    #[test]
    fn the_last_look_at_the_token_is_shown() {
        let metrics = Metrics::default();
        assert_eq!(values(&metrics), ["0", "0.0", "0.0", "0.0", "0.0", "0"]);

        let previous =
            PreviousValidity { expiry: None, until: "2026-01-01T00:00:00Z".parse().unwrap() };
        let mut report = TokenReport {
            verdict: Ok(()),
            current: Some(Validity {
                not_before: Some(5.0),
                expiry: Some(7.5),
                out_of_range: None,
            }),
            previous: Some(Ok(previous)),
        };
        metrics.show(&report);
        assert_eq!(values(&metrics), ["1", "7.5", "5.0", "inf", "1767225600.0", "0"]);

        metrics.unreadable();
        assert_eq!(values(&metrics), ["0", "7.5", "5.0", "inf", "1767225600.0", "0"]);

        report.verdict = Err(Refusal::OutsideValidity(OutsideValidity::Expired));
        report.current = Some(Validity::default());
        report.previous = None;
        metrics.show(&report);
        assert_eq!(values(&metrics), ["0", "inf", "0.0", "0.0", "0.0", "0"]);

        report.current = None;
        metrics.show(&report);
        assert_eq!(values(&metrics), ["0", "0.0", "0.0", "0.0", "0.0", "0"]);
    }
}
