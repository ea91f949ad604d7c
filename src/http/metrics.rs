//! The requests of the HTTPS port in numbers.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::problem::Code;

/// Upper bounds of the histogram, in seconds. The default deadline of an answer is 5 s, and 1 s is
/// what the alerts on latency ask for.
const DURATIONS: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

type ByReason = Family<[(&'static str, &'static str); 1], Counter>;
type ByStatusAndReason = Family<[(&'static str, String); 2], Counter>;

/// How a request has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// With a value.
    Served,
    /// With a problem of this code.
    Refused(Code),
    /// Nobody was there to be answered.
    CallerGone,
}

/// All its series exist from the start, and whatever is asked adds none.
pub struct Metrics {
    requests: ByStatusAndReason,
    authentication_failures: ByReason,
    duration: Histogram,
    in_flight: Gauge,
    panics: Counter,
    served: Counter,
    caller_gone: Counter,
    /// In the order of [`Code::ALL`].
    refused: Vec<Refused>,
}

/// The counters of one code.
struct Refused {
    requests: Counter,
    authentication_failures: Option<Counter>,
}

impl Outcome {
    /// Its stable name.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Served => "ok",
            Self::Refused(code) => code.as_str(),
            Self::CallerGone => "caller-gone",
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let requests = ByStatusAndReason::default();
        let authentication_failures = ByReason::default();
        let counter = |status: u16, outcome: Outcome| {
            let labels = [("code", status.to_string()), ("reason", outcome.as_str().to_owned())];
            requests.get_or_create_owned(&labels)
        };
        let refused = Code::ALL.iter().map(|&code| Refused {
            requests: counter(code.status(), Outcome::Refused(code)),
            authentication_failures: is_authentication_failure(code)
                .then(|| authentication_failures.get_or_create_owned(&[("reason", code.as_str())])),
        });
        Self {
            served: counter(200, Outcome::Served),
            // nginx's number for a client that has closed the connection.
            caller_gone: counter(499, Outcome::CallerGone),
            refused: refused.collect(),
            duration: Histogram::new(DURATIONS),
            in_flight: Gauge::default(),
            panics: Counter::default(),
            requests,
            authentication_failures,
        }
    }
}

impl Metrics {
    /// Shows them in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "requests",
            "Requests by HTTP status and reason: ok, the code of the problem, or caller-gone",
            self.requests.clone(),
        );
        registry.register(
            "request_duration_seconds",
            "Time from a request's arrival to the head of its answer",
            self.duration.clone(),
        );
        registry.register(
            "requests_in_flight",
            "Requests whose answer is not written yet",
            self.in_flight.clone(),
        );
        registry.register(
            "authentication_failures",
            "Requests rejected because of their Authorization header or token, by reason",
            self.authentication_failures.clone(),
        );
        registry.register(
            "panics",
            "Panics while a request was answered or a Secret read: faults of this program",
            self.panics.clone(),
        );
    }

    /// The requests whose answer is not written yet.
    pub(super) fn in_flight(&self) -> Gauge {
        self.in_flight.clone()
    }

    /// Counts panics, wherever they are caught.
    #[must_use]
    pub fn panics(&self) -> Counter {
        self.panics.clone()
    }

    pub(super) fn request_ended(&self, outcome: Outcome, latency: Duration) {
        self.duration.observe(latency.as_secs_f64());
        match outcome {
            Outcome::Served => self.served.inc(),
            Outcome::CallerGone => self.caller_gone.inc(),
            Outcome::Refused(code) => self.refuse(code),
        };
    }

    pub(super) fn panicked(&self) {
        self.panics.inc();
    }

    fn refuse(&self, code: Code) -> u64 {
        let Some(counters) = self.refused.get(code as usize) else { return 0 };
        if let Some(failures) = &counters.authentication_failures {
            failures.inc();
        }
        counters.requests.inc()
    }
}

fn is_authentication_failure(code: Code) -> bool {
    code.status() == 401
        || matches!(code, Code::RepeatedAuthorization | Code::MalformedAuthorization)
}
