//! A look at the token now and then, for readiness, metrics and the log. It decides nothing about
//! who gets in.

use std::sync::Arc;
use std::time::Duration;

use super::{ProbedToken, Readiness};
use crate::auth::{
    AuthError, Authenticator, PreviousIgnored, PreviousValidity, TokenReport, Validity,
};
use crate::fault_log::FaultLog;
use crate::problem::{Code, Problem};

/// Until the token is valid: a rollout waits for it.
const PROBE_INTERVAL_UNTIL_VALID: Duration = Duration::from_secs(1);
/// From then on.
const PROBE_INTERVAL: Duration = Duration::from_secs(30);

/// Looks for ever, and tells only what has changed.
pub async fn probe_token(
    authenticator: Arc<Authenticator>,
    deadline: Duration,
    readiness: Arc<Readiness>,
) {
    let mut teller = Teller::default();
    let mut pause = PROBE_INTERVAL_UNTIL_VALID;
    loop {
        let seen = look(&authenticator, deadline).await;
        match &seen.report {
            Some(report) => authenticator.metrics().show(report),
            None => authenticator.metrics().unreadable(),
        }
        if seen.failed.is_none() {
            pause = PROBE_INTERVAL;
        }
        teller.tell(&seen);
        readiness.token(seen);
        tokio::time::sleep(pause).await;
    }
}

async fn look(authenticator: &Authenticator, deadline: Duration) -> ProbedToken {
    let failed = |error: AuthError| {
        tracing::debug!(%error, "the token cannot be used");
        Problem::from(error).code
    };
    match tokio::time::timeout(deadline, authenticator.inspect()).await {
        Ok(Ok(report)) => ProbedToken {
            failed: report.verdict.err().map(|refusal| failed(refusal.into())),
            report: Some(report),
        },
        Ok(Err(error)) => ProbedToken { failed: Some(failed(error.into())), report: None },
        Err(_) => ProbedToken { failed: Some(Code::DeadlineExceeded), report: None },
    }
}

/// Writes to the log what differs from what stands there.
#[derive(Default)]
struct Teller {
    faults: FaultLog<Code>,
    valid: Option<Validity>,
    previous: Option<Result<PreviousValidity, PreviousIgnored>>,
}

impl Teller {
    fn tell(&mut self, seen: &ProbedToken) {
        match seen.failed {
            Some(code) => self.tell_failed(code, seen.report.and_then(|report| report.detail())),
            None => self.tell_valid(seen.report.and_then(|report| report.current)),
        }
        let Some(TokenReport { previous, .. }) = seen.report else { return };
        if std::mem::replace(&mut self.previous, previous) == previous {
            return;
        }
        match previous {
            Some(Err(reason)) => tracing::warn!(%reason, "the previous token is ignored"),
            Some(Ok(life)) => tracing::info!(until = %life.until, "the previous token counts too"),
            None => {}
        }
    }

    fn tell_failed(&self, code: Code, detail: Option<String>) {
        let Some(times) = self.faults.seen(code) else { return };
        tracing::error!(
            code = code.as_str(),
            reason = code.title(),
            detail,
            see = code.explained_at(),
            times,
            "no caller can be authenticated"
        );
    }

    fn tell_valid(&mut self, token: Option<Validity>) {
        let over = self.faults.over(|_| true).is_some();
        if std::mem::replace(&mut self.valid, token) == token && !over {
            return;
        }
        let life = token.unwrap_or_default();
        match (life.out_of_range, life.ends()) {
            (Some(odd), _) => tracing::warn!(
                reason = %odd,
                "the token is valid, but hardly for as long as it should be: issue one with its \
                 times in seconds since 1970"
            ),
            (None, Some(expires)) => tracing::info!(%expires, "the token is valid"),
            (None, None) => {
                tracing::warn!("the token is valid, and has no exp: it never expires");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{OutsideValidity, Refusal};
    use crate::testing::Log;

    fn failed(code: Code) -> ProbedToken {
        ProbedToken { failed: Some(code), report: None }
    }

    fn valid(previous: Option<Result<PreviousValidity, PreviousIgnored>>) -> ProbedToken {
        let current = Some(Validity { expiry: Some(9e9), ..Validity::default() });
        ProbedToken {
            failed: None,
            report: Some(TokenReport { verdict: Ok(()), current, previous }),
        }
    }

    #[test]
    fn what_stays_as_it_is_is_told_once() {
        let (log, _guard) = Log::start();
        let mut teller = Teller::default();
        let told = |teller: &mut Teller, seen: &[ProbedToken]| {
            (0..5).for_each(|_| seen.iter().for_each(|seen| teller.tell(seen)));
            log.take()
        };
        // Two reasons in turn are two lines.
        let text =
            told(&mut teller, &[failed(Code::ApiUnavailable), failed(Code::DeadlineExceeded)]);
        assert_eq!((text.matches("ERROR").count(), text.lines().count()), (2, 2), "{text}");
        assert!(text.contains("docs/troubleshooting.md#api-unavailable"), "{text}");

        let text = told(&mut teller, &[valid(None)]);
        assert_eq!((text.matches("the token is valid").count(), text.lines().count()), (1, 1));

        let text = told(&mut teller, &[valid(Some(Err(PreviousIgnored::NoUntil)))]);
        assert_eq!((text.matches("is ignored").count(), text.lines().count()), (1, 1), "{text}");
        assert!(text.contains("set it, or remove the entry previous-token"), "{text}");
    }

    #[test]
    fn a_token_that_expires_is_told_at_once() {
        let (log, _guard) = Log::start();
        let mut teller = Teller::default();
        teller.tell(&valid(None));
        log.take();
        let mut seen = valid(None);
        seen.failed = Some(Code::TokenExpired);
        seen.report.as_mut().unwrap().verdict =
            Err(Refusal::OutsideValidity(OutsideValidity::Expired));
        teller.tell(&seen);
        assert!(log.take().contains("token-expired"));
        teller.tell(&valid(None));
        assert!(log.take().contains("the token is valid"), "that it is over is told");
    }
}
