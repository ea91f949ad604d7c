//! The claims of a stored token (pure).

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::stored::StoredTokenError;

/// The part of the claims that is looked at. The signature is not: equality with the stored
/// token proves more than a signature would.
#[derive(Deserialize)]
pub(super) struct Claims {
    /// Seconds since the epoch, perhaps with a fraction (RFC 7519, section 2, NumericDate).
    #[serde(default, deserialize_with = "present")]
    pub(super) exp: Option<f64>,
    #[serde(default, deserialize_with = "present")]
    pub(super) nbf: Option<f64>,
    #[serde(default)]
    pub(super) iat: Option<serde_json::Value>,
    #[serde(default)]
    pub(super) sub: Option<serde_json::Value>,
}

/// A number; `null` is none.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    f64::deserialize(deserializer).map(Some)
}

impl Claims {
    /// Reads them from a JWT in compact form.
    ///
    /// # Errors
    /// [`StoredTokenError::BadClaims`] and [`StoredTokenError::NotJwt`].
    pub(super) fn parse(text: &str) -> Result<Self, StoredTokenError> {
        use jsonwebtoken::dangerous::insecure_decode_claims;
        match insecure_decode_claims::<Object<Self>>(text) {
            Ok(Object(claims)) => Ok(claims),
            Err(_) => match insecure_decode_claims::<serde_json::Map<_, _>>(text) {
                Ok(_) => Err(StoredTokenError::BadClaims),
                Err(_) => Err(StoredTokenError::NotJwt),
            },
        }
    }
}

/// A JSON object. A struct alone could be read from an array too.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members))
            }
        }

        deserializer.deserialize_map(Members(PhantomData)).map(Self)
    }
}
