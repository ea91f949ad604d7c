//! Which bearer the token Secret lets in: the current token, and during a rotation the previous
//! one (pure).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::bearer::Bearer;
use super::stored::{KnownToken, OutsideValidity, StoredToken, StoredTokenError};
use crate::secrets::Secret;

/// The entry that holds the previous token during a rotation.
pub const PREVIOUS_ENTRY: &str = "previous-token";
/// The annotation of the token Secret that says until when the previous token counts: an instant
/// of RFC 3339.
pub const PREVIOUS_UNTIL: &str = "scout.vsecm.com/previous-token-until";

/// The rules of `token` mode that an operator may set.
#[derive(Clone, Debug)]
pub struct TokenRules {
    /// The entry that holds the current token.
    pub entry: String,
    /// How far clocks may differ where `exp` and `nbf` are judged.
    pub leeway: Duration,
    /// How far ahead [`PREVIOUS_UNTIL`] may lie.
    pub max_overlap: Duration,
}

/// Why the token Secret lets nobody in, whatever bearer is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenSecretError {
    /// The entry of the current token is not there.
    #[error("the token Secret has no such entry")]
    NoEntry,
    /// It holds no token that could match.
    #[error("the stored token cannot be used: {0}")]
    Unusable(#[from] StoredTokenError),
}

/// Why a bearer is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No bearer could be let in.
    #[error(transparent)]
    TokenSecret(#[from] TokenSecretError),
    /// It is not the stored token.
    #[error("the bearer is not the stored token")]
    Mismatch,
    /// It is the stored token, which does not hold now.
    #[error(transparent)]
    OutsideValidity(#[from] OutsideValidity),
}

/// Why a previous token is there and matches nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PreviousIgnored {
    /// [`PREVIOUS_UNTIL`] is missing or no instant of RFC 3339.
    #[error(
        "the annotation scout.vsecm.com/previous-token-until is missing or not an instant such as \
         2026-01-31T12:00:00Z: set it, or remove the entry previous-token"
    )]
    NoUntil,
    /// [`PREVIOUS_UNTIL`] lies too far ahead.
    #[error(
        "the annotation scout.vsecm.com/previous-token-until lies further ahead than --max-overlap: \
         set an earlier instant"
    )]
    TooFarAhead,
    /// The overlap has ended: the entry may be removed.
    #[error("its overlap has ended: remove the entry previous-token and its annotation")]
    Over,
    /// Not a token that could match.
    #[error("the previous token cannot be used: {0}")]
    Unusable(#[from] StoredTokenError),
}

/// The tokens of a token Secret at one instant.
pub struct StoredTokens<'s> {
    /// The current one.
    pub current: StoredToken<'s>,
    /// The previous one, if there is any.
    pub previous: Option<Result<Previous<'s>, PreviousIgnored>>,
}

/// A previous token that counts.
pub struct Previous<'s> {
    /// The token.
    pub token: StoredToken<'s>,
    /// The end of its overlap.
    pub until: Timestamp,
}

/// A stored token that a bearer is.
pub struct Matched<'s> {
    /// The token.
    pub token: StoredToken<'s>,
    /// Whether it is the previous one.
    pub is_previous: bool,
}

impl TokenRules {
    /// The tokens that `secret` holds; one of them may be `known`.
    ///
    /// # Errors
    /// Where the current token cannot be used, whatever the previous one is.
    pub fn tokens<'s>(
        &self,
        secret: &'s Secret,
        now: Timestamp,
        known: Option<&KnownToken>,
    ) -> Result<StoredTokens<'s>, TokenSecretError> {
        let entry = secret.entries.get(&self.entry).ok_or(TokenSecretError::NoEntry)?;
        let current = StoredToken::recall(entry, known)?;
        let previous = secret.entries.get(PREVIOUS_ENTRY);
        // The operator may have named that very entry the current one.
        let previous = previous.filter(|_| self.entry != PREVIOUS_ENTRY).map(|entry| {
            let until = secret.annotations.get(PREVIOUS_UNTIL);
            let until = until.and_then(|until| std::str::from_utf8(until).ok());
            let until = self.overlap_end(until, now)?;
            Ok(Previous { token: StoredToken::recall(entry, known)?, until })
        });
        Ok(StoredTokens { current, previous })
    }

    fn overlap_end(
        &self,
        until: Option<&str>,
        now: Timestamp,
    ) -> Result<Timestamp, PreviousIgnored> {
        let until = until.and_then(|until| until.trim().parse::<Timestamp>().ok());
        let until = until.ok_or(PreviousIgnored::NoUntil)?;
        let left = until.duration_since(now);
        if left <= SignedDuration::ZERO {
            return Err(PreviousIgnored::Over);
        }
        if left > signed(self.max_overlap) {
            return Err(PreviousIgnored::TooFarAhead);
        }
        Ok(until)
    }

    /// Whether `token` holds at `now`.
    ///
    /// # Errors
    /// See [`OutsideValidity`].
    pub fn is_valid_at(
        &self,
        token: &StoredToken<'_>,
        now: Timestamp,
    ) -> Result<(), OutsideValidity> {
        token.is_valid_at(now, signed(self.leeway))
    }

    /// The stored token that `bearer` is, if it holds. Claims are read only after equality.
    /// `known` changes nothing but the work that it takes.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn judge<'s>(
        &self,
        secret: &'s Secret,
        bearer: Bearer<'_>,
        now: Timestamp,
        known: Option<&KnownToken>,
    ) -> Result<Matched<'s>, Refusal> {
        let StoredTokens { current, previous } = self.tokens(secret, now, known)?;
        let is_current = current.equals(bearer);
        let previous = previous.and_then(Result::ok).map(|previous| previous.token);
        let previous = previous.filter(|previous| previous.equals(bearer));
        let token = if is_current { Some(current) } else { previous }.ok_or(Refusal::Mismatch)?;
        self.is_valid_at(&token, now)?;
        Ok(Matched { token, is_previous: !is_current })
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::claims::ClaimFault;
    use super::super::stored::tests::jwt;
    use super::*;

    const NOW: &str = "2026-01-01T12:00:00Z";

    fn rules() -> TokenRules {
        TokenRules {
            entry: "token".to_owned(),
            leeway: Duration::from_secs(30),
            max_overlap: Duration::from_secs(24 * 3600),
        }
    }

    fn token(claims: &str) -> String {
        jwt(r#"{"alg":"HS256"}"#, claims)
    }

    fn secret(entries: &[(&str, &str)], until: Option<&str>) -> Secret {
        let entries = entries.iter().map(|(name, text)| ((*name).to_owned(), (*text).into()));
        let until = until.map(|until| (PREVIOUS_UNTIL.to_owned(), until.into()));
        Secret {
            entries: entries.collect(),
            annotations: until.into_iter().collect(),
            ..Secret::default()
        }
    }

    /// The subject of the token that lets `bearer` in, whatever was known before.
    fn judge(secret: &Secret, bearer: &str) -> Result<String, Refusal> {
        let header = format!("Bearer {bearer}");
        let known = bearer.into();
        let known = StoredToken::parse(&known).ok().map(|token| token.to_known());
        let bearer = Bearer::parse([header.as_bytes()].into_iter()).unwrap();
        let [anew, recalled] = [None, known.as_ref()].map(|known| {
            let matched = rules().judge(secret, bearer, NOW.parse().unwrap(), known)?;
            Ok((matched.token.subject().unwrap_or_default().to_owned(), matched.is_previous))
        });
        assert_eq!(anew, recalled);
        anew.map(|(subject, _)| subject)
    }

    #[test]
    fn the_current_token_is_let_in_while_it_holds() {
        let (new, wrong) = (token(r#"{"sub":"new"}"#), token(r#"{"sub":"now"}"#));
        let stored = secret(&[("token", &new)], None);
        assert_eq!(judge(&stored, &new).as_deref(), Ok("new"));
        assert_eq!(judge(&stored, &wrong), Err(Refusal::Mismatch));
        let expired = token(r#"{"exp":1}"#);
        let stored = secret(&[("token", &expired)], None);
        assert_eq!(
            judge(&stored, &expired),
            Err(Refusal::OutsideValidity(OutsideValidity::Expired))
        );
        assert_eq!(judge(&stored, &wrong), Err(Refusal::Mismatch));
        let later = token(r#"{"nbf":9e9}"#);
        let stored = secret(&[("token", &later)], None);
        assert_eq!(
            judge(&stored, &later),
            Err(Refusal::OutsideValidity(OutsideValidity::NotYetValid))
        );
    }

    #[test]
    fn the_previous_token_counts_until_the_end_of_the_overlap() {
        let (new, old) = (token(r#"{"sub":"new"}"#), token(r#"{"sub":"old"}"#));
        for (until, counts) in [
            (Some("2026-01-01T12:00:01Z"), true),
            (Some("2026-01-02T12:00:00Z"), true),
            (Some("2026-01-01T14:00:00+01:00"), true),
            (Some("2026-01-01T12:00:00Z"), false),
            (Some("2026-01-01T12:30:00+01:00"), false),
            (Some("2026-01-02T12:00:01Z"), false),
            (Some("2026-01-01T13:00:00"), false),
            (Some("tomorrow"), false),
            (Some(""), false),
            (None, false),
        ] {
            let stored = secret(&[("token", &new), (PREVIOUS_ENTRY, &old)], until);
            assert_eq!(judge(&stored, &new).as_deref(), Ok("new"));
            assert_eq!(judge(&stored, &old).is_ok(), counts, "{until:?}");
        }
    }

    #[test]
    fn a_previous_token_must_be_usable_and_hold_too() {
        let (new, until) = (token("{}"), Some("2026-01-01T13:00:00Z"));
        let expired = token(r#"{"exp":1}"#);
        let stored = secret(&[("token", &new), (PREVIOUS_ENTRY, &expired)], until);
        assert_eq!(
            judge(&stored, &expired),
            Err(Refusal::OutsideValidity(OutsideValidity::Expired))
        );
        for bad in [jwt(r#"{"alg":"None"}"#, "{}"), token(r#"{"exp":null}"#)] {
            let stored = secret(&[("token", &new), (PREVIOUS_ENTRY, &bad)], until);
            assert_eq!(judge(&stored, &bad), Err(Refusal::Mismatch));
            assert!(judge(&stored, &new).is_ok());
        }
    }

    #[test]
    fn without_a_usable_current_token_nobody_is_let_in() {
        let (old, until) = (token("{}"), Some("2026-01-01T13:00:00Z"));
        let previous = (PREVIOUS_ENTRY, old.as_str());
        let stored = secret(&[previous], until);
        assert_eq!(judge(&stored, &old), Err(Refusal::TokenSecret(TokenSecretError::NoEntry)));
        for (text, error) in [
            ("", StoredTokenError::Empty),
            ("opaque", StoredTokenError::NotJwt),
            (
                &token(r#"{"exp":null}"#),
                StoredTokenError::BadClaim { claim: "exp", fault: ClaimFault::NotANumber },
            ),
            (&jwt(r#"{"alg":"NONE"}"#, "{}"), StoredTokenError::AlgNone),
        ] {
            let stored = secret(&[("token", text), previous], until);
            let error = Refusal::TokenSecret(TokenSecretError::Unusable(error));
            assert_eq!(judge(&stored, &old), Err(error));
        }
    }

    #[test]
    fn why_a_previous_token_is_ignored_is_told() {
        use PreviousIgnored::*;
        let now = NOW.parse().unwrap();
        let (new, bad) = (token("{}"), jwt(r#"{"alg":"none"}"#, "{}"));
        for (previous, until, ignored) in [
            (&new, None, NoUntil),
            (&new, Some("2027-01-01T00:00:00Z"), TooFarAhead),
            (&new, Some("2025-01-01T00:00:00Z"), Over),
            (&bad, Some("2026-01-01T13:00:00Z"), Unusable(StoredTokenError::AlgNone)),
        ] {
            let stored = secret(&[("token", &new), (PREVIOUS_ENTRY, previous)], until);
            let tokens = rules().tokens(&stored, now, None).unwrap();
            assert_eq!(tokens.previous.and_then(Result::err), Some(ignored));
        }
    }

    #[test]
    fn an_entry_of_another_name_holds_the_token_where_it_is_named() {
        let (new, old) = (token("{}"), token(r#"{"sub":"x"}"#));
        let stored = secret(&[("jwt", &new), ("token", &old)], None);
        let rules = TokenRules { entry: "jwt".to_owned(), ..rules() };
        let header = format!("Bearer {new}");
        let bearer = Bearer::parse([header.as_bytes()].into_iter()).unwrap();
        assert!(rules.judge(&stored, bearer, NOW.parse().unwrap(), None).is_ok());
    }
}
