//! What there is to tell of the token Secret without a bearer (pure).

use jiff::Timestamp;

use super::claims::OutOfRange;
use super::rules::{
    Previous, PreviousIgnored, Refusal, StoredTokens, TokenRules, TokenSecretError,
};
use super::stored::StoredTokenError;
use crate::secrets::Secret;

/// What a look at the token Secret without a bearer shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenReport {
    /// Whether the current token would let its bearer in.
    pub verdict: Result<(), Refusal>,
    /// The current token, where it can be used at all.
    pub current: Option<Validity>,
    /// The previous token, where there is one.
    pub previous: Option<Result<PreviousValidity, PreviousIgnored>>,
}

/// What a token says of its life, in seconds since the epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Validity {
    /// `nbf`, else `iat`.
    pub not_before: Option<f64>,
    /// `exp`.
    pub expiry: Option<f64>,
    /// A time among its claims that its issuer can hardly have meant.
    pub out_of_range: Option<OutOfRange>,
}

impl Validity {
    /// The instant of its `exp`, where it has one that a calendar has.
    #[must_use]
    pub fn ends(&self) -> Option<Timestamp> {
        // A cast from a float saturates.
        Timestamp::from_second(self.expiry? as i64).ok()
    }
}

/// How long a previous token counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PreviousValidity {
    /// Its `exp`, in seconds since the epoch.
    pub expiry: Option<f64>,
    /// The end of its overlap.
    pub until: Timestamp,
}

impl TokenReport {
    /// What a code does not tell: which claim it is, and what is wrong with it.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        use StoredTokenError::BadClaim;
        if let Err(Refusal::TokenSecret(TokenSecretError::Unusable(error @ BadClaim { .. }))) =
            self.verdict
        {
            return Some(error.to_string());
        }
        self.current?.out_of_range.map(|odd| odd.to_string())
    }
}

impl TokenRules {
    /// What there is to tell of the tokens that `secret` holds.
    #[must_use]
    pub fn report(&self, secret: &Secret, now: Timestamp) -> TokenReport {
        let StoredTokens { current, previous } = match self.tokens(secret, now, None) {
            Ok(tokens) => tokens,
            Err(error) => {
                return TokenReport { verdict: Err(error.into()), current: None, previous: None };
            }
        };
        let life = |Previous { token, until }| PreviousValidity { expiry: token.expiry(), until };
        TokenReport {
            verdict: self.is_valid_at(&current, now).map_err(Refusal::from),
            current: Some(Validity {
                not_before: current.not_before(),
                expiry: current.expiry(),
                out_of_range: current.out_of_range(),
            }),
            previous: previous.map(|previous| previous.map(life)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::rules::{PREVIOUS_ENTRY, PREVIOUS_UNTIL, TokenSecretError};
    use super::super::stored::OutsideValidity;
    use super::super::stored::tests::jwt;
    use super::*;

    fn report(entries: &[(&str, &str)], until: Option<&str>) -> TokenReport {
        let rules = TokenRules {
            entry: "token".to_owned(),
            leeway: Duration::from_secs(30),
            max_overlap: Duration::from_secs(24 * 3600),
        };
        let entries = entries.iter().map(|(name, text)| ((*name).to_owned(), (*text).into()));
        let until = until.map(|until| (PREVIOUS_UNTIL.to_owned(), until.into()));
        let secret = Secret {
            entries: entries.collect(),
            annotations: until.into_iter().collect(),
            ..Secret::default()
        };
        rules.report(&secret, "2026-01-01T12:00:00Z".parse().unwrap())
    }

    fn token(claims: &str) -> String {
        jwt(r#"{"alg":"HS256"}"#, claims)
    }

    #[test]
    fn the_life_of_a_token_is_told_also_when_it_has_ended() {
        let expired = Err(Refusal::OutsideValidity(OutsideValidity::Expired));
        for (claims, verdict, not_before, expiry) in [
            ("{}", Ok(()), None, None),
            (r#"{"exp":9e9,"nbf":1,"iat":2}"#, Ok(()), Some(1.0), Some(9e9)),
            (r#"{"exp":9e9,"iat":2}"#, Ok(()), Some(2.0), Some(9e9)),
            (r#"{"exp":9e9,"iat":"yesterday"}"#, Ok(()), None, Some(9e9)),
            (r#"{"exp":9e9,"iat":1.8e12}"#, Ok(()), None, Some(9e9)),
            (r#"{"iat":1.8e12}"#, Ok(()), Some(1.8e12), None),
            (r#"{"exp":3}"#, expired, None, Some(3.0)),
        ] {
            let report = report(&[("token", &token(claims))], None);
            let out_of_range = report.current.and_then(|life| life.out_of_range);
            let current = Some(Validity { not_before, expiry, out_of_range });
            assert_eq!(report, TokenReport { verdict, current, previous: None }, "{claims}");
        }
    }

    #[test]
    fn which_claim_is_wrong_and_how_is_told_beside_the_code() {
        for (claims, detail) in [
            (r#"{"exp":9e9,"iat":1}"#, None),
            (r#"{"exp":3}"#, None),
            ("[]", None),
            (r#"{"exp":"9e9"}"#, Some("its exp is not a number")),
            (r#"{"exp":9e9,"exp":9e9}"#, Some("its exp is there twice")),
            (r#"{"exp":9e999}"#, Some("its exp is out of range")),
            (r#"{"exp":1.8e12}"#, Some("its exp is out of range; is it in milliseconds?")),
            (r#"{"nbf":1.8e12}"#, Some("its nbf is out of range; is it in milliseconds?")),
        ] {
            let report = report(&[("token", &token(claims))], None);
            assert_eq!(report.detail().as_deref(), detail, "{claims}");
        }
    }

    #[test]
    fn of_a_token_that_cannot_be_used_nothing_is_known() {
        let verdict = Err(Refusal::TokenSecret(TokenSecretError::NoEntry));
        let previous = (PREVIOUS_ENTRY, token("{}"));
        let report = report(&[(previous.0, &previous.1)], Some("2026-01-01T13:00:00Z"));
        assert_eq!(report, TokenReport { verdict, current: None, previous: None });
    }

    #[test]
    fn the_previous_token_is_told_with_the_end_of_its_overlap() {
        let (new, old) = (token("{}"), token(r#"{"exp":9e9}"#));
        let entries = [("token", new.as_str()), (PREVIOUS_ENTRY, &old)];
        let until = "2026-01-01T13:00:00Z";
        let life = PreviousValidity { expiry: Some(9e9), until: until.parse().unwrap() };
        assert_eq!(report(&entries, Some(until)).previous, Some(Ok(life)));
        assert_eq!(report(&entries, None).previous, Some(Err(PreviousIgnored::NoUntil)));
    }
}
