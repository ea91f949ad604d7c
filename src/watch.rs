//! A look at the token now and then, for readiness and the log. It decides nothing about who
//! gets in.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::auth::{AuthError, TokenReport};
use crate::http::code::Code;
use crate::http::problem::Problem;
use crate::http::{Readiness, Scout};

/// Until the token is valid: a rollout waits for it.
const EAGER: Duration = Duration::from_secs(1);
/// From then on.
const CALM: Duration = Duration::from_secs(30);

/// Looks for ever, and tells only what has changed.
pub async fn watch_token(scout: Arc<Scout>, readiness: Arc<Readiness>) {
    let mut last = None;
    let mut pause = EAGER;
    loop {
        let seen = tokio::time::timeout(scout.deadline, scout.authenticator.inspect()).await;
        let seen = seen
            .map_err(|_| Problem::from(Code::DeadlineExceeded))
            .and_then(|seen| seen.map_err(told));
        match &seen {
            Ok(report) => {
                readiness.token_valid(report.previous_ignored.map(|reason| reason.to_string()));
                pause = CALM;
            }
            Err(problem) => readiness.token_failed(problem.code),
        }
        if last.as_ref() != Some(&seen) {
            tell(&seen);
            last = Some(seen);
        }
        tokio::time::sleep(pause).await;
    }
}

fn told(error: AuthError) -> Problem {
    tracing::debug!(%error, "the token cannot be used");
    error.into()
}

fn tell(seen: &Result<TokenReport, Problem>) {
    match seen {
        Err(problem) => {
            let code = problem.code.as_str();
            tracing::error!(code, reason = problem.code.title(), "no caller can be let in");
        }
        Ok(report) => {
            match report.expiry.and_then(instant) {
                Some(expires) => tracing::info!(%expires, "the token is valid"),
                None => tracing::warn!("the token is valid, and has no exp: it never expires"),
            }
            if let Some(reason) = &report.previous_ignored {
                tracing::warn!(%reason, "the previous token is ignored");
            }
        }
    }
}

fn instant(seconds: f64) -> Option<Timestamp> {
    Timestamp::from_second(seconds as i64).ok()
}
