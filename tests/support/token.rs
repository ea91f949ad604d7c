//! Tokens for tests.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A JWT of these claims, with some signature.
pub fn token(claims: &str) -> String {
    with_header(r#"{"alg":"HS256","typ":"JWT"}"#, claims)
}

pub fn with_header(header: &str, claims: &str) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", part(header), part(claims), part("signature"))
}
