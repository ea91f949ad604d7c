//! Reads of Secrets at their source in numbers.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{Read, ReadError, SecretName};

/// Upper bounds of the durations, in seconds.
const DURATIONS: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Upper bounds of the requests that share a read.
const REQUESTS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

type BySecretAndOutcome = Family<[(&'static str, &'static str); 2], Counter>;
type BySecret = Family<[(&'static str, &'static str); 1], Histogram, fn() -> Histogram>;

/// Reads of the token Secret and, together, those of all others. All its series exist from the
/// start.
pub struct Metrics {
    reads: BySecretAndOutcome,
    durations: BySecret,
    requests: Histogram,
    panics: Counter,
    token_secret: SecretName,
    of_token: Series,
    of_values: Series,
}

/// The series of one `secret`.
struct Series {
    duration: Histogram,
    ok: Counter,
    not_found: Counter,
    forbidden: Counter,
    invalid_data: Counter,
    duplicate_manifest: Counter,
    unreadable_manifest: Counter,
    unavailable: Counter,
    overloaded: Counter,
}

impl Metrics {
    /// Tells `token_secret` apart from all other Secrets, and counts reads that panic in `panics`,
    /// which others count in too and which is not registered here.
    #[must_use]
    pub fn new(token_secret: SecretName, panics: Counter) -> Self {
        let reads = BySecretAndOutcome::default();
        let durations = BySecret::new_with_constructor(|| Histogram::new(DURATIONS));
        Self {
            of_token: Series::new("token", &reads, &durations),
            of_values: Series::new("value", &reads, &durations),
            requests: Histogram::new(REQUESTS),
            reads,
            durations,
            panics,
            token_secret,
        }
    }

    /// Shows them in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "secret_reads",
            "Reads at the source by Secret (token, or value for any other) and outcome",
            self.reads.clone(),
        );
        registry.register(
            "secret_read_duration_seconds",
            "Time that a read took at the source, retries included",
            self.durations.clone(),
        );
        registry.register(
            "secret_read_requests",
            "Requests that shared a read",
            self.requests.clone(),
        );
    }

    /// A read begins, for so many requests.
    pub(super) fn read_began(&self, requests: usize) {
        self.requests.observe(requests as f64);
    }

    /// A read has ended.
    pub(super) fn read_ended(&self, name: &SecretName, read: &Read, took: Duration) {
        let series = self.of(name);
        series.duration.observe(took.as_secs_f64());
        series.outcome(read).inc();
    }

    /// A read has panicked.
    pub(super) fn read_panicked(&self) {
        self.panics.inc();
    }

    /// A request has left because its read could not begin in time.
    pub(super) fn gave_up_waiting(&self, name: &SecretName) {
        self.of(name).overloaded.inc();
    }

    fn of(&self, name: &SecretName) -> &Series {
        if *name == self.token_secret { &self.of_token } else { &self.of_values }
    }
}

impl Series {
    fn new(secret: &'static str, reads: &BySecretAndOutcome, durations: &BySecret) -> Self {
        let counter =
            |outcome| reads.get_or_create_owned(&[("secret", secret), ("outcome", outcome)]);
        Self {
            duration: durations.get_or_create_owned(&[("secret", secret)]),
            ok: counter("ok"),
            not_found: counter("not-found"),
            forbidden: counter("forbidden"),
            invalid_data: counter("invalid-data"),
            duplicate_manifest: counter("duplicate-manifest"),
            unreadable_manifest: counter("unreadable-manifest"),
            unavailable: counter("unavailable"),
            overloaded: counter("overloaded"),
        }
    }

    fn outcome(&self, read: &Read) -> &Counter {
        match read {
            Ok(_) => &self.ok,
            Err(ReadError::NotFound) => &self.not_found,
            Err(ReadError::Forbidden) => &self.forbidden,
            Err(ReadError::InvalidData) => &self.invalid_data,
            Err(ReadError::DuplicateManifest) => &self.duplicate_manifest,
            Err(ReadError::UnreadableManifest) => &self.unreadable_manifest,
            Err(ReadError::Unavailable { .. }) => &self.unavailable,
            Err(ReadError::Overloaded) => &self.overloaded,
        }
    }
}
