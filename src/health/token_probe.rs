//! A look at the token now and then, for readiness, metrics and the log. It decides nothing about
//! who gets in.

use std::sync::Arc;
use std::time::Duration;

use super::{Readiness, TokenSeen};
use crate::auth::{AuthError, Authenticator, Life, PreviousIgnored, PreviousLife, TokenReport};
use crate::fault_log::FaultLog;
use crate::problem::{Code, Problem};

/// Until the token is valid: a rollout waits for it.
const EAGER: Duration = Duration::from_secs(1);
/// From then on.
const CALM: Duration = Duration::from_secs(30);

/// Looks for ever, and tells only what has changed.
pub async fn watch_token(
    authenticator: Arc<Authenticator>,
    deadline: Duration,
    readiness: Arc<Readiness>,
) {
    let mut teller = Teller::default();
    let mut pause = EAGER;
    loop {
        let seen = look(&authenticator, deadline).await;
        match &seen.report {
            Some(report) => authenticator.metrics().show(report),
            None => authenticator.metrics().unreadable(),
        }
        if seen.failed.is_none() {
            pause = CALM;
        }
        teller.tell(&seen);
        readiness.token(seen);
        tokio::time::sleep(pause).await;
    }
}

async fn look(authenticator: &Authenticator, deadline: Duration) -> TokenSeen {
    let failed = |error: AuthError| {
        tracing::debug!(%error, "the token cannot be used");
        Problem::from(error).code
    };
    match tokio::time::timeout(deadline, authenticator.inspect()).await {
        Ok(Ok(report)) => TokenSeen {
            failed: report.verdict.err().map(|refusal| failed(refusal.into())),
            report: Some(report),
        },
        Ok(Err(error)) => TokenSeen { failed: Some(failed(error.into())), report: None },
        Err(_) => TokenSeen { failed: Some(Code::DeadlineExceeded), report: None },
    }
}

/// Writes to the log what differs from what stands there.
#[derive(Default)]
struct Teller {
    faults: FaultLog<Code>,
    valid: Option<Life>,
    previous: Option<Result<PreviousLife, PreviousIgnored>>,
}

impl Teller {
    fn tell(&mut self, seen: &TokenSeen) {
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

    fn tell_valid(&mut self, token: Option<Life>) {
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
    use crate::auth::{Lapsed, Refusal};
    use crate::testing::Log;

    fn failed(code: Code) -> TokenSeen {
        TokenSeen { failed: Some(code), report: None }
    }

    fn valid(previous: Option<Result<PreviousLife, PreviousIgnored>>) -> TokenSeen {
        let current = Some(Life { expiry: Some(9e9), ..Life::default() });
        TokenSeen { failed: None, report: Some(TokenReport { verdict: Ok(()), current, previous }) }
    }

    #[test]
    fn what_stays_as_it_is_is_told_once() {
        let (log, _guard) = Log::start();
        let mut teller = Teller::default();
        let told = |teller: &mut Teller, seen: &[TokenSeen]| {
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
        seen.report.as_mut().unwrap().verdict = Err(Refusal::Lapsed(Lapsed::Expired));
        teller.tell(&seen);
        assert!(log.take().contains("token-expired"));
        teller.tell(&valid(None));
        assert!(log.take().contains("the token is valid"), "that it is over is told");
    }
}
