//! Whether the service is ready, and what its checks say.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::code::Code;

/// The state behind `/readyz`. Readiness comes once: trouble with the token or the certificate
/// after that shows here, but does not withdraw it, since all replicas would leave their Service
/// at once and callers would see `connection refused` in place of the reason.
#[derive(Default)]
pub struct Readiness(Mutex<State>);

#[derive(Default)]
struct State {
    certificate_failed: Option<&'static str>,
    token: Token,
    stopping: bool,
}

#[derive(Default)]
struct Token {
    was_valid: bool,
    failed: Option<Code>,
    previous_ignored: Option<String>,
}

impl Readiness {
    /// Notes the outcome of the last reload of the certificate. The first one is loaded before
    /// there is anything to ask.
    pub fn certificate(&self, outcome: Result<(), &'static str>) {
        self.state().certificate_failed = outcome.err();
    }

    /// Notes that the token was read and is valid, and why a previous one is ignored.
    pub fn token_valid(&self, previous_ignored: Option<String>) {
        self.state().token = Token { was_valid: true, failed: None, previous_ignored };
    }

    /// Notes that the token cannot be read or is not valid.
    pub fn token_failed(&self, code: Code) {
        self.state().token.failed = Some(code);
    }

    /// Notes that the process is about to end.
    pub fn stopping(&self) {
        self.state().stopping = true;
    }

    /// Whether it is ready, and a line a check in the manner of Kubernetes.
    #[must_use]
    pub fn report(&self) -> (bool, String) {
        let state = self.state();
        let ready = state.token.was_valid && !state.stopping;
        let token = match (state.token.failed, state.token.was_valid) {
            (Some(code), _) => Some(code.as_str()),
            (None, false) => Some("not read yet"),
            (None, true) => None,
        };
        let mut lines = String::new();
        let mut check = |name: &str, failed: Option<&str>| match failed {
            None => lines.push_str(&format!("[+]{name} ok\n")),
            Some(reason) => lines.push_str(&format!("[-]{name} failed: {reason}\n")),
        };
        check("certificate", state.certificate_failed);
        check("token", token);
        if let Some(reason) = &state.token.previous_ignored {
            check("previous-token", Some(reason));
        }
        check("shutdown", state.stopping.then_some("the process is stopping"));
        lines.push_str(if ready { "readyz check passed\n" } else { "readyz check failed\n" });
        (ready, lines)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
