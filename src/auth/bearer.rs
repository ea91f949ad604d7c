//! The `Authorization` header (pure).

/// A bearer token that has the looks of a JWT. It has no `Debug`: it is a secret.
#[derive(Clone, Copy)]
pub struct Bearer<'h>(&'h str);

/// Why the `Authorization` header holds no bearer token that is worth a look at the stored one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BearerError {
    /// No `Authorization`, another scheme, or nothing behind `Bearer`.
    #[error("no bearer token")]
    Missing,
    /// More than one `Authorization` header.
    #[error("more than one Authorization header")]
    Repeated,
    /// Not `Bearer`, spaces, and one token of RFC 6750's characters.
    #[error("the Authorization header is malformed")]
    Malformed,
    /// `<no value>`: what Go's templates write for an entry that is not there.
    #[error("the store's header template names an entry that is not there")]
    NotRendered,
    /// A token, but no JWT in compact form.
    #[error("the bearer token is not a JWT")]
    NotJwt,
}

impl<'h> Bearer<'h> {
    /// Reads the values of all `Authorization` headers of a request.
    ///
    /// The rule is RFC 6750, section 2.1, with RFC 9110's scheme (in any case, section 11.1) and
    /// one or more spaces (section 11.4): a tab, a comma or a second word is malformed. Spaces
    /// and tabs around the whole value are no part of it (RFC 9110, section 5.5).
    ///
    /// # Errors
    /// See [`BearerError`].
    pub fn parse(mut headers: impl Iterator<Item = &'h [u8]>) -> Result<Self, BearerError> {
        let header = headers.next().ok_or(BearerError::Missing)?;
        if headers.next().is_some() {
            return Err(BearerError::Repeated);
        }
        let header = std::str::from_utf8(header).map_err(|_| BearerError::Malformed)?;
        let header = header.trim_matches([' ', '\t']);
        let (scheme, token) = header.split_once(' ').unwrap_or((header, ""));
        if !scheme.eq_ignore_ascii_case("bearer") {
            let foreign = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            return Err(if foreign { BearerError::Missing } else { BearerError::Malformed });
        }
        match token.trim_start_matches(' ') {
            "" => Err(BearerError::Missing),
            "<no value>" => Err(BearerError::NotRendered),
            token if is_compact_jwt(token) => Ok(Self(token)),
            token if is_token68(token) => Err(BearerError::NotJwt),
            _ => Err(BearerError::Malformed),
        }
    }

    /// The token.
    #[must_use]
    pub fn as_str(self) -> &'h str {
        self.0
    }
}

/// RFC 6750, section 2.1: `b64token`.
fn is_token68(text: &str) -> bool {
    let text = text.trim_end_matches('=');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed)
}

/// RFC 7515, section 3.1: three parts in base64url. The signature may not be empty, which is
/// what `alg: none` has.
pub(super) fn is_compact_jwt(text: &str) -> bool {
    let base64url = |byte: u8| byte.is_ascii_alphanumeric() | (byte == b'-') | (byte == b'_');
    let is_part = |part: &str| {
        // Not `all`: without an early end the compiler looks at many bytes at once.
        !part.is_empty() && part.bytes().fold(true, |all, byte| all & base64url(byte))
    };
    let mut parts = text.split('.');
    (&mut parts).take(3).filter(|part| is_part(part)).count() == 3 && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse<'h>(headers: &[&'h str]) -> Result<&'h str, BearerError> {
        Bearer::parse(headers.iter().map(|header| header.as_bytes())).map(Bearer::as_str)
    }

    #[test]
    fn the_scheme_is_read_in_any_case_and_spaces_are_passed_over() {
        for header in
            ["Bearer a.b.c", "bearer a.b.c", "BEARER a.b.c", "Bearer   a.b.c", "\tBearer a.b.c "]
        {
            assert_eq!(parse(&[header]), Ok("a.b.c"), "{header:?}");
        }
        assert_eq!(parse(&["Bearer A-_9.b.c"]), Ok("A-_9.b.c"));
    }

    #[test]
    fn each_fault_has_its_name() {
        use BearerError::*;
        for (header, error) in [
            ("", Missing),
            ("Basic YTpi", Missing),
            ("Negotiate", Missing),
            ("Bearer", Missing),
            ("Bearer   ", Missing),
            ("Bearer <no value>", NotRendered),
            ("bearer   <no value>", NotRendered),
            ("Bearer <no value> ", NotRendered),
            ("Bearera.b.c", Malformed),
            ("a.b.c", Malformed),
            ("Bearer\ta.b.c", Malformed),
            ("Bearer \ta.b.c", Malformed),
            ("Bearer a.b.c, Bearer d.e.f", Malformed),
            ("Bearer a.b.c,d.e.f", Malformed),
            ("Bearer a.b.c d", Malformed),
            ("Bearer a.\u{1}b.c", Malformed),
            ("Bearer ä.b.c", Malformed),
            ("Bearer \"a.b.c\"", Malformed),
            ("Bearer ===", Malformed),
            ("Bearer opaque", NotJwt),
            ("Bearer a.b", NotJwt),
            ("Bearer a.b.", NotJwt),
            ("Bearer ..", NotJwt),
            ("Bearer a..c", NotJwt),
            ("Bearer a.b.c.d", NotJwt),
            ("Bearer a.b.c.", NotJwt),
            ("Bearer a.b.c=", NotJwt),
            ("Bearer a.b.c+", NotJwt),
        ] {
            assert_eq!(parse(&[header]), Err(error), "{header:?}");
        }
        assert_eq!(parse(&[]), Err(Missing));
        assert_eq!(parse(&["Bearer a.b.c", "Bearer a.b.c"]), Err(Repeated));
        assert_eq!(Bearer::parse([&b"Bearer \xff.b.c"[..]].into_iter()).err(), Some(Malformed));
    }

    proptest! {
        #[test]
        fn only_a_jwt_is_ever_read(header in "(Bearer|bearer|Basic)?[ \t]{0,2}[a-c.=,<> é]{0,12}") {
            if let Ok(token) = parse(&[&header]) {
                prop_assert!(is_compact_jwt(token));
                prop_assert!(header.ends_with(token) || header.trim_end().ends_with(token));
            }
        }
    }
}
