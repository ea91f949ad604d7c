//! The token that a Secret holds: which text counts, and when it is valid (pure).

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::bearer::{Bearer, is_compact_jwt};
use super::claims::{ClaimFault, Claims, OutOfRange};
use crate::secrets::SecretBytes;

/// No longer token can be sent: the head of a request may be 16 KiB long.
const MAX_LENGTH: usize = 16 * 1024;

/// A stored JWT that may be compared with. It has no `Debug`: it is a secret.
pub struct StoredToken<'s> {
    text: &'s [u8],
    claims: Arc<Claims>,
}

/// What is known of a token that was read before: its text need not be read again where it is
/// stored still. It has no `Debug`: it is a secret.
pub struct KnownToken {
    text: SecretBytes,
    claims: Arc<Claims>,
}

/// Why a stored text matches nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoredTokenError {
    /// Nothing but white space.
    #[error("it is empty")]
    Empty,
    /// Not a JWT in compact form, or longer than 16 KiB.
    #[error("it is not a JWT")]
    NotJwt,
    /// The header says `alg: none`, in any casing.
    #[error("its header says alg: none")]
    AlgNone,
    /// A claim that is read cannot be used.
    #[error("its {claim} {fault}")]
    BadClaim {
        /// Its name.
        claim: &'static str,
        /// What is wrong with it.
        fault: ClaimFault,
    },
}

/// Why a stored token does not hold now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutsideValidity {
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

impl<'s> StoredToken<'s> {
    /// Reads what the Secret's entry holds, white space at its end apart.
    ///
    /// # Errors
    /// See [`StoredTokenError`].
    pub fn parse(bytes: &'s SecretBytes) -> Result<Self, StoredTokenError> {
        let text = bytes.trimmed_end();
        if text.is_empty() {
            return Err(StoredTokenError::Empty);
        }
        if text.len() > MAX_LENGTH {
            return Err(StoredTokenError::NotJwt);
        }
        let text = std::str::from_utf8(text).map_err(|_| StoredTokenError::NotJwt)?;
        let header = text.split('.').next().and_then(header).ok_or(StoredTokenError::NotJwt)?;
        // Before its shape: an unsecured JWT has an empty signature and should be called so.
        if header.alg.eq_ignore_ascii_case("none") {
            return Err(StoredTokenError::AlgNone);
        }
        if !is_compact_jwt(text) {
            return Err(StoredTokenError::NotJwt);
        }
        Ok(Self { text: text.as_bytes(), claims: Arc::new(Claims::parse(text)?) })
    }

    /// Like [`parse`](Self::parse), with little work where the entry holds the token that is
    /// known.
    ///
    /// # Errors
    /// See [`StoredTokenError`].
    pub fn recall(
        bytes: &'s SecretBytes,
        known: Option<&KnownToken>,
    ) -> Result<Self, StoredTokenError> {
        let text = bytes.trimmed_end();
        match known {
            Some(known) if equal(&known.text, text) => {
                Ok(Self { text, claims: Arc::clone(&known.claims) })
            }
            _ => Self::parse(bytes),
        }
    }

    /// What is to be known of it later.
    #[must_use]
    pub fn to_known(&self) -> KnownToken {
        KnownToken { text: self.text.to_vec().into(), claims: Arc::clone(&self.claims) }
    }

    /// Whether the bearer is this very token, compared in constant time.
    #[must_use]
    pub fn equals(&self, bearer: Bearer<'_>) -> bool {
        equal(self.text, bearer.as_str().as_bytes())
    }

    /// Whether `exp` and `nbf` hold (RFC 7519, sections 4.1.4 and 4.1.5).
    ///
    /// # Errors
    /// See [`OutsideValidity`].
    pub fn is_valid_at(
        &self,
        now: Timestamp,
        leeway: SignedDuration,
    ) -> Result<(), OutsideValidity> {
        let (now, leeway) = (now.as_duration().as_secs_f64(), leeway.as_secs_f64());
        if self.claims.exp.is_some_and(|exp| now >= exp + leeway) {
            return Err(OutsideValidity::Expired);
        }
        if self.claims.nbf.is_some_and(|nbf| now < nbf - leeway) {
            return Err(OutsideValidity::NotYetValid);
        }
        Ok(())
    }

    /// `exp` in seconds since the epoch.
    #[must_use]
    pub fn expiry(&self) -> Option<f64> {
        self.claims.exp
    }

    /// The start of its life, in seconds since the epoch: `nbf`, else `iat`, which decides nothing
    /// and so may be anything: one in milliseconds, behind `exp`, tells nothing.
    #[must_use]
    pub fn not_before(&self) -> Option<f64> {
        let before_its_end = |start: &f64| self.claims.exp.is_none_or(|end| *start < end);
        self.claims.nbf.or_else(|| self.claims.iat.filter(before_its_end))
    }

    /// A time in it that its issuer can hardly have meant.
    #[must_use]
    pub fn out_of_range(&self) -> Option<OutOfRange> {
        self.claims.out_of_range()
    }

    /// `sub`, where it is a string.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.claims.sub.as_deref()
    }
}

impl KnownToken {
    /// Whether the bearer is this very token, compared in constant time.
    #[must_use]
    pub fn equals(&self, bearer: Bearer<'_>) -> bool {
        equal(&self.text, bearer.as_str().as_bytes())
    }
}

/// In a time that depends on the lengths alone.
fn equal(one: &[u8], other: &[u8]) -> bool {
    verify_slices_are_equal(one, other).is_ok()
}

fn header(part: &str) -> Option<Header> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A JWT of this header and these claims, with some signature.
    pub(in crate::auth) fn jwt(header: &str, claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.c2ln", part(header), part(claims))
    }

    fn parse(text: &str) -> Result<(), StoredTokenError> {
        StoredToken::parse(&text.into()).map(|_| ())
    }

    const HS256: &str = r#"{"alg":"HS256"}"#;

    #[test]
    fn white_space_at_the_end_is_trimmed_and_nowhere_else() {
        let token = jwt(HS256, "{}");
        for end in ["", "\n", "\r\n", " \t\n"] {
            assert_eq!(parse(&format!("{token}{end}")), Ok(()), "{end:?}");
        }
        let (head, tail) = token.split_at(4);
        let inner = format!("{head}\n{tail}");
        for bad in [format!("\u{feff}{token}"), format!(" {token}"), inner, format!("{token}\0")] {
            assert_eq!(parse(&bad), Err(StoredTokenError::NotJwt), "{bad:?}");
        }
    }

    #[test]
    fn what_is_no_jwt_matches_nothing() {
        use StoredTokenError::*;
        let token = |claims: &str| jwt(HS256, claims);
        for (text, error) in [
            (String::new(), Empty),
            (" \n".to_owned(), Empty),
            ("opaque".to_owned(), NotJwt),
            ("a.b.c".to_owned(), NotJwt),
            (jwt("not json", "{}"), NotJwt),
            (jwt("{}", "{}"), NotJwt),
            (jwt(r#"{"alg":1}"#, "{}"), NotJwt),
            (token("not json"), NotJwt),
            (token("[]"), NotJwt),
            (format!("{}.x", token("{}")), NotJwt),
            ("x".repeat(1 << 20), NotJwt),
            (format!("{}{}", token("{}"), "x".repeat(1 << 20)), NotJwt),
            (jwt(r#"{"alg":"none"}"#, "{}"), AlgNone),
            (jwt(r#"{"alg":"nOnE"}"#, "{}"), AlgNone),
            (jwt(r#"{"alg":"none"}"#, "{}").replace("c2ln", ""), AlgNone),
            (token("{} {}"), NotJwt),
            (token(r#"{"exp":null}"#), BadClaim { claim: "exp", fault: ClaimFault::NotANumber }),
        ] {
            assert_eq!(parse(&text), Err(error), "{text:.80}");
        }
    }

    #[test]
    fn algorithms_and_claims_that_are_not_looked_at_do_not_matter() {
        assert_eq!(
            parse(&jwt(r#"{"alg":"ES512","crit":["x"]}"#, r#"{"sub":7,"iat":"?"}"#)),
            Ok(())
        );
    }

    #[test]
    fn exp_and_nbf_hold_within_the_leeway() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let leeway = SignedDuration::from_secs(30);
        let bytes = jwt(HS256, r#"{"exp":1000.5,"nbf":500}"#).into();
        let token = StoredToken::parse(&bytes).unwrap();
        assert_eq!(token.is_valid_at(at(469), leeway), Err(OutsideValidity::NotYetValid));
        assert_eq!(token.is_valid_at(at(470), leeway), Ok(()));
        assert_eq!(token.is_valid_at(at(1030), leeway), Ok(()));
        assert_eq!(token.is_valid_at(at(1031), leeway), Err(OutsideValidity::Expired));
        assert_eq!(
            token.is_valid_at(at(1001), SignedDuration::ZERO),
            Err(OutsideValidity::Expired)
        );
        let for_ever = jwt(HS256, "{}").into();
        let for_ever = StoredToken::parse(&for_ever).unwrap();
        assert_eq!(for_ever.is_valid_at(Timestamp::MAX, leeway), Ok(()));
        let huge = jwt(HS256, r#"{"exp":1e300,"nbf":-1e300}"#).into();
        assert_eq!(StoredToken::parse(&huge).unwrap().is_valid_at(at(0), leeway), Ok(()));
    }

    #[test]
    fn only_the_very_same_token_equals() {
        let text = jwt(HS256, r#"{"sub":"a"}"#);
        let stored = format!("{text}\n").into();
        let token = StoredToken::parse(&stored).unwrap();
        let equals = |bearer: &str| {
            let header = format!("Bearer {bearer}");
            Bearer::parse([header.as_bytes()].into_iter()).is_ok_and(|bearer| token.equals(bearer))
        };
        assert!(equals(&text));
        assert!(!equals(&format!("{}x", &text[..text.len() - 1])));
        assert!(!equals(&text[..text.len() - 1]));
        assert!(!equals(&format!("{text}x")));
        assert_eq!(token.subject(), Some("a"));
    }

    #[test]
    fn what_is_known_counts_for_the_very_same_text_only() {
        let (known, other) = (jwt(HS256, r#"{"sub":"a"}"#), jwt(HS256, r#"{"sub":"b"}"#));
        let (known, other) = (SecretBytes::from(known), SecretBytes::from(other));
        let known = StoredToken::parse(&known).unwrap().to_known();
        let subject = |stored: &SecretBytes| {
            let token = StoredToken::recall(stored, Some(&known))?;
            assert!(token.text == stored.trimmed_end());
            Ok(token.subject().map(str::to_owned))
        };
        let with_end = [&known.text[..], b"\n"].concat().into();
        assert_eq!(subject(&with_end), Ok(Some("a".to_owned())));
        assert_eq!(subject(&other), Ok(Some("b".to_owned())));
        assert_eq!(subject(&"opaque".into()), Err(StoredTokenError::NotJwt));
    }

    proptest! {
        #[test]
        fn whatever_is_stored_is_judged(text in "\\PC*", header in "\\PC*", claims in "\\PC*") {
            let _ = parse(&text);
            let _ = parse(&jwt(&header, &claims));
        }
    }
}
