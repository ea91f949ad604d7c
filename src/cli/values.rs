//! How values on the command line are read.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;

use crate::policy::Label;

/// Where Secrets are read.
#[derive(Clone, Debug)]
pub enum Source {
    /// The API server of the cluster.
    Kubernetes,
    /// A folder of manifests.
    Manifests(PathBuf),
}

impl FromStr for Source {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text.split_once(':') {
            None if text == "kubernetes" => Ok(Self::Kubernetes),
            Some(("manifests", folder)) if !folder.is_empty() => Ok(Self::Manifests(folder.into())),
            _ => Err("write 'kubernetes', or 'manifests:' and a folder"),
        }
    }
}

/// The label that a Secret must carry; an empty text drops the demand.
#[derive(Clone, Debug)]
pub struct ServeLabel(pub Option<Label>);

impl FromStr for ServeLabel {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() { Ok(Self(None)) } else { text.parse().map(|label| Self(Some(label))) }
    }
}

/// Where to listen.
pub fn address(text: &str) -> Result<SocketAddr, &'static str> {
    let wanted = "write an IP address and a port, such as [::]:8443 for all addresses of this \
                  machine, 0.0.0.0:8443 for those of IPv4, or 127.0.0.1:8443";
    text.parse().map_err(|_| wanted)
}

/// How many.
pub fn count(text: &str) -> Result<NonZeroUsize, &'static str> {
    text.parse().map_err(|_| "write a whole number above 0")
}

/// A duration with its unit, such as `5s`, `1m30s` or `24h`.
pub fn duration(text: &str) -> Result<Duration, &'static str> {
    let duration: SignedDuration =
        text.parse().map_err(|_| "write a duration with its unit, such as 5s, 1m30s or 24h")?;
    Duration::try_from(duration).map_err(|_| "write a duration that is not negative")
}

/// A duration above zero.
pub fn positive_duration(text: &str) -> Result<Duration, &'static str> {
    duration(text)
        .and_then(|value| if value.is_zero() { Err("write a duration above 0") } else { Ok(value) })
}

/// A duration of at most a minute.
pub fn leeway(text: &str) -> Result<Duration, &'static str> {
    let leeway = duration(text)?;
    if leeway > Duration::from_secs(60) { Err("write at most 60s") } else { Ok(leeway) }
}

/// The name of an entry of a Secret, by the rules of Kubernetes (`util/validation`,
/// `IsConfigMapKey`).
pub fn entry(text: &str) -> Result<String, &'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let named = (1..=253).contains(&text.len()) && text.bytes().all(allowed);
    if named && !text.starts_with("..") && text != "." {
        Ok(text.to_owned())
    } else {
        Err("write the name of a Secret's entry: letters, digits, '-', '_' and '.'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_ip_address_with_its_port_and_the_error_shows_one() {
        for good in ["[::]:8443", "0.0.0.0:8443", "127.0.0.1:0", "[::1]:9090"] {
            assert!(address(good).is_ok(), "{good}");
        }
        for bad in ["", ":8443", "8443", "*:8443", "localhost:8443", "::1", "127.0.0.1", "[::]:x"] {
            let error = address(bad).unwrap_err();
            assert!(
                error.contains("[::]:8443") && error.contains("0.0.0.0:8443"),
                "{bad}: {error}"
            );
        }
        assert!(count("1").is_ok() && count("0").is_err() && count("many").is_err());
    }

    #[test]
    fn durations_need_a_unit_and_stay_within_bounds() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("24h"), Ok(Duration::from_secs(86_400)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for bad in ["", "5", "-5s", "5 parsecs", "s"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
        assert!(positive_duration("0s").is_err());
        assert_eq!(leeway("60s"), Ok(Duration::from_secs(60)));
        assert!(leeway("61s").is_err());
    }

    #[test]
    fn a_source_is_the_cluster_or_a_folder() {
        assert!(matches!("kubernetes".parse(), Ok(Source::Kubernetes)));
        assert!(
            matches!("manifests:a:b".parse(), Ok(Source::Manifests(dir)) if dir.as_os_str() == "a:b")
        );
        for bad in ["", "manifests", "manifests:", "kubernetes:x", "vault"] {
            assert!(bad.parse::<Source>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn entries_are_named_as_kubernetes_allows() {
        for good in ["token", ".dockerconfigjson", "a_b-C.1"] {
            assert!(entry(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "..a", "a/b", "a b"] {
            assert!(entry(bad).is_err(), "{bad:?}");
        }
    }
}
