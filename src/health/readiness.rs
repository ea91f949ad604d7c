//! Whether the service is ready, and what its checks say.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::auth::{PreviousIgnored, PreviousValidity, TokenReport, Validity};
use crate::problem::Code;

/// The state behind `/readyz`. Readiness comes once: trouble with the token or the certificate
/// after that shows here, but does not withdraw it, since all replicas would leave their Service
/// at once and callers would see `connection refused` in place of the reason.
#[derive(Default)]
pub struct Readiness(Mutex<State>);

#[derive(Default)]
struct State {
    certificate_failed: Option<String>,
    token: Option<ProbedToken>,
    token_was_valid: bool,
    stopping: bool,
}

/// What the last look at the token has shown.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbedToken {
    /// Why no caller can be accepted.
    pub failed: Option<Code>,
    /// What the token Secret holds, where it could be read.
    pub report: Option<TokenReport>,
}

impl Readiness {
    /// Notes what is wrong with the certificate in use and with its last reload. The first one is
    /// loaded before there is anything to ask.
    pub fn certificate(&self, outcome: Result<(), String>) {
        self.state().certificate_failed = outcome.err();
    }

    /// Notes the last look at the token.
    pub fn token(&self, seen: ProbedToken) {
        let mut state = self.state();
        state.token_was_valid |= seen.failed.is_none();
        state.token = Some(seen);
    }

    /// Notes that the process is about to end.
    pub fn stopping(&self) {
        self.state().stopping = true;
    }

    /// Whether it is ready, and a line a check in the manner of Kubernetes.
    #[must_use]
    pub fn report(&self) -> (bool, String) {
        let state = self.state();
        let ready = state.token_was_valid && !state.stopping;
        let mut lines = String::new();
        let mut check = |name: &str, outcome: Result<String, String>| match outcome {
            Ok(note) => lines.push_str(&format!("[+]{name} ok{note}\n")),
            Err(reason) => lines.push_str(&format!("[-]{name} failed: {reason}\n")),
        };
        let ok_unless =
            |reason: Option<&str>| reason.map_or(Ok(String::new()), |r| Err(r.to_owned()));
        check("certificate", ok_unless(state.certificate_failed.as_deref()));
        check("token", token(state.token.as_ref()));
        let report = state.token.as_ref().and_then(|seen| seen.report);
        if let Some(previous) = report.and_then(|report| report.previous) {
            check("previous-token", previous_token(previous));
        }
        check("shutdown", ok_unless(state.stopping.then_some("the process is stopping")));
        lines.push_str(if ready { "readyz check passed\n" } else { "readyz check failed\n" });
        (ready, lines)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn token(seen: Option<&ProbedToken>) -> Result<String, String> {
    match seen {
        None => Err("not read yet".to_owned()),
        Some(ProbedToken { failed: Some(code), report }) => {
            let detail = report.and_then(|report| report.detail());
            let detail = detail.map(|detail| format!(": {detail}")).unwrap_or_default();
            Err(format!("{}{detail}", code.as_str()))
        }
        Some(ProbedToken { report, .. }) => {
            Ok(expires(report.and_then(|report| report.current).unwrap_or_default()))
        }
    }
}

fn expires(life: Validity) -> String {
    let end = match (life.expiry, life.ends()) {
        (None, _) => Some("never expires".to_owned()),
        (Some(_), end) => end.map(|at| format!("expires {at}")),
    };
    let odd = life.out_of_range.map(|odd| odd.to_string());
    format!(": {}", end.into_iter().chain(odd).collect::<Vec<_>>().join("; "))
}

fn previous_token(token: Result<PreviousValidity, PreviousIgnored>) -> Result<String, String> {
    token.map(|life| format!(": counts until {}", life.until)).map_err(|reason| reason.to_string())
}
