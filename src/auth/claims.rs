//! The claims of a stored token (pure).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::stored::StoredTokenError;

/// The claims that are read. The signature is not: equality with the stored token proves more
/// than a signature would.
pub(super) struct Claims {
    /// Seconds since the epoch, perhaps with a fraction (RFC 7519, section 2, NumericDate).
    pub(super) exp: Option<f64>,
    pub(super) nbf: Option<f64>,
    /// It decides nothing, so that one of the wrong type is as good as none.
    pub(super) iat: Option<f64>,
    /// Likewise.
    pub(super) sub: Option<String>,
}

/// What makes a claim unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimFault {
    /// It is there more than once, and readers of JSON differ in which one they take.
    #[error("is there twice")]
    Repeated,
    /// A text, `null` or anything else.
    #[error("is not a number")]
    NotANumber,
    /// A number that is too large for any reader of JSON (RFC 8259, section 6).
    #[error("is out of range")]
    TooLarge,
}

/// A time that is no instant of any calendar, and so is hardly what its issuer meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its {claim} is out of range{}", if *.in_milliseconds { "; is it in milliseconds?" } else { "" })]
pub struct OutOfRange {
    /// The claim.
    pub claim: &'static str,
    /// Whether it would be an instant if it were in milliseconds.
    pub in_milliseconds: bool,
}

impl Claims {
    /// Reads them from a JWT in compact form.
    ///
    /// # Errors
    /// [`StoredTokenError::BadClaim`] and [`StoredTokenError::NotJwt`].
    pub(super) fn parse(text: &str) -> Result<Self, StoredTokenError> {
        let part = text.split('.').nth(1).unwrap_or_default();
        let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| StoredTokenError::NotJwt)?;
        let json = Zeroizing::new(json);
        let members: Members<'_> =
            serde_json::from_slice(&json).map_err(|_| StoredTokenError::NotJwt)?;
        if let Some(claim) = members.repeated {
            return Err(StoredTokenError::BadClaim { claim, fault: ClaimFault::Repeated });
        }
        let [exp, nbf, iat, sub] = members.values;
        let time = |claim, value: Option<&RawValue>| {
            let number = value.map(number).transpose();
            number.map_err(|fault| StoredTokenError::BadClaim { claim, fault })
        };
        Ok(Self {
            exp: time("exp", exp)?,
            nbf: time("nbf", nbf)?,
            iat: iat.and_then(|iat| number(iat).ok()),
            sub: sub.and_then(|sub| serde_json::from_str(sub.get()).ok()),
        })
    }

    /// The first time among them that is out of range.
    pub(super) fn out_of_range(&self) -> Option<OutOfRange> {
        let range = Timestamp::MIN.as_second() as f64..=Timestamp::MAX.as_second() as f64;
        let times = [("exp", self.exp), ("nbf", self.nbf), ("iat", self.iat)];
        times.into_iter().find_map(|(claim, time)| {
            let time = time.filter(|time| !range.contains(time))?;
            Some(OutOfRange { claim, in_milliseconds: range.contains(&(time / 1000.0)) })
        })
    }
}

/// A number of JSON; `null` is none.
fn number(value: &RawValue) -> Result<f64, ClaimFault> {
    let text = value.get();
    if !text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return Err(ClaimFault::NotANumber);
    }
    // What is too large for it becomes infinite.
    let number = text.parse().map_err(|_| ClaimFault::NotANumber)?;
    if f64::is_finite(number) { Ok(number) } else { Err(ClaimFault::TooLarge) }
}

/// The names of the claims that are read.
const NAMES: [&str; 4] = ["exp", "nbf", "iat", "sub"];

/// The members of a JSON object that are among [`NAMES`], each as its source text.
#[derive(Default)]
struct Members<'j> {
    values: [Option<&'j RawValue>; 4],
    repeated: Option<&'static str>,
}

impl<'j> Deserialize<'j> for Members<'j> {
    fn deserialize<D: Deserializer<'j>>(deserializer: D) -> Result<Self, D::Error> {
        // A derived struct could be read from an array too, and tells a repeated member only by
        // the text of an error.
        struct Object;

        impl<'j> Visitor<'j> for Object {
            type Value = Members<'j>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'j>>(self, mut object: A) -> Result<Members<'j>, A::Error> {
                let mut members = Members::default();
                while let Some(name) = object.next_key::<String>()? {
                    let mut slots = NAMES.into_iter().zip(&mut members.values);
                    let Some((name, slot)) = slots.find(|(known, _)| *known == name) else {
                        object.next_value::<IgnoredAny>()?;
                        continue;
                    };
                    if slot.replace(object.next_value()?).is_some() {
                        members.repeated.get_or_insert(name);
                    }
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::super::stored::tests::jwt;
    use super::*;

    fn parse(claims: &str) -> Result<Claims, StoredTokenError> {
        Claims::parse(&jwt(r#"{"alg":"HS256"}"#, claims))
    }

    #[test]
    fn a_claim_that_cannot_be_used_is_named_with_what_is_wrong_with_it() {
        use ClaimFault::{NotANumber, Repeated, TooLarge};
        for (claims, claim, fault) in [
            (r#"{"exp":"1"}"#, "exp", NotANumber),
            (r#"{"exp":null}"#, "exp", NotANumber),
            (r#"{"exp":true}"#, "exp", NotANumber),
            (r#"{"nbf":[1]}"#, "nbf", NotANumber),
            (r#"{"nbf":{}}"#, "nbf", NotANumber),
            (r#"{"exp":1,"exp":9e9}"#, "exp", Repeated),
            (r#"{"exp":1,"exp":1}"#, "exp", Repeated),
            (r#"{"exp":"?","a":0,"\u0065xp":1}"#, "exp", Repeated),
            (r#"{"nbf":1,"nbf":null}"#, "nbf", Repeated),
            (r#"{"iat":1,"iat":2}"#, "iat", Repeated),
            (r#"{"sub":"a","sub":"b"}"#, "sub", Repeated),
            (r#"{"sub":"a","nbf":1,"nbf":2,"sub":"b"}"#, "nbf", Repeated),
            (r#"{"exp":1e400}"#, "exp", TooLarge),
            (r#"{"nbf":-1e400}"#, "nbf", TooLarge),
        ] {
            let error = StoredTokenError::BadClaim { claim, fault };
            assert_eq!(parse(claims).err(), Some(error), "{claims}");
            assert_eq!(error.to_string(), format!("its {claim} {fault}"));
        }
    }

    #[test]
    fn what_decides_nothing_may_be_anything() {
        for claims in [
            r#"{"sub":7,"iat":"yesterday"}"#,
            r#"{"sub":null,"iat":1e400}"#,
            r#"{"a":1e400,"a":2,"a":null}"#,
        ] {
            let claims = parse(claims).unwrap_or_else(|error| panic!("{claims}: {error}"));
            assert_eq!((claims.sub, claims.iat), (None, None));
        }
        let claims = parse(r#"{"sub":"\u0061","iat":1.5}"#).ok().unwrap();
        assert_eq!((claims.sub.as_deref(), claims.iat), (Some("a"), Some(1.5)));
    }

    #[test]
    fn a_time_out_of_range_is_named_and_milliseconds_are_guessed() {
        for (claims, said) in [
            ("{}", None),
            (r#"{"exp":4102444800,"nbf":-1,"iat":0}"#, None),
            (r#"{"exp":1.8e12}"#, Some("its exp is out of range; is it in milliseconds?")),
            (r#"{"nbf":1767225600000}"#, Some("its nbf is out of range; is it in milliseconds?")),
            (
                r#"{"exp":9e9,"iat":1767225600000}"#,
                Some("its iat is out of range; is it in milliseconds?"),
            ),
            (r#"{"exp":1.8e18,"nbf":1.8e12}"#, Some("its exp is out of range")),
            (r#"{"nbf":-1e300}"#, Some("its nbf is out of range")),
        ] {
            let found = parse(claims).ok().unwrap().out_of_range();
            assert_eq!(found.map(|found| found.to_string()).as_deref(), said, "{claims}");
        }
    }
}
