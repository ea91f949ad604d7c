//! The host that a request is for: the syntax of `Host` and `:authority`.

use std::net::Ipv6Addr;

/// The port of https, which a request may leave out.
const HTTPS: u16 = 443;

/// A host and a port, as `Host` and `:authority` give them: `uri-host [ ":" port ]` (RFC 9110,
/// section 7.2). An empty host is none, since the URIs of http and https may not have one (section
/// 4.2).
#[derive(Clone, Copy, Debug)]
pub struct Host<'a> {
    name: &'a [u8],
    port: u16,
}

impl<'a> Host<'a> {
    /// Reads one. `None` where it is no host: user information, white space and control characters
    /// too.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let (name, rest) = match text.strip_prefix(b"[") {
            Some(inside) => {
                let end = inside.iter().position(|byte| *byte == b']')?;
                let (address, rest) = inside.split_at_checked(end)?;
                // Zones mean nothing to others, and addresses of later versions do not exist.
                std::str::from_utf8(address).ok()?.parse::<Ipv6Addr>().ok()?;
                (address, rest.strip_prefix(b"]")?)
            }
            None => {
                let end = text.iter().position(|byte| *byte == b':').unwrap_or(text.len());
                let (name, rest) = text.split_at_checked(end)?;
                is_reg_name(name).then_some((name, rest))?
            }
        };
        let port = match rest {
            b"" => HTTPS,
            rest => port(rest.strip_prefix(b":")?)?,
        };
        Some(Self { name, port })
    }
}

impl PartialEq for Host<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.name.eq_ignore_ascii_case(other.name) && self.port == other.port
    }
}

/// The port behind the colon, which may be left out there too.
fn port(digits: &[u8]) -> Option<u16> {
    match digits {
        b"" => Some(HTTPS),
        // `parse` takes a sign.
        _ if !digits.iter().all(u8::is_ascii_digit) => None,
        _ => std::str::from_utf8(digits).ok()?.parse().ok(),
    }
}

/// Whether this is a `reg-name` that is not empty (RFC 3986, section 3.2.2). IPv4 addresses are
/// among them.
fn is_reg_name(name: &[u8]) -> bool {
    let mut rest = name;
    while let Some((byte, after)) = rest.split_first() {
        rest = match (byte, after) {
            (b'%', [high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                after
            }
            (byte, after) if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(byte) => {
                after
            }
            _ => return false,
        }
    }
    !name.is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for host in [
            "x",
            "localhost:8443",
            "vsecm-scout.default.svc.cluster.local.:8443",
            "under_score",
            "%41b",
            "sub-!$&'()*+,;=~delims",
            "xn--bcher-kva.example",
            "127.0.0.1",
            "999.1.1.1",
            "[::1]",
            "[::1]:8443",
            "[::ffff:127.0.0.1]:1",
            "x:",
            "x:0",
            "x:00065535",
        ] {
            assert!(Host::parse(host.as_bytes()).is_some(), "{host:?}");
        }
    }

    #[test]
    fn what_is_no_host_is_told_apart() {
        for host in [
            "",
            ":8443",
            " x",
            "x ",
            "a b",
            "a, b",
            "a\tb",
            "a\u{7f}b",
            "a\0b",
            "bücher",
            "user@x",
            "user:password@x",
            "https://x",
            "x/",
            "x?",
            "x#",
            "x\\",
            "x:port",
            "x:+1",
            "x:-1",
            "x:65536",
            "x:1:2",
            "::1",
            "[]",
            "[::1",
            "::1]",
            "[::1]x",
            "[::1]:x",
            "[127.0.0.1]",
            "[fe80::1%25eth0]",
            "[v1.x]",
            "[x]",
            "<x>",
            "{x}",
            "\"x\"",
            "a|b",
            "a^b",
            "a`b",
            "%",
            "%4",
            "%4g",
        ] {
            assert!(Host::parse(host.as_bytes()).is_none(), "{host:?}");
        }
    }

    #[test]
    fn hosts_are_the_same_whatever_their_case_and_with_the_port_that_https_has() {
        let same = |one: &str, other: &str| {
            Host::parse(one.as_bytes()).unwrap() == Host::parse(other.as_bytes()).unwrap()
        };
        for (one, other) in [("x", "X"), ("x", "x:443"), ("x", "x:"), ("[::A]:1", "[::a]:01")] {
            assert!(same(one, other), "{one} {other}");
        }
        for (one, other) in [("x", "y"), ("x", "x:8443"), ("x", "x."), ("::1.x", "x")] {
            assert!(!Host::parse(one.as_bytes()).is_some_and(|_| same(one, other)));
        }
    }

    proptest! {
        #[test]
        fn every_byte_that_a_uri_keeps_apart_is_refused_wherever_it_stands(
            before in "[a-z]{0,3}", after in "[a-z]{0,3}", byte in any::<u8>()
        ) {
            let mut host = before.into_bytes();
            host.push(byte);
            host.extend(after.into_bytes());
            let plain = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte);
            let port = byte == b':' && host.len() > 1 && host.ends_with(b":");
            prop_assert_eq!(Host::parse(&host).is_some(), plain || port);
        }
    }
}
