//! A look at the token now and then, for readiness, metrics and the log. It decides nothing about
//! who gets in.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{Readiness, TokenSeen};
use crate::auth::{AuthError, TokenReport};
use crate::http::Endpoint;
use crate::problem::Code;
use crate::problem::Problem;

/// Until the token is valid: a rollout waits for it.
const EAGER: Duration = Duration::from_secs(1);
/// From then on.
const CALM: Duration = Duration::from_secs(30);

/// Looks for ever, and tells only what has changed.
pub async fn watch_token(endpoint: Arc<Endpoint>, readiness: Arc<Readiness>) {
    let mut last = None;
    let mut pause = EAGER;
    loop {
        let seen = look(&endpoint).await;
        match &seen.report {
            Some(report) => endpoint.authenticator.metrics().show(report),
            None => endpoint.authenticator.metrics().unreadable(),
        }
        if seen.failed.is_none() {
            pause = CALM;
        }
        readiness.token(seen.clone());
        if last.as_ref() != Some(&seen) {
            tell(&seen);
            last = Some(seen);
        }
        tokio::time::sleep(pause).await;
    }
}

async fn look(endpoint: &Endpoint) -> TokenSeen {
    let failed = |error: AuthError| {
        tracing::debug!(%error, "the token cannot be used");
        Problem::from(error).code
    };
    match tokio::time::timeout(endpoint.deadline, endpoint.authenticator.inspect()).await {
        Ok(Ok(report)) => TokenSeen {
            failed: report.verdict.err().map(|refusal| failed(refusal.into())),
            report: Some(report),
        },
        Ok(Err(error)) => TokenSeen { failed: Some(failed(error.into())), report: None },
        Err(_) => TokenSeen { failed: Some(Code::DeadlineExceeded), report: None },
    }
}

fn tell(seen: &TokenSeen) {
    if let Some(code) = seen.failed {
        tracing::error!(code = code.as_str(), reason = code.title(), "no caller can be let in");
    }
    let Some(TokenReport { verdict, current, previous }) = &seen.report else { return };
    if verdict.is_ok() {
        match current.and_then(|life| life.expiry) {
            Some(expiry) => tracing::info!(expires = instant(expiry), "the token is valid"),
            None => tracing::warn!("the token is valid, and has no exp: it never expires"),
        }
    }
    if let Some(Err(reason)) = previous {
        tracing::warn!(%reason, "the previous token is ignored");
    }
}

/// An instant in RFC 3339; one that no calendar has, such as one in milliseconds, as its number.
fn instant(seconds: f64) -> String {
    Timestamp::from_second(seconds as i64).map_or_else(|_| seconds.to_string(), |at| at.to_string())
}
